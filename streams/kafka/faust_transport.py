"""Faust's Kafka transport, changed to pass whole batches, read from the positions that the store has saved.

Faust does lifecycle, group membership, assignment and agents. What it does per record (decoding, acks, gaps, its own
read offsets) is replaced. A batch has the position from which it was fetched and the position after it, so its reader
can see a hole.

Written against faust-streaming 0.15 and aiokafka 0.14; each seam names what it stands in for.

See also: `streams.kafka.aiokafka_hooks` (what aiokafka reports), `streams.kafka.record_batches` (bounded unpacking),
`streams.runtime.rebalance_listener` (the owner of the batches).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
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

# How long a look waits for fetched records: shorter while an input is full, as nothing tells when it has room again.
_LOOK_SECONDS = 0.1
_LOOK_FULL_SECONDS = 0.01


class Owner(Protocol):
    """The owner of partitions, for which batches are fetched; called on the worker's loop."""

    async def claim(self, tps: frozenset[TP], generation: int, consumer: Consumer) -> Mapping[TP, int]:
        """Claim the partitions and seek; gives the position from which each input is read."""

    def position(self, tp: TP) -> int | None:
        """The saved position, which is what may be committed; ``None``: the partition is not owned."""

    def is_full(self, tp: TP) -> bool:
        """Whether enough records of this input are in memory; called on the consumer's thread."""

    def lost(self, sentence: str) -> None:
        """Stop: nothing more can be read, for the reason in the sentence. Called on the consumer's thread."""


class _Thread(AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer; it passes on fetched batches whole."""

    answers: Answers

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Set fetch_max_wait_ms, which Faust fixes at 1.5 s, and read committed, before the consumer starts."""
        bound_batches()
        consumer = super()._create_worker_consumer(transport)
        for name, value in (("_fetch_max_wait_ms", transport.fetch_wait_ms), ("_isolation_level", "read_committed")):
            assert hasattr(consumer, name), f"aiokafka no longer has {name}"
            setattr(consumer, name, value)
        aiokafka_hooks.report_any_response(consumer._client, transport.watch)
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and stop with a sentence if Kafka cannot be reached.

        Faust itself would end with exit code 1 and an exception of its shutdown in place of the cause.
        """
        self.answers = Answers()
        transport = cast(Transport, self.transport)
        self.add_future(transport.watch.run())  # the tasks of the app begin when the first partitions are claimed
        try:
            await super().on_start()
        except KafkaError as error:
            stop(f"Kafka cannot be reached ({error!r}); when it is back, start the worker again")
        consumer = cast(Any, self._consumer)
        aiokafka_hooks.report_responses(consumer._fetcher, self.answers)
        aiokafka_hooks.absorb_cancellations(consumer)
        aiokafka_hooks.report_refusals(consumer._coordinator, transport.owner.lost)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        """In place of aiokafka's ``Fetcher.fetched_records``: whole batches with positions, none of full inputs."""
        fetcher, owner = consumer._fetcher, cast(Transport, self.transport).owner
        until = time.monotonic() + (timeout or 0)
        with fetcher._subscriptions.fetch_context():
            while self.consumer.flow_active and not fetcher._closed:
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                    continue  # the flow may have stopped meanwhile
                drained, has_waiting = self._drain(fetcher, active_partitions, owner, max_records)
                if drained or time.monotonic() >= until:
                    return drained
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=_LOOK_FULL_SECONDS if has_waiting else _LOOK_SECONDS)
                waiter.cancel()
        return {}

    def _drain(self, fetcher: Any, active: Any, owner: Owner, limit: int | None) -> tuple[dict[TP, Batch], bool]:
        """The fetched batches, and whether some stay in the client because their input is full or paused."""
        drained: dict[TP, Batch] = {}
        generation = self.app.consumer_generation_id
        has_waiting = False
        for raw_tp, result in list(fetcher._records.items()):
            if not fetcher._subscriptions.is_assigned(raw_tp):
                del fetcher._records[raw_tp]
                continue
            tp = TP(raw_tp.topic, raw_tp.partition)
            self.answers.waits(tp)
            if tp not in active or owner.is_full(tp):
                has_waiting = True
                continue
            if not isinstance(result, FetchResult):  # an error of this partition, which aiokafka would raise here
                _remove(fetcher, raw_tp)
                right = missing_right(result._error, "READ", tp.topic)
                owner.lost(right or f"{tp.topic}-{tp.partition} cannot be read ({result._error!r}); see Kafka's log")
                continue
            state = result._assignment.state_value(raw_tp)
            start = state._position
            if result.has_more():
                result._partition_records._consumer_record = consumer_record
            records = drain(result, limit)
            if not result.has_more():
                _remove(fetcher, raw_tp)
            # A batch without records counts, too, if it moves the position: past transaction markers, for instance.
            if start is not None and state._position not in (None, start):
                drained[tp] = Batch(tp.topic, tp.partition, start, state._position, records, generation)
        return drained, has_waiting

    async def begin_now(self, positions: Mapping[TP, int]) -> None:
        """Forget former responses, and seek: in one turn of the loop, so that no response comes in between."""
        self.answers.begin(positions)
        await self.seek_now(positions)

    async def seek_now(self, positions: Mapping[TP, int]) -> None:
        """Seek on this thread's loop, where the fetcher's futures live."""
        consumer = self._ensure_consumer()
        for tp, position in positions.items():
            consumer.seek(tp, position)

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        """The offsets of these partitions, as Kafka gives them."""
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

        Raises `KafkaError` when the group neither accepts nor refuses it.
        """
        try:
            await self._ensure_consumer().commit({TopicPartition(*tp): position for tp, position in positions.items()})
        except (CommitFailedError, IllegalStateError):
            return False
        return True


def _remove(fetcher: Any, raw_tp: TopicPartition) -> None:
    """Remove a result from the client's prefetch buffer, so that it fetches the partition again."""
    del fetcher._records[raw_tp]
    fetcher._notify(fetcher._wait_consume_future)


class _NoReadOffsets(dict[TP, int | None]):
    """In place of Faust's read offsets: none, whatever Faust notes.

    Faust drops records below the offset that it noted last. If it passes on a batch while a seek is on its way to the
    consumer's thread, it would drop everything that is read again after the seek. The owner of the batches recognises
    by their positions what it has already.
    """

    def __getitem__(self, tp: TP) -> int | None:
        return None


class Consumer(FaustConsumer):
    """One message per fetched batch; the store decides where reading goes on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert hasattr(self, "_read_offset"), "Faust no longer notes what it has read"
        self._read_offset = _NoReadOffsets()

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _owner(self) -> Owner:
        return cast(Transport, self.transport).owner

    @property
    def generation(self) -> int:
        """The group's generation in which this member last joined."""
        return int(self.app.consumer_generation_id)

    def heard(self, tp: TP) -> FetchStatus:
        """The newest response of Kafka for this input partition."""
        return cast(_Thread, self._thread).answers.of(tp)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """In place of a message per record: a message per batch.

        A batch carries the generation in which it was drained from the client. The generation of this call would not
        do: a call that began before a rebalance may drain a batch after the seek. That batch would be dropped as
        outdated, and if no other came after it, nothing would show the hole.
        """
        fetched, _ = await self._wait_next_records(timeout)
        for tp, batch in cast(Mapping[TP, Batch], fetched or {}).items():
            if self.should_stop:
                return
            yield tp, cast(Message, _message(tp, batch))

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """In place of Kafka's committed offsets: claim the partitions, and read from the saved positions.

        Faust calls it on every assignment after its public signals; a seek in a handler of those would be undone here.
        """
        tps = frozenset(TP(tp.topic, tp.partition) for tp in self.assignment())
        return await self._owner.claim(tps, self.app.consumer_generation_id, self)

    async def begin_all(self, positions: Mapping[TP, int]) -> None:
        """Read claimed inputs from these positions. Raises `IllegalStateError` for what is no longer assigned."""
        thread = cast(_Thread, self._thread)
        await thread.call_thread(thread.begin_now, positions)

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        """Read from these positions. Raises as `begin_all`."""
        thread = cast(_Thread, self._thread)
        await thread.call_thread(thread.seek_now, positions)

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        """The offsets of these partitions, as Kafka gives them."""
        thread = cast(_Thread, self._thread)
        return cast(Offsets, await thread.call_thread(thread.offsets, tps))

    async def proves_generation(self, positions: Mapping[TP, int]) -> bool:
        """Whether this member's generation is the group's current one."""
        thread = cast(_Thread, self._thread)
        return bool(await thread.call_thread(thread.proves_generation, positions))

    def _new_offset(self, tp: TP) -> int | None:
        """In place of a count of acks, which can skip a hole: the saved position, to be committed."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._owner.position(tp)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """In place of a check that needs a modified aiokafka: see `streams.runtime.watchdog.FetchWatchdog`."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """In place of an interval tree that grows with every batch: nothing reads it here."""


class Producer(FaustProducer):
    """A producer that never connects: nothing is sent through Faust (see `streams.kafka.publisher`)."""

    async def on_start(self) -> None:
        """Do nothing, in place of starting a client."""


def _message(tp: TP, batch: Batch) -> ConsumerMessage:
    return ConsumerMessage(
        topic=tp.topic, partition=tp.partition, offset=batch.end - 1, timestamp=0.0, timestamp_type=0,
        headers=None, key=None, value=cast(Any, batch), checksum=None, tp=tp, generation_id=batch.generation,
    )  # fmt: skip


class Transport(FaustTransport):
    """Faust's Kafka transport with the consumer of this module. Install it before anything uses ``app.topics``."""

    Consumer = Consumer
    Producer = Producer

    def __init__(self, url: Any, app: faust.App, owner: Owner, fetch_wait_ms: int, watch: AnswerWatch) -> None:
        super().__init__(url, app)
        self.owner = owner
        self.fetch_wait_ms = fetch_wait_ms
        self.watch = watch
