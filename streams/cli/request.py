"""Requests: events on ``profiles`` by which a command asks the owner of a customer for something, and waits for it.

See also: `streams.cli.erase` and `streams.cli.unlink`, which make them.
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

from rules.events import INPUTS
from rules.times import format_instant
from streams.cli.delivery import Sender
from streams.definitions_file import load
from streams.kafka.partitioner import places
from streams.offline.customer_records import everywhere
from streams.settings import Settings
from streams.wire.decode import Rejected, decode_line

PROFILES = INPUTS[0]
_LOOK_S = 0.2
_PROGRESS_EVERY_S = 2.0


class Request(msgspec.Struct, frozen=True):
    """A request that was sent. ``at`` (ms): its event time; ``offsets``: those on ``profiles``, by partition."""

    customer_id: str
    at: int
    offsets: dict[int, int]

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return ", ".join(f"{PROFILES}-{partition}, offset {offset}" for partition, offset in self.offsets.items())


def event_of(kind: str, customer_id: str, **fields: str) -> tuple[bytes, int]:
    """A request of this type as an event of now, and its time (ms)."""
    now = int(time.time() * 1000)
    event = {"type": kind, "userId": customer_id, **fields}
    event |= {"messageId": str(uuid.uuid4()), "timestamp": format_instant(now)}
    return json.dumps(event, ensure_ascii=False).encode(), now


def refusal_of(settings: Settings, kind: str, customer_id: str, **fields: str) -> str | None:
    """Why no worker under these settings would carry out such a request. Raises `DefinitionsError`."""
    placeholders = load(settings.definitions).placeholders
    try:
        decode_line(event_of(kind, customer_id, **fields)[0], placeholders=placeholders)
    except Rejected as rejected:
        return str(rejected.args[0])
    return None


def send(settings: Settings, count: int, kind: str, customer_id: str, **fields: str) -> Request:
    """Send a request to each partition, of so many, in which the customer may be."""
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
    """Whether the owner of the customer has read it, and nothing of the customer waits to be published."""
    stored = asyncio.run(everywhere(settings, request.customer_id, count))
    topic = settings.topic_prefix + PROFILES
    return all(part.positions.get(topic, 0) > request.offsets[part.partition] and not part.waiting for part in stored)


def wait(is_done: Callable[[], bool], wait_s: float) -> bool:
    """Wait until something is done, for so long at most; whether it was. Says on stderr that it waits."""
    began = shown = time.monotonic()
    while not is_done():
        now = time.monotonic()
        if now - began > wait_s:
            return False
        if now - shown > _PROGRESS_EVERY_S:
            shown = now
            print(f"waiting for a worker to read it, {now - began:.0f} s", file=sys.stderr)
        time.sleep(_LOOK_S)
    return True


def report_not_done(command: str, wait_s: float) -> None:
    """Say on stderr that a request is on its topic, and not carried out."""
    stays = f"the request stays on {PROFILES}, and is carried out when a worker reads it"
    print(f"segmenter {command}: not done within {wait_s:g} s; {stays}", file=sys.stderr)
