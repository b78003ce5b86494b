"""The condition on the ratio of two totals (`ratio`): the share of refunds, or this month beside the months before.

    ratio: {of: {agg: sum, of: total, event: Order Refunded}, to: {agg: sum, …}, above: 0.5}

It holds while both have a value, the second is above 0, and the exact ratio is in the range.

See also: `rules.conditions.aggregates`, which decides a total alone.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from pydantic import BeforeValidator

from rules.conditions.aggregates import ExactTotal, Total
from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.totals import (
    describe_total,
    phrase_total,
    range_of,
    total_schema_without_test,
    total_without_test,
)
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import Form, NumberEnd
from rules.forms.json_schema import Schema, form_schema
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import judged, observed_of
from rules.number_text import MICRO
from rules.reasons import Observed, Reason, TotalShown
from rules.value_tests import NumberTest
from rules.values import shown_number


class RatioOfTotals(msgspec.Struct, frozen=True):
    """The ratio of two totals lies in a range. ``shown_of`` and ``shown_to``: the totals as a reason has them."""

    of: Total
    to: Total
    test: NumberTest
    shown_of: TotalShown
    shown_to: TotalShown

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        of, to = self.of.over_time(customer), self.to.over_time(customer)
        holds = self._holds(_ratio(of.at(now), to.at(now)))
        for instant in sorted({*of.leaving, *to.leaving}):
            if instant > now and self._holds(_ratio(of.at(instant), to.at(instant))) != holds:
                return holds, instant
        return holds, NEVER

    def _holds(self, ratio: ExactTotal | None) -> bool:
        return ratio is not None and self.test.meets(MICRO * ratio[0], per=ratio[1])

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, due = self.decide(customer, now)
        ratio = _ratio(self.of.over_time(customer).at(now), self.to.over_time(customer).at(now))
        of, to = self.of.value(customer, now), self.to.value(customer, now)
        observed = Observed(
            value=None if ratio is None else shown_number(MICRO * ratio[0] // ratio[1]),
            of=None if of is None else shown_number(of),
            to=None if to is None else shown_number(to),
        )
        totals = [self.shown_of, self.shown_to]
        return Reason(holds, condition="ratio", observed=observed, test=self.test.test, until=until(due), totals=totals)


def _ratio(of: ExactTotal | None, to: ExactTotal | None) -> ExactTotal | None:
    """The ratio as a fraction; ``None`` if there is none."""
    if of is None or to is None or to[0] <= 0:
        return None
    return of[0] * to[1], of[1] * to[0]


def _total_body(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"expected a total without its test, such as {_TOTAL_EXAMPLE}")  # noqa: TRY004 (as all forms)
    return value


_TOTAL_EXAMPLE = "{agg: sum, of: total, event: Order Completed}"
TotalBody = Annotated[dict[str, object], BeforeValidator(_total_body)]


class RatioForm(Form):
    example: ClassVar = (
        "{of: {agg: sum, of: total, event: Order Refunded}, to: {agg: sum, of: total, event: Order Completed}, "
        "above: 0.5}"
    )

    of: TotalBody
    to: TotalBody
    at_least: NumberEnd = None
    at_most: NumberEnd = None
    above: NumberEnd = None
    below: NumberEnd = None


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, RatioForm, body)
    test = range_of(scope.problems, path, form, "beside of and to")
    of, canonical_of = total_without_test(scope, f"{path}.of", form.of, "the ratio is tested, not its parts")
    to, canonical_to = total_without_test(scope, f"{path}.to", form.to, "the ratio is tested, not its parts")
    condition = RatioOfTotals(of, to, test, of.shown, to.shown)
    return condition, {"ratio": {"of": canonical_of, "to": canonical_to, **test.test}}


def _describe(form: Canonical) -> str:
    of, to = describe_total(form["of"]), describe_total(form["to"])
    return f"the ratio of the {of} to the {to} is {description.range_of(form)}"


def _phrase(lang: Language, reason: Reason) -> str:
    observed, totals = observed_of(reason), reason.totals or []
    values = (observed.of, observed.to)
    parts = [
        phrase_total(lang, total, value, reason.cut, f"/totals/{place}")
        for place, (total, value) in enumerate(zip(totals, values, strict=False))
        if total.event  # a reason that was cut may have less of it
    ]
    if observed.value is not None:
        parts.append(lang.say("ratio_is", ratio=lang.number(observed.value)))
    text = lang.say("semicolon").join(parts) or lang.say("no_ratio")
    return judged(lang, reason, text, lang.say("ratio_asked", range=value_tests.numbers(lang, reason.test or {})))


def _schema() -> Schema:
    ratio, total = form_schema(RatioForm), total_schema_without_test()
    return {**ratio, "properties": {**ratio["properties"], "of": total, "to": total}}


RATIO = ConditionKind(
    "ratio",
    RatioForm.example,
    _schema(),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "ratio_is": "the ratio is {ratio}",
            "no_ratio": "there is no ratio",
            "ratio_asked": "a ratio of {range}",
        },
        "fa": {"ratio_is": "نسبت {ratio} است", "no_ratio": "نسبتی در کار نیست", "ratio_asked": "نسبت {range}"},
    },
)
