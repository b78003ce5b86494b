"""The time of an event: what its client said, corrected where the client's clock is known to be wrong.

    timestamp                               counts; corrected where no originalTimestamp stands beside it
    originalTimestamp, without timestamp    counts, corrected
    neither                                 the record's Kafka time; repeats of such an event are not recognised

Corrected: `receivedAt - sentAt` is added where both stand and differ by more than 60 s. A server that sends both
timestamps has corrected `timestamp` itself (https://segment.com/docs/connections/spec/common/#timestamps).
"""

from __future__ import annotations

from datetime import UTC, datetime

from rules.profile.deduplication import AHEAD_MAX_MS
from rules.times import MINUTE_MS, parse_instant
from streams.wire.customer_ids import Rejected
from streams.wire.segment_spec import Envelope

OLDEST_MS = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000)
SKEW_MIN_MS = MINUTE_MS


def event_time(fields: Envelope, record_time: int | None) -> int:
    """The time of an event (ms): at most that of its record, which the broker's clock bounds. Raises `Rejected`.

    A device's clock may be a little fast: an event at most `AHEAD_MAX_MS` after its record takes the record's time.
    """
    # Most messages state their time alone.
    text = fields.timestamp
    time = parse_instant(text) if fields.sentAt is None and isinstance(text, str) else None
    if time is None:
        time = _stated(fields)
    if time is None:
        if record_time is None:
            raise Rejected("no_timestamp", "timestamp")
        return record_time
    if time < OLDEST_MS:
        raise Rejected("absurd_timestamp", _field(fields))
    if record_time is None or time <= record_time:
        return time
    if time > record_time + AHEAD_MAX_MS:
        raise Rejected("absurd_timestamp", _field(fields))
    return record_time


def _field(fields: Envelope) -> str:
    """The field whose time counts."""
    return "originalTimestamp" if instant_of(fields.timestamp) is None else "timestamp"


def _stated(fields: Envelope) -> int | None:
    """The time (ms) that the client told, corrected; `None`: it told none. Raises `Rejected`."""
    timestamp, original = fields.timestamp, fields.originalTimestamp
    time = parse_instant(timestamp) if isinstance(timestamp, str) else None
    if time is not None:
        return time if fields.sentAt is None or instant_of(original) is not None else time + clock_skew(fields)
    if isinstance(timestamp, str) and timestamp.strip():
        raise Rejected("absurd_timestamp", "timestamp")
    time = instant_of(original)
    if time is not None:
        return time + clock_skew(fields)
    if isinstance(original, str) and original.strip():
        raise Rejected("absurd_timestamp", "originalTimestamp")
    return None


def clock_skew(fields: Envelope) -> int:
    """How much (ms) the client's clock is behind that of the server which received the event; 0 where it is right."""
    sent, received = instant_of(fields.sentAt), instant_of(fields.receivedAt)
    if sent is None or received is None or abs(received - sent) <= SKEW_MIN_MS:
        return 0
    return received - sent


def instant_of(text: object) -> int | None:
    """The instant (ms) of a field that holds a time; ``None`` for anything else."""
    return parse_instant(text) if isinstance(text, str) else None
