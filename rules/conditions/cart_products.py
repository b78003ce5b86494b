"""The test of a product in the open cart (`has` of the condition `cart`): which product, and how much of it.

    cart: {has: {product_id: tea-1, quantity: {at_least: 2}}}

A product is its `product_id`, else its SKU, else its name; its quantity is that of all its lines in all open carts. One
product must meet both tests.

See also: `rules.profile.products`, which tells products apart.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar

import msgspec
from pydantic import BeforeValidator, WithJsonSchema

from rules.forms import description
from rules.forms.form import Form, NumberRange
from rules.forms.json_schema import reference
from rules.forms.value_test_parsing import value_test
from rules.languages import value_tests
from rules.languages.language import Language
from rules.profile.attributes import shortened
from rules.profile.open_cart import OpenCart
from rules.profile.products import product_of
from rules.profile.short_ids import ID_MAX_BYTES
from rules.reasons import Reason
from rules.value_tests import NumberTest, Shown, ValueTest
from rules.values import shown_number


def _product_test(value: object) -> ValueTest:
    test = value_test(value)
    if test.exists is not None:
        raise ValueError("every product of a cart exists; write cart: {} for any")
    scalars = (test.equals, test.exact, *(test.in_ or ()), *(test.not_in or ()))
    if any(isinstance(scalar, str) and len(scalar.encode()) > ID_MAX_BYTES for scalar in scalars):
        raise ValueError(f"a product has up to {ID_MAX_BYTES} bytes; write {{starts_with: …}} for a longer one")
    return test


class ProductForm(Form):
    example: ClassVar = "{product_id: tea-1}"

    product_id: Annotated[ValueTest, BeforeValidator(_product_test), WithJsonSchema(reference("test"))]
    quantity: NumberRange | None = None


class CartProductTest(msgspec.Struct, frozen=True):
    """A product in the open cart, and its quantity (10⁻⁶) there."""

    product: ValueTest
    quantity: NumberTest | None = None

    @classmethod
    def of(cls, form: ProductForm) -> CartProductTest:
        """The test that a form asks for."""
        return cls(form.product_id, form.quantity)

    def meets(self, opened: OpenCart) -> bool:
        """Whether a product of the cart meets both tests."""
        if self.quantity is None:
            return any(self._is_of(product_of(key)) for _, key in opened.quantities)
        return any(map(self.quantity.meets, self._quantities(opened).values()))

    def _is_of(self, product: str) -> bool:
        """Whether a product meets its test; one without any id is none."""
        return product != "" and self.product.meets(product)

    def _quantities(self, opened: OpenCart) -> Counter[str]:
        """The quantities of the products that meet their test."""
        quantities: Counter[str] = Counter()
        for (_, key), quantity in opened.quantities.items():
            product = product_of(key)
            if self._is_of(product):
                quantities[product] += quantity
        return quantities

    def shown(self, opened: OpenCart) -> dict[str, str | None]:
        """What a reason shows: a product that meets both tests, else one that meets its own, and its quantity."""
        quantities = self._quantities(opened)
        if not quantities:
            return {"product_id": None}
        test = self.quantity or NumberTest()
        product = min(quantities, key=lambda product: (not test.meets(quantities[product]), product))
        return {"product_id": shortened(product), "quantity": str(shown_number(quantities[product]))}

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        quantity = {} if self.quantity is None else {"quantity": self.quantity.test}
        return {"product_id": self.product.test} | quantity


def describe_product(test: dict[str, Shown]) -> str:
    """The test in the words of a definition."""
    return " and ".join(f"{name} is {description.value_test(part)}" for name, part in test.items())


def product_words(lang: Language, reason: Reason) -> str:
    """The test in words."""
    return value_tests.properties(lang, (reason.test or {})["has"], reason.cut, "/test/has")
