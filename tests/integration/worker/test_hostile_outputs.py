"""Records with large results, by the hundred thousand, through Kafka, a worker, triggers and Redis.

The expected result is noted when a record is made; bounds are those that the writers of a topic state.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.processes import Triggers, Worker
from local.receivers import SECRET, Hook
from local.servers import Kafka, Redis
from streams.wire import identity_records
from streams.wire.changes import CHANGE_MAX_BYTES
from streams.wire.dead_letters import ORIGINAL_MAX_BYTES
from streams.wire.topics import READ
from tests.support import hostile_outputs, hostile_records
from tests.support.commands import segmenter
from tests.support.hostile_records import PARTITIONS
from tests.support.hostile_run import Run, resident_mb
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

SEED = 40_61
# Memory beside what it was after the first tenth, in which each kind of scene came once: the worker's at the end, and
# the most that the worker or the triggers had at any time.
GROWS_MAX = 1.5
PEAK_MAX = 2.0
ROUNDS = 10
# Of keys and values, by output.
BOUNDS = {
    "segment-changes": CHANGE_MAX_BYTES,
    "segment-memberships": CHANGE_MAX_BYTES,
    "dead-letters": 2 * ORIGINAL_MAX_BYTES,
    "merges": identity_records.RECORD_MAX_BYTES,
    "trigger-decisions": CHANGE_MAX_BYTES,
    "trigger-dead-letters": 2 * CHANGE_MAX_BYTES,
}


class Outputs:
    """What came out: the largest record of each topic, what was sent between ids, changes by segment."""

    def __init__(self, run: Run) -> None:
        self.counts: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()
        self.parts: Counter[int] = Counter()
        self.large_forwarded = 0
        self.largest_change = 0
        self.sentinels: set[tuple[str, str]] = set()
        for topic in BOUNDS:
            run.each(topic, partial(self._take, topic))

    def _take(self, topic: str, record: Any) -> None:
        value = record.value or b""
        self.counts[topic] += 1
        self.largest[topic] = max(self.largest[topic], len(value) + len(record.key or b""))
        if topic == "merges":
            sent = msgspec.msgpack.decode(value, type=identity_records.SentRecord)
            self.parts[sent.parts] += sent.kind == "moved"
            self.large_forwarded += sent.kind == "forwarded" and len(sent.value) >= hostile_records.MIB // 2
        elif topic == "segment-changes":
            change = json.loads(value)
            if change["segment"] == "sentinel":
                self.sentinels.add((change["customer_id"], change["change"]))


def decided_sentinels(run: Run) -> set[str]:
    """The sentinels of which the triggers have decided."""
    customers: set[str] = set()

    def take(record: Any) -> None:
        decision = json.loads(record.value)
        if decision["trigger"] == "sentinel" and decision["decision"] in ("sent", "skipped"):
            customers.add(decision["customer_id"])

    run.each("trigger-decisions", take)
    return customers


def goes_on(run: Run, hook: Hook, count: int, within_s: float) -> None:
    """Send the records, and check that a worker and triggers read all partitions within all bounds."""
    scenes = hostile_outputs.Scenes(random.Random(SEED), persons=max(40, count // 20))
    run.accept_large_records("visits")
    sentinels = {
        hostile_outputs.sentinel(partition, topic)
        for partition in range(PARTITIONS)
        for topic in hostile_records.TOPICS
    }
    file = run.log.with_name("triggers.yaml")
    file.write_text(hostile_outputs.triggers(hook.url))
    triggers = Triggers({**run.settings, "triggers": file}, log=run.log.with_name("triggers.log"))
    triggers.environment["BOT_SECRET"] = SECRET
    with Worker(run.settings, log=run.log) as worker, triggers:
        worker.wait_ready()
        triggers.wait_ready()
        began = time.monotonic()
        memory: list[int] = []
        triggers_memory: list[int] = []
        peak = 0
        for _ in range(ROUNDS):
            run.send(scenes.round(count // ROUNDS))
            peak = max(peak, *(mb for _, mb in run.drain(worker, within_s)))
            eventually(lambda: run.is_caught_up("merges"), within_s, worker.tail())
            memory.append(resident_mb(worker.pid))
            triggers_memory.append(resident_mb(triggers.pid))
        lasted = time.monotonic() - began
        run.send(iter(hostile_outputs.sentinels()))
        run.drain(worker, within_s)
        eventually(lambda: decided_sentinels(run) == sentinels, within_s, triggers.tail())
        eventually(lambda: not run.waiting("triggers:"), 20, triggers.tail())
        decided = time.monotonic() - began
        triggers_memory.append(resident_mb(triggers.pid))
        verified = segmenter("verify", timeout_s=600, **run.settings)
        assert (worker.exit_code, triggers.exit_code) == (None, None), worker.tail() + triggers.tail()
        assert worker.stop() == 0
        assert triggers.stop() == 0
    outputs = Outputs(run)
    others = run.assert_dead_letters_once()
    figures = {
        "seed": SEED,
        "records": run.count,
        "drained_s": round(lasted),
        "decided_s": round(decided),
        "memory_mb": memory,
        "peak_mb": peak,
        "triggers_mb": triggers_memory,
        "counts": dict(outputs.counts),
        "largest": dict(outputs.largest),
        "parts": dict(outputs.parts),
        "large_forwarded": outputs.large_forwarded,
        "letters of merges": dict(others),
        "calls": len(hook.calls),
    }
    print(figures, verified.out)  # noqa: T201  # the figures of the run
    assert outputs.sentinels == {(name, change) for name in sentinels for change in ("entered", "exited")}
    assert {topic: size for topic, size in outputs.largest.items() if size > BOUNDS[topic]} == {}
    assert {topic for topic, _ in others} <= {"merges"}
    assert {reason for _, reason in others} <= {"too_large_to_forward", "bad_value"}, "hops beyond what is followed"
    assert max(outputs.parts) > 1, "profiles moved in parts"
    assert outputs.large_forwarded, "large events were sent on"
    assert others["merges", "bad_value"], "events went through too many ids"
    assert hook.forged == 0
    assert verified.code == 0, (verified.out, records_of_differences(run, verified.out))
    run.assert_no_defect()
    assert memory[-1] < GROWS_MAX * memory[0]
    assert peak < PEAK_MAX * memory[0]
    assert max(triggers_memory) < PEAK_MAX * triggers_memory[0]


def records_of_differences(run: Run, report: str) -> list[str]:
    """The records of all inputs that have a customer's id as their key, for the customers that verify names."""
    customers = {line.partition("  ")[0].encode() for line in report.splitlines() if "recomputed: " in line}
    records: list[str] = []

    def take(record: Any) -> None:
        if record.key in customers:
            records.append(f"{record.topic} {record.offset} {record.timestamp} {record.value!r:.600}")

    for topic in READ:
        run.each(topic, take)
    return records


def test_a_thousand(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Each kind of scene comes at least once: every partition goes on, and memory is flat."""
    with Hook() as hook:
        goes_on(Run(kafka, redis_server, "outputs", tmp_path, hostile_outputs.definitions()), hook, 1_000, within_s=60)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_two_hundred_thousand(tmp_path: Path) -> None:
    """Two hundred thousand records pass likewise, in servers of their own."""
    with ExitStack() as stack:
        kafka, redis = stack.enter_context(Kafka(heap_mb=1_024)), stack.enter_context(Redis(aof=True))
        hook = stack.enter_context(Hook())
        run = Run(kafka, redis, "outputs", tmp_path, hostile_outputs.definitions())
        goes_on(run, hook, 200_000, within_s=600)
