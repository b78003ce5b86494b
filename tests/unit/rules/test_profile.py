"""A profile is a function of the set of events: of any order, with repeats, in any number of parts that merge.

And each bound that a kind of fact states at its head: what counts at it, and what happens beyond it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.definitions.segments_file import Definitions
from rules.events import Event, Item
from rules.number_text import MICRO
from rules.profile.cart import ITEMS_MAX, Cart
from rules.profile.open_cart import open_cart
from rules.profile.order_fold import CartEnd
from rules.profile.order_fold import standing as standing_orders
from rules.profile.orders import MESSAGES_MAX
from rules.profile.profile import Profile
from rules.profile.sessions import INTERVALS_MAX
from rules.profile.short_ids import ID_MAX_BYTES, short_id
from tests.strategies import histories
from tests.strategies.histories import DAY, HOUR, MINUTE
from tests.strategies.worlds import decoded
from tests.support.profiles import (
    ALL_FACTS,
    T,
    apply,
    counted,
    in_every_order,
    item,
    merged,
    one_customers,
    order,
    page,
    performed,
    profile_of,
    stored,
    wanting,
)

SEEDS = range(600)


# --- a function of the set ---------------------------------------------------------------------


def test_any_order_with_repeats_is_stored_the_same() -> None:
    """Any permutation of the events, some of them twice, gives the same profile, byte for byte."""
    for seed in SEEDS:
        definitions, events, rng = one_customers(seed)
        expected = profile_of(definitions, events)
        for _ in range(3):
            again = rng.sample(events, len(events)) + rng.choices(events, k=5)
            rng.shuffle(again)
            actual = profile_of(definitions, again)
            assert (actual, stored(actual)) == (expected, stored(expected)), f"seed {seed}"


def filled(profile: Profile) -> dict[str, int]:
    """How many places of each field of a profile hold something."""
    profile_cart = profile.cart or Cart()
    messages = [] if profile.orders is None else profile.orders.messages
    parts: dict[str, list[object]] = {
        "orders with properties": [message for message in messages if any(message.values) and message.views > 1],
        "lines": [*profile_cart.lines[1:]],
        "prices of lines": [line.prices for line in profile_cart.lines],
        "prices of dropped lines": [*profile_cart.prices, *profile_cart.unpriced],
        "checkout": [profile_cart.checkout],
    }
    for name in ("sessions", "firsts", "extremes", "distincts", "steps", "traits", "touches"):
        parts[name] = list(getattr(profile, name))
    parts["occurrences"] = [occurrence.times for occurrence in profile.occurrences]
    parts["sums"] = [property_sum.entries for property_sum in profile.sums]
    return {name: sum(map(bool, places)) for name, places in parts.items()}


def test_histories_fill_every_fact() -> None:
    """What is compared is not empty: each kind of fact holds something in many histories, each slot in some."""
    counts: Counter[str] = Counter()
    slots: Counter[tuple[str, int]] = Counter()
    for seed in SEEDS[1::2]:
        definitions, events, _ = one_customers(seed)
        profile = profile_of(definitions, events)
        counts.update(name for name, count in filled(profile).items() if count)
        for name in ("sessions", "firsts", "sums", "extremes", "distincts", "steps", "traits", "touches"):
            empty = getattr(definitions.facts.empty(), name)
            slots.update((name, index) for index, place in enumerate(getattr(profile, name)) if place != empty[index])
    assert counts.keys() == filled(Profile()).keys()
    assert counts.pop("prices of dropped lines") > 10  # few histories state a whole cart
    assert min(counts.values()) > 40, counts
    everything = wanting(*ALL_FACTS).facts.empty()
    assert len(slots) == sum(len(getattr(everything, name)) for name in {name for name, _ in slots}), slots


def test_merge_is_the_profile_of_the_union() -> None:
    """However the events are split, with some on both sides, the parts merge into what all of them make."""
    for seed in SEEDS:
        definitions, events, rng = one_customers(seed)
        sides = [rng.choice(("first", "second", "both")) for _ in events]
        first_events = [event for event, side in zip(events, sides, strict=True) if side != "second"]
        second_events = [event for event, side in zip(events, sides, strict=True) if side != "first"]
        parts = profile_of(definitions, first_events), profile_of(definitions, second_events)
        assert merged(definitions, *parts) == profile_of(definitions, events), f"seed {seed}"


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(histories.sorted_history(), st.data())
def test_merge_of_drawn_parts(history: list[histories.Event], data: st.DataObject) -> None:
    """Drawn parts merge likewise, with cases that shrink."""
    definitions = wanting(*ALL_FACTS)
    events = decoded(history)
    chosen = data.draw(st.sets(st.sampled_from(range(len(events)))))
    parts: list[list[Event]] = [[], []]
    for index, event in enumerate(events):
        parts[index in chosen].append(event)
    profiles = [profile_of(definitions, part) for part in parts]
    assert merged(definitions, *profiles) == profile_of(definitions, events)


def test_merge_commutes_associates_and_is_idempotent() -> None:
    """In whatever order profiles meet, and however often, the same one comes out."""
    for seed in SEEDS:
        definitions, events, rng = one_customers(seed)
        groups = [rng.randrange(3) for _ in events]
        a, b, c = (
            profile_of(definitions, [event for event, group in zip(events, groups, strict=True) if group == number])
            for number in range(3)
        )
        ab = merged(definitions, a, b)
        assert ab == merged(definitions, b, a), f"seed {seed}: a+b is b+a"
        assert merged(definitions, ab, c) == merged(definitions, a, merged(definitions, b, c)), f"seed {seed}"
        assert merged(definitions, ab, ab) == ab, f"seed {seed}: a+a is a"
        assert merged(definitions, a, definitions.facts.empty()) == a, f"seed {seed}: a+nothing is a"


@pytest.mark.parametrize("seed", SEEDS[1:60:2])
def test_merge_leaves_the_other_as_it_was(seed: int) -> None:
    """A profile that was merged in changes neither by the merge nor by later events."""
    definitions, events, rng = one_customers(seed)
    theirs = profile_of(definitions, events)
    as_it_was = stored(theirs)
    profile = profile_of(definitions, rng.sample(events, rng.choice((0, len(events) // 2))))
    for fact, _ in definitions.facts.with_segments():
        fact.merge(profile, theirs)
    later = [msgspec.structs.replace(event, time=event.time + DAY, id="x" + event.id) for event in events]
    apply(definitions, profile, later)
    assert stored(theirs) == as_it_was


def test_applying_goes_on_after_a_merge() -> None:
    """A merged profile takes further events as the one that was never apart."""
    for seed in SEEDS[:200]:
        definitions, events, rng = one_customers(seed)
        cut, half = sorted(rng.choices(range(len(events) + 1), k=2))
        parts = profile_of(definitions, events[:cut]), profile_of(definitions, events[cut:half])
        profile = apply(definitions, merged(definitions, *parts), events[half:])
        assert profile == profile_of(definitions, events), f"seed {seed}"


def test_two_empty_profiles_merge_into_an_empty_one() -> None:
    """The merged profile still has no fact of any kind."""
    definitions = wanting(*ALL_FACTS)
    empty = definitions.facts.empty()
    for fact, _ in definitions.facts.with_segments():
        profile = definitions.facts.empty()
        fact.merge(profile, definitions.facts.empty())
        assert profile == empty, fact


# --- the cart's bounds -------------------------------------------------------------------------


def cart_of(events: Iterable[Event]) -> Cart:
    profile_cart = profile_of(wanting({"cart": {}}), events).cart
    assert profile_cart is not None
    return profile_cart


def contents_of(profile_cart: Cart, ends: Sequence[CartEnd] = ()) -> dict[str, int]:
    """The quantities by product, ascending by the product."""
    quantities = open_cart(profile_cart, ends).quantities
    return {product: quantity for (_, product), quantity in sorted(quantities.items())}


def bought_cart(events: Iterable[Event]) -> dict[str, int]:
    """The quantities of a profile's cart, which its orders end."""
    profile = profile_of(wanting({"cart": {}}), events)
    assert profile.cart is not None
    assert profile.orders is not None
    return contents_of(profile.cart, profile.orders.cart_ends)


@pytest.mark.parametrize("over", [0, 1, 40])
def test_the_newest_256_item_events_count(over: int) -> None:
    """Up to 256 all are in the cart; beyond it the oldest products are gone, whatever the order of arrival."""
    events = [item(number) for number in range(ITEMS_MAX + over)]
    profile_cart = in_every_order(events, cart_of)
    assert list(contents_of(profile_cart)) == sorted(f"p{number}" for number in range(over, ITEMS_MAX + over))
    assert ITEMS_MAX == 256


def test_an_item_beyond_256_events_is_not_taken_out_again() -> None:
    """A removal of what no longer counts is still one of the newest events: the cart is one product shorter."""
    events = [*(item(number) for number in range(ITEMS_MAX)), item(ITEMS_MAX, "Product Removed", "p0")]
    profile_cart = in_every_order(events, cart_of)
    assert list(contents_of(profile_cart)) == sorted(f"p{number}" for number in range(1, ITEMS_MAX))


def test_items_count_for_ninety_days_before_the_newest_cart_event() -> None:
    """At 90 days an item is there, a millisecond later it is gone; any cart event moves the bound."""
    for age, contents in ((90 * DAY, {"p0": MICRO}), (90 * DAY + 1, {})):
        touch = Event("u", "Coupon Entered", T + age, "touch")
        profile_cart = in_every_order([item(0), touch], cart_of)
        assert contents_of(profile_cart) == contents
        assert profile_cart.touched == T + age


def test_events_before_a_whole_cart_are_forgotten() -> None:
    """A Cart Viewed with products replaces what was before it, so nothing older is kept; what is newer is."""
    viewed = Event("u", "Cart Viewed", T + 5, "m5", (Item("a"), Item("b", 2 * MICRO)))
    profile_cart = in_every_order([*(item(number) for number in range(5)), viewed, item(6)], cart_of)
    assert contents_of(profile_cart) == {"a": MICRO, "b": 2 * MICRO, "p6": MICRO}
    assert len(profile_cart.lines) == 2


def test_an_order_ends_the_cart_whenever_it_arrives() -> None:
    """What lies at or before it is gone, what lies a millisecond after it stays."""
    bought = Event("u", "Order Completed", T + 5, "order")
    assert list(in_every_order([*(item(number) for number in range(8)), bought], bought_cart)) == ["p6", "p7"]
    assert in_every_order([*(item(number) for number in range(6)), bought], bought_cart) == {}


def test_an_older_completion_gives_a_cart_back() -> None:
    """A confirmation that was repeated after five minutes ends nothing, once its first completion is known."""
    first, late = order(0, ident="o"), order(5 * MINUTE + 1, ident="o")
    added = [item(number) for number in (1, 2)]
    assert in_every_order([*added, late], bought_cart) == {}
    assert list(in_every_order([*added, late, first], bought_cart)) == ["p1", "p2"]
    assert list(in_every_order([*added, order(5 * MINUTE, ident="o"), first], bought_cart)) == []


def test_items_of_one_instant_go_by_message_id() -> None:
    """Added and Removed in one millisecond: the greater id has the last word."""
    for first, second, left in (("a", "b", 0), ("b", "a", 1)):
        added = item(0, "Product Added", "p", first)
        removed = item(0, "Product Removed", "p", second)
        profile_cart = in_every_order([added, removed], cart_of)
        assert len(contents_of(profile_cart)) == left


# --- the bounds of orders ----------------------------------------------------------------------


def orders_of(window: str | None) -> Callable[[Iterable[Event]], list[int]]:
    """The completion times of the orders that stand, from T on."""

    def standing(events: Iterable[Event]) -> list[int]:
        profile = profile_of(wanting(performed("Order Completed", 1, window)), events)
        assert profile.orders is not None
        return [standing_order.time - T for standing_order in standing_orders(profile.orders.messages)]

    return standing


@pytest.mark.parametrize("over", [0, 1, 40])
def test_the_newest_256_order_messages_count(over: int) -> None:
    """At 256 every order stands; beyond it the oldest are forgotten, in whatever order they came."""
    events = [order(number) for number in range(MESSAGES_MAX + over)]
    assert in_every_order(events, orders_of(None)) == list(range(over, MESSAGES_MAX + over))
    assert MESSAGES_MAX == 256


def test_order_messages_count_for_the_longest_window_and_ninety_days() -> None:
    """At the bound a full refund holds, a millisecond later the order stands; without a window it always holds."""
    for age, standing in ((91 * DAY, []), (91 * DAY + 1, [91 * DAY + 1])):
        events = [order(0, "Order Refunded", "o"), order(age, ident="o")]
        assert in_every_order(events, orders_of("1d")) == standing
        assert in_every_order(events, orders_of("2d")) == []
        assert in_every_order(events, orders_of(None)) == []


def message_count(definitions: Definitions, events: Iterable[Event]) -> int:
    stored_orders = profile_of(definitions, events).orders
    return 0 if stored_orders is None else len(stored_orders.messages)


def test_the_longest_window_of_all_segments_holds() -> None:
    """Two windows keep what the longer one needs; one segment without a window keeps all."""
    one_day, thirty_days, ever = (performed("Order Completed", 1, within) for within in ("1d", "30d", None))
    old = [order(0), order(100 * DAY)]
    very_old = [order(0), order(500 * DAY)]
    assert message_count(wanting(one_day), old) == 1
    assert message_count(wanting(one_day, thirty_days), old) == 2
    assert message_count(wanting(one_day), very_old) == 1
    assert message_count(wanting(one_day, ever), very_old) == 2


@pytest.mark.parametrize("ever", [
    {"last": {"event": "Order Completed", "ago": {"below": "1d"}}},
    {"first": {"event": "Order Completed"}},
    {"total": {"agg": "sum", "of": "total", "event": "Order Completed", "at_least": 1}},
    {"sequence": {"steps": [{"event": "page"}, {"event": "Order Completed"}]}},
], ids=lambda when: next(iter(when)))  # fmt: skip
def test_what_has_no_window_keeps_all_orders(ever: dict[str, object]) -> None:
    """The first and last order may be of any age, as may one of a total or sequence without a window."""
    assert message_count(wanting(performed("Order Completed", 1, "1d"), ever), [order(0), order(500 * DAY)]) == 2


@pytest.mark.parametrize("name", ["Order Refunded", "Order Cancelled"])
def test_a_refund_without_an_order_id_is_not_kept(name: str) -> None:
    """A refund without an order id touches no order, not even one with the same message id."""
    without = Event("u", name, T + 2, "same")
    completed = Event("u", "Order Completed", T + 1, "same")
    assert in_every_order([completed, without], orders_of(None)) == [1]
    later = Event("u", name, T + 200 * DAY, "later")
    assert in_every_order([order(0, "Order Refunded", "o"), order(1, ident="o"), later], orders_of("1d")) == []


def test_an_order_is_its_id_whatever_the_message_ids() -> None:
    """An order id that is also some message's id is another order; refunds add up by message, each once."""
    by_message = Event("u", "Order Completed", T, "o")
    by_id = Event("u", "Order Completed", T + 1, "m", None, "o", 100)
    assert in_every_order([by_message, by_id], orders_of(None)) == [0, 1]
    half = order(2, "Order Refunded", "o", 50)
    assert in_every_order([by_id, half, half, half], orders_of(None)) == [1]
    assert in_every_order([by_id, half, order(3, "Order Refunded", "o", 50)], orders_of(None)) == []


# --- the bounds of sessions --------------------------------------------------------------------


def intervals_of(gap: str, window: str) -> Callable[[Iterable[Event]], list[tuple[int, int]]]:
    def intervals(events: Iterable[Event]) -> list[tuple[int, int]]:
        (spans,) = profile_of(wanting(counted(gap, window)), events).sessions
        return [(start - T, end - T) for start, end in spans]

    return intervals


def test_a_gap_starts_a_session() -> None:
    """At the gap there are two sessions, a millisecond less is one; what lies between joins them."""
    apart, together = [page(0), page(30 * MINUTE)], [page(0), page(30 * MINUTE - 1)]
    assert in_every_order(apart, intervals_of("30m", "30d")) == [(0, 0), (30 * MINUTE, 30 * MINUTE)]
    assert in_every_order(together, intervals_of("30m", "30d")) == [(0, 30 * MINUTE - 1)]
    joined = [*apart, page(10 * MINUTE)]
    assert in_every_order(joined, intervals_of("30m", "30d")) == [(0, 30 * MINUTE)]


def test_sessions_are_kept_back_to_the_horizon() -> None:
    """A window and a gap before the newest an activity counts, a millisecond more and it is forgotten."""
    horizon = -DAY - HOUR
    assert in_every_order([page(horizon), page(0)], intervals_of("1h", "1d")) == [(horizon, horizon), (0, 0)]
    assert in_every_order([page(horizon - 1), page(0)], intervals_of("1h", "1d")) == [(0, 0)]


def test_a_start_near_the_horizon_is_written_as_the_horizon() -> None:
    """Whether an older neighbour was seen no longer shows; from the horizon and a gap on the start is exact."""
    horizon = -DAY - HOUR
    inside, outside = page(horizon + HOUR - 1), page(horizon + HOUR)
    written = [(horizon, horizon + HOUR - 1), (0, 0)]
    assert in_every_order([inside, page(0)], intervals_of("1h", "1d")) == written
    assert in_every_order([page(horizon - 1), inside, page(0)], intervals_of("1h", "1d")) == written
    exact = [(horizon + HOUR, horizon + HOUR), (0, 0)]
    assert in_every_order([outside, page(0)], intervals_of("1h", "1d")) == exact


@pytest.mark.parametrize("over", [0, 1, 40])
def test_the_newest_512_sessions_count(over: int) -> None:
    """At 512 every session counts; beyond it the oldest are forgotten, in whatever order they came."""
    events = [page(number * MINUTE) for number in range(INTERVALS_MAX + over)]
    spans = in_every_order(events, intervals_of("1m", "30d"))
    assert [start for start, _ in spans] == [number * MINUTE for number in range(over, INTERVALS_MAX + over)]
    assert INTERVALS_MAX == 512


def test_beyond_512_sessions_a_late_join_counts_one_too_few() -> None:
    """The documented loss: of 513 sessions two are joined late, and 511 are left where 512 are right."""
    events = [page(number * 2 * MINUTE) for number in range(INTERVALS_MAX + 1)]
    joining = page(1001 * MINUTE)
    at_its_time = sorted([*events, joining], key=lambda event: event.time)
    intervals = intervals_of("90s", "30d")
    assert len(intervals(at_its_time)) == INTERVALS_MAX
    assert len(intervals([*events, joining])) == INTERVALS_MAX - 1


def test_sessions_of_one_gap_share_the_longest_window() -> None:
    """Two windows of one gap are one fact, two gaps are two."""
    definitions = wanting(counted("1h", "1d"), counted("1h", "30d"), counted("2h", "1d"))
    assert len(definitions.facts.empty().sessions) == 2
    sessions = profile_of(definitions, [page(0), page(20 * DAY)]).sessions
    assert [len(intervals) for intervals in sessions] == [2, 1]


# --- the bounds of occurrences -----------------------------------------------------------------


def times_of(count: int, within: str | None) -> Callable[[Iterable[Event]], list[int]]:
    def times(events: Iterable[Event]) -> list[int]:
        (occurrence,) = profile_of(wanting(performed("page", count, within)), events).occurrences
        return [time - T for time in occurrence.times]

    return times


def test_one_more_than_the_count_is_kept() -> None:
    """A test of at least 3 needs the newest 4, and no more are kept."""
    assert in_every_order([page(number) for number in range(4)], times_of(3, None)) == [0, 1, 2, 3]
    assert in_every_order([page(number) for number in range(9)], times_of(3, None)) == [5, 6, 7, 8]


def test_what_no_window_can_see_is_forgotten() -> None:
    """An event a whole window before the newest counts no more; a millisecond less and it does."""
    assert in_every_order([page(0), page(DAY)], times_of(3, "1d")) == [DAY]
    assert in_every_order([page(1), page(DAY)], times_of(3, "1d")) == [1, DAY]


def test_events_of_one_instant_are_told_apart_by_id() -> None:
    """Two pages in one millisecond are two, one page read twice is one."""
    two = [Event("u", "page", T, "a"), Event("u", "page", T, "b")]
    assert in_every_order([*two, *two], times_of(3, "1d")) == [0, 0]


@pytest.mark.parametrize("turned", [1, -1])
def test_equal_names_share_the_widest_wish(turned: int) -> None:
    """Two segments over the same names keep one list, as many and as long as either asks for."""
    definitions = wanting(*[performed("page", 1, "1d"), performed("page", 4, "1h")][::turned])
    (occurrence,) = profile_of(definitions, [page(hour * HOUR) for hour in range(30)]).occurrences
    assert [(time - T) // HOUR for time in occurrence.times] == [25, 26, 27, 28, 29]
    (occurrence,) = profile_of(definitions, [page(0), page(2 * HOUR), page(25 * HOUR)]).occurrences
    assert [(time - T) // HOUR for time in occurrence.times] == [2, 25]


# --- ids ---------------------------------------------------------------------------------------


def test_long_ids_are_kept_short_and_told_apart() -> None:
    """Up to 64 bytes an id is itself; beyond, a head and a hash that differ where the ids differ."""
    for exact in ("a" * ID_MAX_BYTES, "م" * (ID_MAX_BYTES // 2), "😀" * (ID_MAX_BYTES // 4), "a😀" + "م" * 29 + "b"):
        assert short_id(exact) == exact
        long = [exact + end for end in ("a", "b", "م", "ab" * 500_000)]
        assert len({short_id(text) for text in long}) == len(long)
        assert all(len(short_id(text).encode()) <= ID_MAX_BYTES for text in long)
        assert all(short_id(short_id(text)) == short_id(text) for text in long)
    assert ID_MAX_BYTES == 64


def test_long_ids_name_the_same_orders_and_products() -> None:
    """An order is cancelled by its long id and by no other one; so are products removed."""
    mine, other = "o" * 100 + "1", "o" * 100 + "2"
    assert in_every_order([order(0, ident=mine), order(1, "Order Cancelled", mine)], orders_of(None)) == []
    assert in_every_order([order(0, ident=mine), order(1, "Order Cancelled", other)], orders_of(None)) == [0]


def test_repeats_by_long_message_ids_are_known() -> None:
    """One long message id twice is one item; two that begin alike are two."""
    ids = ["m" * 100 + end for end in "ab"]
    for chosen, quantity in ((ids[:1] * 2, 1), (ids, 2)):
        profile_cart = in_every_order([item(0, product="p", ident=ident) for ident in chosen], cart_of)
        assert contents_of(profile_cart) == {"p": quantity * MICRO}


def test_every_order_of_a_few_events_is_one_profile() -> None:
    """All 720 orders of six events that meet at barriers and bounds give one profile."""
    events = [
        item(0, product="p"),
        item(90 * DAY, "Product Removed", "p"),
        Event("u", "Order Completed", T + 90 * DAY, "m", None, "o", 10),
        order(90 * DAY, "Order Refunded", "o", 10),
        Event("u", "Checkout Started", T + 90 * DAY + 1, "n", (Item("q"),)),
        page(90 * DAY + 30 * MINUTE),
    ]
    definitions = wanting(*ALL_FACTS)
    assert len({stored(profile_of(definitions, some)) for some in permutations(events)}) == 1
