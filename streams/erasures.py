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

from rules.events import INPUTS, Event, Origin
from rules.identity_events import Erased, ErasureNotice, Link
from rules.people import erases
from rules.placeholders import BUILT_IN, Placeholders
from streams.recovery import Outputs
from streams.wire import merges
from streams.wire.decode import read
from streams.wire.merges import MERGES

_PROFILES = INPUTS[0]

TOPICS = (_PROFILES, MERGES)
# The kind is the first field of a record.
_KIND_WITHIN_BYTES = 16


class Found(msgspec.Struct, frozen=True):
    """Ids that are erased, and when last (event time, ms); by topic, up to where was looked.

    ``along``: of these, ids for which nobody asked but that were linked by an `anonymousId` to a person who did.
    """

    erased: dict[str, int]
    positions: dict[str, int]
    along: set[str]


async def find(
    outputs: Outputs, partition: int, positions: Mapping[str, int], placeholders: Placeholders = BUILT_IN
) -> Found:
    """In a partition, from these positions on, or from the first record. Raises what the reading raises."""
    found, linked = Found({}, {}, set()), dict[str, tuple[int, str]]()
    for topic in TOPICS:  # requests first: who asked is linked to nobody by an older link
        async with aclosing(outputs.read({(topic, partition): positions.get(topic)})) as chunks:
            async for chunk in chunks:
                records, erased = chunk.records, found.erased
                if topic == _PROFILES:
                    requests = _requests(records, partition, placeholders)
                else:
                    requests = _carried_out(records, linked, erased)
                for event in requests:
                    if isinstance(event, ErasureNotice) and not event.vouched and event.customer not in erased:
                        found.along.add(event.customer)
                    erased[event.customer] = max(erased.get(event.customer, 0), event.time)
                found.positions[topic] = chunk.position
    return found


def _requests(records: Iterable[Any], partition: int, placeholders: Placeholders) -> Iterable[Event]:
    for record in records:
        value = record.value or b""
        if b"erase" in value or b"\\u" in value:  # which may spell it
            origin = Origin(_PROFILES, partition, record.offset)
            event = read(value, record.key, record.timestamp, origin, placeholders)
            if not isinstance(event, str) and event.is_erasure:
                yield event


def _carried_out(
    records: Iterable[Any], linked: dict[str, tuple[int, str]], erased: Mapping[str, int]
) -> Iterable[Event]:
    """Erasures of ids along with the persons to which they were linked.

    Only the owner of an id knows whether it is erased along: a link to it may have been refused. So it is its notice
    that counts, and not what it was sent.
    """
    for record in records:
        value = record.value or b""
        if merges.is_of_former_version(value):
            yield from _sent_on(value, record.key, linked, erased)
        elif b"notice" in value[:_KIND_WITHIN_BYTES]:
            event = merges.read(value, record.key)
            if isinstance(event, ErasureNotice):
                yield event


def _sent_on(
    value: bytes, key: bytes | None, linked: dict[str, tuple[int, str]], erased: Mapping[str, int]
) -> Iterable[Event]:
    """Of a record of a version that noted nothing; ``linked``: by former id, when (ms) and to which id last."""
    if b'"link"' in value or b'"erased"' in value:
        event = merges.read(value, key)
        if isinstance(event, Link):
            linked[event.customer] = max(linked.get(event.customer, (0, "")), (event.time, event.into))
        elif isinstance(event, Erased):
            # Of an older link than there is nothing is known: it was to the same.
            since, into = linked.get(event.customer, (0, event.into))
            gone = erased.get(event.customer, 0)
            if erases(event, gone, None if gone >= since > 0 else (into, since)):
                yield event
