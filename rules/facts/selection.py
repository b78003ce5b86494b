"""The selection of a fact's events, and the property that it reads of them."""

from __future__ import annotations

import msgspec

from rules.events import Event
from rules.profile.profile import hashed_id
from rules.value_tests import ANYWHERE, PropertyTests
from rules.values import Json, Path, keys, number, resolve_path

LISTED_MAX = 256  # the most values of one list that count


class EventFilter(msgspec.Struct, frozen=True):
    """A filter of events: those that meet ``where``, in ``currency`` or without one."""

    where: PropertyTests = ANYWHERE
    currency: str | None = None

    def meets(self, event: Event) -> bool:
        """Whether an event passes the filter."""
        if not self.where.tests and self.currency is None:
            return True
        fields = event.properties.fields
        if self.currency is not None and fields.get("currency") not in (None, "", self.currency):
            return False
        return self.where.meets(fields)


class PropertyReader(msgspec.Struct, frozen=True):
    """A reader of a property: as a number, or as the values by which events differ.

    Bound: of a list the first ``most`` different values.
    """

    path: Path
    distinct: bool
    most: int = LISTED_MAX

    def of(self, fields: Json) -> tuple[int, ...]:
        """Read the property: a number in 10⁻⁶, or hashes of values; empty if the event has none."""
        value = resolve_path(fields, self.path)
        if self.distinct:
            return tuple(hashed_id(key) for key in keys(value, self.most))
        micro = number(value)
        return () if micro is None else (micro,)


def read(picked: EventFilter, reading: PropertyReader, event: Event) -> tuple[int, ...]:
    """Read the property of an event that passes the filter; empty for any other event."""
    return reading.of(event.properties.fields) if picked.meets(event) else ()
