"""Writes parts of a sentence about a condition: observed values beside the test, windows, events."""

from __future__ import annotations

from collections.abc import Mapping

from rules.languages import value_tests
from rules.languages.language import Language
from rules.reasons import Observed, Reason, StepAsked

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


def events(lang: Language, source: Reason | StepAsked, cut: Mapping[str, int] | None, place: str = "") -> str:
    """Write the events and the tests of their properties; ``cut`` and ``place``: see `value_tests.properties`."""
    names = lang.events(source.event)
    if not source.where:
        return names
    return lang.say("where", event=names, tests=value_tests.properties(lang, source.where, cut, f"{place}/where"))
