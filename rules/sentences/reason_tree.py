"""Writes a tree of reasons as one sentence.

Parentheses show what belongs together: a member that is a group, or that has several clauses, stands in
parentheses.
"""

from __future__ import annotations

from collections.abc import Sequence

from rules.languages.language import Language
from rules.reason_limits import pointer
from rules.reasons import Reason
from rules.sentences.phrase_cache import phrase

# Beyond this many characters of a group only the number of further members follows, within a sentence's limit.
_GROUP_MAX_CHARS = 1_500


def tell(lang: Language, reason: Reason) -> str:
    """Write a reason, of a condition or of a group of conditions."""
    if reason.all is not None:
        return _members(lang, reason, reason.all, "all", "all")
    if reason.any is not None:
        return _members(lang, reason, reason.any, "any", "any")
    if reason.not_ is not None:
        members = _members(lang, reason, reason.not_, "not", "semicolon")
        key = "not" if len(reason.not_) == 1 else "none"
        if not reason.holds:
            key += "_in_vain"
        return lang.say(key, members=members)
    if not reason.condition:
        return lang.say("erased")
    words = phrase(lang, reason)
    return lang.say("shortened", words=words) if reason.cut else words


def _members(lang: Language, group: Reason, members: Sequence[Reason], name: str, between: str) -> str:
    count = len(members) + (group.cut or {}).get(pointer(name), 0)
    if count == 1:
        return tell(lang, members[0])
    first: list[str] = []
    chars = 0
    for member in members:
        first.append(_member(lang, member))
        chars += len(first[-1])
        if chars > _GROUP_MAX_CHARS:
            break
    return lang.listed(between, first, count)


def _member(lang: Language, member: Reason) -> str:
    words = tell(lang, member)
    several = member.condition is None or lang.say("semicolon") in words
    return lang.say("enclosed", words=words) if several else words
