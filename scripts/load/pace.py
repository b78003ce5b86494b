"""Measures the delay of changes under a steady load, with sender and consumer in processes of their own.

Neither end may slow the other down, as that would count as delay of the worker. The delay is from the event's own time,
taken just before it is sent, to the change at a consumer.
"""

import asyncio
import json
import multiprocessing
import time
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from rules.event_names import input_of
from rules.times import format_instant, parse_instant
from streams.wire.topics import CHANGES

_TICK_S = 0.005
_LINGER_MS = 50
BUYERS = 4  # one customer in so many buys, and so enters a segment


def _event(customer: str, name: str) -> bytes:
    return json.dumps(
        {
            "type": "track",
            "event": name,
            "messageId": customer,
            "userId": customer,
            "timestamp": format_instant(time.time_ns() // 1_000_000),
            "properties": {"order_id": customer, "total": 10, "product_id": "p"},
        }
    ).encode()


async def _produce(brokers: str, rate: int, seconds: float, name: str, linger_ms: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, linger_ms=linger_ms)
    await producer.start()
    began, count = time.monotonic(), 0
    while count < rate * seconds:
        while count < min(rate * seconds, (time.monotonic() - began) * rate):
            event = "Order Completed" if count % BUYERS == 0 else "Product Viewed"
            customer = f"{name}-{count}"
            value = _event(customer, event)
            await producer.send(input_of(event), key=customer.encode(), value=value)
            count += 1
        await asyncio.sleep(_TICK_S)
    await producer.stop()


def _run_producer(brokers: str, rate: int, seconds: float, name: str, linger_ms: int) -> None:
    asyncio.run(_produce(brokers, rate, seconds, name, linger_ms))


def sending(brokers: str, rate: int, seconds: float, name: str, linger_ms: int = _LINGER_MS) -> SpawnProcess:
    """Start the load alone, for other measurements, with a producer that lingers for batches, as most do."""
    process = multiprocessing.get_context("spawn").Process(
        target=_run_producer, args=(brokers, rate, seconds, name, linger_ms)
    )
    process.start()
    return process


def sent(process: SpawnProcess) -> None:
    """Wait for the end of a load. Raises `RuntimeError` if it did not send all."""
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the process that sends events ended with {process.exitcode}")


async def _consume(brokers: str, name: str, kind: str, expected: int, timeout_s: float) -> list[float]:
    consumer = AIOKafkaConsumer(
        CHANGES, bootstrap_servers=brokers, auto_offset_reset="latest", fetch_max_wait_ms=50,
        isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    for place in consumer.assignment():
        await consumer.position(place)  # the position is the end then; a seek to it would race with the first reset
    own = f"{name}-".encode()
    delays: list[float] = []
    until = time.monotonic() + timeout_s
    while len(delays) < expected and time.monotonic() < until:
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            now = time.time() * 1000
            for record in batch:
                if not record.key.startswith(own):
                    continue  # there may be many changes of other kinds
                change = json.loads(record.value)
                if change["change"] == kind:
                    delays.append(now - (parse_instant(change["occurred_at"]) or 0))
    await consumer.stop()
    return delays


def _run_consumer(
    brokers: str, name: str, kind: str, expected: int, timeout_s: float, results: "Queue[list[float]]"
) -> None:
    results.put(asyncio.run(_consume(brokers, name, kind, expected, timeout_s)))


def delays_ms(brokers: str, rate: int, seconds: float, name: str, kind: str = "entered") -> list[float]:
    """Send ``rate`` events per second. Returns the sorted delays (ms) of their changes of this kind."""
    spawn = multiprocessing.get_context("spawn")
    results: Queue[list[float]] = spawn.Queue()
    expected = int(rate * seconds / BUYERS)
    consumer = spawn.Process(target=_run_consumer, args=(brokers, name, kind, expected, seconds + 20, results))
    consumer.start()
    time.sleep(1.5)
    producer = sending(brokers, rate, seconds, name, linger_ms=0)
    delays = sorted(results.get(timeout=seconds + 30))
    producer.join(10)
    consumer.join(10)
    return delays
