"""Whether a token is too weak to be set: a program can guess it.

Repetitions, characters that count upwards, and common words add nothing to a token's strength.

See also: `streams.http.bearer_tokens`, whether a request has the right token.
"""

from __future__ import annotations

from itertools import pairwise

LENGTH_MIN = 20
_STEPS_MIN = 8
_COMMON_WORDS = (
    "password", "passwort", "changeme", "letmein", "example", "segmenter", "secret", "qwerty", "token", "admin", "test",
)  # fmt: skip


def is_weak(token: str) -> bool:
    """Whether a token can be guessed: it is short, or long only by repetition, by counting or by common words."""
    text = token.lower()
    for word in _COMMON_WORDS:
        text = text.replace(word, "")
    text = _without_repetition(text)
    steps = sum(abs(ord(after) - ord(before)) > 1 for before, after in pairwise(text))
    return len(token) < LENGTH_MIN or steps < _STEPS_MIN


def _without_repetition(text: str) -> str:
    """The shortest text whose repetition, maybe cut off at the end, is the given text."""
    for length in range(1, len(text)):
        if text[length:] == text[:-length]:
            return text[:length]
    return text
