"""The data of a change: what the definition of its segment includes of the customer.

Bounds: `DATA_MAX_BYTES` of JSON. What comes first in this order is in it: totals, traits, the last event, the lines of
the cart. `cut` says that something was left out, `cart_lines` how many lines the cart has.

See also: `rules.definitions.include`, which reads `include` in a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from rules.conditions.aggregates import Total
from rules.conditions.base import CustomerView
from rules.hosts import NO_HOSTS
from rules.included_texts import carried_text
from rules.profile.open_cart import OpenCart, line_prices
from rules.profile.order_fold import UNREAD
from rules.profile.products import product_of
from rules.profile.profile import Profile
from rules.values import shown_number

# The most bytes of what a change carries, and the most lines of a cart in it.
DATA_MAX_BYTES = 2_048
LINES_MAX = 32

PRODUCT_ID, PRICE, QUANTITY = "product_id", "price", "quantity"
# The columns of a cart that are no texts of the product's events.
OF_LINE = frozenset({PRODUCT_ID, PRICE, QUANTITY})

DataValue: TypeAlias = "str | int | float"
# The data of a change, as JSON.
Data: TypeAlias = dict[str, object]
# The data of a segment that includes nothing.
NO_DATA: Data = {"last": {}, "traits": {}, "totals": {}, "cart": [], "cart_lines": 0, "cut": False}
# An address, as a text may stand where one belongs.
_EXAMPLE = "https://example.com/x"


class Include(msgspec.Struct, frozen=True):
    """What the changes of a segment carry.

    ``cart``: the columns of its lines, each with the place of its texts; ``None``: one of `OF_LINE`. ``last``: the
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
        if self.totals or self.traits or self.last:
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

    def completed(self, data: Mapping[str, object]) -> Data:
        """The data with every name of this `include`, for templates: what is not known is empty text."""
        columns = dict.fromkeys([name for name, _ in self.cart], "")
        lines = data.get("cart", [])
        assert isinstance(lines, list)
        return {
            **NO_DATA,
            "last": dict.fromkeys(self.last[1] if self.last else (), "") | _object(data.get("last")),
            "traits": dict.fromkeys([name for name, _ in self.traits], "") | _object(data.get("traits")),
            "totals": dict.fromkeys([name for name, _ in self.totals], "") | _object(data.get("totals")),
            "cart": [columns | line for line in lines],
            "cart_lines": data.get("cart_lines", 0),
            "cut": data.get("cut", False),
        }

    @property
    def example(self) -> Data:
        """Data in which every name has a value, to try out a template."""
        columns = {name: 1 if name in (PRICE, QUANTITY) else _EXAMPLE for name, _ in self.cart}
        return {
            **NO_DATA,
            "last": dict.fromkeys(self.last[1] if self.last else (), _EXAMPLE),
            "traits": dict.fromkeys([name for name, _ in self.traits], _EXAMPLE),
            "totals": dict.fromkeys([name for name, _ in self.totals], 1),
            "cart": [columns, columns] if columns else [],
            "cart_lines": 2 if columns else 0,
        }

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
        current = customer.profile.cart
        prices = {} if current is None else line_prices(current, opened)
        for key, quantity in reversed(list(opened.quantities.items())):
            line = self._line(customer.profile, key[1], quantity, prices.get(key))
            left -= len(msgspec.json.encode(line)) + 1
            if left < 0 or len(lines) == LINES_MAX:
                return lines, True
            lines.append(line)
        return lines, False

    def _line(self, profile: Profile, product: str, quantity: int, price: int | None) -> dict[str, DataValue]:
        """A line of the cart, with its quantity and price in 10⁻⁶."""
        line: dict[str, DataValue] = {}
        for name, slot in self.cart:
            if slot is not None:
                stated = profile.product_texts[slot].get(product)
                if stated is not None:
                    line[name] = stated[1]
            elif name == QUANTITY:
                line[name] = shown_number(quantity)
            elif name == PRODUCT_ID:
                text = carried_text(product_of(product), NO_HOSTS, is_address=False)
                if text is not None:
                    line[name] = text
            elif price is not None and price != UNREAD:
                line[name] = shown_number(price)
        return line


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


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


def schema(included: Include | None) -> dict[str, Any]:
    """The JSON Schema of the data that the changes of a segment carry."""
    if included is None:
        return {"not": {}}
    text, number = {"type": "string"}, {"type": "number"}
    columns = {name: number if name in (PRICE, QUANTITY) else text for name, _ in included.cart}
    parts: dict[str, Any] = {"cut": {"const": True}}
    if included.cart:
        parts["cart"] = {"type": "array", "maxItems": LINES_MAX, "items": _object_schema(columns)}
        parts["cart_lines"] = {"type": "integer", "minimum": 0}
    if included.last is not None:
        parts["last"] = _object_schema(dict.fromkeys(included.last[1], text))
    if included.traits:
        parts["traits"] = _object_schema(dict.fromkeys([name for name, _ in included.traits], text))
    if included.totals:
        parts["totals"] = _object_schema({name: number for name, _ in included.totals})
    return _object_schema(parts)


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}
