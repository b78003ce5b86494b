"""How the oracle reads dates: instants, ages, local days, the Jalali calendar.

An instant is whole milliseconds since 1970, UTC; a day is a date of some place.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.oracle.values import DAY_MS, Json, listed, mapping

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

NOWRUZ_1403 = date(2024, 3, 20)
JALALI_CYCLE = 33
JALALI_LEAP = {1, 5, 9, 13, 17, 22, 26, 30}  # of the years of a cycle; true to the sky from 1343 to 1472


# --- instants ----------------------------------------------------------------------------------


def milliseconds(timestamp: object) -> int:
    """The milliseconds since the epoch of an RFC 3339 instant with offset; smaller parts are cut."""
    return instant_of(datetime.fromisoformat(str(timestamp).upper()))


def instant_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def midnight(day: date) -> int:
    """The instant at which a day begins in UTC."""
    return instant_of(datetime(day.year, day.month, day.day, tzinfo=UTC))


def utc_day(instant: int) -> date:
    return (EPOCH + timedelta(milliseconds=instant)).date()


def day_end(instant: int) -> int:
    """The end of the UTC day of an instant."""
    return (instant // DAY_MS + 1) * DAY_MS


# --- ages --------------------------------------------------------------------------------------


def stated_date(value: object) -> int | None:
    """The instant that a trait tells: a date is its midnight in UTC; None if it is no date."""
    if not isinstance(value, str):
        return None
    try:
        if DATE.fullmatch(value):
            return midnight(date.fromisoformat(value))
        return milliseconds(value) if INSTANT.fullmatch(value) else None
    except ValueError:  # such as the 30th of February
        return None


def completed_years(born: date, today: date) -> int:
    """The birthdays so far; one on 29 February falls on 1 March in other years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def birthday(born: date, year: int) -> date:
    """The day of a year from which on one more year is completed."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


# --- calendars ---------------------------------------------------------------------------------


def local_day(instant: int, timezone: str) -> date:
    return (EPOCH + timedelta(milliseconds=instant)).astimezone(ZoneInfo(timezone)).date()


def local_midnight(day: date, timezone: str) -> int:
    """The first instant of a local day, also where the clocks skip its first hour."""
    return instant_of(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)))


def timezone_of(form: Json) -> str:
    return str(form.get("timezone", "UTC"))


def is_timely(time: int, form: Json) -> bool:
    """Whether an event's local time is on the days, weekdays and hours that a form asks for."""
    local = datetime.fromtimestamp(time // 1000, ZoneInfo(timezone_of(form)))
    on, hours = form.get("on"), mapping(form.get("hours"))
    if isinstance(on, Mapping):
        ends = str(on.get("from", "")), str(on.get("until", "9"))
    else:
        ends = (str(listed(on)[0]), str(listed(on)[-1])) if on is not None else ("", "9")
    if not ends[0] <= f"{local:%Y-%m-%d}" <= ends[1]:
        return False
    if "weekday" in form and WEEKDAYS[local.weekday()] not in listed(form["weekday"]):
        return False
    clock, begins, ends_at = f"{local:%H:%M}", str(hours.get("from", "00:00")), str(hours.get("to", "24:00"))
    return begins <= clock < ends_at if begins < ends_at else clock >= begins or clock < ends_at


def is_matching_day(form: Json, day: date) -> bool:
    """Whether a day lies in the range and is such a weekday: what of both a calendar condition names."""
    if "between" in form and not in_range(month_day(form, day), listed(form["between"])):
        return False
    return "weekday" not in form or WEEKDAYS[day.weekday()] in listed(form["weekday"])


def in_range(day: tuple[int, int], between: list[object]) -> bool:
    """Whether a day lies in a range with both ends; a range whose end comes first goes on over the new year."""
    first, last = (numbers(str(end)) for end in between)
    return first <= day <= last if first <= last else day >= first or day <= last


def numbers(month_and_day: str) -> tuple[int, int]:
    month, day = month_and_day.split("-")
    return int(month), int(day)


def month_day(form: Json, day: date) -> tuple[int, int]:
    return jalali(day)[1:] if form.get("calendar") == "jalali" else (day.month, day.day)


def turns(form: Json, after: int, to: int) -> Iterator[int]:
    """The local midnights after `after`, up to `to`, that a calendar condition flips at."""
    timezone = timezone_of(form)
    day = local_day(after, timezone)
    last = local_day(to, timezone)
    while day < last:
        before, day = day, day + timedelta(days=1)
        if is_matching_day(form, before) != is_matching_day(form, day):
            yield local_midnight(day, timezone)


def jalali(day: date) -> tuple[int, int, int]:
    """The Jalali year, month and day: six months of 31 days, then of 30, the last of 29 but in leap years."""
    year = day.year - 621
    if day < nowruz(year):
        year -= 1
    passed = (day - nowruz(year)).days
    if passed < 6 * 31:
        return year, passed // 31 + 1, passed % 31 + 1
    return year, (passed - 6 * 31) // 30 + 7, (passed - 6 * 31) % 30 + 1


@cache
def nowruz(year: int) -> date:
    """The first day of a Jalali year, counted from that of 1403."""
    passed = sum(map(jalali_year_days, range(1403, year)))
    return NOWRUZ_1403 + timedelta(days=passed - sum(map(jalali_year_days, range(year, 1403))))


def jalali_year_days(year: int) -> int:
    return 366 if year % JALALI_CYCLE in JALALI_LEAP else 365
