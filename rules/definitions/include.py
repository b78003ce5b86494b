"""What the changes of a segment carry of the customer (`include`), so that a message can say what it is about.

    include:
      cart: [product_id, name, image_url, url, price, quantity]   the lines of the open cart, the newest first
      last: {event: Product Viewed, of: [name, url]}               properties of the newest event of these names
      traits: [first_name]                                         values of traits
      totals: {spent: {agg: sum, of: total, event: Order Completed}}   a `total` without its test

It stands in a change as `data`, as it is when the change is decided, and decides nothing. Its facts are kept only where
a file asks for them.

Bounds: `DATA_MAX_BYTES` of JSON. What comes first in this order is in it: totals, traits, the last event, the lines of
the cart. `cut` says that something was left out, `cart_lines` how many lines the cart has.

See also: `rules.included_texts`, which says what may stand in a text, and `rules.facts.change_contents`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, TypeAlias

import msgspec
from pydantic import BeforeValidator, Field, WithJsonSchema

from rules.conditions.aggregates import Total
from rules.conditions.base import CustomerView, Scope
from rules.conditions.totals import total_without_test
from rules.event_names import IDENTIFY, WITHOUT_EFFECT
from rules.facts.carts import CartFact
from rules.facts.change_contents import NewestValuesFact, ProductTextFact
from rules.forms.form import EventNames, Form, property_name
from rules.forms.json_schema import TEXT, reference
from rules.forms.problems import WrongCondition
from rules.included_texts import is_address_name
from rules.profile.cart import line_key
from rules.profile.open_cart import OpenCart
from rules.values import path_of, shown_number

# The most bytes of what a change carries, and the most of each part.
DATA_MAX_BYTES = 2_048
LINES_MAX = 32
NAMES_MAX = 12

PRICE, QUANTITY = "price", "quantity"

DataValue: TypeAlias = "str | int | float"
# The data of a change, as JSON.
Data: TypeAlias = dict[str, object]

_NAME = {**TEXT, "maxLength": 64}
_NAMES = {"type": "array", "items": _NAME, "minItems": 1, "maxItems": NAMES_MAX, "uniqueItems": True}


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= NAMES_MAX or len(set(map(str, value))) < len(value):
        raise ValueError(f"expected 1 to {NAMES_MAX} different names, such as [name, url]")
    names = tuple(property_name(name) for name in value)
    if too_long := next((name for name in names if len(name) > _NAME["maxLength"]), None):
        raise ValueError(f"{too_long[:40]}… is longer than {_NAME['maxLength']} characters")
    return names


IncludedNames = Annotated[tuple[str, ...], BeforeValidator(_names), WithJsonSchema(_NAMES)]


class NewestEventForm(Form):
    example: ClassVar = "{event: Product Viewed, of: [name, url]}"

    event: EventNames
    of: IncludedNames


class IncludeForm(Form):
    example: ClassVar = "{cart: [name, price, quantity], traits: [first_name]}"

    cart: IncludedNames | None = None
    last: Annotated[NewestEventForm | None, WithJsonSchema(reference("newestEvent"))] = None
    traits: IncludedNames | None = None
    totals: Annotated[
        dict[str, dict[str, object]] | None, Field(max_length=NAMES_MAX), WithJsonSchema(reference("totals"))
    ] = None


class Include(msgspec.Struct, frozen=True):
    """What the changes of a segment carry.

    ``cart``: the columns of its lines, each with the slot of its texts; ``None``: price and quantity. ``last``: the
    slot of the newest event, with the names of its values. ``traits`` and ``totals``: by name. ``canonical``: what is
    fingerprinted.
    """

    cart: tuple[tuple[str, int | None], ...]
    last: tuple[int, tuple[str, ...]] | None
    traits: tuple[tuple[str, int], ...]
    totals: tuple[tuple[str, Total], ...]
    canonical: Mapping[str, object]

    def data(self, customer: CustomerView, now: int) -> Data:
        """The data of a customer at an instant (ms), within `DATA_MAX_BYTES`."""
        data: Data = {}
        left = DATA_MAX_BYTES
        values_of: dict[str, Iterator[tuple[str, DataValue]]] = {
            "totals": self._totals(customer, now),
            "traits": self._traits(customer),
            "last": self._last(customer),
        }
        for part, values in values_of.items():
            fitting, left, is_cut = _fitting(values, left)
            if fitting:
                data[part] = fitting
            if is_cut:
                data["cut"] = True
        if self.cart:
            opened = customer.open_cart
            lines, is_cut = self._lines(customer, opened, left)
            data["cart"], data["cart_lines"] = lines, len(opened.quantities)
            if is_cut:
                data["cut"] = True
        return data

    def _totals(self, customer: CustomerView, now: int) -> Iterator[tuple[str, DataValue]]:
        for name, total in self.totals:
            value = total.value(customer, now)
            if value is not None:
                yield name, shown_number(value)

    def _traits(self, customer: CustomerView) -> Iterator[tuple[str, DataValue]]:
        for name, slot in self.traits:
            stored = customer.profile.newest_values[slot]
            if stored is not None and stored[2][0] is not None:
                yield name, stored[2][0]

    def _last(self, customer: CustomerView) -> Iterator[tuple[str, DataValue]]:
        if self.last is None:
            return
        slot, names = self.last
        stored = customer.profile.newest_values[slot]
        if stored is not None:
            yield from ((name, value) for name, value in zip(names, stored[2], strict=True) if value is not None)

    def _lines(self, customer: CustomerView, opened: OpenCart, left: int) -> tuple[list[dict[str, DataValue]], bool]:
        """The newest lines of the cart that fit into so many bytes, and whether there are more."""
        lines: list[dict[str, DataValue]] = []
        for (cart, product), quantity in reversed(list(opened.quantities.items())):
            line = dict(self._line(customer, opened, (cart, product), quantity))
            left -= len(msgspec.json.encode(line)) + 1
            if left < 0 or len(lines) == LINES_MAX:
                return lines, True
            lines.append(line)
        return lines, False

    def _line(
        self, customer: CustomerView, opened: OpenCart, key: tuple[int, str], quantity: int
    ) -> Iterator[tuple[str, DataValue]]:
        cart, product = key
        profile = customer.profile
        for name, slot in self.cart:
            if slot is not None:
                _, text = profile.product_texts[slot].get(product, (0, None))
                if text is not None:
                    yield name, text
            elif name == QUANTITY:
                yield name, shown_number(quantity)
            elif profile.cart is not None:
                time, _, price = profile.cart.prices.get(line_key(product, cart), (0, "", 0))
                if time > opened.since(cart):
                    yield name, shown_number(price)


def _fitting(values: Iterator[tuple[str, DataValue]], left: int) -> tuple[dict[str, DataValue], int, bool]:
    """Of values those that fit into so many bytes, how many bytes are left, and whether some do not fit."""
    fitting: dict[str, DataValue] = {}
    is_cut = False
    for name, value in values:
        size = len(msgspec.json.encode({name: value}))
        if size > left:
            is_cut = True
            continue
        fitting[name] = value
        left -= size
    return fitting, left, is_cut


def include(scope: Scope, path: str, body: object) -> Include | None:
    """Read the `include` of a segment, and require its facts. Raises `WrongCondition`."""
    if body is None:
        return None
    form = scope.problems.fill(path, IncludeForm, body)
    if not any((form.cart, form.last, form.traits, form.totals)):
        raise WrongCondition(path, "nothing is included", f"expected {IncludeForm.example}")
    _check_hosts(scope, path, form)
    canonical: dict[str, object] = {}
    totals: list[tuple[str, Total]] = []
    canonical_totals: dict[str, object] = {}
    for name, total in (form.totals or {}).items():
        measured, canonical_totals[name] = total_without_test(scope, f"{path}.totals.{name}", total)
        totals.append((name, measured))
    given = {"cart": form.cart, "traits": form.traits, "totals": canonical_totals}
    canonical |= {part: names for part, names in given.items() if names}
    if form.last is not None:
        canonical["last"] = {"event": form.last.event, "of": form.last.of}
    traits = tuple((name, _require_trait(scope, name)) for name in form.traits or ())
    return Include(_cart(scope, form), _last(scope, path, form), traits, tuple(totals), canonical)


def noted_include(scope: Scope, path: str, body: object) -> Include | None:
    """Read the `include` of a segment; ``None`` also after noting what is wrong with it."""
    try:
        return include(scope, path, body)
    except WrongCondition as wrong:
        if wrong.args:
            scope.problems.note(*wrong.args)
        return None


def without_include(node: Mapping[str, object]) -> dict[str, object]:
    """A segment as it stands in a file, but for what its changes carry."""
    return {name: value for name, value in node.items() if name != "include"}


def _cart(scope: Scope, form: IncludeForm) -> tuple[tuple[str, int | None], ...]:
    """The columns of the cart; requires their facts."""
    if not form.cart:
        return ()
    CartFact.require(scope.facts, prices=PRICE in form.cart)
    return tuple(
        (name, None if name in (PRICE, QUANTITY) else scope.facts.require(ProductTextFact(name, scope.own_hosts)).slot)
        for name in form.cart
    )


def _last(scope: Scope, path: str, form: IncludeForm) -> tuple[int, tuple[str, ...]] | None:
    """The values of the newest event; requires their fact. Raises `WrongCondition`."""
    if form.last is None:
        return None
    if set(form.last.event) & {IDENTIFY, *WITHOUT_EFFECT}:
        raise WrongCondition(f"{path}.last.event", "identify, alias and group have no properties", "use traits")
    paths = tuple(map(path_of, form.last.of))
    fact = scope.facts.require(NewestValuesFact(frozenset(form.last.event), paths, scope.own_hosts))
    return fact.slot, form.last.of


def _require_trait(scope: Scope, name: str) -> int:
    fact = NewestValuesFact(frozenset({IDENTIFY}), (path_of(name),), scope.own_hosts, of_trait=True)
    return scope.facts.require(fact).slot


def _check_hosts(scope: Scope, path: str, form: IncludeForm) -> None:
    """Raise `WrongCondition` where a file asks for addresses and names no host to which they may lead."""
    names = (*(form.cart or ()), *(form.last.of if form.last else ()), *(form.traits or ()))
    addresses = [name for name in names if is_address_name(path_of(name)[-1])]
    if addresses and not scope.own_hosts:
        raise WrongCondition(
            path,
            f"{addresses[0]} is an address, and no address is carried but of the shop's own hosts",
            "write hosts: [shop.example] at the file's top",
        )


def describe(included: Include) -> str:
    """What the changes carry, as a part of a sentence."""
    parts = []
    if included.cart:
        parts.append(f"the lines of the cart ({', '.join(name for name, _ in included.cart)})")
    if included.last is not None:
        canonical = included.canonical["last"]
        assert isinstance(canonical, dict)
        parts.append(f"of the newest {' or '.join(canonical['event'])} {', '.join(included.last[1])}")
    if included.traits:
        parts.append(f"the traits {', '.join(name for name, _ in included.traits)}")
    if included.totals:
        parts.append(f"the totals {', '.join(name for name, _ in included.totals)}")
    return "; ".join(parts)
