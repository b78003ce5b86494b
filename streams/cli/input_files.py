"""Reads the input files of commands: a path or ``-``, plain or gzip; prints the progress of long ones.

A file has one event on each line. What programs write in its place is read, too: a byte order mark, gzip without its
suffix, and a JSON array of events. What is in another encoding is named.
"""

from __future__ import annotations

import gzip
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from typing import IO, Protocol, TypeVar, cast

import msgspec

T = TypeVar("T")

_PROGRESS_EVERY_S = 2.0
_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


_HEAD = 64  # bytes, within which a file that begins with white space is recognised
_GZIP = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# A JSON array is decoded as a whole, so its size is bounded.
ARRAY_MAX_BYTES = 256 * 1024 * 1024
_members = msgspec.json.Decoder(list[msgspec.Raw])


class _Buffered(Protocol):
    """A buffered reader, with the methods that are used of it."""

    def peek(self, size: int, /) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...
    def __iter__(self) -> Iterator[bytes]: ...


@contextmanager
def opened(path: str) -> Iterator[Iterable[bytes]]:
    """Open the file, or standard input for ``-``, and give its lines; of a JSON array its members.

    Raises `OSError` for what cannot be read, also for a file in UTF-16.
    """
    if path == "-":
        yield _lines(cast(BufferedReader, sys.stdin.buffer), "standard input")
        return
    with FileIO(path) as file:
        yield _lines(BufferedReader(file), path)


def _lines(file: _Buffered, name: str) -> Iterator[bytes]:
    """The lines of a file, called ``name``; see `opened`."""
    if file.peek(2)[:2] == _GZIP:
        with gzip.GzipFile(fileobj=cast(IO[bytes], file)) as unpacked:
            yield from _plain_lines(unpacked, name)
    else:
        yield from _plain_lines(file, name)


def _plain_lines(file: _Buffered, name: str) -> Iterator[bytes]:
    mark = file.peek(3)[:3]
    if mark[:2] in _UTF16_MARKS:
        raise OSError(f"{name} is in UTF-16; write it in UTF-8")
    if mark == _UTF8_MARK:
        file.read(len(_UTF8_MARK))
    if file.peek(_HEAD).lstrip()[:1] == b"[":
        yield from _of_array(file, name)
    else:
        yield from file


def _of_array(file: _Buffered, name: str) -> Iterator[bytes]:
    """The members of a JSON array; the lines, where the file only begins like one."""
    whole = file.read(ARRAY_MAX_BYTES)
    if len(whole) == ARRAY_MAX_BYTES:
        raise OSError(f"{name} is a JSON array of over 256 MiB; write each event on a line of its own: jq -c '.[]'")
    try:
        members = _members.decode(whole)
    except msgspec.DecodeError:
        yield from whole.splitlines(keepends=True)
        return
    print(f"{name} is a JSON array: its events are numbered as lines", file=sys.stderr)
    for member in members:
        yield bytes(member)


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
