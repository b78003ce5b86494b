"""`check --explain` shows the bytes that a customer takes at most for a segment.

The figure is compared with the bytes of a customer that has sent more events than are kept.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from rules.definitions import describe
from tests.strategies.worlds import decoded
from tests.support.profiles import ORDER, When, form_of, performed, profile_of, stored, total, wanting

MANY = 1_200
SIGNED_UP, SCORED = "Signed Up", "NPS Submitted"

FULL: dict[str, tuple[When, list[str]]] = {
    "orders": (performed(ORDER, 2, "365d"), [ORDER]),
    "the cart": ({"cart": {"idle_for": "30m"}}, ["Product Added", ORDER]),
    "the cart and its prices": ({"cart": {"value": {"above": 5}}}, ["Product Added", ORDER]),
    "sessions": ({"sessions": {"count": 2, "within": "30d", "gap": "1s"}}, ["page"]),
    "occurrences": (performed(SIGNED_UP, 100, "30d"), [SIGNED_UP]),
    "the first": ({"first": {"event": SIGNED_UP}}, [SIGNED_UP]),
    "a sum": (total("sum", "score", SCORED, "30d"), [SCORED]),
    "the greatest": (total("max", "falling", SCORED, "30d"), [SCORED]),
    "different values": (total("distinct", "score", SCORED, "30d"), [SCORED]),
    "steps": ({"sequence": {"steps": [{"event": SIGNED_UP}, {"event": SCORED}], "within": "30d"}}, [SIGNED_UP, SCORED]),
    "a trait": ({"trait": {"plan": "pro"}}, ["identify"]),
    "an attribute": ({"context": {"source": "newsletter"}}, ["page"]),
}


def sent(number: int, name: str) -> dict[str, Any]:
    """The event ``number``, each a minute after the one before, as analytics libraries send them."""
    kind = name if name in ("page", "identify") else "track"
    properties = {
        "order_id": f"o-{number:08}", "product_id": f"p-{number:08}", "total": 129.5, "price": 129.5, "currency": "EUR",
        "score": number, "falling": MANY - number, "products": [{"product_id": f"p-{number:08}", "price": 129.5}],
    }  # fmt: skip
    return form_of(
        type=kind,
        event=name if kind == "track" else None,
        messageId=str(uuid.UUID(int=number << 64)),
        userId="u1",
        timestamp=f"2026-03-01T{number // 60:02}:{number % 60:02}:00Z",
        properties=properties if kind == "track" else None,
        traits={"plan": "professional"} if kind == "identify" else None,
        context={"campaign": {"source": "newsletter"}},
    )


@pytest.mark.parametrize("what", FULL)
def test_the_bytes_are_those_of_a_full_customer(what: str) -> None:
    """The estimate is within a fifth of the stored bytes for each kind of fact, with ids as long as a UUID."""
    when, names = FULL[what]
    definitions = wanting(when)
    events = decoded([sent(index, names[index % len(names)]) for index in range(MANY)])
    taken = len(stored(profile_of(definitions, events))) - len(stored(definitions.facts.empty()))
    assert describe.bytes_most(definitions.segments[0], definitions) == pytest.approx(taken, rel=0.2)


def test_a_segment_over_others_keeps_what_they_keep() -> None:
    """A segment over others counts their bytes, directly or over another, and shared bytes once."""
    definitions = wanting(
        FULL["orders"][0],
        FULL["a sum"][0],
        {"all": [{"in_segment": "s0"}, FULL["orders"][0]]},
        {"any": [{"in_segment": "s1"}, {"in_segment": "s2"}]},
    )
    sizes = {segment.key: describe.bytes_most(segment, definitions) for segment in definitions.segments}
    assert sizes["s2"] == sizes["s0"] > 0
    assert sizes["s3"] == sizes["s0"] + sizes["s1"]
    events = {segment.key: describe.events(segment, definitions) for segment in definitions.segments}
    assert events["s2"] == events["s0"] == ["Order Cancelled", ORDER, "Order Refunded", "Order Updated"]
    assert events["s3"] == sorted(events["s0"] + events["s1"])
