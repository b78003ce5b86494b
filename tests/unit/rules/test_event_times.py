"""When an event was: its local days, weekdays and hours, at their ends to the millisecond, with instants by hand."""

from __future__ import annotations

from datetime import date

import pytest

from rules.definitions.segments_file import build
from rules.event_times import EventTimes
from rules.times import parse_instant

EVENING = EventTimes(hours=(18 * 60, 23 * 60))
NIGHT = EventTimes("Europe/Berlin", hours=(22 * 60, 6 * 60))
LATE = EventTimes(hours=(23 * 60 + 30, 24 * 60))
WEEKEND = EventTimes("Asia/Tehran", weekdays=(5, 6))
BLACK_WEEK = EventTimes("Europe/Berlin", date(2026, 11, 27), date(2026, 12, 1))
# On 29 March 2026 the clocks in Berlin go from 2:00 to 3:00.
CHANGE_OF_CLOCKS = EventTimes("Europe/Berlin", date(2026, 3, 29), date(2026, 3, 29))


@pytest.mark.parametrize(
    ("times", "instant", "is_met"),
    [
        (EVENING, "2026-11-27T17:59:59.999Z", False),
        (EVENING, "2026-11-27T18:00:00Z", True),
        (EVENING, "2026-11-27T22:59:59.999Z", True),
        (EVENING, "2026-11-27T23:00:00Z", False),
        (NIGHT, "2026-11-27T20:59:59.999Z", False),
        (NIGHT, "2026-11-27T21:00:00Z", True),
        (NIGHT, "2026-11-27T23:30:00Z", True),
        (NIGHT, "2026-11-28T04:59:59.999Z", True),
        (NIGHT, "2026-11-28T05:00:00Z", False),
        (NIGHT, "2026-07-01T04:00:00Z", False),  # 6:00 in summer
        (LATE, "2026-11-27T23:29:59.999Z", False),
        (LATE, "2026-11-27T23:59:59.999Z", True),
        (LATE, "2026-11-28T00:00:00Z", False),
        (WEEKEND, "2026-11-27T20:29:59.999Z", False),  # a Friday, until 23:59:59.999 in Tehran
        (WEEKEND, "2026-11-27T20:30:00Z", True),
        (WEEKEND, "2026-11-29T20:29:59.999Z", True),
        (WEEKEND, "2026-11-29T20:30:00Z", False),
        (BLACK_WEEK, "2026-11-26T22:59:59.999Z", False),
        (BLACK_WEEK, "2026-11-26T23:00:00Z", True),
        (BLACK_WEEK, "2026-12-01T22:59:59.999Z", True),
        (BLACK_WEEK, "2026-12-01T23:00:00Z", False),
        (CHANGE_OF_CLOCKS, "2026-03-28T23:00:00Z", True),
        (CHANGE_OF_CLOCKS, "2026-03-29T21:59:59.999Z", True),
        (CHANGE_OF_CLOCKS, "2026-03-29T22:00:00Z", False),
        (EventTimes(first=date(2026, 1, 1)), "2025-12-31T23:59:59.999Z", False),
        (EventTimes(first=date(2026, 1, 1)), "9999-12-31T23:59:59.999Z", True),
        (WEEKEND, "9999-12-31T23:59:59.999Z", False),  # the last days that there are count as Tuesday the 28th
        (EventTimes("Asia/Tehran", weekdays=(1,)), "9999-12-31T23:59:59.999Z", True),
        (EventTimes(last=date(2025, 12, 31)), "2026-01-01T00:00:00Z", False),
        (EventTimes(weekdays=(0,), hours=(0, 60)), "2026-11-30T00:59:59Z", True),
        (EventTimes(weekdays=(0,), hours=(0, 60)), "2026-11-30T01:00:00Z", False),
        (EventTimes(weekdays=(0,), hours=(0, 60)), "2026-12-01T00:30:00Z", False),
    ],
)
def test_the_ends_of_days_and_hours(times: EventTimes, instant: str, is_met: bool) -> None:
    """Days and hours are half-open in their time zone, also where the clocks change and over midnight."""
    moment = parse_instant(instant)
    assert moment is not None
    assert times.meets(moment) is is_met


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ({"on": "2026-11-27"}, {"on": ["2026-11-27", "2026-11-27"]}),
        ({"on": {"from": "2026-11-27"}, "timezone": "UTC"}, {"on": {"from": "2026-11-27"}}),
        (
            {"weekday": ["sun", "sat", "sun"], "timezone": "Asia/Tehran"},
            {"weekday": ["sat", "sun"], "timezone": "Asia/Tehran"},
        ),
        ({"hours": {"to": "06:00", "from": "22:00"}}, {"hours": {"from": "22:00", "to": "06:00"}}),
        ({}, {}),
    ],
)
def test_the_canonical_form(written: dict[str, object], canonical: dict[str, object]) -> None:
    """What means the same is the same in the fingerprint, and a file without these tests has the one of before."""
    when = {"performed": {"event": "page", **written}}
    (segment,) = build({"version": 1, "segments": {"s": {"title": "S", "when": when}}}, "s.yaml").segments
    body = segment.canonical["performed"]
    assert body == {"event": ("page",), "count": {"at_least": 1}, "within": None, **canonical}
