"""A tree of reasons as one sentence.

The one rule: what belongs together can be told from the words alone; a member that is a group, or
that has several clauses, stands in parentheses.
"""

from __future__ import annotations

from collections.abc import Sequence

from rules.reasons import Reason
from rules.sentences.language import Language
from rules.sentences.remembered import phrase


def tell(lang: Language, reason: Reason) -> str:
    """What was seen and what was asked, of a condition or of a group of them."""
    if reason.all is not None:
        return _members(lang, reason.all, "all")
    if reason.any is not None:
        return _members(lang, reason.any, "any")
    if reason.not_ is not None:
        key = ("not" if len(reason.not_) == 1 else "none") + ("" if reason.holds else "_in_vain")
        return lang.say(key, members=_members(lang, reason.not_, "semicolon"))
    return phrase(lang, reason) if reason.condition else lang.say("erased")


def _members(lang: Language, members: Sequence[Reason], between: str) -> str:
    if len(members) == 1:
        return tell(lang, members[0])
    return lang.say(between).join(_member(lang, member) for member in members)


def _member(lang: Language, member: Reason) -> str:
    words = tell(lang, member)
    several = member.condition is None or lang.say("semicolon") in words
    return lang.say("enclosed", words=words) if several else words
