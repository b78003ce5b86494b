"""Histories and definitions that collide: random events whose times sit on the boundaries of random rules.

Its one rule: every choice goes through a `Pick`, so that Hypothesis and a plain seeded Random draw from
the same world. A history has a scene: how many customers, what they mostly do, and a few durations. Each
event lies nothing, one of them, or a bound of the product after an earlier one, give or take a millisecond;
definitions of the same scene use the same durations.

Long because histories and definitions are drawn from one scene.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Event = dict[str, object]

START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
DURATIONS = {"10s": 10 * SECOND, "1m": MINUTE, "30m": 30 * MINUTE, "1h": HOUR, "1d": DAY, "30d": 30 * DAY}
KEPT = 90 * DAY  # the bound of items, and what the bound of orders is beyond the longest window
VISITS = ("page", "browse", "cart", "other")
CARTS = ("cart", "cart", "cart", "cart", "cart", "page", "order")
ORDERS = ("order", "order", "order", "order", "order", "order", "cart", "page")
MIXED = (*VISITS, "cart", "cart", "order", "order", "order")
NUDGES = (0, 0, 0, 0, 0, 0, 1, -1)
EARLIER = (1, 1, 1, 1, 2, 2, 3, 5, 0)  # which of the customer's drafts so far; 0 = the last of anybody

BROWSING = ("Product Viewed", "Viewed Product", "Product List Viewed", "Product List Filtered",
            "Products Searched", "Product Clicked", "Promotion Viewed", "Promotion Clicked")  # fmt: skip
OWN_NAMES = ("Signed Up", "Webinar Registered")
ADDING = ("Product Added", "Product Added", "Added Product", "Wishlist Product Added to Cart")
REMOVING = ("Product Removed", "Product Removed", "Removed Product")
LISTING = ("Cart Viewed", "Checkout Started")
OTHER_CARTS = ("Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
               "Coupon Entered", "Coupon Applied", "Coupon Removed", "Coupon Denied")  # fmt: skip
COMPLETING = ("Order Completed", "Order Completed", "Completed Order")

PRODUCTS: tuple[Event, ...] = (
    {"product_id": "p1"}, {"product_id": "p1", "sku": "s1"}, {"product_id": 7}, {"product_id": "7"},
    {"product_id": "", "sku": "s1"}, {"sku": "s1"}, {"product_id": None, "name": "چای سبز"}, {},
)  # fmt: skip
QUANTITIES: tuple[Event, ...] = (
    {}, {}, {}, {}, {"quantity": 1}, {"quantity": 1}, {"quantity": "1.0"}, {"quantity": 2},
    {"quantity": "2"}, {"quantity": 0.5}, {"quantity": "1.5"}, {"quantity": 0}, {"quantity": 1e-06},
    {"quantity": "0.0000009"}, {"quantity": None},
)  # fmt: skip
ORDER_IDS: tuple[Event, ...] = (
    {"order_id": "o1"}, {"order_id": "o1"}, {"order_id": "o2"}, {"order_id": 3}, {"order_id": "3"},
    {"order_id": ""}, {},
)  # fmt: skip
VALUES: tuple[Event, ...] = (
    {"total": 100}, {"total": "100.00"}, {"revenue": 100.0}, {"total": None, "revenue": "100"},
    {"total": 100, "revenue": 40}, {"total": 0}, {},
)  # fmt: skip
REFUNDS: tuple[Event, ...] = (
    {"total": 40}, {"total": 40}, {"revenue": "60.0"}, {"revenue": 60}, {"total": 99.999999},
    {"total": "1e-6"}, {"total": 100}, {"total": 0}, {}, {"products": [{"product_id": "p1"}]},
)  # fmt: skip


class Pick(Protocol):
    """One of several: the only way in which anything here is chosen."""

    def __call__(self, options: Sequence[T], /) -> T: ...


class Scene(NamedTuple):
    """What a history is about."""

    customers: int
    kinds: tuple[str, ...]
    durations: tuple[str, ...]  # ascending
    products: tuple[Event, ...]
    order_ids: tuple[Event, ...]


class Draft(NamedTuple):
    """An event without its time and messageId, which depend on the drafts before it."""

    customer: int
    earlier: int
    step_ms: int
    id_letter: str  # so that the order of ids is not the order of times
    identity: str
    clock: str
    body: Event
    copies: int


# --- with Hypothesis ---------------------------------------------------------------------------


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    return scene(picking(draw))


@st.composite
def sorted_history(draw: st.DrawFn, of: Scene | None = None, max_size: int = 25) -> list[Event]:
    """Events of 1-4 customers in time order: nobody has a late event."""
    drafts = draft_of(of or draw(scenes()))
    return in_time_order(place(draw(st.lists(drafts, min_size=1, max_size=max_size))))


@st.composite
def shuffled_history(draw: st.DrawFn, of: Scene | None = None, max_size: int = 25) -> list[Event]:
    """The same in any order: many events are late."""
    return draw(st.permutations(draw(sorted_history(of, max_size))))


@st.composite
def definitions(draw: st.DrawFn, of: Scene | None = None) -> Event:
    """1-4 segments over the conditions that are built so far, nested up to depth 3."""
    return definitions_by(picking(draw), of or draw(scenes()))


@st.composite
def worlds(draw: st.DrawFn, *, late: bool = False) -> tuple[list[Event], Event]:
    """A history and definitions of one scene: where boundaries are met most often."""
    of = draw(scenes())
    return draw(shuffled_history(of) if late else sorted_history(of)), draw(definitions(of))


@st.composite
def draft_of(draw: st.DrawFn, of: Scene) -> Draft:
    return draft(picking(draw), of)


def picking(draw: st.DrawFn) -> Pick:
    def pick(options: Sequence[T], /) -> T:
        return draw(st.sampled_from(options))

    return pick


# --- with a seed -------------------------------------------------------------------------------


def history(rng: random.Random, of: Scene | None = None, size: int = 25) -> list[Event]:
    """Events in time order; repeated messages come on top of `size`."""
    found = of or scene(rng.choice)
    return in_time_order(place([draft(rng.choice, found) for _ in range(size)]))


def shuffled(rng: random.Random, events: list[Event]) -> list[Event]:
    return rng.sample(events, len(events))


def random_definitions(rng: random.Random, of: Scene | None = None) -> Event:
    return definitions_by(rng.choice, of or scene(rng.choice))


def world(rng: random.Random, size: int = 25) -> tuple[list[Event], Event]:
    """A history in time order and definitions, of one scene."""
    of = scene(rng.choice)
    return history(rng, of, size), random_definitions(rng, of)


# --- histories ---------------------------------------------------------------------------------


def scene(pick: Pick) -> Scene:
    names = {pick(tuple(DURATIONS)) for _ in range(pick((1, 2, 3)))}
    durations = tuple(sorted(names, key=DURATIONS.__getitem__))
    kinds = pick((MIXED, MIXED, VISITS, CARTS, ORDERS, ORDERS))
    return Scene(pick((1, 2, 3, 4)), kinds, durations, some(pick, PRODUCTS), some(pick, ORDER_IDS))


def some(pick: Pick, options: tuple[Event, ...]) -> tuple[Event, ...]:
    return tuple(pick(options) for _ in range(pick((1, 2, 4))))


def steps(of: Scene) -> tuple[int, ...]:
    """Nothing and the durations often, the bounds now and then."""
    durations = tuple(DURATIONS[name] for name in of.durations)
    return (0,) * 2 * len(durations) + durations * 3 + (KEPT, *(KEPT + duration for duration in durations))


def draft(pick: Pick, of: Scene) -> Draft:
    return Draft(
        customer=pick(range(of.customers)),
        earlier=pick(EARLIER),
        step_ms=pick(steps(of)) + pick(NUDGES),
        id_letter=pick("axbyc"),
        identity=pick(("user", "user", "user", "anonymous", "empty user", "both")),
        clock=pick(("Z", "Z", "+03:30", "-05:00", "micros", "nanos")),
        body=body(pick, of),
        copies=pick((1, 1, 1, 1, 1, 1, 1, 2)),
    )


def place(drafted: list[Draft]) -> list[Event]:
    """The events of the drafts, as drawn: not in time order, repeated messages side by side."""
    placed: list[Event] = []
    times: dict[int, list[int]] = {}
    newest = 0
    for index, one in enumerate(drafted):
        newest = max(0, anchor(times.get(one.customer, []), one.earlier, newest) + one.step_ms)
        times.setdefault(one.customer, []).append(newest)
        placed += [event(one, newest, f"{one.id_letter}{index}") for _ in range(one.copies)]
    return placed


def anchor(own: list[int], earlier: int, newest: int) -> int:
    return own[-min(earlier, len(own))] if own and earlier else newest


def event(one: Draft, since_start_ms: int, message_id: str) -> Event:
    moment = START + timedelta(milliseconds=since_start_ms)
    stamp: Event = {"messageId": message_id, "timestamp": written(moment, one.clock)}
    return one.body | stamp | ids(customer_name(one.customer), one.identity)


def customer_name(index: int) -> str:
    return "مشتری-۱" if index == 1 else f"u{index}"


def ids(customer: str, identity: str) -> Event:
    """The customer is userId, else anonymousId."""
    if identity == "anonymous":
        return {"anonymousId": customer}
    if identity == "empty user":
        return {"userId": "", "anonymousId": customer}
    return {"userId": customer, "anonymousId": "u0"} if identity == "both" else {"userId": customer}


def written(moment: datetime, clock: str) -> str:
    """RFC 3339 in several hands; digits beyond the millisecond are to be cut."""
    offsets = {"+03:30": timedelta(hours=3.5), "-05:00": timedelta(hours=-5)}
    local = moment.astimezone(timezone(offsets.get(clock, timedelta())))
    digits = {"micros": "999", "nanos": "999999"}.get(clock, "")
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{local.microsecond // 1000:03}{digits}{offset_of(clock)}"


def offset_of(clock: str) -> str:
    return clock if clock in ("+03:30", "-05:00") else "Z"


def in_time_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=cut_instant)


def cut_instant(one: Event) -> datetime:
    """The event's time as the contract cuts it; equal milliseconds stay in drawn order."""
    moment = datetime.fromisoformat(str(one["timestamp"]))
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def body(pick: Pick, of: Scene) -> Event:
    kind = pick(of.kinds)
    if kind == "page":
        return {"type": pick(("page", "page", "screen")), "properties": {"path": "/"}}
    if kind == "browse":
        return track(pick(BROWSING), pick(of.products))
    if kind == "cart":
        return cart_body(pick, of)
    return order_body(pick, of) if kind == "order" else other_body(pick)


def other_body(pick: Pick) -> Event:
    """Facts that are neither activity nor purchase."""
    identify: Event = {"type": "identify", "traits": {"plan": "pro"}}
    return pick((identify, track(OWN_NAMES[0], {}), track(OWN_NAMES[1], {})))


def cart_body(pick: Pick, of: Scene) -> Event:
    kind = pick(("add", "add", "add", "remove", "remove", "list", "other"))
    if kind == "other":
        return track(pick(OTHER_CARTS), {})
    if kind == "list":
        return track(pick(LISTING), pick(({}, {"products": []}, {"products": products(pick, of)})))
    return track(pick(ADDING if kind == "add" else REMOVING), pick(of.products) | pick(QUANTITIES))


def products(pick: Pick, of: Scene) -> list[Event]:
    return [pick(of.products) | pick(QUANTITIES) for _ in range(pick((1, 2)))]


def order_body(pick: Pick, of: Scene) -> Event:
    kind = pick(("complete", "complete", "complete", "complete", "refund", "refund", "refund", "cancel"))
    if kind == "complete":
        return track(pick(COMPLETING), pick(of.order_ids) | pick(VALUES))
    if kind == "refund":
        return track("Order Refunded", pick(of.order_ids) | pick(REFUNDS))
    return track("Order Cancelled", pick(of.order_ids))


def track(name: str, properties: Event) -> Event:
    return {"type": "track", "event": name, "properties": properties}


# --- definitions -------------------------------------------------------------------------------

EVENT_NAMES: tuple[str | list[str], ...] = (
    "Order Completed", "Order Completed", "page", "Product Viewed", "Product Added", "Signed Up",
    "Order Refunded", ["Order Completed", "Product Added"], ["page", "Product Viewed"],
    ["Order Cancelled", "Cart Viewed"],
)  # fmt: skip
COUNTS: tuple[Event, ...] = (
    {"at_least": 1}, {"at_least": 2}, {"at_least": 3}, {"at_most": 0}, {"at_most": 1},
    {"at_least": 1, "at_most": 2},
)  # fmt: skip
LEAF_KINDS = ("performed", "performed", "cart", "sessions")
EXACT_COUNTS: tuple[Event, ...] = ({"exactly": 0}, {"exactly": 1}, {"exactly": 2})


def definitions_by(pick: Pick, of: Scene) -> Event:
    keys = ("segment_a", "segment_b", "segment_c", "segment_d")[: pick((1, 2, 3, 4))]
    segments = {key: {"title": key, "when": condition(pick, of, depth=pick((1, 3)))} for key in keys}
    return {"version": 1, "segments": segments}


def condition(pick: Pick, of: Scene, depth: int) -> Event:
    """A condition with at most `depth` levels, its leaf counted."""
    kind = pick(LEAF_KINDS if depth == 1 else ("performed", "all", "any", "not", "not one"))
    if kind == "not one":
        return {"not": condition(pick, of, depth - 1)}
    if kind in ("all", "any", "not"):
        return {kind: [condition(pick, of, depth - 1) for _ in range(pick((1, 2, 2, 3)))]}
    return {kind: FORMS[kind](pick, of)}


def performed_form(pick: Pick, of: Scene) -> Event:
    count = pick((None, None, *COUNTS, *EXACT_COUNTS))
    within = pick((None, *of.durations * 4))
    return {"event": pick(EVENT_NAMES)} | optional("count", count) | optional("within", within)


def sessions_form(pick: Pick, of: Scene) -> Event:
    gap = pick((None, *of.durations))
    return {"count": pick(COUNTS), "within": pick(of.durations)} | optional("gap", gap)


def cart_form(pick: Pick, of: Scene) -> Event:
    """idle_for is always below until: the other way round the segment would be empty."""
    start = pick(range(len(of.durations)))
    idle_for = pick((None, of.durations[start], of.durations[start]))
    later = of.durations[start + 1 :] if idle_for else of.durations
    return optional("idle_for", idle_for) | optional("until", pick((None, *later, *later)))


FORMS = {"performed": performed_form, "sessions": sessions_form, "cart": cart_form}


def optional(key: str, value: object) -> Event:
    return {} if value is None else {key: value}
