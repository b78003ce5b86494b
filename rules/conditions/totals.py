"""The condition on a sum, average, extreme or number of different values over a window (`total`).

See also `rules.conditions.aggregates` for how it is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rules.conditions.aggregates import Aggregate, Total
from rules.conditions.base import ConditionKind, Parsed, Scope
from rules.conditions.event_choice import canonical_where, orders_and_others
from rules.currencies import MONEY
from rules.due_times import Count
from rules.facts.contributions import DISTINCT_MAX, DistinctFact, ExtremeFact, SumFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter, PropertyReader
from rules.forms import description, value_test_parsing
from rules.forms.description import Canonical
from rules.forms.form import Duration, EventForm, Form, NumberEnd, Property
from rules.forms.json_schema import Schema, form_schema
from rules.forms.problems import Problems, WrongCondition
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import beside, events, observed_of, window
from rules.number_text import MICRO
from rules.profile.order_fold import TOTAL as ORDER_TOTAL
from rules.reasons import Reason, TotalShown
from rules.value_tests import ENDS, NumberTest
from rules.values import path_of


class TotalForm(EventForm):
    example: ClassVar = "{agg: sum, of: total, event: Order Completed, within: 365d, at_least: 1000}"

    agg: Aggregate
    of: Property
    within: Duration | None = None
    at_least: NumberEnd = None
    at_most: NumberEnd = None
    above: NumberEnd = None
    below: NumberEnd = None


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    """Read the body of ``total``. Orders are added up from their own fact, other events from one of contributions."""
    condition, canonical = _total(scope, path, scope.problems.fill(path, TotalForm, body))
    return condition, {"total": canonical}


def total_without_test(scope: Scope, path: str, body: Mapping[str, object], why: str) -> tuple[Total, Canonical]:
    """Read the body of a ``total`` whose value alone is asked for; ``why``: of that. Raises `WrongCondition`."""
    if tests := [name for name in ENDS if name in body]:
        raise WrongCondition(f"{path}.{tests[0]}", why, "leave the test out")
    total, canonical = _total(scope, path, scope.problems.fill(path, TotalForm, {**body, "at_least": 0}))
    return total, {name: value for name, value in canonical.items() if name not in ENDS}


def total_schema_without_test() -> Schema:
    """The JSON Schema of what `total_without_test` reads."""
    schema = form_schema(TotalForm)
    return {**schema, "properties": {key: each for key, each in schema["properties"].items() if key not in ENDS}}


def _total(scope: Scope, path: str, form: TotalForm) -> tuple[Total, Canonical]:
    of_orders, others = orders_and_others(path, form.event)
    test = _test_of(scope.problems, path, form)
    money = form.of in MONEY
    if money and scope.currency is None:
        raise WrongCondition(f"{path}.of", "money is added up in one currency", "write currency: EUR at the file's top")
    added_up = scope.currency if money else None
    picked = EventFilter.of(form.where, scope.currency, added_up)
    view, place = None, ORDER_TOTAL
    if of_orders:
        view = OrderFact.require_view(scope.facts, picked, form.within)
    if of_orders and form.of != "total":
        place = OrderFact.require_property(scope.facts, _reader(form, added_up))
    slot = _slot(scope, form, picked, others, _reader(form, added_up)) if others else None
    condition = Total(
        form.agg, form.of, form.event, form.where, form.within, test, count_of(test), view, place, slot,
        scope.currency,
    )  # fmt: skip
    canonical = {"agg": form.agg, "of": form.of, "event": form.event, "within": form.within, **test.test}
    return condition, canonical | canonical_where(form.where)


def _reader(form: TotalForm, currency: str | None) -> PropertyReader:
    return PropertyReader(path_of(form.of), form.agg == "distinct", currency=currency)


def _slot(scope: Scope, form: TotalForm, picked: EventFilter, others: frozenset[str], reader: PropertyReader) -> int:
    """The slot of the profile for contributions of events other than orders."""
    within = form.within
    if form.agg in ("sum", "avg"):
        return scope.facts.require(SumFact(others, picked, reader, within)).slot
    if form.agg == "distinct":
        return scope.facts.require(DistinctFact(others, picked, reader, within)).slot
    return scope.facts.require(ExtremeFact(others, picked, reader, within, form.agg == "max")).slot


def range_of(problems: Problems, path: str, form: Form, place: str) -> NumberTest:
    """The range that the ends of a form are; ``place``: where they stand. Raises `WrongCondition`."""
    bounds: dict[object, object] = {name: getattr(form, name) for name in ENDS if name in form.model_fields_set}
    if not bounds:
        raise WrongCondition(path, "no test", f"write at_least, at_most, above or below {place}")
    return problems.read(path, value_test_parsing.ends, bounds)


def _test_of(problems: Problems, path: str, form: TotalForm) -> NumberTest:
    test = range_of(problems, path, form, "beside agg")
    count = count_of(test)
    if form.agg == "distinct" and count.newest_needed >= DISTINCT_MAX:
        raise WrongCondition(path, f"different values are counted up to {DISTINCT_MAX - 1}")
    if form.agg == "distinct" and count.at_most is not None and count.at_most < count.at_least:
        raise WrongCondition(path, "no number of values is in this range")
    return test


def count_of(test: NumberTest) -> Count:
    """Convert a range of numbers to one of counts."""
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


_AGGREGATE_WORDS = {
    "sum": "sum", "avg": "average", "min": "least", "max": "greatest", "distinct": "number of different values",
}  # fmt: skip


def describe_total(form: Canonical) -> str:
    """A total without its test."""
    return f"{_AGGREGATE_WORDS[form['agg']]} of {form['of']} of {description.events(form)}{description.window(form)}"


def _describe(form: Canonical) -> str:
    return f"{describe_total(form)} is {description.range_of(form)}"


def _phrase(lang: Language, reason: Reason) -> str:
    text = phrase_total(lang, reason, observed_of(reason).value, reason.cut)
    money = reason.of in MONEY and reason.agg != "distinct"
    return beside(lang, text, value_tests.numbers(lang, reason.test or {}, money=money))


def phrase_total(
    lang: Language, total: Reason | TotalShown, value: float | None, cut: Mapping[str, int] | None, place: str = ""
) -> str:
    """Write a total and its value; ``cut`` and ``place``: see `rules.languages.parts.events`."""
    is_money = total.of in MONEY and total.agg != "distinct"
    of, event = lang.name(total.of), events(lang, total, cut, place)
    within = window(lang, total.within, "so_far")
    written = "" if value is None else lang.amount(value) if is_money else lang.number(value)
    if total.agg == "distinct":
        return lang.say("distinct_values", value or 0, value=written, of=of, event=event, window=within)
    agg = lang.say(total.agg or "", of=of)
    if value is None:
        return lang.say("total_of_nothing", agg=agg, of=of, event=event, window=within)
    return lang.say("total", agg=agg, event=event, window=within, value=written)


TOTAL = ConditionKind(
    "total",
    TotalForm.example,
    form_schema(TotalForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "total": "the {agg} over {event} {window} is {value}",
            "total_of_nothing": "no {of} over {event} {window}, so no {agg}",
            "distinct_values": (
                "{value} different value of {of} over {event} {window}",
                "{value} different values of {of} over {event} {window}",
            ),
            "sum": "sum of {of}",
            "avg": "average {of}",
            "min": "lowest {of}",
            "max": "highest {of}",
        },
        "fa": {
            "total": "{agg} رویدادهای {event} {window} {value} است",
            "total_of_nothing": "رویدادهای {event} {window} {of} نداشته‌اند، پس {agg} هم در کار نیست",
            "distinct_values": "{of} در رویدادهای {event} {window} {value} مقدار متفاوت داشته است",
            "sum": "مجموع {of}",
            "avg": "میانگین {of}",
            "min": "کمترین {of}",
            "max": "بیشترین {of}",
        },
    },
)
