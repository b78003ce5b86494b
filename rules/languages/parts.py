"""Writes parts of a sentence about a condition: observed values beside the test, windows, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rules.event_times import WEEKDAYS
from rules.languages import value_tests
from rules.languages.language import Language
from rules.reasons import Observed, Reason, StepAsked, TotalShown
from rules.value_tests import Shown

NOTHING_OBSERVED = Observed()


def observed_of(reason: Reason) -> Observed:
    """The observed part of a reason; empty if the reason has none."""
    return reason.observed or NOTHING_OBSERVED


def beside(lang: Language, observed: str, test: str) -> str:
    """The test beside the observed value, where the two together show whether the condition holds."""
    return lang.say("beside", observed=observed, test=test) if test else observed


def judged(lang: Language, reason: Reason, observed: str, test: str) -> str:
    """The test beside the observed value, with the answer, where the two together do not show it."""
    return lang.say("beside" if reason.holds else "in_vain", observed=observed, test=test)


def window(lang: Language, within: str | None, ever: str = "ever", *, after: str | None = None) -> str:
    """Write a window; ``ever``: the message where there is none; ``after``: from when on an event counts."""
    if within and after:
        return lang.say("between_ago", first=lang.duration(within), last=lang.duration(after))
    return lang.duration(within, "window") if within else lang.say(ever)


def events(
    lang: Language, source: Reason | StepAsked | TotalShown, cut: Mapping[str, int] | None, place: str = ""
) -> str:
    """Write the events and the tests of their properties; ``cut`` and ``place``: see `value_tests.properties`."""
    names = lang.events(source.event)
    if source.times:
        names = lang.say("timed", event=names, times=_times(lang, source.times))
    if not source.where:
        return names
    return lang.say("where", event=names, tests=value_tests.properties(lang, source.where, cut, f"{place}/where"))


def _times(lang: Language, times: Mapping[str, Shown]) -> str:
    """Write the days, weekdays and hours of events. A reason that was cut may have fewer of them."""
    parts = []
    days = times.get("on")
    if isinstance(days, Mapping):
        parts += [lang.say(f"{end}_day", day=_day(lang, day)) for end, day in days.items()]
    elif days and len(days) == 2:
        first, last = days
        key = "on_day" if first == last else "on_days"
        parts.append(lang.say(key, day=_day(lang, first), last=_day(lang, last)))
    if times.get("weekday"):
        parts.append(lang.say("on_the_weekdays", days=weekday_names(lang, times["weekday"])))
    hours = times.get("hours") or {}
    if "from" in hours and "to" in hours:
        parts.append(lang.say("at_hours", first=lang.clock(hours["from"]), last=lang.clock(hours["to"])))
    words = lang.say("comma").join(parts)
    return lang.say("in_zone", words=words, zone=lang.name(times["timezone"])) if "timezone" in times else words


def weekday_names(lang: Language, weekdays: Sequence[str]) -> str:
    """Weekdays of a definition as alternatives."""
    return lang.say("or").join([lang.weekdays[WEEKDAYS.index(weekday)] for weekday in weekdays])


def _day(lang: Language, text: str) -> str:
    return lang.day(text, "gregorian", with_weekday=False)
