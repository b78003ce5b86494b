"""Whole batches through Faust, from the positions that the store says.

The one rule: Faust keeps lifecycle, group membership, assignment and agents; what it would keep
per record (decoding, acks, gaps, its own idea of what is done) is passed by. A batch says from
which position it was fetched and the position after it, so whoever reads it can see a hole.

Written against faust-streaming 0.15 and aiokafka 0.14; each seam names what it stands in for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, cast

import faust
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import Producer as FaustProducer
from faust.transport.drivers.aiokafka import Transport as FaustTransport
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from streams.kafka import aiokafka_hooks
from streams.kafka.answer_watch import AnswerWatch
from streams.kafka.fetch import Answers, Batch, FetchStatus, Offsets
from streams.kafka.record_batches import bound_batches, consumer_record, drain
from streams.kafka.refusals import missing_right
from streams.stop import stop

# How long a look for fetched records waits for some; it also bounds how late a freed input is seen.
_LOOK_SECONDS = 0.1
_LOOK_FULL_SECONDS = 0.01


class Owner(Protocol):
    """Who the fetched batches are for; called on the worker's loop."""

    async def claim(self, tps: frozenset[TP], generation: int, consumer: Consumer) -> Mapping[TP, int]:
        """Take the partitions and seek; the position from which each is read."""

    def position(self, tp: TP) -> int | None:
        """The position saved, which is what may be committed; ``None``: not ours."""

    def is_full(self, tp: TP) -> bool:
        """Whether enough of this input is in hand; called on the consumer's thread."""

    def lost(self, sentence: str) -> None:
        """Nothing more can be read; the text says why. Called on the consumer's thread."""


class _Thread(AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer; hands out drained fetches as they are."""

    answers: Answers

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Faust fixes fetch_max_wait_ms at 1.5 s and reads uncommitted; both are set before start."""
        bound_batches()
        consumer = super()._create_worker_consumer(transport)
        for name, value in (("_fetch_max_wait_ms", transport.fetch_wait_ms), ("_isolation_level", "read_committed")):
            assert hasattr(consumer, name), f"aiokafka no longer has {name}"
            setattr(consumer, name, value)
        aiokafka_hooks.any_answer(consumer._client, transport.watch.answered)
        return consumer

    async def on_start(self) -> None:
        """Faust would end with exit code 1, and an exception of its own end in the place of the cause."""
        self.answers = Answers()
        transport = cast(Transport, self.transport)
        self.add_future(transport.watch.run())  # the tasks of the app begin when the first partitions are claimed
        try:
            await super().on_start()
        except KafkaError as error:
            stop(f"Kafka cannot be reached ({error!r}); when it is back, start the worker again")
        consumer = cast(Any, self._consumer)
        aiokafka_hooks.answers(consumer._fetcher, self.answers)
        aiokafka_hooks.cancellations(consumer)
        aiokafka_hooks.refusals(consumer._coordinator, transport.owner.lost)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        """As aiokafka's ``Fetcher.fetched_records``, but whole, with positions, past full inputs."""
        fetcher, owner = consumer._fetcher, cast(Transport, self.transport).owner
        until = time.monotonic() + (timeout or 0)
        with fetcher._subscriptions.fetch_context():
            while self.consumer.flow_active and not fetcher._closed:
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                    continue  # the flow may have stopped meanwhile
                drained, kept = self._drain(fetcher, active_partitions, owner, max_records)
                if drained or time.monotonic() >= until:
                    return drained
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=_LOOK_FULL_SECONDS if kept else _LOOK_SECONDS)
                waiter.cancel()
        return {}

    def _drain(self, fetcher: Any, active: Any, owner: Owner, limit: int | None) -> tuple[dict[TP, Batch], bool]:
        drained: dict[TP, Batch] = {}
        generation = self.app.consumer_generation_id
        kept = False
        for raw_tp, result in list(fetcher._records.items()):
            if not fetcher._subscriptions.is_assigned(raw_tp):
                del fetcher._records[raw_tp]
                continue
            tp = TP(raw_tp.topic, raw_tp.partition)
            self.answers.waits(tp)
            if tp not in active or owner.is_full(tp):
                kept = True
                continue
            if not isinstance(result, FetchResult):
                del fetcher._records[raw_tp]
                fetcher._notify(fetcher._wait_consume_future)
                right = missing_right(result._error, "READ", tp.topic)
                owner.lost(right or f"{tp.topic}-{tp.partition} cannot be read ({result._error!r}); see Kafka's log")
                continue
            state = result._assignment.state_value(raw_tp)
            start = state._position
            if result.has_more():
                result._partition_records._consumer_record = consumer_record
            records = drain(result, limit)
            if not result.has_more():
                del fetcher._records[raw_tp]
                fetcher._notify(fetcher._wait_consume_future)
            if start is not None and state._position not in (None, start):
                drained[tp] = Batch(tp.topic, tp.partition, start, state._position, records, generation)
        return drained, kept

    async def begin_now(self, positions: Mapping[TP, int]) -> None:
        """Seek, and forget what was answered before: in one turn of the loop, so no answer comes in between."""
        self.answers.begin(positions)
        await self.seek_now(positions)

    async def seek_now(self, positions: Mapping[TP, int]) -> None:
        """Seek on this thread's loop, where the fetcher's futures live."""
        consumer = self._ensure_consumer()
        for tp, position in positions.items():
            consumer.seek(tp, position)

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        """What Kafka holds of these partitions."""
        consumer = self._ensure_consumer()
        raw = [TopicPartition(*tp) for tp in tps]
        first, end = await asyncio.gather(consumer.beginning_offsets(raw), consumer.end_offsets(raw))
        committed = await asyncio.gather(*(consumer.committed(tp) for tp in raw))
        return Offsets(
            first={TP(*tp): offset for tp, offset in first.items()},
            end={TP(*tp): offset for tp, offset in end.items()},
            committed={TP(*tp): offset for tp, offset in zip(raw, committed, strict=True) if offset is not None},
        )

    async def proves_generation(self, positions: Mapping[TP, int]) -> bool:
        """Whether the group accepts an offset commit from this member's generation. If not, aiokafka rejoins.

        Raises `KafkaError` when the group does not say.
        """
        try:
            await self._ensure_consumer().commit({TopicPartition(*tp): position for tp, position in positions.items()})
        except (CommitFailedError, IllegalStateError):
            return False
        return True


class _Nothing(dict[TP, int | None]):
    """Faust's read offsets: none, whatever it notes.

    It drops what is below the offset that it noted last; a batch that it passes on while a seek
    is on its way to the consumer's thread would have it drop all that is read again after it.
    Who takes the batches in knows what came before.
    """

    def __getitem__(self, tp: TP) -> int | None:
        return None


class Consumer(FaustConsumer):
    """One message per fetched batch; the store decides where reading goes on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert hasattr(self, "_read_offset"), "Faust no longer notes what it has read"
        self._read_offset = _Nothing()

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _ours(self) -> Transport:
        return cast(Transport, self.transport)

    @property
    def generation(self) -> int:
        """The group's generation as this member last heard."""
        return int(self.app.consumer_generation_id)

    def heard(self, tp: TP) -> FetchStatus:
        """What Kafka last said of this input partition."""
        return cast(_Thread, self._thread).answers.of(tp)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """In place of a message per record.

        A batch carries the generation in which it was drained. Judging it by when it was asked
        for would drop what a call that outlived a rebalance drained after the seek; and where
        nothing comes after such a batch, nobody would see the hole.
        """
        fetched, _ = await self._wait_next_records(timeout)
        for tp, batch in cast(Mapping[TP, Batch], fetched or {}).items():
            if self.should_stop:
                return
            yield tp, cast(Message, _message(tp, batch))

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """In place of Kafka's committed offsets: claim, and read on from the saved positions.

        Called on every assignment, after the public signals, whose seeks it would undo.
        """
        tps = frozenset(TP(tp.topic, tp.partition) for tp in self.assignment())
        return await self._ours.owner.claim(tps, self.app.consumer_generation_id, self)

    async def begin_all(self, positions: Mapping[TP, int]) -> None:
        """Read claimed inputs from these positions. Raises `IllegalStateError` for what is no longer assigned."""
        thread = cast(_Thread, self._thread)
        await thread.call_thread(thread.begin_now, positions)

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        """Read on from these positions. Raises as `begin_all`."""
        thread = cast(_Thread, self._thread)
        await thread.call_thread(thread.seek_now, positions)

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        """What Kafka holds of these partitions."""
        thread = cast(_Thread, self._thread)
        return cast(Offsets, await thread.call_thread(thread.offsets, tps))

    async def proves_generation(self, positions: Mapping[TP, int]) -> bool:
        """Whether this member's generation is the group's current one."""
        thread = cast(_Thread, self._thread)
        return bool(await thread.call_thread(thread.proves_generation, positions))

    def _new_offset(self, tp: TP) -> int | None:
        """In place of counting acks, which can skip a hole: the position that is saved."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._ours.owner.position(tp)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """In place of a check that needs a changed aiokafka: see `streams.runtime.watchdog.FetchWatchdog`."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """In place of an interval tree that grows with every batch: nothing needs it."""


class Producer(FaustProducer):
    """Nothing is sent through Faust (see `streams.kafka.publisher`), so it connects to nothing."""

    async def on_start(self) -> None:
        """In place of starting a client."""


def _message(tp: TP, batch: Batch) -> ConsumerMessage:
    return ConsumerMessage(
        topic=tp.topic, partition=tp.partition, offset=batch.end - 1, timestamp=0.0, timestamp_type=0,
        headers=None, key=None, value=cast(Any, batch), checksum=None, tp=tp, generation_id=batch.generation,
    )  # fmt: skip


class Transport(FaustTransport):
    """Faust's Kafka transport with our consumer. Install it before anything touches ``app.topics``."""

    Consumer = Consumer
    Producer = Producer

    def __init__(self, url: Any, app: faust.App, owner: Owner, fetch_wait_ms: int, watch: AnswerWatch) -> None:
        super().__init__(url, app)
        self.owner = owner
        self.fetch_wait_ms = fetch_wait_ms
        self.watch = watch


class BatchPassthroughSchema(faust.Schema[Any, Any]):
    """A schema that passes the batch through, so that agents stay ordinary agents."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """In place of decoding key and value."""

        async def decode(message: Message, *, propagate: bool = False) -> Any:  # noqa: ARG001  # Faust passes it
            return app.create_event(None, message.value, None, message)

        return decode
