"""Money and quantities of a shop's events: exact in 10⁻⁶, or unknown where they cannot be read.

Beside it: tests/unit/rules/test_number_text (numbers as texts) and test_shop (what the properties make of an event).
"""

import random
from fractions import Fraction

import pytest

from rules.events import Item
from tests.support.input_records import accepted, ordered, record, shop

MICRO = 1_000_000
WHOLE = 999_999_999_999 * MICRO
AMOUNTS: list[tuple[str, int | None]] = [
    ("0", 0), ("1", MICRO), ("100", 100 * MICRO), ("0.1", 100_000), ("19.99", 19_990_000), ("0.000001", 1),
    ("0.0000019", 1), ("0.0000009", 0), ("1e-7", 0), ("1e-400", 0), ("0e999", 0), ("-0", 0), ("-0.0", 0),
    ("1e3", 1_000 * MICRO), ("1E+3", 1_000 * MICRO), ("1.5e1", 15 * MICRO), ("0.30000000000000004", 300_000),
    ("999999999999", WHOLE), ("9.99999999999e11", WHOLE), ("999999999999.999999", WHOLE + 999_999),
    ("999999999999.9999999", WHOLE + 999_999), ("999999999999." + "9" * 60, WHOLE + 999_999), ("1e11", 10**17),
    ("1000000000000", None), ("1000000000000.0", None), ("1e12", None), ("1e999", None), ("1" * 399, None),
    ("-1", None), ("-0.0000001", None), ("-1e-400", None),
    ("123456789012.123456" + "9" * 40, 123_456_789_012_123_456), ("0.000000" + "9" * 40, 0),
    ("0." + "3" * 300, 333_333),
    ("1e99999999999999999999", None), ("1e-99999999999999999999", 0), ("0e99999999999999999999", 0),
    ("1" + "0" * 100 + "e-100", MICRO),
]  # fmt: skip


def valued(value: bytes) -> tuple[int | None, bool, tuple[str, ...]]:
    """The amount of an order, whether there is one that cannot be read, and what cannot be read."""
    event = accepted(value)
    return event.amount, event.is_unvalued, event.unread


UNKNOWN = (None, True, ("total",))


@pytest.mark.parametrize(("text", "amount"), AMOUNTS, ids=[text[:40] for text, _ in AMOUNTS])
def test_amounts(text: str, amount: int | None) -> None:
    """Amounts are integers of 10⁻⁶, exact, cut beyond; negative or 10¹² and more is unknown; as text the same."""
    for written in (text, f'"{text}"'):
        assert valued(ordered(total=written)) == (UNKNOWN if amount is None else (amount, False, ()))
        (item,) = accepted(shop("Product Added", price=written, quantity=written)).items or ()
        assert (item.price, item.quantity, item.is_unpriced) == (amount, amount, amount is None)


LENIENT: list[tuple[str, int]] = [
    ("01", MICRO), ("+1", MICRO), (" 1", MICRO), ("1 ", MICRO), ("1\\n", MICRO), (".5", 500_000), ("5.", 5 * MICRO),
    ("1,5", 1_500_000), ("١", MICRO), ("۱۲", 12 * MICRO), ("€5", 5 * MICRO), ("1.049,90", 1_049_900_000),
]  # fmt: skip


@pytest.mark.parametrize(("text", "amount"), LENIENT)
def test_texts_that_are_numbers(text: str, amount: int) -> None:
    """A text is read as people write numbers, in money and in quantities."""
    assert valued(ordered(total=f'"{text}"')) == (amount, False, ())
    assert valued(ordered(revenue=f'"{text}"')) == (amount, False, ())
    (item,) = accepted(shop("Product Added", price=f'"{text}"')).items or ()
    assert (item.price, item.is_unpriced) == (amount, False)


NO_NUMBERS = [
    "-01", "1e", "e1", "1e1.5", "0x10", "1_000", "1.5.2", "--1", "1-", "NaN", "Infinity", "-Infinity", "inf", "null",
    "true", "１", "²", "1\\u0000", "½", "1,049", "free", "-", ".", ",", "€", "5 apples",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_texts_that_are_no_numbers(text: str) -> None:
    """Any other text is unknown: the event counts without that value."""
    assert valued(ordered(total=f'"{text}"')) == UNKNOWN
    assert valued(ordered(total=f'"{text}"', revenue="7")) == UNKNOWN
    event = accepted(shop("Product Added", product_id='"p"', quantity=f'"{text}"', price=f'"{text}"'))
    assert event.items == (Item("p", None, None, is_unpriced=True),)
    assert set(event.unread) == {"quantity", "price"}


@pytest.mark.parametrize("text", ["true", "false", "[1]", '["1"]', "{}", '{"amount":1}'])
def test_values_that_are_no_numbers(text: str) -> None:
    """A value that is no number, no text and not null is unknown."""
    assert valued(ordered(total=text)) == UNKNOWN
    assert valued(ordered(total=text, revenue="7")) == UNKNOWN
    assert accepted(shop("Product Added", price=text)).items == (Item("", is_unpriced=True),)


@pytest.mark.parametrize("text", ["null", '""', '" "', '" \\t\\n"', '"\u00a0"'])
def test_values_that_are_absent(text: str) -> None:
    """Null, empty text and spaces are absent: `revenue` stands in for such a total."""
    assert valued(ordered(total=text)) == (None, False, ())
    assert valued(ordered(total=text, revenue="7")) == (7 * MICRO, False, ())
    assert valued(ordered(total=text, revenue=text)) == (None, False, ())
    event = accepted(shop("Product Added", product_id='"p"', quantity=text, price=text))
    assert (event.items, event.unread) == ((Item("p"),), ())


def test_escapes_in_a_numeric_string_are_its_characters() -> None:
    """Some encoders write + as an escape; the text is the same."""
    assert accepted(ordered(total='"1e\\u002B3"')).amount == 1_000 * MICRO
    assert accepted(ordered(total='"\\u0031.50"')).amount == 1_500_000


def test_random_amounts_are_exact() -> None:
    """Amounts agree with fractions: any digits, any small exponent, as number and as text."""
    rng = random.Random(20260302)
    unknown = 0
    for _ in range(5_000):
        whole = str(rng.randrange(10 ** rng.randint(1, 13)))
        part = "".join(rng.choices("0123456789", k=rng.choice((0, 1, 2, 6, 7, 20, 60))))
        part = part[: rng.randint(0, len(part))] + "9" * rng.choice((0, 0, 30)) if part else part
        exponent = rng.choice(("", "", "", "e0", "E2", "e-3", "e+1", "e-8"))
        text = whole + ("." + part if part else "") + exponent
        exact = Fraction(text)
        expected = None if exact >= 10**12 else int(exact * MICRO)
        unknown += expected is None
        for written in (text, f'"{text}"'):
            assert valued(ordered(total=written)) == (UNKNOWN if expected is None else (expected, False, ())), text
    assert 100 < unknown < 2_000


def test_more_than_400_characters_are_no_amount() -> None:
    """The bound is documented: no shop writes such amounts."""
    assert accepted(ordered(total="0." + "1" * 398)).amount == 111_111
    assert valued(ordered(total="0." + "1" * 399)) == UNKNOWN
    assert valued(ordered(total='"0.' + "1" * 399 + '"')) == UNKNOWN


@pytest.mark.parametrize("name", ["Product Added", "Product Removed", "Wishlist Product Added to Cart"])
def test_the_price_of_a_product(name: str) -> None:
    """A price is as exact as any amount; null is none, 0 is a price."""
    for text, price in (("19.99", 19_990_000), ('"0.1"', 100_000), ("0", 0), ("null", None)):
        event = accepted(record(event=f'"{name}"', properties=f'{{"product_id":"p","price":{text}}}'))
        assert event.items == (Item("p", None, price),)
    assert accepted(record(event=f'"{name}"')).items == (Item("p1"),)


@pytest.mark.parametrize("name", ["Order Completed", "Order Updated", "Order Refunded"])
def test_the_value_of_an_order(name: str) -> None:
    """The value of an order is `total`, else `revenue`; null is absent, 0 is a value; no other field is read as it."""
    assert accepted(shop(name, total="5", revenue="7")).amount == 5 * MICRO
    assert accepted(shop(name, total="null", revenue='"7"')).amount == 7 * MICRO
    assert accepted(shop(name, total='""', revenue='"7"')).amount == 7 * MICRO
    assert accepted(shop(name, total="0", revenue="7")).amount == 0
    assert valued(shop(name)) == (None, False, ())
    assert valued(shop(name, total="5", revenue="{}")) == (5 * MICRO, False, ())
    assert valued(shop(name, total="{}", revenue="7")) == UNKNOWN
    assert valued(shop(name, revenue="{}")) == (None, True, ("revenue",))
    assert valued(shop(name, value="5", subtotal="5", tax="5", shipping="5", discount="5", price="5")) == (
        None,
        False,
        (),
    )


@pytest.mark.parametrize("text", ["-5", '"-5"', '"-5.00"', '"-5,00"', '"-۵"', '"−5"', "-5e0", '"-05"'])
def test_a_negative_refund_is_one_of_that_size(text: str) -> None:
    """A refund may be told as a negative number; the value of an order that is negative is unknown."""
    for field in ("total", "revenue"):
        assert valued(shop("Order Refunded", **{field: text})) == (5 * MICRO, False, ())
        for name in ("Order Completed", "Order Updated"):
            assert valued(shop(name, **{field: text})) == (None, True, (field,))
    assert valued(shop("Order Refunded", total="-1e12")) == UNKNOWN
    assert valued(shop("Order Refunded", total="-999999999999.9999999")) == (WHOLE + 999_999, False, ())
