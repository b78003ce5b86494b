"""Stays made of changes, with repeats and with changes that are missing."""

from __future__ import annotations

import random

import pytest

from streams.sink.stays import CustomerStays, Stay
from streams.wire import memberships
from streams.wire.changes import SegmentChange
from tests.support.sink_history import SinkHistory, stays_of


def made(history: SinkHistory, name: str, read: set[int], *, row: bool) -> CustomerStays:
    """The stays of a customer by those changes that are read, saved and loaded after each."""
    saved: dict[tuple[str, int], Stay] = {}
    stays = CustomerStays()
    changes = [change for change in history.changes[name] if change.sequence in read]
    rows = [memberships.of(history.changes[name][-1])] if row else []
    for change in (*changes, *changes[-2:]):
        stays.read(change)
        saved |= stays.changed
        stays = CustomerStays(stays.sequence, [stay for stay in saved.values() if stay.left_sequence is None])
    for each in rows:
        stays.read_row(each)
    stays.changed = saved | stays.changed
    return stays


@pytest.mark.parametrize("seed", range(40))
def test_missing_changes_leave_no_wrong_stay(seed: int) -> None:
    """What is read is right, what is not known is said to be unknown, and the membership of now is that of the row."""
    draw = random.Random(seed)
    history = SinkHistory(seed, customers=1, steps=30)
    name = "c0"
    whole = history.changes[name]
    if not whole:
        return
    by_sequence = {change.sequence: change for change in whole}
    missing = set(draw.sample(sorted(by_sequence), draw.randint(0, len(whole) - 1)))
    read = by_sequence.keys() - missing
    stays = made(history, name, set(read), row=True).changed.values()
    assert {stay.segment for stay in stays if stay.left_sequence is None} == set(whole[-1].segments)
    for stay in stays:
        first = by_sequence[stay.entered_sequence]
        if stay.entered_at is not None:
            assert (first.segment, first.change, first.occurred_at) == (stay.segment, "entered", stay.entered_at)
        last = by_sequence.get(stay.left_sequence or 0)
        if last is not None:
            assert stay.left_at == last.occurred_at
            assert stay.segment not in last.segments or last.change == "entered"
    if not missing:
        expected = stays_of(whole)
        assert len(stays) == len(expected)
        assert all(stay.entered_at is not None for stay in stays)


def test_a_change_that_is_read_again_changes_nothing() -> None:
    """Also where the customer has left since."""
    history = SinkHistory(3, customers=1, steps=30)
    stays = CustomerStays(history.changes["c0"][-1].sequence)
    for change in history.changes["c0"]:
        stays.read(change)
    assert not stays.changed


@pytest.mark.parametrize("upto", range(8))
def test_an_erasure_drops_what_was_known_by_it(upto: int) -> None:
    """What the customer does after a return stays."""
    changes = stays_changes()
    stays = CustomerStays()
    for change in changes:
        stays.read(change)
    stays.erase(upto)
    assert {stay.entered_sequence for stay in stays.changed.values()} == {
        change.sequence for change in changes if change.change == "entered" and change.sequence > upto
    }


def stays_changes() -> list[SegmentChange]:
    """Changes of one customer who was never erased."""
    for seed in range(100):
        history = SinkHistory(seed, customers=1, steps=12)
        if len(history.changes["c0"]) >= 8 and not history.erased_to:
            return history.changes["c0"]
    raise AssertionError("no such history was drawn")


def test_a_row_before_its_change_says_when_it_was() -> None:
    """Leaders of two topics may show a change after its row."""
    for changes in (SinkHistory(seed, customers=1, steps=30).changes["c0"] for seed in range(20)):
        by_rows, by_changes = CustomerStays(), CustomerStays()
        for change in changes:
            by_rows.read_row(memberships.of(change))
            by_rows.read(change)
            by_changes.read(change)
        assert by_rows.changed == by_changes.changed
