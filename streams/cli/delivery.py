"""Sends the records of a command to Kafka. In the end each is acknowledged, or known not to be.

The one rule: Kafka is waited for `ANSWER_MAX_S` and no longer. kafka-python's own `flush` lasts as long as Kafka is
away: once its idempotent producer has given up one batch, it needs a new id from Kafka before it looks at the age of
the others. And it raises where a batch is divided, as Kafka found it too large.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.future import Future

from streams.kafka.client import connect
from streams.settings import Settings

# As long as kafka-python waits for room in its buffer.
ANSWER_MAX_S = 60.0
_CLOSE_MAX_S = 5.0
_LOOK_S = 0.01


class Sender:
    """A producer of kafka-python whose records have numbers, by which the command knows them."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """``options``: further ones of the producer."""
        within_ms = int(ANSWER_MAX_S * 1_000)
        self._producer = connect(
            settings,
            KafkaProducer,
            acks="all",
            enable_idempotence=settings.broker == "kafka",
            linger_ms=5,
            max_block_ms=within_ms,
            delivery_timeout_ms=within_ms,
            request_timeout_ms=within_ms // 2,
            **options,
        )
        self.acknowledged = 0
        self.refused: dict[int, Exception] = {}  # what Kafka does not take, however often it is sent
        self.unanswered: set[int] = set()
        self._silence: KafkaError | None = None
        self._is_given_up = False

    def send(self, number: int, topic: str, **record: Any) -> Any:
        """Send a record; its future. Raises `KafkaError` when Kafka has been silent for too long."""
        if self._silence is not None:
            raise self._silence
        self.unanswered.add(number)
        try:
            future = self._producer.send(topic, **record)
        except KafkaError as error:
            if error.retriable:
                self._silence = error
                raise
            future = Future().failure(error)
        future.add_callback(partial(self._succeeded, number))
        future.add_errback(partial(self._failed, number))
        return future

    def _succeeded(self, number: int, _: object) -> None:
        if not self._is_given_up:
            self.unanswered.discard(number)
            self.acknowledged += 1

    def _failed(self, number: int, error: Exception) -> None:
        """Kafka refused a record, or has not answered in time: then its number stays among the `unanswered`."""
        if isinstance(error, KafkaError) and error.retriable:
            self._silence = error
        elif not self._is_given_up:
            self.refused[number] = error
            self.unanswered.discard(number)

    def close(self) -> None:
        """Wait until all is answered, and end. Raises `KafkaError` where something is not answered in time."""
        until = time.monotonic() + ANSWER_MAX_S
        while self.unanswered and self._silence is None and time.monotonic() < until:
            time.sleep(_LOOK_S)
        if self.unanswered:
            self._silence = self._silence or KafkaTimeoutError(f"not acknowledged in {ANSWER_MAX_S:.0f} s")
            self._is_given_up = True
            self._producer._sender.force_close()  # `close` by itself waits for Kafka first
        with suppress(KafkaError):  # what was given up is known
            self._producer.close(_CLOSE_MAX_S)
        if self._silence is not None:
            raise self._silence
