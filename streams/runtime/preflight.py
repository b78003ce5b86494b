"""Checks before a partition is read on: offsets, retention, completeness. A failed check stops the worker.

The one rule: every refusal is a `Stop` whose sentence says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from faust.types import TP

from streams.kafka.fetch import Offsets
from streams.state.contract import PartitionState
from streams.stop import COPY, REBUILD, Stop, recreated_topic


class Terms(Protocol):
    """The options of a process that these checks need."""

    @property
    def rebuild(self) -> bool:
        """Whether all events are to be read again."""

    @property
    def exact_ends(self) -> bool:
        """Whether the broker knows its end offsets exactly."""


def check_complete(tps: frozenset[TP], topics: Sequence[str], partitions: int) -> list[int]:
    """The partitions of an assignment. Raises `Stop` if one lacks an input, or was added to the topics."""
    assigned = sorted({tp.partition for tp in tps})
    if assigned and assigned[-1] >= partitions:
        raise Stop(f"the topics now have more than {partitions} partitions, so customers would move; {COPY}")
    for partition in assigned:
        missing = [topic for topic in topics if TP(topic, partition) not in tps]
        if missing:
            raise Stop(
                f"partition {partition} came without {', '.join(missing)}; all input topics need the same number of "
                "partitions: `segmenter topics verify`"
            )
    return assigned


def positions(tps: Sequence[TP], state: PartitionState, offsets: Offsets, terms: Terms) -> Mapping[TP, int]:
    """The offsets from which to read on. Raises `Stop` if Kafka's log does not fit to the saved positions."""
    next_offsets = {}
    for tp in tps:
        if not state.positions and not terms.rebuild and offsets.committed.get(tp, 0) > 0:
            raise Stop(
                f"Redis holds nothing of partition {tp.partition} but the group has read it; bring the Redis data "
                f"back, or {REBUILD}"
            )
        next_offsets[tp] = state.positions.get(tp.topic, offsets.first[tp])
    check_within_log(next_offsets, offsets, terms)
    return next_offsets


def check_within_log(positions: Mapping[TP, int], offsets: Offsets, terms: Terms) -> None:
    """Refuse positions that retention has passed, or that are beyond the end, as those of another topic are.

    Ends are requested, not taken from a fetch: a new leader answers only once its end cannot go back (KIP-207).
    """
    for tp, position in positions.items():
        name, first, end = f"{tp.topic}-{tp.partition}", offsets.first[tp], offsets.end[tp]
        if position < first:
            raise Stop(
                f"{name}: records {position} to {first - 1} were removed by retention before they were read; "
                f"{REBUILD}, and a longer retention"
            )
        if terms.exact_ends and position > end:
            raise recreated_topic(name, end, position)
