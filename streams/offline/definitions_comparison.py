"""Compares two segments files over recorded events: their members, since when, and how many changes they would send.

Both files decide an event before either sees the next one, and the changes of one customer are taken in
the order of their instants. So only the differences need memory.

    old  |-- in ------------|            two spans of difference:
    new        |-- in -----------|       lost before the new one enters, gained after the old one exits

See also: `streams.cli.diff_report`, which prints a comparison, and `streams.offline.verification`, which compares what
a worker stored with the same definitions.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec
import numpy as np

from rules.changes import Change
from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from rules.events import Event
from streams.offline.replay import Replay

HOUR_MS = 3_600_000
OLD, NEW = 1, 2

Which = Literal["old", "new"]
DifferenceKind = Literal["gained", "lost"]
_KINDS: Mapping[int, DifferenceKind] = {OLD: "lost", NEW: "gained"}
_SIDES: Mapping[int, Which] = {OLD: "old", NEW: "new"}


class Span(msgspec.Struct):
    """A time in which a customer is in the segment under one definition alone: from ``since`` to before ``until`` (ms).

    ``kind``: ``gained`` if that is the new definition. ``until``: `None` if the span lasts to the end. ``why``: the
    change that began the span, stored for the first few of each kind; ``by``: the definition that made this change.
    """

    customer: str
    kind: DifferenceKind
    since: int
    until: int | None = None
    why: Change | None = None
    by: Which = "new"


class Side(msgspec.Struct):
    """A segment under one definition.

    ``customers``: the ids of those that were ever in it. ``moves``: by hour, how many entered less how many exited.
    """

    entered: int = 0
    exited: int = 0
    customers: set[str] = msgspec.field(default_factory=set)
    moves: Counter[int] = msgspec.field(default_factory=Counter)

    @property
    def changes(self) -> int:
        """The number of segment changes."""
        return self.entered + self.exited

    @property
    def size(self) -> int:
        """The number of members at the end."""
        return self.entered - self.exited

    def note(self, change: Change) -> None:
        """Count a change."""
        hour = change.occurred_at // HOUR_MS
        if change.kind == "entered":
            self.entered += 1
            self.customers.add(change.customer)
            self.moves[hour] += 1
        else:
            self.exited += 1
            self.moves[hour] -= 1

    def sizes(self, first: int, hours: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The number of members at the end of each of ``hours`` hours (since 1970) from ``first`` on."""
        moves = np.zeros(hours, np.int64)
        for hour, moved in self.moves.items():
            moves[hour - first] += moved
        return moves.cumsum()


class SegmentComparison:
    """One segment that the two files define differently."""

    def __init__(self, examples: int) -> None:
        self.old, self.new = Side(), Side()
        self._sides = {OLD: self.old, NEW: self.new}
        self._examples = examples
        self._examples_stored = Counter[DifferenceKind]()
        # By customer: `OLD`, `NEW`, or both added up; absent when it is in the segment under neither.
        self._member_under: dict[str, int] = {}
        self._open: dict[str, Span] = {}
        self._closed: list[Span] = []

    def note(self, change: Change, by: int) -> None:
        """Take in a change under the definition ``by``."""
        self._sides[by].note(change)
        before = self._member_under.pop(change.customer, 0)
        after = before | by if change.kind == "entered" else before & ~by
        if after:
            self._member_under[change.customer] = after
        self._close(change)
        kind = _KINDS.get(after)
        if kind is not None:
            self._begin(kind, change, _SIDES[by])

    def _begin(self, kind: DifferenceKind, change: Change, by: Which) -> None:
        is_example = self._examples_stored[kind] < self._examples
        self._examples_stored[kind] += is_example
        why = change if is_example else None
        self._open[change.customer] = Span(change.customer, kind, change.occurred_at, why=why, by=by)

    def _close(self, change: Change) -> None:
        """End the customer's open span; one that would be empty, as both changed at one instant, is dropped."""
        span = self._open.pop(change.customer, None)
        if span is None:
            return
        if span.since < change.occurred_at:
            span.until = change.occurred_at
            self._closed.append(span)
        else:
            self._examples_stored[span.kind] -= span.why is not None

    def spans(self) -> list[Span]:
        """The times in which the two differ, oldest first."""
        return sorted(_joined([*self._closed, *self._open.values()]), key=lambda span: (span.since, span.customer))


class DryRun:
    """Runs both definitions on the same events. ``examples``: of so many spans of each kind the reason is stored."""

    def __init__(self, old: Definitions, new: Definitions, examples: int = 3) -> None:
        self._engines = Engine(old), Engine(new)
        was, now = _fingerprints(old), _fingerprints(new)
        self.added = sorted(now.keys() - was.keys())
        self.removed = sorted(was.keys() - now.keys())
        self.changed = sorted(key for key in was.keys() & now.keys() if was[key] != now[key])
        self.unchanged = sorted(key for key in was.keys() & now.keys() if was[key] == now[key])
        self.segments = {
            key: SegmentComparison(examples) for key in sorted((*self.added, *self.removed, *self.changed))
        }
        self.changes = {OLD: 0, NEW: 0}
        self.events = self.customers = self.first = self.last = 0

    def run(self, events: Iterable[Event], until: int | None = None, *, links: bool = True) -> None:
        """Decide these events, and the due times up to ``until`` (ms; default: the last event).

        Each run has customers of its own, such as those of one partition, and what earlier runs counted stays. Run
        one partition without ``links``, as the other ids of a person may be in other partitions.
        """
        old, new = (Replay(engine, links=links) for engine in self._engines)
        for event in old.ordered(events, until):
            self.events += 1
            self.first = event.time if not self.first else min(self.first, event.time)
            for change, by in _together(old.step(event), new.step(event)):
                self._note(change, by)
        end = old.last if until is None else until
        for change, by in _together(old.finish(end), new.finish(end)):
            self._note(change, by)
        self.customers += len(old.customers)
        self.last = max(self.last, end)

    def _note(self, change: Change, by: int) -> None:
        self.changes[by] += 1
        segment = self.segments.get(change.segment)
        if segment is not None:
            segment.note(change, by)

    @property
    def days(self) -> float:
        """The number of days from the first event to the end of the comparison; an hour at least."""
        return max(self.last - self.first, HOUR_MS) / (24 * HOUR_MS)

    @property
    def hours(self) -> range:
        """The hours (since 1970) from the first event to the end."""
        return range(self.first // HOUR_MS, self.last // HOUR_MS + 1)


def _fingerprints(definitions: Definitions) -> dict[str, str]:
    return {segment.key: segment.fingerprint for segment in definitions.segments}


def _joined(spans: list[Span]) -> Iterator[Span]:
    """Join spans of one customer and kind that meet.

    An event may turn a membership and turn it back at one instant, which ends a span where the next begins.
    """
    spans.sort(key=lambda span: (span.customer, span.kind, span.since))
    for index, span in enumerate(spans):
        following = spans[index + 1] if index + 1 < len(spans) else None
        if following is not None and _meet(span, following):
            spans[index + 1] = msgspec.structs.replace(
                following, since=span.since, why=span.why or following.why, by=span.by
            )
        else:
            yield span


def _meet(span: Span, following: Span) -> bool:
    return (following.customer, following.kind, following.since) == (span.customer, span.kind, span.until)


def _together(old: Iterable[Change], new: Iterable[Change]) -> Iterator[tuple[Change, int]]:
    """The changes of both definitions in the order of their instants; each side is in that order already."""
    by_old = ((change, OLD) for change in old)
    by_new = ((change, NEW) for change in new)
    return heapq.merge(by_old, by_new, key=lambda entry: entry[0].occurred_at)
