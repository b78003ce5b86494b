"""Parses days, weekdays, hours and time zones of a segments file.

See also: `rules.event_times`, which asks them of events, and `rules.conditions.calendars`, which asks them of now.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, WithJsonSchema

from rules.event_times import WEEKDAYS
from rules.forms.json_schema import TEXT, fixed_list, mapping
from rules.forms.value_test_parsing import only, under

HourSpan = tuple[int, int]  # minutes of the day
DaySpan = tuple[date | None, date | None]

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_DAYS_FORM = "write a day such as '2026-11-27', two days, {from: '2026-11-27'} or {until: '2026-12-01'}"
_HOURS_FORM = "{from: '18:00', to: '23:00'}, in quotes"


def parse_weekdays(value: object) -> tuple[int, ...]:
    """A weekday or a list of weekdays, from 0 for Monday, ascending."""
    days = value if isinstance(value, list) else [value]
    if not days or any(day not in WEEKDAYS for day in days):
        raise ValueError(f"{value!r} is not a weekday; write one of {', '.join(WEEKDAYS)}, or a list of them")
    return tuple(sorted({WEEKDAYS.index(str(day)) for day in days}))


def _hours(value: object) -> HourSpan:
    """From the first minute of the day on and before the second; over midnight where the first is later."""
    if not isinstance(value, dict) or value.keys() != {"from", "to"}:
        raise ValueError(f"expected {_HOURS_FORM}")
    begins, ends = (under(name, _minute, value[name]) for name in ("from", "to"))
    if begins in (ends, 24 * 60):
        raise ValueError(f"no time of the day lies between {value['from']} and {value['to']}")
    return begins, ends


def _minute(value: object) -> int:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError(f"{value!r} is not a time of the day; write {_HOURS_FORM}")
    return 60 * int(value[:2]) + int(value[3:])


def _days(value: object) -> DaySpan:
    """The first and the last day, both included; ``None``: open."""
    if isinstance(value, dict) and value:
        only(value, ("from", "until"))
        first, last = (under(name, _day, value[name]) if name in value else None for name in ("from", "until"))
    elif isinstance(value, list) and len(value) == 2:
        first, last = _day(value[0]), _day(value[1])
    else:
        first = last = _day(value)
    if first is not None and last is not None and last < first:
        raise ValueError(f"{last} is before {first}; the first day stands first")
    return first, last


def _day(value: object) -> date:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-11-27") else None
    except ValueError:
        day = None
    if day is None or day.year in (date.min.year, date.max.year):
        raise ValueError(f"{value!r} is not a day; {_DAYS_FORM}, in quotes")
    return day


def time_zone(value: object) -> str:
    """The name of a time zone."""
    try:
        return ZoneInfo(cast("str", value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError):
        raise ValueError(f"{value!r} is not a time zone; write one such as Asia/Tehran or UTC") from None


_WEEKDAY_SCHEMA = {"enum": list(WEEKDAYS)}
_DAY_SCHEMA = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_CLOCK_SCHEMA = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}
_OPEN_DAYS_SCHEMA = {**mapping({"from": _DAY_SCHEMA, "until": _DAY_SCHEMA}), "minProperties": 1}

Weekdays = Annotated[
    tuple[int, ...],
    BeforeValidator(parse_weekdays),
    WithJsonSchema({"anyOf": [_WEEKDAY_SCHEMA, {"type": "array", "items": _WEEKDAY_SCHEMA, "minItems": 1}]}),
]
EventHours = Annotated[
    HourSpan,
    BeforeValidator(_hours),
    WithJsonSchema({**mapping({"from": _CLOCK_SCHEMA, "to": _CLOCK_SCHEMA}), "required": ["from", "to"]}),
]
EventDays = Annotated[
    DaySpan,
    BeforeValidator(_days),
    WithJsonSchema({"anyOf": [_DAY_SCHEMA, fixed_list(_DAY_SCHEMA, 2), _OPEN_DAYS_SCHEMA]}),
]
TimeZone = Annotated[
    str, BeforeValidator(time_zone), WithJsonSchema({**TEXT, "description": "such as Asia/Tehran; UTC when left out"})
]
