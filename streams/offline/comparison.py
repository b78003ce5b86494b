"""Compares two definition files over recorded events: who would be where, since when, and how much it would send.

The one rule: both files decide an event before either sees the next one, and the changes of one customer are taken in
the order of their instants. So nothing but the differences is kept.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec
import numpy as np

from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from rules.events import Event
from rules.standing import Change
from streams.offline.replay import Replay

HOUR_MS = 3_600_000
OLD, NEW = 1, 2

Which = Literal["old", "new"]
Kind = Literal["gained", "lost"]
_KINDS: Mapping[int, Kind] = {OLD: "lost", NEW: "gained"}
_SIDES: Mapping[int, Which] = {OLD: "old", NEW: "new"}


class Span(msgspec.Struct):
    """While a customer is in the segment under one definition alone: from ``since`` until before ``until`` (ms).

    ``gained``: under the new one. ``until``: ``None`` where it still was so at the end. ``why``: the change that
    began it, of which definition in ``by``; kept of a few.
    """

    customer: str
    kind: Kind
    since: int
    until: int | None = None
    why: Change | None = None
    by: Which = "new"


class Side(msgspec.Struct):
    """A segment under one definition. ``customers``: who was ever in it. ``moves``: by hour, entered less exited."""

    entered: int = 0
    exited: int = 0
    customers: set[str] = msgspec.field(default_factory=set)
    moves: Counter[int] = msgspec.field(default_factory=Counter)

    @property
    def changes(self) -> int:
        """How many segment changes it made."""
        return self.entered + self.exited

    @property
    def size(self) -> int:
        """Members at the end."""
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
        """Members at the end of each of so many hours (since 1970) from ``first`` on."""
        found = np.zeros(hours, np.int64)
        for hour, moved in self.moves.items():
            found[hour - first] += moved
        return found.cumsum()


class SegmentComparison:
    """One segment that the two files define differently."""

    def __init__(self, examples: int) -> None:
        self.old, self.new = Side(), Side()
        self._sides = {OLD: self.old, NEW: self.new}
        self._examples = examples
        self._told = Counter[Kind]()
        self._in: dict[str, int] = {}
        self._open: dict[str, Span] = {}
        self._closed: list[Span] = []

    def note(self, change: Change, by: int) -> None:
        """A change under one of the definitions."""
        self._sides[by].note(change)
        before = self._in.pop(change.customer, 0)
        after = before | by if change.kind == "entered" else before & ~by
        if after:
            self._in[change.customer] = after
        self._close(change)
        kind = _KINDS.get(after)
        if kind is not None:
            why = change if self._told[kind] < self._examples else None
            self._told[kind] += why is not None
            self._open[change.customer] = Span(change.customer, kind, change.occurred_at, why=why, by=_SIDES[by])

    def _close(self, change: Change) -> None:
        """End what was open; both definitions changed at one instant is no difference."""
        span = self._open.pop(change.customer, None)
        if span is None:
            return
        if span.since < change.occurred_at:
            span.until = change.occurred_at
            self._closed.append(span)
        else:
            self._told[span.kind] -= span.why is not None

    def spans(self) -> list[Span]:
        """Where the two differ, oldest first."""
        return sorted(_joined([*self._closed, *self._open.values()]), key=lambda span: (span.since, span.customer))


class DryRun:
    """Both definitions on the same events. ``examples``: of so many spans of each kind the reason is kept."""

    def __init__(self, old: Definitions, new: Definitions, examples: int = 3) -> None:
        self._engines = Engine(old), Engine(new)
        was, now = ({segment.key: segment.fingerprint for segment in one.segments} for one in (old, new))
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
        """Decide these events, and time up to ``until`` (ms; default: the last event). Customers of an earlier run stay
        as they were: each run is of customers of its own, such as those of one partition; then without ``links``.
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
        """From the first event to the end, at least an hour."""
        return max(self.last - self.first, HOUR_MS) / (24 * HOUR_MS)

    @property
    def hours(self) -> range:
        """The hours (since 1970) from the first event to the end."""
        return range(self.first // HOUR_MS, self.last // HOUR_MS + 1)


def _joined(spans: list[Span]) -> Iterator[Span]:
    """One span in place of two that meet: at one instant it may be decided again, and come out as before."""
    spans.sort(key=lambda span: (span.customer, span.kind, span.since))
    for at, span in enumerate(spans):
        after = spans[at + 1] if at + 1 < len(spans) else None
        if after and (after.customer, after.kind, after.since) == (span.customer, span.kind, span.until):
            spans[at + 1] = msgspec.structs.replace(after, since=span.since, why=span.why or after.why, by=span.by)
        else:
            yield span


def _together(old: Iterable[Change], new: Iterable[Change]) -> Iterator[tuple[Change, int]]:
    """What both changed, in the order of its instants, in which each of them is already."""
    return heapq.merge(
        ((change, OLD) for change in old), ((change, NEW) for change in new), key=lambda one: one[0].occurred_at
    )
