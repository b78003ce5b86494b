"""The open cart: what is in it, how far it came and how long it has been quiet (`cart`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from rules.conditions.base import NEVER, CustomerView, Decision, until
from rules.conditions.recency import Ago
from rules.profile import cart
from rules.reasons import Observed, Reason
from rules.times import format_duration, format_instant
from rules.value_tests import NumberTest, Shown
from rules.values import MICRO, shown_number

Stage = Literal["cart", "checkout"]


class OpenCart(msgspec.Struct, frozen=True):
    """A cart with something in it, last touched so long ago (``quiet``).

    ``value`` and ``items``: tests of what is in it, in 10⁻⁶; ``stage``: how far it came.
    """

    quiet: Ago
    stage: Stage | None
    value: NumberTest | None
    items: NumberTest | None

    def decide(self, who: CustomerView, now: int) -> Decision:
        held = who.profile.cart
        return (False, NEVER) if held is None else self._decide(held, who.cart_contents, now)

    def _decide(self, held: cart.Cart, contents: Mapping[str, int], now: int) -> Decision:
        return self.quiet.decide_known(held.touched, now) if self._fits(held, contents) else (False, NEVER)

    def _fits(self, held: cart.Cart, contents: Mapping[str, int]) -> bool:
        """Whether there is something in it, and that is what was asked for."""
        return (
            bool(contents)
            and (self.stage is None or (self.stage == "checkout") == (held.checkout > 0))
            and (self.items is None or self.items.meets(sum(contents.values())))
            and (self.value is None or self.value.meets(cart.worth(held, contents), per=MICRO))
        )

    def reason(self, who: CustomerView, now: int) -> Reason:
        held, contents = who.profile.cart or cart.Cart(), who.cart_contents
        holding, due = self._decide(held, contents, now)
        observed = Observed(
            items=shown_number(sum(contents.values())),
            value=None if self.value is None else shown_number(cart.worth(held, contents) // MICRO),
            stage=None if self.stage is None else "checkout" if held.checkout else "cart",
            last_at=format_instant(held.touched) if held.touched else None,
        )
        return Reason(holding, condition="cart", observed=observed, test=self.test, until=until(due))

    @property
    def test(self) -> dict[str, Shown]:
        """As it stands in a definition."""
        idle_for, until_ms = self.quiet.at_least, self.quiet.at_most
        asked: dict[str, Shown] = {"idle_for": format_duration(idle_for)} if idle_for else {}
        if until_ms is not None:
            asked["until"] = format_duration(until_ms)
        if self.stage is not None:
            asked["stage"] = self.stage
        if self.value is not None:
            asked["value"] = self.value.test
        if self.items is not None:
            asked["items"] = self.items.test
        return asked
