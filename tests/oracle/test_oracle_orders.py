"""Orders as the fold of their messages, computed by hand: since when one stands, and what it is worth."""

import pytest

from tests.oracle.cases import Timeline
from tests.strategies.histories import DAY, MINUTE, Event

BOUGHT: Event = {"performed": {"event": "Order Completed"}}
SHIRT, COAT = {"product_id": "shirt", "price": 40, "quantity": 1}, {"product_id": "coat", "price": 80}


def spent(**test: object) -> Event:
    return {"total": {"agg": "sum", "of": "total", "event": "Order Completed"} | test}


def worth(timeline: Timeline, value: object) -> bool:
    """Whether the sum of all orders is this in the end."""
    exactly = timeline.gives(spent(at_least=value, at_most=value))
    return bool(exactly) and exactly[-1][0] == "entered"


def test_an_order_stands_again_after_a_cancel() -> None:
    """An order is none from the cancel to the next completion, and is then an order of that time."""
    timeline = Timeline()(0, "Order Completed", order_id="o")(1, "Order Cancelled", order_id="o")
    timeline(5, "Order Completed", order_id="o")
    assert timeline.gives(BOUGHT) == [("entered", 0), ("exited", 1), ("entered", 5)]
    window: Event = {"performed": {"event": "Order Completed", "within": "10ms"}}
    assert timeline.gives(window, 50)[-1] == ("exited", 15)
    assert timeline.gives({"performed": {"event": "Order Completed", "count": {"at_least": 2}}}) == []


def test_an_update_does_not_end_a_cancel() -> None:
    timeline = Timeline()(0, "Order Completed", order_id="o")(1, "Order Cancelled", order_id="o")
    assert timeline(2, "Order Updated", order_id="o", total=5).gives(BOUGHT) == [("entered", 0), ("exited", 1)]


def test_messages_of_one_millisecond_go_by_message_id() -> None:
    """A cancel whose messageId comes later is later, wherever it stands in the file."""
    for cancel, stands in (("a", True), ("c", False)):
        timeline = Timeline()(0, "Order Cancelled", order_id="o", message=cancel)
        timeline(0, "Order Completed", order_id="o", message="b")
        timeline(1, "page")
        assert bool(timeline.gives(BOUGHT, 1)[-1:] == [("entered", 0)]) == stands


@pytest.mark.parametrize("name", ["Order Completed", "Order Updated"])
def test_a_full_refund_is_undone_by_nothing(name: str) -> None:
    timeline = Timeline()(0, "Order Completed", order_id="o", total=10)(1, "Order Refunded", order_id="o", total=10)
    assert timeline(2, name, order_id="o", total=99).gives(BOUGHT) == [("entered", 0), ("exited", 1)]


def test_the_value_is_that_of_the_newest_message() -> None:
    """A completion or an update; one without a total leaves it, one that cannot be read makes it unknown."""
    timeline = Timeline()(0, "Order Completed", order_id="o", total=10)
    assert worth(timeline, 10)
    assert worth(timeline(1, "Order Updated", order_id="o", total=25), 25)
    assert worth(timeline(2, "Order Completed", order_id="o", coupon="x"), 25)
    assert worth(timeline(3, "Order Updated", order_id="o", total="n/a"), 0)
    assert timeline.gives(BOUGHT) == [("entered", 0)]
    assert worth(timeline(4, "Order Updated", order_id="o", total="30"), 30)


def test_an_update_is_read_whole() -> None:
    """What it does not tell is gone, but for the total."""
    timeline = Timeline()(0, "Order Completed", order_id="o", total=10, coupon="x")(1, "Order Updated", order_id="o")
    for where, expected in (({"coupon": "x"}, [("entered", 0), ("exited", 1)]), ({"total": 10}, [("entered", 0)])):
        assert timeline.gives({"performed": {"event": "Order Completed", "where": where}}) == expected


def test_an_update_alone_is_no_order() -> None:
    assert Timeline()(0, "Order Updated", order_id="o", total=5).gives(BOUGHT) == []


def test_an_update_may_let_the_refunds_reach_the_value() -> None:
    timeline = Timeline()(0, "Order Completed", order_id="o", total=100)(1, "Order Refunded", order_id="o", total=60)
    timeline(2, "Order Updated", order_id="o", total=60)(3, "Order Updated", order_id="o", total=100)
    assert timeline.gives(BOUGHT) == [("entered", 0), ("exited", 2)]


# --- refunds -----------------------------------------------------------------------------------


def refunded(order: Event, **refund: object) -> Timeline:
    """An order of 120, and a refund of it a day later."""
    timeline = Timeline()(0, "Order Completed", **({"order_id": "o", "total": 120} | order))
    return timeline(DAY, "Order Refunded", order_id="o", **refund)


def test_products_tell_how_much_is_refunded() -> None:
    """By the order's price, else the refund's; quantity 1 where none is told."""
    order: Event = {"products": [SHIRT, COAT]}
    assert worth(refunded(order, products=[{"product_id": "shirt"}]), 80)
    assert worth(refunded(order, products=[{"product_id": "shirt", "quantity": 2}]), 40)
    assert worth(refunded(order, products=[{"product_id": "shirt", "price": 1}]), 80)
    assert worth(refunded({}, products=[{"product_id": "shirt", "price": 50}]), 70)
    assert refunded(order, products=[SHIRT, COAT]).gives(BOUGHT) == [("entered", 0), ("exited", DAY)]


def test_a_refund_of_unknown_value_lowers_nothing() -> None:
    """A product without a price, an amount that cannot be read, another currency."""
    order: Event = {"products": [SHIRT]}
    unknown: list[Event] = [
        {"products": [{"product_id": "hat"}]},
        {"products": [{"product_id": "shirt"}, {"product_id": "hat"}]},
        {"total": "n/a"},
        {"total": "n/a", "products": [{"product_id": "shirt"}]},
        {"total": 120, "currency": "JPY"},
        {"total": "¥120"},
    ]
    for refund in unknown:
        assert worth(refunded(order, **refund), 120), refund


def test_a_refund_without_amount_and_products_is_full() -> None:
    untold: list[Event] = [{}, {"products": []}, {"total": "", "products": None}]
    for refund in untold:
        assert refunded({}, **refund).gives(BOUGHT) == [("entered", 0), ("exited", DAY)]


def test_a_negative_refund_is_one_of_that_size() -> None:
    assert worth(refunded({}, total=-20), 100)
    assert refunded({}, total="-120").gives(BOUGHT) == [("entered", 0), ("exited", DAY)]


def test_an_order_and_its_refunds_have_the_orders_currency() -> None:
    """In dollars the order is fully refunded in dollars, in a file in euros too; and adds nothing to the sum."""
    assert refunded({"currency": "usd"}, total="$120").gives(BOUGHT) == [("entered", 0), ("exited", DAY)]
    assert refunded({"currency": "usd"}, total=120).gives(BOUGHT) == [("entered", 0), ("exited", DAY)]
    assert refunded({"currency": "usd"}, total=120, currency="EUR").gives(BOUGHT) == [("entered", 0)]
    assert worth(refunded({"currency": "usd"}, total=20), 0)
    assert worth(refunded({"currency": " eur"}, total=20), 100)


def test_the_variant_of_a_line_decides_its_price() -> None:
    lines = [{"product_id": "p", "sku": "S", "price": 10}, {"product_id": "p", "sku": "L", "price": 20}]
    assert worth(refunded({"products": lines}, products=[{"product_id": "p", "sku": "L"}]), 100)


def test_sixteen_lines_are_known_for_a_hundred_and_eighty_days() -> None:
    lines = [{"product_id": f"p{index}", "price": 1} for index in range(17)]
    assert worth(refunded({"products": lines}, products=[{"product_id": "p15"}]), 119)
    assert worth(refunded({"products": lines}, products=[{"product_id": "p16"}]), 120)
    for late, value in ((0, 80), (1, 120)):
        timeline = Timeline()(0, "Order Completed", order_id="o", total=120, products=[SHIRT])
        timeline(180 * DAY + late, "Order Refunded", order_id="o", products=[{"product_id": "shirt"}])
        assert worth(timeline, value)


def test_a_refund_or_update_without_an_order_id_touches_none() -> None:
    timeline = Timeline()(0, "Order Completed", total=10)(1, "Order Refunded")(2, "Order Updated", total=99)
    assert worth(timeline, 10)


# --- orders and carts --------------------------------------------------------------------------

CART: Event = {"cart": {}}


def test_a_repeat_ends_carts_for_five_minutes() -> None:
    """Up to and including five minutes after the order began to stand."""
    for late, expected in ((0, [("entered", 1), ("exited", 5 * MINUTE)]), (1, [("entered", 1)])):
        timeline = Timeline()(0, "Order Completed", order_id="o")(1, "Product Added")
        timeline(5 * MINUTE + late, "Order Completed", order_id="o")
        assert timeline.gives(CART) == expected


def test_an_order_that_stands_again_ends_no_cart() -> None:
    timeline = Timeline()(0, "Order Completed", order_id="o")(1, "Order Cancelled", order_id="o")(2, "Product Added")
    assert timeline(3, "Order Completed", order_id="o").gives(CART) == [("entered", 2)]


def test_an_order_that_was_cancelled_first_ends_the_cart() -> None:
    timeline = Timeline()(0, "Order Cancelled", order_id="o")(1, "Product Added")
    assert timeline(2, "Order Completed", order_id="o").gives(CART) == [("entered", 1), ("exited", 2)]


def test_an_update_ends_no_cart() -> None:
    assert Timeline()(0, "Product Added")(1, "Order Updated", order_id="o").gives(CART) == [("entered", 0)]
