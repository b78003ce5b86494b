"""Conditions on attributes of a customer: its traits, and the context of its events (`trait`, `context`).

See also: `rules.facts.attribute_facts`, the facts that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import msgspec

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.boolean import combined
from rules.context import ATTRIBUTES, CHANNELS
from rules.date_tests import DateTest
from rules.facts.attribute_facts import TouchFact, TraitFact
from rules.forms import date_test_parsing, description, value_test_parsing
from rules.forms.description import Canonical
from rules.forms.json_schema import Schema, mapping, reference, value_test_schema
from rules.forms.problems import WrongCondition, unknown_key
from rules.languages import value_tests
from rules.languages.language import LISTED_MAX, Language
from rules.languages.parts import judged, observed_of
from rules.profile.attributes import AttributeValue
from rules.reasons import Observed, Reason
from rules.value_tests import Shown, ValueTest
from rules.values import path_of

CONTEXT_KEYS = (*ATTRIBUTES, "touch")


class TraitTest(msgspec.Struct, frozen=True):
    """A trait meets a test of its value, and is a date which meets others.

    ``slot``: where the profile has the trait; ``bit``: of the answer to the test; ``date``: the date's index.
    ``dates``: the tests of the date, by their keys in a definition.
    """

    name: str
    slot: int
    test: ValueTest | None
    bit: int
    date: int
    dates: tuple[tuple[str, DateTest], ...]

    def decide(self, value: AttributeValue | None, now: int) -> TimedDecision:
        """Decide for the newest value of the trait, if there is one."""
        if self.test is not None:
            met = self.test.meets(None) if value is None else bool(value.met >> self.bit & 1)
            if not met or not self.dates:
                return met, NEVER
        moment = None if value is None else value.dates[self.date]
        if moment is None:
            return False, NEVER
        if len(self.dates) == 1:
            return self.dates[0][1].decide(moment, now)
        return combined((test.decide(moment, now) for _, test in self.dates), turned_by=False)

    @property
    def shown_test(self) -> Shown:
        """The test as it stands in a definition."""
        test = self.test.test if self.test else {}
        if not self.dates:
            return test
        dates = {key: date.test for key, date in self.dates}
        return {**test, **dates} if isinstance(test, dict) else dates


class TraitIs(msgspec.Struct, frozen=True):
    """Every one of these traits meets its test."""

    tests: tuple[TraitTest, ...]

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        traits = customer.profile.traits
        return combined((test.decide(traits[test.slot], now) for test in self.tests), turned_by=False)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, due = self.decide(customer, now)
        values = {test.name: _shown(customer.profile.traits[test.slot]) for test in self.tests}
        tests = {test.name: test.shown_test for test in self.tests}
        return Reason(holds, condition="trait", observed=Observed(values=values), test=tests, until=until(due))


class ContextTest(msgspec.Struct, frozen=True):
    """An attribute meets a test: its place in the profile, and the bit of the answer."""

    attribute: str
    test: ValueTest
    slot: int
    bit: int


class ContextIs(msgspec.Struct, frozen=True):
    """Every one of these attributes, of the first or last event that carries it, meets its test."""

    tests: tuple[ContextTest, ...]
    first: bool

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:  # noqa: ARG002
        touches = customer.profile.touches
        for test in self.tests:
            value = touches[test.slot]
            if not (test.test.meets(None) if value is None else value.met >> test.bit & 1):
                return False, NEVER
        return True, NEVER

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, _ = self.decide(customer, now)
        values = {test.attribute: _shown(customer.profile.touches[test.slot]) for test in self.tests}
        return Reason(
            holds,
            condition="context",
            observed=Observed(values=values),
            test={test.attribute: test.test.test for test in self.tests},
            touch="first" if self.first else "last",
        )


def _shown(value: AttributeValue | None) -> str | None:
    return None if value is None else value.shown


def _values_shown(lang: Language, reason: Reason, key: str, names: Mapping[str, str]) -> str:
    """The known values of traits or attributes, in words; ``key``: the message that names one."""
    values = observed_of(reason).values or {}
    parts = []
    for name, value in islice(values.items(), LISTED_MAX):
        subject = lang.say(key, name=names.get(name) or lang.name(name))
        if value is None:
            parts.append(lang.say("not_known", name=subject))
        else:
            parts.append(lang.say("known", name=subject, value=lang.quoted(value)))
    return lang.listed("semicolon", parts, len(values))


# --- trait

_TRAIT_EXAMPLE = "{plan: pro}"


def _parse_trait(scope: Scope, path: str, body: object) -> Parsed:
    if not isinstance(body, dict) or not body:
        raise WrongCondition(path, f"expected {_TRAIT_EXAMPLE}")
    tests = tuple(_trait_test(scope, f"{path}.{name}", name, body[name]) for name in sorted(body, key=str))
    return TraitIs(tests), {"trait": {test.name: test.shown_test for test in tests}}


def _trait_test(scope: Scope, path: str, name: object, body: object) -> TraitTest:
    test, dates = scope.problems.read(path, date_test_parsing.dated_trait_test, body)
    if not isinstance(name, str) or not all(path_of(name)):
        raise WrongCondition(path, "a trait is named by its name, or a dotted one such as address.city")
    slot = bit = date = 0
    if test is not None:
        slot, bit = TraitFact.require_test(scope.facts, path_of(name), test)
    if dates:
        slot, date = TraitFact.require_date(scope.facts, path_of(name))
    return TraitTest(name, slot, test, bit, date, tuple(dates.items()))


def _describe_trait(form: Canonical) -> str:
    return " and ".join(f"trait {name} is {description.value_test(test)}" for name, test in form.items())


def _trait_phrase(lang: Language, reason: Reason) -> str:
    text = _values_shown(lang, reason, "trait", {})
    return judged(lang, reason, text, value_tests.properties(lang, reason.test or {}, reason.cut, "/test"))


_DATE_SCHEMAS = {"age": "age", "before": "date", "after": "date", "ahead": "ahead", "anniversary": "anniversary"}


def _trait_schema() -> Schema:
    dated = value_test_schema()
    dates = {key: reference(name) for key, name in _DATE_SCHEMAS.items()}
    dated["properties"] = {**dated["properties"], **dates}
    test = {"anyOf": [reference("scalar"), dated]}
    return {"type": "object", "additionalProperties": test, "minProperties": 1}


TRAIT = ConditionKind(
    "trait",
    _TRAIT_EXAMPLE,
    _trait_schema(),
    _parse_trait,
    _describe_trait,
    _trait_phrase,
    messages={
        "en": {"trait": "{name}", "known": "{name} is {value}", "not_known": "{name} is not known"},
        "fa": {"trait": "{name}", "known": "{name} برابر {value} است", "not_known": "{name} نامعلوم است"},
    },
)

# --- context

_CONTEXT_EXAMPLE = "{device: mobile}"


def _parse_context(scope: Scope, path: str, body: object) -> Parsed:
    """Read the body of ``context``. The canonical form has ``touch`` whether it was written or not."""
    if not isinstance(body, dict):
        raise WrongCondition(path, f"expected {_CONTEXT_EXAMPLE}")
    touch = body.get("touch", "last")
    if touch not in ("first", "last"):
        raise WrongCondition(f"{path}.touch", f"{touch!r} is neither first nor last")
    unknown = [name for name in body if name not in CONTEXT_KEYS]
    names = [name for name in ATTRIBUTES if name in body]
    if unknown:
        raise WrongCondition(path, *unknown_key(CONTEXT_KEYS, unknown[0]))
    if not names:
        raise WrongCondition(path, "no attribute is asked for", f"known here: {', '.join(CONTEXT_KEYS)}")
    first = touch == "first"
    tests = tuple(_context_test(scope, f"{path}.{name}", name, body[name], first=first) for name in names)
    canonical = {test.attribute: test.test.test for test in tests} | {"touch": touch}
    return ContextIs(tests, first), {"context": canonical}


def _context_test(scope: Scope, path: str, name: str, body: Any, *, first: bool) -> ContextTest:
    test = scope.problems.read(path, value_test_parsing.text_test, body)
    wrong = [text for text in _texts(test) if name == "channel" and text not in CHANNELS]
    if wrong:
        raise WrongCondition(path, f"{wrong[0]!r} is not a channel", f"it is one of {', '.join(CHANNELS)}")
    slot, bit = TouchFact.require_test(scope.facts, name, test, first=first, own_hosts=scope.own_hosts)
    return ContextTest(name, test, slot, bit)


def _texts(test: ValueTest) -> list[str]:
    scalars = [test.equals, test.contains, *(test.in_ or ()), *(test.not_in or ())]
    return [scalar for scalar in scalars if isinstance(scalar, str)]


def _describe_context(form: Canonical) -> str:
    tests = [f"{name} is {description.value_test(test)}" for name, test in form.items() if name != "touch"]
    return f"{form['touch']} known {' and '.join(tests)}"


def _context_phrase(lang: Language, reason: Reason) -> str:
    names = {name: lang.attributes[name] for name in ATTRIBUTES}
    text = _values_shown(lang, reason, f"{reason.touch}_touch", names)
    return judged(lang, reason, text, value_tests.properties(lang, reason.test or {}, reason.cut, "/test", names))


def _context_schema() -> Schema:
    channels = {"enum": list(CHANNELS)}
    channel = {"anyOf": [channels, value_test_schema(channels)]}
    attributes = {name: channel if name == "channel" else reference("textTest") for name in ATTRIBUTES}
    return {**mapping({**attributes, "touch": {"enum": ["first", "last"]}}), "minProperties": 1}


CONTEXT = ConditionKind(
    "context",
    _CONTEXT_EXAMPLE,
    _context_schema(),
    _parse_context,
    _describe_context,
    _context_phrase,
    messages={
        "en": {"first_touch": "the first {name}", "last_touch": "the last {name}"},
        "fa": {"first_touch": "نخستین {name}", "last_touch": "آخرین {name}"},
    },
)
