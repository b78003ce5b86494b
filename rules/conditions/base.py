"""The interface of conditions: their answer, the customer that they decide about, and the parts of a kind.

All parts of a kind are in its own module, as one `ConditionKind`. `rules.conditions.kinds` lists the kinds, and
`rules.due_times` decides when time alone turns a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from rules.due_times import NEVER, TimedDecision
from rules.facts.registry import FactRegistry
from rules.forms.description import Canonical
from rules.forms.json_schema import Schema
from rules.forms.problems import Problems
from rules.hosts import NO_HOSTS
from rules.languages.language import Language, SentenceTemplate
from rules.profile.open_cart import NO_CART, OpenCart, open_cart
from rules.profile.order_fold import Order
from rules.profile.profile import Profile
from rules.reasons import Reason
from rules.times import format_instant

__all__ = ["NEVER", "Condition", "ConditionKind", "CustomerView", "Parsed", "Scope", "TimedDecision", "until"]


class CustomerView:
    """A customer as conditions see it in one decision.

    ``since``: by index of a segment, when it was entered, for those that the customer is in.
    """

    __slots__ = ("_open_cart", "id", "profile", "since")

    def __init__(self, customer_id: str, profile: Profile, since: Mapping[int, int]) -> None:
        self.id = customer_id
        self.profile = profile
        self.since = since
        self._open_cart: OpenCart | None = None

    @property
    def standing(self) -> list[Order]:
        """The orders that stand, by completion."""
        orders = self.profile.orders
        return [] if orders is None else orders.standing

    @property
    def open_cart(self) -> OpenCart:
        """What the open carts hold, folded once per decision."""
        if self._open_cart is None:
            current, orders = self.profile.cart, self.profile.orders
            ends = [] if orders is None else orders.cart_ends
            self._open_cart = NO_CART if current is None else open_cart(current, ends)
        return self._open_cart

    def completions(self, view: int) -> list[int]:
        """When each order of a view that stands was completed, ascending."""
        orders = self.profile.orders
        return [] if orders is None else orders.completions(view)


class Condition(Protocol):
    """A frozen predicate over a customer at an instant. No fact of the customer is later than the instant."""

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        """Whether the condition holds, and the next due time; both in one call, as both are always needed."""

    def reason(self, customer: CustomerView, now: int) -> Reason:
        """The reason: the observed values beside those that the definition requires."""


# A condition, and the canonical form of its body, with defaults and without unused keys. That form is fingerprinted.
Parsed = tuple[Condition, object]


class Scope(msgspec.Struct):
    """The context in which a condition is parsed: currency, segments and their indices, and required facts of a file.

    ``named``: the segments that the conditions read so far ask about. ``own_hosts``: the shop's.
    """

    problems: Problems
    currency: str | None
    indices: dict[str, int]
    facts: FactRegistry
    named: set[str]
    own_hosts: frozenset[str] = NO_HOSTS


class ConditionKind(NamedTuple):
    """The parts of a kind of condition, from its form in a file to the sentence about a change.

    ``key``: its name in a file; ``example``: a body that is right, as errors show it; ``schema``: of its body.
    ``parse``: a body (at a path) into a condition; it requires facts of the scope, and raises `WrongCondition`.
    ``describe``: the canonical body in English, for ``check --explain``.
    ``phrase``: a reason in the words of a language; ``messages``: the words, by language. A message's name is unique
    among all kinds.
    """

    key: str
    example: str
    schema: Schema
    parse: Callable[[Scope, str, object], Parsed]
    describe: Callable[[Canonical], str]
    phrase: Callable[[Language, Reason], str]
    messages: Mapping[str, Mapping[str, SentenceTemplate]]


def until(due: int) -> str | None:
    """Format a due time for a reason."""
    return format_instant(due) if due else None


def holds(condition: Condition, customer: CustomerView, now: int) -> bool:
    """Whether a condition holds at ``now``."""
    return condition.decide(customer, now)[0]


def due_at(condition: Condition, customer: CustomerView, now: int) -> int | None:
    """The earliest instant after ``now`` at which time alone may turn it."""
    return condition.decide(customer, now)[1] or None
