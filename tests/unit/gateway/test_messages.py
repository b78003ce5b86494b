"""What becomes of one message: its topic, its key, its fields, and why it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules.placeholders import BUILT_IN
from rules.times import format_instant
from streams.gateway.messages import MESSAGE_MAX_BYTES, MessageSender, key_of_body, read_batch, record
from streams.gateway.write_keys import WriteKey
from streams.http.signed_tokens import signed, subject_of
from streams.wire.customer_ids import Rejected
from streams.wire.event_decoder import decode

NOW = 1_796_300_000_000
SECRET = "a-secret-of-32-characters-or-more"
VISITOR = "6f1c1f9e-0f4e-4a53-9c39-1c1d5f1f7a11"


def key(*, is_browser: bool = True, id_secret: str | None = None) -> WriteKey:
    return WriteKey("k", "t", frozenset(), 1e9, 1e9, id_secret, is_browser=is_browser)


def taken(
    message: dict[str, Any] | bytes, kind: str | None = "track", of: WriteKey | None = None, **sender: Any
) -> tuple[str, str, dict[str, Any]]:
    """The topic, the key and the value of a message's record."""
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    made = record(raw, kind, None, MessageSender(of or key(), NOW, **sender), BUILT_IN)
    assert made.key is not None
    assert made.value is not None
    return made.topic, made.key.decode(), json.loads(made.value)


def test_a_record_is_what_the_worker_reads() -> None:
    """The record's event is the one that was sent, at the time that its sender stated."""
    time = format_instant(NOW - 5_000)
    message: dict[str, Any] = {"event": "Product Added", "anonymousId": "a1", "messageId": "m1", "timestamp": time}
    message |= {"properties": {"product_id": 12345678901234567890}, "writeKey": "t", "_metadata": {}}
    topic, customer, value = taken(message, agent="Mozilla")
    assert (topic, customer) == ("carts", "a1")
    assert value["properties"] == {"product_id": 12345678901234567890}
    assert value["receivedAt"] == format_instant(NOW)
    assert value["context"] == {"userAgent": "Mozilla"}
    assert not {"writeKey", "_metadata"} & value.keys()
    event = decode(json.dumps(value).encode(), b"a1", NOW, origin=None)  # type: ignore[arg-type]
    assert (event.customer, event.name, event.time, event.id) == ("a1", "Product Added", NOW - 5_000, "m1")


@pytest.mark.parametrize(
    ("kind", "message", "of_browser", "of_server"),
    [
        ("identify", {"userId": "u1", "traits": {"a": 1}}, "visits", "profiles"),
        ("alias", {"userId": "u1", "previousId": "a1"}, "visits", "profiles"),
        ("page", {"anonymousId": "a1"}, "visits", "visits"),
        ("screen", {"anonymousId": "a1"}, "visits", "visits"),
        ("group", {"anonymousId": "a1", "groupId": "g"}, "visits", "visits"),
        ("track", {"event": "Order Completed", "userId": "u1"}, "purchases", "purchases"),
        ("track", {"event": "cart_viewed", "userId": "u1"}, "carts", "carts"),
        ("track", {"event": "Tea", "userId": "u1"}, "visits", "visits"),
        ("track", {"event": "identify", "userId": "u1"}, "visits", "profiles"),
        (None, {"type": "erase", "userId": "u1"}, None, "profiles"),
        (None, {"type": "unlink", "userId": "u1", "previousId": "u2"}, None, "profiles"),
    ],
)
def test_what_a_browser_says_is_vouched_for_by_nothing(
    kind: str | None, message: dict[str, Any], of_browser: str | None, of_server: str
) -> None:
    """Only a server's identify and alias come on `profiles`, and only a server erases or unlinks."""
    assert taken(message, kind, key(is_browser=False))[0] == of_server
    if of_browser is not None:
        assert taken(message, kind)[0] == of_browser
        return
    with pytest.raises(Rejected) as caught:
        taken(message, kind)
    assert (caught.value.reason, caught.value.field) == ("bad_type", "type")


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        (b"{", "not_json", ""), (b"[]", "not_object", ""), (b"[" * 9_000, "not_object", ""),
        ({"event": "x"}, "no_customer", "userId"), ({"userId": "u1"}, "bad_value", "event"),
        ({"event": "x", "userId": "undefined"}, "no_customer", "userId"),
        ({"event": "x", "userId": "u1", "timestamp": "soon"}, "absurd_timestamp", "timestamp"),
        ({"event": "x", "userId": "u1", "p": "x" * MESSAGE_MAX_BYTES}, "too_large", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(message: dict[str, Any] | bytes, reason: str, field: str) -> None:
    """The reasons are those of dead letters."""
    with pytest.raises(Rejected) as caught:
        taken(message)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_a_message_without_an_id_or_a_time_gets_them() -> None:
    """The time of arrival counts, whatever the sender's clock says of the time of sending."""
    message = {"event": "x", "userId": "u1", "sentAt": "2020-01-01T00:00:00Z"}
    value = taken(message)[2]
    assert value["timestamp"] == format_instant(NOW)
    assert value["messageId"].startswith("gateway-")
    assert value["messageId"] != taken(message)[2]["messageId"]
    assert decode(json.dumps(value).encode(), b"u1", NOW, origin=None).time == NOW  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["timestamp", "originalTimestamp"])
def test_a_wrong_clock_is_corrected(field: str) -> None:
    """A device that is an hour fast says so by `sentAt`, which may stand at the batch."""
    hour = 3_600_000
    message = {"type": "track", "event": "x", "userId": "u1", field: format_instant(NOW + hour - 9_000)}
    body = json.dumps({"batch": [message], "sentAt": format_instant(NOW + hour - 1_000)}).encode()
    batch = read_batch(body)
    made = record(bytes(batch.messages[0]), None, batch, MessageSender(key(), NOW), BUILT_IN)
    event = decode(made.value, b"u1", NOW, origin=None)  # type: ignore[arg-type]
    assert event.time == NOW - 8_000


def test_an_address_is_written_only_where_it_is_kept() -> None:
    """A browser's own statement of its address is never believed; a server states that of its client."""
    message = {"event": "x", "userId": "u1", "context": {"ip": "9.9.9.9", "locale": "de"}}
    assert taken(message)[2]["context"] == {"locale": "de"}
    assert taken({**message, "context": {"ip": "9.9.9.9"}})[2]["context"] == {}
    assert taken(message, ip="1.2.3.4")[2]["context"] == {"locale": "de", "ip": "1.2.3.4"}
    assert taken(message, of=key(is_browser=False))[2]["context"] == {"locale": "de", "ip": "9.9.9.9"}
    of_country = taken(message, country="IR")[2]["context"]
    assert of_country["location"] == {"country": "IR"}
    stated = {**message, "context": {"location": {"country": "DE"}}}
    assert taken(stated, country="IR")[2]["context"]["location"] == {"country": "DE"}


def test_a_user_id_must_be_signed_where_the_key_asks_for_it() -> None:
    """Without a token of that very user the event counts for the visitor alone, or not at all."""
    of = key(id_secret=SECRET)
    message = {"event": "x", "userId": "u1", "anonymousId": VISITOR}
    token = signed("u1", SECRET)
    assert taken({**message, "context": {"user_token": token}}, of=of)[1] == "u1"
    assert "user_token" not in json.dumps(taken({**message, "context": {"user_token": token}}, of=of)[2])
    for wrong in (
        "",
        "x",
        signed("u2", SECRET),
        signed("u1", SECRET + "x"),
        signed("u1", SECRET, expires_s=1),
        7,
        None,
    ):
        topic, customer, value = taken({**message, "context": {"user_token": wrong}}, of=of)
        assert (topic, customer) == ("visits", VISITOR)
        assert "userId" not in value
    assert taken(message)[1] == "u1"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"userId": "u1"}, "userId"),
        ({"anonymousId": "u1"}, "anonymousId"),
        ({"anonymousId": 17}, "anonymousId"),
        ({"anonymousId": VISITOR, "previousId": "u1"}, "previousId"),
        ({"anonymousId": [VISITOR]}, "anonymousId"),
    ],
)
def test_another_id_cannot_stand_for_the_signed_one(message: dict[str, Any], field: str) -> None:
    """An event whose anonymous id is the user id of another customer would be that customer's."""
    with pytest.raises(Rejected) as caught:
        taken({"event": "x", **message}, of=key(id_secret=SECRET))
    assert (caught.value.reason, caught.value.field) == ("not_signed", field)


def test_a_token_names_a_customer_only_where_it_is_valid() -> None:
    """Another algorithm, no expiry where there must be one, a number as subject: none is valid."""
    assert subject_of(signed("u1", SECRET), SECRET) == "u1"
    assert subject_of(signed("u1", SECRET), SECRET, must_expire=True) is None
    assert subject_of(signed("u1", SECRET, 4_000_000_000), SECRET, must_expire=True) == "u1"
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ1MSIsImV4cCI6NDAwMDAwMDAwMH0."
    assert subject_of(unsigned, SECRET) is None
    assert subject_of("x" * 10_000, SECRET) is None


def test_bytes_that_are_no_text_are_told() -> None:
    """In a name, in a value that is read, in the context: of one message, and of a batch."""
    wrong = (b'{"a\xff":1}', b'{"userId":"\xff","event":"x"}', b'{"userId":"u1","event":"x","context":{"\xff":1}}')
    for raw in wrong:
        for of in (key(), key(id_secret=SECRET)):
            with pytest.raises(Rejected) as caught:
                taken(raw, of=of)
            assert caught.value.reason in ("not_json", "not_signed", "no_customer")
    assert key_of_body(b'{"writeKey":"\xff"}') is None


def test_the_context_of_a_batch_is_bounded() -> None:
    """What goes into each message must not make 2,500 large ones of a small request."""
    context = b'{"x":"' + b"c" * MESSAGE_MAX_BYTES + b'"}'
    with pytest.raises(Rejected, match="too_large"):
        read_batch(b'{"batch":[{}],"context":' + context + b"}")
    batch = read_batch(b'{"batch":[{}],"writeKey":5,"context":{"locale":"de"}}')
    made = record(b'{"type":"page","userId":"u1"}', None, batch, MessageSender(key(), NOW), BUILT_IN)
    assert json.loads(made.value or b"")["context"] == {"locale": "de"}


def test_the_key_of_a_body_is_read_of_anything() -> None:
    """The body of analytics.js has the key, as its requests have no header."""
    assert key_of_body(b'{"writeKey":"k","x":[1,{}]}') == "k"
    for body in (b"", b"{}", b'{"writeKey":7}', b'{"writeKey":', b'["writeKey"]', b"\xff"):
        assert key_of_body(body) is None
