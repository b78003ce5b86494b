"""Ownership: which partitions this worker holds, from claim to release.

The one rule: Redis's position is the truth. Every assignment claims its partitions anew, reads
on from the saved positions, and refuses what cannot go on safely before anything is written.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec
from aiokafka.errors import KafkaError
from faust.types import TP

from rules.engine import Engine
from streams.merge import Merge
from streams.outbox import Outbox, Publisher, PublishFailed
from streams.segmenter import Ceiling, Segmenter
from streams.shard import Pace, Shard
from streams.stop import Stop
from streams.store import Claim, ClaimRefused, Fenced, Identity, LowerGeneration, State, Store, StoreFailed
from streams.transport import Batch, Consumer, Offsets
from streams.watchdog import Reading

log = logging.getLogger(__name__)

# Faust gives a claim 90 s and then goes on, deaf: it must have failed loudly before.
CLAIM_MAX_S = 30.0


class Plan(msgspec.Struct, frozen=True):
    """What does not change while the worker runs. ``topics``: the inputs in reading order."""

    topics: Sequence[str]
    identity: Identity
    engine: Engine
    pace: Pace
    ceiling: Ceiling
    rebuild: bool
    exact_ends: bool
    belongs: Callable[[str, int], bool]
    now_ms: Callable[[], int]
    stop: Callable[[str], None]


class _Held(msgspec.Struct, frozen=True):
    shard: Shard
    tasks: list[asyncio.Task[None]]


class Ownership:
    """The shards of this worker; the `streams.transport.Owner` of what is fetched."""

    def __init__(self, plan: Plan, store: Store, publisher: Publisher) -> None:
        self._plan = plan
        self._store = store
        self._publisher = publisher
        self._held: dict[int, _Held] = {}
        self._generation = -1
        self._consumer: Consumer | None = None

    def position(self, tp: TP) -> int | None:
        """The saved position of an input partition; ``None`` when it is not ours."""
        held = self._held.get(tp.partition)
        return None if held is None else held.shard.segmenter.positions.get(tp.topic)

    def is_full(self, tp: TP) -> bool:
        """Whether enough of this input is in hand."""
        held = self._held.get(tp.partition)
        return held is not None and held.shard.is_full(tp.topic)

    def readings(self) -> list[Reading]:
        """How each input of each partition is being read."""
        return [held.shard.reading(topic) for held in self._held.values() for topic in self._plan.topics]

    async def receive(self, batch: Batch) -> None:
        """A fetched batch; one of a former generation is dropped."""
        held = self._held.get(batch.partition)
        if held is None or batch.generation != self._generation or self._consumer is None:
            return
        missing = held.shard.receive(batch)
        if missing is not None:
            await self._read_again(TP(batch.topic, batch.partition), missing)

    async def _read_again(self, tp: TP, position: int) -> None:
        """Seek back to what was not fetched, or stop when Kafka no longer holds it."""
        assert self._consumer is not None
        try:
            offsets = await self._consumer.offsets(frozenset({tp}))
            self._check_kept(tp, position, offsets)
        except Stop as stopped:
            self._plan.stop(str(stopped))
        log.info("seeking %s-%d back to %d", tp.topic, tp.partition, position)
        await self._consumer.seek_all({tp: position})

    async def claim(self, tps: frozenset[TP], generation: int, consumer: Consumer) -> Mapping[TP, int]:
        """Claim all partitions of an assignment; the positions from which to read."""
        try:
            async with asyncio.timeout(CLAIM_MAX_S):
                return await self._claim(tps, generation, consumer)
        except TimeoutError:
            self._plan.stop(f"claiming took over {CLAIM_MAX_S:.0f} s; see that Redis and Kafka answer")
        except (Stop, ClaimRefused) as refused:
            self._plan.stop(str(refused))
        except (StoreFailed, PublishFailed, KafkaError) as error:
            self._plan.stop(f"claiming failed ({error!r}); see that Redis and Kafka can be reached")
        raise AssertionError("stop() ends the process")

    async def _claim(self, tps: frozenset[TP], generation: int, consumer: Consumer) -> Mapping[TP, int]:
        await self.release()
        self._generation, self._consumer = generation, consumer
        partitions = sorted({tp.partition for tp in tps})
        self._check_complete(tps, partitions)
        if not partitions:
            return {}
        await self._store.verify(self._plan.now_ms())
        offsets = await consumer.offsets(tps)
        positions: dict[TP, int] = {}
        for partition in partitions:
            positions.update(await self._claim_one(partition, generation, consumer, offsets))
        log.info("claimed partitions %s, generation %d", partitions, generation)
        return positions

    def _check_complete(self, tps: frozenset[TP], partitions: Sequence[int]) -> None:
        if partitions and partitions[-1] >= self._plan.identity.partitions:
            raise Stop(
                f"the topics now have more than {self._plan.identity.partitions} partitions; customers would move: "
                "use a fresh Redis and `segmenter worker --rebuild`"
            )
        for partition in partitions:
            missing = [topic for topic in self._plan.topics if TP(topic, partition) not in tps]
            if missing:
                raise Stop(
                    f"partition {partition} came without {', '.join(missing)}; all input topics need the same "
                    "number of partitions: `segmenter topics verify`"
                )

    async def _claim_one(
        self, partition: int, generation: int, consumer: Consumer, offsets: Offsets
    ) -> Mapping[TP, int]:
        claim = Claim(partition, generation, secrets.token_hex(16), self._plan.identity)
        tps = [TP(topic, partition) for topic in self._plan.topics]
        try:
            state = await self._store.claim(claim)
        except LowerGeneration:
            # The group was deleted, or this worker is a ghost: only the group itself can tell.
            if not await consumer.proves_generation({tp: offsets.committed.get(tp, 0) for tp in tps}):
                raise Stop(f"partition {partition} is claimed by a newer generation; start the worker again") from None
            claim = msgspec.structs.replace(claim, proven=True)
            state = await self._store.claim(claim)
        positions = self._positions(tps, state, offsets)
        await self._store.begin(claim, {tp.topic: position for tp, position in positions.items()})
        state = msgspec.structs.replace(state, positions={tp.topic: p for tp, p in positions.items()})
        await self._start(claim, state, consumer)
        return positions

    def _positions(self, tps: Sequence[TP], state: State, offsets: Offsets) -> dict[TP, int]:
        """Where to read on, if what Kafka holds fits to what is saved."""
        fresh = not state.positions
        positions = {}
        for tp in tps:
            first, end = offsets.first[tp], offsets.end[tp]
            committed = offsets.committed.get(tp)
            if fresh and not self._plan.rebuild and committed is not None and committed > first:
                raise Stop(
                    f"Redis holds nothing of partition {tp.partition} but the group has read it; bring the Redis "
                    "data back, or read everything again with `segmenter worker --rebuild`"
                )
            position = state.positions.get(tp.topic, first)
            self._check_kept(tp, position, offsets)
            if position > end and self._plan.exact_ends:
                raise Stop(
                    f"{tp.topic}-{tp.partition} ends at {end} but {position} were read; the topic was created anew: "
                    "use a fresh Redis and `segmenter worker --rebuild`"
                )
            positions[tp] = position
        return positions

    @staticmethod
    def _check_kept(tp: TP, position: int, offsets: Offsets) -> None:
        first = offsets.first[tp]
        if position < first:
            raise Stop(
                f"{tp.topic}-{tp.partition}: records {position} to {first - 1} are gone before they were read; "
                "use a fresh Redis and `segmenter worker --rebuild`, and a longer retention"
            )

    async def _start(self, claim: Claim, state: State, consumer: Consumer) -> None:
        plan, partition = self._plan, claim.partition
        outbox = Outbox(self._store, self._publisher, partition, claim.token, state.trimmed)
        await outbox.restore(state.outbox)
        segmenter = Segmenter(
            plan.engine, self._store, partition, claim.token, state,
            now_ms=plan.now_ms, belongs=lambda customer: plan.belongs(customer, partition), ceiling=plan.ceiling,
        )  # fmt: skip
        shard = Shard(
            partition, Merge(plan.topics, state.positions), segmenter, outbox,
            answer=lambda topic: consumer.answer(TP(topic, partition)), now_ms=plan.now_ms, pace=plan.pace,
        )  # fmt: skip
        runs = (self._guard(partition, shard.run()), self._guard(partition, outbox.run()))
        self._held[partition] = _Held(shard, [asyncio.create_task(run) for run in runs])

    async def _guard(self, partition: int, run: object) -> None:
        """Run a part of a shard; whatever ends it but release or a new owner stops the worker."""
        try:
            await run  # type: ignore[misc]  # a coroutine object
        except Fenced:
            log.warning("partition %d has a new owner; letting go", partition)
            await self._let_go(partition)
        except Stop as stopped:
            self._plan.stop(str(stopped))
        except StoreFailed as error:
            self._plan.stop(f"Redis failed ({error}); when it is back, start the worker again")
        except PublishFailed as error:
            self._plan.stop(f"publishing failed ({error}); when Kafka is back, start the worker again")
        except Exception as error:
            log.exception("partition %d", partition)
            self._plan.stop(f"a defect ended partition {partition} ({error!r}); please report it with the log above")

    async def _let_go(self, partition: int) -> None:
        held = self._held.pop(partition, None)
        for task in held.tasks if held else ():
            if task is not asyncio.current_task():
                task.cancel()

    async def release(self) -> None:
        """Let go of everything; called before partitions are taken away and at the end."""
        held, self._held = self._held, {}
        await asyncio.gather(*(one.shard.release(one.tasks) for one in held.values()))
