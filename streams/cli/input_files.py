"""Reads the input files of commands: a path or ``-``, plain or gzip; prints the progress of long ones."""

from __future__ import annotations

import gzip
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar, cast

T = TypeVar("T")

_PROGRESS_EVERY_S = 2.0
_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open the file, or standard input for ``-``; ``.gz`` is read through gzip."""
    if path == "-":
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        if path.endswith(".gz"):
            with gzip.open(file) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield file


def with_progress(items: Iterable[T], verb: str, noun: str = "lines") -> Iterator[T]:
    """Yield the items; if they take longer than a few seconds, print on stderr how many went by."""
    began = shown = time.monotonic()
    count = 0
    for item in items:
        count += 1
        if count % 1_000 == 0:  # a look at the clock costs more than most items
            now = time.monotonic()
            if now - shown >= _PROGRESS_EVERY_S:
                shown = now
                print(f"{count:,} {noun} {verb}, {count / (now - began):,.0f}/s", file=sys.stderr)
        yield item
    if shown > began:
        print(f"{count:,} {noun} {verb}", file=sys.stderr)


class Rejections:
    """Counts lines that cannot be used, and reports each on stderr by its number."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, line: bytes, reason: str) -> None:
        self.count += 1
        print(f"line {number}: {reason}: {visible(line[:200].decode(errors='replace'))}", file=sys.stderr)


def visible(text: str) -> str:
    """Replace characters of a foreign text that would control a terminal or turn the line around."""
    return "".join("�" if _controls(character) else character for character in text)


def _controls(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in _BIDI_CONTROLS
