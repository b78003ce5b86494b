"""Starts and closes producers of aiokafka.

The one rule: a closed producer leaves nothing behind, neither a task nor a connection, whatever Kafka does.

    a batch waits for a leader that does not answer; its partition is released, and `close` begins
    aiokafka's `stop` waits for the batch, maybe for ever; after `_STOP_MAX_S` it is cancelled, but the sender's tasks
    and the client's connections live on
    `_cut_off` cancels those tasks, and aborts the connections with the bytes that they have not sent
    the tasks have ended: nothing can send the batch any more, and the partition may get another owner

See also: `streams.kafka.producer_fence` (producers with an epoch), `streams.kafka.output_batches` (sending).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.wire import identity_records
from streams.wire.records import BATCH_MAX_BYTES

log = logging.getLogger(__name__)

# The largest batch of all topics: one record of `merges`. (aiokafka 0.14 checks it in `send` alone, not `send_batch`.)
REQUEST_MAX_BYTES = identity_records.BATCH_MAX_BYTES
_STOP_MAX_S = 2.0
_CANCEL_MAX_S = 1.0


def options(client: Mapping[str, Any]) -> dict[str, Any]:
    """The options of every producer; ``client``: options of the client, such as brokers and login."""
    return {
        **client,
        "acks": "all",
        "max_batch_size": BATCH_MAX_BYTES,
        "max_request_size": REQUEST_MAX_BYTES,
    }


async def start(chosen: Mapping[str, Any]) -> AIOKafkaProducer:
    """Start a producer with these options."""
    producer = AIOKafkaProducer(**chosen)
    try:
        await producer.start()
    except BaseException:
        await close(producer)
        raise
    return producer


async def close(producer: AIOKafkaProducer) -> None:
    """Flush and stop within a bound of time, and cut off a producer that does not end by itself."""
    writers = _writers(producer)  # a connection that closes drops its writer before that has ended
    try:
        async with asyncio.timeout(_STOP_MAX_S):
            await producer.stop()
    except Exception as error:  # noqa: BLE001  # whatever failed, the producer must end
        log.warning("a producer did not end by itself and is cut off", extra={"error": repr(error)})
        await _cut_off(producer, writers)
    except BaseException:
        await _cut_off(producer, writers)
        raise


async def _cut_off(producer: AIOKafkaProducer, writers: set[asyncio.StreamWriter]) -> None:
    tasks = _tasks(producer)
    for task in tasks:
        task.cancel()
    for writer in writers | _writers(producer):
        writer.transport.abort()  # `close` would wait until everything is sent
    for connection in producer.client._conns.values():
        connection.close()
    if tasks:
        await asyncio.wait(tasks, timeout=_CANCEL_MAX_S)


def _writers(producer: AIOKafkaProducer) -> set[asyncio.StreamWriter]:
    return {connection._writer for connection in producer.client._conns.values() if connection._writer is not None}


def _tasks(producer: AIOKafkaProducer) -> list[asyncio.Task[Any]]:
    """The tasks that run a method of the producer's parts.

    aiokafka has the tasks of requests in local variables alone, so they are searched among all tasks.
    """
    parts = (producer._sender, producer._message_accumulator, producer.client)
    return [task for task in asyncio.all_tasks() if any(_runs_of(task) is part for part in parts)]


def _runs_of(task: asyncio.Task[Any]) -> object:
    """The object whose method a task runs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")


# Partitions that a process may own: each has a producer, with connections to the coordinator and to its leaders.
PRODUCERS_MAX = 200


def processes_needed(partitions: int) -> int:
    """The least number of workers, or of processes of triggers, that can own so many partitions."""
    return -(-partitions // PRODUCERS_MAX)
