"""Groups of conditions: `all`, `any` and `not`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from rules.conditions.base import NEVER, Condition, CustomerView, TimedDecision
from rules.forms.json_schema import Schema, reference
from rules.reasons import Reason


class AllOf(msgspec.Struct, frozen=True):
    """A group that holds if every member does. It cannot begin to hold before each failing member has turned."""

    members: tuple[Condition, ...]

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return combined((member.decide(customer, now) for member in self.members), turned_by=False)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        members = [member.reason(customer, now) for member in self.members]
        return Reason(all(member.holds for member in members), all=members)


class AnyOf(msgspec.Struct, frozen=True):
    """A group that holds if a member does. It cannot begin to fail before each holding member has turned."""

    members: tuple[Condition, ...]

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return combined((member.decide(customer, now) for member in self.members), turned_by=True)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        members = [member.reason(customer, now) for member in self.members]
        return Reason(any(member.holds for member in members), any=members)


class NoneOf(msgspec.Struct, frozen=True):
    """A group that holds if no member does."""

    members: tuple[Condition, ...]

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        holds, due = combined((member.decide(customer, now) for member in self.members), turned_by=True)
        return not holds, due

    def reason(self, customer: CustomerView, now: int) -> Reason:
        members = [member.reason(customer, now) for member in self.members]
        return Reason(not any(member.holds for member in members), not_=members)


def combined(decisions: Iterable[TimedDecision], *, turned_by: bool) -> TimedDecision:
    """Combine decisions: a single one that is ``turned_by`` makes that the answer of all.

    While some members are ``turned_by``, the answer stays until the last of them has turned; while none is, it may turn
    with the first member. So a due time is never too late, and seldom without an effect.
    """
    first = last = NEVER
    decided = False
    for answer, due in decisions:
        if answer == turned_by:
            if due == NEVER:
                return turned_by, NEVER  # only an event can turn it, so the others do not matter
            decided = True
            last = max(last, due)
        elif due and (first == NEVER or due < first):
            first = due
    return (turned_by, last) if decided else (not turned_by, first)


class GroupKind(NamedTuple):
    """A kind of group. The walks over whole conditions read, describe and phrase its members."""

    key: str
    example: str
    schema: Schema
    make: Callable[[tuple[Condition, ...]], Condition]


_MEMBERS: Schema = {"type": "array", "items": reference("condition"), "minItems": 1}

GROUP_KINDS = (
    GroupKind("all", "a list of conditions", _MEMBERS, AllOf),
    GroupKind("any", "a list of conditions", _MEMBERS, AnyOf),
    GroupKind("not", "a condition or a list of conditions", {"anyOf": [reference("condition"), _MEMBERS]}, NoneOf),
)
