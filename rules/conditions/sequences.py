"""Sequences: steps that follow one another within a window (`sequence`)."""

from __future__ import annotations

import msgspec

from rules.conditions.base import CustomerView, Decision, shown_events, until
from rules.conditions.recency import Ago
from rules.profile.steps import Entry, latest_start
from rules.reasons import Observed, Reason, StepAsked
from rules.times import format_duration, format_instant
from rules.value_tests import PropertyTests


class SequenceStep(msgspec.Struct, frozen=True):
    """One step. ``view``: of orders, where Order Completed is named."""

    events: tuple[str, ...]
    where: PropertyTests
    view: int | None


class SequenceMatched(msgspec.Struct, frozen=True):
    """All steps in their order, by (time, message id), so long ago that all are in the window.

    ``same``: the property whose value all steps share, and ``place`` where orders have it.
    """

    steps: tuple[SequenceStep, ...]
    ago: Ago
    same: str | None
    place: int
    slot: int | None

    def decide(self, who: CustomerView, now: int) -> Decision:
        return self.ago.decide_known(self._start(who), now)

    def reason(self, who: CustomerView, now: int) -> Reason:
        start = self._start(who)
        holding, due = self.ago.decide_known(start, now)
        asked = [StepAsked(shown_events(step.events), step.where.test or None) for step in self.steps]
        return Reason(
            holding,
            condition="sequence",
            observed=Observed(first_at=format_instant(start) if start else None),
            test={},
            until=until(due),
            within=None if self.ago.at_most is None else format_duration(self.ago.at_most),
            steps=asked,
            same=self.same,
        )

    def _start(self, who: CustomerView) -> int:
        kept = [] if self.slot is None else who.profile.steps[self.slot]
        of_orders = self._of_orders(who)
        return latest_start(sorted(kept + of_orders) if of_orders else kept, len(self.steps))

    def _of_orders(self, who: CustomerView) -> list[Entry]:
        asked = [(1 << at, step.view) for at, step in enumerate(self.steps) if step.view is not None]
        if not asked:
            return []
        found: list[Entry] = []
        for order in who.standing:
            completion = order.completion
            mask = sum(bit for bit, view in asked if completion.views >> view & 1)
            if mask:
                values = (0,) if self.same is None else completion.values[self.place - 1]
                found += [(completion.time, completion.id, mask, value) for value in values]
        return found
