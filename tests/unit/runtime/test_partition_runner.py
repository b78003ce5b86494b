"""A runner ends by release, by a newer owner, or with the process; never unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from rules.definitions.segments_file import built_in
from rules.engine import Engine
from streams.errors import ProducerFenced, StoreFailed, StoreRefused
from streams.kafka.fetch import FetchResponse, FetchStatus
from streams.runtime import partition_runner as partition_runner_module
from streams.runtime.input_merge import Merge
from streams.runtime.outbox import Outbox
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import Pace, PartitionTask, TaskContext
from streams.state.contract import Claim, Identity
from streams.state.definition_versions import DefinitionVersions
from streams.state.memory import MemoryStore
from streams.wire.records import OutRecord
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.partition import WorkerPartition
from streams.worker.segmenter import SegmenterConfig

TOPICS = ("profiles", "visits", "carts", "purchases")
IDENTITY = Identity("cluster", "group", 1, "definitions")
NOW_MS = 1_800_000_000_000


class Stopped(Exception):
    """Stands in for the end of the process."""


class Publisher:
    """A publisher that takes everything."""

    renew_s: float | None = None

    async def renew(self, partition: int) -> None:
        """No other owner is there."""

    async def claim(self, partitions: Sequence[int]) -> None:
        """Do nothing: there is nothing to prepare."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """Return at once: there is nothing to wait for."""
        return {}

    async def release(self) -> None:
        """Do nothing: there is nothing to release."""


class Refused(Publisher):
    """A publisher that cannot renew its fencing."""

    renew_s = 0.05

    async def renew(self, partition: int) -> None:
        raise ProducerFenced("it stood still")


async def started_runner(
    store: MemoryStore, generation: int, sentences: list[str], publisher: type[Publisher] = Publisher
) -> PartitionRunner:
    """A started runner that idles and saves its clock at every turn."""
    claim = Claim(0, generation, f"token-{generation}", IDENTITY)
    state = await store.claim(claim)
    await store.begin(claim, dict.fromkeys(TOPICS, 0))
    state = await store.claim(claim)
    times = iter(range(NOW_MS, NOW_MS + 10**9, 2_000))

    def now_ms() -> int:
        return next(times)

    def stop(sentence: str) -> None:
        sentences.append(sentence)
        raise Stopped

    config = SegmenterConfig(
        now_ms=now_ms, belong=lambda customers: [True] * len(customers), dead_letter_limit=DeadLetterLimit(0.5, 10_000)
    )
    part = WorkerPartition(store, claim, state, DefinitionVersions.initial(Engine(built_in())), config)
    outbox = Outbox(store, publisher(), 0, claim.fencing_token, state, saved=lambda: part.checkpointer.save_number)
    loop = asyncio.get_running_loop()
    context = TaskContext(
        partition=0,
        merge=Merge(TOPICS, state.positions),
        pace=Pace(10, 10, 10, 1_000),
        fetch_status=lambda _: FetchStatus(FetchResponse(0, 0, next(times), loop.time()), loop.time()),
        now_ms=now_ms,
    )
    partition_task = PartitionTask(context, part.segmenter, outbox)
    runner = PartitionRunner(claim, partition_task, outbox, store, stop)
    runner.start()
    return runner


async def until(sentences: list[str]) -> None:
    """Wait, for seconds at most, until the runner has stopped."""
    async with asyncio.timeout(5):
        while not sentences:  # noqa: ASYNC110  # a list of sentences is what there is to wait for
            await asyncio.sleep(0.01)


def test_a_store_that_forgot_the_claim_stops_the_worker() -> None:
    """Redis came back empty, or without its last second: no other worker owns the partition."""

    async def run() -> list[str]:
        store, sentences = MemoryStore(), list[str]()
        runner = await started_runner(store, 5, sentences)
        store._partitions.clear()
        await until(sentences)
        await runner.release()
        return sentences

    assert "Redis no longer knows the claim of partition 0" in asyncio.run(run())[0]


def test_a_producer_that_kafka_refuses() -> None:
    """The claim stands in Redis, so the sentence gives Kafka's reason, and no newer owner."""

    async def run() -> list[str]:
        sentences = list[str]()
        runner = await started_runner(MemoryStore(), 5, sentences, Refused)
        await until(sentences)
        await runner.release()
        return sentences

    assert asyncio.run(run())[0] == (
        "Kafka fenced this process's producer of partition 0: it stood still; start the worker again"
    )


def test_a_newer_owner_is_given_way_and_then_time_to_be_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A higher generation took the partition: the worker stops only if the group stays silent."""
    monkeypatch.setattr(partition_runner_module, "NEWER_OWNER_WAIT_S", 0.5)

    async def run() -> tuple[list[str], list[str]]:
        store, sentences = MemoryStore(), list[str]()
        runner = await started_runner(store, 5, sentences)
        await store.claim(Claim(0, 6, "newer", IDENTITY))
        await asyncio.sleep(0.3)
        early = list(sentences)
        await until(sentences)
        await runner.release()
        return early, sentences

    early, sentences = asyncio.run(run())
    assert early == []
    assert "has a newer owner but the group did not say so" in sentences[0]


def test_released_while_a_newer_claim_fences_it() -> None:
    """A runner on its way out is no reason to stop: the worker itself may have claimed again."""

    async def run() -> list[str]:
        store, sentences = MemoryStore(), list[str]()
        first = await started_runner(store, 5, sentences)
        second = await started_runner(store, 5, sentences)
        store._partitions[0].claim = Claim(0, 5, "token-other", IDENTITY)
        first._releasing = second._releasing = True
        await asyncio.sleep(0.2)
        await asyncio.gather(first.release(), second.release())
        return sentences

    assert asyncio.run(run()) == []


def test_a_cancelled_release_leaves_no_task() -> None:
    """Faust may cancel a claim half way; what it was releasing must not go on."""

    async def run() -> bool:
        store, sentences = MemoryStore(), list[str]()
        runner = await started_runner(store, 5, sentences)
        releasing = asyncio.create_task(runner.release())
        await asyncio.sleep(0)
        releasing.cancel()
        await asyncio.gather(releasing, return_exceptions=True)
        await asyncio.sleep(0.05)
        return all(task.done() for task in runner._tasks)

    assert asyncio.run(run())


class Unreachable(MemoryStore):
    """A store that forgets every claim, and cannot say which worker holds a partition."""

    def __init__(self, error: StoreFailed) -> None:
        super().__init__()
        self._error = error

    async def generation(self, partition: int) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StoreFailed("gone"), "Redis failed (gone); when it is back, start the worker again"),
        (StoreRefused("Redis is full: empty it"), "Redis is full: empty it"),
    ],
)
def test_a_store_that_fails_while_it_is_asked_for_the_newer_owner(error: StoreFailed, sentence: str) -> None:
    """A failure of that question is a failure of the store like any other: it stops the worker."""

    async def run() -> list[str]:
        store, sentences = Unreachable(error), list[str]()
        runner = await started_runner(store, 5, sentences)
        store._partitions.clear()
        await until(sentences)
        await runner.release()
        return sentences

    assert asyncio.run(run())[0] == sentence
