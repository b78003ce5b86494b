"""Conditions over events and orders: `performed`, `total`, `first`, `last`, `sequence`."""

from __future__ import annotations

from rules.conditions import Ago, Count, Performed, Recency, SequenceMatched, SequenceStep, Total
from rules.definitions import forms, value_test_parsing
from rules.definitions.problems import Parsed, Problems, Scope, WrongCondition
from rules.events import MONEY, ORDER_COMPLETED, WITHOUT_EFFECT
from rules.facts import (
    DISTINCT_MAX,
    DistinctFact,
    EventFilter,
    ExtremeFact,
    FirstFact,
    OccurrenceFact,
    OrderFact,
    PropertyReader,
    StepFact,
    SumFact,
)
from rules.profile.orders import MESSAGES_MAX, TOTAL
from rules.value_tests import ENDS, NumberTest, PropertyTests
from rules.values import MICRO, path_of

# An order takes up to four messages (completed, two refunds, cancelled) of those that are kept.
ORDERS_MAX = MESSAGES_MAX // 4


def performed(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.PerformedForm, body)
    of_orders, others = _events(path, form.event)
    keep = form.count.newest_needed + 1
    if of_orders and keep > ORDERS_MAX:
        most = f"at_least goes up to {ORDERS_MAX - 1}, at_most and exactly up to {ORDERS_MAX - 2}"
        raise WrongCondition(f"{path}.count", f"for orders {most}")
    picked = EventFilter(form.where)
    view = OrderFact.require_view(scope.facts, picked, form.within) if of_orders else None
    slot = scope.facts.require(OccurrenceFact(others, picked, form.within, keep)).slot if others else None
    canonical = {"event": form.event, "count": form.count.test, "within": form.within} | _where(form.where)
    condition = Performed(form.event, form.where, form.count, form.within, view, slot)
    return condition, {"performed": canonical}


def total(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.TotalForm, body)
    of_orders, others = _events(path, form.event)
    test = _total_test(scope.problems, path, form)
    money = form.of in MONEY
    if money and scope.currency is None:
        raise WrongCondition(f"{path}.of", "money is added up in one currency; write currency: EUR at the file's top")
    picked = EventFilter(form.where, scope.currency if money else None)
    total = _kept_total(scope, form, picked, test, of_orders, others)
    canonical = {"agg": form.agg, "of": form.of, "event": form.event, "within": form.within, **test.test}
    return total, {"total": canonical | _where(form.where)}


def _kept_total(
    scope: Scope, form: forms.TotalForm, picked: EventFilter, test: NumberTest, of_orders: bool, others: frozenset[str]
) -> Total:
    reading = PropertyReader(path_of(form.of), form.agg == "distinct")
    view = OrderFact.require_view(scope.facts, picked, form.within) if of_orders else None
    place = TOTAL
    if of_orders and form.of != "total":
        place = OrderFact.require_property(scope.facts, reading)
    slot = None
    if others and form.agg in ("sum", "avg"):
        slot = scope.facts.require(SumFact(others, picked, reading, form.within)).slot
    elif others and form.agg == "distinct":
        slot = scope.facts.require(DistinctFact(others, picked, reading, form.within)).slot
    elif others:
        slot = scope.facts.require(ExtremeFact(others, picked, reading, form.within, form.agg == "max")).slot
    count = _counted(test)
    return Total(form.agg, form.of, form.event, form.where, form.within, test, count, view, place, slot)


def last(scope: Scope, path: str, body: object) -> Parsed:
    return _moment(scope, path, body, first=False)


def first(scope: Scope, path: str, body: object) -> Parsed:
    return _moment(scope, path, body, first=True)


def _moment(scope: Scope, path: str, body: object, *, first: bool) -> Parsed:
    form = scope.problems.fill(path, forms.MomentForm, body)
    of_orders, others = _events(path, form.event)
    picked = EventFilter(form.where)
    view = OrderFact.require_view(scope.facts, picked, None) if of_orders else None
    slot = None
    if others and first:
        slot = scope.facts.require(FirstFact(others, picked)).slot
    elif others:
        slot = scope.facts.require(OccurrenceFact(others, picked, None, 1)).slot
    canonical = {"event": form.event, "ago": form.ago.test} | _where(form.where)
    moment = Recency(first, form.event, form.where, form.ago, view, slot)
    return moment, {"first" if first else "last": canonical}


def sequence(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.SequenceForm, body)
    names = [_events(f"{path}.steps[{at}]", step.event) for at, step in enumerate(form.steps)]
    same = None if form.same is None else path_of(form.same)
    steps = tuple(
        SequenceStep(
            step.event,
            step.where,
            OrderFact.require_view(scope.facts, EventFilter(step.where), form.within) if of_orders else None,
        )
        for step, (of_orders, _) in zip(form.steps, names, strict=True)
    )
    of_orders = any(of_orders for of_orders, _ in names)
    place = (
        OrderFact.require_property(scope.facts, PropertyReader(same, distinct=True)) if of_orders and same else TOTAL
    )
    asked_steps = tuple((others, EventFilter(step.where)) for step, (_, others) in zip(form.steps, names, strict=True))
    kept = any(others for others, _ in asked_steps)
    slot = scope.facts.require(StepFact.of(asked_steps, same, form.within, thin=not of_orders)).slot if kept else None
    canonical = [{"event": step.event} | _where(step.where) for step in form.steps]
    told = {"steps": canonical, "within": form.within} | ({} if form.same is None else {"same": form.same})
    return SequenceMatched(steps, Ago(at_most=form.within), form.same, place, slot), {"sequence": told}


def _events(path: str, events: tuple[str, ...]) -> tuple[bool, frozenset[str]]:
    """Whether orders are meant, and the other names."""
    idle = [name for name in events if name in WITHOUT_EFFECT]
    if idle:
        raise WrongCondition(f"{path}.event", f"{idle[0]} is accepted without effect; nothing can be asked of it")
    return ORDER_COMPLETED in events, frozenset(events) - {ORDER_COMPLETED}


def _total_test(problems: Problems, path: str, form: forms.TotalForm) -> NumberTest:
    bounds: dict[object, object] = {name: getattr(form, name) for name in ENDS if name in form.model_fields_set}
    if not bounds:
        raise WrongCondition(path, "no test; write at_least, at_most, above or below beside agg")
    test = problems.read(path, value_test_parsing.ends, bounds)
    count = _counted(test)
    if form.agg == "distinct" and count.newest_needed >= DISTINCT_MAX:
        raise WrongCondition(path, f"different values are counted up to {DISTINCT_MAX - 1}")
    if form.agg == "distinct" and count.at_most is not None and count.at_most < count.at_least:
        raise WrongCondition(path, "no number of values is in this range")
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


def _where(where: PropertyTests) -> dict[str, object]:
    return {"where": where.test} if where.tests else {}
