"""Which variant of a message a customer gets."""

from __future__ import annotations

from collections import Counter

import pytest

from rules.times import HOUR_MS
from streams.triggers.variants import drawn
from tests.support.in_memory_triggers import START, cart, enters, world

CUSTOMERS = [f"customer-{number}" for number in range(20_000)]


def test_each_variant_is_drawn_as_often_as_its_weight_says() -> None:
    """Of 20,000 customers the share of each is within five standard deviations of its weight."""
    counts = Counter(drawn({"a": 1, "b": 2, "c": 7}, "cart", customer) for customer in CUSTOMERS)
    for name, share in (("a", 0.1), ("b", 0.2), ("c", 0.7)):
        deviation = (share * (1 - share) / len(CUSTOMERS)) ** 0.5
        assert abs(counts[name] / len(CUSTOMERS) - share) < 5 * deviation


def test_a_new_variant_takes_customers_and_moves_none_between_the_others() -> None:
    """So a test that goes on keeps its customers; the order of the file does not count."""
    before = {customer: drawn({"a": 1, "b": 1}, "cart", customer) for customer in CUSTOMERS}
    after = {customer: drawn({"c": 1, "b": 1, "a": 1}, "cart", customer) for customer in CUSTOMERS}
    moved = {customer for customer in CUSTOMERS if before[customer] != after[customer]}
    assert {after[customer] for customer in moved} == {"c"}
    assert 0.3 < len(moved) / len(CUSTOMERS) < 0.37


def test_a_weight_that_grows_only_takes() -> None:
    """No customer leaves the variant whose weight grows."""
    before = [drawn({"a": 1, "b": 1}, "cart", customer) for customer in CUSTOMERS]
    after = [drawn({"a": 3, "b": 1}, "cart", customer) for customer in CUSTOMERS]
    assert all(new == "a" for old, new in zip(before, after, strict=True) if old == "a")


def test_triggers_draw_independently() -> None:
    """Who gets variant a of one trigger gets a or b of another."""
    both = Counter((drawn({"a": 1, "b": 1}, "cart", name), drawn({"a": 1, "b": 1}, "mail", name)) for name in CUSTOMERS)
    assert all(0.23 < count / len(CUSTOMERS) < 0.27 for count in both.values())
    assert drawn({}, "cart", "u1") == ""


@pytest.mark.parametrize("customer", ["u1", "u2", "بهار", "carl"])
async def test_both_messages_of_a_series_have_the_variant(customer: str) -> None:
    """The decision, the templates and the channel have one variant, also where the second message weighs them anew."""
    parts = {"a": {"template": {"text": "a"}}, "b": {"template": {"text": "b"}}}
    made = await world(cart(variants=parts, then={"after": "1h", "variants": parts}))
    await enters(made, customer)
    await made.until(START)
    await made.until(START + HOUR_MS)
    variants = {message.variant for _, message, _ in made.attempts()}
    assert len(made.attempts()) == 2
    assert (
        variants == {decision.variant for decision in made.decisions()} == {drawn({"a": 1, "b": 1}, "cart", customer)}
    )
    variant = variants.pop()
    assert [message.wording for _, message, _ in made.attempts()] == [f"cart {variant}", f"cart-2 {variant}"]
