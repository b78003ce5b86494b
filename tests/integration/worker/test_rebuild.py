"""A rebuild on real Kafka and Redis, beside events, with two workers, one of which is killed on the way.

The one rule: what is right is what `segmenter verify` recomputes from all events, of every segment, and what the topic
says by itself.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import TopicPartition

from local.processes import Worker
from local.servers import Kafka, Redis
from streams.offline.rebuild_process import frames
from streams.settings import Settings
from streams.state.redis_reader import key
from streams.stop import Stop
from streams.worker.rebuild_handover import RebuildProcess, RebuildRequest
from tests.support import live
from tests.support.commands import partition_of
from tests.support.migration_shop import EVENTS, Shop, consistent
from tests.support.patience import eventually
from tests.support.stop_shop import administrator

pytestmark = pytest.mark.kafka


_shops = itertools.count()


@pytest.fixture
def shop(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(kafka, redis_server, tmp_path, prefix=f"rebuilt{next(_shops)}-")
    yield shop
    shop.forget()


@pytest.mark.nightly
def test_what_was_not_kept_is_read_again_beside_events(shop: Shop) -> None:
    """Under a new file all customers are as all events say, and only the differences are published."""
    events = live.real_events()[:EVENTS]
    customers = len({event["userId"] for event in events})
    half = len(events) // 2
    early = len({event["userId"] for event in events[:half]})
    shop.publish(events[:half])
    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: shop.is_equal("old", early), 90)
    before = {change["change_id"] for change in shop.changes()}

    first, second = (Worker(shop.under("new"), "--rebuild") for _ in range(2))
    try:
        first.start()
        second.start()
        shop.publish(events[half:])
        first.wait_ready()
        time.sleep(1.5)
        first.kill()
        first.start()
        eventually(lambda: shop.is_equal("new", customers), 120)
        eventually(lambda: "not compared" not in shop.verify("new").out, 60)
    finally:
        first.stop()
        second.stop()
    changes = [change for change in shop.changes() if change["change_id"] not in before]
    by_file = [change for change in changes if change["cause"]["kind"] == "definition"]
    viewers = {event["userId"] for event in events if event.get("event") == "Product Viewed"}
    assert {change["customer_id"] for change in by_file if change["segment"] == "viewer"} <= viewers
    assert {change["customer_id"] for change in changes if change["segment"] == "viewer"} == viewers
    assert {(change["backfill"], change["late"]) for change in by_file} == {(True, False)}
    assert consistent(shop.changes()) == []
    again = [(change["customer_id"], change["segment"], change["change"]) for change in by_file]
    assert len(again) == len(set(again)), "nobody is taken out and put back"

    before |= {change["change_id"] for change in changes}
    lost = sorted(viewers)[:3]
    assert [
        shop.redis.hdel(key(shop.prefix, partition_of(customer.encode()), "customers"), customer) for customer in lost
    ] == [1] * 3
    with Worker(shop.under("new"), "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: worker.log.read_text().count("rebuild result in use") == live.PARTITIONS, 60)
        eventually(lambda: shop.is_equal("new", customers), 60)
    assert {change["change_id"] for change in shop.changes()} == before, (
        "nothing differs, so nothing is told, nor of those who were lost"
    )


def test_events_that_are_gone(shop: Shop, kafka: Kafka) -> None:
    """With fewer events left than Redis has applied, the rebuild stops, and Redis is as it was."""
    shop.publish(live.real_events()[:300])
    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: shop.is_equal("old", 10), 60)
    with administrator(kafka) as admin:  # as retention does
        admin.delete_records({TopicPartition(shop.prefix + "visits", 0): 1})
    with Worker(shop.under("new"), "--rebuild") as worker:
        eventually(lambda: worker.exit_code is not None, 60)
        assert worker.exit_code == 75
        tail = worker.tail()
    assert f"was not rebuilt: {shop.prefix}visits-0 begins at 1: all records are needed" in tail
    assert {meta["epoch"] for meta in shop.metas()} == {"0"}
    assert tail.endswith("; without --rebuild it goes on as it is")
    shop.publish(live.another_night(live.real_events()[:300], 2))
    with Worker(shop.under("new")) as worker:
        eventually(shop.is_read, 60)
        assert worker.exit_code is None


async def test_a_process_that_ends_by_itself(shop: Shop) -> None:
    """The end of a reading process is reported in a sentence; so is a file that is no longer the worker's."""
    made = await RebuildProcess.start(RebuildRequest(0, live.PARTITIONS, "another", "[]"))
    with pytest.raises(Stop, match=r"the definitions were changed since the worker was started"):
        await made.upto({})
    await made.close()
    made = await RebuildProcess.start(RebuildRequest(0, live.PARTITIONS, "another", "[]"))
    made._process.kill()
    with pytest.raises(Stop, match=r"the process that read its events has ended"):
        await made.upto({})
    await made.close()
    with pytest.raises(Stop, match="the definitions were changed"):
        list(frames(Settings(**shop.under("new")), RebuildRequest(0, live.PARTITIONS, "another", "[]"), iter(())))
