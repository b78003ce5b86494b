"""Reads who customers are now: their segments, since when and why, as of the clock of their partition.

The one rule: an answer is what the worker has decided or will publish up to that clock. A due time which it has passed
is decided here, on a copy; nothing is written.

See also: `streams.gateway.reads` (the requests), and `streams.offline.explain`, which explains a stored customer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.engine import Engine
from rules.identity.dispatch import HOPS_MAX
from rules.sentences.reason_sentence import embedded
from rules.times import format_instant
from streams.gateway.batched_looks import FIELDS, BatchedLooks
from streams.kafka.partitioner import places
from streams.settings import Settings
from streams.state import definition_list
from streams.state.definition_versions import DefinitionVersions
from streams.state.redis import RedisStore
from streams.stop import Stop
from streams.wire import customer_codec

# Ids of one person that lead to one another: in each step the customer is read whose id the former one leads to.
_STEPS_MAX = HOPS_MAX + 1


class StandingSegment(msgspec.Struct, frozen=True):
    """A segment that a customer is in, since when, and on request why."""

    segment: str
    title: str
    since: str
    reason: str | UnsetType = UNSET


class Standing(msgspec.Struct, frozen=True):
    """The segments of a customer as of ``clock``, the time up to which everything is decided.

    ``stored``: whether anything is stored of the id. ``known_as``: the id under which the same person is known now.
    """

    customer_id: str
    stored: bool
    known_as: str | None
    clock: str
    segments: list[StandingSegment]


class _Stored(msgspec.Struct, frozen=True):
    """A stored customer, and the fields of its partition."""

    partition: int
    customer: Customer | None
    meta: Mapping[str, str]


class CustomerReader:
    """Reads the standings of customers from the worker's Redis."""

    def __init__(self, settings: Settings, store: RedisStore, engine: Engine, partitions: int) -> None:
        """``partitions``: of the input topics."""
        self._settings = settings
        self._store = store
        self._engine = engine
        self._partitions = partitions
        self._looks = [BatchedLooks(store, number) for number in range(partitions)]

    async def read(self, ids: Sequence[str], language: str | None = None) -> list[Standing]:
        """Read the standings of these customers, in their order. ``language``: that of the reasons; `None`: without.

        Raises `StoreFailed`, and `Stop` where other definitions segment the customers.
        """
        names = dict.fromkeys(ids)
        leads_to = {name: name for name in names}
        stored: dict[str, _Stored] = {}
        unread = list(names)
        for _ in range(_STEPS_MAX):
            stored |= await self._stored(unread)
            for name, current in leads_to.items():
                customer = stored[current].customer
                if customer is not None and customer.merged_into is not None:
                    leads_to[name] = customer.merged_into[0]
            unread = [current for current in dict.fromkeys(leads_to.values()) if current not in stored]
            if not unread:
                break
        return [await self._standing(name, leads_to[name], stored.get(leads_to[name]), language) for name in ids]

    async def _stored(self, ids: Sequence[str]) -> dict[str, _Stored]:
        """The stored customers of these ids.

        One that is not stored has the fields of the first partition that it may be in.
        """
        looked_at = [(name, place) for name in ids for place in places(self._settings, name, self._partitions)]
        looks = [self._looks[place].look(name) for name, place in looked_at]
        answers = [await looks[0]] if len(looks) == 1 else await asyncio.gather(*looks)
        stored: dict[str, _Stored] = {}
        for (name, place), (value, meta) in zip(looked_at, answers, strict=True):
            if value is not None or name not in stored:
                stored[name] = _Stored(place, None if value is None else customer_codec.decode(value), meta)
        return stored

    async def _standing(self, name: str, current: str, stored: _Stored | None, language: str | None) -> Standing:
        known_as = current if current != name else None
        clock = 0 if stored is None else int(stored.meta.get("clock", 0))
        customer = None if stored is None else stored.customer
        segments: list[StandingSegment] = []
        is_known = customer is not None and not customer.is_erased
        if stored is not None and customer is not None and not customer.is_gone and not customer.is_blank:
            engine = await self._engine_of(stored, customer)
            engine.decide_due(current, customer, clock)
            segments = self._segments(engine, current, customer, language)
        return Standing(name, is_known, known_as, format_instant(clock), segments)

    async def _engine_of(self, stored: _Stored, customer: Customer) -> Engine:
        """The engine that decided a customer: that of today's definitions, or during a backfill of former ones."""
        if stored.meta.get("definitions") != self._engine.definitions.fingerprint:
            raise Stop("Redis was written under other definitions; give gateway and worker the same file")
        if definition_list.is_current(customer, stored.meta):
            return self._engine
        snapshot = await self._store.snapshot(stored.partition, [], FIELDS, documents=True)
        return DefinitionVersions.read(snapshot.meta, snapshot.documents, self._engine).engine_of(customer)

    @staticmethod
    def _segments(engine: Engine, name: str, customer: Customer, language: str | None) -> list[StandingSegment]:
        view = CustomerView(name, customer.profile, customer.since)
        segments = engine.definitions.segments
        return sorted(
            (
                StandingSegment(
                    segments[index].key,
                    segments[index].title,
                    format_instant(since),
                    embedded(segments[index].when.reason(view, customer.instant), language) if language else UNSET,
                )
                for index, since in customer.since.items()
            ),
            key=lambda segment: segment.segment,
        )
