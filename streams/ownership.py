"""Ownership: which partitions this worker holds, from claim to release.

The one rule: Redis's position is the truth. Every assignment claims its partitions anew, reads
on from the saved positions, and refuses what cannot go on safely before anything but the claim
is written. Nothing is held until all of it is claimed and sought.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

from streams import defects, safety
from streams.claiming import Assignment, Claiming, Overtaken
from streams.failpoints import reach
from streams.fetched import Batch
from streams.holding import Holding
from streams.kafka_refusals import missing_right
from streams.outbox import ProducerFenced, Publisher, PublishFailed
from streams.plan import Ground
from streams.recovery import Outputs
from streams.stop import Stop
from streams.store import ClaimRefused, Fenced, Store, StoreFailed, StoreRefused
from streams.transport import Consumer
from streams.watchdog import Fetching, Strays

log = logging.getLogger(__name__)

# Faust gives a claim 90 s and then goes on, deaf: it must have failed loudly before.
CLAIM_MAX_S = 30.0


class Ownership:
    """The shards of this worker; the `streams.transport.Owner` of what is fetched."""

    def __init__(
        self,
        plan: Ground,
        store: Store,
        publisher: Publisher,
        outputs: Outputs,
        claiming: Callable[..., Assignment[Any, Any]] = Claiming,
    ) -> None:
        """``claiming``: the kind of claim that the plan is for."""
        self._claiming = claiming
        self._plan = plan
        self._store = store
        self._publisher = publisher
        self._outputs = outputs
        self._holdings: dict[int, Holding] = {}
        self._left: dict[TP, int] = {}
        self._strays = Strays()
        self._generation = -1
        self._consumer: Consumer | None = None
        self._making: asyncio.Task[Mapping[TP, int]] | None = None  # the newest claim
        self._releasing = asyncio.Lock()
        self._without_since: float | None = None
        self._is_spare = False

    def position(self, tp: TP) -> int | None:
        """The saved position of an input partition, also after its release; ``None``: never ours."""
        holding = self._holdings.get(tp.partition)
        return self._left.get(tp) if holding is None else holding.shard.segmenter.positions.get(tp.topic)

    def is_full(self, tp: TP) -> bool:
        """Whether enough of this input is in hand."""
        holding = self._holdings.get(tp.partition)
        return holding is not None and holding.shard.is_full(tp.topic)

    def lost(self, sentence: str) -> None:
        """Kafka refuses what no other try would change: rights, or a group of another kind."""
        self._plan.stop(sentence)

    def fetching(self) -> Mapping[TP, Fetching]:
        """How each input of each partition is being fetched."""
        return {
            TP(topic, partition): holding.shard.fetching(topic)
            for partition, holding in self._holdings.items()
            for topic in self._plan.topics
        }

    def assigned(self, tps: Collection[TP]) -> None:
        """What the group gave; where it is nothing, as there are more workers than partitions, no claim follows."""
        self._is_spare = not tps
        if not tps:
            self._without_since = None

    @property
    def held(self) -> Mapping[int, Holding]:
        """By partition, what is held."""
        return self._holdings

    @property
    def is_spare(self) -> bool:
        """Whether the group has nothing for this worker: there are more workers than partitions."""
        return self._is_spare

    @property
    def without_since(self) -> float | None:
        """Since when (monotonic) partitions were let go of and none were claimed instead."""
        return self._without_since

    async def verify(self) -> None:
        """See that the store can still be trusted; stop when not."""
        try:
            await self._store.verify(self._plan.now_ms)
        except ClaimRefused as refused:
            self._plan.stop(str(refused))
        except StoreFailed:
            log.warning("Redis did not answer a check; the next save will tell", extra=self._generation_told())

    async def receive(self, batch: Batch) -> None:
        """A fetched batch; one of a former generation is dropped."""
        holding = self._holdings.get(batch.partition)
        if holding is None or batch.generation != self._generation or self._consumer is None:
            return
        reach("after_poll")
        missing = holding.shard.receive(batch)
        if missing is not None:
            log.info(
                "seeking back",
                extra={
                    "topic": batch.topic,
                    "partition": batch.partition,
                    "offset": missing,
                    **self._generation_told(),
                },
            )
            await self._read_again({TP(batch.topic, batch.partition): missing}, self._consumer)

    async def heal(self) -> None:
        """Read again what was fetched but never came; called now and then.

        A batch can be lost between Kafka and its shard when the group rebalances, and where no
        other follows it nothing else would show the hole. Nor would another topic of the same
        name, whose offsets begin anew.
        """
        lost = self._strays.look(self.fetching())
        if lost and self._consumer is not None:
            log.warning(
                "records that were fetched did not come; reading again",
                extra={"positions": _told(lost), **self._generation_told()},
            )
            await self._read_again(lost, self._consumer)

    async def _read_again(self, positions: Mapping[TP, int], consumer: Consumer) -> None:
        """Seek, if Kafka still has what is awaited. What Kafka refuses is tried again at the next occasion."""
        try:
            offsets = await consumer.offsets(frozenset(positions))
            safety.check_held(positions, offsets, self._plan)
            await consumer.seek_all(positions)
        except Stop as stopped:
            self._plan.stop(str(stopped))
        except KafkaError as error:
            log.warning(
                "could not read again",
                extra={"positions": _told(positions), "error": repr(error), **self._generation_told()},
            )

    async def claim(self, tps: frozenset[TP], generation: int, consumer: Consumer) -> Mapping[TP, int]:
        """Claim all partitions of an assignment; the positions from which to read."""
        claiming = self._claiming(self._plan, self._store, self._publisher, self._outputs, generation, consumer)
        making: asyncio.Task[Mapping[TP, int]] | None = None
        began = self._plan.monotonic()
        try:
            async with asyncio.timeout(CLAIM_MAX_S):
                await self.release()
                self._left.clear()
                self._generation, self._consumer = generation, consumer
                self._making = making = asyncio.create_task(self._claim(claiming, tps, consumer))
                claimed = await making
                self._plan.claimed(self._plan.monotonic() - began)
                return claimed
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            if self._making is making:  # nobody has let go of it, so nobody would claim again
                self._plan.stop("claiming was broken off by Kafka's client; start the worker again")
            log.info("let go of while it was claimed", extra={"generation": generation})
        except Overtaken:
            log.info("overtaken while it was claimed", extra={"generation": generation})
        except TimeoutError:
            self._plan.stop(
                f"claiming took over {CLAIM_MAX_S:.0f} s; "
                + (
                    "what was published is being read back: start the worker again, it goes on from where it came to"
                    if claiming.is_reading_back
                    else "see that Redis and Kafka answer"
                )
            )
        except (Stop, ClaimRefused, StoreRefused) as refused:
            self._plan.stop(str(refused))
        except (Fenced, StoreFailed, PublishFailed, KafkaError) as error:
            self._plan.stop(_failure(error))
        except Exception as error:  # noqa: BLE001  # Faust would log it, and then neither read nor rejoin
            self._plan.stop(defects.report("a claim", error))
        return {}

    async def _claim(self, claiming: Assignment[Any, Any], tps: frozenset[TP], consumer: Consumer) -> Mapping[TP, int]:
        await claiming.take(tps)
        found = {partition: claimed.state for partition, claimed in claiming.claimed.items()}
        if not found:
            return {}
        positions = {
            TP(topic, partition): position
            for partition, state in found.items()
            for topic, position in state.positions.items()
        }
        await self._begin(claiming.holdings(), positions, consumer)
        log.info("claimed partitions", extra={"partitions": list(found), **self._generation_told()})
        return positions

    def _generation_told(self) -> dict[str, int]:
        return {"generation": self._generation}

    async def _begin(self, holdings: dict[int, Holding], positions: Mapping[TP, int], consumer: Consumer) -> None:
        """Read and hold; until then nobody looks at inputs of which the last thing heard is from before the claim."""
        try:
            await consumer.begin_all(positions)
        except IllegalStateError:  # aiokafka's word for a seek in what is assigned no longer
            raise Overtaken from None
        self._holdings, self._without_since = holdings, None
        for holding in holdings.values():
            holding.start()

    async def release(self) -> None:
        """Let go of everything; called before partitions are taken away and at the end.

        A second call waits for the first: what that one still publishes needs the producers. A claim
        that is being made is ended: its producers would fence those of the next one.
        """
        async with self._releasing:
            if self._without_since is None:
                self._without_since = self._plan.monotonic()
            making, self._making = self._making, None  # the claim that is being made
            if making is not None:
                making.cancel()
                await asyncio.wait([making])
            holdings, self._holdings = self._holdings, {}
            if holdings:
                log.info("letting go of partitions", extra={"partitions": list(holdings), **self._generation_told()})
                self._plan.let_go()
            await asyncio.gather(*(holding.release() for holding in holdings.values()))
            await self._publisher.release()
            for partition, holding in holdings.items():
                positions = holding.shard.segmenter.positions
                self._left.update({TP(topic, partition): position for topic, position in positions.items()})


def _told(positions: Mapping[TP, int]) -> dict[str, int]:
    return {f"{tp.topic}-{tp.partition}": position for tp, position in positions.items()}


def _failure(error: Exception) -> str:
    if isinstance(error, ProducerFenced):
        return f"Kafka takes nothing of this claim: {error}; start the worker again"
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
