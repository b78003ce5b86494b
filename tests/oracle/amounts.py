"""How the oracle reads numbers and money: leniently, exactly, and money with its currency.

Its one rule: a number is whole millionths; what is told and cannot be read has no size and is unknown, never 0.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from typing import NamedTuple

MILLION = 1_000_000
MONEY_END = 10**12  # money and quantities of this size are unknown
MONEY = {"total", "revenue", "subtotal", "value", "price", "tax", "shipping", "discount"}

SIGNS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "﷼": "IRR", "$": "$"}
DOLLARS = {
    "USD", "AUD", "BBD", "BMD", "BND", "BSD", "BZD", "CAD", "FJD", "GYD", "HKD", "JMD", "KYD", "LRD", "NAD", "NZD",
    "SBD", "SGD", "SRD", "TTD", "TWD", "XCD",
}  # fmt: skip
DIGITS = {first + digit: str(digit) for first in (0x0660, 0x06F0) for digit in range(10)}  # Arabic, Persian
ALWAYS_GROUPS = "'"  # stands for the separators that only ever group
ALWAYS_DECIMAL = "٫"
SEPARATORS = dict.fromkeys(map(ord, "٬’\u00a0\u202f\u2009 "), ALWAYS_GROUPS)

CURRENCY = r"[€£¥₹₺﷼$]|[A-Za-z]{3}"
WRITTEN = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<before>{CURRENCY})?\s*(?P<sign2>[+-]?)\s*"
    rf"(?P<digits>[0-9.,'’٬٫\s]*[0-9](?:[eE][+-]?[0-9]+)?)\s*(?P<after>{CURRENCY})?"
)
PLAIN = re.compile(r"([0-9]+|[0-9]*\.[0-9]+)([eE][+-]?[0-9]+)?")
DECIMAL_COMMA = re.compile(r"[0-9]*[,٫][0-9]+")
AMBIGUOUS = re.compile(r"[1-9][0-9]{0,2},[0-9]{3}")
GROUPED = (  # groups of three, what groups them, and what may stand before the decimals
    (re.compile(r"[0-9]{1,3}(,[0-9]{3})+[.٫][0-9]+|[0-9]{1,3}(,[0-9]{3}){2,}"), ","),
    (re.compile(r"[0-9]{1,2}(,[0-9]{2})+,[0-9]{3}([.٫][0-9]+)?"), ","),
    (re.compile(r"[0-9]{1,3}(\.[0-9]{3})+[,٫][0-9]+|[0-9]{1,3}(\.[0-9]{3}){2,}"), "."),
    (re.compile(r"[0-9]{1,3}('[0-9]{3})+([.,٫][0-9]+)?"), ALWAYS_GROUPS),
)


class Number(NamedTuple):
    """A number that was told: `size` in millionths, None if unknown; `currency` if it names one itself."""

    size: int | None
    currency: str | None = None


UNREADABLE = Number(None)


class Money(NamedTuple):
    """Money that was told: `size` in millionths, None if unknown; `currency`: None where nothing names one."""

    size: int | None
    currency: str | None


def read_number(value: object) -> Number | None:
    """The number that a value tells; None: the value is absent."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return UNREADABLE
    if isinstance(value, str):
        return read_text(value)
    return Number(millionths(str(value))) if math.isfinite(value) else UNREADABLE


@cache
def read_text(characters: str) -> Number:
    """A numeric text: a sign, a currency before or after, digits in groups or not."""
    match = WRITTEN.fullmatch(characters.strip().translate(DIGITS))
    if match is None or (match["sign"] and match["sign2"]) or (match["before"] and match["after"]):
        return UNREADABLE
    digits = plain_digits(match["digits"].strip())
    if digits is None:
        return UNREADABLE
    sign = "-" if "-" in (match["sign"], match["sign2"]) else ""
    named = match["before"] or match["after"]
    return Number(millionths(sign + digits), SIGNS.get(named, named.upper()) if named else None)


def plain_digits(digits: str) -> str | None:
    """The digits with a point before the decimals and no groups; None where it is ambiguous."""
    if PLAIN.fullmatch(digits):
        return digits
    digits = digits.translate(SEPARATORS)
    if DECIMAL_COMMA.fullmatch(digits):
        return None if AMBIGUOUS.fullmatch(digits) else digits.replace(",", ".").replace(ALWAYS_DECIMAL, ".")
    for pattern, groups in GROUPED:
        if pattern.fullmatch(digits):
            return digits.replace(groups, "").replace(",", ".").replace(ALWAYS_DECIMAL, ".")
    return None


def millionths(digits: str) -> int | None:
    """Exact, digits beyond 10⁻⁶ cut; None: larger than anything that is read."""
    try:
        exact = Decimal(digits)
    except InvalidOperation:  # an exponent that no number has
        return None
    if not exact or exact.adjusted() < -6:
        return 0
    return int(Fraction(exact) * MILLION) if exact.adjusted() < 20 else None


# --- money -------------------------------------------------------------------------------------


def limited(size: int | None) -> int | None:
    """The size of money or of a quantity; negative or too large, it is unknown."""
    return size if size is not None and 0 <= size < MONEY_END * MILLION else None


def money(value: object, named: str | None, currency: str | None, own: str | None = None) -> Money | None:
    """The money that a value tells; None: absent.

    `named`: what `currency` beside it says; `currency`: the file's; `own`: that of the order which it belongs to.
    """
    number = read_number(value)
    if number is None:
        return None
    return Money(limited(number.size), stated_currency(number, named, currency) or own or currency)


def stated_currency(number: Number, named: str | None, currency: str | None) -> str | None:
    """The currency that the value itself names, else the one beside it."""
    if number.currency == "$":
        return next((code for code in (named, currency) if code in DOLLARS), "USD")
    return number.currency or named


def is_same_currency(case: str | None, other: str | None) -> bool:
    """Whether two currencies are one; what no one names is in no other."""
    return case is None or other is None or case == other


def in_currency(stated: Money | None, currency: str | None) -> int | None:
    """The size of money in that currency; unknown in another."""
    return stated.size if stated is not None and is_same_currency(stated.currency, currency) else None


def currency_code(value: object) -> str | None:
    """A currency's code; None: absent. What is no text is no currency of a file."""
    if value is None:
        return None
    return "".join(value.split()).upper() or None if isinstance(value, str) else "(none)"


def named_currency(fields: object) -> str | None:
    return currency_code(fields.get("currency")) if isinstance(fields, Mapping) else None
