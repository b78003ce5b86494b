"""How fast: a backlog drained beside a bare client loop, and the delay from event to change.

The one rule: a rate is given as a ratio to a bare loop (aiokafka ``getmany`` and a JSON parse)
over the same topics in the same run, as machines are noisy. Only 127.0.0.1 is spoken to. What is
decided are the four segments of scripts/four.yaml, whatever the library has come to hold.
"""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition
from redis import Redis

import cost
import local
import pace
from generate import records
from rules.events import INPUTS
from streams import topics
from streams.partitioning import partition_of
from streams.redis_store import key
from streams.segmenter import CHANGES
from streams.settings import Settings
from workers import Worker

PARTITIONS = 4
DEFINITIONS = Path(__file__).with_name("four.yaml")


def settings_of(broker: str, redis_url: str, **more: Any) -> Settings:
    return Settings(brokers=broker, redis=redis_url, partitions=PARTITIONS, definitions=DEFINITIONS, **more)


async def preload(broker: str, events: int, customers: int, profile: str) -> None:
    """Publish a generated history that ends before now, in ready-made batches."""
    span_ms = 6 * 3_600_000
    start_ms = int(time.time() * 1000) - span_ms - 60_000
    producer = AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=400_000)
    await producer.start()
    builders: dict[tuple[str, int], Any] = {}
    places: dict[bytes, int] = {}
    made = records(events=events, customers=customers, seed=1, profile=profile, start_ms=start_ms, span_ms=span_ms)
    for topic, customer, value, _ in made:
        place = places.get(customer)
        if place is None:
            place = places[customer] = partition_of(customer.decode(), PARTITIONS)
        builder = builders.get((topic, place))
        if builder is None:
            builder = builders[topic, place] = producer.create_batch()
        while builder.append(timestamp=None, key=customer, value=value) is None:
            await producer.send_batch(builder, topic, partition=place)
            builder = builders[topic, place] = producer.create_batch()
    for (topic, place), builder in builders.items():
        await producer.send_batch(builder, topic, partition=place)
    await producer.stop()


async def bare_loop(broker: str, events: int) -> float:
    """Events per second of the least that any consumer in Python does."""
    consumer = AIOKafkaConsumer(*INPUTS, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    seen, began = 0, time.monotonic()
    while seen < events:
        for batch in (await consumer.getmany(timeout_ms=1000)).values():
            for record in batch:
                json.loads(record.value)
            seen += len(batch)
    rate = seen / (time.monotonic() - began)
    await consumer.stop()
    return rate


def positions(client: Any, settings: Settings) -> int:
    """Events applied so far, over all partitions."""
    total = 0
    for partition in range(PARTITIONS):
        meta = client.hgetall(key(settings.redis_prefix, partition, "meta"))
        total += sum(int(value) for name, value in meta.items() if name.startswith(b"position:"))
    return total


def drain(settings: Settings, events: int, timeout_s: float = 300.0) -> dict[str, float]:
    """One worker on the preloaded backlog, timed from its first claim."""
    client = Redis.from_url(settings.redis.get_secret_value())
    empty = client.info("memory")["used_memory"]
    redis_before = client.info("cpu")
    with Worker(settings.model_dump(exclude_none=True)) as worker:
        worker.wait_ready()
        began, cpu = time.monotonic(), worker.cpu_s()
        while positions(client, settings) < events:
            if worker.exit_code is not None or time.monotonic() - began > timeout_s:
                raise RuntimeError(f"the backlog was not drained:\n{worker.tail()}")
            time.sleep(0.1)
        wall = time.monotonic() - began
        cpu = worker.cpu_s() - cpu
        time.sleep(2)
    redis_after = client.info("cpu")
    redis_cpu = sum(redis_after[name] - redis_before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    held = sum(client.hlen(key(settings.redis_prefix, place, "customers")) for place in range(PARTITIONS))
    return {
        "events_per_s": events / wall,
        "worker_cpu_us_per_event": cpu / events * 1e6,
        "redis_cpu_us_per_event": redis_cpu / events * 1e6,
        "customers": held,
        "redis_bytes_per_customer": (client.info("memory")["used_memory"] - empty) / held,
    }


def count_changes(broker: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=broker)
    places = [TopicPartition(CHANGES, partition) for partition in range(PARTITIONS)]
    total = sum(consumer.end_offsets(places).values())
    consumer.close()
    return int(total)


def throughput(arguments: argparse.Namespace, guarantee: str) -> None:
    with local.Kafka() as kafka, local.Redis(aof=True) as redis:
        settings = settings_of(kafka.address, redis.url, processing_guarantee=guarantee)
        topics.create(settings)
        print(f"preloading {arguments.events:,} {arguments.profile} events …", flush=True)
        asyncio.run(preload(kafka.address, arguments.events, arguments.customers, arguments.profile))
        bare = [asyncio.run(bare_loop(kafka.address, arguments.events))]
        found = drain(settings, arguments.events)
        bare.append(asyncio.run(bare_loop(kafka.address, arguments.events)))
        changes = count_changes(kafka.address)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"bare loop   {bare[0]:10,.0f} and {bare[1]:,.0f} events/s")
    rate = found["events_per_s"]
    print(f"worker      {rate:10,.0f} events/s = 1/{statistics.mean(bare) / rate:.1f} of the bare loop, {guarantee}")
    print("segments    the four of scripts/four.yaml")
    print(f"changes     {changes:10,} ({changes / arguments.events:.2f} per event)")
    print(f"worker CPU  {found['worker_cpu_us_per_event']:10.1f} µs per event")
    print(f"Redis CPU   {found['redis_cpu_us_per_event']:10.1f} µs per event")
    print(
        f"Redis       {found['redis_bytes_per_customer']:10.0f} bytes per customer, {found['customers']:,.0f} customers"
    )


def latency(arguments: argparse.Namespace, guarantee: str) -> None:
    """The delay from an event to its change, once it is committed, under a steady load, after a warm-up."""
    with local.Kafka() as kafka, local.Redis(aof=True) as redis:
        settings = settings_of(kafka.address, redis.url, processing_guarantee=guarantee)
        topics.create(settings)
        with Worker(settings.model_dump(exclude_none=True)) as worker:
            worker.wait_ready()
            pace.delays_ms(kafka.address, arguments.rate, 3, "warm")
            cpu = worker.cpu_s()
            delays = pace.delays_ms(kafka.address, arguments.rate, arguments.seconds, "paced")
            cpu = worker.cpu_s() - cpu
    sent = int(arguments.rate * arguments.seconds / pace.BUYERS)
    came = f"{len(delays):,} of {sent:,} changes came"
    print(f"{arguments.rate:,} events/s for {arguments.seconds:g} s, {guarantee}: {came}")
    print(f"  worker CPU {cpu / arguments.seconds:.0%} of one core")
    for share in (0.5, 0.9, 0.99, 0.999):
        print(f"  p{share * 100:g}  {delays[int(len(delays) * share)]:.0f} ms")
    print(f"  max {delays[-1]:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--profile", choices=["change-heavy", "session-like"], default="change-heavy")
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=["throughput", "latency", "rules"])
    parser.add_argument(
        "--guarantees", nargs="+", default=["at_least_once"], choices=["at_least_once", "exactly_once"],
        help="one after the other (at_least_once)",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.only in (None, "rules"):
        cost.run()
    if arguments.only == "rules":
        return
    missing = local.kafka_available()
    if missing:
        sys.exit(missing)
    for guarantee in arguments.guarantees:
        if arguments.only != "latency":
            throughput(arguments, guarantee)
        if arguments.only != "throughput":
            latency(arguments, guarantee)


if __name__ == "__main__":
    main()
