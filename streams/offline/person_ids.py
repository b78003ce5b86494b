"""The present ids of persons, by ids that were merged into others: what Redis knows of them now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from streams.kafka.partitioner import places
from streams.settings import Settings
from streams.state.redis import RedisStore
from streams.wire import customer_codec

# A chain of merges that is longer than this is not followed to its end.
_STEPS_MAX = 16
_IDS_AT_ONCE = 1_000


class PersonIds:
    """Looks ids up, each once. ``count``: of the partitions."""

    def __init__(self, settings: Settings, store: RedisStore, count: int) -> None:
        self._settings = settings
        self._store = store
        self._count = count
        self._next: dict[str, str] = {}  # an id, and the one that it was merged into, or itself

    def of(self, customer_id: str) -> str:
        """The present id of a person of which `look_up` has looked this one up."""
        for _ in range(_STEPS_MAX):
            after = self._next.get(customer_id, customer_id)
            if after == customer_id:
                break
            customer_id = after
        return customer_id

    async def look_up(self, ids: Iterable[str]) -> None:
        """Look up these ids and those that they were merged into. Raises `StoreFailed`."""
        wanted = set(ids) - self._next.keys()
        for _ in range(_STEPS_MAX):
            if not wanted:
                return
            by_partition: dict[int, list[str]] = defaultdict(list)
            for customer_id in sorted(wanted):
                self._next[customer_id] = customer_id
                for partition in places(self._settings, customer_id, self._count):
                    by_partition[partition].append(customer_id)
            for partition, names in by_partition.items():
                for first in range(0, len(names), _IDS_AT_ONCE):
                    await self._read(partition, names[first : first + _IDS_AT_ONCE])
            wanted = {self._next[customer_id] for customer_id in wanted} - self._next.keys()

    async def _read(self, partition: int, names: list[str]) -> None:
        snapshot = await self._store.snapshot(partition, names)
        for name, value in snapshot.values.items():
            merged_into = None if value is None else customer_codec.decode(value).merged_into
            if merged_into is not None:
                self._next[name] = merged_into[0]
