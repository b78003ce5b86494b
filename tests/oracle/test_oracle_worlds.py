"""What holds of every history, and that the strategies draw what they claim: no rule of the contract is idle."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import oracle
from tests.oracle.cases import START_MS
from tests.oracle.conditions import GROUPS, leaves, members
from tests.oracle.facts import moment_of
from tests.oracle.names import PURCHASES, REPLACING
from tests.oracle.oracle import BUILT_IN, Fact, Json, OracleChange, changes, mapping, membership, milliseconds
from tests.oracle.orders import order_key
from tests.strategies import histories
from tests.strategies.histories import DAY, DURATIONS, Event, without_hold
from tests.strategies.language import FORMS

# A check of the oracle and of the drawn worlds, not of the product: at night.
pytestmark = pytest.mark.nightly

# --- what holds of every history ---------------------------------------------------------------

IN_ORDER = histories.worlds()
BUILT_IN_WORLD = st.tuples(histories.sorted_history(), st.just(BUILT_IN))
ANY_WORLD = st.one_of(IN_ORDER, histories.worlds(late=True), BUILT_IN_WORLD)
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def per_customer(oracle_changes: Sequence[OracleChange]) -> dict[str, list[OracleChange]]:
    by_customer: dict[str, list[OracleChange]] = defaultdict(list)
    for change in oracle_changes:
        by_customer[change.customer_id].append(change)
    return by_customer


def now_members(oracle_changes: Sequence[OracleChange]) -> dict[str, frozenset[str]]:
    """The customers' segments after these changes; customers in nothing are left out."""
    members: dict[str, frozenset[str]] = defaultdict(frozenset)
    for change in oracle_changes:
        assert (change.segment in members[change.customer_id]) == (change.change == "exited")
        members[change.customer_id] ^= {change.segment}
    return {customer: segments for customer, segments in members.items() if segments}


@QUICK
@given(ANY_WORLD, st.data())
def test_changes_add_up_to_membership(world: tuple[list[Event], Json], data: st.DataObject) -> None:
    """Whatever the order, at any instant the changes up to it add up to what the events up to it say."""
    history, definitions = world
    times = st.sampled_from([milliseconds(event["timestamp"]) for event in history])
    waits = st.sampled_from([0, *DURATIONS.values()])
    at = sum(data.draw(part) for part in (times, waits, waits, st.integers(-1, 1)))
    expected = {
        customer_id: segments for customer_id, segments in membership(history, definitions, at).items() if segments
    }
    assert now_members(changes(history, definitions, at)) == expected


@QUICK
@given(IN_ORDER)
def test_in_time_order_nothing_is_late(world: tuple[list[Event], Event]) -> None:
    """Without late events no change is marked, and no customer's changes go back in time."""
    oracle_changes = changes(*world)
    assert not any(change.late for change in oracle_changes)
    for own in per_customer(oracle_changes).values():
        assert all(before.occurred_at <= after.occurred_at for before, after in pairwise(own))


def read_at(fact: Fact) -> tuple[int, int]:
    return fact.time, oracle.topic_rank(fact.name)


@QUICK
@given(IN_ORDER, st.randoms(use_true_random=False))
def test_a_repeat_changes_nothing(world: tuple[list[Event], Event], rng: random.Random) -> None:
    """Messages read again at any later place are harmless (topics in order: repeats part neighbours).

    Nothing is held here: an order that is read again is an order at which nothing is held back.
    """
    history = sorted(world[0], key=lambda event: read_at(oracle.fact(event)))
    definitions = without_hold(world[1])
    again = list(history)
    for event in rng.sample(history, min(3, len(history))):
        again.insert(rng.randint(again.index(event), len(again)), event)
    until = milliseconds(history[-1]["timestamp"]) + DAY
    assert changes(again, definitions, until) == changes(history, definitions, until)


@QUICK
@given(IN_ORDER)
def test_customers_are_decided_alone(world: tuple[list[Event], Event]) -> None:
    """A customer's changes are the same when no other customer is in the history."""
    history, definitions = world
    until = milliseconds(history[-1]["timestamp"])
    together = per_customer(changes(history, definitions, until))
    for customer_id in {oracle.customer(event) for event in history}:
        alone = [event for event in history if oracle.customer(event) == customer_id]
        assert changes(alone, definitions, until) == together.get(customer_id, [])


# --- the strategies produce what they claim ----------------------------------------------------


class World(NamedTuple):
    history: list[Event]
    definitions: Event


WORLDS = [World(*histories.world(random.Random(seed))) for seed in range(300)]


def facts_of(history: list[Event]) -> list[Fact]:
    return [oracle.fact(event) for event in history]


def by_time(history: list[Event]) -> list[list[Fact]]:
    """The facts of each customer, in order."""
    return [sorted(facts, key=moment_of) for facts in oracle.by_customer(history, 10**15).values()]


def apart(gap_ms: int) -> Callable[[list[Event]], bool]:
    """Whether two events of one customer lie so far apart."""

    def holds(history: list[Event]) -> bool:
        own = [{fact.time for fact in facts} for facts in by_time(history)]
        return any(time + gap_ms in times for times in own for time in times)

    return holds


def named(*names: str) -> Callable[[list[Event]], bool]:
    """Whether an event came under one of these names, as written."""
    return lambda history: any(event.get("event", event["type"]) in names for event in history)


def order_with(*names: str) -> Callable[[list[Event]], bool]:
    """Whether the messages of some order begin with these."""

    def holds(history: list[Event]) -> bool:
        orders: dict[tuple[int, tuple[str, str]], list[str]] = defaultdict(list)
        for customer, facts in enumerate(by_time(history)):
            for fact in (fact for fact in facts if fact.name in PURCHASES):
                orders[customer, order_key(fact)].append(fact.name)
        return any(tuple(messages[: len(names)]) == names for messages in orders.values())

    return holds


def has_products(is_wanted: Callable[[object], bool]) -> Callable[[list[Event]], bool]:
    """Whether a Cart Viewed or Checkout Started has such products."""

    def holds(history: list[Event]) -> bool:
        all_properties = [fact.properties for fact in facts_of(history) if fact.name in REPLACING]
        return any(is_wanted(properties.get("products")) for properties in all_properties)

    return holds


def stated(name: str, is_wanted: Callable[[object], bool]) -> Callable[[list[Event]], bool]:
    """Whether some event tells such a property."""
    return lambda history: any(is_wanted(fact.properties.get(name)) for fact in facts_of(history))


def is_text_with(characters: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and any(character in value for character in characters)


def is_plain(history: list[Event]) -> bool:
    """Whether nothing is told oddly, as far as this can be seen of the names, ids and money."""
    spelled = {event.get("event") for event in history} <= {None, *PLAIN_NAMES}
    return spelled and not any(is_text_with("€$۱١")(fact.properties.get("total")) for fact in facts_of(history))


PLAIN_NAMES = {*oracle.BROWSE, *oracle.CARTS, *oracle.PURCHASES, *histories.OWN_NAMES, "NPS Submitted",
               "Viewed Product", "Added Product", "Removed Product", "Completed Order"}  # fmt: skip


def has_line(history: list[Event]) -> bool:
    return any(fact.name in oracle.CARTS and "variant" in fact.properties for fact in facts_of(history))


def lists_items(history: list[Event]) -> bool:
    names = oracle.ADDING | oracle.REMOVING
    return any(fact.name in names and fact.properties.get("products") for fact in facts_of(history))


def has_float_id(history: list[Event]) -> bool:
    return any(isinstance(event.get("userId"), float) for event in history)


def traits_in_context(history: list[Event]) -> bool:
    return any(event["type"] == "identify" and "traits" in mapping(event.get("context")) for event in history)


# What a history of 25 events may hold, and the least share of the histories in which it must be.
FEATURES: list[tuple[str, float, Callable[[list[Event]], bool]]] = [
    *((f"exactly {text} apart", 0.15, apart(ms)) for text, ms in DURATIONS.items()),
    *((f"a millisecond less than {text}", 0.1, apart(ms - 1)) for text, ms in DURATIONS.items()),
    *((f"a millisecond more than {text}", 0.1, apart(ms + 1)) for text, ms in DURATIONS.items()),
    ("exactly the 90 days of items", 0.2, apart(90 * DAY)),
    ("a millisecond more than 90 days", 0.05, apart(90 * DAY + 1)),
    ("exactly the bound of orders", 0.1, apart(91 * DAY)),
    ("a millisecond more than the bound", 0.05, apart(91 * DAY + 1)),
    ("several customers", 0.6, lambda history: len(by_time(history)) > 1),
    ("no userId", 0.5, lambda history: any("userId" not in event for event in history)),
    ("an empty userId", 0.5, lambda history: any(event.get("userId") == "" for event in history)),
    ("a whole message repeated", 0.5, lambda history: any(history.count(event) > 1 for event in history)),
    ("digits to cut", 0.5, lambda history: any("999Z" in str(event["timestamp"]) for event in history)),
    ("another offset", 0.5, lambda history: any("+03:30" in str(event["timestamp"]) for event in history)),
    ("pages", 0.5, named("page")),
    ("screens", 0.3, named("screen")),
    ("browsing", 0.3, named(*oracle.BROWSE)),
    ("own names", 0.3, named(*histories.OWN_NAMES)),
    ("identify", 0.2, named("identify")),
    ("a context", 0.5, lambda history: any("context" in event for event in history)),
    ("a trait taken away", 0.1, lambda history: any(None in fact.traits.values() for fact in facts_of(history))),
    (
        "money in dollars",
        0.2,
        lambda history: any(fact.properties.get("currency") == "USD" for fact in facts_of(history)),
    ),
    *(
        (f"the old name {name}", 0.05, named(name))
        for name in ("Viewed Product", "Added Product", "Removed Product", "Completed Order")
    ),
    ("removals", 0.3, named("Product Removed")),
    ("a cart told", 0.1, has_products(bool)),
    ("a cart told empty", 0.1, has_products(lambda products: products == [])),
    ("a cart seen, not told", 0.1, has_products(lambda products: products is None)),
    ("an order completed twice", 0.1, order_with("Order Completed", "Order Completed")),
    ("an order and its refund", 0.05, order_with("Order Completed", "Order Refunded")),
    ("a refund before its order", 0.1, order_with("Order Refunded", "Order Completed")),
    ("an order and its cancellation", 0.05, order_with("Order Completed", "Order Cancelled")),
    ("a cancellation before its order", 0.02, order_with("Order Cancelled", "Order Completed")),
    ("nothing odd", 0.4, is_plain),
    (
        "an order that is cancelled and completed again",
        0.02,
        order_with("Order Completed", "Order Cancelled", "Order Completed"),
    ),
    ("an order that is updated", 0.02, order_with("Order Completed", "Order Updated")),
    ("a cart id", 0.05, stated("cart_id", lambda value: value == "c1")),
    ("the old name of a cart id", 0.01, stated("cartId", bool)),
    ("lines of one product", 0.05, has_line),
    ("several items added or removed", 0.03, lists_items),
    ("a name without spaces", 0.02, named("ProductViewed", "ProductAdded", "OrderCompleted")),
    ("a name in small letters", 0.03, named("product viewed", "product added", "order completed")),
    ("money in euros, by its sign", 0.03, stated("total", is_text_with("€"))),
    ("money in dollars, by its sign", 0.03, stated("total", is_text_with("$"))),
    ("other digits", 0.03, stated("total", is_text_with("۱١"))),
    ("a total that cannot be read", 0.03, stated("total", lambda value: value in ("n/a", "1,049", "-"))),
    ("a currency in small letters", 0.05, stated("currency", lambda value: value == "eur")),
    ("a list for one value", 0.02, stated("category", lambda value: isinstance(value, list))),
    ("one value for a list", 0.01, stated("tags", lambda value: value == "vip")),
    ("a list for an object", 0.05, lambda history: any(event.get("context") == [] for event in history)),
    ("an id written as a float", 0.05, has_float_id),
    ("a placeholder for an id", 0.05, lambda history: any(event.get("userId") == "Undefined " for event in history)),
    ("traits in the context", 0.02, traits_in_context),
    ("no referrer, in words", 0.03, lambda history: any("$direct" in str(event.get("context")) for event in history)),
    ("an offset without a colon", 0.05, lambda history: any("+0330" in str(event["timestamp"]) for event in history)),
    ("another time beside it", 0.05, lambda history: any("originalTimestamp" in event for event in history)),
]


@pytest.mark.parametrize(("share", "holds"), [row[1:] for row in FEATURES], ids=[row[0] for row in FEATURES])
def test_histories_hold(share: float, holds: Callable[[list[Event]], bool]) -> None:
    """Each boundary and each kind of event comes up often enough to be met in a short run."""
    assert sum(holds(world.history) for world in WORLDS) >= share * len(WORLDS)


def depth(condition: Json) -> int:
    ((kind, form),) = condition.items()
    return 1 + max(map(depth, members(form))) if kind in GROUPS else 1


def test_definitions_hold_every_condition_nested_to_three() -> None:
    """All conditions come up, at every depth up to 3; so do held segments, bands, and both orders of keys."""
    conditions = [when for world in WORLDS for when in oracle.conditions_of(world.definitions).values()]
    assert {depth(when) for when in conditions} == {1, 2, 3}
    assert {kind for when in conditions for kind, _ in leaves(when)} == FORMS.keys()
    segments = [mapping(segment) for world in WORLDS for segment in mapping(world.definitions["segments"]).values()]
    assert sum("hold" in segment for segment in segments) > 0.1 * len(segments)
    assert sum("bands" in segment for segment in segments) > 0.01 * len(segments)
    named = [(key, form) for world in WORLDS for key, when in oracle.conditions_of(world.definitions).items()
             for kind, form in leaves(when) if kind == "in_segment"]  # fmt: skip
    assert Counter(key < str(form) for key, form in named).keys() == {True, False}


# What can happen to a segment of each condition; whatever else does comes of a hold.
WAYS: dict[str, set[tuple[str, str]]] = {
    kind: {("entered", "event"), ("exited", "event"), ("entered", "time"), ("exited", "time")} for kind in FORMS
} | {
    "sequence": {("entered", "event"), ("exited", "event"), ("exited", "time")},  # a window only takes away
    "context": {("entered", "event"), ("exited", "event")},
    "calendar": {("entered", "event"), ("entered", "time"), ("exited", "time")},  # by the first event
    "sample": {("entered", "event")},
}


def ways(history: list[Event], definitions: Event, until: int) -> set[tuple[str, str, str]]:
    """What happened to each segment, and whether an event or time alone did it."""
    happened: set[tuple[str, str, str]] = set()
    rules = oracle.read_rules(definitions)
    for customer_id, facts in oracle.by_customer(history, until).items():
        run = oracle.Run(customer_id, rules, facts[0].time)
        for index, fact in enumerate(facts):
            run.advance(fact.time)
            by_time = len(run.changes)
            run.read(facts[: index + 1])
            happened |= {(change.segment, change.change, "event") for change in run.changes[by_time:]}
            happened |= {(change.segment, change.change, "time") for change in run.changes[:by_time]}
            run.changes.clear()
        run.advance(until)
        happened |= {(change.segment, change.change, "time") for change in run.changes}
    return happened


@pytest.mark.parametrize("kind", FORMS)
def test_a_world_about_a_condition_enters_and_leaves_it(kind: str) -> None:
    """In each way that there is, in at least one of twenty worlds with such a segment."""
    counts: Counter[tuple[str, str]] = Counter()
    with_it = 0
    for seed in range(300):
        rng = random.Random(seed)
        history, definitions = histories.world_of(kind, rng.choice)
        whens = oracle.conditions_of(definitions)
        with_it += any(kind in when for when in whens.values())
        until = oracle.latest(history) + rng.choice((0, *DURATIONS.values(), 90 * DAY))
        counts.update({(change, how) for key, change, how in ways(history, definitions, until) if kind in whens[key]})
    assert {way for way, count in counts.items() if count >= 0.05 * with_it} >= WAYS[kind], (counts, with_it)


def test_histories_and_definitions_collide() -> None:
    """Most worlds have changes; most have some that time alone causes; entries and exits are both common."""
    right = [changes(*world) for world in WORLDS]
    by_time_alone = 0
    for world, own_changes in zip(WORLDS, right, strict=True):
        times = {fact.time for fact in facts_of(world.history)}
        by_time_alone += any(change.occurred_at not in times for change in own_changes)
    assert sum(map(bool, right)) > 0.8 * len(WORLDS)
    assert by_time_alone > 0.4 * len(WORLDS)
    assert min(Counter(change.change for own_changes in right for change in own_changes).values()) > 3 * len(WORLDS)


def test_shuffled_histories_have_late_changes() -> None:
    """Out of order, decisions are taken back, marked late, in many worlds."""
    late = 0
    for seed, world in enumerate(WORLDS):
        shuffled_changes = changes(histories.shuffled(random.Random(seed), world.history), world.definitions)
        late += any(change.late for change in shuffled_changes)
    assert late > 0.25 * len(WORLDS)


@QUICK
@given(IN_ORDER)
def test_drawn_worlds_keep_their_promises(world: tuple[list[Event], Event]) -> None:
    """1-4 customers, in time order from START on, one content per messageId."""
    history, _ = world
    times = [fact.time for fact in facts_of(history)]
    assert times == sorted(times)
    assert times[0] >= START_MS
    assert 1 <= len(by_time(history)) <= 4
    assert all(a == b for a in history for b in history if a["messageId"] == b["messageId"])
