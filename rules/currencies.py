"""Currencies: which one money is in, and which money may be added up or compared with a rule.

The one rule: money of another currency than the file's is unknown there, never a plain number. Money without a currency
is in the file's.

`$` alone is the dollar that the event names as its currency, else the file's currency where that is a dollar, else USD.
"""

from __future__ import annotations

from functools import lru_cache

# Properties that are money: exact, never negative, and added up in one currency only.
MONEY = frozenset({"total", "revenue", "subtotal", "value", "price", "tax", "shipping", "discount"})

# Signs, by the currencies that they name; `$` waits until the event's and the file's currency are known.
SIGNS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "﷼": "IRR", "$": "$"}
# The currencies that are called dollar and written with its sign (ISO 4217).
DOLLARS = frozenset({
    "USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "BBD", "BMD", "BND", "BSD", "BZD", "FJD", "GYD", "JMD", "KYD",
    "LRD", "NAD", "SBD", "SRD", "TTD", "XCD", "MXN", "ARS", "CLP", "COP", "UYU",
})  # fmt: skip
# The currency of an event whose currency cannot be read: no file has it.
UNREADABLE = "?"
_CHARS_MAX = 64


@lru_cache(maxsize=1_024)
def code_of(text: str) -> str:
    """The code that a text names, without regard to case and spaces; ``""`` for an empty text."""
    name = "".join(text.split()).upper()
    return SIGNS.get(name, name)


def currency_of(value: object) -> str:
    """The currency that a value of `currency` names; ``""``: none."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(text := value.strip()) > _CHARS_MAX:
        return UNREADABLE
    return code_of(text)


def money_currency(named: str, of_event: str) -> str:
    """The currency of money: that which its text names, else the event's. ``$`` stays where no dollar is known yet."""
    if not named:
        return of_event
    return of_event if named == "$" and of_event in DOLLARS else named


def counts_in(currency: str, of_file: str | None) -> bool:
    """Whether money of a currency counts in a file of another; a file without a currency takes all as numbers."""
    if of_file is None or not currency:
        return True
    return resolved(currency, of_file) == of_file


def resolved(currency: str, of_file: str | None) -> str:
    """The currency's code, where ``$`` is one; money without a currency is in the file's."""
    if currency == "$":
        return of_file if of_file in DOLLARS else "USD"
    return currency or of_file or ""
