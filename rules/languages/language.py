"""A language: its messages, and how it writes numbers, durations, days and foreign texts.

All words of a language stand in tables (`rules.languages.english`, `rules.languages.persian`, the messages of each kind
of condition); which of them a sentence has is decided without looking at the language.

See also: `rules.sentences.reason_sentence`, which writes the sentences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple, TypeAlias

import jdatetime
import msgspec

from rules.times import format_duration, parse_duration
from rules.untrusted_texts import escaped, isolated, shortened

# A template, or two: the first for a count of one, the second for other counts.
SentenceTemplate: TypeAlias = str | tuple[str, str]

# The separators of a sentence's parts, which are rare in names.
_PUNCTUATION = frozenset("(),;،؛")
_DURATION = re.compile(r"(\d+)([a-z]+)", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# The most characters of a foreign name or value in a sentence; a definition's texts may have 500.
_TEXT_MAX_CHARS = 120
# The most items of a list in a sentence, which ends with the number of further ones.
LISTED_MAX = 10


class Unit(NamedTuple):
    """The forms of a unit of time: singular, plural, and joined to the word after it."""

    singular: str
    plural: str
    linked: str


class Language(msgspec.Struct, frozen=True, eq=False):
    """A language, equal to itself alone.

    ``isolates``: whether each foreign text is isolated, or only one beyond ASCII; ``quotes``: escaped inside them.

    ``months``: by calendar; ``weekdays``: from Monday; ``attributes``: names of the context's.
    """

    messages: Mapping[str, SentenceTemplate]
    units: Mapping[str, Unit]
    months: Mapping[str, tuple[str, ...]]
    weekdays: tuple[str, ...]
    attributes: Mapping[str, str]
    quotes: str
    isolates: bool
    digits: Mapping[int, int]

    def say(self, key: str, count: float = 0, /, **slots: str) -> str:
        """Fill the slots of a message; ``count``: chooses between the templates for one and for several."""
        message = self.messages[key]
        if not isinstance(message, str):
            message = message[count != 1]
        return message.format(**slots)

    # --- numbers and times

    def number(self, value: float) -> str:
        """Write a number with all of its digits, up to six after the point."""
        return self._written(_plain(value))

    def amount(self, value: float) -> str:
        """Write an amount of money: whole, or with at least two digits after the point."""
        whole, point, part = _plain(value).partition(".")
        return self._written(f"{whole}.{part.ljust(2, '0')}" if point else whole)

    def duration(self, text: object, key: str = "duration") -> str:
        """Write a duration such as ``30m``, by a message that takes ``number`` and ``unit``, plain and ``linked``."""
        ms = parse_duration(text)
        match = _DURATION.fullmatch(format_duration(ms)) if ms else None
        return self.name(text) if match is None else self.measured(int(match[1]), match[2], key)

    def measured(self, number: float, unit: str, key: str = "duration") -> str:
        """Write a number of a unit."""
        singular, plural, linked = self.units[unit]
        return self.say(key, number=self.number(number), unit=singular if number == 1 else plural, linked=linked)

    def day(self, text: str, calendar: str, *, with_weekday: bool) -> str:
        """Write a day such as ``2026-03-01``."""
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
        """Write a month-day such as ``03-01``."""
        month, _, day = text.partition("-")
        return self.say("month_day", day=self.number(int(day)), month=self.months[calendar][int(month) - 1])

    def clock(self, text: str) -> str:
        """Write a time of the day such as ``18:00``."""
        return text.translate(self.digits)

    def _written(self, plain: str) -> str:
        # A minus at the beginning would change sides between words that run right to left.
        written = plain.translate(self.digits)
        return isolated(written) if self.isolates and plain.startswith("-") else written

    # --- foreign texts

    def name(self, text: object, key: str = "name") -> str:
        """Write a name or an instant; in quotation marks if it has characters of the sentence's own punctuation."""
        shown = shortened(str(text), _TEXT_MAX_CHARS)
        return self.quoted(shown, "quoted" if _PUNCTUATION & set(shown) else key)

    def quoted(self, text: object, key: str = "quoted") -> str:
        """Write a value in quotation marks, which it cannot close."""
        shown = shortened(str(text), _TEXT_MAX_CHARS)
        safe = escaped(shown, self.quotes)
        return self.say(key, text=isolated(safe) if self.isolates or not shown.isascii() else safe)

    def events(self, names: str | Sequence[str] | None) -> str:
        """Write names of events as alternatives."""
        several = (names,) if isinstance(names, str) else names or ()
        return self.listed("or", [self.name(name, "event") for name in several[:LISTED_MAX]], len(several))

    def listed(self, between: str, first: Sequence[str], count: int) -> str:
        """Write the first of ``count`` items, joined by the message ``between``, and the number of further ones."""
        words = self.say(between).join(first)
        more = count - len(first)
        return self.say("and_more", values=words, count=self.number(more)) if more else words


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")
