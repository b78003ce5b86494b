"""Conditions that are not over events: `trait`, `context`, `in_segment`, `calendar`, `sample`."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rules.conditions import CalendarDays, ContextIs, ContextTest, InSegment, Sample, TraitIs, TraitTest
from rules.context import ATTRIBUTES, CHANNELS
from rules.definitions import forms, value_test_parsing
from rules.definitions.problems import FORMS, Parsed, Scope, WrongCondition
from rules.facts import TouchFact, TraitFact
from rules.value_tests import ValueTest
from rules.values import MICRO, path_of


def trait(scope: Scope, path: str, body: object) -> Parsed:
    assert isinstance(body, dict)
    tests = tuple(_trait_test(scope, f"{path}.{name}", name, body[name]) for name in sorted(body, key=str))
    return TraitIs(tests), {"trait": {test.name: test.asked for test in tests}}


def context(scope: Scope, path: str, body: object) -> Parsed:
    assert isinstance(body, dict)
    touch = body.get("touch", "last")
    if touch not in ("first", "last"):
        raise WrongCondition(f"{path}.touch", f"{touch!r} is neither first nor last")
    unknown = [name for name in body if name not in forms.CONTEXT_KEYS]
    names = [name for name in ATTRIBUTES if name in body]
    if unknown or not names:
        said = f"unknown key {unknown[0]}" if unknown else "no attribute is asked for"
        raise WrongCondition(path, f"{said}; known here: {', '.join(forms.CONTEXT_KEYS)}")
    tests = tuple(_context_test(scope, f"{path}.{name}", name, body[name], first=touch == "first") for name in names)
    canonical = {test.attribute: test.test.test for test in tests} | {"touch": touch}
    return ContextIs(tests, touch == "first"), {"context": canonical}


def in_segment(scope: Scope, path: str, body: object) -> Parsed:
    if not isinstance(body, str):
        raise WrongCondition(path, f"expected {FORMS['in_segment']}")
    if body not in scope.places:
        near = ", ".join(sorted(scope.places)[:10])
        raise WrongCondition(path, f"there is no segment {body}; segments here are {near}")
    scope.named.add(body)
    return InSegment(body, scope.places[body]), {"in_segment": body}


def calendar(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.CalendarForm, body)
    if form.between is None and form.weekday is None:
        raise WrongCondition(path, f"expected {FORMS['calendar']}")
    wrong = form.between and forms.month_day_problem(form.between, form.calendar)
    if wrong:
        raise WrongCondition(f"{path}.between", wrong)
    try:
        ZoneInfo(form.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WrongCondition(
            f"{path}.timezone", f"{form.timezone!r} is not a time zone; write one such as Asia/Tehran or UTC"
        ) from None
    scope.facts.require_nothing()
    days = CalendarDays(form.between, form.weekday, form.calendar == "jalali", form.timezone)
    return days, {"calendar": days.test}


def sample(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.SampleForm, body)
    percent = scope.problems.read(f"{path}.percent", value_test_parsing.micro, form.percent)
    if not 0 < percent <= 100 * MICRO:
        raise WrongCondition(f"{path}.percent", f"{form.percent!r} is not above 0 and at most 100")
    scope.facts.require_nothing()
    return Sample(percent, form.salt), {"sample": {"percent": percent / MICRO, "salt": form.salt}}


def _trait_test(scope: Scope, path: str, name: object, body: object) -> TraitTest:
    test, age = scope.problems.read(path, value_test_parsing.trait_test, body)
    if not isinstance(name, str) or not all(path_of(name)):
        raise WrongCondition(path, "a trait is named by its name, or a dotted one such as address.city")
    slot = bit = date = 0
    if test is not None:
        slot, bit = TraitFact.require_test(scope.facts, path_of(name), test)
    if age is not None:
        slot, date = TraitFact.require_date(scope.facts, path_of(name))
    return TraitTest(name, slot, test, bit, age, date)


def _context_test(scope: Scope, path: str, name: str, body: object, *, first: bool) -> ContextTest:
    test = scope.problems.read(path, value_test_parsing.text_test, body)
    wrong = [one for one in _texts(test) if name == "channel" and one not in CHANNELS]
    if wrong:
        raise WrongCondition(path, f"{wrong[0]!r} is not a channel; it is one of {', '.join(CHANNELS)}")
    slot, bit = TouchFact.require_test(scope.facts, name, test, first=first)
    return ContextTest(name, test, slot, bit)


def _texts(test: ValueTest) -> list[str]:
    scalars = [test.equals, test.contains, *(test.in_ or ()), *(test.not_in or ())]
    return [one for one in scalars if isinstance(one, str)]
