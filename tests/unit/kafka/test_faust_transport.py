"""The seams to Faust and aiokafka: what Kafka answered for an input, what is drained, and what is read again.

The parts of Faust and aiokafka in these tests are the real ones if they can be made without a broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    RequestTimedOutError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from aiokafka.util import commit_structure_validate
from faust.types import TP
from yarl import URL

from streams.kafka import aiokafka_hooks
from streams.kafka.answer_watch import AnswerWatch
from streams.kafka.faust_transport import Consumer, Transport, _message, _Thread
from streams.kafka.fetch import Answers, Batch, FetchResponse, FetchStatus
from streams.kafka.record_batches import DRAIN_MAX_BYTES, BoundedRecords, drain

CARTS, VISITS = TP("carts", 0), TP("visits", 0)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(clock: Clock) -> Answers:
    return Answers(clock)


def answer(end: int) -> FetchResponse:
    return FetchResponse(end, end, 0, 0.0)


def test_what_was_heard(answers: Answers, clock: Clock) -> None:
    """The status of an input is the newest answer and its time; before any answer, the time of the claim."""
    answers.begin([CARTS])
    clock.now += 5
    assert answers.of(CARTS) == FetchStatus(None, 1_000.0)
    answers.answered(CARTS, answer(7))
    clock.now += 5
    assert answers.of(CARTS) == FetchStatus(answer(7), 1_005.0)


def test_what_waits_to_be_used_is_no_silence(answers: Answers, clock: Clock) -> None:
    """Until it is used Kafka is not asked for more, and the answer stays as it is."""
    answers.answered(CARTS, answer(7))
    clock.now += 400
    answers.waits(CARTS)
    assert answers.of(CARTS) == FetchStatus(answer(7), 1_400.0)


def test_a_claim_forgets_what_was_heard_before(answers: Answers, clock: Clock) -> None:
    """Another owner may have read beyond the end that was answered then, and Kafka was not asked in between."""
    for tp in (CARTS, VISITS):
        answers.answered(tp, answer(7))
    clock.now += 400
    answers.begin([CARTS])
    assert answers.of(CARTS) == FetchStatus(None, 1_400.0)
    assert answers.of(VISITS) == FetchStatus(answer(7), 1_000.0)


def test_no_answer_takes_the_last_one_back(answers: Answers, clock: Clock) -> None:
    """An input that cannot be reached is not read to its end; the silence is as long as it was."""
    answers.answered(CARTS, answer(7))
    clock.now += 4
    answers.failed(CARTS)
    assert answers.of(CARTS) == FetchStatus(None, 1_000.0)


class Fetching:
    """The part of aiokafka's fetcher that a request needs: it answers for visits alone, or for no input."""

    def __init__(self, answered: tuple[TP, ...]) -> None:
        self.answered = answered
        self.states = {tp: SimpleNamespace(timestamp=1, highwater=9, lso=9) for tp in (CARTS, VISITS)}

    def state_value(self, tp: TopicPartition) -> SimpleNamespace:
        return self.states[TP(*tp)]

    async def _proc_fetch_request(self, assignment: Any, node: Any, request: Any) -> bool:
        for tp in self.answered:
            self.states[tp].timestamp = 2
        return bool(self.answered)


@pytest.mark.parametrize("answered", [(VISITS,), ()])
async def test_a_fetch_that_is_not_answered(answered: tuple[TP, ...], answers: Answers, clock: Clock) -> None:
    """For each requested partition only the answer of this request is known afterwards."""
    for tp in (CARTS, VISITS):
        answers.answered(tp, answer(7))
    fetcher = Fetching(answered)
    aiokafka_hooks.report_responses(cast(Any, fetcher), answers)
    request = SimpleNamespace(topics=[(tp.topic, [(tp.partition, 7, 1)]) for tp in (CARTS, VISITS)])
    await fetcher._proc_fetch_request(fetcher, 1, request)
    ends = {tp: response.high_watermark if (response := answers.of(tp).answer) else None for tp in (CARTS, VISITS)}
    assert ends == {CARTS: None, VISITS: 9 if answered else None}


class Unreachable:
    """The part of aiokafka's client that its fetcher needs: one broker, and each request breaks off."""

    _metadata_max_age_ms = 1_000

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 1)
        self.requested = asyncio.Event()

    async def ready(self, _: int) -> bool:
        return True

    async def send(self, *_: Any) -> Any:
        self.requested.set()
        raise KafkaConnectionError("closed")


async def test_a_fetcher_is_closed_while_a_fetch_waits_to_be_tried_again() -> None:
    """The task that closes it does not see the fetch's own cancellation."""
    subscriptions, client = SubscriptionState(), Unreachable()
    carts = TopicPartition(*CARTS)
    subscriptions.assign_from_user([carts])
    subscriptions.seek(carts, 5)
    fetcher = Fetcher(client, subscriptions, retry_backoff_ms=60_000)
    aiokafka_hooks.absorb_cancellations(cast(Any, SimpleNamespace(_fetcher=fetcher)))
    await client.requested.wait()
    await fetcher.close()


def test_what_was_never_claimed_is_not_silent(answers: Answers, clock: Clock) -> None:
    """An input that was never claimed has no answer to wait for."""
    assert answers.of(CARTS) == FetchStatus(None, clock.now)


# --- the consumer's thread ---------------------------------------------------------------------


class Thread(SimpleNamespace):
    """The part of the consumer's thread that a seek and a drain need."""

    def __init__(self, answers: Answers) -> None:
        self.sought: list[tuple[TP, int, FetchStatus]] = []
        super().__init__(answers=answers, app=SimpleNamespace(consumer_generation_id=3))

    def _ensure_consumer(self) -> Any:
        def seek(tp: TP, position: int) -> None:
            self.sought.append((tp, position, self.answers.of(tp)))

        return SimpleNamespace(seek=seek)

    async def seek_now(self, positions: dict[TP, int]) -> None:
        await _Thread.seek_now(cast(Any, self), positions)


async def test_a_claim_seeks_with_nothing_heard(answers: Answers, clock: Clock) -> None:
    """Answers are forgotten before the seek, so that each later one was requested after the claim."""
    answers.answered(CARTS, answer(7))
    clock.now += 400
    thread = Thread(answers)
    await _Thread.begin_now(cast(Any, thread), {CARTS: 9})
    assert thread.sought == [(CARTS, 9, FetchStatus(None, 1_400.0))]


async def test_reading_again_leaves_what_was_heard(answers: Answers, clock: Clock) -> None:
    """An answer stays true wherever the log is read from, and a silence is as long as it was."""
    answers.answered(CARTS, answer(7))
    clock.now += 400
    await _Thread.seek_now(cast(Any, Thread(answers)), {CARTS: 2})
    assert answers.of(CARTS) == FetchStatus(answer(7), 1_000.0)


class Committing:
    """The part of aiokafka's consumer that a commit needs: it checks its arguments as aiokafka does."""

    def __init__(self, refused: KafkaError | None) -> None:
        self.refused = refused
        self.committed: object = None

    async def commit(self, offsets: Any) -> None:
        self.committed = commit_structure_validate(offsets)
        if self.refused:
            raise self.refused


@pytest.mark.parametrize("refused", [None, CommitFailedError(), IllegalStateError()])
async def test_an_offset_commit_proves_a_generation(refused: KafkaError | None) -> None:
    """The commit has a form that aiokafka takes; only a refusal by the group is no proof."""
    consumer = Committing(refused)
    thread = SimpleNamespace(_ensure_consumer=lambda: consumer)
    assert await _Thread.proves_generation(cast(Any, thread), {CARTS: 7}) is (refused is None)
    assert consumer.committed == {TopicPartition(*CARTS): OffsetAndMetadata(7, "")}


async def test_a_commit_that_fails_proves_nothing() -> None:
    """A failed commit proves neither that the generation is over nor that it is not."""
    thread = SimpleNamespace(_ensure_consumer=lambda: Committing(RequestTimedOutError()))
    with pytest.raises(RequestTimedOutError):
        await _Thread.proves_generation(cast(Any, thread), {CARTS: 7})


@pytest.mark.parametrize("full", [True, False])
def test_a_chunk_that_lies_in_the_fetcher(full: bool, answers: Answers, clock: Clock) -> None:
    """While a chunk is not used up aiokafka does not fetch its input, so the age of the last answer is no silence."""
    answers.answered(CARTS, answer(7))
    clock.now += 400
    state = SimpleNamespace(_position=3)
    chunk = SimpleNamespace(_assignment=SimpleNamespace(state_value=lambda _: state))
    fetcher = SimpleNamespace(
        _records={TopicPartition("carts", 0): chunk}, _subscriptions=SimpleNamespace(is_assigned=lambda _: True)
    )
    owner = SimpleNamespace(is_full=lambda _: full)
    active = {CARTS} if full else set()
    drained, has_waiting = _Thread._drain(cast(Any, Thread(answers)), fetcher, active, cast(Any, owner), 10)
    assert (drained, has_waiting) == ({}, True)
    assert answers.of(CARTS) == FetchStatus(answer(7), 1_400.0)


def fetched(values: list[bytes], keys: list[bytes] | None = None) -> tuple[FetchResult, Any]:
    """One packed batch as aiokafka's fetcher holds it, and the state of its input."""
    builder = DefaultRecordBatchBuilder(2, 4, 0, 7, 0, 0, 2**31 - 1)
    for offset, (key, value) in enumerate(zip(keys or [b"u1"] * len(values), values, strict=True)):
        builder.append(offset, 1_000, key, value, [])
    carts, subscriptions = TopicPartition(*CARTS), SubscriptionState()
    subscriptions.assign_from_user([carts])
    subscriptions.seek(carts, 0)
    records = PartitionRecords(carts, BoundedRecords(bytes(builder.build())), None, 0, None, None, True, 1)
    assignment = subscriptions.subscription.assignment
    result = FetchResult(carts, assignment=assignment, partition_records=records, backoff=0)
    return result, assignment.state_value(carts)


@pytest.mark.parametrize("part", ["value", "key"])
@pytest.mark.parametrize(
    ("size", "limit", "together"),
    [(10, 1_000, 300), (10, 7, 7), (10, None, 300), (DRAIN_MAX_BYTES // 4, 1_000, 4), (2 * DRAIN_MAX_BYTES, 1_000, 1)],
)
async def test_what_is_drained_at_once(size: int, limit: int | None, together: int, part: str) -> None:
    """A drain takes so many records, or so many bytes and the record that passes them; it skips nothing."""
    large = [bytes(size)] * (300 if size < DRAIN_MAX_BYTES // 4 else 9)
    small = [b""] * len(large)
    values, keys = (large, small) if part == "value" else (small, large)
    result, state = fetched(values, keys)
    offsets: list[int] = []
    while result.has_more():
        records = drain(result, limit)
        assert len(records) == min(together, len(values) - len(offsets))
        offsets += [record.offset for record in records]
        assert state.position == len(offsets)
    assert offsets == list(range(len(values)))


async def test_nothing_is_drained_of_what_was_sought_away_from() -> None:
    """aiokafka drops such records, too."""
    result, state = fetched([b"a", b"b"])
    state.seek(1)
    assert drain(result, 10) == []
    assert not result.has_more()


# --- what Faust would drop ---------------------------------------------------------------------


async def test_what_is_read_again_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches from before Faust's position are not dropped, even if one came while the seek was on its way."""
    app = faust.App("seam", datadir="/nonexistent", web_enabled=False)
    came: list[int] = []

    async def callback(message: Any) -> None:
        came.append(message.value.start)

    transport = Transport([URL("kafka://127.0.0.1:1")], app, cast(Any, None), 100, AnswerWatch(60))
    signals: Any = {"on_partitions_revoked": None, "on_partitions_assigned": None}
    consumer = cast(Consumer, transport.create_consumer(callback=callback, **signals))
    fetcher = SimpleNamespace(_stopped=asyncio.Event())

    async def getmany(**_: float) -> AsyncIterator[tuple[TP, Any]]:
        for start in (5, 50, 5, 10):
            yield CARTS, _message(CARTS, Batch("carts", 0, start, start + 5, [], 3))
        fetcher._stopped.set()

    monkeypatch.setattr(consumer, "getmany", getmany)
    monkeypatch.setattr(app.topics, "acks_enabled_for", lambda _: False)
    await consumer._drain_messages(cast(Any, fetcher))
    assert came == [5, 50, 5, 10]
