"""Rebalances of the Kafka group: partitions that are assigned are claimed and run, those that are revoked released.

The one rule: reading goes on from the positions in Redis. Every assignment claims its partitions anew, and refuses a
partition that cannot go on safely before anything but the claim is written. No partition runs before all partitions of
the assignment are claimed, and the consumer has sought to their positions.

See also `streams.runtime.assignment` for the steps of a claim, and `streams.runtime.faust_app`, which connects this to
Faust.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping

from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

from streams import defects
from streams.errors import (
    ClaimRefused,
    Fenced,
    ProducerFenced,
    PublishFailed,
    StaleAssignment,
    StoreFailed,
    StoreRefused,
)
from streams.failpoints import reach
from streams.kafka.faust_transport import Consumer
from streams.kafka.fetch import Batch, Fetching, OutputReader
from streams.kafka.refusals import missing_right
from streams.runtime import preflight
from streams.runtime.assignment import Assignment, ClaimPartitions, OwnerConfig
from streams.runtime.outbox import Publisher
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.watchdog import LostFetchDetector
from streams.state.contract import Store
from streams.stop import Stop

log = logging.getLogger(__name__)

# After 90 s Faust goes on without the claim and reads nothing, so a claim must fail visibly before that.
CLAIM_MAX_S = 30.0


class PartitionOwner:
    """Owns the partitions of this process; the `streams.kafka.faust_transport.Owner` of what is fetched."""

    def __init__(
        self,
        config: OwnerConfig,
        store: Store,
        publisher: Publisher,
        outputs: OutputReader,
        claim_partitions: ClaimPartitions,
    ) -> None:
        """``claim_partitions``: claims partitions for this kind of process, the worker or triggers."""
        self._claim_partitions = claim_partitions
        self._config = config
        self._store = store
        self._publisher = publisher
        self._outputs = outputs
        self._runners: dict[int, PartitionRunner] = {}
        self._left: dict[TP, int] = {}
        self._strays = LostFetchDetector()
        self._generation = -1
        self._consumer: Consumer | None = None
        self._making: asyncio.Task[Mapping[TP, int]] | None = None  # the claim that is being made, the newest one
        self._releasing = asyncio.Lock()
        self._without_since: float | None = None
        self._is_spare = False

    def position(self, tp: TP) -> int | None:
        """The saved position of an input partition, also after its release; ``None``: it was never owned."""
        runner = self._runners.get(tp.partition)
        return self._left.get(tp) if runner is None else runner.task.saved.positions.get(tp.topic)

    def is_full(self, tp: TP) -> bool:
        """Whether enough records of this input are in hand."""
        runner = self._runners.get(tp.partition)
        return runner is not None and runner.task.is_full(tp.topic)

    def lost(self, sentence: str) -> None:
        """Stop, as Kafka refuses for a reason that no retry changes, such as a right or a group of another kind."""
        self._config.stop(sentence)

    def fetching(self) -> Mapping[TP, Fetching]:
        """How each input of each partition is being fetched."""
        return {
            TP(topic, partition): runner.task.fetching(topic)
            for partition, runner in self._runners.items()
            for topic in self._config.topics
        }

    def assigned(self, tps: Collection[TP]) -> None:
        """Note what the group assigned.

        An empty assignment, where there are more workers than partitions, is not followed by a claim.
        """
        self._is_spare = not tps
        if not tps:
            self._without_since = None

    @property
    def runners(self) -> Mapping[int, PartitionRunner]:
        """The partitions that this process runs, by number."""
        return self._runners

    @property
    def is_spare(self) -> bool:
        """Whether the group has nothing for this worker: there are more workers than partitions."""
        return self._is_spare

    @property
    def without_since(self) -> float | None:
        """Since when (monotonic, s) partitions have been released without a claim after it; ``None``: there is one."""
        return self._without_since

    async def verify(self) -> None:
        """Check that the store still fulfils its contract; stop if not."""
        try:
            await self._store.verify(self._config.now_ms)
        except ClaimRefused as refused:
            self._config.stop(str(refused))
        except StoreFailed:
            log.warning("Redis did not answer a check; the check is repeated", extra=self._generation_field())

    async def receive(self, batch: Batch) -> None:
        """Take a fetched batch; a batch of a former generation is dropped."""
        runner = self._runners.get(batch.partition)
        if runner is None or batch.generation != self._generation or self._consumer is None:
            return
        reach("after_poll")
        missing = runner.task.receive(batch)
        if missing is not None:
            log.info(
                "a batch begins after the awaited offset; seeking back to read the missing records",
                extra={
                    "topic": batch.topic,
                    "partition": batch.partition,
                    "offset": missing,
                    **self._generation_field(),
                },
            )
            await self._read_again({TP(batch.topic, batch.partition): missing}, self._consumer)

    async def heal(self) -> None:
        """Seek back for fetched records that were never delivered; called now and then.

        A batch can be lost between Kafka and the partition's task when the group rebalances. If no other batch follows
        it, only this check finds the gap. It also finds a topic that was created again, whose offsets begin at 0.
        """
        lost = self._strays.look(self.fetching())
        if lost and self._consumer is not None:
            log.warning(
                "fetched records were not delivered; seeking back to re-read them",
                extra={"positions": _by_name(lost), **self._generation_field()},
            )
            await self._read_again(lost, self._consumer)

    async def _read_again(self, positions: Mapping[TP, int], consumer: Consumer) -> None:
        """Seek back, if Kafka still has the awaited records. A seek that Kafka refuses is repeated at the next one."""
        try:
            offsets = await consumer.offsets(frozenset(positions))
            preflight.check_within_log(positions, offsets, self._config)
            await consumer.seek_all(positions)
        except Stop as stopped:
            self._config.stop(str(stopped))
        except KafkaError as error:
            log.warning(
                "Kafka did not take a seek back to records that were not delivered; the next check repeats it",
                extra={"positions": _by_name(positions), "error": repr(error), **self._generation_field()},
            )

    async def claim(self, tps: frozenset[TP], generation: int, consumer: Consumer) -> Mapping[TP, int]:
        """Claim all partitions of an assignment. Returns the positions from which to read."""
        assignment = Assignment(self._config, self._store, self._publisher, self._outputs, generation, consumer)
        making: asyncio.Task[Mapping[TP, int]] | None = None
        began = self._config.monotonic()
        try:
            async with asyncio.timeout(CLAIM_MAX_S):
                await self.release()
                self._left.clear()
                self._generation, self._consumer = generation, consumer
                self._making = making = asyncio.create_task(self._claim(assignment, tps, consumer))
                claimed = await making
                self._config.claimed(self._config.monotonic() - began)
                return claimed
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            if self._making is making:  # no release has ended this claim, so no other claim will follow
                self._config.stop("claiming was broken off by Kafka's client; start the worker again")
            log.info("partitions revoked during claim", extra={"generation": generation})
        except StaleAssignment:
            log.info("claim abandoned: a newer assignment arrived", extra={"generation": generation})
        except TimeoutError:
            self._config.stop(
                f"claiming took over {CLAIM_MAX_S:.0f} s; "
                + (
                    "published records are still being read back: start the worker again, it goes on from there"
                    if assignment.is_reading_back
                    else "see that Redis and Kafka answer"
                )
            )
        except (Stop, ClaimRefused, StoreRefused) as refused:
            self._config.stop(str(refused))
        except (Fenced, StoreFailed, PublishFailed, KafkaError) as error:
            self._config.stop(_failure(error))
        except Exception as error:  # noqa: BLE001  # Faust would log it, and then neither read nor rejoin
            self._config.stop(defects.report("a claim", error))
        return {}

    async def _claim(self, assignment: Assignment, tps: frozenset[TP], consumer: Consumer) -> Mapping[TP, int]:
        runners = await self._claim_partitions(assignment, tps)
        if not runners:
            return {}
        positions = {
            TP(topic, partition): position
            for partition, runner in runners.items()
            for topic, position in runner.task.saved.positions.items()
        }
        await self._begin(runners, positions, consumer)
        log.info("claimed partitions", extra={"partitions": list(runners), **self._generation_field()})
        return positions

    def _generation_field(self) -> dict[str, int]:
        return {"generation": self._generation}

    async def _begin(
        self, runners: dict[int, PartitionRunner], positions: Mapping[TP, int], consumer: Consumer
    ) -> None:
        """Seek, and start the runners.

        Until then the watchdogs see no input, as its last answer is from before the claim.
        """
        try:
            await consumer.begin_all(positions)
        except IllegalStateError:  # aiokafka's error for a seek in a partition that is no longer assigned
            raise StaleAssignment from None
        self._runners, self._without_since = runners, None
        for runner in runners.values():
            runner.start()

    async def release(self) -> None:
        """Release all partitions; called before they are revoked and at the end.

        A second call waits for the first, which still needs the producers to publish. A claim under way is ended, as
        its producers would fence those of the next one.
        """
        async with self._releasing:
            if self._without_since is None:
                self._without_since = self._config.monotonic()
            making, self._making = self._making, None  # the claim that is being made
            if making is not None:
                making.cancel()
                await asyncio.wait([making])
            runners, self._runners = self._runners, {}
            if runners:
                log.info("releasing partitions", extra={"partitions": list(runners), **self._generation_field()})
                self._config.let_go()
            await asyncio.gather(*(runner.release() for runner in runners.values()))
            await self._publisher.release()
            for partition, runner in runners.items():
                positions = runner.task.saved.positions
                self._left.update({TP(topic, partition): position for topic, position in positions.items()})


def _by_name(positions: Mapping[TP, int]) -> dict[str, int]:
    return {f"{tp.topic}-{tp.partition}": position for tp, position in positions.items()}


def _failure(error: Exception) -> str:
    if isinstance(error, ProducerFenced):
        return f"Kafka fenced this process's producer: {error}; start the worker again"
    if isinstance(error, Fenced):
        return (
            "a claim was lost while it was made: a newer owner has the partition, or Redis lost its last writes; "
            "start the worker again"
        )
    if isinstance(error, PublishFailed):
        return f"publishing failed: {error}"
    if sentence := missing_right(error, "READ and WRITE"):
        return sentence
    return f"claiming failed ({error!r}); see that Redis and Kafka can be reached"
