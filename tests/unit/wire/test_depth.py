"""The depth of a JSON text: as counted character by character, and fast whatever the text is.

A bound on time is a ratio to an ordinary record of the same size, read beside it in the same run.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable

import pytest

from rules.events import Event, Origin
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import DEPTH_MAX, read
from streams.wire.json_depth import is_deeper

MB = 1_000_000
ORIGIN = Origin("visits", 0, 0)
SLOWER_MAX = 3  # than json.loads of a megabyte of products
DEEP = b"[" * (DEPTH_MAX + 1)
PRODUCT = {"product_id": "p-1001", "sku": "s-1001", "name": "Green tea", "price": 4.5, "quantity": 2}
ORDINARY = json.dumps({"products": [PRODUCT] * (MB // 100)})


def depth(value: bytes) -> int:
    """The depth of a text, character by character. Outside of texts a backslash is no JSON, so what it does is free."""
    deepest = open_ = 0
    in_text = escaped = False
    for byte in value:
        if escaped and byte in b'\\"':
            escaped = False
            continue
        escaped = False
        if byte == ord("\\"):
            escaped = True
        elif byte == ord('"'):
            in_text = not in_text
        elif not in_text:
            open_ += (byte in b"[{") - (byte in b"]}")
            deepest = max(deepest, open_)
    return deepest


@pytest.mark.parametrize("seed", range(8))
def test_depth_is_that_of_a_reader_of_characters(seed: int) -> None:
    """The depth of random texts, also broken ones, is that of a reader of characters, at every near limit."""
    rng = random.Random(seed)
    for _ in range(300):
        weights = [rng.random() ** 3 for _ in range(7)]
        value = bytes(rng.choices(b'[]{}"\\a', weights, k=rng.choice((1, 5, 40, 400))))
        deepest = depth(value)
        for limit in {0, 1, max(0, deepest - 1), deepest, deepest + 1}:
            assert is_deeper(value, limit) is (deepest > limit), (value, limit)


@pytest.mark.parametrize("gap", [65_530, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("filler", [b"[]", b'""', b'"[[["', b'"\\"[["'])
def test_depth_goes_on_over_slices(gap: int, filler: bytes) -> None:
    """An open bracket and an open text of one slice are open in the next."""
    value = b"[" + filler * (gap // 2) + b'"' + b"[" * gap + b'"' + b"[]"
    assert not is_deeper(value, 2)
    assert is_deeper(value, 1)


HOSTILE = {
    "brackets": b"[" * MB,
    "pairs": b"[" + b"[]," * (MB // 3) + b"[]]",
    "objects in one another": b'{"a":' * (MB // 5),
    "objects side by side": b"[" + b"{}," * (MB // 3) + b"{}]",
    "combs of the depth that is allowed": b"[" + b",".join([b"[" * 98 + b"]" * 98] * (MB // 197)) + b"]",
    "quotes": DEEP + b'"' * MB,
    "backslashes": DEEP + b'"' + b"\\" * MB,
    "escaped quotes without an end": DEEP + b'"' + b'\\"' * (MB // 2),
    "escapes without an end": DEEP + b'"' + b"\\n" * (MB // 2),
    "a text without an end": DEEP + b'"' + b"a" * MB,
    "texts and escapes": DEEP + b'""\\\\' * (MB // 4),
    "short texts": b'{"a":[' + b'"","[",' * (MB // 7) + b'""]}',
    "letters of two bytes": DEEP + "é".encode() * (MB // 2),
    "names": b'{"userId":1,' + b",".join(b'"k%d":1' % number for number in range(MB // 12)) + b"}",
    "one name again and again": b"{" + b",".join([b'"userId":1'] * (MB // 11)) + b"}",
    "digits": b"1" * MB,
}


def ratio(action: Callable[[], object], other: Callable[[], object], bound: float) -> float:
    """The CPU time of an action as a multiple of another's, each the least of turns side by side.

    Other load on the machine only adds to a turn: so up to thirty are taken, until the ratio is below the bound.
    """
    own = beside = math.inf
    for _ in range(30):
        own = min(own, taken_s(action))
        beside = min(beside, taken_s(other))
        if own < bound * beside:
            break
    return own / beside


def taken_s(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def parsed() -> object:
    """The yardstick: an ordinary megabyte, parsed."""
    return json.loads(ORDINARY)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_takes_no_longer_than_an_ordinary_one(name: str) -> None:
    """A deep megabyte is refused within the time in which the standard library parses one of products."""
    value = HOSTILE[name]
    decoded = read(value, b"u1", 1, ORIGIN)
    assert isinstance(decoded, Undecodable)
    assert decoded.reason in ("not_json", "not_object", "no_customer", "bad_id", "no_message_id")
    assert ratio(lambda: read(value, b"u1", 1, ORIGIN), parsed, SLOWER_MAX) < SLOWER_MAX


# --- records that can be used --------------------------------------------------------------------


def of_shop(name: str, **properties: bytes) -> bytes:
    """An event of the shop with these properties, as JSON."""
    return usable(b'"track","event":"%s"' % name.encode(), properties=in_object(properties))


def in_object(members: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items()) + b"}"


def usable(kind: bytes, **fields: bytes) -> bytes:
    """A record that can be used, with these fields as JSON."""
    head = b'{"type":%s,"messageId":"m1","userId":"u1","timestamp":"2026-03-01T12:00:00Z"' % kind
    return head + b"".join(b',"%s":%s' % (name.encode(), value) for name, value in fields.items()) + b"}"


NAMES = b"{" + b",".join(b'"k%d":1' % number for number in range(MB // 24)) + b"}"
USABLE = {
    "empty products": of_shop("Product Added", products=b"[" + b"{}," * (MB // 3) + b"{}]"),
    "products that are none": of_shop("Cart Viewed", products=b"[" + b"0,{}," * (MB // 5) + b"0]"),
    "products of many fields": of_shop("Order Completed", products=b"[" + NAMES + b"," + NAMES + b"]"),
    "products with prices that are none": of_shop(
        "Cart Viewed", products=b"[" + b'{"price":"x"},' * (MB // 14) + b"0]"
    ),
    "prices of many digits": of_shop("Cart Viewed", products=b"[" + (b'{"price":%s},' % (b"9" * 390)) * 2_500 + b"{}]"),
    "a total of digits": of_shop("Order Completed", total=b"1" * MB),
    "a total of digits as text": of_shop("Order Completed", total=b'"' + b"1" * MB + b'"'),
    "a total of separators": of_shop("Order Completed", total=b'"1' + b",1" * (MB // 2) + b'"'),
    "a total of spaces": of_shop("Order Completed", total=b'"1' + b" " * MB + b'"'),
    "a total of escapes": of_shop("Order Completed", total=b'"' + b"\\u0031" * (MB // 6) + b'"'),
    "an order id": of_shop("Order Completed", order_id=b'"' + b"o" * MB + b'"'),
    "an order id of digits": of_shop("Order Completed", order_id=b"1" * MB + b".0"),
    "a currency": of_shop("Order Completed", total=b"5", currency=b'"' + b" E" * (MB // 2) + b'"'),
    "a currency that is a list": of_shop("Order Completed", total=b"5", currency=b"[" + b"[]," * (MB // 3) + b"0]"),
    "traits in two places": usable(b'"identify"', traits=NAMES, context=b'{"traits":%s}' % NAMES),
    "a name": usable(b'"track","event":"%s"' % (b"Order_" * (MB // 6))),
    "a name of separators": usable(b'"track","event":"Order%sCompleted"' % (b"_" * MB)),
    "properties with one name": usable(
        b'"track","event":"Order Completed"', properties=b'{"id":0%s}' % (b',"id":1' * (MB // 7))
    ),
    "a time": usable(b'"page","sentAt":"%s"' % (b"2" * MB), receivedAt=b'"2026-03-01T12:00:00Z"'),
}


@pytest.mark.parametrize("name", USABLE)
def test_a_usable_megabyte_takes_no_longer_than_an_ordinary_one(name: str) -> None:
    """A megabyte of which an event can be made is decoded within the same time, whatever its fields hold."""
    value = USABLE[name]
    assert isinstance(read(value, b"u1", -1, ORIGIN), Event)
    assert ratio(lambda: read(value, b"u1", -1, ORIGIN), parsed, SLOWER_MAX) < SLOWER_MAX
