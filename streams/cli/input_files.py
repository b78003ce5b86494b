"""Reads the input files of commands: a path or ``-``, plain or gzip; prints the progress of long ones.

A file has one event on each line. What programs write in its place is read, too: a byte order mark, gzip without its
suffix, and a JSON array of events. What is in another encoding or packed otherwise is named. Lines and arrays have a
limit, so no file fills the memory, however well it is packed.
"""

from __future__ import annotations

import gzip
import re
import sys
import time
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, FileIO
from typing import IO, Protocol, TypeVar, cast

import msgspec

from streams.wire.envelope import RECORD_MAX_BYTES

T = TypeVar("T")

_PROGRESS_EVERY_S = 2.0
_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


_HEAD = 64  # bytes, within which a file that begins with white space is recognised
_GZIP = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
# How a file begins that is none of events, and what it is; of two that begin alike, the longer stands first.
_FOREIGN = (
    (b"\xff\xfe\x00\x00", "in UTF-32; write it in UTF-8"),
    (b"\x00\x00\xfe\xff", "in UTF-32; write it in UTF-8"),
    (b"\xff\xfe", "in UTF-16; write it in UTF-8"),
    (b"\xfe\xff", "in UTF-16; write it in UTF-8"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it, or pack it with gzip"),
    (b"\xfd7zXZ\x00", "packed with xz; unpack it, or pack it with gzip"),
    (b"BZh", "packed with bzip2; unpack it, or pack it with gzip"),
    (b"PAR1", "a Parquet file; write each event as JSON on a line of its own"),
    (b"Obj\x01", "an Avro file; write each event as JSON on a line of its own"),
)
_CR_ALONE = re.compile(rb"\}\r\s*\{")
# What is beyond this in a line is dropped: the line is too large for a record by far.
LINE_MAX_BYTES = 2 * RECORD_MAX_BYTES
# A JSON array is decoded as a whole, so its size is bounded.
ARRAY_MAX_BYTES = 256 * 1024 * 1024
_members = msgspec.json.Decoder(list[msgspec.Raw])


class _Buffered(Protocol):
    """A buffered reader, with the methods that are used of it."""

    def peek(self, size: int, /) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


@contextmanager
def opened(path: str) -> Iterator[Iterable[bytes]]:
    """Open the file, or standard input for ``-``, and give its lines; of a JSON array its members.

    Raises `OSError` for what cannot be read, also for a file in UTF-16 or packed with another program than gzip.
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
            try:
                yield from _plain_lines(unpacked, name)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise OSError(f"{name} is packed with gzip, and damaged: {error}") from error
    else:
        yield from _plain_lines(file, name)


def _plain_lines(file: _Buffered, name: str) -> Iterator[bytes]:
    head = file.peek(_HEAD)
    for mark, kind in _FOREIGN:
        if head.startswith(mark):
            raise OSError(f"{name} is {kind}")
    if b"\x00" in head[:_HEAD]:
        raise OSError(f"{name} is no text in UTF-8; write it so")
    if b"\n" not in head and _CR_ALONE.search(head):
        raise OSError(f"{name} ends its lines with CR alone; end them with LF: tr '\\r' '\\n'")
    if head.startswith(_UTF8_MARK):
        file.read(len(_UTF8_MARK))
    if file.peek(_HEAD).lstrip()[:1] == b"[":
        yield from _of_array(file, name)
    else:
        yield from _bounded_lines(file)


def _bounded_lines(file: _Buffered) -> Iterator[bytes]:
    """The lines of a file, each cut at `LINE_MAX_BYTES`."""
    while line := file.readline(LINE_MAX_BYTES):
        yield line
        while len(line) == LINE_MAX_BYTES and not line.endswith(b"\n"):
            line = file.readline(LINE_MAX_BYTES)


def _of_array(file: _Buffered, name: str) -> Iterator[bytes]:
    """The members of a JSON array; the lines, where the file only begins like one."""
    whole = file.read(ARRAY_MAX_BYTES)
    if len(whole) == ARRAY_MAX_BYTES:
        raise OSError(f"{name} is a JSON array of over 256 MiB; write each event on a line of its own: jq -c '.[]'")
    try:
        members = _members.decode(whole)
    except (msgspec.DecodeError, RecursionError) as error:
        if whole.rstrip().endswith(b"]"):
            print(f"{name} is no JSON array ({error}): each line is read by itself", file=sys.stderr)
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
    """Counts lines that cannot be used, and reports each on stderr by its number; ``most``: only the first so many."""

    def __init__(self, most: int | None = None) -> None:
        self.count = 0
        self._most = most

    def __call__(self, number: int, line: bytes, reason: str) -> None:
        self.count += 1
        if self._most is not None and self.count > self._most:
            if self.count == self._most + 1:
                print("further lines like these are counted, but not shown", file=sys.stderr)
            return
        print(f"line {number}: {reason}: {visible(line[:200].decode(errors='replace'))}", file=sys.stderr)


def visible(text: str) -> str:
    """Replace characters of a foreign text that would control a terminal or turn the line around."""
    return "".join("�" if _controls(character) else character for character in text)


def shown_data(data: Mapping[str, object]) -> str:
    """What a change carries, as JSON in a line that is safe on a terminal."""
    return visible(msgspec.json.encode(data).decode())


def _controls(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in _BIDI_CONTROLS
