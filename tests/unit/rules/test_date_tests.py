"""Tests of a date: what lies ahead and anniversaries, with the instants at which they turn by hand."""

from __future__ import annotations

import pytest

from rules.date_tests import Anniversary, DateTest, LiesAhead
from rules.due_times import NEVER
from rules.times import DAY_MS, parse_date

NEAR = LiesAhead(DAY_MS, 14 * DAY_MS)
TODAY = Anniversary("today", 0, "UTC")
IN_BERLIN = Anniversary("today", 0, "Europe/Berlin")
NEXT_WEEK = Anniversary("within_next", 7 * DAY_MS, "UTC")
LAST_WEEK = Anniversary("within_last", 7 * DAY_MS, "UTC")
ALWAYS = Anniversary("within_last", 365 * DAY_MS, "UTC")

# The test, the date, now, whether it is met, and when that turns next.
CASES: list[tuple[DateTest, str, str, bool, str]] = [
    (NEAR, "2026-12-15", "2026-11-30T23:59:59.999Z", False, "2026-12-01"),
    (NEAR, "2026-12-15", "2026-12-01", True, "2026-12-14"),
    (NEAR, "2026-12-15", "2026-12-13T23:59:59.999Z", True, "2026-12-14"),
    (NEAR, "2026-12-15", "2026-12-14", False, ""),
    (LiesAhead(at_most=DAY_MS), "2026-12-15T09:30:00+01:00", "2026-12-15T08:29:59.999Z", True, "2026-12-15T08:30:00Z"),
    (LiesAhead(at_most=DAY_MS), "2026-12-15T09:30:00+01:00", "2026-12-15T08:30:00Z", False, ""),
    (LiesAhead(at_least=DAY_MS), "9999-12-31", "2026-12-15", True, "9999-12-30"),
    (TODAY, "1990-05-17", "2026-05-16T23:59:59.999Z", False, "2026-05-17"),
    (TODAY, "1990-05-17", "2026-05-17", True, "2026-05-18"),
    (TODAY, "1990-05-17", "2026-05-18", False, "2027-05-17"),
    (TODAY, "2026-05-17", "2026-05-17T12:00:00Z", False, "2027-05-17"),  # the date itself is none
    (TODAY, "2100-05-17", "2026-05-17", False, "2101-05-17"),
    (TODAY, "2000-02-29", "2026-02-28T23:59:59.999Z", False, "2026-03-01"),
    (TODAY, "2000-02-29", "2028-02-29", True, "2028-03-01"),
    (TODAY, "2000-02-29", "2028-03-01", False, "2029-03-01"),
    (IN_BERLIN, "1990-03-29", "2026-03-28T23:00:00Z", True, "2026-03-29T22:00:00Z"),  # a day of 23 hours
    (IN_BERLIN, "1990-03-29", "2026-03-29T22:00:00Z", False, "2027-03-28T22:00:00Z"),
    (NEXT_WEEK, "1990-01-03", "2026-12-26T23:59:59.999Z", False, "2026-12-27"),
    (NEXT_WEEK, "1990-01-03", "2026-12-27", True, "2027-01-04"),
    (NEXT_WEEK, "1990-01-03", "2027-01-03T23:59:59.999Z", True, "2027-01-04"),
    (NEXT_WEEK, "1990-01-03", "2027-01-04", False, "2027-12-27"),
    (LAST_WEEK, "1990-12-30", "2027-01-05T23:59:59.999Z", True, "2027-01-06"),
    (LAST_WEEK, "1990-12-30", "2027-01-06", False, "2027-12-30"),
    (TODAY, "9999-12-31", "2026-05-17", False, ""),
    (TODAY, "1990-12-31", "9999-12-31T12:00:00Z", True, "9999-12-31T23:59:59.999Z"),
]


@pytest.mark.parametrize(("test", "date", "now", "is_met", "turns"), CASES)
def test_a_date_to_the_millisecond(test: DateTest, date: str, now: str, is_met: bool, turns: str) -> None:
    """The answer, and the first instant after now at which time alone turns it."""
    moment, instant = parse_date(date), parse_date(now)
    assert moment is not None
    assert instant is not None
    assert test.decide(moment, instant) == (is_met, parse_date(turns) or NEVER)


def test_years_that_meet_do_not_turn() -> None:
    """A window of 365 days is met on each day of common years, and on each but one after a 29 February."""
    moment, now = parse_date("2000-07-01"), parse_date("2025-07-01")
    assert moment is not None
    assert now is not None
    holds, due = ALWAYS.decide(moment, now)
    assert holds
    assert due == parse_date("2028-06-30")
    assert ALWAYS.decide(moment, due) == (False, parse_date("2028-07-01"))
