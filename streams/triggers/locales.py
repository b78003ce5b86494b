"""How amounts, numbers and dates are written in a language and country, as filters of templates.

    {{ line.price | money }}              €3.50, in the currency of the segments file
    {{ data.totals.spent | money(locale="fa_IR") }}
    {{ change.occurred_at | date }}       Nov 1, 2026, in the customer's time zone

The one rule: a value of a customer cannot make a message fail or grow. What is no number or date stays as it is.

Data: Unicode CLDR, through Babel (https://babel.pocoo.org).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, dates, numbers
from jinja2 import pass_context
from jinja2.runtime import Context

from rules.times import parse_instant
from streams.triggers import time_zones

# A number of more digits, or of more before the point, is written as it is.
_DIGITS_BEFORE_MAX = 15
_DIGITS_MAX = 40
# The digit 0 of the numbering systems that are the usual ones of some locale, by their names in CLDR.
_ZEROS = {"arab": 0x0660, "arabext": 0x06F0, "beng": 0x09E6, "deva": 0x0966, "mymr": 0x1040}


def name(value: object) -> str:
    """The name of a locale. Raises `ValueError` for one that is unknown."""
    try:
        if isinstance(value, str):
            return str(Locale.parse(value))
    except (UnknownLocaleError, ValueError):
        pass
    raise ValueError(f"{value!r} is not a locale; write a language, or a language and a country, such as de_DE")


@pass_context
def money(context: Context, value: object, currency: str | None = None, locale: str | None = None) -> str:
    """An amount with its currency: that of the segments file, if the template names none."""
    amount, code = _number(value), currency or context["currency"]
    if amount is None or code is None:
        return number(context, value, locale)
    return _in_digits_of(context, locale, partial(numbers.format_currency, amount, code, numbering_system="default"))


@pass_context
def number(context: Context, value: object, locale: str | None = None) -> str:
    """A number in the digits and with the separators of a locale."""
    amount = _number(value)
    if amount is None:
        return str(value)
    return _in_digits_of(context, locale, partial(numbers.format_decimal, amount, numbering_system="default"))


@pass_context
def date(context: Context, value: object, style: str = "medium", locale: str | None = None) -> str:
    """The day of an instant in the customer's time zone. ``style``: short, medium, long or full."""
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        return str(value)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    return _in_digits_of(
        context,
        locale,
        partial(dates.format_date, at.astimezone(zone(context["contact"].get("timezone"), context["timezone"])), style),
    )


FILTERS: Mapping[str, Callable[..., Any]] = {"money": money, "number": number, "date": date}


def _in_digits_of(context: Context, locale: str | None, write: Callable[..., str]) -> str:
    """What a function of Babel writes in a locale, which leaves the digits of other scripts to its caller."""
    written_in = Locale.parse(locale or context["locale"])
    zero = _ZEROS.get(written_in.default_numbering_system)
    text = write(locale=written_in)
    return text if zero is None else text.translate({ord(str(digit)): zero + digit for digit in range(10)})


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal) or len(str(value)) > _DIGITS_MAX:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and -_DIGITS_MAX < amount.adjusted() < _DIGITS_BEFORE_MAX else None


def zone(timezone: object, of_file: str) -> tzinfo:
    """The time zone that a value names, else that of the file."""
    return time_zones.read(timezone) or ZoneInfo(of_file)
