"""The time zone that a text names: an IANA name, the name that Windows has for it, or an offset from UTC.

    Asia/Tehran, asia/tehran, Iran Standard Time     the zone
    +03:30, UTC+3:30, GMT-5, -0500, Z                east of UTC for +, as clocks show it

Data: the IANA time zone database, and for names of Windows Unicode CLDR, through Babel.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from babel.core import get_global

_OFFSET = re.compile(r"(?:utc|gmt)?([+\-−])(\d{1,2})(?::?([0-5]\d))?", re.ASCII | re.IGNORECASE)
# Clocks somewhere on Earth show from 12 hours behind UTC to 14 before it.
_WEST_MOST, _EAST_MOST = timedelta(hours=-12), timedelta(hours=14)
_NAME_MAX_CHARS = 64
# What senders write where they do not know the zone; the first is of CLDR.
_UNSTATED = frozenset({"etc/unknown", "unknown", "undefined", "null", "none", "n/a", "-"})


def is_stated(value: object) -> bool:
    """Whether a value says anything about a time zone, right or wrong."""
    if isinstance(value, str):
        return value.strip().casefold() not in _UNSTATED and bool(value.strip())
    return value is not None


def read(value: object) -> tzinfo | None:
    """The time zone that a value names; ``None``: it names none, as a number does, which may be hours or minutes."""
    return _of_text(value.strip()) if isinstance(value, str) and len(value) <= _NAME_MAX_CHARS else None


@lru_cache(maxsize=4_096)
def _of_text(text: str) -> tzinfo | None:
    if text in ("Z", "z"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        sign, hours, minutes = offset.groups()
        ahead = timedelta(hours=int(hours), minutes=int(minutes or 0)) * (1 if sign == "+" else -1)
        return timezone(ahead) if _WEST_MOST <= ahead <= _EAST_MOST else None
    name = _names().get(text.casefold())
    return None if name is None else ZoneInfo(name)


@cache
def _names() -> dict[str, str]:
    of_windows = {name.casefold(): zone for name, zone in get_global("windows_zone_mapping").items()}
    of_iana = available_timezones()
    names = {name: zone for name, zone in of_windows.items() if zone in of_iana}
    return names | {name.casefold(): name for name in of_iana}
