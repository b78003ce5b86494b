"""A language: its messages, and how it writes numbers, durations, days and what others wrote.

The one rule: all words of a language stand in tables (`rules.languages.english`, `rules.languages.persian`, the
messages of each kind of condition); which of them a sentence has is decided without looking at the language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple, TypeAlias

import jdatetime
import msgspec

from rules.languages.untrusted import escaped, isolated, shortened
from rules.times import format_duration, parse_duration

# A template; or two, of which the first is for one of something.
Message: TypeAlias = str | tuple[str, str]

# What separates the parts of a sentence; in names it is rare.
_PUNCTUATION = frozenset("(),;،؛")
_DURATION = re.compile(r"(\d+)([a-z]+)", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# A sentence has the beginning of a foreign name or value; a definition's texts may have 500 characters.
_TEXT_MAX_CHARS = 120
# A sentence has the first of several, and how many more there are.
LISTED_MAX = 10


class Unit(NamedTuple):
    """A unit of time: of one, of several, and joined to the word after it."""

    singular: str
    plural: str
    linked: str


class Language(msgspec.Struct, frozen=True, eq=False):
    """A language, equal to itself alone.

    ``isolates``: whether each foreign text is isolated, or only one beyond ASCII; ``quotes``: escaped inside them.

    ``months``: by calendar; ``weekdays``: from Monday; ``attributes``: names of the context's.
    """

    messages: Mapping[str, Message]
    units: Mapping[str, Unit]
    months: Mapping[str, tuple[str, ...]]
    weekdays: tuple[str, ...]
    attributes: Mapping[str, str]
    quotes: str
    isolates: bool
    digits: Mapping[int, int]

    def say(self, key: str, count: float = 0, /, **slots: str) -> str:
        """A message with its slots filled; ``count``: how many it speaks of."""
        message = self.messages[key]
        if not isinstance(message, str):
            message = message[count != 1]
        return message.format(**slots)

    # --- numbers and times

    def number(self, value: float) -> str:
        """All digits that there are, up to six after the point."""
        return self._written(_plain(value))

    def amount(self, value: float) -> str:
        """Money: whole, or with two digits after the point at least."""
        whole, point, part = _plain(value).partition(".")
        return self._written(f"{whole}.{part.ljust(2, '0')}" if point else whole)

    def duration(self, text: object, key: str = "duration") -> str:
        """``30m`` in words, by a message that takes ``number`` and ``unit``, plain and ``linked``."""
        ms = parse_duration(text)
        match = _DURATION.fullmatch(format_duration(ms)) if ms else None
        return self.name(text) if match is None else self.measured(int(match[1]), match[2], key)

    def measured(self, number: float, unit: str, key: str = "duration") -> str:
        """So many of a unit."""
        singular, plural, linked = self.units[unit]
        return self.say(key, number=self.number(number), unit=singular if number == 1 else plural, linked=linked)

    def day(self, text: str, calendar: str, *, with_weekday: bool) -> str:
        """``2026-03-01`` in words."""
        match = _DATE.fullmatch(text)
        if match is None:
            return self.name(text)
        year, month, day = map(int, match.groups())
        date_text = self.say("date", day=self.month_day(text[5:], calendar), year=self.number(year))
        if not with_weekday:
            return date_text
        gregorian = jdatetime.date(year, month, day).togregorian() if calendar == "jalali" else date(year, month, day)
        return self.say("weekday_date", weekday=self.weekdays[gregorian.weekday()], date=date_text)

    def month_day(self, text: str, calendar: str) -> str:
        """``03-01`` in words."""
        month, _, day = text.partition("-")
        return self.say("month_day", day=self.number(int(day)), month=self.months[calendar][int(month) - 1])

    def _written(self, plain: str) -> str:
        # A minus at the beginning would change sides between words that run right to left.
        written = plain.translate(self.digits)
        return isolated(written) if self.isolates and plain.startswith("-") else written

    # --- what others wrote

    def name(self, text: object, key: str = "name") -> str:
        """A name or an instant, as it is; quoted where it could be taken for our own punctuation."""
        shown = shortened(str(text), _TEXT_MAX_CHARS)
        return self.quoted(shown, "quoted" if _PUNCTUATION & set(shown) else key)

    def quoted(self, text: object, key: str = "quoted") -> str:
        """A value in quotation marks, which it cannot close."""
        shown = shortened(str(text), _TEXT_MAX_CHARS)
        safe = escaped(shown, self.quotes)
        return self.say(key, text=isolated(safe) if self.isolates or not shown.isascii() else safe)

    def events(self, names: str | Sequence[str] | None) -> str:
        """Names of events, any one of which is meant."""
        several = (names,) if isinstance(names, str) else names or ()
        return self.listed("or", [self.name(name, "event") for name in several[:LISTED_MAX]], len(several))

    def listed(self, between: str, first: Sequence[str], count: int) -> str:
        """The first of so many, joined by the message ``between``, and how many more there are."""
        words = self.say(between).join(first)
        more = count - len(first)
        return self.say("and_more", values=words, count=self.number(more)) if more else words


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")
