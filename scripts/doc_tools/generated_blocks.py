"""Generates blocks of pages, between two comments; the text around them is written by hand.

    <!-- figures: throughput -->
    (drawn)
    <!-- end of figures -->

The one rule: a block whose end or name is wrong is an error, so that no block stays without being generated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["BlockError", "has_blocks", "pages", "redrawn", "without_blocks"]

BEGIN = re.compile(r"^<!-- figures: (?P<name>[\w-]+) -->$")
END = "<!-- end of figures -->"


class BlockError(ValueError):
    """A block cannot be generated; the text says where, and what to do."""


def pages(root: Path) -> Iterator[Path]:
    """The pages that may have blocks: README and docs."""
    readme = root / "README.md"
    if readme.is_file():
        yield readme
    yield from sorted((root / "docs").rglob("*.md"))


def has_blocks(text: str) -> bool:
    """Whether a line of a text is one of the comments."""
    return any(BEGIN.match(line) or line == END for line in text.splitlines())


def redrawn(text: str, blocks: Mapping[str, str]) -> str:
    """Generate each block of a page again. Raises `BlockError`."""
    lines: list[str] = []
    for number, line, name in _marked(text):
        if name is None or line == END or BEGIN.match(line):
            lines.append(line)
        if name is not None and BEGIN.match(line):
            if name not in blocks:
                raise BlockError(f"{number}: there is no block {name!r}; there are {', '.join(sorted(blocks))}")
            lines.append(blocks[name].rstrip("\n"))
    return "".join(f"{line}\n" for line in lines)


def without_blocks(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of blocks, with their numbers. Raises `BlockError`."""
    return ((number, line) for number, line, name in _marked(text) if name is None)


def _marked(text: str) -> Iterator[tuple[int, str, str | None]]:
    """The lines with their numbers and the names of their blocks; the markers belong to the block."""
    name: str | None = None
    opened = 0
    for number, line in enumerate(text.splitlines(), 1):
        begin = BEGIN.match(line)
        if begin and name is not None:
            raise BlockError(f"{number}: a block begins in the block of line {opened}: end that one with {END}")
        if begin:
            name, opened = begin["name"], number
        if line == END and name is None:
            raise BlockError(f"{number}: a block ends that did not begin")
        yield number, line, name
        if line == END:
            name = None
    if name is not None:
        raise BlockError(f"{opened}: the block does not end: end it with {END}")
