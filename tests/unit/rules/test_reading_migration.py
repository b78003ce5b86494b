"""Customers that the version before stored, which read values, names, carts and orders in its own way, are taken over.

`stored/first_reading.json` was written by that version: a document of definitions, and customers of drawn histories.
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.changes import Change
from rules.customer import Customer
from rules.definition_migration import history_gaps
from rules.definitions.segments_file import Definitions, build
from rules.engine import Engine
from rules.forms.form import FIRST_READING
from rules.times import DAY_MS, MINUTE_MS, format_instant
from streams.state.definition_documents import compress, engine_of
from streams.state.definition_list import DefinitionVersion
from streams.state.definition_versions import DefinitionVersions
from streams.wire import customer_codec
from streams.wire.event_decoder import decode_line

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored" / "first_reading.json").read_text())
DOCUMENT = compress(STORED["document"])
CARTS = {"abandoned_cart", "valuable_cart", "at_checkout"}
CUSTOMERS = [(case["id"], b64decode(case["stored"]), case["segments"]) for case in STORED["customers"]]


def definitions() -> Definitions:
    """The stored file, as it is read today."""
    return build(STORED["document"], "today.yaml")


def taken_over(customer_id: str, encoded: bytes) -> tuple[Customer, Engine, list[Change]]:
    """A stored customer under today's reading, and the changes of the migration."""
    engine = Engine(definitions())
    encoded_list = msgspec.json.encode([DefinitionVersion(0, STORED["fingerprint"], 0)])
    versions = DefinitionVersions.decoded(encoded_list, {0: DOCUMENT}, engine).with_next(engine, 1)
    customer = customer_codec.decode(encoded)
    changes = versions.migrate(customer_id, customer)
    return customer, engine, changes


def test_the_former_reading_is_known_by_its_fingerprint() -> None:
    """A stored document is built as its version built it; today's reading is another file, with the same segments."""
    was = engine_of(DOCUMENT, STORED["fingerprint"]).definitions
    today = definitions()
    assert was.document["reading"] == FIRST_READING
    assert today.fingerprint != was.fingerprint == STORED["fingerprint"]
    assert {case.key: case.fingerprint for case in today.segments} == STORED["segments"]
    assert history_gaps(was, today) == []


def test_no_membership_turns() -> None:
    """Of values that both readings read alike, a customer is in the same segments after it was taken over."""
    assert len({tuple(segments) for _, _, segments in CUSTOMERS}) > len(CUSTOMERS) // 2
    for customer_id, encoded, segments in CUSTOMERS:
        customer, engine, changes = taken_over(customer_id, encoded)
        assert (customer_id, list(engine.membership(customer)), changes) == (customer_id, segments, [])


@pytest.mark.parametrize("order", ["Order Completed", "order_completed"])
def test_a_former_cart_ends_with_the_next_order(order: str) -> None:
    """Lines and prices of a former cart count, until an order ends it."""
    with_cart = [(case, encoded) for case, encoded, segments in CUSTOMERS if "valuable_cart" in segments]
    assert with_cart
    for customer_id, encoded in with_cart:
        customer, engine, _ = taken_over(customer_id, encoded)
        event = _order(customer_id, order, customer.instant + MINUTE_MS)
        changes = engine.apply(customer_id, customer, decode_line(event))
        assert ("exited", "valuable_cart") in {(change.kind, change.segment) for change in changes}, customer_id


def test_a_cart_that_was_bought_stays_ended() -> None:
    """A purchase of before ended its cart for good, although it is no message that today's reading knows."""
    bought = [(case, encoded) for case, encoded, segments in CUSTOMERS if "buyer" in segments]
    for customer_id, encoded in bought:
        customer, engine, _ = taken_over(customer_id, encoded)
        before = CARTS & set(engine.membership(customer))
        late = customer.profile.cart.bought if customer.profile.cart is not None else 0
        if not late:
            continue
        added = _event(customer_id, "Product Added", late - DAY_MS, {"product_id": "a", "price": 500})
        engine.apply(customer_id, customer, decode_line(added))
        assert CARTS & set(engine.membership(customer)) == before, customer_id


def _order(customer: str, name: str, at: int) -> bytes:
    return _event(customer, name, at, {"order_id": "next", "total": "1.049,90 €"})


def _event(customer: str, name: str, at: int, properties: dict[str, object]) -> bytes:
    return msgspec.json.encode({
        "type": "track", "event": name, "messageId": f"{name} {at}", "userId": customer,
        "timestamp": format_instant(at), "properties": properties,
    })  # fmt: skip
