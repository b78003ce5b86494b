"""Sends requests, events on ``profiles`` by which a command asks the owner of a customer for something, and waits.

See also: `streams.cli.erase` and `streams.cli.unlink`, which send them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing

import msgspec

from rules.event_names import INPUTS
from rules.times import format_instant
from streams.cli.delivery import Sender
from streams.kafka.partitioner import places
from streams.offline.customer_records import everywhere
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.wire.event_decoder import Rejected, decode_line

PROFILES = INPUTS[0]
_POLL_S = 0.2
_PROGRESS_EVERY_S = 2.0


class Request(msgspec.Struct, frozen=True):
    """A request that was sent; ``at``: its event time (ms); ``offsets``: its offsets on ``profiles``, by partition."""

    customer_id: str
    at: int
    offsets: dict[int, int]

    @property
    def place(self) -> str:
        """The partitions and offsets of the request, in words."""
        return ", ".join(f"{PROFILES}-{partition}, offset {offset}" for partition, offset in self.offsets.items())


def event_of(kind: str, customer_id: str, **fields: str) -> tuple[bytes, int]:
    """Make a request of type ``kind`` as an event of now; give its bytes and its time (ms)."""
    now = int(time.time() * 1000)
    event = {"type": kind, "userId": customer_id, **fields}
    event |= {"messageId": str(uuid.uuid4()), "timestamp": format_instant(now)}
    return json.dumps(event, ensure_ascii=False).encode(), now


def refusal_of(settings: Settings, kind: str, customer_id: str, **fields: str) -> str | None:
    """The reason for which a worker under these settings would reject such a request, if any.

    Raises `DefinitionsError`.
    """
    placeholders = load(settings.definitions).placeholders
    try:
        decode_line(event_of(kind, customer_id, **fields)[0], placeholders=placeholders)
    except Rejected as rejected:
        return rejected.reason
    return None


def send(settings: Settings, count: int, kind: str, customer_id: str, **fields: str) -> Request:
    """Send a request to each partition, of ``count``, in which the customer may be. Raises `KafkaError`."""
    value, at = event_of(kind, customer_id, **fields)
    sender = Sender(settings)
    with closing(sender):
        sent = {
            partition: sender.send(
                partition,
                settings.topic_prefix + PROFILES,
                key=customer_id.encode(),
                value=value,
                partition=partition,
            )
            for partition in places(settings, customer_id, count)
        }
    return Request(customer_id, at, {partition: future.get().offset for partition, future in sent.items()})


def is_read(settings: Settings, request: Request, count: int) -> bool:
    """Whether the owner of the customer has read the request, and published everything of the customer."""
    stored = asyncio.run(everywhere(settings, request.customer_id, count))
    topic = settings.topic_prefix + PROFILES
    is_passed = all(part.positions.get(topic, 0) > request.offsets[part.partition] for part in stored)
    return is_passed and not any(part.waiting for part in stored)


def wait(is_done: Callable[[], bool], wait_s: float) -> bool:
    """Wait until something is done, for ``wait_s`` at most; whether it was. Reports on stderr that it waits."""
    began = shown = time.monotonic()
    while not is_done():
        now = time.monotonic()
        if now - began > wait_s:
            return False
        if now - shown > _PROGRESS_EVERY_S:
            shown = now
            print(f"waiting for a worker to read it, {now - began:.0f} s", file=sys.stderr)
        time.sleep(_POLL_S)
    return True


def report_not_done(command: str, wait_s: float) -> None:
    """Report on stderr that a request is on its topic, but not carried out yet."""
    stays = f"the request stays on {PROFILES}, and is carried out when a worker reads it"
    print(f"segmenter {command}: not done within {wait_s:g} s; {stays}", file=sys.stderr)
