"""The auditor of segment changes: what was told of each customer, and where everybody is in the end.

The one rule: the oracle is given a customer's events in the order in which they were read. As
long as none came late, every change is settled: its segment, instant, order and cause. After a
late one the contract leaves open at which instant the customer stood (due times that change
nothing may have moved it), so then only what must hold in any case is asked. So it is of customers
of whom the store lost a save: their events may be read in another order the second time. And where
a former owner, without transactions, published such a lost change after the topics were read back,
nobody can know of it: then only the store is right.
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


class Told(NamedTuple):
    """A change; without a cause it came by time."""

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
        self.right: list[Told] = []
        self.settled: int | None = None
        self.erased: int | None = 0
        self._run = Run(name, rules, first)

    @property
    def is_late(self) -> bool:
        """Whether an event of its came late."""
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
        for one in self._run.changes[len(self.right) :]:
            self.right.append(Told(one.segment, one.change, one.occurred_at, one.late, cause))


def asked_before(found: Evidence) -> dict[str, list[int]]:
    """Who may have been known to be erased before anything was read, and up to when (ms): nothing of that is told.

    Several times where several requests were there at about the moment of that look: any of them may be the last known.
    """
    first = {
        partition: min(
            (one.stepped for one in history if isinstance(one, Saved) and one.starts != one.positions), default=0
        )
        for partition, history in found.history.items()
    }
    hidden: dict[str, list[int]] = defaultdict(list)
    for partition, stepped in first.items():
        bad = {one[:3] for one in found.bad}
        for record in found.records:
            if record[:2] == (PROFILES, partition) and record[:3] not in bad:
                event = read(record, None, 0).event
                assert event is not None
                what = oracle.fact(event)
                if what.name == oracle.ERASURE and record.given_ms < found.start_ms + stepped * 1000:
                    name = oracle.customer(event)
                    hidden[name].append(what.time)
    return hidden


def customers(found: Evidence, hidden: Mapping[str, int] = NOBODY) -> dict[str, Customer]:
    """Everybody of whom something was read; what is ``hidden``, up to then (ms), does not count."""
    rules = oracle.read_rules(found.definitions)
    known: dict[str, Customer] = {}
    for partition in found.history:
        for step, reads in steps(found, partition):
            for one_read in reads:
                if one_read.event is None:
                    continue
                what, name = oracle.fact(one_read.event), oracle.customer(one_read.event)
                if what.time <= hidden.get(name, 0):
                    continue
                one = known.setdefault(name, Customer(name, rules, what.time))
                one.read(what, (what.message_id, *one_read.record[:3]))
            if step.positions == step.starts:
                for name in known.keys() & step.customers:
                    known[name].fire(step.clock)
    return known


def erased(found: Evidence) -> dict[str, int | None]:
    """Who was erased, and when; `None`: what was late, or lost, leaves it open."""
    open_ = found.forgotten | asked_before(found).keys()
    return {name: None if name in open_ else one.erased for name, one in customers(found).items() if one.erased != 0}


def changes(found: Evidence) -> Iterator[str]:
    """I1-I3, I5, I7: customer by customer, and the membership in the end."""
    told: dict[str, list[Json]] = defaultdict(list)
    for record in once(found, CHANGES):
        body = json.loads(record.value or b"")
        told[body["customer_id"]].append(body)
    known, hidden = customers(found), asked_before(found)
    if strangers := told.keys() - known.keys():
        yield f"told of {sorted(strangers)}, of whom nothing was read"
    for name in known:
        said, is_sure = [_said(body) for body in told[name]], name not in found.forgotten
        wrong = list(_right(name, known[name], said, is_sure=is_sure))
        if not wrong or not any(
            _is_right_after(found, name, erased_ms, said, is_sure=is_sure) for erased_ms in hidden.get(name, ())
        ):
            yield from wrong
        yield from consistent(name, told[name])
    for partition, left in found.left.items():
        all_events = events(found, partition)
        unsure = {name for name, one in known.items() if one.is_late and one.erased != 0}
        yield from _members(found, left, all_events, told, unsure)
        for name in left.members:
            if name in known and not known[name].is_late and name not in found.forgotten | hidden.keys():
                yield from _as_replayed(name, known[name], all_events, found.definitions, left.clock)


def _is_right_after(found: Evidence, name: str, erased_ms: int, said: Sequence[Told], *, is_sure: bool) -> bool:
    """Whether it is what is told of a customer of whom nothing counts up to then (ms)."""
    known = customers(found, {name: erased_ms})
    return not (list(_right(name, known[name], said, is_sure=is_sure)) if name in known else said)


def _said(one: Json) -> Told:
    cause: Any = one["cause"]
    by = None
    if cause["kind"] in ("event", "erasure"):
        by = (cause["event_id"], cause["topic"], cause["partition"], cause["offset"])
    at = milliseconds(str(one["occurred_at"]))
    return Told(str(one["segment"]), str(one["change"]), at, bool(one["late"]), by)


def _right(name: str, one: Customer, said: Sequence[Told], *, is_sure: bool) -> Iterator[str]:
    """What is settled is told so, and nothing else before it."""
    if is_sure and said[: one.settled] != one.right[: one.settled]:
        yield f"changes of {name}: told {said}, right {one.right}, of which {one.settled} are settled"
    if is_sure and any(change.late and (change.cause is None or not one.is_late) for change in said):
        yield f"changes of {name} are marked late: {said}"
    times = [change.occurred_at for change in said]
    if times != sorted(times):
        yield f"changes of {name} go back in time: {times}"


def consistent(name: str, told: Sequence[Json]) -> Iterator[str]:
    """I3, I5: entered and exited alternate, no sequence number is left out, and ``segments`` is what they add up to."""
    if [one["sequence"] for one in told] != list(range(1, len(told) + 1)):
        yield f"I5: sequence of {name}: {[one['sequence'] for one in told]}"
    members: set[str] = set()
    for one in told:
        if (one["segment"] in members) != (one["change"] == "exited"):
            yield f"I3: {name} {one['change']} {one['segment']} out of turn"
        members ^= {str(one["segment"])}
        if one["segments"] != sorted(members):
            yield f"I2: {name} is said to be in {one['segments']}, the changes add up to {sorted(members)}"


def _members(
    found: Evidence,
    left: Left,
    all_events: Sequence[Json],
    told: Mapping[str, Sequence[Json]],
    unsure: Container[str],
) -> Iterator[str]:
    """I1, I2: where everybody is by the store, by what was told, and by the set of all events.

    ``unsure``: of whom something was late and something erased: what is left of them depends on the order.
    """
    assert all(oracle.fact(one).time <= left.clock for one in all_events), "the run ended before its last event"
    right = oracle.membership(sorted(all_events, key=_replay_order), found.definitions, left.clock)
    for name in sorted({*right, *left.members}):
        own, own_told = set(left.members.get(name, ())), told.get(name, ())
        if own != right.get(name, frozenset()) and name not in unsure:
            yield f"I1: {name} is in {sorted(own)}, should be in {sorted(right.get(name, ()))}"
        folded: set[str] = set()
        for one in own_told:
            folded ^= {str(one["segment"])}
        if folded != own:
            yield f"I2: {name} is in {sorted(own)}, the changes add up to {sorted(folded)}"
        if left.sequences.get(name, 0) != len(own_told):
            yield f"I5: {name} stands at {left.sequences.get(name)}, {len(own_told)} changes were told"


def _as_replayed(name: str, one: Customer, all_events: Sequence[Json], definitions: Json, until: int) -> Iterator[str]:
    """Of whom nothing came late, no more and no less is told than a replay of the events in time order tells."""
    own = sorted((event for event in all_events if oracle.customer(event) == name), key=_replay_order)
    if [_moment(oracle.fact(event)) for event in own] != [_moment(what) for what in one.facts]:
        return  # two events of one millisecond were read in another order than a replay reads them
    right = oracle.changes(own, definitions, until)
    if right != [OracleChange(name, *change[:4]) for change in one.right]:
        yield f"{name} was never late, a replay tells {right}, told is {one.right}"


def _moment(what: Fact) -> tuple[int, str]:
    return what.time, what.message_id


def _replay_order(event: Json) -> tuple[int, int]:
    what = oracle.fact(event)
    return what.time, oracle.topic_rank(what.name)


def tally(found: Evidence) -> Counter[str]:
    """What the changes of a run were like."""
    counts: Counter[str] = Counter()
    for one in customers(found).values():
        counts["customer late" if one.is_late else "customer never late"] += 1
        counts["change by time"] += sum(change.cause is None for change in one.right)
        counts["change by an event"] += sum(change.cause is not None for change in one.right)
        counts["change marked late"] += sum(change.late for change in one.right)
    return +counts
