"""E-mail messages as bytes, written without the header parser of Python's email package.

That parser decodes RFC 2047 encoded words in every value that is given to it, and before Python 3.11.10 and 3.12.5 the
line breaks in them are written out as they are (CVE-2024-6923), so that a value becomes headers and a body. Here no
character of a value is syntax: a header's text is short, plain ASCII, or is encoded as a whole, and so an encoded word
in it is shown as it was written; a body always has a transfer encoding. `verify` reads the bytes back, so that what
goes out has the headers and the parts that were meant and no others.

See also: `streams.triggers.channels.smtp`, which sends the bytes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Iterator, Sequence
from email.header import decode_header
from email.message import Message as ParsedMessage
from email.parser import BytesParser
from email.policy import compat32
from typing import NamedTuple

LINE_MAX_BYTES = 998  # RFC 5322, 2.1.1, without the line's end

_PLAIN_MAX_CHARS = 60
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_WORD_MAX_BYTES = 45  # 60 characters of base64, so that a word has 72 of the 75 that RFC 2047 allows
_FOLD = "\r\n "

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_EMBEDDINGS = re.compile("[\u202a-\u202e]")  # they turn around what comes after them; isolates end with their text
_SURROGATES = re.compile("[\ud800-\udfff]")

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,255}")
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # part of the spelling of Persian names

# Bytes that a server may take for the end of a line or of the message, and controls.
_UNSAFE_BYTES = re.compile(rb"\r(?!\n)|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class NotAsMeant(ValueError):
    """The bytes of a message do not read back as the message that was meant; the text says in which respect."""


class Field(NamedTuple):
    """A header: its value as it is written, with folds; ``text``: what a mail program shall show, of a free text."""

    name: str
    written: str
    text: str | None = None


class Part(NamedTuple):
    """A body: text of this subtype, each line ended by CR LF."""

    subtype: str
    text: str


class Mail(NamedTuple):
    """A message: its own headers in order, and one body or several alternatives."""

    fields: Sequence[Field]
    parts: Sequence[Part]
    boundary: str  # with "=_", which no transfer encoding makes


def is_address(text: str) -> bool:
    """Whether the text is one address without quotation, which stands in a header and in a command as it is."""
    return _is_literal(text) and _ADDRESS.fullmatch(text) is not None


def text_field(name: str, text: str) -> Field:
    """A header of free text, in one line and without what steers a display."""
    clean = _clean_line(text)
    return Field(name, _encoded(clean), clean)


def address_field(name: str, mailboxes: Sequence[tuple[str, str]]) -> Field:
    """A header of mailboxes, each a display name, which may be empty, and an address. Raises `ValueError`."""
    return Field(name, f",{_FOLD}".join(_mailbox(display_name, address) for display_name, address in mailboxes))


def literal_field(name: str, value: str) -> Field:
    """A header that is written as it is. Raises `ValueError` where it is not plain, or too long for a line."""
    if not _is_literal(value):
        raise ValueError("not plain")
    if len(f"{name}: {value}".encode()) > LINE_MAX_BYTES:
        raise ValueError("too long")
    return Field(name, value)


def body(subtype: str, text: str) -> Part:
    """A body with one kind of line break, whichever of Unicode's kinds it had, and without controls but tabs."""
    lines = _whole(text).splitlines()
    return Part(subtype, "".join(_CONTROLS.sub("", line) + "\r\n" for line in lines))


def write(mail: Mail) -> bytes:
    """The message as it goes out, up to the last line's end."""
    head = [*mail.fields, Field("MIME-Version", "1.0")]
    if len(mail.parts) == 1:
        return _joined(head, mail.parts[0])
    kind = Field("Content-Type", f'multipart/alternative; boundary="{mail.boundary}"')
    parts = [f"--{mail.boundary}\r\n".encode() + _joined([], part) + b"\r\n" for part in mail.parts]
    return _lines([*head, kind]) + b"\r\n" + b"".join(parts) + f"--{mail.boundary}--\r\n".encode()


def verify(raw: bytes, mail: Mail) -> None:
    """Read the bytes back and compare: names, order and number of headers, their values, parts and texts.

    Raises `NotAsMeant`, whose text holds nothing of the message.
    """
    if _UNSAFE_BYTES.search(raw):
        raise NotAsMeant("the message holds a control, or a line break other than CR LF")
    if max(map(len, raw.split(b"\r\n"))) > LINE_MAX_BYTES:
        raise NotAsMeant(f"the message has a line of more than {LINE_MAX_BYTES} bytes")
    message = BytesParser(policy=compat32).parsebytes(raw)
    own = [(field.name, field.written) for field in mail.fields]
    headers = _headers(message)
    if headers[: len(own)] != own:
        raise NotAsMeant("the message does not have the headers that were meant")
    if any(field.text not in (None, _decoded(field.written)) for field in mail.fields):
        raise NotAsMeant("a header of the message does not decode to what was meant")
    if not _has_parts(message, [name for name, _ in headers[len(own) :]], mail):
        raise NotAsMeant("the message does not have the parts that were meant")


def _has_parts(message: ParsedMessage, names: Sequence[str], mail: Mail) -> bool:
    if len(mail.parts) == 1:
        return names[:1] == ["MIME-Version"] and _is_part(message, names[1:], mail.parts[0])
    children = message.get_payload()
    return (
        names == ["MIME-Version", "Content-Type"]
        and message.get_content_type() == "multipart/alternative"
        and not (message.preamble or message.epilogue or message.defects)
        and isinstance(children, list)
        and len(children) == len(mail.parts)
        and all(
            isinstance(child, ParsedMessage) and _is_part(child, child.keys(), part)
            for child, part in zip(children, mail.parts, strict=True)
        )
    )


def _is_part(message: ParsedMessage, names: Sequence[str], part: Part) -> bool:
    return (
        names == ["Content-Type", "Content-Transfer-Encoding"]
        and message.get_content_type() == f"text/{part.subtype}"
        and message.get_content_charset() == "utf-8"
        and not message.defects
        and message.get_payload(decode=True) == part.text.encode()
    )


def _headers(message: ParsedMessage) -> list[tuple[str, str]]:
    """Names and values as they stand in the bytes; addresses may be UTF-8 (RFC 6532)."""
    return [(name, value.encode("ascii", "surrogateescape").decode()) for name, value in message.raw_items()]


def _decoded(written: str) -> str:
    return "".join(_text(piece, charset) for piece, charset in decode_header(written))


def _text(piece: str | bytes, charset: str | None) -> str:
    return piece if isinstance(piece, str) else piece.decode(charset or "ascii")


def _is_literal(text: str) -> bool:
    """Whether the text is nothing but visible characters, and no encoded word begins in it."""
    return text.translate(_JOINERS).isprintable() and "=?" not in text


def _mailbox(display_name: str, address: str) -> str:
    if not is_address(address):
        raise ValueError("expected addresses such as Shop <shop@example.com>")
    clean = _clean_line(display_name)
    if not clean:
        return address
    is_plain = _NAME.fullmatch(clean) and len(clean) <= _PLAIN_MAX_CHARS and "=?" not in clean
    name = clean if is_plain else _words(clean)
    space = _FOLD if len(clean) + len(address) > 60 else " "
    return f"{name}{space}<{address}>"


def _clean_line(text: str) -> str:
    visible = _CONTROLS.sub(" ", _EMBEDDINGS.sub("", _whole(text)))
    return " ".join(visible.split())  # at white space and line breaks of all kinds


def _whole(text: str) -> str:
    """The text without halves of a pair, which have no UTF-8."""
    return _SURROGATES.sub("\ufffd", text)


def _encoded(text: str) -> str:
    is_plain = len(text) <= _PLAIN_MAX_CHARS and "=?" not in text and _PLAIN.fullmatch(text)
    return text if is_plain or not text else _words(text)


def _words(text: str) -> str:
    """RFC 2047 encoded words, none of which cuts a character in two."""
    return _FOLD.join(f"=?utf-8?b?{b64encode(piece).decode()}?=" for piece in _pieces(text))


def _pieces(text: str) -> Iterator[bytes]:
    piece = b""
    for character in text:
        encoded = character.encode()
        if len(piece) + len(encoded) > _WORD_MAX_BYTES:
            yield piece
            piece = b""
        piece += encoded
    yield piece


def _joined(head: Sequence[Field], part: Part) -> bytes:
    """Headers and a body, in the shorter of the two transfer encodings."""
    plain = part.text.encode()
    quoted, base64 = b2a_qp(plain), _base64(plain)
    encoding, encoded = ("quoted-printable", quoted) if len(quoted) <= len(base64) else ("base64", base64)
    kind = Field("Content-Type", f'text/{part.subtype}; charset="utf-8"')
    return _lines([*head, kind, Field("Content-Transfer-Encoding", encoding)]) + b"\r\n" + encoded


def _base64(plain: bytes) -> bytes:
    encoded = b64encode(plain)
    return b"".join(encoded[start : start + 76] + b"\r\n" for start in range(0, len(encoded), 76))


def _lines(fields: Sequence[Field]) -> bytes:
    return "".join(f"{field.name}: {field.written}\r\n" for field in fields).encode()
