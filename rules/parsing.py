"""Conditions of a segments file: plain data into what decides.

The one rule: every problem is noted with the path at which it stands and what would be right, and
all of a file are found in one walk. On the way facts are wished for and the canonical form is
made: defaults filled, what is not used left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ValidationError

from rules import asked, forms
from rules.conditions import (
    AllOf,
    AnyOf,
    Condition,
    ContextIs,
    ContextTest,
    Count,
    Followed,
    InSegment,
    Moment,
    NoneOf,
    OnDays,
    OpenCart,
    Performed,
    Sample,
    SessionCount,
    Step,
    Total,
    TraitIs,
    TraitTest,
)
from rules.context import ATTRIBUTES, CHANNELS
from rules.events import MONEY, ORDER_COMPLETED, WITHOUT_EFFECT
from rules.facts import DISTINCT_MAX, Picked, Reading
from rules.orders import MESSAGES_MAX, TOTAL
from rules.predicates import NumberTest, ValueTest, Where
from rules.sessions import INTERVALS_MAX
from rules.times import format_duration
from rules.values import MICRO, path_of
from rules.wanted import Facts

DEPTH_MAX = 20
# An order takes up to four messages (completed, two refunds, cancelled) of those that are kept.
ORDERS_MAX = MESSAGES_MAX // 4

_GROUPS: dict[str, Callable[[tuple[Condition, ...]], Condition]] = {"all": AllOf, "any": AnyOf, "not": NoneOf}
FORMS = {
    "all": "a list of conditions",
    "any": "a list of conditions",
    "not": "a condition or a list of conditions",
    "performed": "{event: Order Completed, count: {at_least: 2}, within: 365d}",
    "total": "{agg: sum, of: total, event: Order Completed, within: 365d, at_least: 1000}",
    "last": "{event: Order Completed, ago: {at_least: 60d}}",
    "first": "{event: Order Completed, ago: {at_most: 30d}}",
    "sequence": "{steps: [{event: Product Viewed}, {event: Product Added}], within: 1h}",
    "cart": "{idle_for: 30m, until: 30d}",
    "sessions": "{count: {at_least: 2}, within: 30d}",
    "trait": "{plan: pro}",
    "context": "{device: mobile}",
    "in_segment": "another segment's key, such as repeat_buyer",
    "calendar": "{between: ['12-20', '12-31']} or {weekday: [fri]}",
    "sample": "{percent: 10, salt: hold-out}",
}
_EXAMPLES: dict[type[BaseModel], str] = {
    forms.PerformedForm: FORMS["performed"],
    forms.TotalForm: FORMS["total"],
    forms.MomentForm: FORMS["last"],
    forms.SequenceForm: FORMS["sequence"],
    forms.StepForm: "{event: Product Viewed}",
    forms.CartForm: FORMS["cart"],
    forms.SessionsForm: FORMS["sessions"],
    forms.CalendarForm: FORMS["calendar"],
    forms.SampleForm: FORMS["sample"],
    forms.SegmentForm: "{title: Repeat buyer, when: {…}}",
    forms.BandsForm: "{total: {agg: sum, …}, from: {low: 0, high: 1001}}",
    forms.LibraryForm: "{without: [hold_out]}",
}

FormT = TypeVar("FormT", bound=BaseModel)
Parsed = tuple[Condition, object]


class Wrong(Exception):
    """A condition is wrong: ``args`` are the path and what would be right; without them, it was noted."""


class Problems:
    """What is wrong with a file, as lines that begin with a path."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, path: str, text: str) -> None:
        """Note what is wrong at a path, and what would be right."""
        self.lines.append(f"{path}: {text}" if path else text)

    def fill(self, path: str, form: type[FormT], value: object) -> FormT:
        """Check a mapping against its form. Raises `Wrong` after noting all that is."""
        try:
            return form.model_validate(value)
        except ValidationError as error:
            for detail in error.errors():
                parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
                inner = asked.path_of_error(detail.get("ctx", {}).get("error"))
                self.note(path + parts + inner, _say(detail["type"], detail["msg"], form))
            raise Wrong from None


class Parser:
    """Reads the conditions of one file, segment by segment.

    ``places``: each segment's key and its place, as `InSegment` needs it. ``named``: the segments
    that the conditions read so far ask about.
    """

    def __init__(self, problems: Problems, currency: str | None, places: dict[str, int]) -> None:
        self.problems = problems
        self.currency = currency
        self.places = places
        self.facts = Facts()
        self.named: set[str] = set()
        self._kinds: dict[str, Callable[[str, object], Parsed]] = {
            "performed": self._performed,
            "total": self._total,
            "last": self._last,
            "first": self._first,
            "sequence": self._sequence,
            "cart": self._cart,
            "sessions": self._sessions,
            "trait": self._trait,
            "context": self._context,
            "in_segment": self._in_segment,
            "calendar": self._calendar,
            "sample": self._sample,
        }

    def condition(self, path: str, node: object, depth: int = 0) -> Parsed | None:
        """A node to its condition and canonical form; ``None`` after noting what is wrong."""
        try:
            return self._condition(path, node, depth)
        except Wrong as wrong:
            if wrong.args:
                self.problems.note(*wrong.args)
            return None

    def _condition(self, path: str, node: object, depth: int) -> Parsed | None:
        if depth > DEPTH_MAX:
            raise Wrong(path, f"conditions nest at most {DEPTH_MAX} deep")
        known = ", ".join(FORMS)
        if not isinstance(node, dict) or len(node) != 1:
            said = "nothing" if node is None else f"{json.dumps(node, ensure_ascii=False, default=str)[:80]}"
            raise Wrong(path, f"a condition has exactly one key, one of {known}; here is {said}")
        (kind, body) = next(iter(node.items()))
        if kind not in FORMS:
            raise Wrong(f"{path}.{kind}", f"unknown condition; it is one of {known}")
        path = f"{path}.{kind}"
        if kind in _GROUPS:
            return self._group(path, kind, body, depth)
        if kind != "in_segment" and (not isinstance(body, dict) or (not body and kind == "trait")):
            raise Wrong(path, f"expected {FORMS[kind]}")
        return self._kinds[kind](path, body)

    def _group(self, path: str, kind: str, body: object, depth: int) -> Parsed | None:
        alone = kind == "not" and isinstance(body, dict)
        nodes = [body] if alone else body
        if not isinstance(nodes, list) or not nodes:
            raise Wrong(path, f"expected {FORMS[kind]}, at least one")
        paths = [path if alone else f"{path}[{at}]" for at in range(len(nodes))]
        parsed = [self.condition(where, node, depth + 1) for where, node in zip(paths, nodes, strict=True)]
        done = [member for member in parsed if member is not None]
        if len(done) < len(parsed):
            return None
        return _GROUPS[kind](tuple(c for c, _ in done)), {kind: [canonical for _, canonical in done]}

    # --- events and orders

    def _events(self, path: str, events: tuple[str, ...]) -> tuple[bool, frozenset[str]]:
        """Whether orders are meant, and the other names."""
        idle = [name for name in events if name in WITHOUT_EFFECT]
        if idle:
            raise Wrong(f"{path}.event", f"{idle[0]} is accepted without effect; nothing can be asked of it")
        return ORDER_COMPLETED in events, frozenset(events) - {ORDER_COMPLETED}

    def _performed(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.PerformedForm, body)
        found = self._events(path, form.event)
        of_orders, others = found
        keep = form.count.newest_needed + 1
        if of_orders and keep > ORDERS_MAX:
            most = f"at_least goes up to {ORDERS_MAX - 1}, at_most and exactly up to {ORDERS_MAX - 2}"
            raise Wrong(f"{path}.count", f"for orders {most}")
        picked = Picked(form.where)
        view = self.facts.want_orders(picked, form.within) if of_orders else None
        slot = self.facts.want_occurrences(others, picked, form.within, keep) if others else None
        canonical = {"event": form.event, "count": form.count.test, "within": form.within} | _where(form.where)
        condition = Performed(form.event, form.where, form.count, form.within, view, slot)
        return condition, {"performed": canonical}

    def _total(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.TotalForm, body)
        found = self._events(path, form.event)
        test = _total_test(path, form)
        money = form.of in MONEY
        if money and self.currency is None:
            raise Wrong(f"{path}.of", "money is added up in one currency; write currency: EUR at the file's top")
        picked = Picked(form.where, self.currency if money else None)
        total = self._kept_total(form, picked, test, *found)
        canonical = {"agg": form.agg, "of": form.of, "event": form.event, "within": form.within, **test.test}
        return total, {"total": canonical | _where(form.where)}

    def _kept_total(
        self, form: forms.TotalForm, picked: Picked, test: NumberTest, of_orders: bool, others: frozenset[str]
    ) -> Total:
        reading = Reading(path_of(form.of), form.agg == "distinct")
        view = self.facts.want_orders(picked, form.within) if of_orders else None
        place = TOTAL
        if of_orders and (form.of != "total" or reading.distinct):
            place = self.facts.want_of_orders(reading)
        slot = None
        if others and form.agg in ("sum", "avg"):
            slot = self.facts.want_sum(others, picked, reading, form.within)
        elif others and form.agg == "distinct":
            slot = self.facts.want_distinct(others, picked, reading, form.within)
        elif others:
            slot = self.facts.want_extreme(others, picked, reading, form.within, greatest=form.agg == "max")
        count = _counted(test)
        return Total(form.agg, form.of, form.event, form.where, form.within, test, count, view, place, slot)

    def _last(self, path: str, body: object) -> Parsed:
        return self._moment(path, body, first=False)

    def _first(self, path: str, body: object) -> Parsed:
        return self._moment(path, body, first=True)

    def _moment(self, path: str, body: object, *, first: bool) -> Parsed:
        form = self.problems.fill(path, forms.MomentForm, body)
        found = self._events(path, form.event)
        of_orders, others = found
        picked = Picked(form.where)
        view = self.facts.want_orders(picked, None) if of_orders else None
        slot = None
        if others and first:
            slot = self.facts.want_first(others, picked)
        elif others:
            slot = self.facts.want_occurrences(others, picked, None, 1)
        canonical = {"event": form.event, "ago": form.ago.test} | _where(form.where)
        moment = Moment(first, form.event, form.where, form.ago, view, slot)
        return moment, {"first" if first else "last": canonical}

    def _sequence(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.SequenceForm, body)
        names = [self._events(f"{path}.steps[{at}]", step.event) for at, step in enumerate(form.steps)]
        same = None if form.same is None else path_of(form.same)
        steps = tuple(
            Step(step.event, step.where, self.facts.want_orders(Picked(step.where), form.within) if of_orders else None)
            for step, (of_orders, _) in zip(form.steps, names, strict=True)
        )
        of_orders = any(of_orders for of_orders, _ in names)
        place = self.facts.want_of_orders(Reading(same, distinct=True)) if of_orders and same else TOTAL
        asked_steps = tuple((others, Picked(step.where)) for step, (_, others) in zip(form.steps, names, strict=True))
        kept = any(others for others, _ in asked_steps)
        slot = self.facts.want_steps(asked_steps, same, form.within) if kept else None
        canonical = [{"event": step.event} | _where(step.where) for step in form.steps]
        told = {"steps": canonical, "within": form.within} | ({} if form.same is None else {"same": form.same})
        return Followed(steps, form.within, form.same, place, slot), {"sequence": told}

    # --- cart and sessions

    def _cart(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.CartForm, body)
        if form.until is not None and form.until <= (form.idle_for or 0):
            ends = f"idle_for {format_duration(form.idle_for or 0)} and until {format_duration(form.until)}"
            raise Wrong(f"{path}.until", f"until must be longer than idle_for; here are {ends}")
        self.facts.want_cart(prices=form.value is not None)
        condition = OpenCart(form.idle_for or 0, form.until, form.stage, form.value, form.items)
        canonical: dict[str, object] = {"idle_for": form.idle_for or 0, "until": form.until}
        canonical |= {name: condition.test[name] for name in ("stage", "value", "items") if name in condition.test}
        return condition, {"cart": canonical}

    def _sessions(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.SessionsForm, body)
        if form.count.newest_needed >= INTERVALS_MAX:
            raise Wrong(f"{path}.count", f"sessions are counted up to {INTERVALS_MAX - 1}")
        slot = self.facts.want_sessions(form.gap, form.within)
        canonical = {"count": form.count.test, "within": form.within, "gap": form.gap}
        return SessionCount(form.count, form.within, form.gap, slot), {"sessions": canonical}

    # --- who and where from

    def _trait(self, path: str, body: object) -> Parsed:
        assert isinstance(body, dict)
        tests = tuple(self._trait_test(f"{path}.{name}", name, body[name]) for name in sorted(body, key=str))
        return TraitIs(tests), {"trait": {test.name: test.asked for test in tests}}

    def _trait_test(self, path: str, name: object, body: object) -> TraitTest:
        try:
            test, age = asked.trait_test(body)
        except ValueError as error:
            raise Wrong(path + asked.path_of_error(error), str(error)) from None
        if not isinstance(name, str) or not all(path_of(name)):
            raise Wrong(path, "a trait is named by its name, or a dotted one such as address.city")
        slot = bit = date = 0
        if test is not None:
            slot, bit = self.facts.want_trait(path_of(name), test)
        if age is not None:
            slot, date = self.facts.want_date(path_of(name))
        return TraitTest(name, slot, test, bit, age, date)

    def _context(self, path: str, body: object) -> Parsed:
        assert isinstance(body, dict)
        touch = body.get("touch", "last")
        if touch not in ("first", "last"):
            raise Wrong(f"{path}.touch", f"{touch!r} is neither first nor last")
        unknown = [name for name in body if name not in forms.CONTEXT_KEYS]
        names = [name for name in ATTRIBUTES if name in body]
        if unknown or not names:
            said = f"unknown key {unknown[0]}" if unknown else "no attribute is asked for"
            raise Wrong(path, f"{said}; known here: {', '.join(forms.CONTEXT_KEYS)}")
        tests = tuple(self._context_test(f"{path}.{name}", name, body[name], first=touch == "first") for name in names)
        canonical = {test.attribute: test.test.test for test in tests} | {"touch": touch}
        return ContextIs(tests, touch == "first"), {"context": canonical}

    def _context_test(self, path: str, name: str, body: object, *, first: bool) -> ContextTest:
        try:
            test = asked.text_test(body)
        except ValueError as error:
            raise Wrong(path + asked.path_of_error(error), str(error)) from None
        wrong = [one for one in _texts(test) if name == "channel" and one not in CHANNELS]
        if wrong:
            raise Wrong(path, f"{wrong[0]!r} is not a channel; it is one of {', '.join(CHANNELS)}")
        slot, bit = self.facts.want_touch(name, test, first=first)
        return ContextTest(name, test, slot, bit)

    def _in_segment(self, path: str, body: object) -> Parsed:
        if not isinstance(body, str):
            raise Wrong(path, f"expected {FORMS['in_segment']}")
        if body not in self.places:
            near = ", ".join(sorted(self.places)[:10])
            raise Wrong(path, f"there is no segment {body}; segments here are {near}")
        self.named.add(body)
        return InSegment(body, self.places[body]), {"in_segment": body}

    # --- when and by chance

    def _calendar(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.CalendarForm, body)
        if form.between is None and form.weekday is None:
            raise Wrong(path, f"expected {FORMS['calendar']}")
        wrong = form.between and forms.month_day_problem(form.between, form.calendar)
        if wrong:
            raise Wrong(f"{path}.between", wrong)
        try:
            ZoneInfo(form.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Wrong(
                f"{path}.timezone", f"{form.timezone!r} is not a time zone; write one such as Asia/Tehran or UTC"
            ) from None
        self.facts.want_nothing()
        days = OnDays(form.between, form.weekday, form.calendar == "jalali", form.timezone)
        return days, {"calendar": days.test}

    def _sample(self, path: str, body: object) -> Parsed:
        form = self.problems.fill(path, forms.SampleForm, body)
        try:
            percent = asked.micro(form.percent)
        except ValueError as error:
            raise Wrong(f"{path}.percent", str(error)) from None
        if not 0 < percent <= 100 * MICRO:
            raise Wrong(f"{path}.percent", f"{form.percent!r} is not above 0 and at most 100")
        self.facts.want_nothing()
        return Sample(percent, form.salt), {"sample": {"percent": percent / MICRO, "salt": form.salt}}


def _total_test(path: str, form: forms.TotalForm) -> NumberTest:
    bounds: dict[object, object] = {
        name: getattr(form, name) for name in ("at_least", "at_most", "above", "below") if name in form.model_fields_set
    }
    if not bounds:
        raise Wrong(path, "no test; write at_least, at_most, above or below beside agg")
    try:
        test = asked.ends(bounds)
    except ValueError as error:
        raise Wrong(path + asked.path_of_error(error), str(error)) from None
    count = _counted(test)
    if form.agg == "distinct" and count.newest_needed >= DISTINCT_MAX:
        raise Wrong(path, f"different values are counted up to {DISTINCT_MAX - 1}")
    if form.agg == "distinct" and count.at_most is not None and count.at_most < count.at_least:
        raise Wrong(path, "no number of values is in this range")
    return test


def _counted(test: NumberTest) -> Count:
    """A range of numbers as one of counts."""
    low, high = 0, None
    if test.at_least is not None:
        low = -(-test.at_least // MICRO)
    if test.above is not None:
        low = test.above // MICRO + 1
    if test.at_most is not None:
        high = test.at_most // MICRO
    if test.below is not None:
        high = -(-test.below // MICRO) - 1
    return Count(max(0, low), high)


def _texts(test: ValueTest) -> list[str]:
    scalars = [test.equals, *(test.in_ or ()), *(test.not_in or ())]
    return [one for one in scalars if isinstance(one, str)]


def _where(where: Where) -> dict[str, object]:
    return {"where": where.test} if where.tests else {}


def _say(kind: str, message: str, form: type[BaseModel]) -> str:
    known = [field.alias or name for name, field in form.model_fields.items()]
    if kind == "extra_forbidden":
        return f"unknown key; known here: {', '.join(known)}"
    if kind == "missing":
        return f"is missing; expected {_EXAMPLES[form]}"
    if kind == "model_type":
        return f"expected {_EXAMPLES[form]}"
    return message.removeprefix("Value error, ")
