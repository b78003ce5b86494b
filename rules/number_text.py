"""Numbers as shops write them: `49.9`, `"$1,049.90"`, `"۱٬۰۴۹"`, `"12,50 €"`.

The one rule: a number is exact or it is not read. A text that two people would read as two numbers, such as `1,049`, is
none.

    1,049.90   1.049,90   1 049,90   1'049.90   12,34,567.00   grouped digits: the last separator is the decimal one
    1.049                                                      a single point is decimal
    1,60   0,049                                               a single comma that cannot group digits is decimal
    1,049                                                      not read: it may be 1049 or 1.049
    1,049,000                                                  several separators of one kind group digits
    ٫ (U+066B) is decimal and ٬ (U+066C) groups digits, always

See also: `rules.currencies` (what a sign or code beside a number names).
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from rules.currencies import DOLLARS, SIGNS, code_of

MICRO = 1_000_000
# A number of this size or more is not read: in 10⁻⁶ it would not fit the 64 bits of a stored number.
NUMBER_LIMIT = 9 * 10**12

_CHARS_MAX = 400
_CACHED_MAX = 4_096
_STEP = Decimal("0.000001")
_LEAST = -6  # the power of ten of the last digit that counts
_DECIMAL, _GROUP = "\u066b", "\u066c"
# Digits and marks of Persian and Arabic, spaces of every width, and the marks of direction that come with them.
_TRANSLATED = str.maketrans(
    {chr(start + digit): str(digit) for start in (0x0660, 0x06F0) for digit in range(10)}
    | dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
    | dict.fromkeys("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", "")
    | {"\u2212": "-", "\u060c": ",", "\u2019": "'"}
)
_PLAIN = re.compile(r"([+-]?)(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CURRENCY = rf"[{''.join(SIGNS)}]|[A-Za-z]{{3}}"
_WRITTEN = re.compile(
    rf"([+-]?) ?({_CURRENCY})? ?([+-]?)((?:\d|[.,\u066b](?=\d))[\d.,' \u066b\u066c]*?) ?({_CURRENCY})?", re.ASCII
)
_SPACES = re.compile(r"\s+")


class WrittenNumber(NamedTuple):
    """A number in 10⁻⁶, further digits cut; ``currency``: as it is named beside it, ``""``: none is.

    ``is_negative``: below 0, by however little.
    """

    micro: int
    currency: str
    is_negative: bool


def read_number(text: str) -> WrittenNumber | None:
    """Read a text; ``None`` if it is no number, or larger than `NUMBER_LIMIT`."""
    return None if len(text) > _CHARS_MAX else _read(text)


@lru_cache(maxsize=_CACHED_MAX)
def _read(text: str) -> WrittenNumber | None:
    plain = _SPACES.sub(" ", text.translate(_TRANSLATED)).strip()
    if _PLAIN.fullmatch(plain):
        return _exact(plain, "")
    match = _WRITTEN.fullmatch(plain)
    if match is None:
        return None
    sign, before, inner_sign, digits, after = match.groups("")
    currency = _one_currency(before, after)
    decimal = _ungrouped(digits)
    if currency is None or decimal is None or (sign and inner_sign):
        return None
    return _exact(sign + inner_sign + decimal, currency)


def _exact(decimal: str, currency: str) -> WrittenNumber | None:
    try:
        exact = Decimal(decimal)
    except InvalidOperation:  # an exponent beyond those of a Decimal
        digits, _, exponent = decimal.lower().partition("e")
        is_zero = exponent.startswith("-") or not Decimal(digits)
        return WrittenNumber(0, currency, digits.startswith("-") and bool(Decimal(digits))) if is_zero else None
    is_negative = exact < 0
    if not exact or exact.adjusted() < _LEAST:
        return WrittenNumber(0, currency, is_negative)
    if exact.adjusted() > 12:  # 10¹³
        return None
    micro = int(exact.quantize(_STEP, ROUND_DOWN).scaleb(6))
    return WrittenNumber(micro, currency, is_negative) if abs(micro) < NUMBER_LIMIT * MICRO else None


def _one_currency(before: str, after: str) -> str | None:
    """The currency that signs or codes around a number name; ``None`` if they name two. A code tells which dollar."""
    codes = {code_of(name) for name in (before, after) if name}
    if codes & DOLLARS:
        codes.discard("$")
    if len(codes) > 1:
        return None
    return codes.pop() if codes else ""


def _ungrouped(digits: str) -> str | None:
    """The digits with a decimal point, without separators of groups; ``None`` if there are two ways to read them."""
    kinds = [mark for mark in dict.fromkeys(digits) if not mark.isdigit()]
    if not kinds:
        return digits
    last = max(kinds, key=digits.rindex)
    if not _is_decimal(last, digits, kinds):
        return _without_groups(digits, kinds)
    whole, _, fraction = digits.partition(last)
    groups = [mark for mark in kinds if mark != last]
    joined = _without_groups(whole, groups) if groups else whole
    if joined is None or not fraction.isdigit() or _is_ambiguous(last, whole, fraction, groups):
        return None
    return f"{joined or '0'}.{fraction}"


def _is_decimal(mark: str, digits: str, kinds: list[str]) -> bool:
    """Whether a mark, the last one in these digits, can be the decimal one."""
    if mark == _DECIMAL:
        return True
    return mark in ".," and digits.count(mark) == 1 and _DECIMAL not in kinds


def _is_ambiguous(mark: str, whole: str, fraction: str, groups: list[str]) -> bool:
    """Whether a comma before three digits may as well group them."""
    return mark == "," and not groups and len(fraction) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0"


def _without_groups(digits: str, kinds: list[str]) -> str | None:
    """Digits in groups of three, or in India's of two before the last three; ``None`` if they are in no such groups."""
    if len(kinds) != 1 or kinds == [_DECIMAL]:
        return None
    head, *groups = digits.split(kinds[0])
    in_threes = 1 <= len(head) <= 3 and all(len(group) == 3 for group in groups)
    in_lakhs = kinds == [","] and 1 <= len(head) <= 2 and len(groups[-1]) == 3
    in_lakhs = in_lakhs and all(len(group) == 2 for group in groups[:-1])
    if head.startswith("0") or not (in_threes or in_lakhs):
        return None
    return head + "".join(groups)
