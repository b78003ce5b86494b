"""Ids of customers and of messages."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import Any, Final

from tests.input_surface.model import ABSENT, USER, Case, Event, label, make, raw, track, without_absent
from tests.input_surface.truth import CUSTOM, Order, did, of_orders

ANONYMOUS: Final = "§a"
SIXTY: Final = Order(Fraction(60))
SIGNED: Final = {did(CUSTOM)}
PLACEHOLDERS: Final = (
    *("undefined", "null", "nil", "none", "nan", "n/a", "na", "anonymous", "anon", "guest", "unknown", "user"),
    *("userid", "user_id", "default", "test", "0", "-1", "true", "false", "[object Object]", "{}", "[]"),
    "00000000-0000-0000-0000-000000000000",
)
NONE: Final[tuple[Any, ...]] = (ABSENT, None, "", "   ")
UNUSABLE: Final[tuple[Any, ...]] = ({"id": 1}, ["u"], 1.5, "x" * 257, "é" * 129, "a\nb", "a\u0000b", "a\u007fb")


def spelled(placeholder: str) -> tuple[Any, ...]:
    """A placeholder as it comes: in other cases, with spaces around, and as a number."""
    texts = dict.fromkeys((placeholder, placeholder.upper(), placeholder.title(), f" {placeholder} "))
    numbers = (int(placeholder), raw(f"{placeholder}.0")) if placeholder in ("0", "-1") else ()
    return (*texts, *numbers)


def signed(message: str, minutes: float, user: Any, anonymous: Any = ABSENT) -> Event:
    """The event Signed Up under these two ids."""
    head = track(CUSTOM, message, minutes)
    return without_absent({**head, "userId": user, "anonymousId": anonymous})


def spellings() -> Iterator[Case]:
    """An integer, a float without a fraction and their digits are one customer."""
    numbers = count(7_000_000_001)
    for field in ("userId", "anonymousId"):
        for form in ("{}", "{}.0", '"{}"', "{}.00"):
            number = str(next(numbers))
            value = raw(form.format(number))
            sent = signed("m", 0, value) if field == "userId" else signed("m", 0, ABSENT, value)
            name = f"{field} as {form}"
            yield make(name, ("R24",), "names", [sent], {number: SIGNED})
            number = str(next(numbers))  # cases share no customer
            sent = {**sent, field: raw(form.format(number))}
            page = {**sent, "type": "page", "messageId": "§m2", "timestamp": "2026-03-02T09:01:00Z", field: number}
            right = {number: {*SIGNED, did("page"), "active"}}
            yield make(f"{name}, then as text", ("R24",), "names", [sent, page], right)
    big = "98765432109876543210"
    yield make("userId of twenty digits", ("R24",), "names", [signed("m", 0, raw(big))], {big: SIGNED})
    for text in ("§" + "x" * 200, "§é", "§a b", "§a@shop.example", "§😀", "§users", "§null", "§guest1"):
        yield make(f"userId {label(text)}", ("R24",), "names", [signed("m", 0, text)], {text: SIGNED})


def absent() -> Iterator[Case]:
    """Which of the two ids counts, and what is refused."""
    after = track(CUSTOM, "m2", 1)
    for value in NONE:
        name = f"userId {label(value)} beside an anonymousId"
        yield make(name, ("R24", "R7"), "names", [signed("m", 0, value, ANONYMOUS)], {ANONYMOUS: SIGNED})
        name = f"anonymousId {label(value)} beside a userId"
        yield make(name, ("R24", "R7"), "names", [signed("m", 0, USER, value)], SIGNED)
        for other in NONE:
            events = [signed("m", 0, value, other), after]
            name = f"userId {label(value)} and anonymousId {label(other)}"
            yield make(name, ("R24", "R7"), "names", events, SIGNED, refused={1: "no_customer"})
    for value in UNUSABLE:
        name = f"userId {label(value)}"
        yield make(name, ("R24",), "names", [signed("m", 0, value), after], SIGNED, refused={1: "bad_id"})
        events = [signed("m", 0, ABSENT, value), after]
        yield make(f"anonymousId {label(value)}", ("R24",), "names", events, SIGNED, refused={1: "bad_id"})
        name = f"anonymousId {label(value)} beside a userId"
        yield make(name, ("R24", "R31"), "names", [signed("m", 0, USER, value)], SIGNED)
        name = f"userId {label(value)} beside an anonymousId"
        yield make(name, ("R24",), "names", [signed("m", 0, value, ANONYMOUS)], {ANONYMOUS: SIGNED})
    others: tuple[Any, ...] = (True, False, {}, [])
    for value in others:
        name = f"anonymousId {label(value)} beside a userId"
        yield make(name, ("R24", "R31"), "names", [signed("m", 0, USER, value)], SIGNED)
        name = f"userId {label(value)} beside an anonymousId"
        yield make(name, ("R24",), "names", [signed("m", 0, value, ANONYMOUS)], {ANONYMOUS: SIGNED})


def placeholders() -> Iterator[Case]:
    """A placeholder is no id, and links no customers."""
    after = track(CUSTOM, "m9", 1)
    for placeholder in PLACEHOLDERS:
        for value in spelled(placeholder):
            shown = label(value)
            sent = signed("m", 0, value, ANONYMOUS)
            yield make(f"userId {shown} beside an anonymousId", ("R25",), "names", [sent], {ANONYMOUS: SIGNED})
            sent = signed("m", 0, USER, value)
            yield make(f"placeholder {shown} beside a userId", ("R25",), "names", [sent], SIGNED)
            events = [signed("m", 0, value), after]
            yield make(f"userId {shown} alone", ("R25",), "names", events, SIGNED, refused={1: "no_customer"})
            events = [signed("m", 0, ABSENT, value), after]
            yield make(f"anonymousId {shown} alone", ("R25",), "names", events, SIGNED, refused={1: "no_customer"})
        page = {**signed("m3", 2, placeholder, "§b"), "type": "page"}
        login = {**signed("m2", 1, placeholder, ANONYMOUS), "type": "identify", "traits": {"email": "a@shop.example"}}
        events = [signed("m1", 0, ABSENT, ANONYMOUS), login, page]
        right = {ANONYMOUS: SIGNED, "§b": {did("page"), "active"}}
        yield make(f"two people log in as {placeholder}", ("R25",), "names", events, right)
        login = {**login, "userId": USER, "anonymousId": placeholder}
        other = {**login, "messageId": "§m4", "userId": "§v", "type": "page"}
        right = {USER: set(), "§v": {did("page"), "active"}}
        yield make(f"two people come from {placeholder}", ("R25",), "names", [login, other], right)


def links() -> Iterator[Case]:
    """A login joins what the visitor did, whatever else the event holds."""
    forms: tuple[Any, ...] = (ABSENT, None, "", [], {}, "x", 5, True)
    for field in ("traits", "context", "properties"):
        for value in forms:
            login = {**signed("m2", 1, USER, ANONYMOUS), "type": "identify", field: value}
            events = [signed("m1", 0, ABSENT, ANONYMOUS), without_absent(login)]
            yield make(f"login with {field} {label(value)}", ("R32", "R24", "R31"), "names", events, SIGNED)


def aliases() -> Iterator[Case]:
    """An alias joins its former id, where that is an id."""
    numbers = count(9_000_000_001)
    values: tuple[Any, ...] = (*NONE, *UNUSABLE, {}, [], True, 0, -1, *PLACEHOLDERS[:12])
    for value in values:
        alias = without_absent({**signed("m2", 1, USER), "type": "alias", "previousId": value})
        events = [alias, signed("m3", 2, USER)]
        yield make(f"alias of {label(value)}", ("R24", "R25", "R31"), "names", events, SIGNED)
    for form in ("{}", "{}.0", '"{}"'):
        number = str(next(numbers))
        alias = {**signed("m2", 1, USER), "type": "alias", "previousId": raw(form.format(number))}
        events = [signed("m1", 0, number), alias]
        yield make(f"alias of an id as {form}", ("R24",), "names", events, SIGNED)


def messages() -> Iterator[Case]:
    """Message ids in all their spellings."""
    numbers = count(8_000_000_001)
    for first in ("{}", "{}.0", '"{}"'):
        for second in ("{}", "{}.0", '"{}"'):
            number = next(numbers)
            sent = {**track("Order Completed", "m", 0, total=60), "messageId": raw(first.format(number))}
            again = {**sent, "messageId": raw(second.format(number))}
            right = of_orders([SIXTY])
            yield make(f"message id as {first} and {second}", ("R26", "R18"), "orders", [sent, again], right)
            sent = {**sent, "messageId": raw(first.format(next(numbers)))}  # cases share no message
            again = {**sent, "messageId": raw(second.format(next(numbers)))}
            right = of_orders([SIXTY, SIXTY])
            yield make(f"message ids as {first} and {second}, two", ("R26", "R18"), "orders", [sent, again], right)
    after = track(CUSTOM, "m2", 1)
    bad: tuple[Any, ...] = (ABSENT, None, "", True, False, {}, [], {"id": 1}, ["m"])
    for value in bad:
        sent = without_absent({**track(CUSTOM, "m"), "messageId": value})
        name = f"message id {label(value)}"
        yield make(name, ("R26",), "names", [sent, after], SIGNED, refused={1: "no_message_id"})


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (spellings, absent, placeholders, links, aliases, messages):
        yield from part()
