"""The selection of a fact's events, and the property that it reads of them."""

from __future__ import annotations

import msgspec

from rules.currencies import MONEY
from rules.event_names import ORDER_REFUNDED
from rules.events import Event
from rules.profile.short_ids import hashed_id
from rules.value_tests import ANYWHERE, CONTEXT, PropertyTests, number_reader
from rules.values import Document, Json, Path, event_currency, keys, members_of, money, read_property

LISTED_MAX = 256  # the most values of one list that count


class EventFilter(msgspec.Struct, frozen=True):
    """A filter of events: those that meet ``where``.

    ``money``: the file's currency, if ``where`` asks for money. ``currency``: that of money that the fact adds up.
    ``of_context``: whether ``where`` asks for the context of an event, too.
    """

    where: PropertyTests = ANYWHERE
    currency: str | None = None
    money: str | None = None
    of_context: bool = False

    @classmethod
    def of(cls, where: PropertyTests, of_file: str | None, added_up: str | None = None) -> EventFilter:
        """A filter in a file of a currency; ``added_up``: that of the money that the fact adds up."""
        return cls(where, added_up, of_file if where.asks_for_money else None, where.asks_for_context)

    def meets(self, event: Event) -> bool:
        """Whether an event passes the filter."""
        if self.where.times is not None and not self.where.times.meets(event.time):
            return False
        if not self.where:
            return True
        return self.where.meets(self._fields(event), self.money, is_refund=event.name == ORDER_REFUNDED)

    def meets_times(self, time: int) -> bool:
        """Whether an event at this instant (ms) meets the tests of when it was."""
        return self.where.times is None or self.where.times.meets(time)

    def meets_but_total(self, event: Event) -> bool:
        """Whether an event meets every test but those of its total and of its time."""
        return not self.where or self.where.meets_but_total(self._fields(event), self.money)

    def meets_total(self, event: Event) -> bool:
        """Whether an event meets the tests of its total."""
        return not self.where or self.where.meets_total(self._fields(event), self.money)

    def _fields(self, event: Event) -> dict[str, Json]:
        """The properties of an event; with its context as one of them, if that is asked for."""
        fields = event.properties.fields
        return {**fields, CONTEXT: Document(event.context.raw).fields} if self.of_context else fields


class PropertyReader(msgspec.Struct, frozen=True):
    """A reader of a property: as a number, or as the values by which events differ. Money is read in ``currency``.

    ``as_stated``: values differ as they are written, whether or not they are money of the file. Bound: of a list the
    first ``most`` different values.
    """

    path: Path
    distinct: bool
    most: int = LISTED_MAX
    currency: str | None = None
    as_stated: bool = False

    def of(self, fields: dict[str, Json], *, is_refund: bool = False) -> tuple[int, ...]:
        """Read the property: a number in 10⁻⁶, or hashes of values; empty if the event has none."""
        value = read_property(fields, self.path)
        if self.distinct:
            if self.path[-1] in MONEY and not self.as_stated:
                value = self._readable_money(value, fields)
            return tuple(hashed_id(key) for key in keys(value, self.most))
        micro = number_reader(self.path, fields, self.currency, is_refund=is_refund)(value)
        return () if micro is None else (micro,)

    def _readable_money(self, value: Json, fields: dict[str, Json]) -> list[Json]:
        """The values, of a list or a single one, that are money of the file."""
        currency = event_currency(fields)
        members = members_of(value) if isinstance(value, list) else (value,)
        return [member for member in members if money(member, currency, self.currency) is not None]


def read(picked: EventFilter, reading: PropertyReader, event: Event) -> tuple[int, ...]:
    """Read the property of an event that passes the filter; empty for any other event."""
    return reading.of(event.properties.fields, is_refund=event.name == ORDER_REFUNDED) if picked.meets(event) else ()
