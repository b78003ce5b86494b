"""Times of an event, seen by whether an item comes after the order that ends the cart."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any, Final

from tests.input_surface.model import ABSENT, START, Case, Event, label, make, track, without_absent
from tests.input_surface.truth import CUSTOM, Cart, did, of_cart

ORDER: Final = START + timedelta(minutes=5)
PAID: Final = track("Order Completed", "o", 5, order_id="1", total=9)
OPEN: Final = of_cart(Cart(Fraction(10), Fraction(1)))
NO_TIME: Final[tuple[Any, ...]] = (ABSENT, None, "")


def written(moment: datetime) -> dict[str, str]:
    """The forms of one moment: what they are, and the text."""
    plain = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    forms = {
        "Z": f"{plain}Z",
        "small letters": f"{plain}Z".lower(),
        "a tenth": f"{plain}.0Z",
        "milliseconds": f"{plain}.000Z",
        "nanoseconds": f"{plain}.000000000Z",
        "+00:00": f"{plain}+00:00",
        "-00:00": f"{plain}-00:00",
        "+0000": f"{plain}+0000",
        "+00": f"{plain}+00",
    }
    for minutes in (60, 210, 345, -300, -570, 840):
        there = moment.astimezone(timezone(timedelta(minutes=minutes))).strftime("%Y-%m-%dT%H:%M:%S%z")
        forms[f"{there[-5:-2]}:{there[-2:]}"] = f"{there[:-2]}:{there[-2:]}"
        forms[there[-5:]] = there
        if there.endswith("00"):
            forms[there[-5:-2]] = there[:-2]
    return forms


def item(**times: Any) -> Event:
    """An item put into the cart at these times."""
    bare = {**track("Product Added", "m", 0, product_id="a", price=10), "timestamp": ABSENT}
    return without_absent({**bare, **times})


def forms() -> Iterator[Case]:
    """Every form of a time, before and after the order, in `timestamp` and in `originalTimestamp`."""
    for minutes in (-5, 5):
        right = OPEN if minutes > 0 else of_cart(None)
        where = "after" if minutes > 0 else "before"
        for name, text in written(ORDER + timedelta(minutes=minutes)).items():
            events = [item(timestamp=text), PAID]
            yield make(f"timestamp with {name}, {where}", ("R27",), "carts", events, right)
            events = [item(originalTimestamp=text), PAID]
            yield make(f"originalTimestamp with {name}, {where}", ("R27",), "carts", events, right)
        text = written(ORDER + timedelta(minutes=minutes))["Z"]
        for absent in NO_TIME:
            events = [item(timestamp=absent, originalTimestamp=text), PAID]
            name = f"timestamp {label(absent)} beside originalTimestamp {where}"
            yield make(name, ("R27", "R7"), "carts", events, right)
    for fraction, after in ((".0009", False), (".000999999", False), (".001", True), (".0010001", True)):
        events = [item(timestamp=ORDER.strftime(f"%Y-%m-%dT%H:%M:%S{fraction}Z")), PAID]
        yield make(f"{fraction} s after the order", ("R27",), "carts", events, OPEN if after else of_cart(None))


def refused() -> Iterator[Case]:
    """No time at all, and times that are none."""
    after = track(CUSTOM, "m2", 1)
    right = {did(CUSTOM)}
    none: tuple[Any, ...] = (*NO_TIME, 1772442000, 1772442000000, 1772442000.5, True, {}, [], {"$date": "x"})
    for value in none:
        events = [without_absent({**track(CUSTOM, "m"), "timestamp": value}), after]
        yield make(f"timestamp {label(value)}", ("R27",), "names", events, right, refused={1: "no_timestamp"})
    for value in (
        "2026-03-02T09:00:00",
        "2026-03-02 09:00:00",
        "2026-03-02",
        "2026-02-30T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "2026-03-02T25:00:00Z",
        "2026-03-02T09:61:00Z",
        "1772442000",
        "yesterday",
        "Mon, 02 Mar 2026 09:00:00 GMT",
        "02/03/2026 09:00",
        "undefined",
        "Invalid Date",
        "x" * 3000,
        "1999-12-31T23:59:59Z",
        "1999-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00Z",
        "0000-00-00T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2000-01-01T00:30:00+01:00",
    ):
        events = [{**track(CUSTOM, "m"), "timestamp": value}, after]
        yield make(f"time {label(value)}", ("R27",), "names", events, right, refused={1: "absurd_timestamp"})
    for value in ("2000-01-01T00:00:00Z", "1999-12-31T23:30:00-01:00", "2024-02-29T12:00:00Z"):
        events = [{**track(CUSTOM, "m"), "timestamp": value}]
        yield make(f"time {value}", ("R27",), "names", events, right)


def corrected() -> Iterator[Case]:
    """A client clock is corrected by what sending and receiving tell, beyond a minute."""
    for seconds in (600, 86_400, 61, 60.5, 60, 59, 1, 0, -1, -59, -60, -60.5, -61, -600, -86_400):
        for start in (-30, 30, -700, 700):
            stated = ORDER + timedelta(seconds=start)
            sent = stated + timedelta(seconds=2)
            received = sent + timedelta(seconds=seconds)
            moved = start + (seconds if abs(seconds) > 60 else 0)
            both = {"sentAt": _text(sent), "receivedAt": _text(received)}
            for field in ("originalTimestamp", "timestamp"):
                events = [item(**{field: _text(stated)}, **both), PAID]
                right = OPEN if moved > 0 else of_cart(None)
                name = f"{field} {start} s from the order, received {seconds} s after sent"
                yield make(name, ("R28",), "carts", events, right)
            events = [item(timestamp=_text(stated), originalTimestamp=_text(sent), **both), PAID]
            name = f"both times {start} s from the order, received {seconds} s after sent"
            yield make(name, ("R28",), "carts", events, OPEN if start > 0 else of_cart(None))
    values: tuple[Any, ...] = (ABSENT, None, "", "x", "2026-03-02T09:00:00", 5, True, {}, [], "x" * 3000)
    for value in values:
        for field, other in (("sentAt", "receivedAt"), ("receivedAt", "sentAt")):
            for start in (-30, 30):
                stated = ORDER + timedelta(seconds=start)
                far = ORDER + timedelta(seconds=-3600 * start)
                events = [item(originalTimestamp=_text(stated), **{field: value, other: _text(far)}), PAID]
                right = OPEN if start > 0 else of_cart(None)
                name = f"{start} s from the order, {field} {label(value)}"
                yield make(name, ("R28", "R31"), "carts", events, right)
    stated = ORDER - timedelta(seconds=30)
    for name, text in written(stated + timedelta(minutes=10)).items():
        events = [item(originalTimestamp=_text(stated), sentAt=_text(stated), receivedAt=text), PAID]
        yield make(f"receivedAt with {name}", ("R28", "R27"), "carts", events, OPEN)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (forms, refused, corrected):
        yield from part()
