"""Conditions: frozen predicates over a profile at an instant.

The one rule: `decide` is a pure function of (profile, now), where no fact of the profile is
later than now. It gives whether the condition holds and the earliest later instant at which time
alone may turn that, `NEVER` when only an event can.

| condition   | holds                                                   | turned by time                 |
|-------------|---------------------------------------------------------|--------------------------------|
| `all`       | every member holds                                      | by the first member to fail    |
| `any`       | a member holds                                          | by the first member to hold    |
| `not`       | no member holds                                         | as `any`                       |
| `performed` | the count in (now - within, now] fits                   | when a fact leaves the window  |
| `sessions`  | the count of sessions begun in the window fits          | when a start leaves the window |
| `cart`      | not empty, now in [touched + idle_for, touched + until) | at both ends                   |
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

import msgspec

from rules import cart, orders
from rules.events import ACTIVITY_NAMES, CART_NAMES, ORDER_COMPLETED, ORDER_NAMES
from rules.profile import Profile
from rules.reasons import Observed, Reason
from rules.times import format_duration, format_instant

NEVER = 0  # no event is from before the year 2000

Decision = tuple[bool, int]


class Condition(Protocol):
    """What every condition answers."""

    def decide(self, profile: Profile, now: int) -> Decision:
        """Whether it holds, and the next due time; both from one look, as both are always needed."""

    def reason(self, profile: Profile, now: int) -> Reason:
        """What was observed beside what was asked."""

    @property
    def names(self) -> frozenset[str]:
        """The event names that can turn it."""


def holds(condition: Condition, profile: Profile, now: int) -> bool:
    """Whether the condition holds at ``now``."""
    return condition.decide(profile, now)[0]


def due_at(condition: Condition, profile: Profile, now: int) -> int | None:
    """The earliest instant after ``now`` at which time alone may turn it."""
    return condition.decide(profile, now)[1] or None


class Count(msgspec.Struct, frozen=True):
    """How many are asked for, both ends included; ``at_most`` ``None``: no upper end."""

    at_least: int = 0
    at_most: int | None = None

    def decide(self, times: Sequence[int], within: int | None, now: int) -> Decision:
        """For facts at these ascending times, each of which counts for [time, time + within)."""
        outside = 0 if within is None else bisect_right(times, now - within)
        inside = len(times) - outside
        if self.at_most is not None and inside > self.at_most:
            return False, NEVER if within is None else times[-self.at_most - 1] + within
        if inside < self.at_least:
            return False, NEVER
        if within is None or not self.at_least:
            return True, NEVER
        return True, times[-self.at_least] + within

    @property
    def newest_needed(self) -> int:
        """So many of the newest facts decide this count and its due time."""
        return max(self.at_least, 0 if self.at_most is None else self.at_most + 1)

    @property
    def test(self) -> dict[str, int | str]:
        """As it stands in a definition."""
        if self.at_most is None:
            return {"at_least": self.at_least}
        if self.at_least == self.at_most:
            return {"exactly": self.at_least}
        ends: dict[str, int | str] = {"at_least": self.at_least} if self.at_least else {}
        return {**ends, "at_most": self.at_most}


class Performed(msgspec.Struct, frozen=True):
    """So many of these events, or orders, in the window (ms; ``None``: ever).

    ``orders``: Order Completed is named, which means orders. ``slot``: where the other events
    are kept; ``None`` when there are none.
    """

    events: tuple[str, ...]
    count: Count
    within: int | None
    orders: bool
    slot: int | None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.events) | (ORDER_NAMES if self.orders else frozenset())

    def _times(self, profile: Profile) -> Sequence[int]:
        if self.slot is None:
            return orders.completions(profile.orders)
        times = [time for time, _ in profile.occurrences[self.slot]]
        return sorted(times + orders.completions(profile.orders)) if self.orders else times

    def decide(self, profile: Profile, now: int) -> Decision:
        return self.count.decide(self._times(profile), self.within, now)

    def reason(self, profile: Profile, now: int) -> Reason:
        times = self._times(profile)
        holding, due = self.count.decide(times, self.within, now)
        return Reason(
            holding,
            condition="performed",
            observed=_seen(times, self.within, now, None if self.slot is None else self.count.newest_needed),
            test=self.count.test,
            until=_until(due),
            event=self.events[0] if len(self.events) == 1 else self.events,
            within=None if self.within is None else format_duration(self.within),
        )


class SessionCount(msgspec.Struct, frozen=True):
    """So many sessions begun in the window; times in ms."""

    count: Count
    within: int
    gap: int
    slot: int

    @property
    def names(self) -> frozenset[str]:
        return ACTIVITY_NAMES

    def _starts(self, profile: Profile) -> Sequence[int]:
        return [start for start, _ in profile.sessions[self.slot]]

    def decide(self, profile: Profile, now: int) -> Decision:
        return self.count.decide(self._starts(profile), self.within, now)

    def reason(self, profile: Profile, now: int) -> Reason:
        starts = self._starts(profile)
        holding, due = self.count.decide(starts, self.within, now)
        return Reason(
            holding,
            condition="sessions",
            observed=_seen(starts, self.within, now),
            test=self.count.test,
            until=_until(due),
            within=format_duration(self.within),
            gap=format_duration(self.gap),
        )


class OpenCart(msgspec.Struct, frozen=True):
    """A cart with something in it, last touched from ``idle_for`` to ``until`` ago (ms)."""

    idle_for: int
    until: int | None

    @property
    def names(self) -> frozenset[str]:
        return CART_NAMES | {ORDER_COMPLETED}

    def decide(self, profile: Profile, now: int) -> Decision:
        held = profile.cart
        if held is None or not held.touched or not cart.contents(held.lines):
            return False, NEVER
        opens = held.touched + self.idle_for
        if now < opens:
            return False, opens
        if self.until is None:
            return True, NEVER
        closes = held.touched + self.until
        return (True, closes) if now < closes else (False, NEVER)

    def reason(self, profile: Profile, now: int) -> Reason:
        holding, due = self.decide(profile, now)
        held = profile.cart or cart.Cart()
        test: dict[str, int | str] = {"idle_for": format_duration(self.idle_for)} if self.idle_for else {}
        if self.until is not None:
            test["until"] = format_duration(self.until)
        whole, part = divmod(sum(cart.contents(held.lines).values()), cart.ONE)
        observed = Observed(
            items=whole + part / cart.ONE if part else whole,
            last_at=format_instant(held.touched) if held.touched else None,
        )
        return Reason(holding, condition="cart", observed=observed, test=test, until=_until(due))


class AllOf(msgspec.Struct, frozen=True):
    """Every member holds. While one fails, it cannot hold before each failing member turned."""

    members: tuple[Condition, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset().union(*(member.names for member in self.members))

    def decide(self, profile: Profile, now: int) -> Decision:
        return _combine(self.members, profile, now, turned_by=False)

    def reason(self, profile: Profile, now: int) -> Reason:
        return Reason(self.decide(profile, now)[0], all=[m.reason(profile, now) for m in self.members])


class AnyOf(msgspec.Struct, frozen=True):
    """A member holds. While one holds, it cannot fail before each holding member turned."""

    members: tuple[Condition, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset().union(*(member.names for member in self.members))

    def decide(self, profile: Profile, now: int) -> Decision:
        return _combine(self.members, profile, now, turned_by=True)

    def reason(self, profile: Profile, now: int) -> Reason:
        return Reason(self.decide(profile, now)[0], any=[m.reason(profile, now) for m in self.members])


class NoneOf(msgspec.Struct, frozen=True):
    """No member holds."""

    members: tuple[Condition, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset().union(*(member.names for member in self.members))

    def decide(self, profile: Profile, now: int) -> Decision:
        holding, due = _combine(self.members, profile, now, turned_by=True)
        return not holding, due

    def reason(self, profile: Profile, now: int) -> Reason:
        return Reason(self.decide(profile, now)[0], not_=[m.reason(profile, now) for m in self.members])


def _combine(members: tuple[Condition, ...], profile: Profile, now: int, *, turned_by: bool) -> Decision:
    """One member that answers ``turned_by`` makes that the answer of all.

    While some do, the answer stays until the last of them has turned; while none does, it may
    turn with the first member. So a due time is never too late, and seldom for nothing.
    """
    first = last = NEVER
    decided = stays = False
    for member in members:
        answer, due = member.decide(profile, now)
        if answer == turned_by:
            decided = True
            stays = stays or due == NEVER
            last = max(last, due)
        elif due and (first == NEVER or due < first):
            first = due
    if decided:
        return turned_by, NEVER if stays else last
    return not turned_by, first


def _until(due: int) -> str | None:
    return format_instant(due) if due else None


def _seen(times: Sequence[int], within: int | None, now: int, most: int | None = None) -> Observed:
    """``most``: beyond so many it is not certain that all were kept."""
    inside = len(times) - (0 if within is None else bisect_right(times, now - within))
    last_at = format_instant(times[-1]) if times else None
    if most is not None and inside > most:
        return Observed(count=most + 1, or_more=True, last_at=last_at)
    return Observed(count=inside, last_at=last_at)
