"""Counts by key, of which each keeps an example, within bounds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)

# The most different names, fields and texts of which each is counted; any more are not.
DIFFERENT_MAX = 1_000
EXAMPLE_CHARS = 80


class CountWithExample(msgspec.Struct):
    """How often something occurs, the line in which it first does, and an example of it there."""

    number: int = 0
    line: int = 0
    example: str = ""

    def add(self, line: int, example: str = "") -> None:
        """Count one more, in this line."""
        if not self.number:
            self.line, self.example = line, example[:EXAMPLE_CHARS]
        self.number += 1


class CountsWithExamples(Generic[K]):
    """Counts by key, of the first `DIFFERENT_MAX` keys and of those that are always counted.

    ``uncounted``: what came of further keys.
    """

    def __init__(self, always: frozenset[K] = frozenset()) -> None:
        self._by_key: dict[K, CountWithExample] = {}
        self._always = always
        self.uncounted = 0

    def add(self, key: K, line: int, example: str = "") -> None:
        """Count one more of a key, in this line."""
        if key in self._by_key or len(self._by_key) < DIFFERENT_MAX or key in self._always:
            self._by_key.setdefault(key, CountWithExample()).add(line, example)
        else:
            self.uncounted += 1

    def __iter__(self) -> Iterator[tuple[K, CountWithExample]]:
        """The keys with their counts, the most frequent first."""
        return iter(sorted(self._by_key.items(), key=lambda entry: (-entry[1].number, entry[1].line)))

    def __len__(self) -> int:
        return len(self._by_key)
