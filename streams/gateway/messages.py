"""Makes records of the messages that SDKs send, or says what is wrong with one. Pure: the time is an argument.

    {"type": "track", "event": "Product Added", "anonymousId": "a1", …}   of a browser key
        → topic carts, key a1, the same JSON with receivedAt, context.userAgent, and without writeKey

The one rule: what the worker would not accept is refused here, by the same decoder, so that its sender learns of it.
All values stay as they were sent: only top-level fields are added or left out, and the context gets fields.

See also: `streams.wire.event_decoder` (what is accepted), and `streams.gateway.ingest` (the requests).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import uuid4

import msgspec

from rules.event_names import ERASE, IDENTIFY, UNNAMED, input_of
from rules.placeholders import Placeholders
from rules.times import format_instant
from streams.gateway.write_keys import WriteKey
from streams.http.signed_tokens import subject_of
from streams.wire.customer_ids import Rejected
from streams.wire.event_decoder import decode_line
from streams.wire.records import OutRecord
from streams.wire.segment_spec import NOTHING
from streams.wire.topics import VISITS

# What Segment's API takes: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/#max-request-size
MESSAGE_MAX_BYTES = 32 * 1024
BATCH_MAX_BYTES = 500 * 1024
# The property of a context that holds the token of a user who has logged in; see `KeyConfig.signed_ids`.
USER_TOKEN = "user_token"  # noqa: S105  # a name
_BY_TRUST = frozenset({IDENTIFY, "alias"})
_ABSENT = (None, b"null", b'""')
_LEFT_OUT = ("writeKey", "_metadata")
# The form of the ids that SDKs draw for visitors.
_DRAWN_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_AGENT_MAX_CHARS = 1_024
# msgspec tells bytes that are no UTF-8 apart from what is no JSON.
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

RawFields = dict[str, msgspec.Raw]
_fields = msgspec.json.Decoder(RawFields)
_raw = msgspec.Raw


class MessageSender(msgspec.Struct, frozen=True):
    """Who sent a request, and when (ms) it came.

    ``ip`` and ``country``: what is to be written of the sender's address; ``None``: nothing.
    """

    key: WriteKey
    received: int
    agent: str = ""
    ip: str | None = None
    country: str | None = None


class MessageBatch(msgspec.Struct, frozen=True):
    """The messages of a request. ``sent_at`` and ``context``: of the whole batch, for messages without their own."""

    messages: list[msgspec.Raw]
    sent_at: msgspec.Raw = NOTHING
    context: msgspec.Raw = NOTHING


class _BatchBody(msgspec.Struct):
    batch: list[msgspec.Raw]
    sentAt: msgspec.Raw = NOTHING  # noqa: N815  # as it stands in the JSON
    context: msgspec.Raw = NOTHING


_batch = msgspec.json.Decoder(_BatchBody)


class _KeyOfBody(msgspec.Struct):
    writeKey: str | None = None  # noqa: N815


_key = msgspec.json.Decoder(_KeyOfBody)


def read_batch(body: bytes) -> MessageBatch:
    """The messages of a batch. Raises `Rejected`."""
    try:
        read = _batch.decode(body)
    except msgspec.ValidationError:
        raise Rejected("bad_batch", "batch") from None
    except _NO_JSON:
        raise Rejected("not_json") from None
    if len(bytes(read.context)) > MESSAGE_MAX_BYTES:
        raise Rejected("too_large")  # it goes into each message
    return MessageBatch(read.batch, read.sentAt, read.context)


def key_of_body(body: bytes) -> str | None:
    """The write key which stands in a body, as that of analytics.js does; ``None``: there is none."""
    if b'"writeKey"' not in body:
        return None
    try:
        return _key.decode(body).writeKey
    except _NO_JSON:
        return None


def record(
    raw: bytes, kind: str | None, batch: MessageBatch | None, sender: MessageSender, placeholders: Placeholders
) -> OutRecord:
    """The record of one message. Raises `Rejected`.

    ``kind``: the type of message that the path says; ``None``: the message says it.
    """
    if len(raw) > MESSAGE_MAX_BYTES:
        raise Rejected("too_large")
    fields = _completed(_read(raw), kind, batch, format_instant(sender.received))
    context = _context(fields, sender)
    _check_user(fields, context, sender.key)
    if context or "context" in fields:
        fields["context"] = _encoded(context)
    value = msgspec.json.encode(fields)
    if len(value) > 2 * MESSAGE_MAX_BYTES:
        raise Rejected("too_large")
    event = decode_line(value, sender.received, placeholders=placeholders)
    if event.name in (ERASE, UNNAMED) and sender.key.is_browser:
        raise Rejected("bad_type", "type")  # whoever knows the key of a shop's pages must not erase its customers
    topic = VISITS if sender.key.is_browser and event.name in _BY_TRUST else input_of(event.name)
    return OutRecord(topic, event.customer.encode(), value, [])


def _read(raw: bytes) -> RawFields:
    try:
        return _fields.decode(raw)
    except msgspec.ValidationError:
        raise Rejected("not_object") from None
    except _NO_JSON:
        raise Rejected("not_json") from None


def _completed(fields: RawFields, kind: str | None, batch: MessageBatch | None, received: str) -> RawFields:
    """The fields of a message with those that the request says for it, without those that are the SDK's own."""
    for name in _LEFT_OUT:
        fields.pop(name, None)
    if kind is not None:
        fields["type"] = _encoded(kind)
    fields["receivedAt"] = _encoded(received)
    if _is_absent(fields, "messageId"):
        fields["messageId"] = _encoded(f"gateway-{uuid4()}")
    if _is_absent(fields, "timestamp") and _is_absent(fields, "originalTimestamp"):
        fields["timestamp"] = _encoded(received)
        # The clock of the sender says nothing of a time that is ours.
        fields.pop("sentAt", None)
        batch = None if batch is None else msgspec.structs.replace(batch, sent_at=NOTHING)
    if batch is not None:
        for name, of_batch in (("sentAt", batch.sent_at), ("context", batch.context)):
            if of_batch is not NOTHING and _is_absent(fields, name):
                fields[name] = of_batch
    return fields


def _is_absent(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    value = fields.get(name)
    return value is None or bytes(value) in _ABSENT


def _encoded(value: object) -> msgspec.Raw:
    return _raw(msgspec.json.encode(value))


def _context(fields: RawFields, sender: MessageSender) -> RawFields:
    """The context of a message with what is known of its sender; empty: it has none."""
    raw = fields.get("context")
    context: RawFields = {}
    if raw is not None and bytes(raw)[:1] == b"{":
        context = _read(bytes(raw))
    if sender.agent and len(sender.agent) <= _AGENT_MAX_CHARS and _is_absent(context, "userAgent"):
        context["userAgent"] = _encoded(sender.agent)
    # An address that a browser states may be any; a server states that of its own client.
    if sender.key.is_browser or _is_absent(context, "ip"):
        context.pop("ip", None)
        if sender.ip is not None:
            context["ip"] = _encoded(sender.ip)
    if sender.country is not None and _is_absent(context, "location"):
        context["location"] = _encoded({"country": sender.country})
    return context


def _check_user(fields: RawFields, context: RawFields, key: WriteKey) -> None:
    """Leave out a user id that is not signed where the key asks for it. Raises `Rejected` if no other id is there.

    The other ids must be drawn ones then: an event which has the user id of another customer as its anonymous id would
    be that customer's.
    """
    token = context.pop(USER_TOKEN, None)
    if key.id_secret is None:
        return
    for name in ("anonymousId", "previousId"):
        if not _is_absent(fields, name) and not _DRAWN_ID.fullmatch(_text(fields[name]) or ""):
            raise Rejected("not_signed", name)
    if _is_absent(fields, "userId"):
        return
    user = _text(fields["userId"])
    if token is None or user is None or subject_of(_text(token) or "", key.id_secret) != user:
        del fields["userId"]
        fields.pop("previousId", None)
        if _is_absent(fields, "anonymousId"):
            raise Rejected("not_signed", "userId")


def _text(raw: msgspec.Raw) -> str | None:
    """The text of a value, the digits of an integer; ``None`` for anything else."""
    try:
        value = msgspec.json.decode(raw, type=str | int)
    except _NO_JSON:
        return None
    return None if isinstance(value, bool) else str(value)
