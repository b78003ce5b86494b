"""Writes events to Kafka, and answers when all in-sync replicas have them.

The one rule: what was answered is on the topics. What was not answered may be there as well, and its sender repeats
it, under the same message id, which counts once.

    a request's records → `write` → batches of an idempotent producer → acknowledged, or `Unavailable`

A batch that fails for good breaks its producer: aiokafka counts it as sent, so that all later ones would be out of
order. So the producer is replaced, and the requests whose records were in it are answered `Unavailable`.

See also: `streams.kafka.producer` (starting and closing).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.kafka import producer as producers
from streams.wire.records import OutRecord

log = logging.getLogger(__name__)

# An SDK waits for an answer for ten seconds or longer.
ANSWER_MAX_S = 8.0
# What requests wait for, over all of them; one that would exceed it is refused at once. What timed out waits in Kafka's
# client for another 12 s, so while Kafka is away the process holds up to three times as much.
WAITING_MAX_BYTES = 32 * 1024 * 1024
# Kafka's client gives a batch up after so long, which frees its memory.
_DELIVERY_MAX_MS = 20_000
_FAILED_S = 15.0


class Unavailable(Exception):
    """Kafka did not acknowledge in time; the sender should repeat the request."""


class EventProducer:
    """One idempotent producer for all requests, which is replaced when it is broken."""

    def __init__(self, client: Mapping[str, Any], prefix: str, *, is_idempotent: bool = True) -> None:
        """``client``: options of the client, such as brokers and login. ``is_idempotent``: where the broker can be."""
        self._options = {
            **producers.options(client), "enable_idempotence": is_idempotent, "request_timeout_ms": _DELIVERY_MAX_MS,
        }  # fmt: skip
        self._prefix = prefix
        self._started: asyncio.Task[AIOKafkaProducer] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting_bytes = 0
        self._failed_at = -math.inf
        self._is_failing = False

    @property
    def is_answering(self) -> bool:
        """Whether nothing failed of late. A failure is forgotten, as a balancer sends nothing that would show more."""
        return monotonic() - self._failed_at > _FAILED_S

    async def write(self, records: Sequence[OutRecord]) -> None:
        """Write records. Returns once all of them are acknowledged. Raises `Unavailable`.

        A caller that is cancelled leaves its records on their way: aiokafka keeps what it has taken.
        """
        size = sum(len(record.value or b"") for record in records)
        if self._waiting_bytes + size > WAITING_MAX_BYTES:
            raise Unavailable
        self._waiting_bytes += size
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                await self._write(records)
        except (KafkaError, TimeoutError) as error:
            if not self._is_failing:
                log.warning("Kafka acknowledges no events; senders are asked to repeat", extra={"error": repr(error)})
            self._is_failing, self._failed_at = True, monotonic()
            raise Unavailable from None
        finally:
            self._waiting_bytes -= size
        if self._is_failing:
            self._is_failing, self._failed_at = False, -math.inf

    async def _write(self, records: Sequence[OutRecord]) -> None:
        started = self._producer()
        producer = started.result() if started.done() else await asyncio.shield(started)
        sent: list[asyncio.Future[Any]] = []
        try:
            # No task and no shield for each request: they take as long as everything else here.
            for record in records:
                sent.append(await producer.send(self._prefix + record.topic, record.value, record.key))  # noqa: PERF401  # those before a failure are needed
            for future in sent:
                await future
        except BaseException as error:
            for future in sent:
                future.add_done_callback(_take_exception)
            if isinstance(error, KafkaError):
                self._replace(started)
            raise

    def _producer(self) -> asyncio.Task[AIOKafkaProducer]:
        """The producer, or its start; after a start that failed, a new one."""
        started = self._started
        if started is None or (started.done() and (started.cancelled() or started.exception() is not None)):
            started = self._started = asyncio.ensure_future(producers.start(self._options))
        return started

    def _replace(self, started: asyncio.Task[AIOKafkaProducer]) -> None:
        """Let the next request start a producer anew, and close the broken one."""
        if self._started is not started:
            return  # another request of the same batch did it
        self._started = None
        task = asyncio.ensure_future(_close(started))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def start(self) -> None:
        """Start the producer, so that the first request does not wait for it; a Kafka that is away is no error."""
        with suppress(KafkaError):
            await asyncio.shield(self._producer())

    async def close(self) -> None:
        """Flush and stop, within a bound."""
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._started is not None:
            await _close(self._started)


async def _close(started: asyncio.Task[AIOKafkaProducer]) -> None:
    with suppress(KafkaError):
        await producers.close(await started)


def _take_exception(future: asyncio.Future[Any]) -> None:
    """Take the exception of a record that nothing waits for any more, which asyncio would log."""
    if not future.cancelled():
        future.exception()
