"""The forms in which shops write a number, and what each means. Long because it is one table."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from tests.input_surface.model import ABSENT, Absent, raw


class Unknown:
    """There is a value, and it cannot be read."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()
Amount = Fraction | Unknown | Absent

DOLLAR: Final = "$"  # which dollar it is depends on the event and the file
DOLLARS: Final = ("USD", "CAD", "AUD")


@dataclass(frozen=True)
class Form:
    """A raw value, the number that it means, the currency that it names, and the rules that say so."""

    raw: Any
    amount: Amount
    currency: str | None
    rules: tuple[str, ...]


def _numbers(rule: str, *pairs: tuple[Any, str]) -> Iterator[Form]:
    for value, number in pairs:
        yield Form(value, Fraction(number), None, (rule,))


def _unknown(rule: str, *values: Any) -> Iterator[Form]:
    for value in values:
        yield Form(value, UNKNOWN, None, (rule,))


def _priced(rule: str, *triples: tuple[str, str, str]) -> Iterator[Form]:
    for value, number, currency in triples:
        yield Form(value, Fraction(number), currency, (rule,))


PLAIN: Final = (
    *_numbers(
        "R1",
        (0, "0"),
        (1, "1"),
        (50, "50"),
        (49.9, "49.9"),
        (0.99, "0.99"),
        (raw("50.0"), "50"),
        (raw("49.90"), "49.9"),
        (raw("1e0"), "1"),
        (raw("5E1"), "50"),
        (raw("4.99e1"), "49.9"),
        (raw("4990e-2"), "49.9"),
        (raw("49.9000009"), "49.9"),
        (raw("49.8999999999"), "49.899999"),
        (raw("0.9899999"), "0.989999"),
        (raw("1049.899999"), "1049.899999"),
        (raw("1049.900001"), "1049.900001"),
        (raw("999999999999.999999"), "999999999999.999999"),
        (999_999_999_999, "999999999999"),
    ),
    *_numbers(
        "R2",
        ("0", "0"),
        ("1", "1"),
        ("50", "50"),
        ("49.9", "49.9"),
        ("49.90", "49.9"),
        ("49.900000000", "49.9"),
        ("49.9000009", "49.9"),
        ("49.8999999", "49.899999"),
        (" 49.90", "49.9"),
        ("49.90 ", "49.9"),
        ("  49.90\t", "49.9"),
        ("49.90\n", "49.9"),
        ("\u00a049.90", "49.9"),
        ("+49.90", "49.9"),
        (" +50", "50"),
        (".99", "0.99"),
        ("+.99", "0.99"),
        ("0.99", "0.99"),
        ("00.99", "0.99"),
        ("0050", "50"),
        ("00049.90", "49.9"),
        ("5e1", "50"),
        ("4.99E1", "49.9"),
        ("4990e-2", "49.9"),
        ("999999999999.999999", "999999999999.999999"),
    ),
    *_numbers(
        "R3",
        ("۵۰", "50"),
        ("٥٠", "50"),
        ("۴۹٫۹۰", "49.9"),
        ("٤٩٫٩", "49.9"),
        ("۴۹.۹۰", "49.9"),
        ("٤٩.٩", "49.9"),
        ("49٫90", "49.9"),
        ("۱٬۰۴۹", "1049"),
        ("۱٬۰۴۹٫۹۰", "1049.9"),
        ("١٬٠٤٩٫٩", "1049.9"),
        ("1٬049٫90", "1049.9"),
        ("۱٬۰۴۹٬۹۰۰", "1049900"),
        (" ۵۰ ", "50"),
        ("+۵۰", "50"),
        ("٫۹۹", "0.99"),
        ("۰۰۵۰", "50"),
    ),
    *_numbers(
        "R4",
        ("1,049.90", "1049.9"),
        ("1.049,90", "1049.9"),
        ("1,049.9", "1049.9"),
        ("1.049,9", "1049.9"),
        ("1,049.900", "1049.9"),
        ("1.049,900", "1049.9"),
        ("1,049,900", "1049900"),
        ("1.049.900", "1049900"),
        ("1,049,900.50", "1049900.5"),
        ("1.049.900,50", "1049900.5"),
        ("1 049,90", "1049.9"),
        ("1 049.90", "1049.9"),
        ("1\u00a0049,90", "1049.9"),
        ("1\u202f049,90", "1049.9"),
        ("1 049 900", "1049900"),
        ("1'049.90", "1049.9"),
        ("+1,049.90", "1049.9"),
        ("1,60", "1.6"),
        ("49,9", "49.9"),
        ("49,90", "49.9"),
        ("0,99", "0.99"),
        ("50,0", "50"),
        ("49,9000", "49.9"),
        ("1.049", "1.049"),
        ("49.900", "49.9"),
        ("1.600", "1.6"),
        ("۱,۰۴۹.۹۰", "1049.9"),
        ("۱٫۶", "1.6"),
    ),
    *_unknown("R4", "1,049", "12,345", "123,456", "۱,۰۴۹", "1,2,3", "1,04.9", "1.2.3", "10,49.90", "1,1049.90"),
    *(Form(value, ABSENT, None, ("R7",)) for value in (ABSENT, None, "", " ", "   \t")),
    *_unknown(
        "R8",
        "free",
        "abc",
        "N/A",
        "--5",
        "+-5",
        "49.9 or so",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x32",
        "null",
        "undefined",
        ".",
        ",",
        "+",
        "-",
        "x" * 5000,
        True,
        False,
        {},
        {"amount": 49.9},
        {"value": {"amount": 49.9}},
    ),
)
LISTS: Final = tuple(_unknown("R8", [], [49.9], ["49.9"], [{"amount": 49.9}]))
HUGE: Final = tuple(
    _unknown(
        "R9",
        1_000_000_000_000,
        raw("1e12"),
        raw("1e400"),
        raw("123456789012345678901234567890"),
        "1000000000000",
        "1,000,000,000,000",
        "1e12",
        "1e400",
        "4" * 60,
        "۱۰۰۰۰۰۰۰۰۰۰۰۰",
    )
)
NEGATIVE: Final = tuple(
    _numbers(
        "R9",
        (-50, "-50"),
        (-0.99, "-0.99"),
        ("-50", "-50"),
        ("-49,90", "-49.9"),
        ("-1,049.90", "-1049.9"),
        ("-۵۰", "-50"),
    )
)
PRICED: Final = (
    *_priced(
        "R5",
        ("€49.90", "49.9", "EUR"),
        ("€ 49.90", "49.9", "EUR"),
        ("49.90€", "49.9", "EUR"),
        ("49.90 €", "49.9", "EUR"),
        ("49,90 €", "49.9", "EUR"),
        ("€1.049,90", "1049.9", "EUR"),
        ("1,049.90 €", "1049.9", "EUR"),
        (" €50 ", "50", "EUR"),
        ("€.99", "0.99", "EUR"),
        ("€49.9000009", "49.9", "EUR"),
        ("۴۹٫۹۰ €", "49.9", "EUR"),
        ("EUR 49.90", "49.9", "EUR"),
        ("49.90 EUR", "49.9", "EUR"),
        ("EUR49.90", "49.9", "EUR"),
        ("49.90EUR", "49.9", "EUR"),
        ("eur 49.90", "49.9", "EUR"),
        ("49.90 Eur", "49.9", "EUR"),
        ("EUR 1.049,90", "1049.9", "EUR"),
        ("1,049,900 EUR", "1049900", "EUR"),
        ("£49.90", "49.9", "GBP"),
        ("49.90 £", "49.9", "GBP"),
        ("49.90 GBP", "49.9", "GBP"),
        ("¥5000", "5000", "JPY"),
        ("JPY 5000", "5000", "JPY"),
        ("₹1,049.90", "1049.9", "INR"),
        ("₺49,90", "49.9", "TRY"),
        ("49,90 TRY", "49.9", "TRY"),
        ("﷼50", "50", "IRR"),
        ("۵۰ ﷼", "50", "IRR"),
        ("CHF 49.90", "49.9", "CHF"),
        ("USD 49.90", "49.9", "USD"),
        ("49.90 usd", "49.9", "USD"),
        ("CAD 49.90", "49.9", "CAD"),
        ("-€50", "-50", "EUR"),
        ("-50 €", "-50", "EUR"),
    ),
    *_priced(
        "R6",
        ("$49.90", "49.9", DOLLAR),
        ("$ 49.90", "49.9", DOLLAR),
        ("49.90$", "49.9", DOLLAR),
        ("49,90 $", "49.9", DOLLAR),
        ("$1,049.90", "1049.9", DOLLAR),
        ("$.99", "0.99", DOLLAR),
    ),
    *_unknown("R4", "€1,049", "1,049 EUR", "$1,049", "€1,2,3"),
    *_unknown("R8", "€", "EUR", "$", "€free", "49.90 euros", "1 for €50"),
    *_unknown("R9", "€1000000000000", "1,000,000,000,000 EUR"),
)
MONEY: Final = (*PLAIN, *LISTS, *HUGE, *NEGATIVE, *PRICED)

# What a field `currency` may hold: None is the file's currency, a code is that one, UNKNOWN cannot be read.
CURRENCIES: Final[tuple[tuple[Any, str | Unknown | None], ...]] = (
    (ABSENT, None),
    (None, None),
    ("", None),
    ("  ", None),
    ("EUR", "EUR"),
    ("eur", "EUR"),
    ("Eur", "EUR"),
    (" EUR ", "EUR"),
    ("eur\n", "EUR"),
    ("USD", "USD"),
    ("usd", "USD"),
    (" Usd", "USD"),
    ("CAD", "CAD"),
    ("JPY", "JPY"),
    ("gbp", "GBP"),
    ("IRR", "IRR"),
    ("euro", UNKNOWN),
    ("x" * 3000, UNKNOWN),
    (978, UNKNOWN),
    (True, UNKNOWN),
    ({"code": "EUR"}, UNKNOWN),
    (["EUR"], UNKNOWN),
)


def currency_of(form: Form, event_currency: str | None, file_currency: str) -> str:
    """The currency of a readable value: its own sign or code, else the event's, else the file's."""
    if form.currency == DOLLAR:
        nearest = event_currency or file_currency
        return nearest if nearest in DOLLARS else file_currency if file_currency in DOLLARS else "USD"
    return form.currency or event_currency or file_currency


def money(form: Form, event_currency: str | Unknown | None, file_currency: str) -> Amount:
    """The value as money of the file's currency: negative or of another currency it is unknown."""
    if not isinstance(form.amount, Fraction):
        return form.amount
    if form.amount < 0:
        return UNKNOWN
    if isinstance(event_currency, Unknown):
        return UNKNOWN if form.currency != file_currency else form.amount
    return form.amount if currency_of(form, event_currency, file_currency) == file_currency else UNKNOWN


def quantity(form: Form) -> Fraction | None:
    """The value as a quantity: None where it counts as absent."""
    readable = isinstance(form.amount, Fraction) and form.amount >= 0 and form.currency is None
    return form.amount if readable and isinstance(form.amount, Fraction) else None
