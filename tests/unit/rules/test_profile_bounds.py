"""Each bound of sums, orders, distinct values, extremes, steps and prices: exact at it, and what is lost beyond it.

Where a bound is no function of the set of events, that is said, and events come in time order.
"""

from collections.abc import Sequence

import pytest

from rules.events import Event, Item
from rules.facts.contributions import DISTINCT_MAX
from rules.number_text import MICRO
from rules.profile import cart, open_cart
from rules.profile.extremes import STEPS_MAX
from rules.profile.orders import MESSAGES_MAX
from rules.profile.steps import ENTRIES_MAX as STEP_ENTRIES_MAX
from rules.profile.sums import ENTRIES_MAX
from tests.strategies.histories import DAY, HOUR, SECOND
from tests.support.profiles import (
    ORDER,
    T,
    When,
    condition_and_view,
    holds,
    in_every_order,
    named,
    order,
    page,
    profile_of,
    total,
    value_of,
    wanting,
)

MORNING = 10 * HOUR
MONTH = 30 * DAY


def turns(when: When, events: Sequence[Event], at: int) -> int:
    """The next instant, after T, at which time alone turns the condition."""
    condition, view = condition_and_view(when, events)
    return condition.decide(view, T + at)[1] - T


# --- sums --------------------------------------------------------------------------------------

SCORES = total("sum", "score", "NPS Submitted", "30d")


def scores(count: int, start: int = MORNING) -> list[Event]:
    return [named(start + second * SECOND, "NPS Submitted", score=2) for second in range(count)]


def test_256_contributions_leave_at_their_own_times() -> None:
    """Within the bound each counts for its window to the millisecond, in whatever order they came."""
    events = scores(ENTRIES_MAX)
    last = MORNING + 255 * SECOND
    for at, left in ((last, 512), (MORNING + MONTH - 1, 512), (MORNING + MONTH, 510), (last + MONTH - 1, 2)):
        assert in_every_order(events, lambda some, at=at: value_of(SCORES, some)(at)) == left  # type: ignore[misc]
    assert value_of(SCORES, events)(last + MONTH) == 0
    assert ENTRIES_MAX == 256


def test_older_contributions_leave_at_the_end_of_their_day() -> None:
    """The 257th newest stays until midnight UTC and a window; then nothing is left of it."""
    value = value_of(SCORES, scores(ENTRIES_MAX + 1))
    last = MORNING + 256 * SECOND
    assert [value(at) for at in (last, MORNING + MONTH, MORNING + SECOND + MONTH)] == [514, 514, 512]
    assert [value(at) for at in (last + MONTH, DAY + MONTH - 1, DAY + MONTH)] == [2, 2, 0]


def test_the_due_time_of_what_is_summed_by_day_is_that_midnight() -> None:
    """Time alone turns the test when the day's sum leaves, not before."""
    when = total("sum", "score", "NPS Submitted", "30d")
    assert turns(when, scores(ENTRIES_MAX + 1), MORNING + 300 * SECOND) == DAY + MONTH
    assert turns(when, scores(ENTRIES_MAX), MORNING + 300 * SECOND) == MORNING + 255 * SECOND + MONTH


def test_sums_of_several_days_leave_one_after_another() -> None:
    """Each sum leaves at the end of its own day; an average counts them, too."""
    events = [*scores(3, start=DAY - 3 * SECOND), *scores(2, start=DAY), *scores(ENTRIES_MAX, start=3 * DAY)]
    value = value_of(SCORES, events)
    assert [value(at) for at in (4 * DAY, DAY + MONTH - 1, DAY + MONTH)] == [522, 522, 516]
    assert [value(2 * DAY + MONTH - 1), value(2 * DAY + MONTH)] == [516, 512]
    average = value_of(total("avg", "score", "NPS Submitted"), [*scores(44), *scores(ENTRIES_MAX, start=DAY)])
    assert average(2 * DAY) == 2


def test_a_sum_without_a_window_keeps_all() -> None:
    """A lifetime total is exact however many there were."""
    value = value_of(total("sum", "score", "NPS Submitted"), scores(2_000))
    assert value(9_999 * DAY) == 4_000


def test_beyond_the_bound_a_late_contribution_is_taken_as_counted() -> None:
    """One older than all that are kept may have been counted, so it is not; a newer one is."""
    when = total("sum", "score", "NPS Submitted")
    events = scores(ENTRIES_MAX + 1)
    older, newer = (named(at, "NPS Submitted", "late", score=5) for at in (MORNING, MORNING + 2 * SECOND - 1))
    assert value_of(when, [*events, older])(DAY) == 514
    assert value_of(when, [*events, newer])(DAY) == 519
    assert value_of(when, [*events[:-1], older])(DAY) == 517  # within the bound: as if in time


# --- orders that are settled -------------------------------------------------------------------

SPENT = total("sum", "total", ORDER)


def bought(count: int, start: int = MORNING, amount: int = 10) -> list[Event]:
    return [order(start + second * SECOND, amount=amount * MICRO) for second in range(count)]


def test_a_lifetime_total_keeps_settled_orders() -> None:
    """Of 300 orders 256 are there as they came, the value of the others stays."""
    events = bought(300)
    assert value_of(SPENT, events)(DAY) == 3_000
    assert value_of(total("avg", "total", ORDER), events)(DAY) == 10
    assert condition_and_view(SPENT, events)[1].profile.orders is not None
    stored_orders = condition_and_view(SPENT, events)[1].profile.orders
    assert stored_orders is not None
    assert len(stored_orders.messages) == MESSAGES_MAX == 256


def test_settled_orders_leave_a_window_at_the_end_of_their_day() -> None:
    """Settled orders leave a window like the older contributions of any sum."""
    value = value_of(total("sum", "total", ORDER, "30d"), bought(257))
    assert [value(MORNING + MONTH), value(MORNING + SECOND + MONTH)] == [2_570, 2_560]
    assert [value(DAY + MONTH - 1), value(DAY + MONTH)] == [10, 0]


def test_a_property_of_settled_orders_is_summed_too() -> None:
    """The sum has what `of` reads of a settled order that meets `where`."""
    made = [named(second * SECOND, ORDER, score=2, color="red" if second % 2 else "blue") for second in range(300)]
    assert value_of(total("sum", "score", ORDER), made)(DAY) == 600
    assert value_of(total("sum", "score", ORDER, where={"color": "red"}), made)(DAY) == 300


def test_the_first_order_is_remembered() -> None:
    """The first order is remembered, settled or not, unless it was taken back while it was known."""
    when: When = {"first": {"event": ORDER, "ago": {"below": "1d"}}}
    events = bought(300)
    cancel = order(MORNING + 1, "Order Cancelled", f"o{MORNING}")
    assert turns(when, events, MORNING + 300 * SECOND) == MORNING + DAY
    assert turns(when, [events[0], cancel, *events[1:]], MORNING + 300 * SECOND) == MORNING + SECOND + DAY


def test_what_comes_about_a_settled_order_changes_nothing() -> None:
    """A refund lowers an order that is kept, but no longer a settled one."""
    events = bought(300)
    late = 400 * SECOND + MORNING
    settled, counted = (
        [order(late, "Order Refunded", f"o{MORNING + second * SECOND}", amount=4 * MICRO)] for second in (0, 299)
    )  # fmt: skip
    assert value_of(SPENT, [*events, *settled])(DAY) == 3_000
    assert value_of(SPENT, [*events, *counted])(DAY) == 2_996


def test_an_order_that_was_taken_back_is_not_settled() -> None:
    """Nothing stays of an order cancelled or fully refunded before it left the bound; in part, the rest stays."""
    events = bought(300)
    for name, amount, left in (
        ("Order Cancelled", None, 2_990),
        ("Order Refunded", 10 * MICRO, 2_990),
        ("Order Refunded", 4 * MICRO, 2_996),
    ):
        undoing = order(MORNING + 1, name, f"o{MORNING}", amount=amount)
        assert value_of(SPENT, [events[0], undoing, *events[1:]])(DAY) == left


@pytest.mark.parametrize("times", [1, 3])
def test_a_settled_order_that_is_read_again_counts_once(times: int) -> None:
    """Older than all that are kept it is taken as counted, as in any sum, even if it had been cancelled."""
    events = bought(300)
    assert value_of(SPENT, [*events, *events[:1] * times])(DAY) == 3_000
    cancel = order(MORNING + 1, "Order Cancelled", f"o{MORNING}")
    assert value_of(SPENT, [events[0], cancel, *events[1:], *events[:1] * times])(DAY) == 2_990


def test_an_order_confirmed_twice_is_settled_once() -> None:
    """While a later confirmation of it is among the newest, the order counts by that one."""
    twice = Event("u", ORDER, T + MORNING + 1, "again", None, f"o{MORNING}", 10 * MICRO)
    assert value_of(SPENT, [*bought(1), twice, *bought(299, MORNING + SECOND)])(DAY) == 3_000


# --- distinct values ---------------------------------------------------------------------------

COLORS = total("distinct", "color", "Product Viewed", "30d")


def colors_viewed(count: int) -> list[Event]:
    return [named(number, "Product Viewed", color=f"c{number}") for number in range(count)]


@pytest.mark.parametrize("over", [-1, 0, 1, 40])
def test_256_different_values_are_counted(over: int) -> None:
    """Beyond 256 the newest 256 count, whatever the order of arrival; no rule asks for more than 255."""
    events = colors_viewed(DISTINCT_MAX + over)
    counted = in_every_order(events, lambda some: value_of(COLORS, some)(HOUR))
    assert counted == min(DISTINCT_MAX + over, 256)
    assert DISTINCT_MAX == 256


def test_a_value_told_again_is_as_new_as_the_last_time() -> None:
    """A repeated value outlives those that came after its first time, at the bound and in its window."""
    events = [
        *colors_viewed(DISTINCT_MAX),
        named(HOUR, "Product Viewed", color="c0"),
        named(HOUR + 1, "Product Viewed", color="x"),
    ]
    for at, left in ((HOUR + 1, 256), (MONTH + 1, 256), (MONTH + 255, 2), (MONTH + HOUR, 1), (MONTH + HOUR + 1, 0)):
        assert in_every_order(events, lambda some, at=at: value_of(COLORS, some)(at)) == left, at  # type: ignore[misc]


# --- extremes ----------------------------------------------------------------------------------


def falling(count: int) -> list[Event]:
    return [named(second * SECOND, "NPS Submitted", score=1_000 - second) for second in range(count)]


@pytest.mark.parametrize("over", [0, 1, 40])
def test_256_falling_values_are_kept(over: int) -> None:
    """The greatest of 256 falling values is exact; of more the oldest leave too early, whatever the arrival order."""
    when = total("max", "score", "NPS Submitted", "30d")
    events = falling(STEPS_MAX + over)
    for at in (HOUR, over * SECOND + MONTH - 1):
        assert in_every_order(events, lambda some, at=at: value_of(when, some)(at)) == 1_000 - over  # type: ignore[misc]
    assert value_of(when, events)(over * SECOND + MONTH) == 1_000 - over - 1
    assert STEPS_MAX == 256


def test_values_that_rise_and_fall_need_no_bound() -> None:
    """A value stays only while nothing newer is as extreme: for the least of falling values one is kept."""
    events = falling(2_000)
    assert value_of(total("min", "score", "NPS Submitted", "30d"), events)(HOUR) == -999
    _, view = condition_and_view(total("min", "score", "NPS Submitted", "30d"), events)
    assert view.profile.extremes == [[(events[-1].time, -999 * MICRO)]]


def test_what_was_covered_comes_out_when_the_greatest_leaves() -> None:
    """When the greatest value leaves, the next newer one counts, to the millisecond."""
    events = [named(at, "NPS Submitted", score=score) for at, score in ((0, 3), (1, 9), (2, 5), (3, 4), (4, 5))]
    value = value_of(total("max", "score", "NPS Submitted", "30d"), events)
    assert [value(at) for at in (5, MONTH, MONTH + 1, MONTH + 3, MONTH + 4)] == [9, 9, 5, 5, None]


# --- steps -------------------------------------------------------------------------------------


def steps(*names: str, **more: str) -> When:
    return {"sequence": {"steps": [{"event": name} for name in names], **more}}


def of_names(*names: str) -> list[Event]:
    return [named(1 + index, name) for index, name in enumerate(names)]


def test_a_step_that_is_repeated_does_not_push_out_the_other() -> None:
    """However often the last step comes, the first stays; of the first it is the newest that counts."""
    when = steps("Signed Up", "page", within="30d")
    events = of_names("Signed Up", *["page"] * 1_000)
    assert in_every_order(events, holds(when, HOUR))
    assert turns(when, of_names(*["Signed Up"] * 1_000, "page"), HOUR) == 1_000 + MONTH


@pytest.mark.parametrize("count", [256, 257, 258, 1_000])
def test_of_equal_steps_as_many_as_there_are_stay(count: int) -> None:
    """With pages in a row the second newest is the latest start of two, the third newest of three."""
    pages = [page(1 + index) for index in range(count)]
    assert turns(steps("page", "page", within="30d"), pages, HOUR) == count - 1 + MONTH
    assert turns(steps("page", "page", "page", within="30d"), pages, HOUR) == count - 2 + MONTH


def test_each_value_is_thinned_by_itself() -> None:
    """With `same`, a run of one value ends where another step of that value comes, not of another one."""
    when = steps("Signed Up", "page", same="color")
    first = named(1, "Signed Up", color="red")
    others = [named(2 + index, "page" if index % 2 else "Signed Up", color="blue") for index in range(200)]
    pages = [named(500 + index, "page", color="green") for index in range(300)]
    events = [first, *others, *pages, named(1_000, "page", color="red")]
    assert in_every_order(events, holds(when, HOUR))


@pytest.mark.parametrize(("alternations", "is_counted"), [(126, True), (127, False)])
def test_256_changes_of_step_are_seen(alternations: int, is_counted: bool) -> None:
    """A first step that lies 255 entries back still makes a sequence, one further back is forgotten.

    Which are forgotten depends on the order of arrival, as neighbours are thinned when there are too many.
    """
    when = steps("Signed Up", "Webinar Registered", "page", "Product Viewed")
    between = ["page", "Product Viewed"] * alternations
    events = of_names("Signed Up", *between, "Webinar Registered", "page", "Product Viewed")
    assert (len(events) <= STEP_ENTRIES_MAX) == is_counted
    assert holds(when, HOUR)(events) == is_counted
    if is_counted:
        in_every_order(events, holds(when, HOUR))
    assert STEP_ENTRIES_MAX == 256


# --- prices ------------------------------------------------------------------------------------


def worth(events: Sequence[Event]) -> int:
    profile = profile_of(wanting({"cart": {"value": {"at_least": 1}}}), events)
    assert profile.cart is not None
    opened = open_cart.open_cart(profile.cart, [] if profile.orders is None else profile.orders.cart_ends)
    return open_cart.worth(profile.cart, opened).value // MICRO**2


def priced(at: int, *products: str, price: int | None = 3, name: str = "Product Added") -> Event:
    items = tuple(Item(product, MICRO, None if price is None else price * MICRO) for product in products)
    return Event("u", name, T + at, f"m{at:012}", items)


@pytest.mark.parametrize("over", [0, 1, 40])
def test_each_of_256_items_has_its_price(over: int) -> None:
    """A larger cart is worth what its newest 256 items cost."""
    products = [f"p{number:04}" for number in range(cart.ITEMS_MAX + over)]
    viewed = priced(0, *products, name="Cart Viewed")
    assert in_every_order([viewed, priced(1, "q")], worth) == 3 * 256


@pytest.mark.parametrize(("products", "lost"), [(256, 0), (257, 1), (270, 14)])
def test_256_prices_of_dropped_events_are_kept(products: int, lost: int) -> None:
    """Items without a price have the one of former events of the product, as far as it is among the newest."""
    names = [f"p{number:04}" for number in range(products)]
    stated = [priced(0, *names[:100]), priced(1, *names[100:200]), priced(2, *names[200:])]
    emptied = priced(3, name="Cart Viewed")
    viewed = priced(4, *names[:256], price=None, name="Cart Viewed")
    assert in_every_order([*stated, emptied, viewed], worth) == 3 * (256 - lost)
    assert (cart.ITEMS_MAX, cart.PRICES_MAX) == (256, 256)


def test_a_price_counts_for_ninety_days_before_the_newest_cart_event() -> None:
    """At 90 days it is known, a millisecond more and the product has none."""
    for age, left in ((90 * DAY, 3), (90 * DAY + 1, 0)):
        events = [priced(0, "p"), priced(DAY, "p", price=None), Event("u", "Coupon Entered", T + age, "touch")]
        assert in_every_order(events, worth) == left * (2 if left else 0)


def test_the_newest_price_of_a_product_counts() -> None:
    """The newest price counts for all of a product; a removal may give one, a purchase ends it."""
    events = [priced(0, "p", price=9), priced(1, "p", price=2), priced(2, "p", price=None)]
    assert in_every_order(events, worth) == 6
    events += [priced(3, "p", price=5, name="Product Removed")]
    assert in_every_order(events, worth) == 10
    events += [Event("u", ORDER, T + 4, "bought"), priced(5, "p", price=None)]
    assert in_every_order(events, worth) == 0


def test_prices_told_at_once_go_by_message_id() -> None:
    """In one millisecond the greater id has the last word, in one list the last mention."""
    pair = [
        Event("u", "Product Added", T, ident, (Item("p", MICRO, cost * MICRO),)) for ident, cost in (("a", 7), ("b", 4))
    ]
    assert in_every_order(pair, worth) == 8
    twice = Event("u", "Cart Viewed", T, "m", (Item("p", MICRO, 7 * MICRO), Item("p", MICRO, 4 * MICRO)))
    assert worth([twice]) == 8
