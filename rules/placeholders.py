"""Placeholders: texts that programs send in place of an id, as `undefined` when a script reads an id too early.

They are no ids: a link by one of them would make one person of all people whose pages sent it. The built-in list is
closed; a segments file may add to it (`placeholders`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

TEXTS = (
    "undefined", "null", "nil", "none", "nan", "n/a", "na", "anonymous", "anon", "guest", "unknown", "user", "userid",
    "user_id", "default", "test", "0", "-1", "true", "false", "[object Object]", "{}", "[]",
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
# The limit of placeholders that a segments file adds.
ADDED_MAX = 256
ADDED_MAX_CHARS = 64


class Placeholders(msgspec.Struct, frozen=True):
    """A set of placeholders: ``folded`` without case and white space; the rest rejects most ids at a glance."""

    folded: frozenset[str]
    first: frozenset[str]
    most_chars: int

    def include(self, text: str) -> bool:
        """Whether a text is a placeholder, without regard to case and white space, or is white space alone."""
        if text[0] not in self.first:
            return False
        if len(text) > self.most_chars:
            text = text.strip()
        return len(text) <= self.most_chars and fold(text) in self.folded


# The most white space in a placeholder; a text with more counts as an id. Around it there may be any.
_SPACES_MAX = 8
# All that `str.strip` takes off.
_SPACES = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def fold(text: str) -> str:
    """Fold a text: without case and white space."""
    return "".join(text.split()).casefold()


def placeholders(added: Iterable[str] = ()) -> Placeholders:
    """The built-in placeholders, and those that a file adds."""
    folded = frozenset(map(fold, (*TEXTS, *added)))
    starts = {form[0] for text in (*TEXTS, *added, *folded) for form in (text, text.lower(), text.upper())}
    first = frozenset({*starts, *_SPACES})
    return Placeholders(folded | {""}, first, max(map(len, (*TEXTS, *added, *folded))) + _SPACES_MAX)


BUILT_IN = placeholders()
