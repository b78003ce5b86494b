"""``segmenter publish``: JSON lines to the topics on which they belong, the key set.

The one rule: a line that the worker would not accept is not sent. It is named by its number and
the rest goes on.
"""

from __future__ import annotations

import sys
import time

from kafka import KafkaProducer
from kafka.errors import KafkaError

from rules.events import input_of
from streams import rights
from streams.commands.files import opened, with_progress
from streams.definitions_file import load
from streams.settings import Settings
from streams.stop import Stop
from streams.topics import answering, client, verify
from streams.wire.decode import Rejected, decode_line


class Publisher:
    """Validated lines to Kafka through kafka-python."""

    def __init__(self, settings: Settings) -> None:
        verify(settings, rights.NEEDS["publish"].topics)
        self._placeholders = load(settings.definitions).placeholders
        self._prefix = settings.topic_prefix
        self.sent = 0
        self.failed: list[tuple[int, str]] = []
        self._producer = client(
            settings,
            KafkaProducer,
            acks="all",
            enable_idempotence=settings.broker == "kafka",
            linger_ms=5,
        )

    def send(self, line: bytes, number: int = 0) -> None:
        """Send one line; if it fails, ``number`` is told. Raises `Rejected` when the worker would not accept it."""
        event = decode_line(line, int(time.time() * 1000), placeholders=self._placeholders)
        topic = self._prefix + input_of(event.name)
        future = self._producer.send(topic, key=event.customer.encode(), value=line)
        future.add_errback(lambda error: self.failed.append((number, f"not acknowledged: {error}")))
        self.sent += 1

    def close(self) -> None:
        """Wait until everything is acknowledged."""
        self._producer.flush()
        self._producer.close()


def run(settings: Settings, file: str) -> int:
    """Exit code 1 when a line was refused or not acknowledged. Raises `Stop` when Kafka takes no more."""
    bad = number = 0
    ended: KafkaError | None = None
    with opened(file) as lines, answering(settings):
        publisher = Publisher(settings)
        try:
            for number, line in enumerate(with_progress(lines, "sent"), 1):  # of the last line
                bad += _is_refused(publisher, number, line.strip())
        except KafkaError as error:
            ended = error
        finally:
            publisher.close()
            print(f"{publisher.sent - len(publisher.failed)} events published, {bad} lines refused", file=sys.stderr)
            for failed, why in publisher.failed:
                print(f"line {failed}: {why}", file=sys.stderr)
    if ended is not None:
        first = min([number, *(failed for failed, _ in publisher.failed)])
        raise Stop(f"line {number} could not be sent ({ended}); when Kafka answers, publish from line {first} on")
    return 1 if bad or publisher.failed else 0


def _is_refused(publisher: Publisher, number: int, line: bytes) -> bool:
    """Whether the worker would not accept the line, which is said; else it is sent."""
    try:
        if line:
            publisher.send(line, number)
    except Rejected as reason:
        print(f"line {number}: {reason.args[0]}", file=sys.stderr)
        return True
    return False
