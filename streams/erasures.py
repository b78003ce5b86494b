"""Erasures: who asked to be erased, found before anything else of a partition is read.

The one rule: where nothing was read yet, as when everything is read again, the requests are looked for first. So
what was erased is not decided, and told, once more on the way to them.

Only ``profiles`` is looked through for requests, as they are accepted there alone, and ``merges`` for those that were
sent on to a person's former ids; what is neither there is not decoded. It is done partition by partition, and up to
where is told on with the outputs' positions: a claim that runs out of time goes on with the next when it is made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from rules.events import ERASE, INPUTS, Event, Origin
from rules.people import Erased, Link, erases
from streams.recovery import Outputs
from streams.wire import merges
from streams.wire.decode import read
from streams.wire.merges import MERGES

_PROFILES = INPUTS[0]

TOPICS = (_PROFILES, MERGES)


class Found(msgspec.Struct, frozen=True):
    """Who asked, and when last (event time, ms); by topic, up to where was looked."""

    erased: dict[str, int]
    positions: dict[str, int]


async def find(outputs: Outputs, partition: int, positions: Mapping[str, int]) -> Found:
    """In a partition, from these positions on, or from the first record. Raises what the reading raises."""
    found, linked = Found({}, {}), dict[str, tuple[int, str]]()
    for topic in TOPICS:  # requests first: who asked is linked to nobody by an older link
        async with aclosing(outputs.read({(topic, partition): positions.get(topic)})) as chunks:
            async for chunk in chunks:
                records, erased = chunk.records, found.erased
                asked = _requests(records, partition) if topic == _PROFILES else _sent_on(records, linked, erased)
                for event in asked:
                    erased[event.customer] = max(erased.get(event.customer, 0), event.time)
                found.positions[topic] = chunk.position
    return found


def _requests(records: Iterable[Any], partition: int) -> Iterable[Event]:
    for record in records:
        value = record.value or b""
        if b"erase" in value or b"\\u" in value:  # which may spell it
            event = read(value, record.key, record.timestamp, Origin(_PROFILES, partition, record.offset))
            if not isinstance(event, str) and event.name == ERASE:
                yield event


def _sent_on(records: Iterable[Any], linked: dict[str, tuple[int, str]], erased: Mapping[str, int]) -> Iterable[Event]:
    """Those of ids that were linked to who asked; ``linked``: by former id, when (ms) and to whom last."""
    for record in records:
        value = record.value or b""
        if b'"link"' in value or b'"erased"' in value:
            event = merges.read(value, record.key)
            if isinstance(event, Link):
                linked[event.customer] = max(linked.get(event.customer, (0, "")), (event.time, event.into))
            elif isinstance(event, Erased):
                # Of an older link than there is nothing is known: it was to the same.
                since, into = linked.get(event.customer, (0, event.into))
                gone = erased.get(event.customer, 0)
                if erases(event, gone, None if gone >= since > 0 else (into, since)):
                    yield event
