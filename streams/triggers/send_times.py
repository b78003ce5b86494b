"""When in a customer's day a message may be sent: quiet hours, hours and days to send in, and one time of the day.

    quiet: {from: "21:00", to: "08:00"}                              never then
    send: {weekdays: [mon, tue, wed, thu, fri], from: "09:00", to: "18:00"}     only then
    send: {at: "09:00"}                                              at the next 9 o'clock

The one rule: hours are half-open, and they are what a clock on the customer's wall shows. A time that a change of
clocks skips is read by the offset before it, and of one that comes twice the first counts.

Pure: the current time is an argument. All instants are in ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rules.times import HOUR_MS, MINUTE_MS
from streams.triggers.file_values import ClockTime
from streams.triggers.request_parts import Model

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# Any weekday comes again within this, also where a zone skips a day, as Samoa did on 30 December 2011.
_DAYS_AHEAD = 15
# With `at`, a message that is late by less than this is still sent; a later one waits for the next day.
AT_LATE_MS = HOUR_MS


class Quiet(Model):
    """Hours in the customer's time zone in which nothing is sent; over midnight where ``from`` is later than ``to``."""

    from_: ClockTime = Field(alias="from")
    to: ClockTime
    then: Literal["defer", "drop"] = "defer"

    @model_validator(mode="after")
    def _is_part_of_a_day(self) -> Quiet:
        if self.from_ == self.to:
            raise ValueError("from and to are the same; quiet hours are a part of the day")
        return self

    @property
    def minutes(self) -> frozenset[int]:
        """The minutes of the day that are quiet."""
        return _minutes(self.from_, self.to)


class SendTimes(Model):
    """When messages are sent, in the customer's time zone: only on these days, in these hours, or at this time.

    Hours over midnight belong to the day on which they begin. ``then``: what becomes of a message that is due
    outside of them.
    """

    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)] = WEEKDAYS
    from_: ClockTime | None = Field(None, alias="from")
    to: ClockTime | None = None
    at: ClockTime | None = None
    then: Literal["defer", "drop"] = "defer"

    @model_validator(mode="after")
    def _is_either(self) -> SendTimes:
        if (self.from_ is None) != (self.to is None):
            raise ValueError("from and to go together; give both, or none")
        if self.from_ is not None and self.from_ == self.to:
            raise ValueError("from and to are the same; leave both out to send all day")
        if self.at is not None and self.from_ is not None:
            raise ValueError("at is one time of the day, and from and to are hours; give one of the two")
        if self.at is not None and self.then == "drop":
            raise ValueError("with at, a message always waits for that time; leave then out")
        if self.at is None and self.from_ is None and len(set(self.weekdays)) == len(WEEKDAYS):
            raise ValueError("expected weekdays, from and to, or at")
        return self

    @property
    def minutes(self) -> frozenset[int]:
        """The minutes of the day in which a message may be sent."""
        if self.at is not None:
            return frozenset({_minute(self.at)})
        return frozenset(range(DAY_MINUTES)) if self.from_ is None or self.to is None else _minutes(self.from_, self.to)

    def is_on(self, day: date) -> bool:
        """Whether a day is one to send on."""
        return WEEKDAYS[day.weekday()] in self.weekdays


def quiet_until(quiet: Quiet, zone: tzinfo, now: int) -> int | None:
    """When the quiet hours that ``now`` lies in end, in that zone; ``None``: it lies in none."""
    local = _local(zone, now)
    at, first, last = local.time(), quiet.from_, quiet.to
    if not _is_within(at, first, last):
        return None
    day = local.date() + timedelta(days=1 if first > last and at >= first else 0)
    end = datetime.combine(day, last, zone)
    ends = _instant(end)
    if ends <= now:  # clocks go back over ``to``, so that local time comes twice
        ends = _instant(end.replace(fold=1))
    return ends if ends > now else now + MINUTE_MS


def wait_until(send: SendTimes, zone: tzinfo, send_at: int, now: int) -> int | None:
    """When a message that was to be sent at ``send_at`` may be sent, in that zone; ``None``: it may be sent now."""
    if send.at is not None:
        planned = next(instant for instant in _starts(send, send.at, zone, send_at) if instant >= send_at)
        if planned <= now - AT_LATE_MS:  # too late to be at that time of the day
            return next(instant for instant in _starts(send, send.at, zone, now) if instant > now)
        return planned if planned > now else None
    if _is_open(send, zone, now):
        return None
    starts = _starts(send, send.from_ or time(), zone, now)
    return next(instant for instant in starts if instant > now and _is_open(send, zone, instant))


def _starts(send: SendTimes, at: time, zone: tzinfo, around: int) -> Iterator[int]:
    """The instants at which a clock shows this time on days to send on, ascending, from the day before on."""
    today = _local(zone, around).date()
    days = (today + timedelta(days=ahead) for ahead in range(-1, _DAYS_AHEAD))
    for day in filter(send.is_on, days):
        first = datetime.combine(day, at, zone)
        yield _instant(first)
        if (second := _instant(first.replace(fold=1))) > _instant(first) and send.at is None:
            yield second


def _is_open(send: SendTimes, zone: tzinfo, now: int) -> bool:
    local = _local(zone, now)
    day, at = local.date(), local.time()
    if send.from_ is None or send.to is None:
        return send.is_on(day)
    began_yesterday = send.from_ > send.to and at < send.to
    return _is_within(at, send.from_, send.to) and send.is_on(day - timedelta(days=began_yesterday))


def _is_within(at: time, first: time, last: time) -> bool:
    return first <= at < last if first < last else at >= first or at < last


def _local(zone: tzinfo, instant: int) -> datetime:
    return (_EPOCH + instant * _MS).astimezone(zone)


def _instant(local: datetime) -> int:
    return (local - _EPOCH) // _MS


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _minutes(first: time, last: time) -> frozenset[int]:
    begin, end = _minute(first), _minute(last)
    return frozenset(range(begin, end) if begin < end else (*range(begin, DAY_MINUTES), *range(end)))
