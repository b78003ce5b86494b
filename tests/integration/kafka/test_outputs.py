"""Publishing and reading back on Apache Kafka itself.

A publisher's answers are judged by the records that a reader of committed records finds, and the other way round.
"""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from local.servers import Kafka, Tansu
from streams.errors import ProducerFenced, PublishFailed
from streams.kafka import admin as topics
from streams.kafka import output_batches, producer, producer_fence
from streams.kafka import publisher as publisher_module
from streams.kafka.producer import PRODUCERS_MAX
from streams.kafka.publisher import FencedPublisher, UnfencedPublisher
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.stop import Stop
from streams.wire import identity_records
from streams.wire.changes import CHANGE_MAX_BYTES
from streams.wire.event_decoder import CUSTOMER_MAX_BYTES
from streams.wire.records import BATCH_MAX_BYTES, OutRecord, batch_size_needed
from streams.wire.topics import MERGES, OUTPUTS, TRIGGERS
from tests.support.outputs import CHANGES, LETTERS, Place, records, values_of

MARKERS = 2  # of each claim, on each output
TOO_LARGE = 2 << 20  # above what a broker takes by default


def set_batch_size(brokers: str, topic: str, size: int) -> None:
    """Set ``max.message.bytes`` of a topic."""
    admin: Any = KafkaAdminClient(bootstrap_servers=brokers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])
    admin.close()


@pytest.fixture
def place(kafka: Kafka) -> Iterator[Place]:
    yield Place(kafka)
    gc.collect()  # aiokafka leaves futures that failed: what is logged of them is logged here


@pytest.mark.kafka
async def test_the_position_after_what_was_published(place: Place) -> None:
    """Reading from the positions after a publish finds only what came later, after several batches, too."""
    large = bytes(300_000)
    async with place.publisher() as publisher:
        first = await publisher.publish(1, [*records(b"1", large, large, b"2"), *records(b"x", topic=LETTERS)])
        assert await publisher.publish(1, records(b"y", topic=LETTERS)) == {LETTERS: MARKERS + 2}
        await publisher.publish(1, records(b"3"))
        await publisher.publish(0, records(b"0"))
    assert first == {CHANGES: MARKERS + 4, LETTERS: MARKERS + 1}
    assert await place.read({(CHANGES, 1): first[CHANGES], (LETTERS, 1): first[LETTERS]}) == {
        (CHANGES, 1): [b"3"], (LETTERS, 1): [b"y"],
    }  # fmt: skip
    everything = await place.read(dict.fromkeys([(CHANGES, 0), (CHANGES, 1), (LETTERS, 0)]))
    assert everything == {(CHANGES, 0): [b"0"], (CHANGES, 1): [b"1", large, large, b"2", b"3"]}


@pytest.mark.kafka
async def test_what_kafka_refuses(place: Place) -> None:
    """The error names the topic and what to do, and the next owner goes on at once."""
    topic = place.prefix + CHANGES
    named = (
        rf"^{topic} does not take a batch of 4,194,\d+ bytes \(MessageSizeTooLargeError\); set max.message.bytes of "
    )
    async with place.publisher() as publisher:
        with pytest.raises(PublishFailed, match=named):
            await publisher.publish(0, [*records(b"1"), *records(bytes(TOO_LARGE), b"2")])
        with pytest.raises(PublishFailed):
            await publisher.publish(0, records(b"3"))
    async with asyncio.timeout(5), place.publisher() as publisher:
        await publisher.publish(0, records(b"4"))
    assert (await place.read({(CHANGES, 0): None}))[CHANGES, 0][-1] == b"4"


@pytest.mark.kafka
def test_topics_that_take_smaller_batches(place: Place) -> None:
    """A too small max.message.bytes is named before anything is published; the size that is needed passes."""
    settings = Settings(brokers=place.brokers, topic_prefix=place.prefix, partitions=2)
    use = NEEDS["worker"].topics
    topics.verify(settings, use)
    for topic, needed in ((LETTERS, 524_288), (MERGES, 1_048_588)):
        set_batch_size(place.brokers, place.prefix + topic, needed - 1)
        refusal = f"max.message.bytes is {needed - 1} of {place.prefix}{topic} (set it to {needed} or more)"
        with pytest.raises(Stop, match=re.escape(refusal) + "$"):
            topics.verify(settings, use)
        set_batch_size(place.brokers, place.prefix + topic, needed)
        topics.verify(settings, use)


@pytest.mark.kafka
def test_more_partitions_than_one_process_may_hold(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start a warning says how many processes must run, to owners and to `topics create`."""
    settings = Settings(brokers=place.brokers, topic_prefix=place.prefix, partitions=2)
    topics.create(settings, TRIGGERS)

    def warned(name: str) -> list[str]:
        caplog.clear()
        topics.verify(settings, NEEDS[name].topics)
        return [record.getMessage() for record in caplog.records if "at any time" in record.getMessage()]

    assert warned("worker") == []
    monkeypatch.setattr(producer, "PRODUCERS_MAX", 1)
    sentence = (
        "2 partitions need at least 2 workers at any time, and as many processes of triggers, if any: each holds 1 at "
        "most"
    )
    assert warned("worker") == warned("triggers") == warned("topics") == [sentence]
    assert warned("erase") == warned("publish") == []


@pytest.mark.kafka
async def test_the_largest_record_of_merges_is_taken(place: Place) -> None:
    """A topic with the size that `topics.verify` asks for takes the largest record, key and all."""
    set_batch_size(place.brokers, place.prefix + MERGES, batch_size_needed(MERGES))
    key = b"k" * CUSTOMER_MAX_BYTES
    value = bytes(identity_records.RECORD_MAX_BYTES - len(key))
    async with place.publisher() as publisher:
        await publisher.publish(0, [OutRecord(MERGES, key, value, []), OutRecord(MERGES, key, b"next", [])])
    read_back = await place.read(dict.fromkeys([(MERGES, 0), (MERGES, 1)]))
    assert list(read_back.values()) == [[value, b"next"]]


@pytest.mark.kafka
async def test_what_a_topic_that_refuses_needs(place: Place) -> None:
    """The error names the size of the largest record of all, not of the refused one."""
    set_batch_size(place.brokers, place.prefix + MERGES, 1_000)
    async with place.publisher() as publisher:
        with pytest.raises(PublishFailed, match="to 1048588 or more"):
            await publisher.publish(0, [OutRecord(MERGES, b"u1", bytes(2_000), [])])


@pytest.mark.kafka
async def test_full_batches_are_taken_by_a_topic_of_that_size(place: Place) -> None:
    """No batch of several records is larger than the size required of a topic."""
    set_batch_size(place.brokers, place.prefix + CHANGES, BATCH_MAX_BYTES)
    values = [bytes(size) for size in (CHANGE_MAX_BYTES, 1, BATCH_MAX_BYTES - 200, CHANGE_MAX_BYTES, 70_000)] * 4
    async with place.publisher() as publisher:
        await publisher.publish(0, [OutRecord(CHANGES, b"u1", value, []) for value in values])
    read_back = (await place.read({(CHANGES, 0): None}))[CHANGES, 0]
    assert [len(value or b"") for value in read_back] == [len(value) for value in values]


async def test_a_record_that_no_batch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record which fits no batch is an error, not an endless loop."""
    monkeypatch.setattr(output_batches, "_append", lambda *_: False)
    with pytest.raises(PublishFailed, match=f"a record for {CHANGES} does not fit into an empty batch"):
        await output_batches._send(Unsent(), CHANGES, 0, records(b"1"))


class Unsent:
    """A producer which makes batches, and takes them without a broker."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_MAX_BYTES, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> None:
        """Send nothing."""


@pytest.mark.kafka
async def test_a_former_owner_is_kept_from_publishing(place: Place) -> None:
    """What a former owner of one or both partitions publishes is refused as fenced, and never read."""
    async with place.publisher() as former, place.publisher() as newer:
        with pytest.raises(ProducerFenced):
            await former.publish(0, records(b"former"))
        await newer.publish(0, records(b"newer"))
        with pytest.raises((ProducerFenced, PublishFailed)):
            await former.publish(0, records(b"again"))
        await newer.publish(1, records(b"newer"))
    assert await place.read(dict.fromkeys([(CHANGES, 0), (CHANGES, 1)])) == {
        (CHANGES, 0): [b"newer"], (CHANGES, 1): [b"newer"],
    }  # fmt: skip


async def publish_on(publisher: FencedPublisher, name: bytes, sent: list[bytes]) -> None:
    """Publish one request after the other, until Kafka refuses one."""
    for number in count():
        value = b"%s-%d" % (name, number)
        sent.append(value)
        await publisher.publish(0, records(value))


@pytest.mark.kafka
async def test_nothing_comes_after_a_claim_from_an_owner_that_goes_on_publishing(place: Place) -> None:
    """Owners claim one after the other while the one before publishes; nothing of a former one comes later."""
    owners = [FencedPublisher(place.client, place.prefix, "group", OUTPUTS, 2) for _ in range(20)]
    await owners[0].claim([0])
    for number, (former, newer) in enumerate(pairwise(owners)):
        sent: list[bytes] = []
        publishing = asyncio.create_task(publish_on(former, b"%d" % number, sent))
        await asyncio.sleep(0.05)
        await newer.claim([0])
        claimed = len(await values_of(place))
        with pytest.raises(ProducerFenced):
            await asyncio.wait_for(publishing, 30)
        assert len(sent) > 1
        assert len(await values_of(place)) == claimed, "it came after the claim"
        await former.release()
    await owners[-1].release()


@pytest.fixture
def forgetful() -> Iterator[Place]:
    """A broker that forgets producers and transactional ids within seconds."""
    properties = {
        "transactional.id.expiration.ms": "3000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "200",
        "producer.id.expiration.ms": "2000",
        "producer.id.expiration.check.interval.ms": "200",
    }
    with Kafka(heap_mb=256, properties=properties) as kafka:
        yield Place(kafka)
        gc.collect()


@pytest.mark.kafka
async def test_a_fence_that_is_renewed_stands_where_kafka_forgets(forgetful: Place) -> None:
    """A former owner that sleeps for long is refused, though Kafka has forgotten it."""
    async with forgetful.publisher() as former, forgetful.publisher() as newer:
        await newer.publish(0, records(b"1"))
        for _ in range(7):
            await asyncio.sleep(1)
            await newer.renew(0)
        with pytest.raises(ProducerFenced):
            await former.publish(0, records(b"former"))
        await newer.publish(0, records(b"2"))
    assert await values_of(forgetful) == [b"1", b"2"]


@pytest.mark.kafka
async def test_an_owner_that_could_not_renew_publishes_nothing(forgetful: Place) -> None:
    """An owner whose fence is not renewed publishes nothing, though Kafka has forgotten the newer owner."""
    async with forgetful.publisher(renew_s=1) as former:
        async with forgetful.publisher() as newer:
            await newer.publish(0, records(b"1"))
        await asyncio.sleep(8)
        with pytest.raises(PublishFailed, match="which may be longer than Kafka remembers it; start the worker again"):
            await former.publish(0, records(b"former"))
        former._fence_max_s = 60
        await former.publish(0, records(b"taken"))
    assert await values_of(forgetful) == [b"1", b"taken"], "so the look at the clock is what keeps it away"


@pytest.mark.kafka
async def test_a_broker_that_can_keep_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the replication factor of the transaction log, which is three by default."""
    monkeypatch.setattr(producer_fence, "FENCE_WAIT_S", 2.0)
    pattern = r"within 2 s; see that it is up, and that transaction\.state\.log\.replication\.factor is at most"
    with Kafka(heap_mb=256, properties={"transaction.state.log.replication.factor": "3"}) as kafka:
        publisher = FencedPublisher(Place(kafka).client, "", "group", OUTPUTS, 2)
        with pytest.raises(PublishFailed, match=pattern):
            await publisher.claim([0])


@pytest.mark.kafka
async def test_a_fence_that_is_renewed_fences_what_came_before(place: Place) -> None:
    """A renewal fences the newer owner, so a renewing owner must check its claim: it may be the former one."""
    async with place.publisher() as former, place.publisher() as newer:
        await former.renew(0)
        with pytest.raises(ProducerFenced):
            await newer.publish(0, records(b"newer"))
        await former.publish(0, records(b"former"))
        await former.release()
        with pytest.raises(ProducerFenced):
            await former.renew(0)


@pytest.mark.kafka
async def test_what_is_not_committed_is_not_read(place: Place) -> None:
    """Aborted records and markers are passed over, at the end of a topic too; an open transaction is waited for."""
    producer = AIOKafkaProducer(bootstrap_servers=place.brokers, transactional_id=place.prefix)
    await producer.start()

    async def send(value: bytes) -> None:
        await producer.begin_transaction()
        await producer.send_and_wait(place.prefix + CHANGES, value, partition=0)

    for value, end in ((b"1", producer.commit_transaction), (b"2", producer.abort_transaction)):
        await send(value)
        await end()
    assert await place.read({(CHANGES, 0): None}) == {(CHANGES, 0): [b"1"]}
    assert await place.read({(CHANGES, 0): 2}) == {}
    await send(b"3")
    reading = asyncio.create_task(place.read({(CHANGES, 0): 2}))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await producer.commit_transaction()
    assert await asyncio.wait_for(reading, 5) == {(CHANGES, 0): [b"3"]}
    await producer.stop()


@pytest.mark.kafka
async def test_a_topic_that_was_created_anew(place: Place) -> None:
    """A topic that ends before the known position is read as a whole."""
    async with place.publisher() as publisher:
        await publisher.publish(0, records(b"1", b"2"))
    assert await place.read({(CHANGES, 0): 700}) == {(CHANGES, 0): [b"1", b"2"]}


async def test_on_the_embedded_broker(tansu: Tansu) -> None:
    """The end is taken from a fetch, since the broker's end offsets are not exact."""
    place = Place(tansu)
    publisher = UnfencedPublisher(place.client, place.prefix)
    assert await publisher.publish(1, records(b"1", b"2", b"3")) == {CHANGES: 3}
    assert await publisher.publish(1, records(b"4", b"5")) == {CHANGES: 5}
    assert await place.read({(CHANGES, 1): 2}) == {(CHANGES, 1): [b"3", b"4", b"5"]}
    await publisher.close()


# --- what is refused ---------------------------------------------------------------------------


async def test_more_partitions_than_there_may_be_producers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other owners are waited for, no connection is made, and the error says how many processes are needed."""
    monkeypatch.setattr(publisher_module, "OTHERS_WAIT_S", 0.2)
    began = time.monotonic()
    publisher = FencedPublisher({"bootstrap_servers": "127.0.0.1:1"}, "", "group", OUTPUTS, 3 * PRODUCERS_MAX + 1)
    with pytest.raises(Stop, match=r"assigned 301 of 601 partitions .* at most 200; run at least 4 processes"):
        await publisher.claim(range(PRODUCERS_MAX + 101))
    assert time.monotonic() - began > 0.2


@pytest.mark.kafka
def test_of_the_table_each_newest_row_is_kept(place: Place) -> None:
    """The membership table is compacted, and no other output is."""
    names = [ConfigResource(ConfigResourceType.TOPIC, place.prefix + name) for name in OUTPUTS]
    admin: Any = KafkaAdminClient(bootstrap_servers=place.brokers)
    configs = admin.describe_configs(names, config_filter="all")["topic"]
    admin.close()
    policies = [configs[place.prefix + name]["cleanup.policy"]["value"] for name in OUTPUTS]
    assert dict(zip(OUTPUTS, policies, strict=True)) == {
        "segment-changes": "delete", "segment-memberships": "compact", "dead-letters": "delete",
    }  # fmt: skip
