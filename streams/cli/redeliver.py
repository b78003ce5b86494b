"""``segmenter redeliver``: hands dead-lettered messages to the triggers again, each with new attempts.

Nothing is decided here. A message goes to the triggers once more, under its former key. They send it only to a customer
that is still in the segment, and only if it was not sent since.

See also: `streams.triggers.inputs`, which reads it there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import msgspec
from kafka.errors import KafkaError

from streams.cli.delivery import Sender
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.stop import Stop
from streams.triggers.inputs import replayed
from streams.wire.topics import TRIGGER_DEAD_LETTERS, TRIGGER_REPLAYS


def run(settings: Settings, trigger: str | None, since_ms: int) -> int:
    """Hand over all dead letters of a trigger (`None`: of all) that were published at or after ``since_ms``.

    The exit code is 1 if Kafka refused one of them. Raises `Stop`, also if Kafka is silent; the number of acknowledged
    messages is reported all the same.
    """
    count = admin.verify(settings, NEEDS["redeliver"].topics).partitions[TRIGGER_DEAD_LETTERS]
    topic = settings.topic_prefix + TRIGGER_REPLAYS
    with answering(settings):
        sender = Sender(settings)
        try:
            with closing(Logs(settings)) as logs, closing(sender):
                for number, letter in enumerate(_letters(logs, count, trigger, since_ms)):
                    value = replayed(_trigger_of(letter), letter.value)
                    sender.send(number, topic, key=letter.key, value=value, partition=letter.partition)
        except KafkaError as error:
            if not error.retriable:
                raise
            raise Stop(
                f"not all messages could be redelivered ({error}); when Kafka answers, redeliver them again: messages "
                "that were sent by then are not sent again"
            ) from None
        finally:
            _report(sender, topic)
    return 1 if sender.refused else 0


def _report(sender: Sender, topic: str) -> None:
    print(f"{sender.acknowledged} messages handed to triggers", file=sys.stderr)
    for error in sender.refused.values():
        print(f"Kafka refused a record for {topic}: {error}", file=sys.stderr)


def _letters(logs: Logs, count: int, trigger: str | None, since_ms: int) -> Iterator[Any]:
    """Read the dead letters to hand over, partition by partition."""
    for partition in range(count):
        last = newest(logs.open(TRIGGER_DEAD_LETTERS, partition).whole())
        for letter in logs.open(TRIGGER_DEAD_LETTERS, partition).whole():
            is_chosen = trigger in (None, _trigger_of(letter)) and letter.timestamp >= since_ms
            if is_chosen and letter.offset in last:
                yield letter


def newest(letters: Iterable[Any]) -> frozenset[int]:
    """The offsets of the newest letter of each message; a message that failed again has several, and is tried once."""
    newest_by_message = {_message_of(letter): letter.offset for letter in letters if _trigger_of(letter)}
    return frozenset(newest_by_message.values())


class _Change(msgspec.Struct, frozen=True):
    change_id: str


_change = msgspec.json.Decoder(_Change)


def _message_of(letter: Any) -> object:
    """The key that all letters of one message share: customer, trigger and change."""
    try:
        return letter.key, _trigger_of(letter), _change.decode(letter.value).change_id
    except msgspec.DecodeError:
        return letter.offset  # another program wrote it, and triggers skip it


def _trigger_of(record: Any) -> str:
    """The trigger of a dead letter; empty if another program wrote the record."""
    if not record.value:
        return ""
    return next((value.decode() for name, value in record.headers if name == "trigger"), "")
