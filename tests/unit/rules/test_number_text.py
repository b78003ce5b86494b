"""Numbers as shops write them in texts: each with its exact value and the currency beside it, or none."""

import random

import pytest

from rules.number_text import MICRO, read_number

# A text, its number in 10⁻⁶, and the currency that it names.
NUMBERS: list[tuple[str, int, str]] = [
    # JSON's own syntax, and what changes nothing: spaces, a plus, zeros, an exponent.
    ("0", 0, ""), ("1", MICRO, ""), ("49.9", 49_900_000, ""), ("49.90", 49_900_000, ""), ("-50", -50 * MICRO, ""),
    ("49.900000000", 49_900_000, ""), ("49.9000009", 49_900_000, ""), ("-0.0000019", -1, ""),
    (" 49.90", 49_900_000, ""), ("49.90 ", 49_900_000, ""), ("  49.90\t\n", 49_900_000, ""),
    ("\u00a049.90\u202f", 49_900_000, ""), ("+49.90", 49_900_000, ""), (" +50", 50 * MICRO, ""),
    (".99", 990_000, ""), ("+.99", 990_000, ""), ("-.99", -990_000, ""), ("00.99", 990_000, ""),
    ("0050", 50 * MICRO, ""), ("5e1", 50 * MICRO, ""), ("4.99E1", 49_900_000, ""), ("4990e-2", 49_900_000, ""),
    ("1e-7", 0, ""), ("999999999999.999999", 10**18 - 1, ""),
    # Persian and Arabic digits and separators.
    ("۵۰", 50 * MICRO, ""), ("٥٠", 50 * MICRO, ""), ("۴۹٫۹۰", 49_900_000, ""), ("٤٩٫٩", 49_900_000, ""),
    ("۴۹.۹۰", 49_900_000, ""), ("49٫90", 49_900_000, ""), ("۱٬۰۴۹", 1_049 * MICRO, ""),
    ("1٬049", 1_049 * MICRO, ""), ("۱٬۰۴۹٫۹۰", 1_049_900_000, ""), ("1٬049٫90", 1_049_900_000, ""),
    ("۱٬۰۴۹٬۹۰۰", 1_049_900 * MICRO, ""), ("٫۹۹", 990_000, ""), ("+۵۰", 50 * MICRO, ""), ("-۵۰", -50 * MICRO, ""),
    ("۱٫۰۴۹", 1_049_000, ""), ("۱,۰۴۹.۹۰", 1_049_900_000, ""), ("۱e۳", 1_000 * MICRO, ""),
    # Two kinds of separators: the last one is decimal.
    ("1,049.90", 1_049_900_000, ""), ("1.049,90", 1_049_900_000, ""), ("1,049.9", 1_049_900_000, ""),
    ("1,049.900", 1_049_900_000, ""), ("1.049,900", 1_049_900_000, ""), ("1,049,900.50", 1_049_900_500_000, ""),
    ("1.049.900,50", 1_049_900_500_000, ""), ("-1,049.90", -1_049_900_000, ""), ("+1,049.90", 1_049_900_000, ""),
    ("12,345.6", 12_345_600_000, ""), ("123.456,7", 123_456_700_000, ""), ("1'049.90", 1_049_900_000, ""),
    # A separator that comes twice groups digits, and so do spaces.
    ("1,049,900", 1_049_900 * MICRO, ""), ("1.049.900", 1_049_900 * MICRO, ""), ("1 049 900", 1_049_900 * MICRO, ""),
    ("1 049", 1_049 * MICRO, ""), ("1 049,90", 1_049_900_000, ""), ("1 049.90", 1_049_900_000, ""),
    ("1\u00a0049,90", 1_049_900_000, ""), ("1\u202f049,90", 1_049_900_000, ""),
    # A single point is decimal; a single comma is, unless three digits follow.
    ("1.049", 1_049_000, ""), ("49.900", 49_900_000, ""), ("1,60", 1_600_000, ""), ("49,9", 49_900_000, ""),
    ("0,99", 990_000, ""), ("50,0", 50 * MICRO, ""), ("49,9000", 49_900_000, ""), ("-49,90", -49_900_000, ""),
    ("1049,90", 1_049_900_000, ""), (",99", 990_000, ""),
    # Signs and codes of currencies, before or after.
    ("€49.90", 49_900_000, "EUR"), ("€ 49.90", 49_900_000, "EUR"), ("49.90€", 49_900_000, "EUR"),
    ("49,90 €", 49_900_000, "EUR"), ("€1.049,90", 1_049_900_000, "EUR"), ("1 049,90 €", 1_049_900_000, "EUR"),
    (" €50 ", 50 * MICRO, "EUR"), ("€.99", 990_000, "EUR"), ("-€50", -50 * MICRO, "EUR"), ("€-50", -50 * MICRO, "EUR"),
    ("-50 €", -50 * MICRO, "EUR"), ("+€50", 50 * MICRO, "EUR"), ("£49.90", 49_900_000, "GBP"),
    ("¥5000", 5_000 * MICRO, "JPY"), ("₹1,049.90", 1_049_900_000, "INR"), ("₺49,90", 49_900_000, "TRY"),
    ("﷼50", 50 * MICRO, "IRR"), ("۵۰ ﷼", 50 * MICRO, "IRR"), ("۴۹٫۹۰ €", 49_900_000, "EUR"),
    ("EUR 49.90", 49_900_000, "EUR"), ("49.90 EUR", 49_900_000, "EUR"), ("EUR49.90", 49_900_000, "EUR"),
    ("49.90eur", 49_900_000, "EUR"), ("49.90 Eur", 49_900_000, "EUR"), ("chf 1.049,90", 1_049_900_000, "CHF"),
    ("1,049,900 EUR", 1_049_900 * MICRO, "EUR"), ("USD 49.90", 49_900_000, "USD"),
    ("$49.90", 49_900_000, "$"), ("$ 49.90", 49_900_000, "$"), ("49,90 $", 49_900_000, "$"),
    ("$1,049.90", 1_049_900_000, "$"), ("$.99", 990_000, "$"),
]  # fmt: skip

NONE = [
    "", " ", "free", "N/A", "null", "undefined", "true", "NaN", "Infinity", "-Infinity", "inf", "x" * 5_000,
    ".", ",", "+", "-", "+-5", "--5", "-+5", "5-", "- -5", "e1", "1e", "1e1.5", "1e1e1", "0x32", "1_000", "½", "²",
    "１", "1\0", "5 apples", "49.9 or so", "49.90 euros", "1 for €50", "5%", "(5)", "5 5", "1 50",
    "1,049", "12,345", "123,456", "-1,049", "۱,۰۴۹", "€1,049", "1,049 EUR", "$1,049",
    "1,2,3", "1.2.3", "1,04.9", "10,49.90", "1,1049.90", "1,049.90.1", "1,049,90", "1.049.90", "1.049,90,1",
    "1049,900.5", "1,0490.5", ",049.9", "1٫0٫5", "1٫049٬900", "1٬04", "1 0490", "1,049 900", "1,049.900,5",
    "€", "EUR", "$", "€ $", "€free", "€5 USD", "EUR 5 $", "EU 5", "EURO 5", "€€5",
    "9000000000000", "1e13", "1e400", "-1e13", "4" * 60, "۹۰۰۰۰۰۰۰۰۰۰۰۰",
]  # fmt: skip


def stated(text: str) -> tuple[int, str] | None:
    """The number that a text tells, and its currency."""
    written = read_number(text)
    return None if written is None else (written.micro, written.currency)


@pytest.mark.parametrize(("text", "micro", "currency"), NUMBERS)
def test_numbers(text: str, micro: int, currency: str) -> None:
    """A number is read exactly, with the currency that stands beside it, however often it is asked for."""
    for _ in range(2):
        assert stated(text) == (micro, currency)


@pytest.mark.parametrize("text", NONE, ids=lambda text: ascii(text[:20]))
def test_texts_that_are_no_numbers(text: str) -> None:
    """A text that is no number, or that two people would read as two numbers, is none."""
    for _ in range(2):
        assert read_number(text) is None


@pytest.mark.parametrize("text", ["0e999", "0e99999999", "0.0e13", "1e-9999", "1e-99999", "1e-99999999999999999999"])
def test_an_exponent_of_any_size_changes_no_zero(text: str) -> None:
    """A number is exact whatever its exponent: zero stays zero, and digits beyond 10⁻⁶ are cut."""
    assert stated(text) == (0, "")


def test_every_digit_of_both_alphabets() -> None:
    """Each of the twenty digits is that of its place."""
    for start in (0x0660, 0x06F0):
        assert [stated(f"1{chr(start + digit)}") for digit in range(10)] == [
            ((10 + digit) * MICRO, "") for digit in range(10)
        ]


def test_random_numbers_in_every_way_of_writing() -> None:
    """A number that is written with groups, in other digits, and with a currency, is read as it was."""
    rng = random.Random(20261202)
    alphabets = ("0123456789", "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩")
    for _ in range(5_000):
        whole, part = rng.randrange(10 ** rng.randint(4, 12)), f"{rng.randrange(100):02d}"
        group, decimal = rng.choice(((",", "."), (".", ","), (" ", ","), (" ", "."), ("٬", "٫"), ("", "."), ("", ",")))
        text = f"{whole:,}".replace(",", group) + decimal + part
        text = text.translate(str.maketrans(alphabets[0], rng.choice(alphabets)))
        before, after, currency = rng.choice((("", "", ""), ("€", "", "EUR"), ("", " gbp", "GBP"), ("﷼ ", "", "IRR")))
        sign = rng.choice(("", "+", "-"))
        micro = (whole * 100 + int(part)) * (MICRO // 100) * (-1 if sign == "-" else 1)
        assert stated(f" {sign}{before}{text}{after} ") == (micro, currency), text
