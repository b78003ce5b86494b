"""Makes untrusted texts of customers and definitions safe to stand in a sentence.

The one rule: a value can neither reorder the text around it, nor end the line or the quotation in which it stands, nor
control a terminal. A character that would is written as its code point, ``<U+202E>``; the rest stands in an isolate
(Unicode Standard Annex 9, 2.3), so that its direction has no effect outside.
"""

from __future__ import annotations

import unicodedata

FSI, RLI, PDI = "\u2068", "\u2067", "\u2069"
ELLIPSIS = "…"
_ISOLATES = (FSI, RLI)

# Controls, line ends and halves of a pair; format characters, of which the bidi controls are some.
_STEERING = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_JOINERS = frozenset("\u200c\u200d")  # format characters that belong to the spelling of Persian and of emoji


def escaped(text: str, marks: str = "") -> str:
    """Escape control characters in a text; ``marks``: also these, the quotation marks around it."""
    if text.isascii() and text.isprintable():  # no quotation mark of a language is ASCII
        return text
    return "".join(
        f"<U+{ord(character):04X}>" if character in marks or _steers(character) else character for character in text
    )


def isolated(text: str) -> str:
    """Put an escaped text into an isolate, so that its direction has no effect outside."""
    return f"{FSI}{text}{PDI}"


def shortened(text: str, most_chars: int) -> str:
    """The text, or its beginning and an ellipsis, with the isolates ended that begin in it."""
    if len(text) <= most_chars:
        return text
    head = text[: most_chars - len(ELLIPSIS)]
    return head + PDI * (sum(map(head.count, _ISOLATES)) - head.count(PDI)) + ELLIPSIS


def _steers(character: str) -> bool:
    return unicodedata.category(character) in _STEERING and character not in _JOINERS
