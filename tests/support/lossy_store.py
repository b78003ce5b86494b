"""A store that loses its last writes, topics and a publisher beside it, all of which may die at any call.

The store is the memory store, which keeps the contract; it loses only its last writes.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from streams.kafka.fetch import OutputChunk, TopicAndPartition
from streams.state.contract import Claim, EncodedVersions, Save
from streams.state.memory import MemoryStore
from streams.wire import changes
from streams.wire.memberships import Membership
from streams.wire.records import OutRecord
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS


class Died(Exception):
    """The end of a life."""


class Outputs:
    """The output topics: what was appended, and what publishers sent that died.

    ``late``: that, while it is on its way. It arrives before the next owner's fence, or never.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.records: dict[str, list[OutRecord]] = {CHANGES: [], MEMBERSHIPS: [], DEAD_LETTERS: []}
        self.late: list[OutRecord] = []
        self.inputs: Callable[[str], Sequence[Any]] = lambda _: ()
        self.requested_positions: list[dict[tuple[str, int], int | None]] = []

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[OutputChunk, None]:
        """Read the outputs from these positions on, in chunks of any size."""
        self.requested_positions.append(dict(positions))
        for (topic, partition), position in positions.items():
            if topic not in self.records:
                yield OutputChunk(topic, partition, self.inputs(topic)[position or 0 :], len(self.inputs(topic)))
                continue
            start = position or 0
            while start < len(self.records[topic]):
                end = min(len(self.records[topic]), start + self.rng.choice((1, 2, 5, 100)))
                yield OutputChunk(topic, partition, self.records[topic][start:end], end)
                start = end

    async def peek(
        self, places: Collection[TopicAndPartition], _wanted: Callable[[TopicAndPartition], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        """Read all that is there of the inputs."""
        for topic, partition in places:
            yield OutputChunk(topic, partition, self.inputs(topic), len(self.inputs(topic)))

    def fence(self) -> None:
        """Take nothing more from former publishers."""
        arrived = self.rng.randrange(len(self.late) + 1)
        self.append(self.late[:arrived])
        self.late = []

    def append(self, records: Sequence[OutRecord]) -> None:
        for record in records:
            self.records[record.topic].append(record)

    def changes(self) -> list[changes.SegmentChange]:
        return [changes.decode(record.value or b"") for record in self.records[CHANGES]]

    def table(self) -> dict[str, Membership]:
        """The newest row of each customer, which is all that compaction need leave."""
        rows = {(record.key or b"").decode(): record.value for record in self.records[MEMBERSHIPS]}
        return {name: msgspec.json.decode(value, type=Membership) for name, value in rows.items() if value is not None}

    def letters(self) -> list[tuple[str, int]]:
        all_headers = [dict(record.headers) for record in self.records[DEAD_LETTERS]]
        return [(headers["topic"].decode(), int(headers["offset"])) for headers in all_headers]


class Publisher:
    """A publisher that appends; it may die before, in the middle or after."""

    renew_s = None

    def __init__(self, outputs: Outputs, deaths: Deaths) -> None:
        self._outputs = outputs
        self._deaths = deaths
        self.may = asyncio.Event()

    async def claim(self, partitions: Sequence[int]) -> None:
        """Claim the partitions: what a former owner sent comes now, or never."""
        self._outputs.fence()

    async def renew(self, partition: int) -> None:
        """Do nothing: there is no other publisher."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        await self.may.wait()
        outputs = self._outputs
        if self._deaths.comes():
            sent = outputs.rng.randrange(len(records) + 1)
            outputs.append(records[:sent])
            outputs.late = list(records[sent:])
            raise Died
        outputs.append(records)
        if self._deaths.comes():
            raise Died
        return {topic: len(outputs.records[topic]) for topic in {record.topic for record in records}}

    async def release(self) -> None:
        """Do nothing: there is nothing to let go of."""


class Deaths:
    """After so many calls of store and publisher this life ends; never: None."""

    def __init__(self, after: int | None = None) -> None:
        self.left = after

    def comes(self) -> bool:
        if self.left is not None:
            self.left -= 1
        return self.left is not None and self.left < 0


class Store(MemoryStore):
    """A store that remembers each state, so that it can go back there; it may die before or after a write.

    ``loses``: before which write, and how many it loses then while the worker goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.deaths = Deaths()
        self.loses: tuple[int, int] | None = None
        self.was: list[Any] = [_copied(self._partitions)]

    def _dies(self) -> None:
        if self.loses and self.loses[0] == len(self.was):
            self.lose(self.loses[1])
            self.loses = None
        if self.deaths.comes():
            raise Died

    def _written(self) -> None:
        self.was.append(_copied(self._partitions))
        self._dies()

    async def claim(self, claim: Claim) -> Any:
        state = await super().claim(claim)
        self._written()
        return state

    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None = None, number: int = 0
    ) -> bool:
        self._dies()
        begun = await super().begin(claim, positions, files, number)
        self._written()
        return begun

    async def save(self, partition: int, save: Save) -> Any:
        self._dies()
        answer = await super().save(partition, save)
        self._written()
        return answer

    async def trim(
        self, partition: int, fencing_token: str, first: int, outputs: Mapping[str, int], number: int
    ) -> bool:
        self._dies()
        answer = await super().trim(partition, fencing_token, first, outputs, number)
        self._written()
        return answer

    def lose(self, writes: int) -> None:
        """Lose the last writes, as if they had never been there."""
        self.was = self.was[: max(1, len(self.was) - writes)]
        self._partitions = _copied(self.was[-1])


def _copied(partitions: Mapping[int, Any]) -> dict[int, Any]:
    """Copies of partitions whose values are never changed in place, so that the values need not be copied too."""
    copies = {number: copy.copy(partition) for number, partition in partitions.items()}
    for partition in copies.values():
        for name, value in vars(partition).items():
            if isinstance(value, dict | list):
                setattr(partition, name, value.copy())
    return copies
