"""The time of an event: which of its times counts, when a client's clock is corrected, and what its record bounds."""

from itertools import product

import pytest

from tests.oracle import oracle
from tests.strategies.histories import MINUTE, SECOND
from tests.support.input_records import NOON_MS, outcome, record

HOUR = 60 * MINUTE
YEAR_2000 = oracle.milliseconds("2000-01-01T00:00:00Z")


def at(milliseconds: int) -> str:
    """A time so many milliseconds from noon, as JSON."""
    seconds, thousandths = divmod(12 * 3_600_000 + milliseconds, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f'"2026-03-01T{hour:02d}:{minute:02d}:{second:02d}.{thousandths:03d}Z"'


def timed(**fields: str | None) -> bytes:
    """A record with these times alone."""
    return record(**{"timestamp": None, **fields})


def time_of(value: bytes, record_time: int | None = None) -> int | str:
    """The time of an event from noon, or the reason why there is none."""
    event = outcome(value, record_time)
    return event if isinstance(event, str) else event.time - NOON_MS


# Each of the four times: absent in several ways, or told.
TIMESTAMPS = (None, "null", '""', "5", "[]", at(-30 * MINUTE))
ORIGINALS = (None, "null", '""', at(-40 * MINUTE))
SENT = (None, "null", "5", '"x"', '"2026-03-01T12:00:00"', at(-20 * MINUTE))
RECEIVED = (None, '""', "{}", '"yesterday"', at(-5 * MINUTE), at(-20 * MINUTE - 59 * SECOND))
SKEWS: dict[str | None, int] = {RECEIVED[4]: 15 * MINUTE, RECEIVED[5]: 0}
RECORD_TIMES = (None, NOON_MS)


@pytest.mark.parametrize(("timestamp", "original"), list(product(TIMESTAMPS, ORIGINALS)))
def test_which_time_counts(timestamp: str | None, original: str | None) -> None:
    """`timestamp`, else `originalTimestamp`, else that of the record; the clock is corrected where both servers told.

    A `timestamp` beside which `originalTimestamp` stands is corrected already.
    """
    for sent, received, record_time in product(SENT, RECEIVED, RECORD_TIMES):
        skew = SKEWS.get(received, 0) if sent == SENT[-1] else 0
        expected: int | str
        if timestamp == TIMESTAMPS[-1]:
            expected = -30 * MINUTE + (0 if original == ORIGINALS[-1] else skew)
        elif original == ORIGINALS[-1]:
            expected = -40 * MINUTE + skew
        else:
            expected = "no_timestamp" if record_time is None else 0
        value = timed(timestamp=timestamp, originalTimestamp=original, sentAt=sent, receivedAt=received)
        assert time_of(value, record_time) == expected, value


SKEW = [0, 1, 59_999, 60_000, 60_001, 61_000, HOUR, 5 * HOUR]


@pytest.mark.parametrize("field", ["timestamp", "originalTimestamp"])
@pytest.mark.parametrize("skew", [*SKEW, *(-size for size in SKEW)])
def test_a_clock_is_corrected_beyond_a_minute(field: str, skew: int) -> None:
    """What the server received later than it was sent is added, or taken off where it was received before."""
    value = timed(**{field: at(0), "sentAt": at(SECOND), "receivedAt": at(SECOND + skew)})
    assert time_of(value) == (skew if abs(skew) > MINUTE else 0)
    both = timed(timestamp=at(0), originalTimestamp=at(-SECOND), sentAt=at(SECOND), receivedAt=at(SECOND + skew))
    assert time_of(both) == 0


def test_every_form_of_a_time_corrects() -> None:
    """The times of sending and receiving are read as any other, whatever their offsets."""
    for sent, received in (
        ('"2026-03-01T15:30:00+03:30"', '"2026-03-01T13:00:00Z"'),
        ('"2026-03-01T15:30:00+0330"', '"2026-03-01T14:00:00+01"'),
        ('"2026-03-01t12:00:00z"', '"2026-03-01T08:00:00.000000-0500"'),
    ):
        assert time_of(timed(originalTimestamp=at(0), sentAt=sent, receivedAt=received)) == HOUR


@pytest.mark.parametrize("field", ["timestamp", "originalTimestamp"])
def test_a_text_that_is_no_time(field: str) -> None:
    """A text that is no time is absurd whatever the record's time, and so is a time before 2000."""
    for text in ('"yesterday"', '"2026-03-01"', '"2026-03-01T12:00:00"', '"1999-12-31T23:59:59.999Z"', '"1772366400"'):
        for record_time in RECORD_TIMES:
            assert time_of(timed(**{field: text}), record_time) == "absurd_timestamp"
    assert time_of(timed(**{field: '"2000-01-01T00:00:00Z"'})) == YEAR_2000 - NOON_MS


def test_an_original_time_that_does_not_count_may_be_anything() -> None:
    """Beside a `timestamp`, `originalTimestamp` is not read."""
    for text in ('"yesterday"', '"1999-12-31T23:59:59Z"', "5", "true", "[]", "{}"):
        assert time_of(timed(timestamp=at(0), originalTimestamp=text)) == 0


def test_a_corrected_time_is_bounded_by_its_record() -> None:
    """After the correction a time is at most that of the record; beyond five minutes, or before 2000, it is absurd."""
    hour_ahead = {"originalTimestamp": at(HOUR), "sentAt": at(HOUR), "receivedAt": at(0)}
    assert time_of(timed(**hour_ahead), NOON_MS) == 0
    assert time_of(timed(**hour_ahead), NOON_MS - 5 * MINUTE) == -5 * MINUTE
    assert time_of(timed(**hour_ahead), NOON_MS - 5 * MINUTE - 1) == "absurd_timestamp"
    assert time_of(timed(originalTimestamp=at(HOUR)), NOON_MS) == "absurd_timestamp"
    early = {"originalTimestamp": '"2000-01-01T00:30:00Z"', "sentAt": at(HOUR), "receivedAt": at(0)}
    assert time_of(timed(**early)) == "absurd_timestamp"
    late = {"originalTimestamp": '"1999-12-31T23:30:00Z"', "sentAt": at(0), "receivedAt": at(HOUR)}
    assert time_of(timed(**late)) == YEAR_2000 + 30 * MINUTE - NOON_MS


def test_a_record_whose_event_tells_no_time() -> None:
    """The record's own time is that of the event, and without one there is none."""
    for none in (None, "null", '""', "5", "true", "[]", "{}"):
        assert time_of(timed(timestamp=none), NOON_MS + 7) == 7
        assert time_of(timed(timestamp=none)) == "no_timestamp"
        assert time_of(timed(timestamp=none, sentAt=at(0), receivedAt=at(HOUR)), NOON_MS) == 0
