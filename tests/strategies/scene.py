"""The scene of a history: its customers, their usual events and values, and the durations between events.

Its one rule: histories and definitions are drawn from the same few names, durations and properties, so that
they meet; a scene may be about one condition, whose events then make most of it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeVar

from tests.strategies.oddities import KINDS_FOR, ODDITIES, ordered
from tests.strategies.values import (
    CONTEXTS,
    MANY_ORDER_IDS,
    ORDER_IDS,
    PRODUCTS,
    PROPERTIES,
    SUMMED,
    TRAITS,
    Event,
    Fragments,
)

T = TypeVar("T")

START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
DURATIONS = {"10s": 10 * SECOND, "1m": MINUTE, "30m": 30 * MINUTE, "1h": HOUR, "1d": DAY, "30d": 30 * DAY}
ITEM_RETENTION = 90 * DAY  # the bound of items, and what the bound of orders is beyond the longest window
REPEAT = 5 * MINUTE  # for so long a repeat of an order ends a cart
TO_MIDNIGHT = (20 * HOUR + 30 * MINUTE, 23 * HOUR, DAY)  # of Tehran, of Berlin in winter, and again

VISITS = ("page", "browse", "cart", "other")
CARTS = ("cart", "cart", "cart", "cart", "cart", "page", "order")
ORDERS = ("order", "order", "order", "order", "order", "order", "cart", "page")
MIXED = (*VISITS, "cart", "cart", "order", "order", "order")
NAMED = (*("named",) * 7, "order", "cart", "page")
NAMED_AND_ORDERS = (*("named",) * 4, *("order",) * 4)
TAKEN_BACK = (*("named",) * 7, *("taken back",) * 2)
IDENTIFY = (*("identify",) * 6, "page", "named")
TOUCHES = (*("page",) * 4, "browse", "named", "order", "identify")

NAMES = (
    "page", "Product Viewed", "Product Viewed", "Product Added", "Signed Up", "NPS Submitted", "NPS Submitted",
    "Order Completed", "Checkout Started", "Webinar Registered",
)  # fmt: skip
CONTEXT_CHOICES = (*CONTEXTS, "referrer", "referrer", "page", "page", "campaign")  # what makes a channel
TRAIT_CHOICES = (*TRAITS, *("birth_date",) * 4)  # the one that time changes
LONG = ("1h", "1d", "1d", "30d")
ALL = tuple(DURATIONS)


class Pick(Protocol):
    """One of several: the only way in which anything here is chosen."""

    def __call__(self, options: Sequence[T], /) -> T: ...


class Theme(NamedTuple):
    """What a scene about one condition is made of."""

    kinds: tuple[tuple[str, ...], ...]
    names: tuple[str, ...] = NAMES
    durations: tuple[str, ...] = ALL
    fields: tuple[str, ...] = tuple(PROPERTIES)
    contexts: tuple[int, ...] = (0, 0, 0, 1)  # in how many parts an event tells its context
    order_ids: Fragments = ORDER_IDS
    customers: tuple[int, ...] = (1, 2, 3, 4)


WITH_ORDERS = ("Order Completed", "Order Completed", *NAMES)
THEMES: dict[str, Theme] = {
    "performed": Theme((MIXED, NAMED, NAMED)),
    "total": Theme(
        kinds=(NAMED, NAMED_AND_ORDERS, NAMED_AND_ORDERS),
        names=("NPS Submitted", "Order Completed", *NAMES),
        fields=tuple(SUMMED),
        order_ids=ORDER_IDS[:-2],  # those that a refund can name
    ),
    "ratio": Theme(
        kinds=(NAMED, NAMED_AND_ORDERS, NAMED_AND_ORDERS),
        names=("NPS Submitted", "Order Completed", *NAMES),
        fields=tuple(SUMMED),
        order_ids=ORDER_IDS[:-2],  # those that a refund can name
    ),
    "last": Theme((MIXED, NAMED, ORDERS), WITH_ORDERS),
    "first": Theme((ORDERS, NAMED_AND_ORDERS, TAKEN_BACK), ("Order Completed",) * 3 + NAMES),
    "overdue": Theme((MIXED, NAMED, ORDERS), WITH_ORDERS),
    "score": Theme((NAMED, NAMED, NAMED_AND_ORDERS, TAKEN_BACK), WITH_ORDERS),
    "newest": Theme((MIXED, NAMED, NAMED_AND_ORDERS), ("Order Completed", *NAMES)),
    "sequence": Theme(
        kinds=(NAMED, TAKEN_BACK, TAKEN_BACK),
        names=("Order Completed",) * 8 + NAMES,
        order_ids=MANY_ORDER_IDS,
        customers=(1, 1, 2, 3),
    ),
    "cart": Theme((CARTS,)),
    "sessions": Theme((VISITS,)),
    "trait": Theme((IDENTIFY,), durations=LONG),
    "context": Theme((TOUCHES,), contexts=(1, 2, 2, 3)),
    "in_segment": Theme((MIXED, NAMED)),
    "calendar": Theme((MIXED, NAMED), durations=LONG),
    "sample": Theme((MIXED,)),
}
THEMES_DRAWN = (
    "performed", "performed", "total", "total", "last", "first", "newest", "overdue", "score", "ratio", "sequence",
    "sequence", "cart", "cart", "sessions", "trait", "trait", "context", "context", "in_segment", "calendar", "sample",
)  # fmt: skip


class Scene(NamedTuple):
    """What a history is about."""

    customers: int
    kinds: tuple[str, ...]
    durations: tuple[str, ...]  # ascending
    products: tuple[Event, ...]
    order_ids: tuple[Event, ...]
    theme: str
    names: tuple[str, ...]  # what is tracked
    fields: tuple[str, ...]  # the properties that are told and asked
    traits: tuple[str, ...]
    contexts: tuple[str, ...]
    context_parts: tuple[int, ...]
    oddities: tuple[str, ...] = ()  # in which ways events are told oddly; none in half of the scenes


def scene(pick: Pick, about: str | None = None) -> Scene:
    theme = about or pick(THEMES_DRAWN)
    of = THEMES[theme]
    oddities = ordered([pick(ODDITIES) for _ in range(pick((0, 9)))])
    durations = {pick(of.durations) for _ in range(pick((1, 2, 3)))}
    return Scene(
        customers=pick(of.customers),
        kinds=pick(of.kinds) + sum((KINDS_FOR.get(oddity, ()) for oddity in oddities), ()),
        durations=tuple(sorted(durations, key=DURATIONS.__getitem__)),
        products=some(pick, PRODUCTS),
        order_ids=some(pick, of.order_ids),
        theme=theme,
        names=tuple(pick(of.names) for _ in range(pick((1, 2, 3)))),
        fields=(pick(of.fields), *(pick(tuple(PROPERTIES)) for _ in range(pick((0, 1))))),
        traits=tuple(pick(TRAIT_CHOICES) for _ in range(pick((1, 2)))),
        contexts=tuple(pick(CONTEXT_CHOICES) for _ in range(pick((1, 2, 3)))),
        context_parts=of.contexts,
        oddities=oddities,
    )


def some(pick: Pick, options: tuple[Event, ...]) -> tuple[Event, ...]:
    return tuple(pick(options) for _ in range(pick((1, 2, 4))))


def steps(of: Scene) -> tuple[int, ...]:
    """Nothing and the durations often, the bounds now and then; midnights where days count."""
    durations = tuple(DURATIONS[name] for name in of.durations)
    options = (
        (0,) * 2 * len(durations)
        + durations * 3
        + (ITEM_RETENTION, *(ITEM_RETENTION + duration for duration in durations))
    )
    if "orders" in of.oddities:
        options += (REPEAT, REPEAT, MINUTE, MINUTE, 2 * MINUTE) * len(durations)
    return options + TO_MIDNIGHT * len(durations) if of.theme == "calendar" else options


def merged(fragments: Iterable[Event]) -> Event:
    """One object of the fragments."""
    whole: Event = {}
    for fragment in fragments:
        whole |= fragment
    return whole
