"""A producer that is closed leaves nothing, whatever Kafka does meanwhile; one that could not start may start later."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from local.server_process import free_port
from local.servers import Kafka, Tansu
from streams.errors import PublishFailed
from streams.kafka import producer_fence
from streams.kafka import publisher as publisher_module
from streams.kafka.publisher import FencedPublisher, UnfencedPublisher
from streams.wire.topics import OUTPUTS
from tests.support.outputs import CHANGES, Place, records

SMALL, LARGE = 10, 16 << 20  # a record that the buffers of a connection take, and one that they do not
# Of a close, and for a machine that is busy.
WITHIN_S = 6.0


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Kafka]:
    """A Kafka which may stand still."""
    with Kafka(heap_mb=256) as kafka:
        yield kafka


@contextmanager
def standing_still(kafka: Kafka) -> Iterator[None]:
    """Stop the broker's process: the system accepts connections and bytes, and nothing is answered."""
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def connections(kafka: Kafka) -> int:
    """The number of connections from this process to the broker."""
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    own_sockets = {link.name[len("socket:[") : -1] for link in links if link.name.startswith("socket:[")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[9] in own_sockets and int(row[2].partition(":")[2], 16) == kafka.port for row in rows)


@asynccontextmanager
async def leaving_nothing(kafka: Kafka) -> AsyncIterator[None]:
    """Check that no task and no connection is left which was not there before."""
    tasks, count = asyncio.all_tasks(), connections(kafka)
    yield
    with suppress(TimeoutError):
        async with asyncio.timeout(2):  # what was ended is ended by the loop's next turns
            while asyncio.all_tasks() - tasks or connections(kafka) > count:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.01)
    assert asyncio.all_tasks() - tasks == set()
    assert connections(kafka) == count


@pytest.mark.kafka
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
async def test_a_release_with_a_batch_on_its_way(own_kafka: Kafka, size: int) -> None:
    """A release does not wait for the acknowledgement of a batch, as aiokafka would; a large one is not even sent."""
    place = Place(own_kafka)
    async with leaving_nothing(own_kafka):
        publisher = FencedPublisher(place.client, place.prefix, "group", OUTPUTS, 2)
        await publisher.claim([0, 1])
        with standing_still(own_kafka):
            await cut_off(publisher.publish(0, records(bytes(size))))
            async with asyncio.timeout(WITHIN_S):
                await publisher.release()
            await asyncio.sleep(0.1)
            assert connections(own_kafka) == 0


async def cut_off(publishing: object) -> None:
    """Cancel a publish when its request is on its way."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await publishing  # type: ignore[misc]


@pytest.mark.kafka
async def test_a_release_that_is_cut_off_itself(own_kafka: Kafka) -> None:
    """A cancelled release, as of a group that assigns anew, still closes what it began to close."""
    place = Place(own_kafka)
    async with leaving_nothing(own_kafka):
        publisher = FencedPublisher(place.client, place.prefix, "group", OUTPUTS, 2)
        await publisher.claim([0, 1])
        with standing_still(own_kafka):
            await cut_off(publisher.publish(0, records(b"1")))
            await cut_off(publisher.release())


@pytest.mark.kafka
@pytest.mark.parametrize("point", ["before_fence", "mid_fence"])
async def test_a_fence_that_kafka_does_not_answer(
    own_kafka: Kafka, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim leaves nothing where the broker stops before the connection or within a transaction."""
    place = Place(own_kafka)
    monkeypatch.setattr(producer_fence, "FENCE_WAIT_S", 2.0)
    for module in (producer_fence, publisher_module):
        monkeypatch.setattr(
            module, "reach", lambda name: os.kill(own_kafka.pid, signal.SIGSTOP) if name == point else None
        )
    async with leaving_nothing(own_kafka):
        publisher = FencedPublisher(place.client, place.prefix, "group", OUTPUTS, 2)
        try:
            with pytest.raises(PublishFailed):
                await publisher.claim([0])
            await publisher.release()
        finally:
            os.kill(own_kafka.pid, signal.SIGCONT)


async def test_a_broker_that_was_not_there_at_first() -> None:
    """A publisher whose start failed starts anew at its next use, and closes where it never started."""
    port = free_port()
    publisher = UnfencedPublisher({"bootstrap_servers": f"127.0.0.1:{port}"}, "")
    for _ in range(2):
        with pytest.raises(PublishFailed):
            await publisher.publish(0, records(b"1"))
    await publisher.claim([0])
    with Tansu(port=port) as tansu:
        place = Place(tansu)
        publisher._prefix = place.prefix
        assert await publisher.publish(0, records(b"1")) == {CHANGES: 1}
        await publisher.close()
    never = UnfencedPublisher({"bootstrap_servers": f"127.0.0.1:{port}"}, "")
    with pytest.raises(PublishFailed):
        await never.publish(0, records(b"1"))
    await never.close()
