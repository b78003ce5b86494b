"""The condition on steps that follow one another within a window (`sequence`), a pattern of Flink CEP.

The walk over the stored steps is `rules.profile.steps.latest_start`. No step can require that an event does not follow:
a segment requires that beside the sequence, by `not` and `performed`, or by `last` with `ago`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from pydantic import Field, WithJsonSchema

from rules.conditions.base import ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_choice import canonical_where, orders_and_others, shown_choice
from rules.due_times import AgeRange
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter, PropertyReader
from rules.facts.steps import StepFact
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import Duration, EventForm, Form, Property
from rules.forms.json_schema import form_schema
from rules.languages.language import Language
from rules.languages.parts import beside, events, observed_of
from rules.profile.order_fold import TOTAL
from rules.profile.steps import StepEntry, latest_start
from rules.reasons import Observed, Reason, StepAsked
from rules.times import format_duration, format_instant
from rules.value_tests import PropertyTests
from rules.values import path_of

STEPS_MAX = 10


class SequenceStep(msgspec.Struct, frozen=True):
    """One step. ``view``: where it names Order Completed, the number of the orders' view that marks its orders."""

    events: tuple[str, ...]
    where: PropertyTests
    view: int | None

    @property
    def shown(self) -> StepAsked:
        """The step as a reason has it."""
        return StepAsked(**shown_choice(self.events, self.where))


class SequenceMatched(msgspec.Struct, frozen=True):
    """All steps happened in their order, by (time, message id), and within the window.

    ``same``: the property whose value all steps share; ``place``: its index among the values that an order keeps.
    ``slot``: where the profile has the steps that are no orders; ``None``: all of them are orders.
    """

    steps: tuple[SequenceStep, ...]
    ago: AgeRange
    same: str | None
    place: int
    slot: int | None

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return self.ago.decide_fact(self._start(customer), now)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        start = self._start(customer)
        holds, due = self.ago.decide_fact(start, now)
        return Reason(
            holds,
            condition="sequence",
            observed=Observed(first_at=format_instant(start) if start else None),
            test={},
            until=until(due),
            within=None if self.ago.at_most is None else format_duration(self.ago.at_most),
            steps=[step.shown for step in self.steps],
            same=self.same,
        )

    def _start(self, customer: CustomerView) -> int:
        entries = [] if self.slot is None else customer.profile.steps[self.slot]
        of_orders = self._of_orders(customer)
        return latest_start(sorted(entries + of_orders) if of_orders else entries, len(self.steps))

    def _of_orders(self, customer: CustomerView) -> list[StepEntry]:
        views = [(1 << index, step.view) for index, step in enumerate(self.steps) if step.view is not None]
        if not views:
            return []
        entries: list[StepEntry] = []
        for order in customer.standing:
            mask = sum(bit for bit, view in views if order.views >> view & 1)
            if mask:
                values = (0,) if self.same is None else order.content.values[self.place - 1]
                entries += [(order.time, order.start.id, mask, value) for value in values]
        return entries


class StepForm(EventForm):
    example: ClassVar = "{event: Product Viewed}"


_STEPS_SCHEMA = {"type": "array", "items": form_schema(StepForm), "minItems": 2, "maxItems": STEPS_MAX}


class SequenceForm(Form):
    example: ClassVar = "{steps: [{event: Product Viewed}, {event: Product Added}], within: 1h}"

    steps: Annotated[list[StepForm], Field(min_length=2, max_length=STEPS_MAX), WithJsonSchema(_STEPS_SCHEMA)]
    within: Duration | None = None
    same: Property | None = None


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    """Read the body of ``sequence``. Orders come from their own fact, events of all other steps from one fact."""
    form = scope.problems.fill(path, SequenceForm, body)
    names = [orders_and_others(f"{path}.steps[{index}]", step.event) for index, step in enumerate(form.steps)]
    steps = tuple(
        _step(scope, step, form.within, of_orders=of_orders)
        for step, (of_orders, _) in zip(form.steps, names, strict=True)
    )
    same = None if form.same is None else path_of(form.same)
    of_orders = any(of_orders for of_orders, _ in names)
    place = TOTAL
    if of_orders and same:
        place = OrderFact.require_property(scope.facts, PropertyReader(same, distinct=True, as_stated=True))
    chosen = tuple(
        (others, EventFilter.of(step.where, scope.currency))
        for step, (_, others) in zip(form.steps, names, strict=True)
    )
    slot = None
    # Where orders are steps, too, no entry may be thinned out: an order may lie between (`rules.profile.steps`).
    if any(others for others, _ in chosen):
        slot = scope.facts.require(StepFact.of(chosen, same, form.within, thin=not of_orders)).slot
    canonical = {"steps": [{"event": step.event} | canonical_where(step.where) for step in form.steps]}
    canonical_same = {} if form.same is None else {"same": form.same}
    condition = SequenceMatched(steps, AgeRange(at_most=form.within), form.same, place, slot)
    return condition, {"sequence": canonical | {"within": form.within} | canonical_same}


def _step(scope: Scope, step: StepForm, within: int | None, *, of_orders: bool) -> SequenceStep:
    view = (
        OrderFact.require_view(scope.facts, EventFilter.of(step.where, scope.currency), within) if of_orders else None
    )
    return SequenceStep(step.event, step.where, view)


def _describe(form: Canonical) -> str:
    same = f", all with the same {form['same']}" if "same" in form else ""
    return ", then ".join(map(description.events, form["steps"])) + same + description.window(form)


def _phrase(lang: Language, reason: Reason) -> str:
    steps = lang.say("then").join(
        events(lang, step, reason.cut, f"/steps/{index}") for index, step in enumerate(reason.steps or ())
    )
    if reason.same is not None:
        steps = lang.say("same", steps=steps, of=lang.name(reason.same))
    first_at = observed_of(reason).first_at
    if first_at is None:
        text = lang.say("not_in_order", steps=steps)
    else:
        text = lang.say("begun", steps=steps, at=lang.name(first_at))
    if first_at is not None and not reason.holds:
        text = lang.say("too_old", observed=text, time=lang.duration(reason.within))
    test = lang.duration(reason.within, "all_within") if reason.within else lang.say("any_time")
    return beside(lang, text, test)


SEQUENCE = ConditionKind(
    "sequence",
    SequenceForm.example,
    form_schema(SequenceForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "then": ", then ",
            "same": "{steps}, of the same {of}",
            "not_in_order": "{steps}: not seen in this order",
            "begun": "{steps}: last begun at {at}",
            "all_within": "all within {number} {unit}",
        },
        "fa": {
            "then": "، سپس ",
            "same": "{steps}، با {of} یکسان",
            "not_in_order": "{steps}: به این ترتیب دیده نشده است",
            "begun": "{steps}: آخرین بار در {at} آغاز شده است",
            "all_within": "همه در {number} {linked} گذشته",
        },
    },
)
