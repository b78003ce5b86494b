"""What the operator sees, on real parts: Kafka, Redis, a worker, the operations process.

Each fault is caused from outside, and must be shown within the stated time.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from kafka import KafkaProducer

from fault_runs.redis_faults import frozen
from local.processes import Ops
from rules.times import format_instant
from streams.runtime import metric_list
from tests.support.operations import BEHIND_S, Parts, exposed, get, running, send, total
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka


OF_TRIGGERS = {
    "segmenter_trigger_decisions_total", "segmenter_trigger_given_back_total", "segmenter_trigger_waits_total",
    "segmenter_endpoint_broken", "segmenter_endpoint_gone",
}  # fmt: skip


@pytest.fixture(scope="module")
def parts() -> Iterator[Parts]:
    """A worker and the operations process."""
    with running() as started:
        yield started


def green(parts: Parts) -> bool:
    return get(parts.worker.http, "/ready")[0] == 200 and get(parts.ops.http, "/api/status")[1]["state"] == "green"


def red_within(seconds: float, read_text: Callable[[], str], pattern: str) -> None:
    """Wait until a sentence matches, which it must within so many seconds."""
    within(seconds, lambda: re.search(pattern, read_text()) is not None, f"{pattern!r} is told within {seconds} s")


def within(seconds: float, condition: Callable[[], bool], what: str) -> None:
    """Wait as `eventually` does, and check the time, which is what is promised."""
    began = time.monotonic()
    eventually(condition, seconds, what)
    assert time.monotonic() - began < seconds, what


def alerting(parts: Parts) -> float:
    """The least lag of a partition that Prometheus is given."""
    family = exposed(parts.ops.http)["segmenter_partition_behind_seconds"]
    return min(float(sample.value) for sample in family.samples)


def worker_says(parts: Parts) -> str:
    status, readiness = get(parts.worker.http, "/ready")
    return " · ".join(readiness["because"]) if status == 503 else ""


def ops_says(parts: Parts) -> str:
    _, status = get(parts.ops.http, "/api/status")
    return " · ".join(status["sentences"]) if status["state"] == "red" else ""


@pytest.mark.parametrize("after_s", [0.02, 0.05])
def test_it_ends_on_sigterm_while_it_first_connects(parts: Parts, tmp_path: Path, after_s: float) -> None:
    """The process ends in order within seconds, however its first attempts to connect end."""
    prefix = "SEGMENTER_"
    settings = {name.removeprefix(prefix): value for name, value in parts.ops.environment.items() if prefix in name}
    ops = Ops(settings, log=tmp_path / "ops.log").start().wait_ready()
    time.sleep(after_s)
    began = time.monotonic()
    assert ops.stop() == 0, ops.tail()
    assert time.monotonic() - began < 5


def test_what_is_counted_is_what_came(parts: Parts) -> None:
    """Each record, change with its delay, and dead letter by reason is counted once; labels hold no customer id."""
    before = exposed(parts.worker.http)
    buyers = [f"counted-{number}" for number in range(40)]
    send(parts, *((customer, "Order Completed") for customer in buyers), properties={"order_id": "one", "total": 5})
    producer: Any = KafkaProducer(bootstrap_servers=parts.kafka.address)
    producer.send("visits", key=b"x", value=b"no json").get(10)
    producer.close()

    def more(name: str, **labels: str) -> float:
        return total(exposed(parts.worker.http)[name], **labels) - total(before[name], **labels)

    eventually(lambda: more("segmenter_dead_letters_total", reason="not_json") == 1, 10, "the dead letter is counted")
    eventually(
        lambda: more("segmenter_event_change_seconds", segment="recently_purchased") == 40, 10, "delays of all changes"
    )
    assert more("segmenter_events_total", topic="purchases", outcome="applied") == 40
    assert more("segmenter_events_total", topic="visits", outcome="dead_letter") == 1
    assert more("segmenter_changes_total", segment="recently_purchased", change="entered") == 40
    after = exposed(parts.worker.http)
    exposed_names = {name for name in after if name.startswith("segmenter_")}
    assert exposed_names == metric_list.NAMES - OF_TRIGGERS
    labels = {label for name in exposed_names for sample in after[name].samples for label in sample.labels.values()}
    assert not any("counted-" in label for label in labels)


def test_a_worker_that_stands_still_is_seen(parts: Parts) -> None:
    """A stopped worker answers no health probe, and the page is red once its partitions are behind."""
    eventually(lambda: green(parts), 30, "all is well")
    with frozen(parts.worker.pid):
        assert get(parts.worker.http, "/health", timeout_s=1)[0] == 0
        red_within(BEHIND_S + 5, lambda: ops_says(parts), "partition 0 is .* behind.*no worker answers")
    eventually(lambda: green(parts), 30, "all is well again")


def test_a_redis_that_is_away_is_seen(parts: Parts) -> None:
    """While Redis does not answer, worker and page say so, and both go on when it is back."""
    eventually(lambda: green(parts), 30, "all is well")
    with frozen(parts.redis.pid):
        red_within(8, lambda: worker_says(parts), "Redis has not answered")
        red_within(8, lambda: ops_says(parts), "Redis was last read")
        within(8, lambda: alerting(parts) > BEHIND_S, "what alerts are made of grows while Redis is away")
    eventually(lambda: green(parts), 30, "all is well again")


def test_a_kafka_that_is_away_is_seen(parts: Parts) -> None:
    """While Kafka does not answer, the clock stands, and the page says so."""
    eventually(lambda: green(parts), 30, "all is well")
    with frozen(parts.kafka.pid):
        red_within(8, lambda: worker_says(parts), "Kafka has not answered for")
        red_within(8, lambda: ops_says(parts), "behind|last heard")
    eventually(lambda: green(parts), 60, "all is well again")


def test_a_partition_that_stalls_is_seen(parts: Parts) -> None:
    """A producer's open transaction holds back one input of one partition: that one is red, the others go on."""
    eventually(lambda: green(parts), 30, "all is well")
    producer: Any = KafkaProducer(bootstrap_servers=parts.kafka.address, transactional_id="one-that-forgets")
    producer.init_transactions()
    producer.begin_transaction()
    now = format_instant(time.time_ns() // 1_000_000)
    event = {"type": "page", "messageId": "held", "userId": "held", "timestamp": now}
    producer.send("visits", key=b"held", value=json.dumps(event).encode(), partition=1).get(10)
    try:
        red_within(BEHIND_S + 5, lambda: worker_says(parts), "^partition 1 is . s behind$")
        red_within(BEHIND_S + 5, lambda: ops_says(parts), "partition 1 is . s behind")
    finally:
        producer.abort_transaction()
        producer.close()
    eventually(lambda: green(parts), 30, "all is well again")


def test_the_api_answers_why(parts: Parts) -> None:
    """The API gives a customer's membership, since when, why, the last change, and membership at a past time."""
    before = format_instant(time.time_ns() // 1_000_000 - 60_000)
    send(parts, ("بهار", "Order Completed"), properties={"order_id": "b1", "total": 5})
    quoted = quote("بهار")
    eventually(
        lambda: bool((get(parts.ops.http, f"/api/customers/{quoted}")[1] or {}).get("changes")), 10, "it is looked up"
    )
    _, answer = get(parts.ops.http, f"/api/customers/{quoted}?lang=fa")
    (bought,) = [membership for membership in answer["segments"] if membership["segment"] == "recently_purchased"]
    assert bought["member"]
    assert bought["since"] == answer["changes"][0]["occurred_at"]
    assert re.search("[\u0600-\u06ff]", bought["said"]["fa"])
    assert answer["next_due"] is not None
    assert not answer["stale"]
    after = format_instant(time.time_ns() // 1_000_000)
    _, then = get(parts.ops.http, f"/api/customers/{quoted}/at?time={after}")
    assert then["complete"]
    assert [membership["segment"] for membership in then["segments"]] == ["recently_purchased"]
    assert get(parts.ops.http, f"/api/customers/{quoted}/at?time={before}")[1]["segments"] == []
    assert get(parts.ops.http, f"/api/customers/{quoted}/at?time=yesterday")[0] == 400
    assert get(parts.ops.http, "/api/customers/nobody")[0] == 404


def test_a_dead_letter_is_shown_with_its_bytes(parts: Parts) -> None:
    """A dead letter is shown with its reason, its origin and its original bytes."""
    producer: Any = KafkaProducer(bootstrap_servers=parts.kafka.address)
    where = producer.send("carts", key="سبد".encode(), value=b'{"type": \xff').get(10)
    producer.close()

    def shown() -> list[dict[str, Any]]:
        letters = get(parts.ops.http, "/api/dead-letters")[1]["letters"]
        return [letter for letter in letters if (letter["topic"], letter["offset"]) == ("carts", where.offset)]

    eventually(lambda: bool(shown()), 10, "the dead letter is listed")
    (letter,) = shown()
    assert letter["reason"] == "not_json"
    _, content = get(parts.ops.http, f"/api/dead-letters/{letter['where_partition']}/{letter['where_offset']}")
    assert (content["base64"], content["key"]) == ("eyJ0eXBlIjog/w==", "سبد")


def test_without_the_token_nothing_is_told(parts: Parts) -> None:
    """The page's own files are open, every answer is not; wrong tokens are counted."""
    assert get(parts.ops.http, "/health", token="")[0] == 200
    for path in ("/api/status", "/api/customers/x", "/metrics", "/api/changes", "/nothing"):
        assert get(parts.ops.http, path, token="wrong")[0] in (401, 429)
    answers = [get(parts.ops.http, "/api/status", token=f"guess-{number}")[0] for number in range(30)]
    assert 429 in answers
    eventually(lambda: get(parts.ops.http, "/api/status")[0] == 200, 5, "who knows it is let in again")
