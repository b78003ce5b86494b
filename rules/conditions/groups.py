"""Groups: `all`, `any` and `not` over conditions."""

from __future__ import annotations

import msgspec

from rules.conditions.base import NEVER, Condition, Decision, Subject
from rules.reasons import Reason


class AllOf(msgspec.Struct, frozen=True):
    """Every member holds. While one fails, it cannot hold before each failing member turned."""

    members: tuple[Condition, ...]

    def decide(self, who: Subject, now: int) -> Decision:
        return _combine(self.members, who, now, turned_by=False)

    def reason(self, who: Subject, now: int) -> Reason:
        return Reason(self.decide(who, now)[0], all=[m.reason(who, now) for m in self.members])


class AnyOf(msgspec.Struct, frozen=True):
    """A member holds. While one holds, it cannot fail before each holding member turned."""

    members: tuple[Condition, ...]

    def decide(self, who: Subject, now: int) -> Decision:
        return _combine(self.members, who, now, turned_by=True)

    def reason(self, who: Subject, now: int) -> Reason:
        return Reason(self.decide(who, now)[0], any=[m.reason(who, now) for m in self.members])


class NoneOf(msgspec.Struct, frozen=True):
    """No member holds."""

    members: tuple[Condition, ...]

    def decide(self, who: Subject, now: int) -> Decision:
        holding, due = _combine(self.members, who, now, turned_by=True)
        return not holding, due

    def reason(self, who: Subject, now: int) -> Reason:
        return Reason(self.decide(who, now)[0], not_=[m.reason(who, now) for m in self.members])


def _combine(members: tuple[Condition, ...], who: Subject, now: int, *, turned_by: bool) -> Decision:
    """One member that answers ``turned_by`` makes that the answer of all.

    While some do, the answer stays until the last of them has turned; while none does, it may
    turn with the first member. So a due time is never too late, and seldom for nothing.
    """
    first = last = NEVER
    decided = False
    for member in members:
        answer, due = member.decide(who, now)
        if answer == turned_by:
            if due == NEVER:
                return turned_by, NEVER  # only an event can turn it, so the others do not matter
            decided = True
            last = max(last, due)
        elif due and (first == NEVER or due < first):
            first = due
    return (turned_by, last) if decided else (not turned_by, first)
