"""Triggers on real servers whose Redis is far away, loses its last second, or is emptied; and a partition that lags."""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from fault_runs.redis_faults import append_only, rob
from local.processes import Triggers, Worker
from local.receivers import Hook, Mailbox, now_ms
from local.servers import Kafka, Redis
from local.tcp_proxy import Proxy
from rules.times import format_instant
from streams.kafka.partitioner import partition_of
from tests.support import live
from tests.support.patience import eventually
from tests.support.trigger_processes import Sender, buy, decided, environment, leave_a_cart, settings_of, write

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_numbers = iter(range(1_000))


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A Redis whose data the tests take away."""
    with Redis(aof=True) as server:
        yield server


@pytest.fixture
def parts(kafka: Kafka, own_redis: Redis, tmp_path: Path) -> dict[str, Any]:
    """Settings of a worker and of triggers on a Redis of their own."""
    return settings_of(kafka, own_redis, tmp_path, f"robbed{next(_numbers)}")


def finals(parts: dict[str, Any]) -> dict[tuple[str, str], list[tuple[str, str | None]]]:
    """The final decisions and their reasons, by customer and trigger."""
    decisions: dict[tuple[str, str], list[tuple[str, str | None]]] = {}
    for decision in decided(parts):
        if decision.is_final:
            decisions.setdefault((decision.customer_id, decision.trigger), []).append(
                (decision.decision, decision.reason)
            )
    return decisions


def are_final(parts: dict[str, Any], *names: str) -> Callable[[], bool]:
    return lambda: {(name, trigger) for name in names for trigger in ("call", "mail_cart")} <= finals(parts).keys()


def written_to(hook: Hook, mailbox: Mailbox) -> Counter[str]:
    """How many messages each customer was sent."""
    called = [call.body["data"]["change"]["customer_id"] for call in hook.calls]
    return Counter([*called, *(mail["To"].partition("@")[0] for _, mail in mailbox.mails)])


@pytest.mark.parametrize("round_trip_ms", [50, *(pytest.param(ms, marks=pytest.mark.nightly) for ms in (5, 200))])
def test_a_redis_that_is_far_away(parts: dict[str, Any], own_redis: Redis, round_trip_ms: int) -> None:
    """Messages come, but not to customers that paid before the send time."""
    with Hook() as hook, Mailbox() as mailbox, Proxy(own_redis.port) as proxy:
        write(parts["triggers"], hook, mailbox, delay="6s")
        proxy.latency_s = round_trip_ms / 2000
        far = {**parts, "redis": f"redis://127.0.0.1:{proxy.port}/0"}
        with Worker(parts) as worker, environment(far) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to, began = Sender(parts), now_ms()
            for name in ("buyer", "leaver", "stayer"):
                leave_a_cart(to, name, began)
            to.flush()
            time.sleep((began + 7_000 - now_ms()) / 1000)
            buy(to, "buyer", began + 1_000)
            to.flush()
            eventually(are_final(parts, "buyer", "leaver", "stayer"), 60, triggers.tail(40))
        assert written_to(hook, mailbox) == {"leaver": 2, "stayer": 2}
    assert finals(parts)["buyer", "call"] == finals(parts)["buyer", "mail_cart"] == [("skipped", "left meanwhile")]


def test_a_redis_that_lost_its_last_second(parts: dict[str, Any], own_redis: Redis) -> None:
    """A published entry and exit that Redis lost are both decided again."""
    scene = cast(Any, SimpleNamespace(redis=own_redis))
    with Hook() as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="4s")
        with Worker(parts) as worker, environment(parts) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to, began = Sender(parts), now_ms()
            for name in ("buyer", "leaver"):
                leave_a_cart(to, name, began)
            to.flush()
            eventually(lambda: len(live.changes(parts["brokers"], parts["topic_prefix"])) == 2, 20, worker.tail(40))
            triggers.kill()  # it is to look after the loss
            size = append_only(scene).stat().st_size
            buy(to, "buyer", now_ms())
            leave_a_cart(to, "late", now_ms() - 20_000)  # due long before what Redis will say is decided
            to.flush()
            eventually(lambda: len(live.changes(parts["brokers"], parts["topic_prefix"])) == 4, 20, worker.tail(40))
            rob(scene, size)
            eventually(lambda: worker.exit_code is not None, 30)
        with environment(parts) as triggers:
            triggers.wait_ready()
            time.sleep(8)  # the worker is not back: Redis does not know what was published
            assert ("late", "call") not in finals(parts)
            with Worker(parts, log=worker.log) as worker:
                eventually(are_final(parts, "buyer", "leaver", "late"), 90, triggers.tail(60))
        assert written_to(hook, mailbox) == {"leaver": 2, "late": 2}
    assert {name: len(decisions) for name, decisions in finals(parts).items() if len(decisions) != 1} == {}
    assert finals(parts)["buyer", "mail_cart"] == [("skipped", "left meanwhile")]


def test_a_redis_that_was_emptied(parts: dict[str, Any], own_redis: Redis) -> None:
    """Triggers stop with a sentence that names how to go on, and that goes on: nothing is sent twice or forgotten."""
    with Hook() as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="12s")
        with Worker(parts) as worker, environment(parts) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to, began = Sender(parts), now_ms()
            leave_a_cart(to, "before", began - 12_000)
            to.flush()
            eventually(are_final(parts, "before"), 60, triggers.tail(40))
            for name in ("buyer", "leaver"):
                leave_a_cart(to, name, now_ms())
            to.flush()
            eventually(lambda: len(live.changes(parts["brokers"], parts["topic_prefix"])) == 3, 20, worker.tail(40))
            time.sleep(4)  # positions are committed about every three seconds
            with redis.Redis(port=own_redis.port) as client:
                client.flushall()
            eventually(lambda: worker.exit_code == triggers.exit_code == 75, 60, triggers.tail(20))
        with environment(parts) as refused:
            eventually(lambda: refused.exit_code == 75, 60, refused.tail(20))
        log = refused.log.read_text()
        assert "Redis holds nothing of partition" in log
        assert (
            f"remove the keys under {parts['redis_prefix']}triggers: in Redis and start `segmenter triggers --rebuild`"
            in log
        )
        buy(to, "buyer", now_ms())
        to.flush()
        rebuilding = Triggers(parts, "--rebuild")
        rebuilding.environment = refused.environment
        with Worker(parts, "--rebuild") as worker, rebuilding as triggers:
            eventually(are_final(parts, "buyer", "leaver", "before"), 90, triggers.tail(60))
            leave_a_cart(to, "after", now_ms() - 12_000)
            to.flush()
            eventually(are_final(parts, "after"), 60, triggers.tail(60))
        assert written_to(hook, mailbox) == {"before": 2, "leaver": 2, "after": 2}
    assert {name: len(decisions) for name, decisions in finals(parts).items() if len(decisions) != 1} == {}


def test_a_purchase_under_a_linked_id_in_a_partition_that_lags(parts: dict[str, Any]) -> None:
    """The worker that reads the linked id stands still: the message waits, and is not sent once that is read."""
    settings = {**parts, "session_timeout_s": 20}
    with Hook() as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="2s")
        with Worker(settings) as first, Worker(settings) as second, environment(parts) as triggers:
            for worker in (first, second):
                worker.wait_ready()
            eventually(lambda: len(_claimed(first)) == len(_claimed(second)) == 2, 60, first.tail(20))
            triggers.wait_ready()
            buyer, leaver = (f"u{number}" for number in _of(_claimed(first), "u", 2))
            phone = f"phone{_of(_claimed(second), 'phone', 1)[0]}"
            to, began = Sender(parts), now_ms()
            page = {"type": "page", "messageId": "p1", "userId": buyer, "anonymousId": phone}
            to.send("visits", buyer.encode(), _event(page, began))
            to.flush()
            time.sleep(3)  # the link is made
            began = now_ms()
            for name in (buyer, leaver):
                leave_a_cart(to, name, began)
            to.flush()
            time.sleep(1)
            assert second.process is not None
            second.process.send_signal(signal.SIGSTOP)
            try:
                order: dict[str, Any] = {"type": "track", "event": "Order Completed", "messageId": "o1"}
                order |= {"anonymousId": phone, "properties": {"order_id": "o1", "total": 5}}
                to.send("purchases", phone.encode(), _event(order, now_ms()))
                to.flush()
                eventually(are_final(parts, leaver), 12, triggers.tail(40))
                time.sleep(max(0, began + 10_000 - now_ms()) / 1000)
                assert written_to(hook, mailbox).keys() <= {leaver}
            finally:
                second.process.send_signal(signal.SIGCONT)
            eventually(are_final(parts, buyer, leaver), 60, triggers.tail(40))
        assert written_to(hook, mailbox) == {leaver: 2}
    assert finals(parts)[buyer, "call"] == finals(parts)[buyer, "mail_cart"] == [("skipped", "left meanwhile")]


def _event(fields: dict[str, Any], at_ms: int) -> bytes:
    return json.dumps({**fields, "timestamp": format_instant(at_ms)}).encode()


def _claimed(worker: Worker) -> list[int]:
    """The partitions of a worker's newest claim."""
    claims = re.findall(r"claimed partitions.*?partitions=\[([\d, ]*)\]", worker.log.read_text(errors="replace"))
    return [int(number) for number in claims[-1].split(",") if number.strip()] if claims else []


def _of(partitions: list[int], prefix: str, count: int) -> list[int]:
    """Numbers whose ids lie in these partitions."""
    numbers = (number for number in range(1_000) if partition_of(f"{prefix}{number}", live.PARTITIONS) in partitions)
    return [next(numbers) for _ in range(count)]
