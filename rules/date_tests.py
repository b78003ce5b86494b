"""Tests of a trait that is a date, beside its age: whether it is before a day, lies ahead, or has its anniversary.

    {before: '2025-01-01'}              {ahead: {at_most: 14d}}
    {after: '2025-01-01'}               {anniversary: {within_next: 7d, timezone: Europe/Berlin}}

An anniversary is a local day of each year after that of the date, whose month and day are those of the date in UTC; of
29 February it is 1 March in other years, as birthdays are counted for `rules.due_times.Years`.

See also: `rules.forms.date_test_parsing` (the forms), and `rules.conditions.attributes` (the condition).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from rules.due_times import NEVER, TimedDecision
from rules.times import DAY_MS, LAST_MS, birthday, format_duration, format_instant, local_midnight, utc_time
from rules.value_tests import Shown

# From the year before that of an instant on, so many years decide it and give its next due time.
_YEARS = 5

AnniversaryKind = Literal["today", "within_next", "within_last"]


class DateTest(Protocol):
    """A test of a date."""

    def decide(self, moment: int, now: int) -> TimedDecision:
        """Decide for a date, which is an instant (ms)."""

    @property
    def test(self) -> Shown:
        """The test as it stands in a definition."""


class Before(msgspec.Struct, frozen=True):
    """The date is before an instant (ms)."""

    end: int

    def decide(self, moment: int, now: int) -> TimedDecision:  # noqa: ARG002
        return moment < self.end, NEVER

    @property
    def test(self) -> Shown:
        return shown_date(self.end)


class After(msgspec.Struct, frozen=True):
    """The date is at an instant (ms) or after it."""

    start: int

    def decide(self, moment: int, now: int) -> TimedDecision:  # noqa: ARG002
        return moment >= self.start, NEVER

    @property
    def test(self) -> Shown:
        return shown_date(self.start)


def shown_date(instant: int) -> str:
    """An instant as a definition has it: a midnight in UTC is a day."""
    text = format_instant(instant)
    return text if instant % DAY_MS else text[: text.index("T")]


class LiesAhead(msgspec.Struct, frozen=True):
    """The date lies ahead: from ``at_most`` before it on (ms; ``None``: ever), and before ``at_least`` before it."""

    at_least: int | None = None
    at_most: int | None = None

    def decide(self, moment: int, now: int) -> TimedDecision:
        closes = moment - (self.at_least or 0)
        if now >= closes:
            return False, NEVER
        if self.at_most is not None and now < moment - self.at_most:
            return False, moment - self.at_most
        return True, closes

    @property
    def test(self) -> Shown:
        ends = {"at_least": self.at_least, "at_most": self.at_most}
        return {name: format_duration(ms) for name, ms in ends.items() if ms is not None}


class Anniversary(msgspec.Struct, frozen=True):
    """An anniversary of the date is today, begins within a time (``ms``) or is today, or began within it."""

    kind: AnniversaryKind
    ms: int
    timezone: str

    def decide(self, moment: int, now: int) -> TimedDecision:
        closes = NEVER
        year = utc_time(min(now, LAST_MS)).year
        for opens, end in _spans(self, moment, year):
            if end <= now:
                continue
            if opens > max(now, closes):
                return (True, closes) if closes else (False, opens)
            closes = max(closes, end)  # the spans of two years may meet
        return closes != NEVER, closes

    @property
    def test(self) -> Shown:
        length: dict[str, Shown] = {self.kind: True if self.kind == "today" else format_duration(self.ms)}
        return length if self.timezone == "UTC" else {**length, "timezone": self.timezone}


@lru_cache(maxsize=16_384)
def _spans(test: Anniversary, moment: int, year: int) -> tuple[tuple[int, int], ...]:
    """When (ms) the test is met by the anniversaries around a year, or by the first ones, if these are later."""
    first = max(1, year - 1 - utc_time(moment).year)
    return tuple(_each_span(test, moment, range(first, first + _YEARS)))


def _each_span(test: Anniversary, moment: int, years: range) -> Iterator[tuple[int, int]]:
    for number in years:
        midnight = birthday(moment, number)
        if midnight is None:
            return
        day = utc_time(midnight).date()
        begins = local_midnight(test.timezone, day)
        ends = local_midnight(test.timezone, day + timedelta(days=1)) if midnight + DAY_MS < LAST_MS else LAST_MS
        if test.kind == "within_last":
            yield begins, begins + test.ms
        else:
            yield begins - test.ms, ends
