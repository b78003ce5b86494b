"""The published schemas: what the code takes and gives they accept, what is wrong they refuse."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from doc_tools import asyncapi, event_schema, output_schemas, schemas
from rules.definitions.condition_parsing import EXAMPLES
from rules.definitions.segments_file import Definitions, build, built_in
from rules.engine import Engine
from rules.event_names import INPUTS, SHOP_NAMES, input_of
from rules.events import Event, Origin
from rules.times import parse_instant
from streams.offline.replay import Replay
from streams.wire import changes, dead_letters, event_decoder
from streams.wire.changes import SegmentChange
from streams.wire.topics import OUTPUTS
from tests.strategies import histories

Json = dict[str, Any]

DOCUMENTS = {
    "event": event_schema.event(),
    "strict-event": event_schema.strict_event(),
    "segment-change": output_schemas.segment_change(),
    "reason": output_schemas.reason(),
    "dead-letter": output_schemas.dead_letter(),
}
DIALECTS = (Draft202012Validator, Draft7Validator)  # the second is how AsyncAPI reads them
JUDGES = {name: [dialect(document) for dialect in DIALECTS] for name, document in DOCUMENTS.items()}
STORIES: list[Json] = json.loads((Path(__file__).parents[1] / "support" / "stories.json").read_text("utf-8"))
ORIGIN = Origin("carts", 1, 2)
EMITTED_AT = "2026-11-22T10:30:00.000Z"


def valid(name: str, instance: object) -> bool:
    """Whether the schema accepts the value; both dialects must agree."""
    verdicts = {judge.is_valid(instance) for judge in JUDGES[name]}
    assert len(verdicts) == 1, "the dialects read the schema differently"
    return verdicts.pop()


def story_name(story: Json) -> str:
    return str(story["name"])


def definitions_of(story: Json) -> Definitions:
    return build(story["definitions"], "story") if story["definitions"] else built_in()


def made(definitions: Definitions, events: list[Json], until: str | None = None) -> Iterator[SegmentChange]:
    """The changes as replay writes them and as the worker does."""
    for origin, emitted_at in ((None, msgspec.UNSET), (ORIGIN, EMITTED_AT)):
        read = [event_decoder.decode_line(json.dumps(event).encode(), origin=origin) for event in events]
        for change in Replay(Engine(definitions)).run(read, parse_instant(until) if until else None):
            yield changes.of(change, emitted_at)


def accepted(change: SegmentChange) -> bool:
    value = json.loads(changes.encode(change))
    return valid("segment-change", value) and valid("reason", value["reason"])


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_schema_is_a_schema(document: Json) -> None:
    """Each schema is valid by the dialect that it names, and by the one that AsyncAPI takes it for."""
    assert document["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    for dialect in DIALECTS:
        dialect.check_schema(document)


# --- what the code takes and gives -------------------------------------------------------------


@pytest.mark.parametrize("story", STORIES, ids=story_name)
def test_the_events_of_a_story_are_accepted(story: Json) -> None:
    """All events of a story are accepted."""
    for event in story["events"]:
        assert valid("event", event), event


@pytest.mark.parametrize("story", STORIES, ids=story_name)
def test_the_changes_of_a_story_are_accepted(story: Json) -> None:
    """Each change has its reason, from replay and from the worker; all expected changes are among them."""
    published = list(made(definitions_of(story), story["events"], story["until"]))
    assert all(map(accepted, published))
    assert len(published) >= 2 * len(story["expected"])


def test_drawn_events_and_changes_are_accepted() -> None:
    """Random events and changes are accepted: ids as numbers, money as text, every condition, late events."""
    reasons = set()
    for seed in range(80):
        events, definitions = histories.world(random.Random(seed))
        shuffled = histories.shuffled(random.Random(seed), events)
        assert all(valid("event", event) for event in events)
        for change in made(build(definitions, "drawn"), shuffled):
            assert accepted(change), changes.encode(change)
            reasons.add(change.reason.condition or "group")
    assert reasons == {"group", *EXAMPLES} - {"all", "any", "not"}


# --- events ------------------------------------------------------------------------------------

ADDED: Json = event_schema.EVENT
PAGE: Json = {"type": "page", "messageId": "m", "userId": "u", "timestamp": "2026-11-22T10:00:00Z"}
CART: Json = PAGE | {"type": "track", "event": "Cart Viewed"}
ABSENT = object()


def without(event: Json, *names: str) -> Json:
    return {name: value for name, value in event.items() if name not in names}


def with_properties(event: Json, **properties: object) -> Json:
    return event | {"properties": properties}


def taken(event: object) -> Event | str:
    """The event that the code makes of the value, or the reason of a dead letter."""
    try:
        return event_decoder.decode_line(json.dumps(event).encode())
    except event_decoder.Rejected as rejected:
        return rejected.reason


def test_the_strict_schema_accepts_what_is_read_without_loss() -> None:
    """What it accepts is an event without an unread value; of random odd events it accepts many and refuses many."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for seed in range(80):
        events, _ = histories.world(random.Random(seed))
        for event in events:
            read = taken(event)
            is_lossless = isinstance(read, Event) and not read.unread
            counts[valid("strict-event", event), is_lossless] += 1
            assert is_lossless or not valid("strict-event", event), event
    assert counts[True, True] > 500
    assert counts[False, False] > 50


@pytest.mark.parametrize("properties", [
    {"total": "49.90"}, {"total": 0}, {"total": None}, {"order_id": 7}, {"currency": "eur"}, {"products": []},
    {"products": [{"product_id": "p", "price": 5, "quantity": "2"}]}, {"other": [{"of": "the shop"}]},
])  # fmt: skip
def test_plain_properties_are_strictly_right(properties: Json) -> None:
    """Plain values are accepted by both schemas."""
    order = CART | {"event": "Order Completed", "properties": properties}
    assert valid("event", order)
    assert valid("strict-event", order)


@pytest.mark.parametrize("properties", [
    {"total": "1,049"}, {"total": -1}, {"total": "$5"}, {"total": True}, {"total": 10**12}, {"order_id": []},
    {"order_id": " "}, {"currency": "€uro"}, {"products": {}}, {"products": ["tea"]},
    {"products": [{"price": "x"}]}, [],
])  # fmt: skip
def test_what_may_be_lost_is_strictly_refused(properties: object) -> None:
    """What is unknown, or is read by a rule that a shop need not rely on, is accepted by the first schema alone."""
    order = CART | {"event": "Order Completed", "properties": properties}
    assert valid("event", order)
    assert not valid("strict-event", order)


REFUSED: list[tuple[object, str]] = [
    ([PAGE], "not_object"),
    (without(PAGE, "userId"), "no_customer"),
    (PAGE | {"userId": "", "anonymousId": None}, "no_customer"),
    (PAGE | {"userId": ["u"]}, "bad_id"),
    (without(PAGE, "messageId"), "no_message_id"),
    (PAGE | {"messageId": ""}, "no_message_id"),
    (PAGE | {"messageId": [7]}, "no_message_id"),
    (without(PAGE, "type"), "bad_type"),
    (PAGE | {"type": "pageview"}, "bad_type"),
    (PAGE | {"type": None}, "bad_type"),
    (PAGE | {"type": "track"}, "bad_value"),
    (PAGE | {"type": "track", "event": ""}, "bad_value"),
    (PAGE | {"type": "track", "event": " "}, "bad_value"),
]
ACCEPTED: list[Json] = [
    PAGE | {"userId": "", "anonymousId": "a"},
    PAGE | {"userId": "é" * 128, "anonymousId": "\n"},
    PAGE | {"userId": 5, "messageId": 7.0},
    PAGE | {"userId": ["u"], "anonymousId": "a"},
    PAGE | {"timestamp": "2026-11-22t13:30:00.123456+03:30"},
    PAGE | {"timestamp": "2026-11-22T13:30:00+0330"},
    without(PAGE, "timestamp") | {"originalTimestamp": "2026-11-22T10:00:00Z"},
    PAGE | {"type": "group", "properties": None, "groupId": "g", "context": {"locale": "fa"}},
    PAGE | {"properties": [], "traits": [], "context": []},
    with_properties(PAGE, quantity=-1, products={}, name=["any"]),
    with_properties(PAGE | {"type": "track", "event": "Trial Started"}, total="all", value=-3),
    without(ADDED, "properties"),
    with_properties(ADDED, quantity=-1, price=True, product_id=["p1"], currency=978),
    with_properties(ADDED, quantity="1.5", price=0, product_id=7, sku=None, colour=[1]),
    with_properties(CART, products=None),
    with_properties(CART, products=[None, {"price": -1}]),
    with_properties(CART, products=[{}, {"sku": "s", "quantity": "2"}]),
    with_properties(CART | {"event": "order_completed"}, order_id=3, total="$1e2", products="as one text"),
]


@pytest.mark.parametrize(("event", "reason"), REFUSED)
def test_what_makes_a_dead_letter_is_refused(event: object, reason: str) -> None:
    """The schema refuses what the code refuses, where a type or an absent field is the reason."""
    assert taken(event) == reason
    assert not valid("event", event)


@pytest.mark.parametrize("event", ACCEPTED)
def test_what_the_code_takes_is_accepted(event: Json) -> None:
    """A shop may add what it likes, and name what it likes under names of its own."""
    assert isinstance(taken(event), Event)
    assert valid("event", event)


def test_the_types_are_those_of_the_code() -> None:
    """The schema promises no type that makes a dead letter, and the code takes no other in silence."""
    promised = DOCUMENTS["event"]["$defs"]["Envelope"]["properties"]["type"]["enum"]
    assert set(promised) == {"track", *event_decoder._TYPES}


# --- segment changes ---------------------------------------------------------------------------

CHANGE: Json = json.loads(changes.encode(output_schemas.CHANGE))
LEAF: Json = CHANGE["reason"]


def changed(*path: str, to: object = ABSENT, of: Json = CHANGE) -> Json:
    """The change with one value replaced or removed."""
    whole = deepcopy(of)
    node = whole
    for name in path[:-1]:
        node = node[name]
    if to is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = to
    return whole


WRONG_CHANGES: list[Json] = [
    *(changed(name) for name in CHANGE if name != "emitted_at"),
    changed("change", to="removed"),
    changed("sequence", to=0),
    changed("sequence", to="7"),
    changed("segments", to="abandoned_cart"),
    changed("late", to=None),
    changed("emitted_at", to=None),
    changed("cause", to="time"),
    changed("cause", "kind", to="clock"),
    changed("cause", "event_id"),
    changed("cause", to={"kind": "event", "event_id": None}),
]
WRONG_REASONS: list[Json] = [
    {},
    {"holds": True},
    changed("holds", of=LEAF),
    changed("holds", to="yes", of=LEAF),
    changed("condition", of=LEAF),
    changed("observed", of=LEAF),
    changed("test", of=LEAF),
    changed("until", to=None, of=LEAF),
    LEAF | {"all": [LEAF]},
    {"holds": True, "all": []},
    {"holds": True, "all": [LEAF], "any": [LEAF]},
    {"holds": True, "all": LEAF},
    {"holds": True, "all": [LEAF, changed("holds", of=LEAF)]},
    {"holds": True, "any": [{"holds": False, "not": [{"all": [LEAF]}]}]},
]


def test_the_right_change_is_accepted() -> None:
    """The unchanged example is accepted, so later refusals are due to what was changed."""
    assert valid("segment-change", CHANGE)
    assert valid("segment-change", changed("emitted_at"))
    assert valid("segment-change", CHANGE | {"added": "later"})
    assert valid("reason", {"holds": True, "any": [{"holds": False, "not": [LEAF]}]})


@pytest.mark.parametrize("change", WRONG_CHANGES)
def test_a_wrong_change_is_refused(change: Json) -> None:
    """Nothing that a consumer relies on may be absent or of another type."""
    assert not valid("segment-change", change)


@pytest.mark.parametrize("reason", WRONG_REASONS)
def test_a_wrong_reason_is_refused(reason: Json) -> None:
    """A wrong reason is refused alone and in a change: a node is a group or a condition, at every depth."""
    assert not valid("reason", reason)
    assert not valid("segment-change", CHANGE | {"reason": reason})


# --- dead letters ------------------------------------------------------------------------------

CUT = bytes(dead_letters.ORIGINAL_MAX_BYTES + 1)


def letter(original: bytes | None, reason: str = "not_json", field: str = "") -> Json:
    value = dead_letters.shortened(original)
    headers = dead_letters.headers(original, dead_letters.Undecodable(reason, field), ORIGIN)
    return {
        "headers": {name: text.decode() for name, text in headers},
        "value": None if value is None else value.decode(),
    }


@pytest.mark.parametrize("original", [None, b"", b"{", CUT])
@pytest.mark.parametrize("reason", dead_letters.REASONS)
def test_a_dead_letter_is_accepted(original: bytes | None, reason: str) -> None:
    """A dead letter is accepted whole or cut, for every reason."""
    assert valid("dead-letter", letter(original, reason))
    assert all(valid("dead-letter", letter(original, reason, field)) for field in dead_letters.FIELDS)


@pytest.mark.parametrize(
    "wrong",
    [
        letter(b"", "bad_luck"),
        letter(b"", "bad_value", "total"),
        *(changed("headers", name, of=letter(CUT)) for name in letter(CUT)["headers"]),
        changed("headers", "size", to="3", of=letter(b"")),
        changed("headers", "offset", to="-1", of=letter(b"")),
        {"headers": letter(b"")["headers"]},
    ],
)
def test_a_wrong_dead_letter_is_refused(wrong: Json) -> None:
    """An unknown reason or field, a missing header, and a size without its hash are refused."""
    assert not valid("dead-letter", wrong)


# --- the topics --------------------------------------------------------------------------------

TOPICS = asyncapi.document()
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"schemas/{name}.json", Resource.from_contents(document)) for name, document in DOCUMENTS.items()
)


def references(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)


def resolved(reference: str, file: Path) -> Any:
    """The value that a reference in a file points at; raises if there is none."""
    name, _, pointer = reference.partition("#")
    node = json.loads((file.parent / name if name else file).read_text("utf-8"))
    for part in pointer.split("/")[1:]:
        node = node[int(part) if isinstance(node, list) else part]
    return node


DOCUMENT_FILES = {name: text for name, text in schemas.files().items() if name.endswith(".json")}


@pytest.mark.parametrize("name", DOCUMENT_FILES)
def test_every_reference_leads_somewhere(name: str) -> None:
    """References in the committed files lead to a definition in the same file or in another."""
    file = schemas.ROOT / name
    links = list(references(json.loads(file.read_text("utf-8"))))
    assert links
    assert all(isinstance(resolved(reference, file), dict) for reference in links)


def test_every_topic_has_its_channel() -> None:
    """Inputs are received, outputs sent, each with the message that is on it."""
    sent = {operation["channel"]["$ref"]: operation["action"] for operation in TOPICS["operations"].values()}
    wanted = dict.fromkeys(INPUTS, "receive") | dict.fromkeys(OUTPUTS, "send")
    assert sent == {f"#/channels/{topic}": action for topic, action in wanted.items()}
    for topic, channel in TOPICS["channels"].items():
        assert channel["address"] == channel["bindings"]["kafka"]["topic"] == topic
        assert len(channel["messages"]) == 1


def test_a_name_is_told_on_the_topic_that_it_belongs_on() -> None:
    """The docs place carts and purchases on the topics to which `publish` sends."""
    for name in SHOP_NAMES:
        topics = {topic for topic in INPUTS if re.search(rf"\b{name}\b", TOPICS["channels"][topic]["description"])}
        assert (topics or {"visits"}) == {input_of(name)}


def judge(schema: Json) -> Callable[[object], bool]:
    return Draft202012Validator(schema, registry=REGISTRY).is_valid


def test_the_headers_are_those_that_are_sent() -> None:
    """All attributes are accepted for both kinds of change; a missing one or another type is refused."""
    message = TOPICS["components"]["messages"]["change"]
    accepts = judge(message["headers"])
    for kind in ("entered", "exited"):
        sent = changes.headers(msgspec.structs.replace(output_schemas.CHANGE, change=kind))
        headers = {name: value.decode() for name, value in sent}
        assert headers.keys() == message["headers"]["properties"].keys()
        assert accepts(headers)
        assert not any(accepts(changed(name, of=headers)) for name in headers)
        assert not accepts(headers | {"ce_type": "segmenter.segment.moved"})


def test_the_examples_are_right() -> None:
    """Each example is accepted by what stands beside it, key and all."""
    for name in ("event", "change"):
        message = TOPICS["components"]["messages"][name]
        (example,) = message["examples"]
        assert judge(message["payload"])(example["payload"])
        assert judge(message.get("headers", {}))(example.get("headers", {}))
        accepts = judge(message["bindings"]["kafka"]["key"])
        assert accepts(example["payload"].get("userId", example["payload"].get("customer_id")))
        assert not accepts("")


# --- the files ---------------------------------------------------------------------------------


def test_the_committed_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """What is published is what the code says."""
    assert schemas.main(["--check"]) == 0, capsys.readouterr().err


def test_each_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing and a changed file give two sentences and exit code 1, until both are written anew."""
    assert schemas.main([], tmp_path) == 0
    assert schemas.main(["--check"], tmp_path) == 0
    (tmp_path / "docs/reference/asyncapi.json").unlink()
    (tmp_path / "docs/reference/schemas/event.json").write_text("{}\n")
    assert schemas.main(["--check"], tmp_path) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["docs/reference/schemas/event.json", "docs/reference/asyncapi.json"]
    assert schemas.main([], tmp_path) == 0
    assert schemas.main(["--check"], tmp_path) == 0


def test_an_unknown_argument_is_refused(tmp_path: Path) -> None:
    """An unknown argument is refused, so nothing is written by mistake."""
    assert schemas.main(["--chek"], tmp_path) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", DOCUMENT_FILES.values(), ids=DOCUMENT_FILES)
def test_a_file_reads_well_and_stays_as_it_is(text: str) -> None:
    """A file is sorted, indented, ended by a newline, with characters as they are."""
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert "\\u" not in text
    assert "\\n   " not in text
