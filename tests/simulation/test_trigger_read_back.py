"""Claims of triggers that read their decisions back: one that runs out of time goes on from where it came to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, cast

import pytest

from streams.kafka.fetch import OutputChunk
from streams.triggers import customer_state, decision_log
from streams.triggers.customer_state import Action
from streams.wire.records import encode_entry
from streams.wire.topics import TRIGGER_DEAD_LETTERS, TRIGGER_DECISIONS
from tests.support.in_memory_triggers import START
from tests.support.trigger_lives import FILE, Topics, TriggerLives
from tests.support.trigger_segmenter import Segmenter

CHUNK = 100


class ShortTime(Topics):
    """A reading back ends, out of time, after so many chunks."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self._chunks = chunks
        self.began: list[Mapping[tuple[str, int], int | None]] = []

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> Any:
        self.began.append(dict(positions))
        left = self._chunks
        for (topic, partition), position in positions.items():
            records = self.records[topic]
            for index in range(position or 0, len(records), CHUNK):
                if not left:
                    raise TimeoutError
                left -= 1
                end = min(index + CHUNK, len(records))
                yield OutputChunk(topic, partition, cast(Any, records[index:end]), end)


def decided(number: int, kind: decision_log.DecisionKind = "sent") -> decision_log.Decision:
    action = Action("call", f"c{number}", 1, START, b"{}", START, START)
    return decision_log.of(f"u{number}", action, FILE.steps["call"], kind, START)


def lives_with(topics: Topics) -> TriggerLives:
    rng = random.Random(1)
    lives = TriggerLives(rng, FILE, Segmenter(rng, [[], []], frozenset()), 0, ())
    lives.topics = topics
    return lives


async def claim(lives: TriggerLives) -> None:
    lives.generation += 1
    await lives._claim(rebuild=True)


async def test_a_read_back_that_runs_out_of_time_goes_on_from_where_it_came_to() -> None:
    """The next claim reads from there on, and what was read before counts."""
    topics = ShortTime(3)
    topics.records[TRIGGER_DECISIONS] = [decision_log.record(decided(number)) for number in range(1_000)]
    lives = lives_with(topics)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await claim(lives)
    await claim(lives)
    assert [began[TRIGGER_DECISIONS, 0] for began in topics.began] == [None, 300, 600, 900]
    partition = lives.store._of(0)
    assert partition.outputs == {TRIGGER_DECISIONS: 1_000}
    assert all(
        customer_state.decode(partition.customers[f"u{number}"]).was_sent(f"c{number}-call") for number in range(999)
    )


async def test_no_position_passes_an_entry_that_is_partly_published() -> None:
    """The decision of a failure is on its topic, its dead letter is not: they are one entry, and the letter is left."""
    topics = ShortTime(2)
    lives = lives_with(topics)
    await claim(lives)
    failure = decided(0, "failed")
    decision, letter = decision_log.record(failure), decision_log.letter(failure, b"{}")
    partition = lives.store._of(0)
    partition.outbox.append(encode_entry([decision, letter]))  # a former owner saved it, and did not come to trim it
    topics.records[TRIGGER_DECISIONS] = [decision_log.record(decided(number)) for number in range(1, 200)]
    topics.records[TRIGGER_DECISIONS].insert(150, decision)
    topics.records[TRIGGER_DEAD_LETTERS] = [decision_log.letter(decided(900, "failed"), b"{}")]
    with pytest.raises(TimeoutError):  # the decisions are read, and the dead letters are not
        await claim(lives)
    assert (partition.outputs, len(partition.outbox)) == ({TRIGGER_DECISIONS: 100}, 1)
    await claim(lives)
    assert topics.records[TRIGGER_DEAD_LETTERS][1:] == [letter]
    assert topics.records[TRIGGER_DECISIONS].count(decision) == 1
    assert partition.outbox == []
