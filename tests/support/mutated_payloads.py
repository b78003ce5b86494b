"""Payloads of real senders, mutated at random.

Mutated is whatever stands in ``properties``, ``traits`` and ``context``, at any depth. What names the customer, the
message, its time and its type is left as it was, so each mutated message is the event that it was.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from streams.wire.event_decoder import decode_line
from tests.field_cases.cases import FOLDER

SENT = Path(__file__).parent / "sdk_messages.json"
PARTS = ("properties", "traits", "context")
ODD: tuple[Any, ...] = (
    None, "", " ", "\u00a0", [], {}, [[]], [{}], [None], {"": ""}, True, False, 0, -0.0, -1, 1, 1.5, 1e-7, 1e300,
    10**12, 10**30, -(10**30), "0", "-1", "NaN", "Infinity", "1e999999", "-1e-999999", "1,049", "1.049,90", "$49.90",
    "۱۲٫۵", "EUR", "€", "undefined", "null", "[object Object]", "\u0000", "\ud83d\ude42", "é", "a" * 5_000,
    "\u202e", [1, "1", None, {"a": [1]}], {"a": {"b": {"c": []}}}, ["tea"] * 300, "2026-13-45T99:99:99Z", "<script>",
)  # fmt: skip


@cache
def payloads() -> list[dict[str, Any]]:
    """The messages of the SDKs and of the cases of the field, and an order with all that an order may have."""
    sent = [case["message"] for case in json.loads(SENT.read_text("utf-8"))]
    sent += [json.loads(line) for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    product = {
        "product_id": "800", "sku": "S", "variant": "blue", "name": "Tea", "category": "tea", "price": 4.5,
        "quantity": 2, "brand": "b", "position": 1,
    }  # fmt: skip
    order = {
        "order_id": "o1", "checkout_id": "c", "cart_id": "k", "total": "49.90", "revenue": 40, "tax": 3,
        "shipping": 2, "discount": "", "coupon": "x", "currency": "EUR", "products": [product, product],
    }  # fmt: skip
    base: dict[str, Any] = {
        "type": "track", "userId": "u", "anonymousId": "a", "timestamp": "2026-03-01T09:00:00Z", "messageId": "m",
    }  # fmt: skip
    sent += [base | {"event": name, "properties": order} for name in ("Order Completed", "order_completed")] * 20
    return [message for message in sent if decodes(message)]


def decodes(message: dict[str, Any]) -> bool:
    try:
        decode_line(json.dumps(message).encode())
    except Exception:  # noqa: BLE001  # a case of the field may be no usable record
        return False
    return True


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container within a value, with each of its keys or indexes."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def mutate(rng: random.Random, message: dict[str, Any]) -> dict[str, Any]:
    """Change one to four places of a message."""
    changed = copy.deepcopy(message)
    for _ in range(rng.randint(1, 4)):
        inner = [place for part in PARTS for place in places(changed.get(part))]
        holder, key = rng.choice([(changed, rng.choice(PARTS)), *inner])
        what = rng.randrange(5)
        if what == 0 and isinstance(holder, dict):
            holder.pop(key, None)
        elif what == 1 and isinstance(holder, dict) and holder is not changed:
            holder[rng.choice(("orderId", "id", "total", "Total", "price", "products", key))] = copy.deepcopy(
                rng.choice(ODD)
            )
        elif what == 2:
            holder[key] = [copy.deepcopy(holder.get(key) if isinstance(holder, dict) else holder[key])]
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
    return changed
