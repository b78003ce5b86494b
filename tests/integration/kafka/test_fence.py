"""Fences on Apache Kafka: how many are made at once, when they are renewed, and why they are lost."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import RequestTimedOutError

from local.servers import Kafka
from streams.errors import NotRenewed, ProducerFenced, PublishFailed
from streams.kafka import producer_fence
from streams.kafka import publisher as publisher_module
from streams.kafka.publisher import FencedPublisher
from streams.kafka.transactional_ids import transactional_id
from streams.runtime import outbox, rebalance_listener
from streams.runtime.outbox import Outbox, renewal_s
from streams.state.contract import Claim, Identity, Save
from streams.state.memory import MemoryStore
from streams.wire.topics import OUTPUTS
from tests.support.outputs import Place, records, values_of

NOBODY = "127.0.0.1:1"
ENTRIES = 20


@pytest.fixture
def place(kafka: Kafka) -> Iterator[Place]:
    yield Place(kafka)
    gc.collect()  # aiokafka leaves futures that failed: what is logged of them is logged here


class PublishingOwner:
    """An owner of a partition: its outbox, on a store in memory, publishes and renews the fence."""

    def __init__(self, publisher: FencedPublisher, box: Outbox) -> None:
        self.publisher = publisher
        self.outbox = box
        self.running = asyncio.create_task(box.run())

    def leads_to(self, address: str) -> None:
        """Set the address at which new producers look for Kafka."""
        self.publisher._options["bootstrap_servers"] = address

    async def is_published(self, value: bytes) -> None:
        await self.outbox.put(records(value))
        await asyncio.wait_for(self.outbox.drained(), 20)

    async def is_renewed(self) -> None:
        """Wait until the fence is renewed once more."""
        former = self.publisher._fences[0]
        await self.until(lambda: self.publisher._fences[0] is not former)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                assert not self.running.done(), self.running.exception()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def publishing_owner(place: Place, renew_s: float) -> AsyncIterator[PublishingOwner]:
    """An owner which has claimed partition 0."""
    store = MemoryStore()
    claim = Claim(0, 1, "t", Identity("cluster", "group", 1, "definitions"))
    state = await store.claim(claim)
    await store.begin(claim, {})
    await store.save(0, Save("t", 1, b"", {}, {}, 0, [], [b""] * ENTRIES))
    publisher = FencedPublisher(place.client, place.prefix, "group", OUTPUTS, 2, renew_s)
    publisher._fence_max_s = 60
    await publisher.claim([0])
    owner = PublishingOwner(publisher, Outbox(store, publisher, 0, "t", state, saved=lambda: 1))
    try:
        yield owner
    finally:
        owner.running.cancel()
        await asyncio.gather(owner.running, return_exceptions=True)
        await publisher.release()


def not_renewed(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.message.startswith("renewing a fence failed")]


# --- when it is renewed ------------------------------------------------------------------------


def test_partitions_renew_one_after_the_other() -> None:
    """Each partition renews after half of the time or later, and no two within a 500th of it."""
    for first in range(300):
        times = sorted(renewal_s(partition, 1.0) for partition in range(first, first + 200))
        assert times[0] > 0.5
        assert times[-1] <= 1.0
        assert min(after - before for before, after in pairwise(times)) > 1 / 1_000


@pytest.mark.kafka
async def test_fences_that_are_made_at_once(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many fences are made at once as the coordinator bears, by claims and by renewals."""
    place = Place(kafka, partitions=6)
    making, most = 0, 0
    make = producer_fence.make

    async def counted(options: Any, name: str, places: Sequence[TopicPartition]) -> producer_fence.Fence:
        nonlocal making, most
        making += 1
        most = max(most, making)
        try:
            return await make(options, name, places)
        finally:
            making -= 1

    monkeypatch.setattr(producer_fence, "make", counted)
    monkeypatch.setattr(publisher_module, "_STARTING_MAX", 2)
    publisher = FencedPublisher(place.client, place.prefix, "group", OUTPUTS, 6)
    await publisher.claim(range(6))
    assert most == 2
    most = 0
    await asyncio.gather(*(publisher.renew(partition) for partition in range(6)))
    assert most == 2
    await publisher.release()


# --- a renewal that fails ----------------------------------------------------------------------


@pytest.mark.kafka
async def test_kafka_cannot_be_reached_for_a_renewal(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A renewal that did not begin leaves the fence: publishing goes on with it, and it is renewed later."""
    async with publishing_owner(place, renew_s=1.0) as owner:
        owner.leads_to(NOBODY)
        await owner.until(lambda: len(not_renewed(caplog)) > 3)
        await owner.is_published(b"1")
        owner.leads_to(place.brokers)
        await owner.is_renewed()
        await owner.is_published(b"2")
    assert await values_of(place) == [b"1", b"2"]
    assert {record.levelno for record in not_renewed(caplog)} == {logging.WARNING}


@pytest.mark.kafka
async def test_a_renewal_that_fails_half_way(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is published until a renewal has come through, as leaders may refuse the former producer."""
    carry = producer_fence._carry_epoch
    async with publishing_owner(place, renew_s=1.0) as owner:

        async def carried_and_lost(producer: AIOKafkaProducer, places: Sequence[TopicPartition]) -> None:
            monkeypatch.setattr(producer_fence, "_carry_epoch", carry)
            await carry(producer, places)
            owner.leads_to(NOBODY)  # the next attempt does not even begin
            raise RequestTimedOutError

        former = owner.publisher._fences[0]
        monkeypatch.setattr(outbox, "AGAIN_S", 0.2)
        monkeypatch.setattr(producer_fence, "_carry_epoch", carried_and_lost)
        await owner.until(lambda: len(not_renewed(caplog)) > 2)
        with pytest.raises(ProducerFenced):
            await owner.publisher.publish(0, records(b"refused"))
        publishing = asyncio.create_task(owner.is_published(b"1"))
        await asyncio.sleep(0.5)
        assert owner.publisher._fences[0] is former
        owner.leads_to(place.brokers)
        await publishing
    assert await values_of(place) == [b"1"]
    assert [record.has_begun for record in not_renewed(caplog)][:3] == [True, False, False]


@pytest.mark.kafka
async def test_kafka_stands_still_when_a_renewal_has_an_epoch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was to be published meanwhile is published once, when it answers."""

    def stop_it(name: str) -> None:
        if name == "mid_fence":
            os.kill(kafka.pid, signal.SIGSTOP)

    monkeypatch.setattr(outbox, "AGAIN_S", 0.2)
    monkeypatch.setattr(producer_fence, "FENCE_WAIT_S", 2.0)
    with Kafka(heap_mb=256) as kafka:
        place = Place(kafka)
        async with publishing_owner(place, renew_s=1.0) as owner:
            with monkeypatch.context() as changed:
                changed.setattr(producer_fence, "reach", stop_it)
                await owner.until(lambda: len(not_renewed(caplog)) > 1)
            publishing = asyncio.create_task(owner.is_published(b"1"))
            await asyncio.sleep(0.5)
            assert not publishing.done()
            os.kill(kafka.pid, signal.SIGCONT)
            await publishing
            await owner.is_renewed()
        assert await values_of(place) == [b"1"]
    assert "Kafka kept no transaction within 2 s" in not_renewed(caplog)[0].error
    assert not_renewed(caplog)[0].has_begun


@pytest.mark.kafka
async def test_a_fence_that_cannot_be_renewed_for_too_long(place: Place) -> None:
    """Publishing fails, since Kafka may have forgotten the fence."""
    async with publishing_owner(place, renew_s=1.0) as owner:
        owner.publisher._fence_max_s = 2.0
        owner.leads_to(NOBODY)
        with pytest.raises(PublishFailed, match="or could not renew its fence, for"):
            await asyncio.wait_for(owner.running, 20)


@pytest.mark.kafka
async def test_a_claim_without_kafka_fails(place: Place) -> None:
    """A claim fails without Kafka: there is no former fence with which to go on."""
    publisher = FencedPublisher({"bootstrap_servers": NOBODY}, place.prefix, "group", OUTPUTS, 2)
    with pytest.raises(PublishFailed, match="when Kafka is back, start the worker again"):
        await publisher.claim([0])


# --- what it was lost for ----------------------------------------------------------------------


@pytest.mark.kafka
async def test_another_takes_the_id_during_a_renewal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner stops at once when another producer takes its transactional id."""

    async def take_it() -> None:
        its_id = transactional_id("group", place.prefix, 0)
        producer = AIOKafkaProducer(bootstrap_servers=place.brokers, transactional_id=its_id)
        await producer.start()
        await producer.stop()

    def take_it_meanwhile(name: str) -> None:
        if name == "mid_fence":
            other = threading.Thread(target=lambda: asyncio.run(take_it()))
            other.start()
            other.join()

    async with publishing_owner(place, renew_s=1.0) as owner:
        monkeypatch.setattr(producer_fence, "reach", take_it_meanwhile)
        with pytest.raises(ProducerFenced, match="another producer has its transactional id, or this process"):
            await asyncio.wait_for(owner.running, 20)


@pytest.fixture
def impatient() -> Iterator[Place]:
    """A broker that ends transactions in time, and forgets ids within seconds."""
    properties = {
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
        "transactional.id.expiration.ms": "5000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "200",
    }
    with Kafka(heap_mb=256, properties=properties) as kafka:
        yield Place(kafka)
        gc.collect()


@pytest.mark.kafka
async def test_a_process_that_stands_still_while_it_claims(impatient: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim fails if Kafka ended its transaction or forgot the producer; another claim comes through."""
    publisher = FencedPublisher(impatient.client, impatient.prefix, "group", OUTPUTS, 2)
    commit = AIOKafkaProducer.commit_transaction

    async def commit_late(producer: AIOKafkaProducer) -> None:
        time.sleep(2)  # noqa: ASYNC251  # the process stands still
        await commit(producer)

    with monkeypatch.context() as changed:
        changed.setattr(producer_fence, "TRANSACTION_MAX_MS", 500)
        changed.setattr(AIOKafkaProducer, "commit_transaction", commit_late)
        with pytest.raises(ProducerFenced) as fenced:
            await publisher.claim([0])
    assert rebalance_listener._failure(fenced.value) == (
        "Kafka fenced this process's producer: another producer has its transactional id, or this process stood still "
        "and Kafka ended its transaction; start the worker again"
    )
    with monkeypatch.context() as changed:
        changed.setattr(producer_fence, "reach", lambda _: time.sleep(9))
        named = r"Kafka has forgotten this producer \(.*InvalidProducerIdMapping"
        with pytest.raises(PublishFailed, match=named) as forgotten:
            await publisher.claim([0])
    assert not isinstance(forgotten.value, NotRenewed), "another attempt would be no wiser"
    await publisher.claim([0])
    await publisher.publish(0, records(b"1"))
    await publisher.release()
    assert await values_of(impatient) == [b"1"]


@pytest.mark.kafka
async def test_installations_whose_names_are_alike(kafka: Kafka) -> None:
    """Two installations with similar names do not fence each other."""
    places = [Place(kafka, prefix="alike-b-"), Place(kafka, prefix="b-")]
    groups = ["shop", "shop-alike"]
    publishers = [
        FencedPublisher(place.client, place.prefix, group, OUTPUTS, 2)
        for place, group in zip(places, groups, strict=True)
    ]
    for publisher in publishers:
        await publisher.claim([0])
    for publisher in publishers:
        await publisher.publish(0, records(b"1"))
        await publisher.release()
    for place in places:
        assert await values_of(place) == [b"1"]
