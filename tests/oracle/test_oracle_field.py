"""The oracle reads every case of the field right."""

import json
from pathlib import Path

import pytest
import yaml

from tests.field_cases.cases import CASES, SEGMENTS, FieldCase
from tests.oracle.oracle import Json, changes, mapping, membership, milliseconds

LIBRARY = Path(__file__).parents[2] / "rules" / "segments.yaml"


def definitions() -> Json:
    """The file of the cases, with what it takes from the library."""
    own = yaml.safe_load(SEGMENTS.read_text())
    library = yaml.safe_load(LIBRARY.read_text())["segments"]
    taken = {key: library[key] for key in own["library"]["only"]}
    return {"version": 1, "currency": own["currency"], "segments": taken | own["segments"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.events} {case.customer} {case.at}")
def test_a_case_of_the_field(case: FieldCase) -> None:
    """At the instant the customer is in these segments, and the changes say the same; links are no part of this."""
    at = milliseconds(case.at)
    events = [mapping(json.loads(line)) for line in case.lines]
    assert set(membership(events, definitions(), at)[case.customer]) == case.segments
    now: set[str] = set()
    for change in changes(events, definitions(), at):
        now ^= {change.segment} if change.customer_id == case.customer else set()
    assert now == case.segments
