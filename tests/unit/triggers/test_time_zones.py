"""Time zones as senders write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams.triggers import time_zones

JUNE = datetime(2026, 6, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("Asia/Tehran", 3.5),
        (" asia/tehran ", 3.5),
        ("AMERICA/NEW_YORK", -4),
        ("W. Europe Standard Time", 2),
        ("iran standard time", 3.5),
        ("UTC", 0),
        ("GMT", 0),
        ("Z", 0),
        ("+03:30", 3.5),
        ("-0500", -5),
        ("−05:00", -5),
        ("+3", 3),
        ("UTC+3", 3),
        ("utc+05:45", 5.75),
        ("GMT-7", -7),
        ("Etc/GMT+3", -3),  # this name of IANA counts to the west
        ("+14:00", 14),
        ("-12", -12),
    ],
)
def test_a_zone_is_read(text: str, hours: float) -> None:
    """A zone has the offset that a clock there shows in June 2026."""
    zone = time_zones.read(text)
    assert zone is not None
    assert JUNE.astimezone(zone).utcoffset() == timedelta(hours=hours)
    assert time_zones.is_stated(text)


@pytest.mark.parametrize(
    "value",
    ["nowhere", "Mars/Olympus", "+15:00", "-13:00", "+03:60", "UTC+", "3.5", 3.5, -300, True, ["Asia/Tehran"], {},
     "../../etc/passwd", "/etc/passwd", "Asia", "x" * 100_000, "Asia/Tehran\0", "+٣"],
)  # fmt: skip
def test_what_is_stated_and_names_no_zone_is_unknown(value: object) -> None:
    """A number may be hours or minutes, so it is none."""
    assert time_zones.read(value) is None
    assert time_zones.is_stated(value)


@pytest.mark.parametrize("value", [None, "", "  ", "Etc/Unknown", "undefined", "null", "N/A"])
def test_what_says_nothing_is_not_stated(value: object) -> None:
    """Browsers that do not know their zone write Etc/Unknown."""
    assert not time_zones.is_stated(value)
