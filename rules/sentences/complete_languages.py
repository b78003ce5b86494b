"""The languages with the messages of all kinds of condition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from rules.conditions.kinds import CONDITION_KINDS
from rules.languages import english, persian
from rules.languages.language import Language, SentenceTemplate


def complete(language: Language, parts: Iterable[Mapping[str, SentenceTemplate]]) -> Language:
    """Add messages to a language. Raises `ValueError` for a message that it has already."""
    messages = dict(language.messages)
    for part in parts:
        taken = sorted(messages.keys() & part.keys())
        if taken:
            raise ValueError(f"the message {taken[0]} stands twice; give the newer one another name")
        messages |= part
    return replace(language, messages=messages)


ENGLISH = complete(english.COMMON, (kind.messages["en"] for kind in CONDITION_KINDS))
PERSIAN = complete(persian.COMMON, (kind.messages["fa"] for kind in CONDITION_KINDS))
