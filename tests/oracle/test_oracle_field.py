"""What shops really send: fifteen small inputs after public reports, each with the memberships that are right."""

import json
from pathlib import Path

import pytest
import yaml

from tests.oracle.oracle import Json, changes, mapping, membership, milliseconds

FIELD = Path(__file__).parent / "field"
LIBRARY = Path(__file__).parents[2] / "rules" / "segments.yaml"
END = milliseconds("2026-03-08T10:00:00Z")


def definitions() -> Json:
    """The file of the cases, with what it takes from the library."""
    own = yaml.safe_load((FIELD / "min.yaml").read_text())
    library = yaml.safe_load(LIBRARY.read_text())["segments"]
    taken = {key: library[key] for key in own["library"]["only"]}
    return {"version": 1, "currency": own["currency"], "segments": taken | own["segments"]}


def events(case: str) -> list[Json]:
    return [mapping(json.loads(line)) for line in (FIELD / f"{case}.jsonl").read_text().splitlines()]


def members(case: str, at: int = END) -> dict[str, set[str]]:
    """The segments of each customer; links between ids are no part of this."""
    return {customer: set(segments) for customer, segments in membership(events(case), definitions(), at).items()}


CASES: list[tuple[str, str, set[str]]] = [
    ("m01", "u", {"buyer"}),
    ("m02", "u", {"buyer", "spent_50"}),
    ("m03", "u", {"gender_female"}),
    ("m04", "u", {"direct_visitor"}),
    ("m05", "u", {"buyer", "bought_tea_is", "bought_tea_in", "bought_item_100"}),
    ("m06", "u", {"buyer"}),
    ("m07", "u", {"abandoned_cart"}),
    ("m08", "u", {"buyer", "spent_50"}),
    ("m09", "u", {"buyer", "abandoned_cart"}),
    ("m10", "a", {"abandoned_cart"}),
    ("m10", "b", {"buyer"}),
    ("m11", "u", {"buyer"}),
    ("m12", "u", {"buyer", "spent_50"}),
    ("m12", "low", {"buyer", "spent_50"}),
    ("m12", "yen", {"abandoned_cart"}),
    ("m13", "u", set()),
    ("m14", "cart", {"abandoned_cart"}),
    ("m14", "twice", {"buyer", "spent_50"}),
    ("m14", "back", set()),
    ("m15", "u", {"abandoned_cart"}),
]


@pytest.mark.parametrize(("case", "customer", "expected"), CASES)
def test_a_case_of_the_field(case: str, customer: str, expected: set[str]) -> None:
    """At the end the customer is in these segments, and the changes say the same."""
    assert members(case)[customer] == expected
    now: set[str] = set()
    for change in changes(events(case), definitions(), END):
        now ^= {change.segment} if change.customer_id == customer else set()
    assert now == expected


def test_two_products_of_one_event_are_two_items() -> None:
    """Both are in the cart of m13, worth 210, until the first is removed."""
    assert members("m13", milliseconds("2026-03-02T09:00:00Z"))["u"] == {"valuable_cart"}
    assert members("m13", milliseconds("2026-03-02T09:05:00Z"))["u"] == set()
