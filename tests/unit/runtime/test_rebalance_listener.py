"""From an assignment to running partitions: all or none, whatever answers came before.

Kafka, the group and the publisher are stand-ins that do one thing at the moment that a test is about;
the store is the memory store, which keeps the contract. Long because a claim may go wrong at each of its steps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec
import pytest
from aiokafka.errors import IllegalStateError, KafkaConnectionError
from faust.types import TP

from rules.definitions.segments_file import built_in
from rules.engine import Engine
from rules.published_ahead import PublishedChange
from streams.errors import StoreFailed, StoreRefused
from streams.kafka.fetch import Answers, Batch, FetchResponse, FetchStatus, Offsets, OutputChunk, TopicAndPartition
from streams.runtime import poison_pills, rebalance_listener
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import Pace
from streams.runtime.rebalance_listener import PartitionOwner
from streams.runtime.watchdog import LOST_AFTER_ANSWERS, FetchWatchdog
from streams.state.contract import Claim, Identity, PartitionState, Save
from streams.state.definition_versions import DefinitionVersions
from streams.state.memory import MemoryStore
from streams.stop import Stop
from streams.wire.records import OutRecord, encode_entry
from streams.wire.topics import OUTPUTS
from streams.worker.claim import WorkerConfig, claim_partitions
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.rebuild_handover import RebuildRequest, Recomputation
from streams.worker.segmenter import Segmenter

TOPICS = ("profiles", "visits", "carts", "purchases")
IDENTITY = Identity("cluster", "group", 2, "definitions")
PARTITIONS = (0, 1)
TPS = frozenset(TP(topic, partition) for topic in TOPICS for partition in PARTITIONS)
NEW = frozenset(tp for tp in TPS if tp.partition == 1)
CARTS = TP("carts", 1)
END = 10_000


class Consumer:
    """Stands in for `streams.kafka.faust_transport.Consumer`: notes where it seeks, and can be told what to answer."""

    def __init__(self) -> None:
        self.generation = 7
        self.first = dict.fromkeys(TPS, 0)
        self.end = dict.fromkeys(TPS, END)
        self.committed: dict[TP, int] = {}
        self.answers = Answers()
        self.begun: list[Mapping[TP, int]] = []
        self.sought: list[Mapping[TP, int]] = []
        self.fails: Exception | None = None
        self.proves = True
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def proves_generation(self, positions: Mapping[TP, int]) -> bool:
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.proves

    def heard(self, tp: TP) -> FetchStatus:
        return self.answers.of(tp)

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        return Offsets(self.first, self.end, self.committed)

    async def begin_all(self, positions: Mapping[TP, int]) -> None:
        if self.fails:
            raise self.fails
        self.answers.begin(positions)
        self.begun.append(dict(positions))

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        if self.fails:
            raise self.fails
        self.sought.append(dict(positions))


class Publisher:
    """A publisher that takes everything, and then does what the test says."""

    renew_s = None

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.while_claiming: Callable[[], Awaitable[object]] | None = None
        self.calls: list[str] = []

    async def claim(self, partitions: Sequence[int]) -> None:
        self.calls.append(f"claim {list(partitions)}")
        if self.while_claiming is not None:
            await self.while_claiming()

    async def renew(self, partition: int) -> None:
        self.calls.append(f"renew {partition}")

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        self.calls.append(f"publish {partition}")
        if self.meanwhile is not None:
            await self.meanwhile()
        return {}

    async def release(self) -> None:
        self.calls.append("release")


class Outputs:
    """Empty output topics; reading them does what the test says."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.chunks: list[OutputChunk] = []
        self.heads: Mapping[int, list[OutRecord]] = {}  # by partition, of each input
        self.peeked: list[set[int]] = []
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[OutputChunk, None]:
        if all(topic in (*TOPICS, "merges") for topic, _ in positions):  # there is no erasure request
            return
        self._publisher.calls.append("read back")
        if self.meanwhile is not None:
            await self.meanwhile()
        for chunk in self.chunks:
            yield chunk

    async def peek(
        self, places: Collection[TopicAndPartition], _wanted: Callable[[TopicAndPartition], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        self.peeked.append({partition for _, partition in places})
        for topic, partition in places:
            if head := self.heads.get(partition):
                yield OutputChunk(topic, partition, head, len(head))


class Nobody:
    """A recomputation whose events belong to no customer."""

    def __init__(self, world: World, partition: int) -> None:
        self.customers: dict[str, bytes] = {}
        self.published: dict[str, PublishedChange] = {}
        self._world, self._partition = world, partition

    async def upto(self, positions: Mapping[str, int]) -> None:
        if self._world.fails:
            raise Stop(self._world.fails)
        (position,) = set(positions.values())
        self._world.rebuilt.append(f"{self._partition} upto {position}")

    async def close(self) -> None:
        self._world.rebuilt.append(f"{self._partition} closed")


class World:
    """A worker's ownership with all that is around it."""

    def __init__(self) -> None:
        self.store, self.publisher, self.consumer = MemoryStore(), Publisher(), Consumer()
        self.outputs = Outputs(self.publisher)
        self.sentences: list[str] = []
        self.rebuilt: list[str] = []
        self.fails = ""
        self.stays: Callable[[str], bool] = lambda _: True
        self.ownership = self.worker()

    def worker(self, identity: Identity = IDENTITY, *, rebuild: bool = False) -> PartitionOwner:
        """Another worker on the same store."""
        plan = WorkerConfig(
            topics=TOPICS,
            outputs=OUTPUTS,
            identity=identity,
            engine=Engine(built_in()),
            pace=Pace(10, 10, 10, 1_000),
            dead_letter_limit=DeadLetterLimit(0.5, 10_000),
            languages=(),
            rebuild=rebuild,
            exact_ends=True,
            belong=lambda customers, _: [self.stays(customer) for customer in customers],
            now_ms=lambda: int(time.time() * 1000),
            stop=self.sentences.append,  # the process goes on here
            started_ms=int(time.time() * 1000),
            recompute=self._recompute,
        )
        return PartitionOwner(plan, self.store, self.publisher, self.outputs, partial(claim_partitions, plan))

    async def _recompute(self, request: RebuildRequest) -> Recomputation:
        self.rebuilt.append(f"{request.partition} begun")
        return Nobody(self, request.partition)

    async def left(self, position: int) -> None:
        """A former owner has saved this position in every input, and an entry that is not published."""
        for partition in PARTITIONS:
            claim = Claim(partition, 5, "former", IDENTITY)
            await self.store.claim(claim)
            await self.store.begin(claim, dict.fromkeys(TOPICS, position - 1))
            entry = encode_entry([OutRecord("segment-changes", b"u1", b"{}", [])])
            starts, positions = dict.fromkeys(TOPICS, position - 1), dict.fromkeys(TOPICS, position)
            await self.store.save(partition, Save("former", 1, b"d", starts, positions, 1, [], [entry]))

    async def claim(self, ownership: PartitionOwner | None = None, tps: frozenset[TP] = TPS) -> Mapping[TP, int]:
        return await (ownership or self.ownership).claim(tps, 7, cast(Any, self.consumer))


@pytest.fixture
async def world() -> Any:
    world = World()
    yield world
    await world.ownership.release()


# --- claims ------------------------------------------------------------------------------------


async def test_a_claim_reads_on_from_what_is_saved(world: World) -> None:
    """All inputs of all partitions are sought at once; then they are held."""
    await world.left(5_000)
    assert await world.claim() == dict.fromkeys(TPS, 5_000)
    assert world.consumer.begun == [dict.fromkeys(TPS, 5_000)]
    assert set(world.ownership.fetching()) == TPS
    assert world.sentences == []


def versions(runner: PartitionRunner) -> DefinitionVersions:
    """The definition files of a partition that runs."""
    return cast(Segmenter, runner.task.processor)._loader.versions


def head(*names: str) -> list[OutRecord]:
    """The first records of a partition, each of another customer."""
    return [OutRecord("", name.encode(), b"", []) for name in names]


MOVED, STAYED = head("moved1", "moved2", "moved3"), head("stayed1")


def stays(customer: str) -> bool:
    return customer.startswith("stayed")


async def test_topics_that_got_more_partitions(world: World) -> None:
    """A worker without a position reads nothing; a position in Redis was saved under this number of partitions."""
    world.stays, world.outputs.heads = stays, {0: MOVED}
    await world.claim()
    assert world.sentences[0].startswith("events on partition 0 of profiles belong to other partitions")
    assert (world.consumer.begun, world.ownership.runners) == ([], {})
    other = World()
    other.stays, other.outputs.heads = stays, {0: MOVED, 1: MOVED}
    await other.left(5_000)
    assert await other.claim() == dict.fromkeys(TPS, 5_000)
    assert (other.sentences, other.outputs.peeked) == ([], [])
    await other.ownership.release()


async def test_a_worker_that_has_a_new_partition_alone(world: World) -> None:
    """A worker with only a new partition stops: another partition holds the history of its customers."""
    world.stays, world.outputs.heads = stays, {0: MOVED, 1: STAYED}
    await world.claim(tps=NEW)
    assert world.sentences[0].startswith("events on partition 0 of profiles belong to other partitions")
    assert (world.consumer.begun, world.ownership.runners) == ([], {})


async def test_first_records_are_looked_at_once(world: World) -> None:
    """Each process looks at its first claim; in an empty partition it looks no further."""
    await world.claim(tps=NEW)
    world.outputs.heads = {0: STAYED, 1: STAYED}
    for _ in range(2):
        await world.claim()
    assert (world.sentences, world.outputs.peeked) == ([], [{1}, {0}])
    other = World()
    other.outputs.heads = world.outputs.heads
    for _ in range(2):
        await other.claim(tps=NEW)
    assert (other.sentences, other.outputs.peeked) == ([], [{1}, {0}])
    await other.ownership.release()


async def test_a_takeover_is_not_judged_by_what_was_heard_before(world: World) -> None:
    """The survivor's last answers are old: the inputs ended earlier than another worker has read since."""
    for tp in TPS:
        world.consumer.answers.answered(tp, FetchResponse(100, 100, 0, 0.0))
    await world.left(5_000)
    dog = FetchWatchdog(
        60, lambda: world.ownership.fetching().values(), lambda: world.ownership.without_since,
        cast(Any, world.sentences.append),
    )  # fmt: skip

    async def look() -> None:
        dog.look(time.monotonic() + 200)
        await world.ownership.heal()

    world.publisher.meanwhile = look
    await world.claim()
    for _ in range(LOST_AFTER_ANSWERS + 2):
        await look()
    assert all(fetching.fetched <= fetching.high_watermark for fetching in world.ownership.fetching().values())
    assert (world.sentences, world.consumer.sought) == ([], [])


@pytest.mark.parametrize(("generation", "fetched"), [(6, 5_000), (7, 5_003), (8, 5_000)])
async def test_a_batch_of_another_generation_is_dropped(world: World, generation: int, fetched: int) -> None:
    """A batch of another generation is dropped even if its offset fits: its thread may not know of the seek."""
    await world.left(5_000)
    await world.claim()
    tp = TP("visits", PARTITIONS[0])
    await world.ownership.receive(Batch(*tp, 5_000, 5_003, [], generation))
    assert world.ownership.fetching()[tp].fetched == fetched


async def test_a_newer_owner_in_the_middle_of_a_claim(world: World) -> None:
    """The newer owner takes the partition while the outbox is published: no defect, and nothing is held."""
    await world.left(5_000)
    world.publisher.meanwhile = lambda: world.store.claim(Claim(0, 8, "newer", IDENTITY))
    assert await world.claim() == {}
    (sentence,) = world.sentences
    assert "a newer owner has the partition" in sentence
    assert "start the worker again" in sentence
    assert world.ownership.fetching() == {}


async def test_a_newer_owner_before_former_ones_are_kept_away(world: World) -> None:
    """An owner that has fenced a newer one reads nothing back, publishes nothing, and ends."""
    await world.left(5_000)
    world.publisher.while_claiming = lambda: world.store.claim(Claim(0, 8, "newer", IDENTITY))
    assert await world.claim() == {}
    (sentence,) = world.sentences
    assert sentence.startswith("a claim was lost while it was made: a newer owner has the partition")
    assert world.publisher.calls[:2] == ["release", f"claim {list(PARTITIONS)}"]
    assert {"read back", "publish 0"}.isdisjoint(world.publisher.calls)


@pytest.mark.parametrize("proves", [True, False])
async def test_a_claim_of_a_higher_generation_is_there(world: World, proves: bool) -> None:
    """The group decides: it was made again, or it has moved on and this worker will hear of it."""
    await world.store.claim(Claim(0, 9, "other", IDENTITY))
    world.consumer.proves = proves
    assert await world.claim() == (dict.fromkeys(TPS, 0) if proves else {})
    assert world.sentences == []


async def test_a_claim_of_a_higher_generation_comes_meanwhile(world: World) -> None:
    """The earlier proof does not count against it."""
    await world.store.claim(Claim(0, 9, "other", IDENTITY))
    world.consumer.meanwhile = lambda: world.store.claim(Claim(0, 10, "another", IDENTITY))
    assert await world.claim() == {}
    assert world.sentences == []


async def test_a_claim_that_redis_loses_before_it_begins(world: World) -> None:
    """A claim that Redis loses before it begins is refused, or positions without state would be committed."""
    claim = world.store.claim

    async def claim_and_forget(wanted: Claim) -> PartitionState:
        state = await claim(wanted)
        world.store._partitions.clear()
        return state

    world.store.claim = claim_and_forget  # type: ignore[method-assign, assignment]
    assert await world.claim() == {}
    (sentence,) = world.sentences
    assert "or Redis lost its last writes; start the worker again" in sentence
    assert world.ownership.fetching() == {}


async def test_partitions_that_are_taken_away_in_the_middle_of_a_claim(world: World) -> None:
    """aiokafka refuses to seek in them: the next assignment follows, so nothing is held and nothing stops."""
    world.consumer.fails = IllegalStateError("not assigned")
    assert await world.claim() == {}
    assert world.sentences == []
    assert world.ownership.fetching() == {}


@pytest.mark.parametrize("what", ["release", "claim"])
async def test_a_claim_that_is_let_go_of(world: World, what: str) -> None:
    """A rebalance ends it before its producers are closed; nothing stops, and the next claim counts."""
    await world.left(5_000)
    calls, publishing = world.publisher.calls, asyncio.Event()

    async def for_ever() -> None:
        publishing.set()
        try:
            await asyncio.Event().wait()
        finally:
            calls.append("ended")

    world.publisher.meanwhile = for_ever
    first = asyncio.create_task(world.claim())
    await publishing.wait()
    del calls[:]
    world.publisher.meanwhile = None
    if what == "release":
        await world.ownership.release()
        assert world.ownership.fetching() == {}
    else:
        assert await world.claim() == dict.fromkeys(TPS, 5_000)
        assert set(world.ownership.fetching()) == TPS
    assert await first == {}
    assert (calls[:2], world.sentences) == (["ended", "release"], [])


async def test_a_claim_that_kafkas_client_breaks_off(world: World) -> None:
    """The worker did not ask for the cancellation, so no other claim would follow, and it stops."""

    async def broken_off() -> None:
        raise asyncio.CancelledError

    world.outputs.meanwhile = broken_off
    assert await world.claim() == {}
    (sentence,) = world.sentences
    assert sentence.startswith("claiming was broken off")


async def test_what_is_let_go_of_is_to_be_followed_by_something(world: World) -> None:
    """A claim follows, or the group's word that there is none; until then the time is known."""
    ownership = world.ownership
    assert ownership.without_since is None
    await world.claim()
    assert ownership.without_since is None
    began = time.monotonic()
    await ownership.release()
    since = cast(Any, ownership).without_since  # mypy holds it for unchanged
    assert since >= began
    await ownership.release()
    ownership.assigned(TPS)
    assert cast(Any, ownership).without_since == since
    ownership.assigned(())
    assert ownership.without_since is None


async def test_a_claim_that_faust_gives_up(world: World) -> None:
    """A cancellation from outside is not taken for a rebalance."""
    world.outputs.meanwhile = asyncio.Event().wait
    claim = asyncio.create_task(world.claim())
    await asyncio.sleep(0.05)
    claim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claim


async def test_a_claim_that_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker stops: Faust would go on without the partitions."""
    monkeypatch.setattr(rebalance_listener, "CLAIM_MAX_S", 0.05)
    world.outputs.meanwhile = asyncio.Event().wait
    assert await world.claim() == {}
    (sentence,) = world.sentences
    assert sentence.startswith("claiming took over")


async def test_a_second_release_waits_for_the_first(world: World) -> None:
    """Partitions are taken away while the worker ends: what is still being published keeps its producers."""
    await world.claim()
    calls, may, sending = world.publisher.calls, asyncio.Event(), asyncio.Event()

    async def send() -> None:
        sending.set()
        await may.wait()

    world.publisher.meanwhile = send
    await world.ownership._runners[0].outbox.put([OutRecord("segment-changes", b"u1", b"{}", [])])
    await sending.wait()
    del calls[:]
    releases = [asyncio.create_task(world.ownership.release()) for _ in range(2)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert calls == []
    may.set()
    await asyncio.gather(*releases)
    assert calls == ["release", "release"]


async def test_a_forgotten_rebuild_binds_nobody(world: World) -> None:
    """On a fresh Redis the worker stops; the rebuild may then be of another group."""
    world.consumer.committed = dict.fromkeys(TPS, 50)
    await world.claim()
    assert "or use a fresh Redis and `segmenter worker --rebuild`" in world.sentences.pop()
    rebuilt = world.worker(msgspec.structs.replace(IDENTITY, group="another"), rebuild=True)
    assert await world.claim(rebuilt) == dict.fromkeys(TPS, 0)
    await rebuilt.release()
    assert world.sentences == []
    await world.claim()
    assert "group stored 'another" in world.sentences[0]


async def soon(is_so: Callable[[], bool]) -> None:
    """Wait, for 5 s at most, until it is so."""
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_a_rebuild_on_what_is_there() -> None:
    """The worker goes on from its positions; a process rebuilds each partition once, up to them, one by one."""
    world = World()
    await world.left(5_000)
    again = world.worker(rebuild=True)
    for _ in range(2):
        assert await world.claim(again) == dict.fromkeys(TPS, 5_000)
        await soon(
            lambda: all(
                cast(Segmenter, runner.task.processor)._loader.versions.rebuilt for runner in again.runners.values()
            )
        )
        await again.release()
    assert world.sentences == []
    assert world.rebuilt == [
        f"{partition} {what}" for partition in PARTITIONS for what in ("begun", "upto 5000", "upto 5000", "closed")
    ]


async def test_a_rebuild_on_a_fresh_redis() -> None:
    """There is nothing to rebuild, nor at the next claim: all is read from its first record."""
    world = World()
    fresh = world.worker(rebuild=True)
    for _ in range(2):
        await world.claim(fresh)
        await asyncio.sleep(0.1)
        await fresh.release()
    assert (world.rebuilt, world.sentences) == ([], [])


async def test_a_rebuild_that_fails() -> None:
    """The process stops: it was started for that, and by other definitions than those that it goes on with."""
    world = World()
    await world.left(5_000)
    world.fails = "partition 0 was not rebuilt: why"
    failing = world.worker(rebuild=True)
    await world.claim(failing)
    await soon(lambda: bool(world.sentences))
    await failing.release()
    assert world.sentences[0] == world.fails
    assert world.rebuilt[:2] == ["0 begun", "0 closed"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StoreFailed("gone"), "claiming failed (StoreFailed('gone')); see that Redis and Kafka can be reached"),
        (StoreRefused("Redis is full: empty it"), "Redis is full: empty it"),
    ],
)
async def test_a_store_that_fails_while_partitions_are_claimed(
    world: World, monkeypatch: pytest.MonkeyPatch, error: StoreFailed, sentence: str
) -> None:
    """A store that answers with a refusal can be reached; the sentence says what it refuses and what to do."""

    async def fail(_: Claim) -> PartitionState:
        raise error

    monkeypatch.setattr(world.store, "claim", fail)
    assert await world.claim() == {}
    assert world.sentences == [sentence]


async def test_what_was_published_is_read_back_before_anything_is_published(world: World) -> None:
    """The order is claims, the publisher's fencing, the topics, then the rest of the outbox."""
    await world.left(5_000)
    claimed_first: list[str] = []

    async def look() -> None:
        claimed_first.extend(
            partition.claim.fencing_token for partition in world.store._partitions.values() if partition.claim
        )

    world.outputs.meanwhile = look
    await world.claim()
    assert world.publisher.calls == ["release", "claim [0, 1]", "read back", "publish 0", "publish 1"]
    assert len(claimed_first) == len(PARTITIONS)
    assert "former" not in claimed_first


async def test_a_reading_back_that_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading back that takes too long has saved its progress: the advice is to start again."""
    monkeypatch.setattr(rebalance_listener, "CLAIM_MAX_S", 0.2)
    world.outputs.chunks = [OutputChunk("segment-changes", partition, [], 7) for partition in PARTITIONS]
    read = world.outputs.read

    async def slow(positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[OutputChunk, None]:
        async for chunk in read(positions):
            yield chunk
        if ("segment-changes", 0) in positions:
            await asyncio.sleep(5)

    monkeypatch.setattr(world.outputs, "read", slow)
    assert await world.claim() == {}
    (sentence,) = world.sentences
    assert sentence.startswith("claiming took over 0 s; published records are still being read back")
    assert "it goes on from there" in sentence
    assert world.ownership.fetching() == {}
    assert [partition.outputs for partition in world.store._partitions.values()] == [{"segment-changes": 7}] * 2


# --- reading again -----------------------------------------------------------------------------


async def answered(world: World, end: int, times: int = LOST_AFTER_ANSWERS + 1) -> None:
    """Look several times, each after another answer that there are records in one input."""
    for index in range(times):
        world.consumer.answers.answered(CARTS, FetchResponse(end, end, 0, float(index)))
        await world.ownership.heal()


async def test_records_that_were_fetched_but_never_came_are_read_again(world: World) -> None:
    """A batch was lost and none follows: only its input is read again, from there."""
    await world.claim()
    await answered(world, END, LOST_AFTER_ANSWERS)
    assert world.consumer.sought == []
    await answered(world, END)
    assert world.consumer.sought == [{CARTS: 0}]
    assert world.sentences == []


async def test_an_input_created_anew_under_a_running_worker(world: World) -> None:
    """A recreated input ends before the position, and Kafka says so when it is asked: nothing is sought."""
    await world.left(5_000)
    await world.claim()
    world.consumer.end[CARTS] = 40
    await answered(world, 40)
    (sentence,) = world.sentences
    assert sentence.startswith(
        "carts-1 ends at 40 but records up to 5000 were already read; the topic was deleted and recreated"
    )
    assert "--rebuild" in sentence
    assert world.consumer.sought == []


async def test_a_new_leader_that_has_not_caught_up(world: World) -> None:
    """A new leader's answers end too early for a while; asked for the end it is right, and reading goes on."""
    await world.left(5_000)
    await world.claim()
    await answered(world, 4_990)
    assert world.sentences == []
    assert world.consumer.sought == [{CARTS: 5_000}]


@pytest.mark.parametrize("by_a_batch", [True, False])
async def test_retention_has_passed_what_is_awaited(world: World, by_a_batch: bool) -> None:
    """A later batch shows the hole, or the answers alone do."""
    await world.left(5_000)
    await world.claim()
    world.consumer.first[CARTS] = 6_000
    if by_a_batch:
        await world.ownership.receive(Batch("carts", 1, 6_000, 6_001, [], 7))
    else:
        await answered(world, END)
    (sentence,) = world.sentences
    assert sentence.startswith("carts-1: records 5000 to 5999 were removed by retention before they were read")
    assert world.consumer.sought == []


async def test_a_seek_that_kafka_refuses_is_tried_again(world: World) -> None:
    """A broker that went away in between is no defect of ours; the next look does it."""
    await world.claim()
    world.consumer.fails = KafkaConnectionError("gone")
    await answered(world, END)
    world.consumer.fails = None
    assert (world.sentences, world.consumer.sought) == ([], [])
    await answered(world, END)
    assert world.consumer.sought == [{CARTS: 0}]


# --- how it ended for the owners before ---------------------------------------------------------


async def test_a_claim_that_is_not_released_is_a_death_for_the_next(world: World) -> None:
    """Two at one position ask for care with all partitions; after a release in order none is left."""
    await world.left(5_000)
    partition = PARTITIONS[0]
    for deaths in (0, 1):
        await world.claim(world.worker())  # and the process is gone
        attempt = msgspec.json.decode(world.store._of(partition).attempt, type=poison_pills.Attempt)
        assert (attempt.deaths, attempt.needs_care) == (deaths, False)
    await world.claim()
    careful = [runner.task._is_careful for runner in world.ownership.runners.values()]
    assert careful == [True] * len(PARTITIONS)
    await world.ownership.release()
    assert [world.store._of(partition).attempt for partition in PARTITIONS] == [b""] * len(PARTITIONS)
    await world.claim()
    assert not any(runner.task._is_careful for runner in world.ownership.runners.values())
