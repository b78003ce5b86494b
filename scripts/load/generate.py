"""Generates a seeded load: Segment Spec records of a web shop's customers, in the order of their times.

The one rule: the arguments decide every byte. One seed is the same load on every machine and in every version,
because all choices come from the raw stream of PCG64, which numpy keeps stable (NEP 19).

    python scripts/load/generate.py --events 1000 --customers 200 --profile session-like > events.jsonl

change-heavy   every event is of any customer at any time, so most events may change a segment
session-like   events come in visits of several pages, and some customers come far more often than others

At the defaults (5 events per customer in 7 days) the built-in segments change about 0.41 times per event in
the first and 0.17 times in the second; other proportions give other rates. Records of one millisecond are
in topic order (profiles, visits, carts, purchases).
"""

import argparse
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from load.shop_texts import Record, TextKind, record, texts

__all__ = ["PROFILES", "START_MS", "WEEK_MS", "Record", "records"]

Integers = NDArray[np.int64]

START_MS = 1_767_225_600_000  # 2026-01-01: fixed, so that the defaults are one load for ever
WEEK_MS = 7 * 86_400_000
SLICE = 8_192  # events encoded at a time: bounds memory; the bytes do not depend on it
CHOICES = 1 << 24  # far more than the texts of a kind, so each text is about as likely

READING_ORDER = ("profiles", "visits", "carts", "purchases")  # the order of records of one instant
BROWSING = {
    TextKind.PAGE: 0.38,
    TextKind.VIEWED: 0.40,
    TextKind.LISTED: 0.13,
    TextKind.SEARCHED: 0.07,
    TextKind.RATED: 0.02,
}
ANYTHING = {
    TextKind.PAGE: 0.25, TextKind.VIEWED: 0.25, TextKind.LISTED: 0.08, TextKind.SEARCHED: 0.04, TextKind.RATED: 0.05,
    TextKind.ADDED: 0.06, TextKind.CART: 0.09, TextKind.REMOVED: 0.03, TextKind.CHECKOUT: 0.02, TextKind.ORDER: 0.09,
    TextKind.IDENTIFY: 0.04,
}  # fmt: skip


def records(
    events: int = 500_000,
    customers: int = 100_000,
    seed: int = 1,
    profile: str = "change-heavy",
    start_ms: int = START_MS,
    span_ms: int = WEEK_MS,
) -> Iterator[Record]:
    """Generate `events` records (topic, key, value, time_ms), times ascending in [start_ms, start_ms + span_ms).

    Each is of one of `customers` customers, some of which may have no record.
    """
    if events < 0 or customers < 1 or seed < 0 or span_ms < 1:
        raise ValueError("events and seed must be 0 or more, customers and span 1 or more")
    if profile not in PROFILES:
        raise ValueError(f"there is no profile {profile!r}, only {' and '.join(PROFILES)}")
    load = PROFILES[profile](Draw(seed), events, customers, span_ms)
    rank = np.array([READING_ORDER.index(text.topic) for text in texts()])
    order = np.lexsort((rank[load.kind], load.time_ms))
    return _encoded(load, order, start_ms, Draw(seed, 1))


class Draw:
    """Draws columns of random numbers from one seeded stream, in order."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def raw(self, count: int) -> NDArray[np.uint64]:
        return np.asarray(self._bits.random_raw(count), dtype=np.uint64)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Draw numbers in [0, 1) with 53 bits."""
        return (self.raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, limit: int, count: int) -> Integers:
        return (self.uniform(count) * limit).astype(np.int64)

    def kinds(self, shares: Mapping[TextKind, float], count: int) -> Integers:
        edges = np.cumsum(list(shares.values()))[:-1]
        return np.array(list(shares))[np.searchsorted(edges, self.uniform(count), side="right")]

    def uuids(self, count: int) -> list[bytes]:
        text = self.raw(2 * count).astype("<u8").tobytes().hex().encode()
        return [
            b"%b-%b-4%b-a%b-%b" % (text[i : i + 8], text[i + 8 : i + 12], text[i + 13 : i + 16],
                                   text[i + 17 : i + 20], text[i + 20 : i + 32])
            for i in range(0, 32 * count, 32)
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class GeneratedEvents:
    """Columns with a value per event: time (from the start), customer, kind, text, campaign."""

    time_ms: Integers
    customer: Integers
    kind: Integers
    choice: Integers
    campaign: Integers


def _change_heavy(draw: Draw, events: int, customers: int, span_ms: int) -> GeneratedEvents:
    return GeneratedEvents(
        time_ms=draw.below(span_ms, events),
        customer=draw.below(customers, events),
        kind=draw.kinds(ANYTHING, events),
        choice=draw.below(CHOICES, events),
        campaign=draw.below(CHOICES, events),
    )


def _session_like(draw: Draw, events: int, customers: int, span_ms: int) -> GeneratedEvents:
    """Generate visits of 4 to 13 events, 3 to 93 seconds apart; the last visit may be cut short."""
    lengths = 4 + (10 * np.square(draw.uniform(events // 4 + 1))).astype(np.int64)
    visit = np.repeat(np.arange(len(lengths)), lengths)[:events]
    first = (np.cumsum(lengths) - lengths)[visit]
    since = np.cumsum(draw.below(90_000, events) + 3_000)
    since -= since[first]
    if (longest := int(since.max(initial=0))) > span_ms // 2:  # a span of minutes: quicker visits
        since = since * (span_ms // 2) // longest
    start = draw.below(span_ms - int(since.max(initial=0)), len(lengths))
    place = np.arange(events) - first
    kind = _visit_kinds(draw, visit, place, lengths[visit] - 1 - place)
    choice = draw.below(CHOICES, events)
    follows = np.flatnonzero((kind == TextKind.REMOVED) | (kind == TextKind.ORDER))
    choice[follows] = choice[follows - 1]  # the products of an order are those of the checkout, a removed one was added
    return GeneratedEvents(
        time_ms=start[visit] + since,
        customer=(customers * np.square(draw.uniform(len(lengths)))).astype(np.int64)[visit],
        kind=kind,
        choice=choice,
        campaign=draw.below(CHOICES, len(lengths))[visit],
    )


def _visit_kinds(draw: Draw, visit: Integers, place: Integers, left: Integers) -> Integers:
    """The kinds of a visit's events: 60 % of the visits end in an order, 35 % fill a cart and mostly leave it."""
    events = len(visit)
    outcome = draw.uniform(events // 4 + 1)[visit]
    buys, fills = outcome < 0.6, outcome < 0.95
    chance = draw.uniform(events)
    rules = (
        ((place == 0) & (chance < 0.2), TextKind.IDENTIFY),
        (place == 0, TextKind.PAGE),
        (buys & (left == 0), TextKind.ORDER),
        (buys & (left == 1), TextKind.CHECKOUT),
        (np.where(buys, left == 2, fills & (left == 1)), TextKind.ADDED),
        (fills & (left == 0) & (chance < 0.1), TextKind.REMOVED),
    )
    browsing = draw.kinds(BROWSING, events)
    return np.select([where for where, _ in rules], [int(kind) for _, kind in rules], browsing)


PROFILES: dict[str, Callable[[Draw, int, int, int], GeneratedEvents]] = {
    "change-heavy": _change_heavy,
    "session-like": _session_like,
}


def _encoded(load: GeneratedEvents, order: Integers, start_ms: int, ids: Draw) -> Iterator[Record]:
    by_kind = texts()
    for begin in range(0, len(order), SLICE):
        part = order[begin : begin + SLICE]
        time_ms = load.time_ms[part] + start_ms
        yield from map(
            record,
            [by_kind[kind] for kind in load.kind[part].tolist()],
            load.customer[part].tolist(),
            load.choice[part].tolist(),
            load.campaign[part].tolist(),
            ids.uuids(len(part)),
            np.datetime_as_string(time_ms.astype("datetime64[ms]")).astype("S").tolist(),
            time_ms.tolist(),
        )


SPAN = re.compile(r"([0-9]+)(ms|s|m|h|d)")
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _span_ms(text: str) -> int:
    if not (match := SPAN.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration like 90s, 30m, 24h or 7d")
    return int(match[1]) * UNITS_MS[match[2]]


def _time_ms(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
        return round((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    except (ValueError, TypeError):  # TypeError: a time without an offset
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-01-01T00:00:00Z") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print the values, one a line, to standard output."""
    parser = argparse.ArgumentParser(description="Seeded Segment Spec events, one a line.")
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", choices=PROFILES, default="change-heavy")
    parser.add_argument("--start", type=_time_ms, default=START_MS, help="not before, RFC 3339 (2026-01-01T00:00:00Z)")
    parser.add_argument("--span", type=_span_ms, default=WEEK_MS, help="how long: 90s, 30m, 24h, 7d (7d)")
    wish = parser.parse_args(arguments)
    try:
        generated = records(wish.events, wish.customers, wish.seed, wish.profile, wish.start, wish.span)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.buffer.writelines(value + b"\n" for _, _, value, _ in generated)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so that `| head` ends it without an error
    sys.exit(main())
