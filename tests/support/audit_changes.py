"""The auditor of segment changes: the published changes of each customer, and its membership in the end.

The one rule: the oracle is given a customer's events in the order in which they were read. As
long as none came late, every change is settled: its segment, instant, order and cause. After a
late one the contract leaves open at which instant the customer stood (due times that change
nothing may have moved it), so then only the properties that hold in any case are checked. The same
holds for customers whose last save the store lost: their events may be read in another order the
second time. And where a former owner, without transactions, published such a lost change after the
topics were read back, no process can know of it: then only the store is right.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.oracle import oracle
from tests.oracle.oracle import Fact, Json, OracleChange, Run, milliseconds
from tests.support.evidence import CHANGES, TOPICS, Evidence, Left, Saved, events, once, read, steps

PROFILES = TOPICS[0]
NOBODY: Mapping[str, int] = {}
Cause = tuple[str, str, int, int]  # the event's id, and where it was read


class AuditedChange(NamedTuple):
    """A segment change; a change without a cause came by time."""

    segment: str
    change: str
    occurred_at: int
    late: bool
    cause: Cause | None


class Customer:
    """What the oracle makes of a customer's events in the order in which they were read.

    ``settled``: how many of the changes are beyond doubt; `None`: all of them.
    """

    def __init__(self, name: str, rules: oracle.Rules, first: int) -> None:
        self.facts: list[Fact] = []
        self.right: list[AuditedChange] = []
        self.settled: int | None = None
        self.erased: int | None = 0
        self._run = Run(name, rules, first)

    @property
    def is_late(self) -> bool:
        """Whether an event of the customer came late."""
        return self.settled is not None

    def fire(self, until: int) -> None:
        self._run.advance(until)
        self._note(None)

    def read(self, what: Fact, cause: Cause) -> None:
        self.fire(what.time)
        if what.time < self._run.instant and self.settled is None:
            self.settled = len(self.right)
        self.facts.append(what)
        self._run.read(self.facts)
        self._note(cause)
        if what.name == oracle.ERASURE:
            self.erased = None if self.is_late else self._run.erased

    def _note(self, cause: Cause | None) -> None:
        for change in self._run.changes[len(self.right) :]:
            self.right.append(AuditedChange(change.segment, change.change, change.occurred_at, change.late, cause))


def early_erasures(evidence: Evidence) -> dict[str, list[int]]:
    """Customers whose erasure may have been known before anything was read, and up to when (ms) nothing is told.

    Several times where several requests were there at about the moment of that look: any of them may be the last known.
    """
    first = {
        partition: min(
            (entry.stepped for entry in history if isinstance(entry, Saved) and entry.starts != entry.positions),
            default=0,
        )
        for partition, history in evidence.history.items()
    }
    hidden: dict[str, list[int]] = defaultdict(list)
    for partition, stepped in first.items():
        bad = {bad_record[:3] for bad_record in evidence.bad}
        for record in evidence.records:
            if record[:2] == (PROFILES, partition) and record[:3] not in bad:
                event = read(record, None, 0).event
                assert event is not None
                what = oracle.fact(event)
                if what.name == oracle.ERASURE and record.given_ms < evidence.start_ms + stepped * 1000:
                    name = oracle.customer(event)
                    hidden[name].append(what.time)
    return hidden


def customers(evidence: Evidence, hidden: Mapping[str, int] = NOBODY) -> dict[str, Customer]:
    """The customers with an event that was read; events up to a customer's ``hidden`` instant (ms) do not count."""
    rules = oracle.read_rules(evidence.definitions)
    by_name: dict[str, Customer] = {}
    for partition in evidence.history:
        for step, reads in steps(evidence, partition):
            for one_read in reads:
                if one_read.event is None:
                    continue
                what, name = oracle.fact(one_read.event), oracle.customer(one_read.event)
                if what.time <= hidden.get(name, 0):
                    continue
                customer = by_name.setdefault(name, Customer(name, rules, what.time))
                customer.read(what, (what.message_id, *one_read.record[:3]))
            if step.positions == step.starts:
                for name in by_name.keys() & step.customers:
                    by_name[name].fire(step.clock)
    return by_name


def erased(evidence: Evidence) -> dict[str, int | None]:
    """The erased customers and when they were erased; `None`: what was late, or lost, leaves the time open."""
    open_ = evidence.forgotten | early_erasures(evidence).keys()
    return {
        name: None if name in open_ else customer.erased
        for name, customer in customers(evidence).items()
        if customer.erased != 0
    }


def changes(evidence: Evidence) -> Iterator[str]:
    """I1-I3, I5, I7: the changes of each customer are right, and so is the membership in the end."""
    bodies: dict[str, list[Json]] = defaultdict(list)
    for record in once(evidence, CHANGES):
        body = json.loads(record.value or b"")
        bodies[body["customer_id"]].append(body)
    read_customers, hidden = customers(evidence), early_erasures(evidence)
    if strangers := bodies.keys() - read_customers.keys():
        yield f"changes are published for {sorted(strangers)}, without any event that was read"
    for name in read_customers:
        published, is_sure = [_audited_change(body) for body in bodies[name]], name not in evidence.forgotten
        wrong = list(_right(name, read_customers[name], published, is_sure=is_sure))
        if not wrong or not any(
            _is_right_after(evidence, name, erased_ms, published, is_sure=is_sure) for erased_ms in hidden.get(name, ())
        ):
            yield from wrong
        yield from consistent(name, bodies[name])
    for partition, left in evidence.left.items():
        all_events = events(evidence, partition)
        unsure = {name for name, customer in read_customers.items() if customer.is_late and customer.erased != 0}
        yield from _members(evidence, left, all_events, bodies, unsure)
        for name in left.members:
            if (
                name in read_customers
                and not read_customers[name].is_late
                and name not in evidence.forgotten | hidden.keys()
            ):
                yield from _as_replayed(name, read_customers[name], all_events, evidence.definitions, left.clock)


def _is_right_after(
    evidence: Evidence, name: str, erased_ms: int, published: Sequence[AuditedChange], *, is_sure: bool
) -> bool:
    """Whether the changes are right for a customer whose events up to then (ms) do not count."""
    by_name = customers(evidence, {name: erased_ms})
    return not (list(_right(name, by_name[name], published, is_sure=is_sure)) if name in by_name else published)


def _audited_change(body: Json) -> AuditedChange:
    cause: Any = body["cause"]
    by = None
    if cause["kind"] in ("event", "erasure"):
        by = (cause["event_id"], cause["topic"], cause["partition"], cause["offset"])
    at = milliseconds(str(body["occurred_at"]))
    return AuditedChange(str(body["segment"]), str(body["change"]), at, bool(body["late"]), by)


def _right(name: str, customer: Customer, published: Sequence[AuditedChange], *, is_sure: bool) -> Iterator[str]:
    """Settled changes are told as they are, and nothing else before them."""
    if is_sure and published[: customer.settled] != customer.right[: customer.settled]:
        yield f"changes of {name}: told {published}, right {customer.right}, of which {customer.settled} are settled"
    if is_sure and any(change.late and (change.cause is None or not customer.is_late) for change in published):
        yield f"changes of {name} are marked late: {published}"
    times = [change.occurred_at for change in published]
    if times != sorted(times):
        yield f"changes of {name} go back in time: {times}"


def consistent(name: str, bodies: Sequence[Json]) -> Iterator[str]:
    """I3, I5: entered and exited alternate, no sequence number is left out, and ``segments`` is what they add up to."""
    if [body["sequence"] for body in bodies] != list(range(1, len(bodies) + 1)):
        yield f"I5: sequence of {name}: {[body['sequence'] for body in bodies]}"
    members: set[str] = set()
    for body in bodies:
        if (body["segment"] in members) != (body["change"] == "exited"):
            yield f"I3: {name} {body['change']} {body['segment']} out of turn"
        members ^= {str(body["segment"])}
        if body["segments"] != sorted(members):
            yield f"I2: {name} is said to be in {body['segments']}, the changes add up to {sorted(members)}"


def _members(
    evidence: Evidence,
    left: Left,
    all_events: Sequence[Json],
    bodies: Mapping[str, Sequence[Json]],
    unsure: Container[str],
) -> Iterator[str]:
    """I1, I2: each customer's segments are the same in the store, by the changes, and by the set of all events.

    ``unsure``: customers with a late event and an erasure: their remaining data depend on the order.
    """
    assert all(oracle.fact(event).time <= left.clock for event in all_events), "the run ended before its last event"
    right = oracle.membership(sorted(all_events, key=_replay_order), evidence.definitions, left.clock)
    for name in sorted({*right, *left.members}):
        own, own_bodies = set(left.members.get(name, ())), bodies.get(name, ())
        if own != right.get(name, frozenset()) and name not in unsure:
            yield f"I1: {name} is in {sorted(own)}, should be in {sorted(right.get(name, ()))}"
        folded: set[str] = set()
        for body in own_bodies:
            folded ^= {str(body["segment"])}
        if folded != own:
            yield f"I2: {name} is in {sorted(own)}, the changes add up to {sorted(folded)}"
        if left.sequences.get(name, 0) != len(own_bodies):
            yield f"I5: {name} stands at {left.sequences.get(name)}, {len(own_bodies)} changes are published"


def _as_replayed(
    name: str, customer: Customer, all_events: Sequence[Json], definitions: Json, until: int
) -> Iterator[str]:
    """A customer without late events has exactly the changes of a replay of the events in time order."""
    own = sorted((event for event in all_events if oracle.customer(event) == name), key=_replay_order)
    if [_moment(oracle.fact(event)) for event in own] != [_moment(what) for what in customer.facts]:
        return  # two events of one millisecond were read in another order than a replay reads them
    right = oracle.changes(own, definitions, until)
    if right != [OracleChange(name, *change[:4]) for change in customer.right]:
        yield f"{name} was never late, a replay tells {right}, told is {customer.right}"


def _moment(what: Fact) -> tuple[int, str]:
    return what.time, what.message_id


def _replay_order(event: Json) -> tuple[int, int]:
    what = oracle.fact(event)
    return what.time, oracle.topic_rank(what.name)


def tally(evidence: Evidence) -> Counter[str]:
    """Count the kinds of customers and changes of a run."""
    counts: Counter[str] = Counter()
    for customer in customers(evidence).values():
        counts["customer late" if customer.is_late else "customer never late"] += 1
        counts["change by time"] += sum(change.cause is None for change in customer.right)
        counts["change by an event"] += sum(change.cause is not None for change in customer.right)
        counts["change marked late"] += sum(change.late for change in customer.right)
    return +counts
