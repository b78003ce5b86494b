"""Erasures: who asked to be erased, found before anything else of a partition is read.

The one rule: where nothing was read yet, as when everything is read again, the requests are looked for first. So
what was erased is not decided, and told, once more on the way to them.

Only ``profiles`` is looked through, as a request is accepted there alone; the rest of its records are not decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any

from rules.events import ERASE, INPUTS, Event, Origin
from streams.recovery import Outputs
from streams.wire.decode import read

_PROFILES = INPUTS[0]


async def find(outputs: Outputs, partitions: Iterable[int]) -> Mapping[int, Mapping[str, int]]:
    """By partition, who asked, and when last (event time, ms). Raises what the reading raises."""
    found: dict[int, dict[str, int]] = {partition: {} for partition in partitions}
    async with aclosing(outputs.read(dict.fromkeys((_PROFILES, partition) for partition in found))) as chunks:
        async for chunk in chunks:
            erased = found[chunk.partition]
            for event in _requests(chunk.records, chunk.partition):
                erased[event.customer] = max(erased.get(event.customer, 0), event.time)
    return found


def _requests(records: Iterable[Any], partition: int) -> Iterable[Event]:
    for record in records:
        value = record.value or b""
        if b"erase" in value or b"\\u" in value:  # which may spell it
            event = read(value, record.key, record.timestamp, Origin(_PROFILES, partition, record.offset))
            if not isinstance(event, str) and event.name == ERASE:
                yield event
