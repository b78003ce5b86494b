"""Records that no shop would send on purpose, each with the reason for which it is a dead letter; and good ones.

The reason against a record is known from its making, not from the code that reads it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple
from zlib import crc32

from aiokafka.partitioner import murmur2

from rules.times import format_instant

PARTITIONS = 4
REASONS = (
    "too_large", "not_json", "not_object", "no_customer", "bad_id", "no_message_id",
    "absurd_timestamp", "bad_type", "bad_value", "wrong_key", "wrong_partition", "too_large_to_forward",
)  # fmt: skip
TOPICS = ("profiles", "visits", "carts", "purchases")
EVENTS_EACH = 10  # good events of each good customer
MIB = 1024 * 1024


class Sent(NamedTuple):
    """A record, where it goes, and why it is a dead letter; ``None``: it counts.

    ``may_count``: it is a dead letter or counts, by what the worker has read of other ids before.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    reason: str | None
    may_count: bool = False

    @property
    def sum(self) -> int:
        """A check sum that tells the record's bytes from those of others."""
        return crc32(self.value or b"", crc32(self.key or b""))


# A bad record: the reason, the customer whose key it has (None: no key), the value.
Bad = tuple[str, str | None, bytes | None]


def mixed(rng: random.Random, count: int, bad_share: float, began_ms: int) -> Iterator[Sent]:
    """Draw so many records in the order of their times, this share of them bad; good ones as `customers` says."""
    good = round(count * (1 - bad_share)) // EVENTS_EACH * EVENTS_EACH
    kinds = [True] * good + [False] * (count - good)
    rng.shuffle(kinds)
    number = 0
    for index, is_good in enumerate(kinds):
        time = format_instant(began_ms + index)
        if is_good:
            customer = name(number // EVENTS_EACH)
            value = _event(customer, time, f"m{number}", rng)
            # On each topic, as are the bad: an input of dead letters alone has no event times, so it is read first.
            yield Sent(rng.choice(TOPICS), partition_of(customer), customer.encode(), value, None)
            number += 1
        else:
            yield bad_record(rng, index, time)


def customers(count: int, bad_share: float) -> list[str]:
    """The good customers among so many records, each with `EVENTS_EACH` events."""
    return [name(number) for number in range(round(count * (1 - bad_share)) // EVENTS_EACH)]


def name(number: int) -> str:
    """A customer's name; all sorts that are accepted occur, and direction marks and braces are kept as they are."""
    plain = f"u{number}"
    return (
        plain, plain, plain, f"مشتری {plain}", f"\u202e{plain}\u200f", f"{{p{number % 9}}}{plain}",
        f"{plain}\u200c😀", plain.ljust(256, "x"),
    )[number % 8]  # fmt: skip


def partition_of(customer: str) -> int:
    """The partition in which Kafka's default partitioner puts the customer."""
    return int((murmur2(customer.encode()) & 0x7FFFFFFF) % PARTITIONS)


# What may stand in a good event; the rules of test_hostile_records look into it, and nothing there is what they ask
# for.
_PROPERTIES = (
    "{}", '{"n":0,"n":-1}', '{"n":1e999999}', '{"n":' + "9" * 500 + "}", '{"n":true}', '{"n":"NaN"}', '{"n":{"n":[]}}',
    '{"deep":' + "[" * 90 + "]" * 90 + "}", '{"deep":' + '{"deep":' * 90 + "5" + "}" * 90 + "}",
    '{"text":"\\u202e\\u0000\\n"}', '{"text":"' + "x" * 1_000 + '"}', '{"text":[1e400,{},[[]],null]}', "null",
)  # fmt: skip
_CONTEXTS = (
    "{}", "[]", "5", "null", '"{"', '{"device":5}', '{"device":{"type":1e400}}', '{"device":{"type":"\\u202e\\u0000"}}',
    '{"page":{"referrer":"https://[","url":"//@:"}}', '{"locale":' + "9" * 500 + "}",
    '{"campaign":{"source":' + "[" * 90 + "]" * 90 + "}}",
)  # fmt: skip


def _event(customer: str, time: str, message_id: str, rng: random.Random) -> bytes:
    if rng.random() < 0.8:
        return _json(customer, time, message_id)
    return _json(customer, time, message_id, properties=rng.choice(_PROPERTIES), context=rng.choice(_CONTEXTS))


def _json(customer: str, time: str, message_id: str = "m", *, event: str = '"Signed Up"', **fields: str) -> bytes:
    """JSON texts by field; they may take the place of a field that is right."""
    texts = {
        "type": '"track"', "event": event, "messageId": json.dumps(message_id), "userId": json.dumps(customer),
        "timestamp": f'"{time}"', "properties": "{}", **fields,
    }  # fmt: skip
    return ("{" + ",".join(f'"{field}":{text}' for field, text in texts.items() if text) + "}").encode()


# --- the bad -----------------------------------------------------------------------------------


def bad_record(rng: random.Random, number: int, time: str) -> Sent:
    # Mostly under the names of good customers: what is wrong must not touch what they did.
    customer = name(rng.randrange(1_000))
    if rng.random() < 0.02:
        return _elsewhere(rng, number, time)
    reason, owner, value = rng.choice(_KINDS)(rng, customer, time)
    key = None if owner is None else owner.encode("utf-8", "surrogatepass")
    partition = rng.randrange(PARTITIONS) if owner is None else partition_of(customer)
    return Sent(rng.choice(TOPICS), partition, key, value, reason)


def _elsewhere(rng: random.Random, number: int, time: str) -> Sent:
    customer = f"lost-{number}"
    partition = (partition_of(customer) + rng.randrange(1, PARTITIONS)) % PARTITIONS
    return Sent("visits", partition, customer.encode(), _json(customer, time), "wrong_partition")


def _random_bytes(rng: random.Random, customer: str, _: str) -> Bad:
    return "not_json", customer, b"\xff" + rng.randbytes(rng.randrange(300))


def _random_text(rng: random.Random, customer: str, _: str) -> Bad:
    text = "".join(rng.choices('{}[]",:\\\u202e\u0000\ud7ff0123abc ', k=rng.randrange(1, 200)))
    return "not_json", customer, b"{" + text.encode() + b"'"  # no JSON text ends so


def _cut(rng: random.Random, customer: str, time: str) -> Bad:
    whole = _json(customer, time)
    return "not_json", customer, whole[: rng.randrange(len(whole))]


def _nothing(rng: random.Random, customer: str, _: str) -> Bad:
    return "not_json", customer, rng.choice((None, b"", b" ", b"\x00"))


def _deep(rng: random.Random, customer: str, time: str) -> Bad:
    depth = rng.choice((101, 150, 300, 2_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    inner = "1" if opening != "[" else ""
    field = rng.choice(("properties", "context", "traits", "unknown"))
    return "not_json", customer, _json(customer, time, **{field: opening * depth + inner + closing * depth})


def _not_finite(rng: random.Random, customer: str, time: str) -> Bad:
    text = rng.choice(("NaN", "-Infinity", "01", "0x10", "1.", "'1'", '"\\ud800"', '"\\x41"', "[1,]", '"\x00"'))
    return "not_json", customer, _json(customer, time, unknown=text)


def _no_object(rng: random.Random, customer: str, time: str) -> Bad:
    return (
        "not_object",
        customer,
        rng.choice((b"[]", b"null", b"5", b'"{}"', b"true", b"[" + _json(customer, time) + b"]")),
    )


def _nobody(rng: random.Random, customer: str, time: str) -> Bad:
    return "no_customer", customer, _json(customer, time, userId=rng.choice(("", '""', "null")))


def _bad_id(rng: random.Random, customer: str, time: str) -> Bad:
    control = json.dumps(customer[:9] + rng.choice("\x00\x07\x1b\x7f\x85\x9f") + "x")
    wrong = rng.choice(
        (control, json.dumps("م" * 129), json.dumps("x" * 2_000), "1.5", "1e400", "[]", "{}", "true", "9" * 700)
    )
    return "bad_id", customer, _json(customer, time, userId=wrong)


def _message_id(rng: random.Random, customer: str, time: str) -> Bad:
    return (
        "no_message_id",
        customer,
        _json(customer, time, messageId=rng.choice(("", '""', "null", "true", "[]", "{}"))),
    )


def _absurd(rng: random.Random, customer: str, time: str) -> Bad:
    texts = (
        "1999-12-31T23:59:59Z",
        "2999-01-01T00:00:00Z",
        "0000-00-00T00:00:00Z",
        "yesterday",
        "2026-03-01T12:00:00",
    )
    return "absurd_timestamp", customer, _json(customer, time, timestamp=json.dumps(rng.choice(texts)))


def _type(rng: random.Random, customer: str, time: str) -> Bad:
    return "bad_type", customer, _json(customer, time, type=rng.choice(("", "null", '"purchase"', "5", '["track"]')))


def _value(rng: random.Random, customer: str, time: str) -> Bad:
    return "bad_value", customer, _json(customer, time, event=rng.choice(("", '""', '" "', "5", "null", "{}")))


def _key(rng: random.Random, customer: str, time: str) -> Bad:
    owner = rng.choice((None, customer + " ", "\ud800", ""))
    return "wrong_key", owner, _json(customer, time)


_KINDS: tuple[Callable[[random.Random, str, str], Bad], ...] = (
    _random_bytes, _random_text, _cut, _nothing, _deep, _not_finite, _no_object, _nobody, _bad_id, _message_id,
    _absurd, _type, _value, _key,
)  # fmt: skip


def too_large(customer: str, time: str) -> Sent:
    """A record that is a byte larger than is read; for a topic whose limit was raised."""
    value = _json(customer, time)
    value += b" " * (MIB + 1 - len(value))
    return Sent("visits", partition_of(customer), customer.encode(), value, "too_large")
