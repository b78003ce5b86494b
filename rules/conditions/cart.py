"""The condition on the open cart: its contents, its stage, and how long it has been quiet (`cart`).

See also: `rules.facts.carts`, the fact that it needs, and `rules.profile.cart`, its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from pydantic import WithJsonSchema

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.cart_products import CartProductTest, ProductForm, describe_product, product_words
from rules.due_times import AgeRange
from rules.facts.carts import CartFact
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import Duration, Form, NumberRange
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import beside, judged, observed_of
from rules.number_text import MICRO
from rules.profile.cart import Cart
from rules.profile.open_cart import CartWorth, OpenCart, worth
from rules.reasons import Observed, Reason
from rules.times import format_duration, format_instant, words
from rules.value_tests import NumberTest, Shown
from rules.values import shown_number

CartStage = Literal["cart", "checkout"]


class CartState(msgspec.Struct, frozen=True):
    """The cart is not empty, and was last touched so long ago (``quiet``).

    ``value`` and ``items``: tests of its contents, in 10⁻⁶; ``has``: that of a product in it; ``stage``: how far the
    customer came with it.
    """

    quiet: AgeRange
    stage: CartStage | None
    value: NumberTest | None
    items: NumberTest | None
    has: CartProductTest | None = None

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        cart = customer.profile.cart
        return (False, NEVER) if cart is None else self._decide(cart, customer.open_cart, now)

    def _decide(self, cart: Cart, current: OpenCart, now: int) -> TimedDecision:
        return self.quiet.decide_fact(current.touched, now) if self._fits(cart, current) else (False, NEVER)

    def _fits(self, cart: Cart, current: OpenCart) -> bool:
        """Whether the cart is not empty, and its contents meet the tests."""
        return (
            bool(current.quantities)
            and (self.stage is None or (self.stage == "checkout") == current.in_checkout)
            and (self.items is None or self.items.meets(current.items))
            and (self.has is None or self.has.meets(current))
            and (self.value is None or _meets(self.value, worth(cart, current)))
        )

    def reason(self, customer: CustomerView, now: int) -> Reason:
        cart, current = customer.profile.cart or Cart(), customer.open_cart
        holds, due = self._decide(cart, current, now)
        value = stage = None
        is_unvalued = False
        if self.value is not None:
            contents = worth(cart, current)
            value, is_unvalued = shown_number(contents.value // MICRO), contents.is_unvalued
        if self.stage is not None:
            stage = "checkout" if current.in_checkout else "cart"
        observed = Observed(
            items=shown_number(current.items),
            value=value,
            or_more=is_unvalued,
            stage=stage,
            values=None if self.has is None else self.has.shown(current),
            last_at=format_instant(current.touched) if current.touched else None,
        )
        return Reason(holds, condition="cart", observed=observed, test=self.test, until=until(due))

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        idle_for, until_ms = self.quiet.at_least, self.quiet.at_most
        test: dict[str, Shown] = {"idle_for": format_duration(idle_for)} if idle_for else {}
        if until_ms is not None:
            test["until"] = format_duration(until_ms)
        if self.stage is not None:
            test["stage"] = self.stage
        if self.value is not None:
            test["value"] = self.value.test
        if self.items is not None:
            test["items"] = self.items.test
        if self.has is not None:
            test["has"] = self.has.test
        return test


def _meets(test: NumberTest, contents: CartWorth) -> bool:
    """Whether the value is in the range. With a part of unknown value, no upper end is met."""
    has_upper_end = test.at_most is not None or test.below is not None
    return test.meets(contents.value, per=MICRO) and not (contents.is_unvalued and has_upper_end)


class CartForm(Form):
    example: ClassVar = "{idle_for: 30m, until: 30d}"

    idle_for: Duration | None = None
    until: Duration | None = None
    stage: CartStage | None = None
    value: NumberRange | None = None
    items: NumberRange | None = None
    has: Annotated[object, WithJsonSchema(form_schema(ProductForm))] = None  # read apart, by its own form


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, CartForm, body)
    if form.until is not None and form.until <= (form.idle_for or 0):
        ends = f"idle_for {format_duration(form.idle_for or 0)} and until {format_duration(form.until)}"
        raise WrongCondition(f"{path}.until", f"until must be longer than idle_for; here are {ends}")
    CartFact.require(scope.facts, prices=form.value is not None)
    has = None if form.has is None else CartProductTest.of(scope.problems.fill(f"{path}.has", ProductForm, form.has))
    condition = CartState(AgeRange(form.idle_for or 0, form.until), form.stage, form.value, form.items, has)
    canonical: dict[str, object] = {"idle_for": form.idle_for or 0, "until": form.until}
    canonical |= {name: test for name, test in condition.test.items() if name in ("stage", "value", "items", "has")}
    return condition, {"cart": canonical}


def _describe(form: Canonical) -> str:
    tests = {name: form[name] for name in ("stage", "value", "items") if name in form}
    parts = ["something is in the cart"]
    parts += [f"the cart's {name} is {description.value_test(test)}" for name, test in tests.items()]
    if "has" in form:
        parts.append(f"a product in it whose {describe_product(form['has'])}")
    if form["idle_for"]:
        parts.append(f"untouched for {words(form['idle_for'])}")
    if form["until"]:
        parts.append(f"until {words(form['until'])} after it was touched last")
    return ", ".join(parts)


def _phrase(lang: Language, reason: Reason) -> str:
    observed, test = observed_of(reason), reason.test or {}
    if not observed.items:
        text = lang.say("empty_cart" if observed.last_at else "no_cart")
        return beside(lang, text, _test_words(lang, reason, test))
    slots = {"holds": _contents(lang, observed), "at": lang.name(observed.last_at)}
    contents = {name: test[name] for name in ("items", "value", "has", "stage") if name in test}
    if not reason.holds and reason.until is None and contents:
        # Either its contents do not meet the tests, or its time is over, or both.
        return judged(lang, reason, lang.say("touched_cart", **slots), _test_words(lang, reason, test))
    if reason.holds and "idle_for" not in test:
        text = lang.say("touched_cart", **slots)
    elif reason.holds:
        text = lang.say("quiet_cart", time=lang.duration(test["idle_for"]), **slots)
    elif reason.until is not None:
        text = lang.say("busy_cart", time=lang.duration(test.get("idle_for")), **slots)
    else:
        text = lang.say("forgotten_cart", time=lang.duration(test.get("until")), **slots)
    return beside(lang, text, _test_words(lang, reason, contents))


def _contents(lang: Language, observed: Observed) -> str:
    count = observed.items or 0
    items = lang.say("items", count, count=lang.number(count))
    if observed.value is not None:
        key = "worth_or_more" if observed.or_more else "worth"
        items = lang.say(key, items=items, value=lang.amount(observed.value))
    holds = lang.say("holds", items=items)
    product = (observed.values or {}).get("product_id")
    if product is not None:
        quantity = lang.number(float((observed.values or {}).get("quantity") or 0))
        holds = lang.say("holds_product", holds=holds, product=lang.quoted(product), quantity=quantity)
    return holds if observed.stage is None else lang.say(f"holds_at_{observed.stage}", holds=holds)


def _test_words(lang: Language, reason: Reason, test: Mapping[str, Shown]) -> str:
    parts = [lang.say(name, time=lang.duration(test[name])) for name in ("idle_for", "until") if name in test]
    if "items" in test:
        parts.append(lang.say("items_asked", range=value_tests.numbers(lang, test["items"], between="and")))
    if "value" in test:
        parts.append(lang.say("worth_asked", range=value_tests.numbers(lang, test["value"], money=True, between="and")))
    if test.get("has"):
        parts.append(lang.say("has_asked", tests=product_words(lang, reason)))
    if "stage" in test:
        parts.append(lang.say(f"at_{test['stage']}"))
    return lang.say("comma").join(parts)


CART = ConditionKind(
    "cart",
    CartForm.example,
    form_schema(CartForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "no_cart": "no open cart",
            "empty_cart": "the cart is empty",
            "quiet_cart": "no cart activity since {at}, for {time}; {holds}",
            "forgotten_cart": "no cart activity since {at}, for {time} or longer; {holds}",
            "busy_cart": "{holds}, touched at {at}, less than {time} ago",
            "touched_cart": "{holds}, touched at {at}",
            "items": ("{count} item", "{count} items"),
            "worth": "{items} worth {value}",
            "worth_or_more": "{items} worth {value} or more",
            "holds": "the cart holds {items}",
            "holds_product": "{holds}, among them {quantity} of {product}",
            "has_asked": "a product in it whose {tests}",
            "holds_at_cart": "{holds}, before checkout",
            "holds_at_checkout": "{holds}, at checkout",
            "idle_for": "untouched for {time}",
            "until": "touched less than {time} ago",
            "items_asked": "{range} in it",
            "worth_asked": "worth {range}",
            "at_cart": "before checkout",
            "at_checkout": "at checkout",
        },
        "fa": {
            "no_cart": "سبد خریدی وجود ندارد",
            "empty_cart": "سبد خرید خالی است",
            "quiet_cart": "{time} است که سبد خرید دست نخورده (از {at})؛ {holds}",
            "forgotten_cart": "{time} یا بیشتر است که سبد خرید دست نخورده (از {at})؛ {holds}",
            "busy_cart": "{holds}، آخرین فعالیت در {at}، کمتر از {time} پیش",
            "touched_cart": "{holds}، آخرین فعالیت در {at}",
            "items": "{count} کالا",
            "worth": "{items} به ارزش {value}",
            "worth_or_more": "{items} به ارزش {value} یا بیشتر",
            "holds": "سبد {items} دارد",
            "holds_product": "{holds} که {quantity} تای آن {product} است",
            "has_asked": "کالایی در آن که {tests}",
            "holds_at_cart": "{holds}، پیش از مرحلهٔ پرداخت",
            "holds_at_checkout": "{holds}، در مرحلهٔ پرداخت",
            "idle_for": "{time} بدون فعالیت",
            "until": "آخرین فعالیت کمتر از {time} پیش",
            "items_asked": "{range} کالا",
            "worth_asked": "به ارزش {range}",
            "at_cart": "پیش از مرحلهٔ پرداخت",
            "at_checkout": "در مرحلهٔ پرداخت",
        },
    },
)
