"""What triggers store of a customer's traits is bounded, whatever JSON the traits are."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from rules.event_names import IDENTIFY
from rules.events import Event
from rules.values import Document
from streams.triggers.config import TriggersFile
from streams.triggers.customer_state import Person, decode, encode
from streams.triggers.intake import TriggerIntake

KIB = 1024
# What a customer without any trait takes, and the heads of records.
OTHER_BYTES = 32
NAMES = ("city", "history", "plan", "prefs", *(f"trait_{index}" for index in range(12)))


def intake(names: tuple[str, ...] = NAMES) -> TriggerIntake:
    """An intake whose file names these traits."""
    return TriggerIntake(
        TriggersFile.model_validate({
            "version": 1,
            "suppress": dict.fromkeys(names, True),
            "channels": {"out": {"kind": "console"}},
            "triggers": {"one": {"segment": "a_segment", "channel": "out"}},
        })
    )  # fmt: skip


def identified(person: Person, traits: dict[str, Any], time: int = 1, names: tuple[str, ...] = NAMES) -> Person:
    """The customer after an identify with these traits."""
    event = Event("u1", IDENTIFY, time, f"m{time}", traits=Document(json.dumps(traits).encode()))
    intake(names).apply(person, event, time)
    return person


def value_of(person: Person, name: str) -> Any:
    """The value of a trait, as it is read back from the store."""
    return decode(encode(person)).trait(name)


# Of few drawn parts, as a value of a megabyte is mostly repetition.
counts = st.sampled_from([1, 2, 63, 64, 65, 400, 1_024, 1_025, 30_000])
texts = st.builds(lambda text, count: text * count, st.text(max_size=3), counts)
scalars = st.none() | st.booleans() | st.integers(-(10**390), 10**390) | texts
numbers = st.builds(lambda digits, count: float(f"{digits}e{count % 300}"), st.integers(-99, 99), counts)
values = st.recursive(
    scalars | numbers,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.builds(lambda value, count: [value] * min(count, 1_025), inner, counts)
        | st.dictionaries(texts, inner, max_size=4)
        | st.builds(lambda value, count: {f"{index}": value for index in range(min(count, 70))}, inner, counts)
    ),
    max_leaves=12,
)


def weight(value: Any) -> int:
    """Roughly the characters of a value; a record has a megabyte at most."""
    if isinstance(value, list):
        return sum(map(weight, value)) if len(value) < 5 else weight(value[0]) * len(value)
    if isinstance(value, dict):
        inner = list(value.values())
        return sum(map(len, value)) + (sum(map(weight, inner)) if len(inner) < 5 else weight(inner[0]) * len(inner))
    return len(value) if isinstance(value, str) else 8


small = values.filter(lambda value: weight(value) < KIB * KIB)
# The same value for every trait: so the bound of all of them is reached, too.
alike = st.builds(
    lambda value, count: dict.fromkeys(NAMES, [value] * count), texts.filter(lambda text: len(text) < 4_000), counts
)
identifies = st.dictionaries(st.sampled_from(NAMES), small, max_size=4) | alike.filter(
    lambda traits: weight(traits) < KIB * KIB
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(identifies, min_size=1, max_size=6))
def test_all_that_is_stored_is_bounded(sent: list[dict[str, Any]]) -> None:
    """A trait takes up to 16 KiB and all of them 128 KiB, whatever is sent; and what is stored can be read."""
    person = Person()
    for time, traits in enumerate(sent, 1):
        identified(person, traits, time)
        stored = encode(person)
        assert len(stored) <= 128 * KIB + OTHER_BYTES
        assert decode(stored) == person
        for trait in person.traits.values():
            assert len(encode(Person(traits={"": trait}))) <= 16 * KIB + OTHER_BYTES + len(trait.id)


@pytest.mark.parametrize(
    "value",
    [
        {"k" * 900_000: 1},
        [["x" * 1_024] * 64] * 13,
        {f"{'é' * 1_000}{index}": {f"{'€' * 1_000}{inner}": "😀" * 1_024 for inner in range(64)} for index in range(2)},
        ["\x00" * 1_024] * 900,
    ],
)
def test_a_huge_value_is_bounded(value: Any) -> None:
    """A name of 900,000 characters, lists of lists of texts, and characters of every width."""
    assert len(encode(identified(Person(), {"history": value}))) <= 16 * KIB + OTHER_BYTES


def test_a_number_of_a_megabyte_is_bounded() -> None:
    """A number of a megabyte is stored as a bounded text."""
    traits = Document(b'{"history": 1' + b"0" * 900_000 + b"}")
    person = Person()
    intake().apply(person, Event("u1", IDENTIFY, 1, "m1", traits=traits), 1)
    assert value_of(person, "history") == "1" + "0" * 1_023


def test_what_is_nested_too_deep_is_left_out() -> None:
    """Lists and objects nest 16 deep."""
    nested: Any = 1
    for _ in range(60):
        nested = [nested]
    left, depth = value_of(identified(Person(), {"history": nested}), "history"), 0
    while left is not None:
        (left,) = left
        depth += 1
    assert depth == 16


def test_a_value_of_usual_size_is_stored_as_it_is() -> None:
    """Texts of 1,024 characters, 64 members and 16 levels are."""
    value = {"text": "x" * 1_024, "list": list(range(64)), "object": {f"k{index}": index for index in range(64)}}
    assert value_of(identified(Person(), {"history": value}), "history") == value


def test_a_flag_stays_beside_what_is_large() -> None:
    """The largest value is dropped, so that a customer that has unsubscribed is not sent messages."""
    long = ["x" * 1_024] * 64
    prefs = {"seen": long, "bought": long, "unsubscribed": True}
    assert value_of(identified(Person(), {"prefs": prefs}), "prefs")["unsubscribed"] is True
    person = identified(Person(), {"plan": True})
    for index in range(12):
        identified(person, {f"trait_{index}": long}, index + 2)
    assert value_of(person, "plan") is True
    assert value_of(person, "trait_11") is None or value_of(person, "trait_0") is None


def test_no_older_value_comes_instead_of_what_was_left_out() -> None:
    """A value that is too much is left out; an identify from before it does not bring back a former one."""
    long = ["x" * 1_024] * 64
    person = identified(Person(), {f"trait_{index}": long for index in range(12)}, 5)
    left_out = [name for name, trait in person.traits.items() if trait.value is None]
    assert left_out
    identified(person, {left_out[0]: "former"}, 4)
    assert value_of(person, left_out[0]) is None
    identified(person, {left_out[0]: "newest"}, 6)
    assert value_of(person, left_out[0]) == "newest"


def test_more_traits_than_fit_leave_the_newest() -> None:
    """A file may name thousands of traits, also by long names; what was set last stays."""
    names = tuple(f"trait_{index}_{'x' * 1_000}" for index in range(400))
    person = Person()
    for time, name in enumerate(names, 1):
        identified(person, {name: True}, time, names)
    assert len(encode(person)) <= 128 * KIB + OTHER_BYTES
    assert names[-1] in person.traits
    assert names[0] not in person.traits
