"""Hands the changes of customers, as they are published, to those who follow them.

The one rule: it costs the other processes nothing: no consumer group, no commit. A follower that does not keep up is
told to begin anew, as the membership of now says more than old changes.

See also: `streams.gateway.reads`, which sends the changes to pages and servers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams import defects
from streams.kafka.groupless_consumer import groupless
from streams.kafka.refusals import missing_right
from streams.stop import stop
from streams.wire import changes
from streams.wire.changes import SegmentChange
from streams.wire.topics import CHANGES

log = logging.getLogger(__name__)

FOLLOWERS_MAX = 2_000
# A visitor has a few tabs open; a page that opens streams in a loop takes no place of others.
OF_CUSTOMER_MAX = 20
_WAITING_MAX = 200
_AGAIN_S = 2.0
_POLL_MS = 100
_RECORDS_MAX = 2_000


class Follower:
    """One who follows customers, with the changes that were not taken yet. ``is_behind``: some were dropped."""

    def __init__(self) -> None:
        self._waiting: deque[SegmentChange] = deque()
        self._more = asyncio.Event()
        self.is_behind = False

    def put(self, change: SegmentChange) -> None:
        """Add a change, if there is room."""
        if len(self._waiting) >= _WAITING_MAX:
            self.is_behind = True
        else:
            self._waiting.append(change)
        self._more.set()

    def fall_behind(self) -> None:
        """Drop what waits, as a membership that is read now says more; the follower is woken."""
        self.is_behind = True
        self._more.set()

    async def take(self, within_s: float) -> list[SegmentChange]:
        """Wait for changes. Nothing if none came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._more.wait()
        self._more.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


class ChangeStreams:
    """The topic of changes from now on, by customer."""

    def __init__(self, client: Mapping[str, Any], prefix: str, partitions: int) -> None:
        """``client``: options of the client, such as brokers and login."""
        self._client = client
        self._topic = prefix + CHANGES
        self._partitions = partitions
        self._followers: dict[bytes, set[Follower]] = {}
        self._count = 0

    @contextmanager
    def follow(self, follower: Follower, customer_id: str) -> Iterator[None]:
        """Let a follower have the changes of a customer. Raises `OverflowError` when too many follow it, or any."""
        key = customer_id.encode()
        if self._count >= FOLLOWERS_MAX or len(self._followers.get(key, ())) >= OF_CUSTOMER_MAX:
            raise OverflowError
        self._followers.setdefault(key, set()).add(follower)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            followers = self._followers[key]
            followers.discard(follower)
            if not followers:
                del self._followers[key]

    async def run(self) -> None:
        """Read the topic until cancelled; if Kafka does not answer, try again."""
        while True:
            try:
                await self._read()
            except KafkaError as error:
                if sentence := missing_right(error, "READ"):
                    stop(sentence)
                log.warning("cannot read the topic of changes; retrying", extra={"error": repr(error)})
            except Exception as error:  # noqa: BLE001  # a defect, but streams go on
                defects.report("the reading of changes", error)
            await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        async with groupless(self._client) as consumer:
            partitions = [TopicPartition(self._topic, number) for number in range(self._partitions)]
            consumer.assign(partitions)
            await consumer.seek_to_end(*partitions)
            for tp in partitions:
                await consumer.position(tp)
            # What was published while nothing was read is in the membership of now.
            for followers in self._followers.values():
                for follower in followers:
                    follower.fall_behind()
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_MAX)).values():
                    for record in records:
                        self._hand_out(record)
                await asyncio.sleep(0)  # requests have their turn, also while there are always records

    def _hand_out(self, record: Any) -> None:
        followers = self._followers.get(record.key)
        if not followers:
            return
        with suppress(msgspec.DecodeError):  # another program wrote it
            change = changes.decode(record.value or b"")
            for follower in followers:
                follower.put(change)
