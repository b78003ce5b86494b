"""The stays of a customer in segments, made of changes in the order of their sequence.

    change 1: entered cart at 10:00      a stay in cart from 10:00
    change 2: exited cart at 10:30       that stay ends at 10:30
    change 5: entered vip at 12:00       3 and 4 are not on the topic any more: what 5 says of all segments counts

The one rule: a change that was read is not read again, so a repeat changes no stay. Where changes are missing, the
membership that the next record states is taken over: a stay then has no known entry, or ends at the latest at that
record.

See also: `streams.sink.batch`, which loads and saves them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec


class Stay(msgspec.Struct):
    """A stay in a segment; the fields are those of the table ``segment_memberships``."""

    segment: str
    entered_at: str | None
    entered_sequence: int
    left_at: str | None = None
    left_sequence: int | None = None


class StatedMembership(Protocol):
    """A record that says in which segments a customer is: a change, or a row of the membership table."""

    @property
    def sequence(self) -> int: ...
    @property
    def segments(self) -> tuple[str, ...]: ...
    @property
    def occurred_at(self) -> str: ...


class EnteredOrExited(StatedMembership, Protocol):
    """A change of a customer's segments."""

    @property
    def segment(self) -> str: ...
    @property
    def change(self) -> str: ...


class CustomerStays:
    """The stays of one customer as they go on. ``changed``: those that are to be saved."""

    def __init__(self, sequence: int = 0, open_stays: Iterable[Stay] = ()) -> None:
        """``sequence``: of the last change that was read; ``open_stays``: those that had not ended by it."""
        self.sequence = sequence
        self.changed: dict[tuple[str, int], Stay] = {}
        self._open = {stay.segment: stay for stay in open_stays}

    def read(self, change: EnteredOrExited) -> None:
        """Take in a change; one that was read before changes nothing."""
        if change.sequence <= self.sequence:
            return
        is_next = change.sequence == self.sequence + 1
        if change.change == "entered":
            if change.segment in self._open:
                self._end(change.segment, change)
            self._begin(change.segment, change.occurred_at, change.sequence)
        else:
            if change.segment not in self._open:
                self._begin(change.segment, None, change.sequence)
            self._end(change.segment, change)
        self.sequence = change.sequence
        if not is_next:
            self._agree(change)

    def read_row(self, row: StatedMembership) -> None:
        """Take in a row, once all changes before it were read that are still on the topic."""
        if row.sequence > self.sequence:
            # With one change missing between, which may still come, the row says when that was.
            is_next = row.sequence == self.sequence + 1
            self.sequence = row.sequence
            self._agree(row, row.occurred_at if is_next else None)

    def erase(self, upto: int) -> None:
        """Drop the stays that were known by changes up to a sequence."""
        self.changed = {key: stay for key, stay in self.changed.items() if stay.entered_sequence > upto}
        self._open = {segment: stay for segment, stay in self._open.items() if stay.entered_sequence > upto}
        self.sequence = max(self.sequence, upto)

    def _agree(self, record: StatedMembership, entered_at: str | None = None) -> None:
        """Take over the membership that a record states, where changes before it are missing.

        ``entered_at``: the time of an entry among them; ``None``: it is not known.
        """
        for segment in self._open.keys() - set(record.segments):
            self._end(segment, record)
        for segment in set(record.segments) - self._open.keys():
            self._begin(segment, entered_at, record.sequence)

    def _begin(self, segment: str, entered_at: str | None, sequence: int) -> None:
        stay = self._open[segment] = Stay(segment, entered_at, sequence)
        self._mark(stay)

    def _end(self, segment: str, record: StatedMembership) -> None:
        stay = self._open.pop(segment)
        stay.left_at, stay.left_sequence = record.occurred_at, record.sequence
        self._mark(stay)

    def _mark(self, stay: Stay) -> None:
        self.changed[stay.segment, stay.entered_sequence] = stay
