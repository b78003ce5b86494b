"""Records as a shop sends them, field by field, and what the decoder makes of them."""

from collections.abc import Mapping

from rules.events import Event
from streams.wire.event_decoder import Rejected, decode_line
from tests.oracle import oracle
from tests.strategies.histories import MINUTE

MIB = 1024 * 1024
NOON = "2026-03-01T12:00:00Z"
NOON_MS = oracle.milliseconds(NOON)
Fields = Mapping[str, str | None]  # JSON texts by field; None: without the field


BASE: Fields = {
    "type": '"track"',
    "event": '"Product Added"',
    "messageId": '"m1"',
    "userId": '"u1"',
    "timestamp": f'"{NOON}"',
    "properties": '{"product_id":"p1"}',
}


def record(**fields: str | None) -> bytes:
    """A record that can be used, but for these fields."""
    parts = (f'"{name}":{text}' for name, text in {**BASE, **fields}.items() if text is not None)
    return ("{" + ",".join(parts) + "}").encode()


def ordered(**properties: str) -> bytes:
    """An Order Completed with these properties, as JSON texts."""
    return shop("Order Completed", **properties)


def shop(name: str, /, **properties: str) -> bytes:
    """An event of this name with these properties, as JSON texts."""
    parts = (f'"{field}":{text}' for field, text in properties.items())
    return record(event=f'"{name}"', properties="{" + ",".join(parts) + "}")


def outcome(value: bytes | None, record_time: int | None = None) -> Event | str:
    """The event, or the reason why there is none."""
    try:
        return decode_line(value, record_time)
    except Rejected as reason:
        return reason.reason


def accepted(value: bytes) -> Event:
    event = outcome(value)
    assert isinstance(event, Event), event
    return event


YEAR_2000_MS = oracle.milliseconds("2000-01-01T00:00:00Z")


TIMES: list[tuple[str, int | None]] = [
    (NOON, NOON_MS),
    ("2026-03-01T12:00:00.5Z", NOON_MS + 500),
    ("2026-03-01T12:00:00.999Z", NOON_MS + 999),
    ("2026-03-01T12:00:00.9999Z", NOON_MS + 999),
    ("2026-03-01T12:00:00.000999999Z", NOON_MS),
    ("2026-03-01T12:00:00.1234567890123456789Z", NOON_MS + 123),
    ("2026-03-01t12:00:00z", NOON_MS),
    ("2026-03-01t12:00:00.001z", NOON_MS + 1),
    ("2026-03-01T15:30:00+03:30", NOON_MS),
    ("2026-03-01T07:00:00-05:00", NOON_MS),
    ("2026-03-02T11:59:00+23:59", NOON_MS),
    ("2026-03-01T12:00:00+00:00", NOON_MS),
    ("2026-03-01T12:00:00-00:00", NOON_MS),
    ("2026-03-01T11:59:60Z", NOON_MS),
    ("2026-03-01T11:59:60.5Z", NOON_MS + 500),
    ("2028-02-29T00:00:00Z", oracle.milliseconds("2028-02-28T00:00:00Z") + 24 * 60 * MINUTE),
    ("2000-01-01T00:00:00Z", YEAR_2000_MS),
    ("2000-01-01T00:00:00.000Z", YEAR_2000_MS),
    ("1999-12-31T23:59:59.999Z", None),
    ("1999-12-31T23:00:00-01:00", YEAR_2000_MS),
    ("2000-01-01T00:59:59+01:00", None),
    ("0001-01-01T00:00:00Z", None),
    ("0000-01-01T00:00:00Z", None),
    ("2026-03-01T12:00:00", None),
    ("2026-03-01T12:00:00.000", None),
    ("2026-03-01", None),
    ("2026-03-01T12:00Z", None),
    ("2026-03-01T24:00:00Z", None),
    ("2026-03-01T12:60:00Z", None),
    ("2026-03-01T12:00:61Z", None),
    ("2026-03-01T12:00:99.999Z", None),
    ("2026-02-29T12:00:00Z", None),
    ("2026-13-01T12:00:00Z", None),
    ("2026-03-00T12:00:00Z", None),
    ("2026-03-01T12:00:00.Z", None),
    ("2026-03-01T12:00:00,5Z", None),
    ("2026-03-01T12:00:00+24:00", None),
    ("2026-03-01T12:00:00+03:60", None),
    ("2026-03-01T15:30:00+0330", NOON_MS),
    ("2026-03-01T07:00:00.5-0500", NOON_MS + 500),
    ("2026-03-01T12:00:00+0000", NOON_MS),
    ("2026-03-01T15:00:00+03", NOON_MS),
    ("2026-03-01T12:00:00-00", NOON_MS),
    ("2026-03-01T12:00:00+3", None),
    ("2026-03-01T12:00:00+330", None),
    ("2026-03-01T12:00:00+24", None),
    ("2026-03-01T12:00:00+0360", None),
    ("2026-03-01T12:00:00+03:3", None),
    ("2026-03-01T12:00:00 +03:30", None),
    ("2026-03-01T12:00:00UTC", None),
    ("20260301T120000Z", None),
    ("2026-W09-7T12:00:00Z", None),
    ("2026-3-1T12:00:00Z", None),
    ("+02026-03-01T12:00:00Z", None),
    (" 2026-03-01T12:00:00Z", None),
    ("2026-03-01T12:00:00Z ", None),
    ("2026-03-01T12:00:00Z\n", None),
    ("۲۰۲۶-03-01T12:00:00Z", None),
    ("2026-03-01T12:00:00.9۹9Z", None),
    ("2026-03-01T12:00:00.9²9Z", None),
    ("1772366400", None),
    ("now", None),
    ("", None),
]
