"""Conditions over the cart and sessions: `cart`, `sessions`."""

from __future__ import annotations

from rules.conditions import Ago, OpenCart, SessionCount
from rules.definitions import forms
from rules.definitions.problems import Parsed, Scope, WrongCondition
from rules.facts import CartFact, SessionFact
from rules.profile.sessions import INTERVALS_MAX
from rules.times import format_duration


def cart(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.CartForm, body)
    if form.until is not None and form.until <= (form.idle_for or 0):
        ends = f"idle_for {format_duration(form.idle_for or 0)} and until {format_duration(form.until)}"
        raise WrongCondition(f"{path}.until", f"until must be longer than idle_for; here are {ends}")
    scope.facts.require(CartFact(prices=form.value is not None))
    condition = OpenCart(Ago(form.idle_for or 0, form.until), form.stage, form.value, form.items)
    canonical: dict[str, object] = {"idle_for": form.idle_for or 0, "until": form.until}
    canonical |= {name: told for name, told in condition.test.items() if name in ("stage", "value", "items")}
    return condition, {"cart": canonical}


def sessions(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, forms.SessionsForm, body)
    if form.count.newest_needed >= INTERVALS_MAX:
        raise WrongCondition(f"{path}.count", f"sessions are counted up to {INTERVALS_MAX - 1}")
    slot = scope.facts.require(SessionFact(form.gap, form.within)).slot
    canonical = {"count": form.count.test, "within": form.within, "gap": form.gap}
    return SessionCount(form.count, form.within, form.gap, slot), {"sessions": canonical}
