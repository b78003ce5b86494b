"""The tests' oracle: which segment changes the contract (DESIGN.md, sections 3 and 4) asks for.

Its one rule: every decision is computed afresh from all that is known of the customer at that moment;
nothing but the last answer is carried on. Slow and obvious on purpose, and no code shared with the product.

Long because it is one reading of the contract, top to bottom, that shares nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from itertools import groupby, pairwise
from typing import NamedTuple

Json = Mapping[str, object]

SECOND_MS = 1000
UNIT_MS = {"s": SECOND_MS, "m": 60 * SECOND_MS, "h": 3600 * SECOND_MS, "d": 86_400 * SECOND_MS}
ITEMS_KEPT_MS = 90 * UNIT_MS["d"]  # DESIGN, fine print, Cart
ORDERS_KEPT_MS = 90 * UNIT_MS["d"]  # the product's stated bound, beyond the longest window over orders

COMPLETED, REFUNDED, CANCELLED = "Order Completed", "Order Refunded", "Order Cancelled"
PURCHASES = {COMPLETED, REFUNDED, CANCELLED}
ADDING = {"Product Added", "Wishlist Product Added to Cart"}
REMOVING = {"Product Removed"}
REPLACING = {"Cart Viewed", "Checkout Started"}
CARTS = ADDING | REMOVING | REPLACING | {
    "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
    "Coupon Entered", "Coupon Applied", "Coupon Removed", "Coupon Denied",
}  # fmt: skip
BROWSE = {
    "Product Viewed", "Product List Viewed", "Product List Filtered", "Products Searched",
    "Product Clicked", "Promotion Viewed", "Promotion Clicked",
}  # fmt: skip
ACTIVITY = {"page"} | BROWSE | CARTS
OLD_NAMES = {
    "Viewed Product": "Product Viewed",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Completed Order": COMPLETED,
}

BUILT_IN: Json = {
    "version": 1,
    "segments": {
        "abandoned_cart": {"when": {"cart": {"idle_for": "30m", "until": "30d"}}},
        "recently_purchased": {"when": {"performed": {"event": COMPLETED, "within": "30d"}}},
        "returning_visitor": {"when": {"sessions": {"count": {"at_least": 2}, "within": "30d"}}},
        "repeat_buyer": {"when": {"performed": {"event": COMPLETED, "count": {"at_least": 2}, "within": "365d"}}},
    },
}

# What is understood of each condition; the rest is named by `needs`.
KEYS = {
    "performed": {"event", "count", "within"},
    "cart": {"idle_for", "until"},
    "sessions": {"count", "within", "gap"},
}


class OracleChange(NamedTuple):
    """One entry or exit; `occurred_at` in milliseconds since the epoch, UTC."""

    customer_id: str
    segment: str
    change: str  # 'entered' | 'exited'
    occurred_at: int
    late: bool


class Fact(NamedTuple):
    """One event as the rules see it."""

    time: int
    message_id: str
    name: str
    properties: Json


class Rules(NamedTuple):
    """The definitions, with what has to be known of all of them at once."""

    conditions: dict[str, Json]
    durations: frozenset[int]
    orders_kept: int | None


class History(NamedTuple):
    """All that is known of one customer at `now`, each message once, in (time, messageId) order."""

    facts: list[Fact]
    now: int
    orders: list[int]


class Decision(NamedTuple):
    """A moment at which a customer is decided, and what is known by then."""

    now: int
    known: Sequence[Fact]
    late: bool


# --- what the tests ask ------------------------------------------------------------------------


def changes(events: Sequence[Json], definitions: Json, until: int | None = None) -> list[OracleChange]:
    """The changes of a replay of `events` in reading order, in order per customer."""
    rules = read_rules(definitions)
    end = latest(events) if until is None else until
    found: list[OracleChange] = []
    for customer_id, facts in by_customer(events, end).items():
        found += customer_changes(customer_id, facts, rules, end)
    return sorted(found, key=lambda change: change.occurred_at)


def membership(events: Sequence[Json], definitions: Json, at: int) -> dict[str, frozenset[str]]:
    """The segments of each customer at `at`, from all the events up to then, in whatever order."""
    rules = read_rules(definitions)
    return {customer: held(facts, at, rules) for customer, facts in by_customer(events, at).items()}


def unsupported(definitions: Json) -> bool:
    """Whether the definitions use a condition that the oracle does not know yet."""
    return bool(needs(definitions))


def needs(definitions: Json) -> list[str]:
    """The conditions, or keys of conditions, that the oracle does not know yet."""
    unknown = {name for kind, form in all_leaves(definitions) for name in unknown_names(kind, form)}
    return sorted(unknown)


def milliseconds(timestamp: object) -> int:
    """RFC 3339 with offset, cut to milliseconds since the epoch."""
    moment = datetime.fromisoformat(str(timestamp).upper())
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


# --- reading -----------------------------------------------------------------------------------


def by_customer(events: Sequence[Json], until: int) -> dict[str, list[Fact]]:
    """Each customer's events up to `until`, in reading order."""
    lines = [(customer(event), fact(event)) for event in events if has_effect(event)]
    lines = [line for line in lines if line[1].time <= until]
    customers: dict[str, list[Fact]] = {}
    for customer_id, what in reading_order(lines):
        customers.setdefault(customer_id, []).append(what)
    return customers


def reading_order(lines: list[tuple[str, Fact]]) -> Iterator[tuple[str, Fact]]:
    """File order, but neighbouring lines of one millisecond go by topic."""
    for _, neighbours in groupby(lines, key=lambda line: line[1].time):
        yield from sorted(neighbours, key=lambda line: topic_rank(line[1].name))


def topic_rank(name: str) -> int:
    """profiles, visits, carts, purchases."""
    if name == "identify":
        return 0
    return 3 if name in PURCHASES else 2 if name in CARTS else 1


def latest(events: Sequence[Json]) -> int:
    return max((fact(event).time for event in events if has_effect(event)), default=0)


def has_effect(event: Json) -> bool:
    return event["type"] not in ("alias", "group")


def customer(event: Json) -> str:
    return str(event.get("userId") or event["anonymousId"])


def fact(event: Json) -> Fact:
    properties = mapping(event.get("properties"))
    return Fact(milliseconds(event["timestamp"]), str(event["messageId"]), name_of(event), properties)


def name_of(event: Json) -> str:
    if event["type"] == "track":
        return current_name(event["event"])
    return "page" if event["type"] == "screen" else str(event["type"])


def current_name(name: object) -> str:
    return OLD_NAMES.get(str(name), str(name))


# --- deciding ----------------------------------------------------------------------------------


def customer_changes(customer_id: str, facts: list[Fact], rules: Rules, end: int) -> list[OracleChange]:
    """One customer's changes: each decision is compared with the one before."""
    found = []
    before: frozenset[str] = frozenset()
    for now, known, late in decisions(facts, rules, end):
        after = held(known, now, rules)
        for key in sorted(before ^ after):
            change = "entered" if key in after else "exited"
            found.append(OracleChange(customer_id, key, change, now, late))
        before = after
    return found


def decisions(facts: list[Fact], rules: Rules, end: int) -> Iterator[Decision]:
    """Every moment at which the customer is decided: due times, and after each event."""
    instant = facts[0].time
    for index, what in enumerate(facts):
        for due in due_times(facts[:index], rules, after=instant, to=what.time):
            yield Decision(due, facts[:index], late=False)
        late = what.time < instant
        instant = max(instant, what.time)
        yield Decision(instant, facts[: index + 1], late)
    for due in due_times(facts, rules, after=instant, to=end):
        yield Decision(due, facts, late=False)


def due_times(known: Sequence[Fact], rules: Rules, after: int, to: int) -> list[int]:
    """Every instant at which time alone might change an answer: any known event plus any duration."""
    moments = {what.time + duration for what in known for duration in rules.durations}
    return sorted(moment for moment in moments if after < moment <= to)


def held(facts: Iterable[Fact], now: int, rules: Rules) -> frozenset[str]:
    """The segments of a customer at `now`: a pure function of the set of known events."""
    known = sorted({what.message_id: what for what in facts}.values(), key=moment_of)
    assert all(what.time <= now for what in known), "no fact is later than the instant"
    history = History(known, now, order_times(known, rules.orders_kept))
    return frozenset(key for key, when in rules.conditions.items() if holds(when, history))


def moment_of(what: Fact) -> tuple[int, str]:
    return what.time, what.message_id


# --- definitions -------------------------------------------------------------------------------


def read_rules(definitions: Json) -> Rules:
    if unsupported(definitions):
        raise NotImplementedError(f"the oracle does not know {', '.join(needs(definitions))}")
    forms = [mapping(form) for _, form in all_leaves(definitions)]
    durations = [form[key] for form in forms for key in ("within", "gap", "idle_for", "until") if key in form]
    kept = orders_kept(definitions)
    return Rules(conditions_of(definitions), frozenset(map(duration_ms, durations)), kept)


def conditions_of(definitions: Json) -> dict[str, Json]:
    segments = mapping(definitions["segments"])
    return {key: mapping(mapping(segment)["when"]) for key, segment in segments.items()}


def orders_kept(definitions: Json) -> int | None:
    """How far back from the newest order message such messages count; None without a limit."""
    forms = [mapping(form) for kind, form in all_leaves(definitions) if kind == "performed"]
    windows = [form.get("within") for form in forms if COMPLETED in event_names(form)]
    if not windows or None in windows:
        return None
    return max(map(duration_ms, windows)) + ORDERS_KEPT_MS


def all_leaves(definitions: Json) -> list[tuple[str, object]]:
    return [leaf for when in conditions_of(definitions).values() for leaf in leaves(when)]


def leaves(condition: Json) -> Iterator[tuple[str, object]]:
    """The conditions under all, any and not, as (kind, form)."""
    ((kind, form),) = condition.items()
    if kind not in ("all", "any", "not"):
        yield kind, form
        return
    for member in members(form):
        yield from leaves(member)


def unknown_names(kind: str, form: object) -> list[str]:
    if kind not in KEYS:
        return [kind]
    extra = set(mapping(form)) - KEYS[kind]
    return ["where" if key == "where" else f"{kind}.{key}" for key in extra]


def members(form: object) -> list[Json]:
    """A list of conditions, or one."""
    return [mapping(member) for member in (form if isinstance(form, list) else [form])]


def event_names(form: Json) -> set[str]:
    named = form["event"]
    return {current_name(name) for name in (named if isinstance(named, list) else [named])}


@cache
def duration_ms(text: object) -> int:
    return int(str(text)[:-1]) * UNIT_MS[str(text)[-1]]


# --- conditions --------------------------------------------------------------------------------


def holds(condition: Json, history: History) -> bool:
    ((kind, form),) = condition.items()
    return CONDITIONS[kind](form, history)


def all_hold(form: object, history: History) -> bool:
    return all(holds(member, history) for member in members(form))


def any_holds(form: object, history: History) -> bool:
    return any(holds(member, history) for member in members(form))


def none_holds(form: object, history: History) -> bool:
    return not any_holds(form, history)


def performed(form: object, history: History) -> bool:
    """How often it happened in the window; for Order Completed orders count, not messages."""
    names = event_names(mapping(form))
    times = [what.time for what in history.facts if what.name in names - {COMPLETED}]
    times += history.orders if COMPLETED in names else []
    count = len(in_window(times, mapping(form).get("within"), history.now))
    return meets(count, mapping(form).get("count", {"at_least": 1}))


def sessions(form: object, history: History) -> bool:
    starts = session_starts(history.facts, duration_ms(mapping(form).get("gap", "30m")))
    count = len(in_window(starts, mapping(form)["within"], history.now))
    return meets(count, mapping(form)["count"])


def cart(form: object, history: History) -> bool:
    """Something lies in the cart, and its last event was in [last + idle_for, last + until)."""
    touches = since_purchase(history.facts)
    if not contents(touches):
        return False
    quiet = history.now - touches[-1].time
    idle_for, until = mapping(form).get("idle_for"), mapping(form).get("until")
    return (idle_for is None or quiet >= duration_ms(idle_for)) and (until is None or quiet < duration_ms(until))


CONDITIONS: dict[str, Callable[[object, History], bool]] = {
    "all": all_hold,
    "any": any_holds,
    "not": none_holds,
    "performed": performed,
    "sessions": sessions,
    "cart": cart,
}


def in_window(times: list[int], within: object, now: int) -> list[int]:
    """Those in (now - within, now]; without a window all of them."""
    return [time for time in times if within is None or now - duration_ms(within) < time <= now]


def meets(count: int, test: object) -> bool:
    return all(COMPARE[name](count, bound) for name, bound in mapping(test).items())


COMPARE: dict[str, Callable[[int, object], bool]] = {
    "at_least": lambda count, bound: count >= int(str(bound)),
    "at_most": lambda count, bound: count <= int(str(bound)),
    "exactly": lambda count, bound: count == int(str(bound)),
}


def session_starts(facts: list[Fact], gap: int) -> list[int]:
    """An activity at least `gap` after the one before starts a session."""
    times = [what.time for what in facts if what.name in ACTIVITY]
    return times[:1] + [time for before, time in pairwise(times) if time - before >= gap]


# --- the cart ----------------------------------------------------------------------------------


def since_purchase(facts: list[Fact]) -> list[Fact]:
    """The cart events after the newest Order Completed message, whatever became of that order."""
    purchases = [what.time for what in facts if what.name == COMPLETED]
    newest = max(purchases, default=0)
    return [what for what in facts if what.name in CARTS and what.time > newest]


def contents(touches: list[Fact]) -> dict[str | None, int]:
    """What lies in the cart: product to quantity in millionths, above zero."""
    quantities: dict[str | None, int] = {}
    for what in touches:
        if what.time >= touches[-1].time - ITEMS_KEPT_MS:
            quantities = after_touch(quantities, what)
    return {product: quantity for product, quantity in quantities.items() if quantity > 0}


def after_touch(quantities: dict[str | None, int], what: Fact) -> dict[str | None, int]:
    item = product(what.properties)
    before = quantities.get(item, 0)
    if what.name in ADDING:
        return {**quantities, item: before + quantity(what.properties)}
    if what.name in REMOVING:
        gone = millionths(what.properties.get("quantity"))
        return {**quantities, item: 0 if gone is None else max(0, before - gone)}
    products = what.properties.get("products")
    if what.name in REPLACING and isinstance(products, list):
        return listed(products)
    return quantities


def listed(products: list[object]) -> dict[str | None, int]:
    """A whole cart as told; a product told twice is there with both quantities."""
    quantities: dict[str | None, int] = {}
    for properties in map(mapping, products):
        item = product(properties)
        quantities[item] = quantities.get(item, 0) + quantity(properties)
    return quantities


def product(properties: Json) -> str | None:
    """product_id, else sku, else name; None is the one unnamed product."""
    names = (identifier(properties.get(key)) for key in ("product_id", "sku", "name"))
    return next((name for name in names if name is not None), None)


def quantity(properties: Json) -> int:
    told = millionths(properties.get("quantity"))
    return 1_000_000 if told is None else told


# --- orders ------------------------------------------------------------------------------------


def order_times(facts: list[Fact], kept: int | None) -> list[int]:
    """When each order that still stands was first completed."""
    orders: dict[tuple[str, str], list[Fact]] = {}
    for message in order_messages(facts, kept):
        orders.setdefault(order_key(message), []).append(message)
    times = [order_time(messages) for messages in orders.values()]
    return [time for time in times if time is not None]


def order_messages(facts: list[Fact], kept: int | None) -> list[Fact]:
    """The messages about an order that still count: none older than `kept` before the newest.

    A refund or cancel without an order id is about no order.
    """
    messages = [what for what in facts if what.name in PURCHASES]
    messages = [what for what in messages if what.name == COMPLETED or order_key(what)[0] == "order"]
    return [what for what in messages if kept is None or what.time >= messages[-1].time - kept]


def order_key(message: Fact) -> tuple[str, str]:
    order_id = identifier(message.properties.get("order_id"))
    return ("message", message.message_id) if order_id is None else ("order", order_id)


def order_time(messages: list[Fact]) -> int | None:
    """The earliest completion; None when there is none, or the order was taken back."""
    completions = [message for message in messages if message.name == COMPLETED]
    cancelled = any(message.name == CANCELLED for message in messages)
    if not completions or cancelled or fully_refunded(completions[0], messages):
        return None
    return completions[0].time


def fully_refunded(completion: Fact, messages: list[Fact]) -> bool:
    """A refund without an amount, or refunds that add up to the order's value."""
    refunds = [amount(message) for message in messages if message.name == REFUNDED]
    known = [refund for refund in refunds if refund is not None]
    value = amount(completion)
    return len(known) < len(refunds) or (bool(known) and value is not None and sum(known) >= value)


def amount(message: Fact) -> int | None:
    total = millionths(message.properties.get("total"))
    return millionths(message.properties.get("revenue")) if total is None else total


# --- values ------------------------------------------------------------------------------------


def mapping(value: object) -> Json:
    """A JSON object; what is absent or null has no members."""
    return value if isinstance(value, Mapping) else {}


def identifier(value: object) -> str | None:
    """An id: integers as their digits, the empty text as none."""
    return None if value is None or value == "" else str(value)


def millionths(value: object) -> int | None:
    """A number or numeric text, exact, digits beyond 10⁻⁶ cut."""
    return None if value is None else int(Fraction(str(value)) * 1_000_000)
