"""What the changes of a segment carry of the customer (`include`), so that a message can say what it is about.

    include:
      cart: [product_id, name, image_url, url, price, quantity]   the lines of the open cart, the newest first
      last: {event: Product Viewed, of: [name, url]}               properties of the newest event of these names
      traits: [first_name]                                         values of traits
      totals: {spent: {agg: sum, of: total, event: Order Completed}}   a `total` without its test

It stands in a change as `data`, as it is when the change is decided, and decides nothing. Its facts are kept only where
a file asks for them.

See also: `rules.definitions.change_data` (the data), `rules.included_texts` (what may stand in a text), and
`rules.facts.change_contents` (what is stored).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from rules.conditions.aggregates import Total
from rules.conditions.base import Scope
from rules.conditions.totals import total_without_test
from rules.definitions.change_data import OF_LINE, PRICE, Include
from rules.event_names import IDENTIFY, WITHOUT_EFFECT
from rules.facts.carts import CartFact
from rules.facts.change_contents import NewestValuesFact, ProductTextsFact
from rules.forms.form import EventNames, Form, property_name
from rules.forms.json_schema import TEXT, reference
from rules.forms.problems import WrongCondition
from rules.included_texts import is_address_name
from rules.values import path_of

# The most names of each part.
NAMES_MAX = 12

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
        measured, canonical_totals[name] = total_without_test(
            scope, f"{path}.totals.{name}", total, "the value is carried, whatever it is"
        )
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
        (name, None if name in OF_LINE else ProductTextsFact.require(scope.facts, name, scope.own_hosts))
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
