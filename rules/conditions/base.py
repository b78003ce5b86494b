"""What every condition answers, and what it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rules.profile import cart
from rules.profile.orders import Order
from rules.profile.profile import Profile
from rules.reasons import Reason
from rules.times import format_instant

NEVER = 0  # no event is from before the year 2000

Decision = tuple[bool, int]


class CustomerView:
    """A customer as conditions see it in one decision.

    ``since``: by place of a segment, when it was entered, for those that the customer is in.
    """

    __slots__ = ("_cart_contents", "id", "profile", "since")

    def __init__(self, customer_id: str, profile: Profile, since: Mapping[int, int]) -> None:
        self.id = customer_id
        self.profile = profile
        self.since = since
        self._cart_contents: Mapping[str, int] | None = None

    @property
    def standing(self) -> list[Order]:
        """The orders that stand, by completion."""
        kept = self.profile.orders
        return [] if kept is None else kept.standing

    @property
    def cart_contents(self) -> Mapping[str, int]:
        """What is in the cart, as of `rules.profile.cart.contents`; folded once per decision."""
        if self._cart_contents is None:
            held = self.profile.cart
            self._cart_contents = {} if held is None else cart.contents(held.lines)
        return self._cart_contents

    def completions(self, view: int) -> list[int]:
        """When each order of a view that stands was completed, ascending."""
        kept = self.profile.orders
        return [] if kept is None else kept.completions(view)


class Condition(Protocol):
    """A frozen predicate over a customer at an instant, of whom no fact is later than that."""

    def decide(self, who: CustomerView, now: int) -> Decision:
        """Whether it holds, and the next due time; both from one look, as both are always needed."""

    def reason(self, who: CustomerView, now: int) -> Reason:
        """What was observed beside what was asked."""


def holds(condition: Condition, who: CustomerView, now: int) -> bool:
    """Whether the condition holds at ``now``."""
    return condition.decide(who, now)[0]


def due_at(condition: Condition, who: CustomerView, now: int) -> int | None:
    """The earliest instant after ``now`` at which time alone may turn it."""
    return condition.decide(who, now)[1] or None


def until(due: int) -> str | None:
    """A due time as reasons show it."""
    return format_instant(due) if due else None


def shown_events(events: tuple[str, ...]) -> str | tuple[str, ...]:
    """One name, or several, as a definition has them."""
    return events[0] if len(events) == 1 else events
