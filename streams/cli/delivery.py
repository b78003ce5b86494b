"""Sends the records of a command to Kafka; in the end each is known to be acknowledged or not.

The command waits for Kafka for `ANSWER_MAX_S` and no longer. kafka-python's own `flush` lasts as long as Kafka does not
answer: once its idempotent producer has given up a batch, it needs a new producer id from Kafka before it looks at the
age of the others. `flush` also raises when a batch is split because Kafka found it too large.

See also: `streams.kafka.publisher`, which publishes for workers.
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

# The longest wait for an acknowledgement. kafka-python waits for room in its buffer for the same time by default.
ANSWER_MAX_S = 60.0
_CLOSE_MAX_S = 5.0
_POLL_S = 0.01


class Sender:
    """Sends numbered records by kafka-python, and says which were acknowledged, refused or not answered."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """``options``: further options of the producer."""
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
        self.refused: dict[int, Exception] = {}  # records that Kafka refuses, however often they are sent
        self.unanswered: set[int] = set()
        self._silence: KafkaError | None = None
        self._is_given_up = False

    def send(self, number: int, topic: str, **record: Any) -> Any:
        """Send a record; give its future. Raises `KafkaError` when Kafka has been silent for too long."""
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
        """Note a record that Kafka refused; one that it did not answer in time stays among the `unanswered`."""
        if isinstance(error, KafkaError) and error.retriable:
            self._silence = error
        elif not self._is_given_up:
            self.refused[number] = error
            self.unanswered.discard(number)

    def close(self) -> None:
        """Wait until every record is answered, and end. Raises `KafkaError` if one is not answered in time."""
        until = time.monotonic() + ANSWER_MAX_S
        while self.unanswered and self._silence is None and time.monotonic() < until:
            time.sleep(_POLL_S)
        if self.unanswered:
            self._silence = self._silence or KafkaTimeoutError(f"not acknowledged in {ANSWER_MAX_S:.0f} s")
            self._is_given_up = True
            self._producer._sender.force_close()  # `close` by itself waits for Kafka first
        with suppress(KafkaError):  # the records that were given up are `unanswered` already
            self._producer.close(_CLOSE_MAX_S)
        if self._silence is not None:
            raise self._silence
