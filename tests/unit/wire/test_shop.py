"""The properties of a shop's events: ids, products, carts, orders and currencies; none of them refuses an event.

Beside it: test_amounts (money and quantities).
"""

import json

import pytest

from rules.currencies import counts_in, resolved
from rules.events import Event, Item
from rules.profile.products import product_key
from tests.support.input_records import accepted, ordered, record, shop

MICRO = 1_000_000
ADDING = ("Product Added", "Wishlist Product Added to Cart")
ITEMS = (*ADDING, "Product Removed")
WHOLE_CARTS = ("Cart Viewed", "Checkout Started")
ORDERS = ("Order Completed", "Order Updated", "Order Refunded")


def unread(event: Event) -> set[str]:
    return set(event.unread)


# --- ids ---------------------------------------------------------------------------------------

IDS: list[tuple[str, str | None]] = [
    ('"p1"', "p1"), ('"7"', "7"), ("7", "7"), ("0", "0"), ("-7", "-7"), ("1.0", "1"), ("1001.00", "1001"),
    ("12345678901234567890123", "12345678901234567890123"), ("12345678901234567890123.0", "12345678901234567890123"),
    ("null", None), ('""', None), ('"چای سبز"', "چای سبز"), ('"\\u0686\\u0627\\u06cc"', "چای"), ('"1.0"', "1.0"),
    ('"a\\"b\\\\"', 'a"b\\'), ('"\\ud83d\\ude00"', "😀"), ('"07"', "07"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), IDS)
def test_ids(text: str, name: str | None) -> None:
    """An id is text, or an integer as its digits, also written as a float; null and "" are absent."""
    for field in ("order_id", "orderId", "id"):
        assert accepted(ordered(**{field: text})).order == name
    for field in ("cart_id", "cartId"):
        assert accepted(ordered(**{field: text})).cart == name
        assert accepted(shop("Product Added", **{field: text})).cart == name
    for field in ("product_id", "id", "sku", "name"):
        event = accepted(shop("Product Added", **{field: text}))
        assert (event.items, event.unread) == ((Item(name or ""),), ())


NO_IDS = ["1.5", "0.1", "true", "false", '["p"]', '{"id":"p"}', "[5]", "1e-3", "1e999"]


@pytest.mark.parametrize("text", NO_IDS)
def test_ids_that_are_none(text: str) -> None:
    """A value of any other type is no id, and the next name of the id counts."""
    event = accepted(ordered(order_id=text, total="5", cart_id=text))
    assert (event.order, event.cart, event.amount, unread(event)) == (None, None, 5 * MICRO, {"order_id", "cart_id"})
    event = accepted(shop("Product Added", product_id=text, quantity="2"))
    assert (event.items, unread(event)) == ((Item("", 2 * MICRO),), {"product_id"})
    assert accepted(shop("Product Added", product_id=text, sku='"s"')).items == (Item("s"),)
    assert accepted(shop("Product Added", product_id='"p"', sku=text, variant=text)).items == (Item("p"),)
    assert accepted(shop("Product Added", product_id=text, sku=text, name='"n"')).items == (Item("n"),)
    assert accepted(ordered(order_id=text, orderId='"o"')).order == "o"


@pytest.mark.parametrize("absent", [{}, {"order_id": "null"}, {"order_id": '""'}])
def test_the_names_of_an_orders_id(absent: dict[str, str]) -> None:
    """The id of an order is `order_id`, else `orderId`, else `id`; that of its cart `cart_id`, else `cartId`."""
    for name in (*ORDERS, "Order Cancelled"):
        assert accepted(shop(name, order_id='"a"', orderId='"b"', id='"c"')).order == "a"
        assert accepted(shop(name, orderId='"b"', id='"c"', **absent)).order == "b"
        assert accepted(shop(name, id="7.0", **absent)).order == "7"
        assert accepted(shop(name, **absent)).order is None
        assert accepted(shop(name, cart_id='"a"', cartId='"b"')).cart == "a"
        assert accepted(shop(name, cart_id="null", cartId="8")).cart == "8"
    for name in (*ITEMS, *WHOLE_CARTS, "Coupon Applied", "Checkout Step Viewed", "Payment Info Entered"):
        event = accepted(shop(name, cartId='"b"', order_id='"o"', cart_id='""'))
        assert (event.cart, event.order) == ("b", None)


def test_a_product_is_its_id_else_its_sku_else_its_name() -> None:
    """The first of them that is there counts; without any it is the one unnamed product."""
    for properties, product in (
        ('{"product_id":"p","name":"n"}', "p"),
        ('{"product_id":"","id":"i","name":"n"}', "i"),
        ('{"product_id":"p","id":"i"}', "p"),
        ('{"product_id":"","sku":5,"name":"n"}', "5"),
        ('{"product_id":null,"sku":"","name":"n"}', "n"),
        ("{}", ""),
        ("null", ""),
        ("[]", ""),
        ("5", ""),
    ):
        assert accepted(record(properties=properties)).items == (Item(product),)
    assert accepted(record(properties=None)).items == (Item(""),)


def test_a_product_is_told_apart_by_sku_and_variant() -> None:
    """Beside the id of a product its SKU and variant count, where they are told."""
    for given, key in (
        ({"product_id": "p", "sku": "s", "variant": "v"}, product_key("p", "s", "v")),
        ({"product_id": "p", "sku": 5, "variant": None}, product_key("p", "5")),
        ({"product_id": "p", "sku": "", "variant": "v"}, product_key("p", "", "v")),
        ({"sku": "s", "name": "n"}, product_key("s")),
        ({"sku": "s", "variant": "v"}, product_key("s", "", "v")),
        ({"name": "n", "variant": "v"}, product_key("n", "", "v")),
        ({"product_id": "p", "name": "n"}, product_key("p")),
    ):
        value = json.dumps(given)
        for name in ITEMS:
            assert accepted(record(event=f'"{name}"', properties=value)).items == (Item(key),)
            assert accepted(shop(name, products=f"[{value}]")).items == (Item(key),)
    assert len({product_key("p", "s"), product_key("p", "", "s"), product_key("p"), product_key("p", "s", "s")}) == 4


# --- products ----------------------------------------------------------------------------------

LISTED = '[{"product_id":7,"quantity":"2"},{"sku":"s","price":5},{}]'
LINES = (Item("7", 2 * MICRO), Item("s", price=5 * MICRO), Item(""))


@pytest.mark.parametrize("name", [*WHOLE_CARTS, *ORDERS])
def test_products(name: str) -> None:
    """`products` is a list, or one object in its place; absent and null are no list, [] is an empty one."""
    for products, expected in (
        (LISTED, LINES),
        ('{"product_id":7,"quantity":2}', (Item("7", 2 * MICRO),)),
        ('{"sku":"s","price":"5.00","color":"red"}', (Item("s", price=5 * MICRO),)),
        ("[]", ()),
        ("null", None),
        ('""', None),
    ):
        event = accepted(shop(name, products=products))
        assert (event.items, event.unread) == (expected, ()), products
    assert accepted(record(event=f'"{name}"', properties=None)).items is None
    assert accepted(shop(name, product_id='"p"', price="5")).items is None


@pytest.mark.parametrize("name", [*WHOLE_CARTS, *ORDERS, *ITEMS])
@pytest.mark.parametrize("other", ["null", "5", '"x"', "true", "[]", "[{}]", "1e999"])
def test_members_of_products_that_are_no_objects(name: str, other: str) -> None:
    """A member that is no object is no product; the others are."""
    event = accepted(shop(name, products=f'[{other},{{"product_id":7,"price":1}},{other},{{"sku":"s"}},{other}]'))
    assert (event.items, unread(event)) == ((Item("7", price=MICRO), Item("s")), {"products"})


@pytest.mark.parametrize("name", [*WHOLE_CARTS, *ORDERS, *ITEMS])
def test_products_of_another_type(name: str) -> None:
    """Products that are no list and no object are none, and are told as unread."""
    for text in ("5", '"shirt"', "true", "false", "1e999", '"[]"'):
        event = accepted(shop(name, name='"p"', products=text))
        assert (event.items, unread(event)) == ((Item("p"),) if name in ITEMS else None, {"products"})
        event = accepted(shop(name, product_id='"p"', products=text))
        assert unread(event) == (set() if name in ITEMS else {"products"})


@pytest.mark.parametrize("name", ITEMS)
def test_one_product_or_several_are_added_and_removed(name: str) -> None:
    """An item event takes the product that its own properties name by an id or SKU, else `products`."""
    single = {"product_id": '"p"', "quantity": "3", "price": "4"}
    line = (Item("p", 3 * MICRO, 4 * MICRO),)
    assert accepted(shop(name, products=LISTED)).items == LINES
    assert accepted(shop(name, products=LISTED, name='"n"', quantity="3")).items == LINES
    for field in ("product_id", "id", "sku"):
        for beside in (LISTED, '{"sku":"s"}'):
            event = accepted(shop(name, products=beside, **{field: '"p"', "quantity": "3", "price": "4"}))
            assert event.items == line
    for products in ("null", '""', "[]"):
        assert accepted(shop(name, products=products, **single)).items == line
    assert accepted(shop(name, **single)).items == line


@pytest.mark.parametrize("name", [*WHOLE_CARTS, *ORDERS, *ITEMS])
def test_values_of_a_product_that_are_none(name: str) -> None:
    """A price that cannot be read is told as such, a quantity is as an absent one, and the product stays."""
    for text in ("-1", '"x"', "[1]", "true", "{}", "1e12", '"1,049"'):
        products = f'[{{"sku":"s","price":{text}}},{{"sku":"t","quantity":{text},"price":5}}]'
        event = accepted(shop(name, products=products))
        assert event.items == (Item("s", is_unpriced=True), Item("t", price=5 * MICRO)), text
        assert unread(event) == {"price", "quantity"}
    for text in ("null", '""', '" "'):
        event = accepted(shop(name, products=f'{{"sku":"s","price":{text},"quantity":{text}}}'))
        assert (event.items, event.unread) == ((Item("s"),), ())


@pytest.mark.parametrize("name", ITEMS)
def test_the_price_of_a_product(name: str) -> None:
    """A price is as exact as any amount; null is none, 0 is a price."""
    for text, price in (("19.99", 19_990_000), ('"0.1"', 100_000), ("0", 0), ("null", None)):
        assert accepted(shop(name, product_id='"p"', price=text)).items == (Item("p", None, price),)
    assert accepted(shop(name, product_id='"p"', quantity='"1,5"')).items == (Item("p", 1_500_000),)


def test_browse_events_and_steps_have_no_items() -> None:
    """Only events that change a cart, and orders, have items."""
    for name in ("Product Viewed", "Product Clicked", "Product List Viewed", "Coupon Applied", "Order Cancelled"):
        assert accepted(shop(name, product_id='"p"', price="5", products=LISTED)).items is None


# --- orders and refunds ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['"shirt"', "5", "true", "1e999"])
def test_a_refund_of_products_that_cannot_be_read(text: str) -> None:
    """A refund of such products is of unknown value; with an amount it is worth that, and an order stays as it is."""
    event = accepted(shop("Order Refunded", order_id='"o"', products=text))
    assert (event.order, event.items, event.amount, event.is_unvalued) == ("o", None, None, True)
    event = accepted(shop("Order Refunded", order_id='"o"', products=text, total="5"))
    assert (event.amount, event.is_unvalued) == (5 * MICRO, False)
    event = accepted(ordered(order_id='"o"', products=text))
    assert (event.items, event.amount, event.is_unvalued) == (None, None, False)


def test_a_refund_without_an_amount() -> None:
    """A refund that tells no amount has none, and is not of unknown value by itself."""
    for properties in ({}, {"total": "null"}, {"total": '""', "revenue": '" "'}, {"products": "null"}):
        event = accepted(shop("Order Refunded", order_id='"o"', **properties))
        assert (event.items, event.amount, event.is_unvalued) == (None, None, False)
    event = accepted(shop("Order Refunded", products='[{"sku":"s","quantity":2,"price":-5}]'))
    assert (event.items, event.amount, event.is_unvalued) == ((Item("s", 2 * MICRO, is_unpriced=True),), None, False)


# --- currencies --------------------------------------------------------------------------------

# How a total and the event's currency are written; the currency of the total in a file of EUR, and in one of CAD.
CURRENCIES: list[tuple[str, str | None, str, str]] = [
    ("5", None, "EUR", "CAD"), ("5", "null", "EUR", "CAD"), ("5", '""', "EUR", "CAD"), ("5", '"  "', "EUR", "CAD"),
    ("5", '"GBP"', "GBP", "GBP"), ("5", '"gbp"', "GBP", "GBP"), ("5", '" Gbp\\n"', "GBP", "GBP"),
    ('"5"', '"g b p"', "GBP", "GBP"), ("5", '"€"', "EUR", "EUR"),
    ('"€5"', None, "EUR", "EUR"), ('"5 €"', '"GBP"', "EUR", "EUR"), ('"£5"', '"eur"', "GBP", "GBP"),
    ('"¥5"', None, "JPY", "JPY"), ('"₹5"', None, "INR", "INR"), ('"₺5"', None, "TRY", "TRY"),
    ('"﷼5"', None, "IRR", "IRR"),
    ('"5 chf"', None, "CHF", "CHF"), ('"CHF5"', '"EUR"', "CHF", "CHF"),
    ('"$5"', None, "USD", "CAD"), ('"5$"', '""', "USD", "CAD"), ('"$5"', '"EUR"', "USD", "CAD"),
    ('"$5"', '"aud"', "AUD", "AUD"), ('"$5"', '"CAD"', "CAD", "CAD"), ('"$5"', '"USD"', "USD", "USD"),
    ("5", '"$"', "USD", "CAD"),
]  # fmt: skip


@pytest.mark.parametrize(("total", "named", "of_euros", "of_dollars"), CURRENCIES)
def test_the_currency_of_money(total: str, named: str | None, of_euros: str, of_dollars: str) -> None:
    """The sign or code beside a number counts before the event's currency; `$` is the nearest dollar, else USD."""
    properties = {} if named is None else {"currency": named}
    for name in ORDERS:
        event = accepted(shop(name, total=total, **properties))
        assert event.amount == 5 * MICRO
        assert (resolved(event.currency, "EUR"), resolved(event.currency, "CAD")) == (of_euros, of_dollars)
    for name in ITEMS:
        (item,) = accepted(shop(name, price=total, **properties)).items or ()
        (listed,) = accepted(shop(name, products=f'[{{"price":{total}}}]', **properties)).items or ()
        assert item == listed
        assert (resolved(item.currency, "EUR"), resolved(item.currency, "CAD")) == (of_euros, of_dollars)


@pytest.mark.parametrize(
    "text", ["5", "true", "false", '["EUR"]', '{"code":"EUR"}', "978", "1e999", "[1e999]", "1" * 5_000]
)
def test_a_currency_that_cannot_be_read(text: str) -> None:
    """Money in such a currency counts in no file, unless its own text names one."""
    event = accepted(ordered(total="5", currency=text))
    assert (event.amount, event.is_unvalued, unread(event)) == (5 * MICRO, False, {"currency"})
    assert not any(counts_in(event.currency, of_file) for of_file in ("EUR", "USD"))
    assert accepted(ordered(total='"€5"', currency=text)).currency == "EUR"
    (item,) = accepted(shop("Product Added", price="5", currency=text)).items or ()
    assert not counts_in(item.currency, "EUR")


@pytest.mark.parametrize("text", ['"euro"', '"EURO"', '"E"', f'"{"x" * 3_000}"', '"EUR USD"', '"Toman"'])
def test_a_currency_that_is_no_code(text: str) -> None:
    """Money in a currency that is no code counts in no file of another one."""
    event = accepted(ordered(total="5", currency=text))
    assert not any(counts_in(event.currency, of_file) for of_file in ("EUR", "USD"))


@pytest.mark.parametrize("spaces", [" ", " " * 63, " " * 64, " " * 500])
def test_spaces_around_a_currency_do_not_count(spaces: str) -> None:
    """A code is read without regard to the spaces around it, however many there are."""
    for text in (f"EUR{spaces}", f"{spaces}EUR", f"{spaces}eur{spaces}"):
        assert accepted(ordered(total="5", currency=f'"{text}"')).currency == "EUR"
    assert not counts_in(accepted(ordered(total="5", currency=f'"EUR{spaces}X"')).currency, "EUR")
