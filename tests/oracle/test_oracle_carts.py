"""Carts, computed by hand: which of them an order ends, their lines, removals, and what they are worth."""

from tests.oracle.cases import Timeline
from tests.strategies.histories import DAY, HOUR, MINUTE, Event


def items(timeline: Timeline, number: object) -> bool:
    """Whether so many items lie in all open carts in the end."""
    return is_in(timeline, {"cart": {"items": {"at_least": number, "at_most": number}}})


def worth(timeline: Timeline, value: object) -> bool:
    return is_in(timeline, {"cart": {"value": {"at_least": value, "at_most": value}}})


def is_in(timeline: Timeline, when: Event) -> bool:
    changes = timeline.gives(when)
    return bool(changes) and changes[-1][0] == "entered"


# --- cart ids ----------------------------------------------------------------------------------


def two_carts() -> Timeline:
    """One item in each of two carts, and one without a cart."""
    timeline = Timeline()(0, "Product Added", product_id="a", cart_id="c1")(
        1, "Product Added", product_id="b", cartId="c2"
    )
    return timeline(2, "Product Added", product_id="c")


def test_an_order_ends_its_own_cart_and_what_has_none() -> None:
    assert items(two_carts(), 3)
    assert items(two_carts()(3, "Order Completed", cart_id="c1"), 1)


def test_any_other_order_ends_all() -> None:
    """One without a cart, or of a cart that no event named up to then."""
    for cart in ({}, {"cart_id": "c3"}, {"cart_id": True}):
        assert two_carts()(3, "Order Completed", **cart).gives({"cart": {}})[-1] == ("exited", 3)
    later = two_carts()(3, "Order Completed", cart_id="c3")(4, "Coupon Applied", cart_id="c3")
    assert later.gives({"cart": {}})[-1] == ("exited", 3)


def test_a_cart_id_may_be_a_number() -> None:
    timeline = Timeline()(0, "Product Added", cart_id=5)(1, "Product Added", cart_id="6")
    assert items(timeline(2, "Order Completed", cart_id=5.0), 1)


def test_a_list_takes_the_place_of_its_own_cart_and_of_what_has_none() -> None:
    assert items(two_carts()(3, "Cart Viewed", cart_id="c1", products=[{"sku": "x"}]), 2)
    assert items(two_carts()(3, "Cart Viewed", products=[{"sku": "x"}]), 3)
    assert items(two_carts()(3, "Cart Viewed", cart_id="c3", products=[]), 2)


def test_idle_time_runs_from_the_newest_event_of_open_carts() -> None:
    """The cart that was emptied a minute later is not open; an event of no cart is one of the open ones."""
    timeline = Timeline()(0, "Product Added", cart_id="c1")(1, "Product Added", cart_id="c2")
    timeline(MINUTE, "Product Removed", cart_id="c2")
    assert timeline.gives({"cart": {"idle_for": "1h"}}, DAY) == [("entered", HOUR)]
    timeline(2 * MINUTE, "Coupon Applied")
    assert timeline.gives({"cart": {"idle_for": "1h"}}, DAY) == [("entered", HOUR + 2 * MINUTE)]


def test_sixteen_carts_are_told_apart() -> None:
    """Of the seventeen the one that was named first is none: an order of another ends it too."""
    timeline = Timeline()
    for index in range(17):
        timeline(index, "Product Added", product_id=index, cart_id=f"c{index}")
    assert items(timeline, 17)
    assert items(timeline(17, "Order Completed", cart_id="c9"), 15)


# --- lines -------------------------------------------------------------------------------------

SIZES = [{"product_id": "p", "sku": "S", "price": 15}, {"product_id": "p", "sku": "L", "price": 120}]


def sizes() -> Timeline:
    return Timeline()(0, "Cart Viewed", products=SIZES)


def test_two_sizes_are_two_lines() -> None:
    assert worth(sizes(), 135)
    assert worth(sizes()(1, "Product Removed", product_id="p", sku="L"), 15)
    assert sizes()(1, "Product Removed", product_id="p").gives({"cart": {}}) == [("entered", 0), ("exited", 1)]


def test_a_removal_of_none_is_one_of_all() -> None:
    """A sender that states what is left of the product says 0."""
    timeline = Timeline()(0, "Product Added", product_id="p", quantity=3)(
        1, "Product Removed", product_id="p", quantity=0
    )
    assert timeline.gives({"cart": {}}) == [("entered", 0), ("exited", 1)]


def test_a_removal_takes_the_newest_line_first() -> None:
    assert worth(sizes()(1, "Product Removed", product_id="p", quantity=1), 15)
    assert worth(
        sizes()(1, "Product Added", product_id="p", sku="S")(2, "Product Removed", product_id="p", quantity=1), 135
    )


def test_a_removal_takes_what_differs_in_nothing_that_both_tell() -> None:
    """A line without a size is of any size; one of another variant is not taken."""
    timeline = Timeline()(0, "Product Added", product_id="p")(1, "Product Added", product_id="p", variant="red")
    assert items(timeline, 2)
    assert items(timeline(2, "Product Removed", product_id="p", sku="S", variant="blue"), 1)


def test_a_removal_takes_from_the_cart_that_it_names() -> None:
    timeline = Timeline()(0, "Product Added", sku="a", cart_id="c1")(1, "Product Added", sku="a", cart_id="c2")
    assert items(timeline(2, "Product Removed", sku="a", cart_id="c1"), 1)
    assert timeline.gives({"cart": {"idle_for": "1h"}}, DAY) == [("entered", HOUR + 1)]


def test_added_and_removed_take_a_list() -> None:
    timeline = Timeline()(0, "Product Added", products=[{"sku": "a", "quantity": 2}, {"sku": "b"}])
    assert items(timeline, 3)
    assert items(timeline(1, "Product Removed", products=[{"sku": "a", "quantity": 1}, {"sku": "b"}]), 1)


def test_the_newest_256_items_are_kept() -> None:
    """Over all events: 200 and then 100."""
    timeline = Timeline()(0, "Product Added", products=[{"sku": f"a{index}"} for index in range(200)])
    timeline(1, "Product Added", products=[{"sku": f"b{index}"} for index in range(100)])
    assert items(timeline, 256)


# --- quantities and prices ---------------------------------------------------------------------


def test_an_unknown_quantity_is_as_an_absent_one() -> None:
    for odd in ("many", -2, True, 10**12):
        assert items(Timeline()(0, "Product Added", sku="a", quantity=odd), 1)
    timeline = Timeline()(0, "Product Added", sku="a", quantity=3)(1, "Product Removed", sku="a", quantity="some")
    assert timeline.gives({"cart": {}}) == [("entered", 0), ("exited", 1)]


def test_of_a_value_with_an_unknown_part_the_known_part_counts_upward_only() -> None:
    """20 are known: at_least and above may hold, nothing else does."""
    for odd in ("n/a", "$9.00", -1, 10**12):
        timeline = Timeline()(0, "Cart Viewed", products=[{"sku": "a", "price": 20}, {"sku": "b", "price": odd}])
        tests: list[tuple[object, bool]] = [
            ({"at_least": 20}, True), ({"above": 19}, True), ({"at_least": 21}, False), ({"at_most": 100}, False),
            ({"below": 100}, False), (20, False), ({"at_least": 5, "at_most": 100}, False),
        ]  # fmt: skip
        for test, expected in tests:
            assert bool(timeline.gives({"cart": {"value": test}})) == expected, (odd, test)


def test_a_cart_in_another_currency_is_of_unknown_value() -> None:
    timeline = Timeline()(0, "Product Added", sku="a", price=2500, currency="JPY")
    assert timeline.gives({"cart": {"value": {"above": 0}}}) == []
    assert timeline.gives({"cart": {"items": 1}}) == [("entered", 0)]
    assert worth(Timeline()(0, "Product Added", sku="a", price="25,00", currency=" eur"), 25)


def test_the_last_known_price_stays() -> None:
    """A price stays where a later one is unknown or absent; a line that never had one is worth nothing."""
    timeline = Timeline()(0, "Product Added", sku="a", price=20)(
        1, "Cart Viewed", products=[{"sku": "a", "price": "?"}]
    )
    assert worth(timeline, 20)
    assert worth(timeline(2, "Product Added", sku="a"), 40)
    assert worth(timeline(3, "Product Added", sku="b"), 40)
    assert worth(timeline(4, "Product Added", sku="a", price="30"), 90)
