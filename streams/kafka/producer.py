"""A producer of aiokafka, from its start to its end.

The one rule: of a producer that was closed nothing is left, neither a task nor a connection, whatever Kafka does.
aiokafka's own `stop` waits for what is on its way, which may be for ever; where it is cut off, the tasks of its sender
and the connections of its client go on, and a batch may still be sent by them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.wire import merges
from streams.wire.records import BATCH_MAX_BYTES

log = logging.getLogger(__name__)

# The largest batch of all: one record of `merges`. (aiokafka 0.14 checks it for `send` alone, not for `send_batch`.)
REQUEST_MAX_BYTES = merges.BATCH_MAX_BYTES
_STOP_MAX_S = 2.0
_CANCEL_MAX_S = 1.0


def options(client: Mapping[str, Any]) -> dict[str, Any]:
    """Of all our producers; ``client``: where the brokers are, and who we are to them."""
    return {
        **client,
        "acks": "all",
        "max_batch_size": BATCH_MAX_BYTES,
        "max_request_size": REQUEST_MAX_BYTES,
    }


async def start(chosen: Mapping[str, Any]) -> AIOKafkaProducer:
    """A producer that is started, with these options."""
    producer = AIOKafkaProducer(**chosen)
    try:
        await producer.start()
    except BaseException:
        await close(producer)
        raise
    return producer


async def close(producer: AIOKafkaProducer) -> None:
    """Flush and stop, within a bound; what does not end by itself, or is cut off, is cancelled."""
    writers = _writers(producer)  # a connection forgets its own before that has ended
    try:
        async with asyncio.timeout(_STOP_MAX_S):
            await producer.stop()
    except Exception as error:  # noqa: BLE001  # why it failed matters to nobody any more
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
    """Those that run a method of its parts; aiokafka keeps those of requests in local variables."""
    parts = (producer._sender, producer._message_accumulator, producer.client)
    return [task for task in asyncio.all_tasks() if any(_runs_of(task) is part for part in parts)]


def _runs_of(task: asyncio.Task[Any]) -> object:
    """Whose method a task runs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")


# So many partitions a process may hold: each has a producer, with connections to the coordinator and to its leaders.
PRODUCERS_MAX = 200


def processes_needed(partitions: int) -> int:
    """How many processes of a kind must run at least."""
    return -(-partitions // PRODUCERS_MAX)
