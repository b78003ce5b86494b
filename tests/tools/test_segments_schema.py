"""The JSON Schema of a segments file accepts what `check` accepts, and refuses most of what it refuses."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from doc_tools import schemas, segments_schema
from rules.conditions.attributes import CONTEXT_KEYS
from rules.conditions.calendars import CalendarForm
from rules.conditions.cart import CartForm
from rules.conditions.cart_products import ProductForm
from rules.conditions.event_count import PerformedForm
from rules.conditions.newest_event import NewestForm
from rules.conditions.overdue import OverdueForm
from rules.conditions.ratio import RatioForm
from rules.conditions.recency import FirstForm, LastForm
from rules.conditions.sample import SampleForm
from rules.conditions.score import ScoreForm
from rules.conditions.sequences import STEPS_MAX, SequenceForm, StepForm
from rules.conditions.session_count import SessionsForm
from rules.conditions.totals import TotalForm
from rules.definitions import forms, include
from rules.definitions.condition_parsing import EXAMPLES
from rules.definitions.segments_file import DefinitionsError, build
from rules.event_times import WEEKDAYS
from rules.forms import value_test_parsing
from rules.forms.form import Form
from tests.strategies import histories
from tests.strategies.condition_kinds import KINDS, definitions_of
from tests.support.wrong_definitions import WRONG

Json = dict[str, Any]

COMMITTED: Json = json.loads((schemas.ROOT / "docs/reference/schemas/segments.json").read_text("utf-8"))
JUDGE = Draft202012Validator(COMMITTED)
RULES = schemas.ROOT / "rules"
STORIES: list[Json] = json.loads((Path(__file__).parents[1] / "support" / "stories.json").read_text("utf-8"))


def schema_errors(document: object) -> list[str]:
    """The errors that an editor would underline; [] when the document is accepted."""
    return [f"{error.json_path}: {error.message[:200]}" for error in JUDGE.iter_errors(document)]


def test_the_schema_is_a_schema_and_committed() -> None:
    """The schema is valid by its dialect, and the committed file is what the code gives."""
    Draft202012Validator.check_schema(COMMITTED)
    assert COMMITTED["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert segments_schema.schema() == COMMITTED


# --- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["segments.yaml", "demo.yaml"])
def test_the_files_that_come_with_it_are_accepted(name: str) -> None:
    """The files of the library, which use most of the language, are accepted."""
    assert schema_errors(yaml.safe_load((RULES / name).read_text("utf-8"))) == []


@pytest.mark.parametrize("story", [story for story in STORIES if story["definitions"]], ids=lambda story: story["name"])
def test_the_definitions_of_a_story_are_accepted(story: Json) -> None:
    """The definitions of each story are accepted."""
    assert schema_errors(story["definitions"]) == []


def test_random_definitions_are_accepted() -> None:
    """Random definitions over the whole language are accepted: nested groups, bands, holds, all conditions."""
    for seed in range(400):
        definitions = histories.random_definitions(random.Random(seed))
        assert schema_errors(definitions) == [], f"seed {seed}"


@pytest.mark.parametrize("name", KINDS)
def test_random_definitions_of_a_kind_are_accepted(name: str) -> None:
    """Many forms of each kind of condition are accepted."""
    for seed in range(20):
        _, definitions = definitions_of(name, random.Random(seed))
        assert schema_errors(definitions) == [], f"seed {seed}"


CART: Json = {"title": "S", "when": {"cart": {}}}
RIGHT: list[Json] = [
    {"version": 1, "library": True},
    {"version": 1, "library": {"only": ["hold_out"]}, "segments": {}},
    {"version": 1, "library": {"without": ["vip"]}, "segments": {"s": CART}},
    {"version": 1, "segments": {"s": CART | {"about": "x", "kind": "y", "hold": "90s"}}},
    {"version": 1, "currency": "EUR", "segments": {"a" * 64: CART}},
    {"version": 1, "hosts": ["shop.example"], "segments": {"s": CART | {"include": {"cart": ["name", "url"]}}}},
    {"version": 1, "segments": {"s": CART | {"include": {"last": {"event": "page", "of": ["title"]}}}}},
    {"version": 1, "segments": {"s": CART | {"include": {"totals": {"n": {"agg": "sum", "of": "a", "event": "x"}}}}}},
    {"version": 1, "segments": {"s": {"title": "S", "when": {"performed": {"event": ["page"], "count": 2}}}}},
    {"version": 1, "segments": {"s": {"title": "S", "when": {"cart": {"value": 5, "items": {"above": 0}}}}}},
    {"version": 1, "segments": {"s": {"title": "S", "when": {"trait": {"born": {"age": {"below": "30d"}}}}}}},
    {"version": 1, "segments": {"s": {"title": "S", "when": {"trait": {"born": {"anniversary": "today"}}}}}},
    {"version": 1, "segments": {"s": {"title": "S", "when": {"context": {"channel": {"not_in": ["direct"]}}}}}},
]


@pytest.mark.parametrize("document", RIGHT)
def test_short_forms_are_accepted(document: Json) -> None:
    """Short forms are accepted by the schema as by the code."""
    build(document, "right.yaml")
    assert schema_errors(document) == []


# --- what is wrong -----------------------------------------------------------------------------

# What a schema cannot say, as it needs arithmetic, a list of names or what stands elsewhere in the file.
ONLY_CHECK_SAYS = [
    # ends that leave no room, counts beyond what is kept
    "a product that does not exist", "a product of over 64 bytes",
    "an empty range", "every count", "64 orders", "an empty span", "512 sessions", "seven digits", "a number too large",
    "no number", "a total between nothing", "256 different values", "between two counts", "an ago of nothing",
    "of no age", "a window that ends before it begins", "a count above what is stored", "a rhythm of one",
    "points of one event twice", "a half-life of seconds", "a score that nobody has", "a score without a test",
    "a ratio without a test", "a rhythm without a factor", "a date in words", "ahead of nothing",
    "an anniversary of hours",
    "days the wrong way round", "a day that is no date", "no hour at all",
    "a day that is none", "a Jalali day that is none", "two equal bands",
    # how deep, what is compiled, what is known
    "too deep", "an end of blanks", "a pattern that is none",
    "a look-ahead", "what has no effect", "an unknown segment", "itself",
    "an unknown time zone", "an anniversary nowhere", "an event nowhere", "a time zone of nothing",
    "a path for a time zone", "money of no currency", "nothing of the library",
    # what goes with what: sayable, but each at the price of a worse message in the editor
    "an event that is blank", "two windows", "items of two products",
    "exactly and more", "a test of empty text", "absent and more", "two lower ends",
    "two upper ends", "a path with a hole", "a total without a test", "touch alone", "a band of half a count",
    "bands above what is counted",
    "two wishes", "an address to include without hosts", "properties of an identify to include",
    "money of no currency to include", "a part that asks about another", "bands that meet",
    "sixty-one ways to look at orders",
]  # fmt: skip


def test_what_is_wrong_is_refused() -> None:
    """Wrong definitions are refused but for those that only `check` can judge; that list is exact."""
    accepted = [name for name, document, *_ in WRONG if schema_errors(document) == []]
    assert sorted(accepted) == sorted(ONLY_CHECK_SAYS)
    assert len(WRONG) > 3 * len(ONLY_CHECK_SAYS)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_unknown_key_is_refused_in_every_condition(kind: str) -> None:
    """A misspelt key is underlined; traits and properties alone may have any name."""
    if kind in ("all", "any", "not", "in_segment", "trait"):
        return
    forms = [when for seed in range(20) for when in leaves(definitions_of(ANY_OF[kind], random.Random(seed))[1], kind)]
    assert forms
    for form in forms:
        assert valid({kind: form})
        assert not valid({kind: form | {"witin": "1d"}})


ANY_OF = {kind: next(name for name in KINDS if name.split(".")[0] == kind) for kind in EXAMPLES}


def leaves(definitions: Json, kind: str) -> Iterator[Json]:
    for segment in definitions["segments"].values():
        if kind in segment["when"]:
            yield segment["when"][kind]


def valid(when: object) -> bool:
    document = {"version": 1, "currency": "EUR", "segments": {"s": {"title": "S", "when": when}}}
    try:
        build(document, "one.yaml")
        built = True
    except DefinitionsError:
        built = False
    accepted = schema_errors(document) == []
    assert accepted or not built, "the schema refuses what the code takes"
    return accepted


# --- its names are the code's ------------------------------------------------------------------


def names_of(form: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in form.model_fields.items()}


def required_of(form: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in form.model_fields.items() if field.is_required()}


def subclasses(form: type[Form]) -> Iterator[type[Form]]:
    for subclass in form.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def condition(kind: str) -> Json:
    (schema,) = (
        branch["properties"][kind] for branch in COMMITTED["$defs"]["condition"]["oneOf"] if kind in branch["required"]
    )
    return dict(schema)


def segment() -> Json:
    return dict(COMMITTED["$defs"]["segment"])


WITH_FORMS: dict[str, tuple[type[BaseModel], Callable[[], Json]]] = {
    "performed": (PerformedForm, lambda: condition("performed")),
    "total": (TotalForm, lambda: condition("total")),
    "last": (LastForm, lambda: condition("last")),
    "first": (FirstForm, lambda: condition("first")),
    "sequence": (SequenceForm, lambda: condition("sequence")),
    "step": (StepForm, lambda: condition("sequence")["properties"]["steps"]["items"]),
    "cart": (CartForm, lambda: condition("cart")),
    "product of a cart": (ProductForm, lambda: condition("cart")["properties"]["has"]),
    "sessions": (SessionsForm, lambda: condition("sessions")),
    "ratio": (RatioForm, lambda: condition("ratio")),
    "score": (ScoreForm, lambda: condition("score")),
    "newest": (NewestForm, lambda: condition("newest")),
    "overdue": (OverdueForm, lambda: condition("overdue")),
    "calendar": (CalendarForm, lambda: condition("calendar")),
    "sample": (SampleForm, lambda: condition("sample")),
    "segment": (forms.SegmentForm, segment),
    "bands": (forms.BandsForm, lambda: segment()["properties"]["bands"]),
    "include": (include.IncludeForm, lambda: segment()["properties"]["include"]),
    "included event": (include.NewestEventForm, lambda: segment()["properties"]["include"]["properties"]["last"]),
    "library": (forms.LibraryForm, lambda: COMMITTED["properties"]["library"]["anyOf"][1]),
}


@pytest.mark.parametrize("name", WITH_FORMS)
def test_the_keys_are_those_of_the_form(name: str) -> None:
    """Each key that the code takes is in the schema, no other is, and the same are required."""
    form, schema_of = WITH_FORMS[name]
    schema = schema_of()
    assert set(schema["properties"]) == names_of(form)
    assert set(schema.get("required", ())) == required_of(form)
    assert schema["additionalProperties"] is False


def test_every_form_is_compared() -> None:
    """A form that is added later is compared, too."""
    compared = {form for form, _ in WITH_FORMS.values()}
    assert {
        form for form in subclasses(Form) if hasattr(form, "example") and form.__module__.startswith("rules.")
    } == compared


def test_conditions_attributes_and_days_are_those_of_the_code() -> None:
    """The kinds, the keys of a context, weekdays and the bounds are those of the code."""
    kinds = [kind for branch in COMMITTED["$defs"]["condition"]["oneOf"] for kind in branch["required"]]
    assert kinds == list(EXAMPLES)
    assert set(condition("context")["properties"]) == set(CONTEXT_KEYS)
    (single, several) = condition("calendar")["properties"]["weekday"]["anyOf"]
    assert tuple(single["enum"]) == tuple(several["items"]["enum"]) == WEEKDAYS
    assert COMMITTED["$defs"]["count"]["anyOf"][0]["maximum"] == value_test_parsing.COUNT_MAX
    assert condition("sequence")["properties"]["steps"]["maxItems"] == STEPS_MAX
