"""Faults of size and number: outputs that are too large, compression bombs, records between ids that come twice.

No worker stops. A text that is too large is cut, a record that cannot be read is a dead letter, and a record that comes
twice counts once.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from kafka import KafkaConsumer

from fault_runs import traffic
from fault_runs.kinds import kind
from fault_runs.scene import Scene
from fault_runs.traffic import TrafficRecord
from soak_runs.audit import verify

__all__ = ["Repeater"]

# 1,000 values of 60 characters in each of four segments: 240 kB, where a topic takes 512 KiB and a change 128 KiB.
VALUES, VALUE_CHARACTERS, WIDE = 1_000, 60, 4
# The size to which one compressed batch of some kilobytes unpacks.
POISONS, POISON_BYTES = 60, 1_000_000
MERGES = "merges"


@kind("oversize-outputs", "segments whose changes would be larger than a topic takes, and large events that count",
      quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    definitions = yaml.safe_load(scene.definitions.read_text())
    values = [f"plan {number} ".ljust(VALUE_CHARACTERS, "x") for number in range(VALUES - 1)]
    for number in range(WIDE):
        tests = [{"trait": {"plan": {"in": [*values, f"p{number}"]}}}, {"trait": {"plan": {"in": ["pro", *values]}}}]
        definitions["segments"][f"wide_{number}"] = {"title": "Wide", "when": {"any": tests}}
    scene.decide(json.dumps(definitions))
    scene.begin(2)
    for share in (0.2, 0.6):
        scene.wait_applied(share)
        now = traffic.stamp()
        for number in range(5):
            name = f"large-{share}-{number}"
            large = {"text": "x" * scene.rng.randrange(500_000, 900_000)}
            page = {"type": "page", "messageId": name, "userId": name, "timestamp": now, "properties": large}
            scene.publish([TrafficRecord("visits", name.encode(), json.dumps(page).encode())])


@kind("compressed-poison", f"a batch of kilobytes that unpacks to {POISONS} MB of open brackets, again and again",
      quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(2)
    for share in (0.1, 0.4, 0.7):
        scene.wait_applied(share)
        poison = TrafficRecord("visits", b"poison", b"[" * POISON_BYTES, "not_json")
        scene.publish([poison] * POISONS, compression_type="gzip", batch_size=POISONS * POISON_BYTES + 100_000)


class Repeater(threading.Thread):
    """Sends each record between ids once more, from the first on, until it is ended."""

    def __init__(self, brokers: str, prefix: str) -> None:
        super().__init__(name="repeater", daemon=True)
        self.count = 0
        self._brokers, self._topic = brokers, prefix + MERGES
        self._ending = threading.Event()

    def run(self) -> None:
        consumer: Any = KafkaConsumer(
            self._topic, bootstrap_servers=self._brokers, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        producer = traffic.producer(self._brokers)
        while not self._ending.is_set():
            for tp, records in consumer.poll(timeout_ms=200).items():
                for record in records:
                    if not record.headers:
                        again = [("again", b"1")]
                        producer.send(
                            tp.topic, key=record.key, value=record.value, partition=tp.partition, headers=again
                        )
                        self.count += 1
            producer.flush()
        consumer.close()
        producer.close()

    def end(self) -> None:
        self._ending.set()
        self.join()


@contextmanager
def doubled(scene: Scene) -> Iterator[Repeater]:
    repeater = Repeater(scene.lane.kafka.address, scene.prefix)
    repeater.start()
    try:
        yield repeater
    finally:
        repeater.end()


@kind("doubled-merges", "each record that ids send to one another comes twice, and workers are killed meanwhile",
      audited=False, quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    records = list(traffic.of_devices(scene.seed, traffic.history(scene.seed, scene.events, scene.began_ms)))
    scene.publish([record for record in records if record.bad is None])
    with doubled(scene) as repeater:
        scene.crew.hire()
        scene.crew.hire()
        for share in sorted(scene.rng.uniform(0.1, 0.9) for _ in range(2)):
            scene.wait_applied(share)
            scene.crew.kill(scene.rng.choice(scene.crew.members))
        scene.wait(lambda: repeater.count > scene.events // 10, "records between ids, doubled")
        scene.settle()
    scene.crew.findings += verify(scene)
