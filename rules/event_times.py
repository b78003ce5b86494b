"""Tests of when an event was: on which days, on which days of the week, and at which hours, in a time zone.

    {on: ['2026-11-27', '2026-12-01']}               from the first day to the last, both included
    {hours: {from: '18:00', to: '23:00'}}            from 18:00 on and before 23:00; over midnight where from is later
    {weekday: [sat, sun], timezone: Asia/Tehran}     the local weekday

See also: `rules.forms.event_time_parsing` (the form), and `rules.facts.selection` (which asks them of events).
"""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from rules.times import local_midnight, local_time

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


class EventTimes(msgspec.Struct, frozen=True):
    """An event's local time lies on one of some days, weekdays and hours, whichever are asked for.

    ``first`` and ``last``: days, both included; ``None``: open. ``weekdays``: from 0 for Monday. ``hours``: minutes of
    the day, from the first on and before the second.
    """

    timezone: str = "UTC"
    first: date | None = None
    last: date | None = None
    weekdays: tuple[int, ...] | None = None
    hours: tuple[int, int] | None = None

    def meets(self, time: int) -> bool:
        """Whether an event at this instant (ms) is one of them."""
        if self.first is not None and time < local_midnight(self.timezone, self.first):
            return False
        if self.last is not None and time >= local_midnight(self.timezone, self.last + _DAY):
            return False
        if self.weekdays is None and self.hours is None:
            return True
        local = local_time(self.timezone, time)
        if self.weekdays is not None and local.weekday() not in self.weekdays:
            return False
        if self.hours is None:
            return True
        begins, ends = self.hours
        minute = 60 * local.hour + local.minute
        return begins <= minute < ends if begins < ends else minute >= begins or minute < ends

    @property
    def test(self) -> dict[str, object]:
        """The tests as they stand in a definition."""
        test: dict[str, object] = {}
        if self.first is not None and self.last is not None:
            test["on"] = [str(self.first), str(self.last)]
        elif self.first is not None:
            test["on"] = {"from": str(self.first)}
        elif self.last is not None:
            test["on"] = {"until": str(self.last)}
        if self.weekdays is not None:
            test["weekday"] = [WEEKDAYS[weekday] for weekday in self.weekdays]
        if self.hours is not None:
            begins, ends = self.hours
            test["hours"] = {"from": clock(begins), "to": clock(ends)}
        return test if self.timezone == "UTC" else {**test, "timezone": self.timezone}


def clock(minute: int) -> str:
    """A minute of the day as ``18:00``; the end of the day is ``24:00``."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
