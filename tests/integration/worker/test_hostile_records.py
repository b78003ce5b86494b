"""Bad records by the hundred thousand among good ones, through Kafka, a worker and Redis.

The expected result is noted when a record is made, by the place at which it was put.
"""

from __future__ import annotations

import json
import random
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from local.processes import Worker
from local.servers import Kafka, Redis
from rules.times import format_instant
from tests.support import hostile_records
from tests.support.hostile_records import REASONS, mixed
from tests.support.hostile_run import Run

pytestmark = pytest.mark.kafka

SEED = 40_60
DEFINITIONS = f"""
version: 1
segments:
  all_counted:
    title: Every good event counted
    when: {{performed: {{event: Signed Up, count: {{at_least: {hostile_records.EVENTS_EACH}}}}}}}
  counted_twice:
    title: More than were sent
    when: {{performed: {{event: Signed Up, count: {{at_least: {hostile_records.EVENTS_EACH + 1}}}}}}}
  looked_into:
    title: What stands in an event, read in every way; no customer is in it
    when:
      any:
        - performed: {{event: Signed Up, where: {{n: {{at_least: 1}}}}}}
        - performed: {{event: Signed Up, where: {{text: {{matches: never}}}}}}
        - performed: {{event: Signed Up, where: {{text: {{contains: never}}}}}}
        - performed: {{event: Signed Up, where: {{deep.deep.deep: never}}}}
        - total: {{agg: sum, of: n, event: Signed Up, at_least: 1}}
        - total: {{agg: max, of: deep, event: Signed Up, at_least: 1}}
        - total: {{agg: distinct, of: text, event: Signed Up, at_least: 100}}
        - context: {{device: never}}
        - context: {{channel: search}}
        - context: {{locale: never}}
"""
GROWS_MAX_MB = 48  # after the first quarter, by which all that is kept in memory was filled once


def assert_good_counted(run: Run, customers: list[str]) -> None:
    """Check that all customers have all their events counted once, and no others exist."""
    entered = []

    def take(record: Any) -> None:
        change = json.loads(record.value)
        assert (change["segment"], change["change"], change["late"]) == ("all_counted", "entered", False)
        entered.append(change["customer_id"])

    run.each("segment-changes", take)
    assert sorted(entered) == sorted(customers)


def drained(run: Run, count: int, bad_share: float, within_s: float) -> None:
    """Send, drain with one worker, and check that all is where it belongs and memory stayed as it was."""
    rng = random.Random(SEED)
    began = time.monotonic()
    run.send(mixed(rng, count, bad_share, time.time_ns() // 1_000_000 - count - 60_000))
    sent = time.monotonic()
    sent_of = set().union(*(noted.reasons for noted in run.noted.values()))
    reasons = {REASONS[number - 1] for number in sent_of if number}
    assert reasons == {*REASONS} - {"too_large", "too_large_to_forward"}, "each that Kafka takes and no link makes"
    with Worker(run.settings, log=run.log) as worker:
        samples = run.drain(worker, within_s)
        lasted = time.monotonic() - sent
        assert worker.stop() == 0
    assert not run.assert_dead_letters_once()
    assert_good_counted(run, hostile_records.customers(count, bad_share))
    quarter = next(mb for share, mb in samples if share >= 0.25)
    grown = samples[-1][1] - quarter
    summary = f"seed {SEED}: {run.count:,} records, {bad_share:.0%} bad, sent in {sent - began:.0f} s"
    memory = f"{quarter} MB at a quarter, {samples[-1][1]} MB at the end, {max(mb for _, mb in samples)} MB at most"
    print(f"{summary}, drained in {lasted:.0f} s; resident {memory}")  # noqa: T201  # the figures of the run
    assert grown < GROWS_MAX_MB
    run.assert_no_defect()


def test_twenty_thousand(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Two of five records are bad: the good count, the bad are dead letters once, memory is flat."""
    drained(Run(kafka, redis_server, "hostile", tmp_path, DEFINITIONS), 20_000, 0.4, within_s=60)


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
def test_a_million_bad_records(tmp_path: Path) -> None:
    """A million bad records and a million and a half good ones pass likewise, in servers of their own."""
    with Kafka(heap_mb=1_024) as kafka, Redis(aof=True) as redis:
        drained(Run(kafka, redis, "million", tmp_path, DEFINITIONS), 2_500_000, 0.4, within_s=1_200)


def is_in_place(sent: hostile_records.Sent) -> bool:
    """Whether a record lies on the partition of its key."""
    return sent.key is None or hostile_records.partition_of(sent.key.decode(errors="replace")) == sent.partition


def test_more_bad_than_good_stops(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Above the ceiling the worker stops and names the setting; with it raised it goes on, and nothing is lost."""
    run = Run(kafka, redis_server, "ceiling", tmp_path, DEFINITIONS, dead_letter_window=1_000)
    sent = mixed(random.Random(SEED), 10_000, 0.6, time.time_ns() // 1_000_000 - 90_000)
    # Many that belong elsewhere, before anything is read, are a sign of partitions that were added.
    run.send(record for record in sent if record.reason is None or is_in_place(record))
    with Worker(run.settings, log=run.log) as worker:
        assert worker.process is not None
        assert worker.process.wait(60) == 75
    (stopped,) = [line for line in run.log.read_text().splitlines() if line.startswith("segmenter stopped: ")]
    assert " of the last 1000 records of partition " in stopped
    assert "SEGMENTER_DEAD_LETTER_SHARE" in stopped
    assert run.applied() < run.count
    with Worker({**run.settings, "dead_letter_share": 1}, log=run.log) as worker:
        run.drain(worker, 60)
        assert worker.stop() == 0
    assert not run.assert_dead_letters_once()
    assert_good_counted(run, hostile_records.customers(10_000, 0.6))
    run.assert_no_defect()


def test_records_that_are_too_large(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Records over the limit are dead letters, recognised by their beginning, size and hash."""
    run = Run(kafka, redis_server, "large", tmp_path, DEFINITIONS)
    run.accept_large_records("visits")
    now = time.time_ns() // 1_000_000 - 60_000
    large = [
        hostile_records.too_large(hostile_records.name(number), format_instant(now + number)) for number in range(4)
    ]
    good = list(mixed(random.Random(SEED), 40, 0.0, now))
    run.send(iter([record for pair in zip(large * 10, good, strict=True) for record in pair]))
    with Worker(run.settings, log=run.log) as worker:
        run.drain(worker, 60)
        assert worker.stop() == 0
    assert not run.assert_dead_letters_once()
    assert_good_counted(run, hostile_records.customers(40, 0.0))
    run.assert_no_defect()
    values = {sha256(record.value or b"").hexdigest().encode(): record.value or b"" for record in large}

    def take(record: Any) -> None:
        headers = dict(record.headers)
        value = values[headers["sha256"]]
        assert record.value == value[: 64 * 1024]
        assert (headers["reason"], int(headers["size"])) == (b"too_large", len(value))

    run.each("dead-letters", take)
