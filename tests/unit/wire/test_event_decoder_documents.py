"""A record's properties, traits and context, which are read when a rule asks for them.

The one rule: whatever `decode` accepts can be read by every rule, and how deep it may be nested does not
depend on who calls.
"""

import json
import sys
from collections.abc import Callable

import pytest

from rules.context import ATTRIBUTES
from rules.engine import Engine
from rules.events import Event
from rules.values import NO_DOCUMENT
from streams.wire.event_decoder import DEPTH_MAX
from tests.support.input_records import accepted, outcome, record
from tests.support.profiles import When, wanting

# --- documents ---------------------------------------------------------------------------------


def test_properties_are_kept_for_every_name() -> None:
    """Properties are as sent, numbers with a point as their text, also for events that are not the shop's."""
    properties_text = '{"a":1,"b":0.10,"c":{"d":[null,true,"چای"]},"total":5}'
    for event in ('"Signed Up"', '"Order Completed"', '"Product Added"', '"Product Viewed"'):
        fields = accepted(record(event=event, properties=properties_text)).properties.fields
        assert fields == {"a": 1, "b": "0.10", "c": {"d": [None, True, "چای"]}, "total": 5}
    for kind in ('"page"', '"identify"'):
        assert accepted(record(type=kind, properties=properties_text)).properties.fields["a"] == 1


@pytest.mark.parametrize("nothing", [None, "null", "{}"])
def test_no_properties_are_an_empty_document(nothing: str | None) -> None:
    """Absent, null and empty are the same to a rule; so it is with traits and context."""
    event = accepted(record(type='"identify"', properties=nothing, traits=nothing, context=nothing))
    assert (event.properties.fields, event.traits.fields) == ({}, {})
    assert all(event.context.get(name) is None for name in ATTRIBUTES)


WRONG_OBJECTS = ["[]", "5", "-1", '"text"', '""', "true", "false", "[{}]", '"{}"']


@pytest.mark.parametrize("text", WRONG_OBJECTS)
@pytest.mark.parametrize("name", ["page", "screen", "identify", "alias", "group", "track"])
def test_properties_of_a_wrong_type(name: str, text: str) -> None:
    """Properties of a wrong type are as absent ones on every type of event."""
    for event in ('"Signed Up"', '"Product Added"', '"Product Viewed"') if name == "track" else (None,):
        read = accepted(record(type=f'"{name}"', event=event, properties=text))
        assert read.properties.fields == {}
        assert read == accepted(record(type=f'"{name}"', event=event, properties="null"))


@pytest.mark.parametrize("text", WRONG_OBJECTS)
def test_traits_of_a_wrong_type(text: str) -> None:
    """Traits of a wrong type are as absent ones on identify, which alone has traits; elsewhere they are not read."""
    for fields in ({"type": '"identify"'}, {"event": '"identify"'}):
        assert accepted(record(traits=text, **fields)).traits.fields == {}
        below = accepted(record(traits=text, context='{"traits":{"plan":"gold"}}', **fields))
        assert below.traits.fields == {"plan": "gold"}
    for fields in ({"type": '"page"'}, {"type": '"group"'}, {"event": '"Signed Up"'}, {}):
        assert accepted(record(traits=text, **fields)).traits is NO_DOCUMENT


# `traits`, the traits of the context, and those of the event.
TWO_PLACES: list[tuple[str | None, str | None, dict[str, object]]] = [
    ('{"a":1}', '{"a":2}', {"a": 1}),
    ('{"a":1}', '{"b":2}', {"a": 1, "b": 2}),
    ('{"a":null}', '{"a":2,"b":0.10}', {"a": None, "b": "0.10"}),
    ('{"a":{"b":1}}', '{"a":{"c":2}}', {"a": {"b": 1}}),
    (None, '{"a":2}', {"a": 2}),
    ("null", '{"a":2}', {"a": 2}),
    ("{}", '{"a":2}', {"a": 2}),
    ("[]", '{"a":2}', {"a": 2}),
    ('{"a":1}', None, {"a": 1}),
    ('{"a":1}', "null", {"a": 1}),
    ('{"a":1}', "[]", {"a": 1}),
    ('{"a":1}', "5", {"a": 1}),
    ('{"a":1}', '"traits"', {"a": 1}),
    ('{"a":1e999}', '{"b":1}', {"a": "1e999", "b": 1}),
    ("[]", "[]", {}),
    (None, None, {}),
]


@pytest.mark.parametrize(("top", "below", "traits"), TWO_PLACES)
def test_the_traits_of_a_context_stand_below_the_others(
    top: str | None, below: str | None, traits: dict[str, object]
) -> None:
    """Traits of an identify are `traits` over `context.traits`, name by name; other events have neither."""
    context = '{"locale":"fa","page":{"traits":{"z":1}}}' if below is None else f'{{"locale":"fa","traits":{below}}}'
    event = accepted(record(type='"identify"', traits=top, context=context))
    assert event.traits.fields == traits
    assert event.context.get("locale") == "fa"
    assert accepted(record(type='"page"', traits=top, context=context)).traits is NO_DOCUMENT


def test_traits_are_those_of_identify() -> None:
    """Only identify has them; a null in them is passed on, as it takes a trait back."""
    traits_text = '{"plan":null,"address":{"city":"Berlin"},"visits":3}'
    traits = {"plan": None, "address": {"city": "Berlin"}, "visits": 3}
    assert accepted(record(type='"identify"', traits=traits_text)).traits.fields == traits
    assert accepted(record(type='"group"', traits=traits_text)).traits.fields == {}


# --- context -----------------------------------------------------------------------------------


def carried(context: str, kind: str = "page") -> dict[str, str]:
    """The attributes that an event carries."""
    event = accepted(record(type=f'"{kind}"', context=context))
    return {name: value for name in ATTRIBUTES if (value := event.context.get(name)) is not None}


WHOLE = (
    '{"device":{"type":"mobile"},"campaign":{"source":"google","medium":"cpc","name":"spring"},'
    '"referrer":{"url":"https://a.example/"},"location":{"country":"IR","city":"تهران","region":"Tehran"},"locale":"fa-IR",'
    '"os":{"name":"iOS"},"browser":{"name":"Safari"},"timezone":"Asia/Tehran","page":{"path":"/tea"}}'
)


def test_the_attributes_of_a_context() -> None:
    """There are fourteen, from where the Segment Spec has them."""
    assert carried(WHOLE) == {
        "device": "mobile", "channel": "campaign", "source": "google", "medium": "cpc", "campaign": "spring",
        "referrer": "https://a.example/", "country": "IR", "city": "تهران", "locale": "fa-IR",
        "os": "iOS", "browser": "Safari", "timezone": "Asia/Tehran", "region": "Tehran", "page": "/tea",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["null", *WRONG_OBJECTS])
def test_a_context_of_a_wrong_type_is_ignored(text: str) -> None:
    """Nothing in a context makes an event unusable: a page view without one is a direct visit."""
    assert carried(text) == carried("{}") == {"channel": "direct"}
    assert carried(text, "identify") == {}


@pytest.mark.parametrize("text", ["null", "5", "[]", '"x"', "true", '""', "1e999", "1" * 5_000, "[[1e999]]"],
                         ids=lambda text: text[:9])  # fmt: skip
@pytest.mark.parametrize(
    "name", ["device", "campaign", "referrer", "page", "location", "locale", "os", "browser", "timezone", "unknown"]
)
def test_a_part_of_a_context_of_a_wrong_type_is_ignored(name: str, text: str) -> None:
    """A part of a wrong type is not carried, the others are; also beside numbers that no decoder accepts."""
    if name in ("locale", "timezone") and text == '"x"':
        return
    whole = json.loads(WHOLE)
    whole.pop(name, None)
    expected = carried(json.dumps(whole))
    assert carried(json.dumps(whole)[:-1] + f',"{name}":{text}}}') == expected
    assert carried(json.dumps(whole)[:-1] + f',"{name}":{text},"app":{{"version":{text}}}}}') == expected


@pytest.mark.parametrize("text", ["null", "5", "[]", "{}", "true", '""'])
@pytest.mark.parametrize(("outer", "inner"), [
    ("device", "type"), ("campaign", "source"), ("campaign", "medium"), ("campaign", "name"), ("referrer", "url"),
    ("location", "country"), ("location", "city"), ("location", "region"), ("os", "name"), ("browser", "name"),
    ("page", "path"),
])  # fmt: skip
def test_an_attribute_that_is_no_text_is_not_carried(outer: str, inner: str, text: str) -> None:
    """Empty text is not carried either; what stands beside it is."""
    whole = json.loads(WHOLE)
    del whole[outer][inner]
    expected = carried(json.dumps(whole))
    whole[outer][inner] = json.loads(text)
    assert carried(json.dumps(whole)) == expected


# --- what rules read ---------------------------------------------------------------------------

CONDITIONS: list[When] = [
    {"performed": {"event": "Signed Up", "where": {"a": 1, "b.c": {"exists": False}}}},
    {"total": {"agg": "sum", "of": "b", "event": "Signed Up", "at_most": 0}},
    {"total": {"agg": "distinct", "of": "b", "event": "Signed Up", "at_least": 1}},
    {"trait": {"a": 1, "b": {"exists": True}}},
    {"context": {"device": {"exists": True}, "locale": "fa", "channel": {"in": ["direct"]}}},
]
HUGE = ["1e999", "-1e999", "1" * 500, "1" * 4_301, "-" + "1" * 5_000, "0." + "1" * 5_000, "1e" + "9" * 40]


@pytest.mark.parametrize("text", HUGE, ids=lambda text: f"{text[:6]} of {len(text)}")
def test_rules_can_read_huge_numbers(text: str) -> None:
    """A number that is accepted stops no worker, whatever is asked of it or of what stands beside it."""
    engine = Engine(wanting(*CONDITIONS))
    fields_text = f'{{"a":1,"b":{text}}}'
    strange = f'{{"device":5,"locale":"fa","os":{text}}}'
    for value in (
        record(event='"Signed Up"', properties=fields_text),
        record(type='"identify"', traits=fields_text),
        record(type='"page"', context=strange),
    ):
        engine.apply("u1", engine.new(), accepted(value))


# --- nesting -----------------------------------------------------------------------------------


def lists(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


def objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def both(depth: int) -> str:
    """Objects and lists in turn."""
    inner = "1"
    for level in range(depth):
        inner = f"[{inner}]" if level % 2 else f'{{"a":{inner}}}'
    return inner


NESTS = {"lists": lists, "objects": objects, "both": both}


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
@pytest.mark.parametrize("field", ["properties", "traits", "context", "unknown"])
def test_a_hundred_levels_are_read(field: str, nest: Callable[[int], str]) -> None:
    """The record itself is the first level; with the 101st it is no JSON, in any place and for any reader."""
    for kind in ('"page"', '"identify"', '"track"'):
        deepest = f'{{"a":{nest(DEPTH_MAX - 2)}}}'
        event = accepted(record(type=kind, **{field: deepest}))
        assert event.properties.fields is not event.traits.fields
        assert event.context.get("device") is None
        assert outcome(record(type=kind, **{field: f'{{"a":{nest(DEPTH_MAX - 1)}}}'})) == "not_json"
        assert outcome(record(type=kind, **{field: nest(DEPTH_MAX)})) == "not_json"
    assert DEPTH_MAX == 100


def test_many_levels_side_by_side_are_none() -> None:
    """Depth counts, not number."""
    wide = "[" + ",".join([objects(DEPTH_MAX - 2)] * 50) + "]"
    assert isinstance(outcome(record(context=wide)), Event)
    assert isinstance(outcome(record(context='"' + "[{" * 5_000 + '"')), Event)


@pytest.mark.parametrize("other", ["1e999", "1" * 5_000, '"x"', "5"], ids=lambda text: text[:5])
@pytest.mark.parametrize("depth", [DEPTH_MAX, 500, 900])
def test_nesting_is_no_json_whatever_else_is_strange(depth: int, other: str) -> None:
    """Too deep a value is no JSON, also beside a number out of every range, or fields of a wrong type."""
    assert outcome(record(context=other, traits=lists(depth))) == "not_json"
    assert outcome(record(event='"Signed Up"', unknown=other, properties=objects(depth))) == "not_json"
    assert outcome(record(messageId="[]", unknown=other, context=lists(depth))) == "not_json"


def from_below(frames: int, call: Callable[[], object]) -> object:
    """Call from so many frames further down."""
    return call() if frames == 0 else from_below(frames - 1, call)


def test_the_callers_stack_does_not_matter() -> None:
    """Close to Python's own limit the same records are read and refused as anywhere."""
    frames = sys.getrecursionlimit() - 450
    records = [record(**{field: nest(depth)}) for field in ("context", "traits", "unknown") for nest in NESTS.values()
               for depth in (50, DEPTH_MAX - 1, DEPTH_MAX, 300, 100_000)]  # fmt: skip
    for value in records:
        expected = outcome(value)
        assert from_below(frames, lambda value=value: outcome(value)) == expected  # type: ignore[misc]


DEEP = 100_000


@pytest.mark.parametrize("nest", ["[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * DEEP], ids=len)
def test_deep_nesting_is_no_json(nest: str) -> None:
    """100,000 brackets, closed or not and wherever they stand, are a dead letter and not a crash."""
    assert outcome(nest.encode()) == "not_json"
    for field in ("context", "traits", "properties", "userId"):
        assert outcome(record(**{field: nest})) == "not_json", field
    assert outcome(record(event='"Cart Viewed"', properties=f'{{"products":{nest}}}')) == "not_json"
    assert outcome(record(messageId="[]", context=nest)) == "not_json"
