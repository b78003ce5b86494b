"""What each kind of condition brings along is consistent, in itself and with what the kinds share."""

from typing import Annotated, ClassVar

import pytest
from pydantic import WithJsonSchema

from rules.conditions.base import ConditionKind
from rules.conditions.boolean import GROUP_KINDS
from rules.conditions.kinds import CONDITION_KINDS
from rules.definitions import yaml_text
from rules.definitions.decision_order import closure, decision_order
from rules.definitions.segments_file import build
from rules.forms.form import Duration, Form
from rules.forms.json_schema import form_schema
from rules.forms.problems import Problem, Problems
from rules.languages import english
from rules.sentences.complete_languages import complete
from rules.sentences.reason_sentence import LANGUAGES


def test_each_kind_has_a_key_of_its_own() -> None:
    """No two kinds of conditions or groups have the same key."""
    keys = [kind.key for kind in (*GROUP_KINDS, *CONDITION_KINDS)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("kind", CONDITION_KINDS, ids=lambda kind: kind.key)
def test_the_example_of_a_kind_is_right(kind: ConditionKind) -> None:
    """The example in an error message is valid, can be described, and needs no more than it says."""
    example = "buyer" if kind.key == "in_segment" else kind.example.partition(" or ")[0]
    segments = {
        "buyer": {"title": "Buyer", "when": {"performed": {"event": "Order Completed"}}},
        "other": {"title": "Other", "when": {kind.key: yaml_text.read(example)}},
    }
    definitions = build({"version": 1, "currency": "EUR", "segments": segments}, "file")
    canonical = next(segment.canonical for segment in definitions.segments if segment.key == "other")
    assert kind.describe(canonical[kind.key])


@pytest.mark.parametrize("kind", CONDITION_KINDS, ids=lambda kind: kind.key)
def test_a_kind_speaks_every_language(kind: ConditionKind) -> None:
    """Each language has the same messages."""
    assert kind.messages.keys() == set(LANGUAGES)
    assert len({frozenset(messages) for messages in kind.messages.values()}) == 1


def test_a_message_has_one_place() -> None:
    """A kind cannot take a message of another one, or of the language, unnoticed."""
    with pytest.raises(ValueError, match="the message any_time stands twice"):
        complete(english.COMMON, [{"new": "new"}, {"any_time": "whenever"}])
    assert complete(english.COMMON, [{"new": "new"}]).say("new") == "new"


def test_the_schema_of_a_form_is_that_of_its_fields() -> None:
    """The schema has required keys, a type from elsewhere, and a field with a schema of its own."""

    class Example(Form):
        example: ClassVar[str] = "{within: 1d}"

        within: Duration
        share: Annotated[object, WithJsonSchema({"type": "number"})] = None
        name: str = ""

    assert form_schema(Example) == {
        "type": "object",
        "properties": {
            "within": {"$ref": "#/$defs/duration"},
            "share": {"type": "number"},
            "name": {"type": "string"},
        },
        "additionalProperties": False,
        "required": ["within"],
    }


def test_segments_are_decided_after_those_that_they_ask_about() -> None:
    """Segments are decided by depth, then by key; a ring is noted for each of its members alone."""
    named = {
        "vip": frozenset({"loyal"}),
        "loyal": frozenset({"buyer"}),
        "buyer": frozenset[str](),
        "ann": frozenset[str](),
    }
    problems = Problems()
    assert decision_order(named, problems) == ["ann", "buyer", "loyal", "vip"]
    assert closure("vip", named) == ["buyer", "loyal", "vip"]
    ring = {**named, "buyer": frozenset({"vip"})}
    assert decision_order(ring, problems) == []
    assert [problem.path for problem in problems.noted] == [
        "segments.buyer.when", "segments.loyal.when", "segments.vip.when",
    ]  # fmt: skip


def test_a_problem_is_one_line() -> None:
    """The line has the whole path, which a part of a file does not know, and what would be right."""
    problem = Problem("url", "is no address", "write https://…")
    assert str(problem.under("channels.shop")) == "channels.shop.url: is no address; write https://…"
    assert str(Problem("", "cannot be read")) == "cannot be read"
    assert str(Problem("", "is empty").under("channels.shop")) == "channels.shop: is empty"
