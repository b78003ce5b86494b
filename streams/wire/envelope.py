"""The fields of a record: JSON, within its bounds, with the fields of the input contract.

Most records have every field of its usual type and are decoded in one go. Any other is decoded field by field: ids that
are numbers become their digits, and a field of another type counts as absent, or is told as wrong.

See also: `streams.wire.segment_spec` (the fields), and `streams.wire.event_decoder`, which makes an event of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.wire.customer_ids import Rejected
from streams.wire.dead_letters import Head
from streams.wire.segment_spec import NOTHING, Envelope
from streams.wire.values import identity

RECORD_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 100  # nested objects and lists: later readers of a value rely on it

_envelope = msgspec.json.Decoder(Envelope)
_raw_envelope = msgspec.json.Decoder(
    msgspec.defstruct("RawEnvelope", [(name, msgspec.Raw, NOTHING) for name in Envelope.__struct_fields__])
)
_IDS = ("messageId", "userId", "anonymousId", "previousId")
_TEXTS = ("type", "event", "timestamp", "originalTimestamp", "sentAt", "receivedAt")
_DOCUMENTS = ("properties", "traits", "context")
# The value of a field of a type that the field cannot have.
WRONG: Any = object()


class LooseEnvelope(Envelope, gc=False):
    """An envelope that was decoded field by field. ``spellings``: how its ids are written that are numbers."""

    spellings: tuple[bytes, ...] = ()


def read_envelope(value: bytes | None) -> Envelope:
    """The fields that are used. After an error of one type they come from `_loose`. Raises `Rejected`."""
    if value is None:
        raise Rejected("not_json")
    if len(value) > RECORD_MAX_BYTES or isinstance(value, Head):
        raise Rejected("too_large")
    try:
        # msgspec does not decode the strings that it skips, so UTF-8 is checked here (0.05 µs when ASCII).
        if not value.isascii():
            value.decode()
        if value.count(b"{") + value.count(b"[") > DEPTH_MAX and _is_too_deep(value):
            raise Rejected("not_json")
        return _envelope.decode(value)
    except msgspec.ValidationError:
        return _loose(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Rejected("not_json") from None


def _is_too_deep(value: bytes) -> bool:
    # NumPy takes 12 MB of memory, and most workers never read a value with so many brackets.
    from streams.wire.json_depth import is_deeper  # noqa: PLC0415

    return is_deeper(value, DEPTH_MAX)


def _loose(value: bytes) -> Envelope:
    """Decode each field by itself; one of a type that it cannot have gets the value `WRONG`. Raises `Rejected`."""
    try:
        msgspec.json.decode(value, type=msgspec.Raw)  # is it JSON? Fields that are not used are not checked further
        document = _raw_envelope.decode(value)  # not into a dict: a hostile object has 100,000 names
    except msgspec.ValidationError:
        raise Rejected("not_object") from None
    except (msgspec.DecodeError, RecursionError):
        raise Rejected("not_json") from None
    fields = LooseEnvelope()
    for name in _TEXTS:
        setattr(fields, name, _text_or_wrong(getattr(document, name)))
    for name in _IDS:
        raw = getattr(document, name)
        text = _text_or_wrong(raw)
        if text is WRONG and (digits := identity(raw)):
            text = digits
            fields.spellings += (bytes(raw),)
        setattr(fields, name, text)
    for name in _DOCUMENTS:
        setattr(fields, name, getattr(document, name))
    return fields


def _text_or_wrong(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw, type=str | None)
    except (msgspec.DecodeError, RecursionError):
        return WRONG
