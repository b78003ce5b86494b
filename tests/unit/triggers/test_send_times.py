"""When in a customer's day a message may be sent, compared with a clock that is moved on minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from streams.triggers.send_times import WEEKDAYS, SendTimes, wait_until

ZONES = ("UTC", "Asia/Tehran", "Pacific/Auckland", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia")
TIMES = ("00:00", "02:30", "03:00", "09:00", "12:15", "18:00", "23:30")
# Around changes of clocks in several of these zones, and the day that Samoa skipped.
STARTS = ("2026-03-07T00:00:00Z", "2026-04-04T00:00:00Z", "2026-04-23T12:00:00Z", "2026-10-31T12:00:00Z",
          "2011-12-28T00:00:00Z", "2026-06-15T07:21:00Z")  # fmt: skip

days = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=6, unique=True)
hours = st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda pair: pair[0] != pair[1])


def ms(text: str) -> int:
    instant = parse_instant(text)
    assert instant is not None
    return instant


def local(zone: tzinfo, instant: int) -> datetime:
    return datetime.fromtimestamp(instant / 1000, UTC).astimezone(zone)


def is_open(parts: dict[str, Any], zone: tzinfo, instant: int) -> bool:
    """Whether a message may be sent at an instant, by reading the clock as a person does."""
    clock = local(zone, instant)
    at, allowed = f"{clock:%H:%M}", parts.get("weekdays", WEEKDAYS)
    today, yesterday = (WEEKDAYS[(clock - timedelta(days=back)).weekday()] for back in (0, 1))
    if "from" not in parts:
        return today in allowed
    first, last = parts["from"], parts["to"]
    if first < last:
        return first <= at < last and today in allowed
    return (at >= first and today in allowed) or (at < last and yesterday in allowed)


@example("Pacific/Apia", "2011-12-28T00:00:00Z", 0, ["fri"], ("03:00", "02:30"))
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ZONES), st.sampled_from(STARTS), st.integers(0, 3 * 24 * 60), days, st.none() | hours,
)  # fmt: skip
def test_a_message_waits_for_the_first_minute_in_which_it_may_be_sent(
    name: str, start: str, minutes: int, weekdays: list[str], between: tuple[str, str] | None
) -> None:
    """No earlier minute would do, but for hours that a change of clocks has shortened at their beginning."""
    parts: dict[str, Any] = {"weekdays": weekdays}
    if between is not None:
        parts |= {"from": between[0], "to": between[1]}
    zone, now = ZoneInfo(name), ms(start) + minutes * MINUTE_MS
    until = wait_until(SendTimes.model_validate(parts), zone, now, now)
    if is_open(parts, zone, now):
        assert until is None
        return
    assert until is not None
    assert is_open(parts, zone, until)
    missed = [instant for instant in range(now, until, MINUTE_MS) if is_open(parts, zone, instant)]
    if missed:  # hours that began in the part of the day that was skipped; Samoa skipped a whole day in 2011
        before, after = (local(zone, instant).utcoffset() for instant in (missed[0] - MINUTE_MS, missed[0]))
        assert before is not None
        assert after is not None
        assert before != after, local(zone, missed[0])
        most = HOUR_MS if after - before < timedelta(hours=12) else DAY_MS
        assert len(missed) <= most // MINUTE_MS


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(STARTS), st.integers(0, 3 * 24 * 60), st.sampled_from(TIMES))
def test_at_is_the_next_time_that_the_clock_shows_it(name: str, start: str, minutes: int, at: str) -> None:
    """The time comes within a day and an hour or two, but where a day is skipped, and once only."""
    zone, send_at = ZoneInfo(name), ms(start) + minutes * MINUTE_MS
    send = SendTimes.model_validate({"at": at})
    until = wait_until(send, zone, send_at, send_at)
    planned = send_at if until is None else until
    assert send_at <= planned <= send_at + 2 * DAY_MS
    shown = f"{local(zone, planned):%H:%M}"
    if shown != at:  # the clock skipped it
        assert local(zone, planned).utcoffset() != local(zone, planned - 2 * HOUR_MS).utcoffset()
    # Nothing is put off once more, however late it is looked at.
    assert wait_until(send, zone, planned, planned) is None
    assert wait_until(send, zone, planned, planned + HOUR_MS - 1) is None
    # But what is an hour late is not of that time any more, and waits for the next.
    late = wait_until(send, zone, planned, planned + HOUR_MS)
    assert late is not None
    assert planned + HOUR_MS < late <= planned + 3 * DAY_MS
    assert wait_until(send, zone, late, late) is None
    times = {f"{local(zone, instant):%H:%M}" for instant in range(send_at, planned, MINUTE_MS)}
    assert at not in times or local(zone, planned).fold or name == "Pacific/Apia" or planned - send_at >= 23 * HOUR_MS


@pytest.mark.parametrize(
    ("send", "now", "until"),
    [
        ({"weekdays": ["mon", "fri"]}, "2026-06-18T10:00:00Z", "2026-06-18T22:00:00Z"),  # a Thursday
        ({"weekdays": ["thu"]}, "2026-06-18T10:00:00Z", None),
        ({"from": "09:00", "to": "18:00"}, "2026-06-18T06:59:59Z", "2026-06-18T07:00:00Z"),
        ({"from": "09:00", "to": "18:00"}, "2026-06-18T07:00:00Z", None),
        ({"from": "09:00", "to": "18:00"}, "2026-06-18T16:00:00Z", "2026-06-19T07:00:00Z"),
        # From Friday evening into Saturday: Saturday's small hours are Friday's.
        ({"weekdays": ["fri"], "from": "22:00", "to": "02:00"}, "2026-06-19T23:30:00Z", None),
        ({"weekdays": ["fri"], "from": "22:00", "to": "02:00"}, "2026-06-18T23:30:00Z", "2026-06-19T20:00:00Z"),
        ({"weekdays": ["fri"], "from": "22:00", "to": "02:00"}, "2026-06-20T00:00:00Z", "2026-06-26T20:00:00Z"),
        ({"at": "09:00"}, "2026-06-18T06:59:00Z", "2026-06-18T07:00:00Z"),
        ({"at": "09:00"}, "2026-06-18T07:00:00Z", None),
        ({"at": "09:00"}, "2026-06-18T07:00:01Z", "2026-06-19T07:00:00Z"),
        ({"at": "09:00", "weekdays": ["mon"]}, "2026-06-18T07:00:01Z", "2026-06-22T07:00:00Z"),
        # 2:30 is skipped on the night of 29 March, and comes twice on that of 25 October.
        ({"at": "02:30"}, "2026-03-28T23:00:00Z", "2026-03-29T01:30:00Z"),
        ({"at": "02:30"}, "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"),
        ({"at": "02:30"}, "2026-10-25T01:00:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_by_the_calendar_of_berlin(send: dict[str, Any], now: str, until: str | None) -> None:
    """Cases that were computed by hand."""
    waits = wait_until(SendTimes.model_validate(send), ZoneInfo("Europe/Berlin"), ms(now), ms(now))
    assert waits == (None if until is None else ms(until))
