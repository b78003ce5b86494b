"""Rows of the membership table, and what a tombstone says of the changes before it."""

from __future__ import annotations

import pytest

from rules.definitions.segments_file import built_in
from rules.engine import Engine
from streams.wire import memberships, step_records
from tests.support.in_memory_triggers import change as segment_change


@pytest.mark.parametrize(
    ("headers", "sequence"),
    [
        ([("sequence", b"12")], 12),
        ([], 0),
        ([("sequence", b"")], 0),
        ([("sequence", "²".encode())], 0),
        ([("sequence", b"-1")], 0),
        ([("sequence", b"9" * 40)], 0),
    ],
)
def test_what_a_tombstone_erases(headers: list[tuple[str, bytes]], sequence: int) -> None:
    """Another program may write anything there; what is no sequence counts as absent."""
    assert memberships.erased_to(headers) == sequence


def test_the_tombstones_of_a_step() -> None:
    """A customer that leaves by its erasure, one that is in no segment, and one without changes."""
    engine = Engine(built_in())
    customers = {name: engine.new() for name in ("left", "outside", "new")}
    customers["outside"].sequence = 4
    left = segment_change("left", "vip", "exited", 1_770_000_000_000, 3, cause={"kind": "erasure"})
    _, *rows = step_records.published_records([left], ("left", "outside", "new"), customers.__getitem__)
    assert {row.key: (row.value, memberships.erased_to(row.headers)) for row in rows} == {
        b"left": (None, 3),
        b"outside": (None, 4),
        b"new": (None, 0),
    }
