"""Outputs are bounded: whatever a definition asks and whatever customers send, each record can be published.

What was cut is compared with what was there before: the marks say exactly what is left out.
"""

from __future__ import annotations

import json
import random
import re
import tracemalloc
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest
from jsonschema import Draft202012Validator

from doc_tools import output_schemas
from rules.changes import Change
from rules.definitions.condition_parsing import DEPTH_MAX
from rules.definitions.limits import CONDITION_MAX_BYTES, TEXT_MAX_CHARS
from rules.definitions.segments_file import SEGMENTS_MAX, DefinitionsError, build, built_in, parse
from rules.engine import Engine
from rules.events import Origin
from rules.profile.attributes import SHOWN_MAX_CHARS
from rules.reason_limits import REASON_MAX_BYTES, bounded
from rules.reasons import Observed, Reason, StepAsked, TotalShown
from rules.sentences.reason_sentence import LANGUAGES, SENTENCE_MAX_CHARS, embedded, sentence
from rules.untrusted_texts import FSI, PDI, RLI
from streams.cli import tail
from streams.kafka.fetch import FetchedRecord
from streams.offline.replay import Replay
from streams.triggers import decision_log
from streams.triggers.customer_state import Action
from streams.triggers.inputs import reading
from streams.wire import changes, dead_letters, memberships, step_records
from streams.wire.changes import CHANGE_MAX_BYTES, SegmentChange
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import CUSTOMER_MAX_BYTES, MESSAGE_ID_MAX_CHARS, decode_line
from streams.wire.records import BATCH_MAX_BYTES, OutRecord, encode_entry
from streams.wire.topics import TRIGGER_DEAD_LETTERS
from streams.worker.output_recovery import OutboxEntry
from tests.support.in_memory_triggers import change as trigger_change
from tests.support.in_memory_triggers import change_input

START = 1_770_000_000_000
INSTANT = "2026-03-01T12:00:00.000Z"
SEEDS = range(60)
_SCHEMA = Draft202012Validator(output_schemas.segment_change())
_GROUPS = ("all", "any", "not")
TIMES = {"on": ["2026-11-27", "2026-12-01"], "weekday": ["sat", "sun"], "hours": {"from": "18:00", "to": "23:00"}}
# Of every width in JSON, and what sentences must escape.
_CHARACTERS = ("x", '"', "\\", "\x00", "م", "€", "😀", "\u202e", "\u2068", "\u2069", "~", "/", "1")


# --- reasons of any size -----------------------------------------------------------------------


class Drawn:
    """Reasons at random, small and huge; of about 100,000 characters at most, so that drawing takes no time."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        # Long texts or long lists.
        self._longest = self._rng.choice((3, 80, 2_000))
        self._most = {3: 1_000, 80: 200, 2_000: 12}[self._longest]
        self._left = self._rng.choice((20, 4_000, 12_000, 100_000))

    def text(self) -> str:
        kinds = self._rng.choices(_CHARACTERS, k=self._rng.choice((1, 3)))
        length = min(self._rng.choice((1, self._longest, self._rng.randrange(self._longest) + 1)), max(1, self._left))
        self._left -= length
        return "".join(kinds) * (length // 3 + 1)

    def texts(self) -> list[str]:
        """One or more texts."""
        most = self._rng.choice((1, 2, self._most))
        texts = [self.text()]
        while len(texts) < most and self._left > 0:
            texts.append(self.text())
        return texts

    def tests(self) -> dict[str, Any]:
        return {name: self._test() for name in self.texts()[: self._rng.choice((1, 3, 40))]}

    def _test(self) -> Any:
        kind = self._rng.choice(("in", "not_in", "contains", "equals", "number"))
        if kind in ("in", "not_in"):
            return {kind: self.texts()}
        return {"contains": {"contains": self.text()}, "equals": self.text(), "number": 5}[kind]

    def reason(self, depth: int = 0) -> Reason:
        if depth == DEPTH_MAX or self._rng.random() < (0.3 if depth else 0):
            return self._leaf()
        members = [self.reason(depth + 1)]
        most = self._rng.choice((1, 2, 300)) if depth else 300
        while len(members) < most and self._left > 0:
            members.append(self.reason(depth + 1))
        group = self._rng.choice(("all", "any", "not_"))
        return Reason(self._rng.random() < 0.5, **cast("Any", {group: members}))

    def _leaf(self) -> Reason:
        self._left -= 10
        holds = self._rng.random() < 0.5
        match self._rng.randrange(6):
            case 0:
                values = {name: self.text() for name in self.texts()}
                return Reason(holds, "trait", Observed(values=cast("Any", values)), self.tests())
            case 1:
                event = tuple(self.texts())
                return Reason(holds, "performed", Observed(count=3), {"at_least": 1}, event=event, where=self.tests())
            case 2:
                steps = [StepAsked(self.text(), self.tests()) for _ in range(self._rng.randrange(10) + 1)]
                return Reason(holds, "sequence", Observed(), {}, steps=steps, same=self.text())
            case 3:
                totals = [TotalShown("sum", self.text(), tuple(self.texts()), self.tests(), TIMES) for _ in range(2)]
                return Reason(holds, "ratio", Observed(value=2, of=4, to=2), {"above": 1}, totals=totals)
            case 4:
                return Reason(holds, "sample", Observed(), {"percent": 1, "salt": self.text()})
            case _:
                between = ["12-20", "12-31"]
                return Reason(holds, "calendar", Observed(date="2026-03-01"), {"between": between, "timezone": "UTC"})


def size(reason: Reason) -> int:
    return len(msgspec.json.encode(reason))


def check_cut(whole: Mapping[str, Any], node: Mapping[str, Any]) -> None:
    """The marks of a node, and of those under it, say exactly what of the whole is left out."""
    marks = dict(node.get("cut", {}))
    assert node.keys() - {"cut"} == whole.keys()
    for name, value in whole.items():
        if name in _GROUPS:
            members = node[name]
            assert len(value) - len(members) == marks.pop(f"/{name}", 0)
            for before, after in zip(value, members, strict=False):
                check_cut(before, after)
        else:
            _check_value(value, node[name], f"/{name}", marks)
    assert marks == {}


def _check_value(whole: Any, left: Any, place: str, marks: dict[str, int]) -> None:
    if isinstance(whole, str) and left != whole:
        assert left.endswith("…")
        assert whole.startswith(left[:-1])
        assert len(whole) - len(left[:-1]) == marks.pop(place)
    elif isinstance(whole, dict):
        assert len(whole) - len(left) == marks.pop(place, 0)
        assert [name for name in whole if name in left] == list(left)
        for name, value in left.items():
            _check_value(whole[name], value, f"{place}/{name.replace('~', '~0').replace('/', '~1')}", marks)
    elif isinstance(whole, list | tuple):
        assert len(whole) - len(left) == marks.pop(place, 0)
        for index, value in enumerate(left):
            _check_value(whole[index], value, f"{place}/{index}", marks)
    else:
        assert left == whole


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reason_of_any_size(seed: int) -> None:
    """A large reason is cut to fit: each value keeps its beginning, and a mark says how much is cut."""
    reason = Drawn(seed).reason()
    left = bounded(reason)
    assert size(left) <= REASON_MAX_BYTES
    if size(reason) <= REASON_MAX_BYTES:
        assert left is reason
    else:
        check_cut(msgspec.to_builtins(reason), msgspec.to_builtins(left))
    assert bounded(left) is left


def test_what_is_drawn_is_of_every_size() -> None:
    """Drawn reasons have every size, or the test above would show nothing."""
    sizes = [size(Drawn(seed).reason()) for seed in SEEDS]
    assert sum(length <= REASON_MAX_BYTES for length in sizes) >= 5
    assert sum(length > 10 * REASON_MAX_BYTES for length in sizes) >= 8
    assert sum(REASON_MAX_BYTES < length < 4 * REASON_MAX_BYTES for length in sizes) >= 2


def test_the_largest_reason_of_one_chain() -> None:
    """A chain as deep as conditions nest, with the longest texts of control characters, meets the last limit."""
    tests = {"\x00" * 64: {"in": ["\x00" * 500] * 1_000, "not_in": ["\x01" * 500] * 1_000}}
    steps = [StepAsked(tuple("\x02" * 500 for _ in range(9)), tests) for _ in range(10)]
    reason = Reason(False, "sequence", Observed(), {}, steps=steps, same="\x00" * 500, segment="s" * 64)
    small = Reason(False, "removed", Observed(), {})
    for _ in range(DEPTH_MAX):
        reason = Reason(False, all=[reason, *[small] * 50])
    left = bounded(reason)
    assert size(left) <= REASON_MAX_BYTES
    check_cut(msgspec.to_builtins(reason), msgspec.to_builtins(left))


def test_a_ratio_under_the_last_limit() -> None:
    """Of a ratio of which single fields are left, the sentence says what is left."""
    where = {f"{'x' * 60}{number}": {"in": ["x" * 60] * 300} for number in range(9)}
    totals = [TotalShown("sum", "x" * 60, "x" * 60, where, TIMES)] * 2
    leaf = Reason(True, "ratio", Observed(value=2, of=4, to=2), {"above": 1}, totals=totals)
    reason = Reason(True, any=[Reason(True, any=[leaf] * 6)] * 6)
    left = bounded(reason)
    assert size(left) <= REASON_MAX_BYTES
    check_cut(msgspec.to_builtins(reason), msgspec.to_builtins(left))
    assert "the ratio is 2 (asked: a ratio of above 1)" in sentence(left, "en")
    assert "sum" not in sentence(left, "en")


# --- sentences ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sentence_of_any_reason(seed: int) -> None:
    """A sentence has a bounded length, closes each isolate that it opens, and builds nothing large on the way."""
    reason = Drawn(seed).reason()
    for variant in (reason, bounded(reason)):
        for language in LANGUAGES:
            words = sentence(variant, language)
            assert len(words) <= SENTENCE_MAX_CHARS + 8
            assert words.count(FSI) + words.count(RLI) == words.count(PDI)


def test_no_large_sentence_is_built() -> None:
    """Words of megabytes are written only as far as they are read."""
    where = {f"property {number}": {"in": ["x" * 500] * 1_000} for number in range(1_000)}
    names = tuple("y" * 500 for _ in range(10_000))
    leaf = Reason(True, "performed", Observed(count=1, first_at=INSTANT), {"at_least": 1}, event=names, where=where)
    whole = Reason(True, any=[Reason(True, all=[leaf] * 30)] * 30)
    tracemalloc.start()
    words = [sentence(whole, language) for language in LANGUAGES]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(text) for text in words] == [pytest.approx(SENTENCE_MAX_CHARS, abs=8)] * len(LANGUAGES)
    assert peak < 1_000_000


def test_a_long_list_is_counted_whole_from_what_is_left_of_it() -> None:
    """A reader of the topic is told the same number as where the change was made, and that something was cut."""
    where = {"x": {"in": [f"value {number}" for number in range(1_000)]}}
    reason = Reason(True, "performed", Observed(count=1), {"at_least": 1}, event="page", where=where)
    words = sentence(reason)
    assert words.endswith("“value 4” and 995 more) ever (asked: at least 1)")
    left = bounded(reason)
    assert left.cut == {"/where/x/in": 744}
    assert sentence(left) == f"{words} (shortened)"


@pytest.mark.parametrize("group", ["all", "any", "not_"])
def test_members_left_out_are_counted(group: str) -> None:
    """The sentence of the whole counts them, and so does that of what is left."""
    member = Reason(True, "trait", Observed(values={"plan": "p" * 80}), {"plan": "q" * 200})
    reason = Reason(True, **cast("Any", {group: [member] * 500}))
    left = bounded(reason)
    assert (left.cut or {}) == {f"/{group.rstrip('_')}": 500 - len(getattr(left, group))}
    ends = [re.fullmatch(r"(.*) and (\d+) more", sentence(variant)) for variant in (reason, left)]
    written = [words[1].count("plan is “p") + int(words[2]) for words in ends if words]
    assert written == [500, 500]


# --- changes -----------------------------------------------------------------------------------


def change_of(reason: Reason, **more: Any) -> SegmentChange:
    fields: dict[str, Any] = {
        "change_id": "c" * 32, "customer_id": "u1", "segment": "s", "change": "entered", "occurred_at": INSTANT,
        "sequence": 1, "segments": ("s",), "cause": changes.Cause("time"), "reason": reason, "definition": "d" * 12,
        "said": {language: sentence(reason, language) for language in LANGUAGES}, "emitted_at": INSTANT,
    }  # fmt: skip
    return SegmentChange(**{**fields, **more})


def largest(reason: Reason) -> SegmentChange:
    """A record in which all that is not cut is as long as it may be."""
    segments = tuple(f"{number:064d}" for number in range(SEGMENTS_MAX))
    cause = changes.Cause("event", "\x00" * MESSAGE_ID_MAX_CHARS, "t" * 249, 2**31, 2**63 - 1)
    customer = '"' * CUSTOMER_MAX_BYTES
    return change_of(
        reason, customer_id=customer, segment=segments[0], segments=segments, sequence=2**63 - 1, cause=cause
    )


def weight(record: OutRecord) -> int:
    """The bytes of a record in a batch, about."""
    headers = sum(len(name) + len(value or b"") + 10 for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + 100


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_of_any_size(seed: int) -> None:
    """A change fits with its row, agrees with the schema, and only its reason and sentences are cut."""
    change = largest(Drawn(seed).reason())
    record, row = step_records.published_records([change], (), lambda _: Engine(built_in()).new())
    assert len(record.value or b"") <= CHANGE_MAX_BYTES
    assert max(weight(record), weight(row)) < BATCH_MAX_BYTES / 2
    decoded = changes.decode(record.value or b"")
    replaced = msgspec.structs.replace(decoded, reason=change.reason, said=change.said)
    assert replaced == change
    assert decoded.reason == bounded(change.reason)
    assert memberships.decode(row.value or b"").segments == change.segments
    _SCHEMA.validate(json.loads(record.value or b""))
    assert changes.encode(change) == record.value
    assert changes.bounded(record.value or b"") == record.value


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_that_a_former_version_saved(seed: int) -> None:
    """A large saved change is cut before it is published, in each way to it; its headers still identify it."""
    change = largest(Drawn(seed).reason())
    long = msgspec.structs.replace(change, said={"en": "x" * 700_000, "fa": f"{RLI}{FSI}" * 100_000})
    saved = OutRecord("segment-changes", b"u1", msgspec.json.encode(long), changes.headers(change))
    (cut,) = OutboxEntry(encode_entry([saved])).records
    assert len(cut.value or b"") <= CHANGE_MAX_BYTES
    assert (cut.topic, cut.key, cut.headers) == (saved.topic, saved.key, saved.headers)
    assert changes.decode(cut.value or b"").segments == change.segments
    letter = OutRecord(TRIGGER_DEAD_LETTERS, b"u1", saved.value, [])
    assert decision_log.bounded(letter).value == cut.value


def test_what_is_not_too_large_is_published_as_it_was_saved() -> None:
    """A change that is not too large is published byte for byte, even with fields of another version."""
    odd = OutRecord("segment-changes", b"u1", b'{"of another version": 1}', [])
    assert step_records.bounded(odd) is odd
    letter = OutRecord(TRIGGER_DEAD_LETTERS, b"u1", b'{"of another version": 1}', [])
    assert decision_log.bounded(letter) == letter
    row = OutRecord("segment-memberships", b"u1", bytes(2 * CHANGE_MAX_BYTES), [])
    assert step_records.bounded(row) is row
    assert decision_log.bounded(row) is row


def test_tail_of_a_change_that_was_cut() -> None:
    """`tail` prints one line of a bounded length."""
    change = changes.decode(changes.encode(change_of(Drawn(7).reason())))
    line = tail.line(change).plain
    assert "\n" not in line
    assert len(line) < SENTENCE_MAX_CHARS + 200
    assert embedded(change.reason) in line


@pytest.mark.parametrize("field", ["customer_id", "change_id", "segments"])
def test_what_others_wrote_makes_no_row_that_cannot_be_published(field: str) -> None:
    """The read-back and triggers refuse a change whose uncut fields are longer than ours."""
    longest = largest(Reason(False))
    assert changes.published_change(changes.encode(longest))[1].segments == longest.segments
    value: Any = ("s" * 600_000,) if field == "segments" else "u" * 600_000
    strange = msgspec.json.encode(change_of(Reason(False), **{field: value}))
    with pytest.raises(msgspec.DecodeError):
        changes.published_change(strange)
    assert reading(FetchedRecord("segment-changes", 0, START, b"u1", strange), cast("Any", None)) == Undecodable(
        "not_a_change"
    )


# --- through the engine ------------------------------------------------------------------------


def listed(count: int, chars: int, name: str = "x") -> dict[str, Any]:
    """A segment that lists so many values of so many characters."""
    values = [f"{number:04d}".ljust(chars, "v") for number in range(count)]
    when = {"performed": {"event": "Product Viewed", "where": {name: {"in": values}}}}
    return {"version": 1, "segments": {"listed": {"title": "Listed", "when": when}}}


def viewed(**properties: object) -> bytes:
    event = {
        "type": "track", "event": "Product Viewed", "messageId": "m", "userId": "u1",
        "timestamp": "2026-03-01T12:00:00Z", "properties": properties,
    }  # fmt: skip
    return json.dumps(event).encode()


def replayed(document: dict[str, Any], *lines: bytes) -> list[Change]:
    engine = Engine(parse(json.dumps(document), "file"))
    return list(Replay(engine).run([decode_line(line, origin=Origin("visits", 0, 0)) for line in lines], None))


@pytest.mark.parametrize(("count", "chars", "left"), [(1_000, 12, 256), (1_000, 200, 16), (400, 12, None)])
def test_a_rule_that_lists_a_thousand_values(count: int, chars: int, left: int | None) -> None:
    """A rule decides by all of its values; the change shows the first ones and how many more there are."""
    (change,) = replayed(listed(count, chars), viewed(x=f"{count - 1:04d}".ljust(chars, "v")))
    value = json.loads(changes.encode(changes.of(change, INSTANT)))
    assert len(json.dumps(value, ensure_ascii=False).encode()) < 20_000
    values = value["reason"]["where"]["x"]["in"]
    assert len(values) == (left or count)
    assert value["reason"].get("cut", {}).get("/where/x/in") == (count - left if left else None)
    assert f" and {count - 5} more)" in value["said"]["en"]
    assert value["change_id"] == change.id


def test_a_value_of_a_megabyte_that_a_customer_sends() -> None:
    """What a change shows of a trait is its beginning."""
    when = {"trait": {"bio": {"contains": "x"}}}
    raw_event = json.dumps({
        "type": "identify", "messageId": "m", "userId": "u1", "timestamp": "2026-03-01T12:00:00Z",
        "traits": {"bio": "x" * 1_000_000},
    }).encode()  # fmt: skip
    (change,) = replayed({"version": 1, "segments": {"s": {"title": "S", "when": when}}}, raw_event)
    value = changes.encode(changes.of(change, INSTANT))
    assert len(value) < 2_000
    (shown,) = json.loads(value)["reason"]["observed"]["values"].values()
    assert len(shown) == SHOWN_MAX_CHARS


# --- dead letters ------------------------------------------------------------------------------


@pytest.mark.parametrize("large", [0, dead_letters.ORIGINAL_MAX_BYTES, dead_letters.ORIGINAL_MAX_BYTES + 1, 1 << 20])
def test_a_dead_letter_of_any_size(large: int) -> None:
    """Key, value and headers together fit into a batch several times."""
    record = FetchedRecord("t" * 249, 2**63 - 1, 0, b"k" * large, b"v" * large)
    why = Undecodable("absurd_timestamp", "originalTimestamp")
    assert weight(step_records.dead_letter_record(record, why, 2**31)) < BATCH_MAX_BYTES / 3


# --- what a definition may hold ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "path", "right"),
    [
        (listed(1, 501), "when.performed.where.x.in[0]", "501 characters, at most 500: it would stand in every change"),
        (listed(1, 9, "x" * 501), "when.performed.where", "a name of 501 characters, at most 500: xxxxxxxx"),
        (
            listed(1_000, 300),
            "when",
            "bytes as JSON, at most 262,144; list fewer values, or let the shop send a property",
        ),
    ],
    ids=["a value", "a name", "a condition"],
)
def test_a_definition_that_adds_too_much(document: dict[str, Any], path: str, right: str) -> None:
    """The file, the path inside it and what would be right are named; a worker that stored it before reads it."""
    with pytest.raises(DefinitionsError) as refused:
        parse(json.dumps(document), "file")
    (problem,) = refused.value.lines
    assert problem.startswith(f"segments.listed.{path}: ")
    assert right in problem
    assert build(document, "stored").segments


def test_definitions_up_to_their_limits() -> None:
    """Definitions up to their limits are accepted."""
    for document in (
        listed(1, TEXT_MAX_CHARS, "x" * TEXT_MAX_CHARS),
        listed(1_000, CONDITION_MAX_BYTES // 1_000 - 5),
    ):
        assert parse(json.dumps(document), "file").segments


# --- triggers ----------------------------------------------------------------------------------


def test_what_triggers_take_in_is_bounded() -> None:
    """A change of a former version goes on as a webhook, or a dead letter, no longer than one of this version."""
    long = trigger_change("u1", "s", "entered", START, 1, said={"en": "x" * 700_000})
    event = change_input(long, START)
    assert len(event.value) <= CHANGE_MAX_BYTES
    assert changes.decode(event.value).change_id == long.change_id
    stored = msgspec.json.encode(long)  # by a former version, with the action
    action = Action("t", long.change_id, 1, START, stored, START, START)
    letter = decision_log.letter(decision_log.of("u1", action, None, "failed", START, "refused"), stored)
    assert letter.value == event.value
