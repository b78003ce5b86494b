"""The audit of a run: checks that the stored and published data follow from the events.

The one rule: the audit shares no code with the audited program. The inputs are read back from Kafka, the expected
result is computed by the tests' oracle, and Redis and the outputs are read as bytes.

I1  every customer is as the oracle computes it: segments, since when, how many changes
I2  the changes on the topic add up to the same
I3  entered and exited of a segment alternate, and each change names the membership after it
I4  a change comes once, and so does a dead letter
I5  a customer's sequence has no gap
I6  the saved positions are the ends of the inputs
I7  the changes are exactly the oracle's, so no due time fired early or over an earlier event
I8  each bad record is a dead letter, once
I9  the claims' generation never went back
I10 the outbox is drained, and Redis holds what it should and no more
I11 the newest row of each customer has the membership of its newest change
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import yaml

from fault_runs import evidence
from fault_runs.evidence import In, StoredState
from fault_runs.scene import INPUTS, OUTPUTS, PARTITIONS, Scene
from tests.oracle import oracle
from tests.oracle.oracle import milliseconds
from tests.support.audit_changes import consistent
from tests.support.audit_table import table

__all__ = [
    "Audited", "AuditedCustomers", "adds_up", "audit", "clocks", "compare", "dead_letters", "holds", "listed",
    "positions", "segments",
]  # fmt: skip

GRACE_MS = 1_000
LETTER_MAX_BYTES = 64 * 1024  # the most bytes of a value in its dead letter
REDIS_BASE_BYTES = 8_000_000
REDIS_CUSTOMER_BYTES = 6_000
KEYS = {"meta", "customers", "due", "outbox", "files"}

WantedChange = tuple[str, str, int, bool]


class Audited(NamedTuple):
    """The findings of an audit, and how much was checked."""

    findings: list[str]
    counts: Counter[str]


def audit(scene: Scene) -> Audited:
    """Check everything, once the run has settled and the workers have ended."""
    counts: Counter[str] = Counter()
    inputs = evidence.inputs(scene)
    published = {name: evidence.read(scene, name) for name in OUTPUTS}
    findings = [
        *positions(scene),
        *clocks(scene),
        *dead_letters(inputs, published["dead-letters"], counts),
        *_repeats(published["segment-changes"], counts),
        *table(
            (json.loads(record.value) for record in published["segment-changes"]),
            {record.key.decode(): json.loads(record.value) for record in published["segment-memberships"]},
        ),
        *holds(scene, counts),
        *_customers(scene, inputs, published["segment-changes"], counts),
        *scene.went_back,
    ]
    counts["events"] = sum(record.bad is None for record in inputs)
    return Audited(findings, counts)


# --- independent of customers ------------------------------------------------------------------


def positions(scene: Scene) -> Iterator[str]:
    saved, ends = scene.positions(), scene.ends()
    if saved != ends:
        wrong = {place: (saved.get(place), end) for place, end in ends.items() if saved.get(place) != end}
        yield f"I6: positions and ends differ: {wrong}"


def clocks(scene: Scene) -> Iterator[str]:
    now = int(time.time() * 1000)
    for partition in range(PARTITIONS):
        if (clock := int(scene.meta(partition)["clock"])) > now - GRACE_MS:
            yield f"I7: the clock of p{partition} is {(clock - now) / 1000:.1f} s ahead of the time that it is"


def dead_letters(inputs: Sequence[In], letters: Sequence[Any], counts: Counter[str]) -> Iterator[str]:
    """Check I4 and I8: each bad record is a dead letter, once, and no other record is one."""
    wanted = {
        (
            record.topic,
            record.partition,
            record.offset,
            record.bad,
            record.key,
            (record.value or b"")[:LETTER_MAX_BYTES],
        )
        for record in inputs
        if record.bad
    }
    letter_counts: Counter[tuple[Any, ...]] = Counter()
    for letter in letters:
        headers = {name: text.decode() for name, text in letter.headers}
        topic = next(name for name in INPUTS if headers["topic"].endswith(name))
        place = topic, int(headers["partition"]), int(headers["offset"])
        letter_counts[*place, headers["reason"], letter.key, letter.value] += 1
    counts["dead letters"] = len(wanted)
    if repeated := letter_counts.total() - len(letter_counts):
        yield f"I4: {repeated} dead letters came twice"
    for letter in wanted - letter_counts.keys():
        yield f"I8: no dead letter for {letter[:4]}"
    for letter in letter_counts.keys() - wanted:
        yield f"I8: a dead letter for {letter[:4]}, which is not bad, or not so, or not as it came"


def _repeats(records: Sequence[Any], counts: Counter[str]) -> Iterator[str]:
    ids: set[str] = set()
    for record in records:
        name = json.loads(record.value)["change_id"]
        if name in ids:
            counts["repeats"] += 1
            yield f"I4: {name} came twice"
        ids.add(name)


def holds(scene: Scene, counts: Counter[str]) -> Iterator[str]:
    wanted = {scene.key(partition, name) for partition in range(PARTITIONS) for name in KEYS}
    keys = {key.decode() for key in scene.client.keys("*")}
    if keys - wanted:
        yield f"I10: Redis holds {sorted(keys - wanted)}"
    for partition in range(PARTITIONS):
        if left := scene.client.llen(scene.key(partition, "outbox")):
            yield f"I10: {left} entries are left in the outbox of p{partition}"
    customers = sum(scene.client.hlen(scene.key(partition, "customers")) for partition in range(PARTITIONS))
    counts["customers"] = customers
    used = scene.client.info("memory")["used_memory_dataset"]
    if used > REDIS_BASE_BYTES + REDIS_CUSTOMER_BYTES * customers:
        yield f"I10: Redis uses {used:,} bytes for {customers:,} customers"


# --- customers -----------------------------------------------------------------------------------


class AuditedCustomers(NamedTuple):
    """Customers of a partition: their events, changes and stored state. ``slow``: those whose events may be late."""

    events: list[Any]
    changes: Mapping[str, Sequence[Any]]
    stored: Mapping[str, StoredState]
    slow: AbstractSet[str]
    clock: int


def _customers(scene: Scene, inputs: Sequence[In], records: Sequence[Any], counts: Counter[str]) -> Iterator[str]:
    """Compare all customers with the oracle. A change that was published twice counts once, as its id is the same."""
    definitions = yaml.safe_load(scene.definitions.read_text())
    keys = segments(definitions)
    changes_of: dict[str, list[Any]] = defaultdict(list)
    for body in {body["change_id"]: body for body in (json.loads(record.value) for record in records)}.values():
        changes_of[body["customer_id"]].append(body)
    counts["changes"] = sum(map(len, changes_of.values()))
    counts["due times"] = sum(change["cause"]["kind"] == "time" for own in changes_of.values() for change in own)
    slow = evidence.slow(inputs)
    counts["slow"] = len(slow)
    everybody: set[str] = set()
    for partition in range(PARTITIONS):
        events = evidence.events([record for record in inputs if record.partition == partition])
        stored = evidence.stored(scene, partition, keys)
        audited = AuditedCustomers(events, changes_of, stored, slow, int(scene.meta(partition)["clock"]))
        everybody |= {*map(oracle.customer, events), *stored}
        yield from compare(audited, definitions, clock_is_right=scene.clock_is_right)
        yield from listed(scene, partition, stored)
    for name in changes_of.keys() - everybody:
        yield f"I1: changes were published for {name}, which sent no event"


def segments(definitions: Any) -> list[str]:
    """The keys of segments in the order of their numbers in Redis."""
    return list(oracle.in_dependency_order(oracle.conditions_of(definitions)))


def listed(scene: Scene, partition: int, stored: Mapping[str, StoredState]) -> Iterator[str]:
    """Check I10: exactly the customers that are due are listed as due."""
    if evidence.listed(scene, partition) != {name: state.due for name, state in stored.items() if state.due}:
        yield f"I10: the due times listed for p{partition} are not those of its customers"


def compare(audited: AuditedCustomers, definitions: Any, *, clock_is_right: bool) -> Iterator[str]:
    """Compare with the oracle: every customer that has an event or is stored."""
    wanted: dict[str, list[WantedChange]] = defaultdict(list)
    for change in oracle.changes(audited.events, definitions, audited.clock):
        wanted[change.customer_id].append((change.segment, change.change, change.occurred_at, change.late))
    members = oracle.membership(audited.events, definitions, audited.clock)
    times: dict[str, list[int]] = defaultdict(list)
    for event in audited.events:
        times[oracle.customer(event)].append(milliseconds(event["timestamp"]))
    for name in sorted({*members, *audited.stored}):
        changes, stored = audited.changes.get(name, ()), audited.stored.get(name)
        yield from _standing(name, stored, changes, members.get(name, frozenset()))
        if name not in audited.slow:
            yield from _exact(name, stored, changes, wanted[name])
        if clock_is_right:
            yield from _too_early(name, changes, times[name])


def _standing(name: str, stored: StoredState | None, changes: Sequence[Any], members: frozenset[str]) -> Iterator[str]:
    """Check invariants of every customer, late or not."""
    if stored is None:
        yield f"I1: {name} is not in Redis"
        return
    if stored.since.keys() != members:
        yield f"I1: {name} is in {sorted(stored.since)}, should be in {sorted(members)}"
    yield from consistent(name, changes)
    folded: set[str] = set()
    for change in changes:
        folded ^= {change["segment"]}
    yield from adds_up(name, stored, folded, len(changes))


def adds_up(name: str, stored: StoredState, folded: AbstractSet[str], count: int) -> Iterator[str]:
    """Compare the published changes with the stored customer."""
    if folded != stored.since.keys():
        yield f"I2: {name} is in {sorted(stored.since)}, the changes say {sorted(folded)}"
    if stored.sequence != count:
        yield f"I5: {name} made {stored.sequence} changes, {count} are published"


def _exact(
    name: str, stored: StoredState | None, changes: Sequence[Any], wanted: Sequence[WantedChange]
) -> Iterator[str]:
    """Check invariants of customers whose events came in time."""
    published = [
        (change["segment"], change["change"], milliseconds(change["occurred_at"]), change["late"]) for change in changes
    ]
    if published != list(wanted):
        pairs = enumerate(zip(published, wanted, strict=False))
        differing = (number for number, (left, right) in pairs if left != right)
        index = next(differing, min(len(published), len(wanted)))
        after = f"from change {index + 1} on published {published[index:][:4]}, wanted {list(wanted)[index:][:4]}"
        yield f"I7: {name}: {after}"
    since = {segment: when for segment, change, when, _ in wanted if change == "entered"}
    if stored is not None and any(since.get(segment) != when for segment, when in stored.since.items()):
        yield f"I1: {name} is in {dict(stored.since)}, entered was {since}"


def _too_early(name: str, changes: Sequence[Any], times: Sequence[int]) -> Iterator[str]:
    """Check that no due time fired early: only after the grace, or for a later event of the same customer."""
    for change in changes:
        due, emitted = milliseconds(change["occurred_at"]), milliseconds(change["emitted_at"])
        fired = change["cause"]["kind"] == "time"
        if fired and emitted < due + GRACE_MS and not any(due <= time <= emitted for time in times):
            yield f"I7: {name} changed {change['segment']} at {change['emitted_at']}, due {change['occurred_at']}"
