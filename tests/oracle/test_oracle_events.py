"""What conditions over events and carts say, computed by hand: a case or a few for each sentence of the contract.

Traits, context, calendars and what stands between segments: test_oracle_attributes.
"""

import pytest

from tests.oracle.cases import Timeline
from tests.oracle.names import CHECKOUT
from tests.strategies.histories import DAY, HOUR, MINUTE, Event

DAY_AND_HALF = 36 * HOUR


def performed(**where: object) -> Event:
    return {"performed": {"event": "E", "where": where}}


def meets(properties: Event, **where: object) -> bool:
    """Whether an event with these properties is one that meets these tests."""
    return bool(Timeline()(0, "E", **properties).gives(performed(**where)))


# --- values and tests --------------------------------------------------------------------------

NINE: Event = {"score": 9}
CASES: list[tuple[str, Event, Event, bool]] = [
    ("a number equals a number", NINE, {"score": 9}, True),
    ("a number equals a numeric text", {"score": "9.0"}, {"score": 9}, True),
    ("a number equals a numeric text with an exponent", {"score": "0.9e1"}, {"score": 9}, True),
    ("a sign before it is read", {"score": "+9"}, {"score": 9}, True),
    ("so are spaces around", {"score": " 9 "}, {"score": 9}, True),
    ("and leading zeros", {"score": "09"}, {"score": 9}, True),
    ("a text equals an integer of those digits", NINE, {"score": "9"}, True),
    ("a text does not equal another spelling", {"score": 9.5}, {"score": "9.50"}, False),
    ("a text equals no number that is not whole", {"score": 9.5}, {"score": "9.5"}, False),
    ("texts have no case", {"color": "Red"}, {"color": "red"}, True),
    ("true equals true", {"new": True}, {"new": True}, True),
    ("true is not 1", {"new": True}, {"new": 1}, False),
    ("1 is true", {"new": 1}, {"new": True}, True),
    ("true is no text", {"new": True}, {"new": "true"}, False),
    ("a list has a member", {"tags": ["b", "a"]}, {"tags": "a"}, True),
    ("digits beyond the sixth are cut", {"score": 0.1234567}, {"score": 0.123456}, True),
    ("digits are cut toward zero", {"score": -0.1234569}, {"score": {"at_least": -0.123456}}, True),
    ("0.1 is exact", {"score": 0.1}, {"score": {"above": 0.1}}, False),
    ("in is one of them", NINE, {"score": {"in": [1, "9"]}}, True),
    ("not_in is none of them", NINE, {"score": {"not_in": [1, 2]}}, True),
    ("not_in asks for a value", {}, {"score": {"not_in": [1]}}, False),
    ("a list with one of them is not none of them", {"score": [2, 1]}, {"score": {"not_in": [1]}}, False),
    ("at_least is inclusive", NINE, {"score": {"at_least": 9}}, True),
    ("at_most is inclusive", NINE, {"score": {"at_most": 9}}, True),
    ("above is not", NINE, {"score": {"above": 9}}, False),
    ("below is not", NINE, {"score": {"below": 9}}, False),
    ("all keys are met", NINE, {"score": {"at_least": 5, "below": 9}}, False),
    ("negative numbers have a size", {"score": -3}, {"score": {"below": 0}}, True),
    ("a text that is no number has none", {"score": "nine"}, {"score": {"at_least": 0}}, False),
    ("false has none", {"score": False}, {"score": {"at_most": 0}}, False),
    ("a member of a list has its own", {"score": [-1, 9]}, {"score": {"at_least": 0}}, True),
    ("just below 9·10¹² is a number", {"score": 8_999_999_999_999}, {"score": {"at_least": 1}}, True),
    ("9·10¹² is none", {"score": 9_000_000_000_000}, {"score": {"at_least": 1}}, False),
    ("but it exists", {"score": 9_000_000_000_000}, {"score": {"exists": True}}, True),
    ("and has digits", {"score": 9_000_000_000_000}, {"score": "9000000000000"}, True),
    ("contains is a part of a text", {"city": "تهران"}, {"city": {"contains": "هرا"}}, True),
    ("contains is a member of a list", {"tags": ["a", "vip"]}, {"tags": {"contains": "vip"}}, True),
    ("contains is a part of a member", {"tags": ["vips"]}, {"tags": {"contains": "vip"}}, True),
    ("a member is equal as anything is", {"tags": [7]}, {"tags": {"contains": "7"}}, True),
    ("digits contain nothing", {"code": 177}, {"code": {"contains": "77"}}, False),
    ("matches searches anywhere", {"mail": "a@b.ir"}, {"mail": {"matches": "b\\.ir"}}, True),
    ("matches reads an integer's digits", {"code": 177}, {"code": {"matches": "^1"}}, True),
    ("matches reads no other number", {"code": 17.5}, {"code": {"matches": "1"}}, False),
    ("null is absent", {"color": None}, {"color": {"exists": False}}, True),
    ("an empty text is absent", {"color": ""}, {"color": {"exists": False}}, True),
    ("an empty list is absent", {"tags": []}, {"tags": {"exists": False}}, True),
    ("false is there", {"new": False}, {"new": {"exists": True}}, True),
    ("an absent value is not equal", {}, {"color": "red"}, False),
    ("an absent value matches nothing", {"color": ""}, {"color": {"matches": ".*"}}, False),
    ("a dotted name goes into objects", {"plan": {"tier": "gold"}}, {"plan.tier": "gold"}, True),
    ("nothing lies inside a text", {"plan": "gold"}, {"plan.tier": {"exists": False}}, True),
    ("through a list it gives the list", {"p": [{"c": "tea"}, {"c": "x"}]}, {"p.c": {"contains": "tea"}}, True),
    ("of which one may be it", {"p": [{"c": "x"}, {"c": "tea"}]}, {"p.c": "tea"}, True),
    ("members without it are left out", {"p": [{}, {"c": ""}]}, {"p.c": {"exists": False}}, True),
    ("two tests of one event", {"color": "red", "score": 9}, {"color": "red", "score": {"below": 9}}, False),
]


@pytest.mark.parametrize(
    ("properties", "where", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_value_meets_a_test(properties: Event, where: Event, expected: bool) -> None:
    """Each sentence about values, absence and tests."""
    assert meets(properties, **where) == expected


def test_where_reads_the_newest_completion_of_an_order() -> None:
    """There `total` is not lowered by a refund, and an earlier completion says nothing any more."""
    timeline = Timeline()(0, "Order Completed", order_id="o", total=5, coupon="A")
    timeline(1, "Order Completed", order_id="o", total=100, coupon="B")(2, "Order Refunded", order_id="o", total=40)
    assert timeline.gives({"performed": {"event": "Order Completed", "where": {"total": 100}}}) == [("entered", 1)]
    assert timeline.gives({"performed": {"event": "Order Completed", "where": {"coupon": "A"}}}) == [
        ("entered", 0),
        ("exited", 1),
    ]


def test_an_earlier_completion_that_comes_late_changes_nothing_of_what_where_reads() -> None:
    """The order stands since the earlier message, and is what the later one tells."""
    timeline = Timeline()(5, "Order Completed", order_id="o", coupon="A")(
        3, "Order Completed", order_id="o", coupon="B"
    )
    assert timeline.gives({"performed": {"event": "Order Completed", "where": {"coupon": "A"}}}) == [("entered", 5)]
    assert timeline.gives({"performed": {"event": "Order Completed", "within": "10ms"}}, 100) == [
        ("entered", 5),
        ("exited", 13),
    ]


# --- total -------------------------------------------------------------------------------------


def total(agg: str, of: str = "score", event: str = "E", **more: object) -> Event:
    return {"total": {"agg": agg, "of": of, "event": event} | more}


def spent(**more: object) -> Event:
    return total("sum", "total", "Order Completed", **more)


def test_a_sum_of_nothing_is_0() -> None:
    """At_most 0 holds from the first event on; a text that is no number adds nothing."""
    timeline = Timeline()(0, "page")(1, "E", score="nine")(2, "E", score=True)(3, "E", score="0.000001")
    assert timeline.gives(total("sum", at_most=0)) == [("entered", 0), ("exited", 3)]
    assert timeline.gives(total("distinct", below=1)) == [("entered", 0), ("exited", 1)]


@pytest.mark.parametrize("agg", ["avg", "min", "max"])
def test_an_average_or_extreme_of_nothing_meets_no_test(agg: str) -> None:
    """The condition holds once there is a value, and no longer when it has left."""
    timeline = Timeline()(0, "page")(1, "E", score=-5)
    assert timeline.gives(total(agg, within="1d", below=1), DAY + 1) == [("entered", 1), ("exited", DAY + 1)]


def test_an_average_is_exact() -> None:
    """A third of 1 is above 0.333333."""
    timeline = Timeline()(0, "E", score=1)(1, "E", score=0)(2, "E", score=0)
    assert timeline.gives(total("avg", above=0.333333, below=0.333334)) == [("entered", 2)]


def test_bounds_of_a_total_are_all_met() -> None:
    """The total must be from 9 on and below 18.5."""
    timeline = Timeline()(0, "E", score=9)(1, "E", score=9.499999)(2, "E", score="1e-6")
    assert timeline.gives(total("sum", at_least=9, below=18.5)) == [("entered", 0), ("exited", 2)]


def test_an_orders_total_is_its_value_less_refunds() -> None:
    """The value is `total`, else `revenue`; a full refund takes the order away, and with it its value."""
    timeline = Timeline()(0, "Order Completed", order_id="o", revenue="100.5")(
        1, "Order Refunded", order_id="o", revenue=0.5
    )
    timeline(2, "Order Refunded", order_id="o")
    assert timeline.gives(spent(above=99)) == [("entered", 0), ("exited", 2)]
    assert timeline.gives(spent(above=100)) == [("entered", 0), ("exited", 1)]
    literal = total("sum", "revenue", "Order Completed", above=100)
    assert timeline.gives(literal) == [("entered", 0), ("exited", 2)]


def test_an_order_without_a_value_adds_nothing() -> None:
    """An order without a value is an order all the same."""
    timeline = Timeline()(0, "Order Completed", order_id="o")(1, "Order Refunded", order_id="o", total=7)
    assert timeline.gives(spent(at_most=0)) == [("entered", 0)]
    assert timeline.gives(total("avg", "total", "Order Completed", at_most=9)) == []


@pytest.mark.parametrize(("currency", "counts"), [("EUR", True), ("", True), (None, True), ("USD", False)])
def test_money_counts_in_the_files_currency(currency: object, counts: bool) -> None:
    """An event without a currency counts; what is not money counts in any."""
    timeline = Timeline()(0, "E", price=5, score=5, currency=currency)
    assert bool(timeline.gives(total("max", "price", at_least=5))) == counts
    assert bool(timeline.gives(total("distinct", "price", at_least=1))) == counts
    assert timeline.gives(total("sum", at_least=5)) == [("entered", 0)]


def test_the_currency_of_an_order_is_that_of_its_newest_completion() -> None:
    """What an earlier message said of it does not count."""
    timeline = Timeline()(0, "Order Completed", order_id="o", total=5, currency="EUR")
    timeline(1, "Order Completed", order_id="o", total=5, currency="USD")
    assert timeline.gives(spent(at_least=5)) == [("entered", 0), ("exited", 1)]


def test_the_total_of_other_events_is_the_property() -> None:
    """Only an order has a value, and revenue in its place."""
    timeline = Timeline()(0, "Order Refunded", order_id="o", revenue=5)(1, "Order Refunded", order_id="o", total=5)
    assert timeline.gives(total("sum", "total", "Order Refunded", at_least=5)) == [("entered", 1)]


def test_distinct_values() -> None:
    """7 and "7" are one value, 7.5 and true are others; each member of a list is one; null and "" are none."""
    timeline = Timeline()(0, "E", score=7)(1, "E", score="7")(2, "E", score=7.5)(3, "E", score=True)
    timeline(4, "E", score=["7", "a", None, ""])(5, "E", score="")(6, "E", score=[])(7, "E", score={"a": 1})
    for bound, at in ((1, 0), (2, 2), (3, 3), (4, 4)):
        assert timeline.gives(total("distinct", at_least=bound)) == [("entered", at)]
    assert timeline.gives(total("distinct", at_least=5)) == []


def test_distinct_through_a_list() -> None:
    """The categories of all products in a list count."""
    timeline = Timeline()(0, "E", products=[{"category": "tea"}, {"category": "tea"}])
    timeline(1, "E", products=[{"category": "tea"}, {"category": "coffee"}, {}])
    assert timeline.gives(total("distinct", "products.category", at_least=2)) == [("entered", 1)]


@pytest.mark.nightly  # of 257 events: the oracle decides after each of them
def test_the_257th_contribution_stays_until_the_end_of_its_day() -> None:
    """Of 257 ones at noon, 256 leave at one o'clock, and the oldest an hour after midnight."""
    noon = 12 * HOUR
    timeline = Timeline()
    for index in range(257):
        timeline(noon + index, "E", score=1)
    left = noon + 256 + HOUR
    assert timeline.gives(total("sum", within="1h", at_least=257), 2 * DAY) == [
        ("entered", noon + 256),
        ("exited", noon + HOUR + 1),
    ]
    assert timeline.gives(total("sum", within="1h", at_least=2), 2 * DAY) == [("entered", noon + 1), ("exited", left)]
    assert timeline.gives(total("sum", within="1h", at_least=1), 2 * DAY) == [("entered", noon), ("exited", DAY + HOUR)]
    assert timeline.gives(total("max", within="1h", at_least=1), 2 * DAY) == [("entered", noon), ("exited", left)]


# --- last and first ----------------------------------------------------------------------------


def test_ago_runs_from_at_least_to_before_at_most() -> None:
    """The span is half-open; at_most and below are the same end."""
    for end in ("at_most", "below"):
        when: Event = {"last": {"event": "E", "ago": {"at_least": "1h", end: "1d"}}}
        assert Timeline()(0, "E").gives(when, 2 * DAY) == [("entered", HOUR), ("exited", DAY)]


def test_last_starts_anew_and_first_does_not() -> None:
    """A second event half a day later moves the last, and leaves the first."""
    timeline = Timeline()(0, "E")(DAY // 2, "E")
    assert timeline.gives({"last": {"event": "E", "ago": {"at_most": "1d"}}}, 9 * DAY) == [
        ("entered", 0),
        ("exited", DAY_AND_HALF),
    ]
    assert timeline.gives({"first": {"event": "E", "ago": {"at_most": "1d"}}}, 9 * DAY) == [
        ("entered", 0),
        ("exited", DAY),
    ]
    long_ago: Event = {"last": {"event": "E", "ago": {"at_least": "1h"}}}
    assert timeline.gives(long_ago, 9 * DAY) == [("entered", HOUR), ("exited", DAY // 2), ("entered", DAY // 2 + HOUR)]


def test_last_without_ago_is_ever() -> None:
    """One event that meets where is enough."""
    timeline = Timeline()(0, "E")(1, "E", color="red")
    assert timeline.gives({"last": {"event": "E", "where": {"color": "red"}}}) == [("entered", 1)]


def test_the_first_order_falls_with_its_cancellation() -> None:
    """The next order is then the first; last and first have no window, so a refund counts for ever."""
    timeline = Timeline()(0, "Order Completed", order_id="a")(HOUR, "Order Completed", order_id="b")
    timeline(2 * HOUR, "Order Cancelled", order_id="a")
    when: Event = {"first": {"event": "Order Completed", "ago": {"at_least": "2h"}}}
    assert timeline.gives(when, DAY) == [("entered", 2 * HOUR), ("exited", 2 * HOUR), ("entered", 3 * HOUR)]
    gone = Timeline()(0, "Order Refunded", order_id="a")(200 * DAY, "Order Completed", order_id="a")
    assert gone.gives({"any": [when, {"performed": {"event": "Order Completed", "within": "1d"}}]}, 300 * DAY) == []


# --- sequence ----------------------------------------------------------------------------------


def sequence(*names: object, **more: object) -> Event:
    return {"sequence": {"steps": [{"event": name} for name in names]} | more}


def test_steps_of_one_millisecond_go_by_message_id() -> None:
    """The messageId decides, not the order in the file."""
    assert Timeline()(0, "A", message="1")(0, "B", message="2").gives(sequence("A", "B")) == [("entered", 0)]
    assert Timeline()(0, "A", message="2")(0, "B", message="1").gives(sequence("A", "B")) == []


def test_all_steps_lie_in_the_window() -> None:
    """An hour after the first step the customer leaves; a newer pair keeps the membership."""
    timeline = Timeline()(0, "A")(MINUTE, "B")
    assert timeline.gives(sequence("A", "B", within="1h"), DAY) == [("entered", MINUTE), ("exited", HOUR)]
    timeline(2 * MINUTE, "A")(3 * MINUTE, "B")
    assert timeline.gives(sequence("A", "B", within="1h"), DAY) == [("entered", MINUTE), ("exited", HOUR + 2 * MINUTE)]
    assert Timeline()(0, "A")(HOUR, "B").gives(sequence("A", "B", within="1h")) == []


def test_other_events_may_lie_between_the_steps() -> None:
    """Other events lie between the steps, and a step has several names."""
    timeline = Timeline()(0, "A")(1, "X")(2, "A")(3, "C")
    assert timeline.gives(sequence("A", ["B", "C"])) == [("entered", 3)]


def test_an_order_is_a_step_at_its_earliest_completion() -> None:
    """An order is one step, and none once it is cancelled."""
    timeline = Timeline()(0, "Order Completed", order_id="o")(1, "A")(2, "Order Completed", order_id="o")
    assert timeline.gives(sequence("A", "Order Completed")) == []
    assert timeline.gives(sequence("Order Completed", "Order Completed")) == []
    timeline(3, "Order Cancelled", order_id="o")
    assert timeline.gives(sequence("Order Completed", "A")) == [("entered", 1), ("exited", 3)]


def test_same_is_one_value_of_all_steps() -> None:
    """A list shares any of its members; 7 is "7"; null is nothing shared."""
    timeline = Timeline()(0, "A", tag=[7, "x"])(1, "B", tag="y")(2, "B", tag="7")(3, "C", tag=["z", 7])
    assert timeline.gives(sequence("A", "B", same="tag")) == [("entered", 2)]
    assert timeline.gives(sequence("A", "B", "C", same="tag")) == [("entered", 3)]
    assert Timeline()(0, "A", tag=None)(1, "B", tag="").gives(sequence("A", "B", same="tag")) == []


def test_same_takes_a_later_first_step_if_that_is_the_one() -> None:
    """Each shared value has its own chain of steps."""
    timeline = Timeline()(0, "A", tag="x")(1, "A", tag="y")(2, "B", tag="y")
    assert timeline.gives(sequence("A", "B", same="tag")) == [("entered", 2)]
    crossed = Timeline()(0, "A", tag="x")(1, "B", tag="y")(2, "A", tag="y")
    assert crossed.gives(sequence("A", "B", same="tag")) == []


def test_where_of_a_step() -> None:
    """Each step has its own `where`."""
    steps = [{"event": "E", "where": {"color": "red"}}, {"event": "E", "where": {"color": "blue"}}]
    timeline = Timeline()(0, "E", color="blue")(1, "E", color="red")(2, "E", color="red")(3, "E", color="blue")
    assert timeline.gives({"sequence": {"steps": steps}}) == [("entered", 3)]


# --- cart --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CHECKOUT))
def test_a_step_of_the_checkout_is_stage_checkout(name: str) -> None:
    """The stage is checkout until a purchase; after it the next cart is no checkout."""
    timeline = Timeline()(0, "Product Added")(1, name)(2, "Order Completed")(3, "Product Added")
    assert timeline.gives({"cart": {"stage": "checkout"}}) == [("entered", 1), ("exited", 2)]
    assert timeline.gives({"cart": {"stage": "cart"}}) == [("entered", 0), ("exited", 1), ("entered", 3)]


def test_a_coupon_is_no_checkout() -> None:
    assert Timeline()(0, "Product Added")(1, "Coupon Applied").gives({"cart": {"stage": "checkout"}}) == []


def test_an_empty_checkout_is_no_cart() -> None:
    assert Timeline()(0, "Checkout Started").gives({"cart": {"stage": "checkout"}}) == []


def test_the_value_takes_the_last_price_that_was_told() -> None:
    """A removal has a price too, an event without one does not; of one list the last mention counts."""
    timeline = Timeline()(0, "Product Added", sku="a", price=5)(1, "Product Added", sku="a")
    assert timeline.gives({"cart": {"value": 10}}) == [("entered", 1)]
    timeline(2, "Product Removed", sku="a", quantity=1, price="7.5")
    assert timeline.gives({"cart": {"value": 7.5}}) == [("entered", 2)]
    timeline(3, "Cart Viewed", products=[{"sku": "a", "price": 1}, {"sku": "a", "price": 2}, {"sku": "b"}])
    assert timeline.gives({"cart": {"value": 4}}) == [("entered", 3)]
    assert timeline.gives({"cart": {"items": {"above": 2}}}) == [("entered", 3)]


def test_a_product_without_a_price_is_worth_nothing() -> None:
    """The product is an item all the same; a price from before the purchase is forgotten."""
    timeline = Timeline()(0, "Product Added", sku="a", price=5)(1, "Order Completed")(
        2, "Product Added", sku="a", quantity="0.5"
    )
    assert timeline.gives({"cart": {"value": {"at_most": 0}}}) == [("entered", 2)]
    assert timeline.gives({"cart": {"items": 0.5}}) == [("entered", 2)]


def test_a_price_counts_for_ninety_days_of_cart_events() -> None:
    """The item was added again, its price was not."""
    timeline = Timeline()(0, "Product Added", sku="a", price=5)(DAY, "Product Added", sku="a")
    timeline(90 * DAY, "Cart Viewed")(90 * DAY + 1, "Cart Viewed")
    assert timeline.gives({"cart": {"value": {"above": 0}}}) == [("entered", 0), ("exited", 90 * DAY + 1)]
    assert timeline.gives({"cart": {}}) == [("entered", 0)]


def test_all_that_is_asked_of_a_cart_holds_at_once() -> None:
    """The cart is quiet for an hour, below a day, with two items."""
    timeline = Timeline()(0, "Product Added")(MINUTE, "Product Added")
    when: Event = {"cart": {"idle_for": "1h", "until": "1d", "items": {"at_least": 2}, "stage": "cart"}}
    assert timeline.gives(when, 2 * DAY) == [("entered", HOUR + MINUTE), ("exited", DAY + MINUTE)]
