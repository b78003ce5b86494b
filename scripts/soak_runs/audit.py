"""The audit of a soak: one pass over the millions of records of each partition, without storing them.

Cheap invariants are checked for every customer, with a few bytes for each of its changes. The oracle is run for a
sample, which a hash of seed and name chooses. The invariants are those of `fault_runs.audit`, which runs the oracle for
every customer.
"""

import asyncio
import json
import multiprocessing
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from typing import Any

import msgspec
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition

from fault_runs import audit as fault_audit
from fault_runs import evidence
from fault_runs.audit import Audited, AuditedCustomers
from fault_runs.evidence import SLOW_MS, In, StoredState
from fault_runs.scene import INPUTS, PARTITIONS, Scene
from fault_runs.traffic import EXPECTED
from local.processes import Worker
from soak_runs.fold import CustomerFold

__all__ = ["Pass", "audit", "verify"]

CHANGES = "segment-changes"
AT_ONCE = 5_000
TOGETHER = 250  # customers for which the oracle is run at once
PROCESSES = 2


class SentEvent(msgspec.Struct, rename="camel"):
    """The time at which an event was made, and the other ids that it names."""

    timestamp: datetime
    anonymous_id: str | None = None
    previous_id: str | None = None


_event_decoder = msgspec.json.Decoder(SentEvent)


class Pass:
    """The audit of one partition: its records, its changes, and all data of the customers in the sample."""

    def __init__(self, seed: int, share: float) -> None:
        self.customers: set[str] = set()
        self.named: set[str] = set()  # ids that events of others name; they are stored, in any partition, as redirects
        self.slow: set[str] = set()
        self.bad: list[In] = []
        self.folds: dict[str, CustomerFold] = defaultdict(CustomerFold)
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.inputs: dict[str, list[In]] = defaultdict(list)
        self.changes: dict[str, list[Any]] = defaultdict(list)
        self._salt, self._below = f"{seed} ".encode(), share * 2**32

    def is_sampled(self, name: str) -> bool:
        return zlib.crc32(self._salt + name.encode()) < self._below

    def read(self, record: In) -> None:
        """Read a record of an input; the sender's header says whether it is an event."""
        if record.bad is not None:
            self.bad.append(record)
            return
        self.counts["events"] += 1
        name = (record.key or b"").decode()
        self.customers.add(name)
        event = _event_decoder.decode(record.value or b"")
        self.named.update(filter(None, (event.anonymous_id, event.previous_id)))
        if name.startswith("live-") and record.appended_ms - event.timestamp.timestamp() * 1000 > SLOW_MS:
            self.slow.add(name)
        if self.is_sampled(name):
            self.inputs[name].append(record)

    def hear(self, key: bytes, value: bytes) -> None:
        """Read a change."""
        name = key.decode()
        fold = self.folds[name]
        before = fold.count
        self.findings += fold.add(name, value, self.counts)
        if fold.count > before and self.is_sampled(name):
            self.changes[name].append(json.loads(value))

    def compare(self, stored: Mapping[str, StoredState]) -> Iterator[str]:
        """Check I1, I2 and I5 for every customer, by its published changes."""
        for name in self.customers - stored.keys():
            yield f"I1: {name} is not in Redis"
        for name in self.folds.keys() - stored.keys():
            yield f"I1: changes were published for {name}, which is not stored"
        none = CustomerFold()
        for name, state in stored.items():
            fold = self.folds.get(name, none)
            yield from fault_audit.adds_up(name, state, fold.members, fold.count)

    def samples(self, stored: Mapping[str, StoredState], clock: int) -> Iterator[AuditedCustomers]:
        """The data of the sample for the oracle, some customers at a time."""
        names = sorted(self.inputs)
        for index in range(0, len(names), TOGETHER):
            some = names[index : index + TOGETHER]
            events = evidence.events([record for name in some for record in self.inputs[name]])
            changes_of = {name: self.changes[name] for name in some}
            own = {name: stored[name] for name in some if name in stored}
            yield AuditedCustomers(events, changes_of, own, self.slow & set(some), clock)


def audit(scene: Scene, sample: int) -> Audited:
    """Check everything, once the run has settled and the workers have ended."""
    counts: Counter[str] = Counter()
    definitions = yaml.safe_load(scene.definitions.read_text())
    findings = [*fault_audit.positions(scene), *fault_audit.clocks(scene), *fault_audit.holds(scene, counts)]
    share = min(1.0, sample / max(1, counts["customers"]))
    bad: list[In] = []
    named: set[str] = set()
    unnamed: set[str] = set()
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        comparisons = []
        for partition in range(PARTITIONS):
            one_pass = asyncio.run(_passed(scene, partition, share))
            stored = evidence.stored(scene, partition, fault_audit.segments(definitions))
            findings += [*one_pass.findings, *one_pass.compare(stored), *fault_audit.listed(scene, partition, stored)]
            bad += one_pass.bad
            named |= one_pass.named
            unnamed |= stored.keys() - one_pass.customers
            counts += one_pass.counts
            counts["slow customers"] += len(one_pass.slow)
            counts["customers asked of the oracle"] += len(one_pass.inputs)
            counts["of these slow, asked where they stand alone"] += len(one_pass.slow & one_pass.inputs.keys())
            clock = int(scene.meta(partition)["clock"])
            right = scene.clock_is_right
            comparisons += [
                pool.submit(_compared, audited, definitions, right) for audited in one_pass.samples(stored, clock)
            ]
        for future in comparisons:
            findings += future.result()
    findings += [f"I1: {name} is in Redis, and no event names it" for name in unnamed - named]
    findings += fault_audit.dead_letters(bad, evidence.read(scene, "dead-letters"), counts)
    findings += scene.went_back
    return Audited(findings, counts)


def verify(scene: Scene) -> list[str]:
    """Run ``segmenter verify`` for every customer: its output is printed, and its exit code counts."""
    command = [sys.executable, "-m", "streams", "verify"]
    done = subprocess.run(
        command, env=Worker(scene.settings).environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    print(f"segmenter verify: {done.stdout.strip()}", flush=True)
    if done.returncode == 0:
        return []
    return [f"segmenter verify ended with {done.returncode}: {done.stdout[-2_000:]} {done.stderr[-2_000:]}"]


def _compared(audited: AuditedCustomers, definitions: Any, clock_is_right: bool) -> list[str]:
    return list(fault_audit.compare(audited, definitions, clock_is_right=clock_is_right))


async def _passed(scene: Scene, partition: int, share: float) -> Pass:
    one_pass = Pass(scene.seed, share)
    async for name, records in _records(scene, (*INPUTS, CHANGES), partition):
        if name == CHANGES:
            for record in records:
                one_pass.hear(record.key, record.value)
        else:
            for record in records:
                one_pass.read(_in(name, record))
    return one_pass


def _in(name: str, record: Any) -> In:
    bad = next((text.decode() for header, text in record.headers if header == EXPECTED), None)
    return In(name, record.partition, record.offset, record.timestamp, record.key, record.value, bad)


async def _records(scene: Scene, names: Sequence[str], partition: int) -> AsyncIterator[tuple[str, Sequence[Any]]]:
    """Read all committed records of a partition of these topics, some at a time."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=scene.lane.kafka.address, isolation_level="read_committed", enable_auto_commit=False,
        max_partition_fetch_bytes=4_000_000,
    )  # fmt: skip
    await consumer.start()
    try:
        places = {TopicPartition(scene.prefix + name, partition): name for name in names}
        consumer.assign(list(places))
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(list(places))
        while [place for place in places if await consumer.position(place) < ends[place]]:
            for place, records in (await consumer.getmany(timeout_ms=500, max_records=AT_ONCE)).items():
                yield places[place], records
    finally:
        await consumer.stop()
