"""The cart of a customer, as the oracle reads it: what lies in it, what it is worth and since when it is quiet.

It is the fold of all cart events and of the orders that end carts, in time order.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tests.oracle.amounts import MILLION, in_currency, money, named_currency
from tests.oracle.facts import Fact, moment_of
from tests.oracle.names import ADDING, CANCELLED, CARTS, CHECKOUT, COMPLETED, REMOVING, REPLACING
from tests.oracle.orders import (
    by_order,
    order_messages,
    own_id,
    product_of,
    quantity_of,
    quantity_stated,
    stated_products,
)
from tests.oracle.values import DAY_MS, Json, identifier, mapping

ITEM_RETENTION_MS = 90 * DAY_MS  # the product's stated bound of a cart
ITEMS_MAX = 256  # the newest items, over all events
CARTS_MAX = 16  # the cart ids that are told apart
REPEAT_MS = 5 * 60_000  # a repeat of an order ends carts for so long


class Line(NamedTuple):
    """What tells the lines of the carts apart."""

    cart: str | None
    product: str | None
    sku: str | None
    variant: str | None


class Ending(NamedTuple):
    """An order that ends a cart, and the items without one; `cart` None: all carts."""

    time: int
    cart: str | None


class Item(NamedTuple):
    """A product that a cart event speaks of, where it stands among all such, and its price (None: not told)."""

    rank: int
    properties: Json
    price: object
    known_price: int | None


class Open(NamedTuple):
    """The open carts: their items, how much of their value is known and whether that is all, and their events."""

    items: Fraction
    value: Fraction
    is_value_known: bool
    touches: list[Fact]
    products: dict[str, Fraction]

    @property
    def is_at_checkout(self) -> bool:
        return any(what.name in CHECKOUT for what in self.touches)


def open_carts(facts: Sequence[Fact], currency: str | None, retention_ms: int | None) -> Open | None:
    """What all open carts hold; None where none is open."""
    touches = still_counting(facts)
    carts, items, endings = carts_stated_apart(touches), items_of(touches, currency), endings_of(facts, retention_ms)
    voids = newest_whole_cart(touches, carts, items)
    fold = Fold()
    for what in in_time_order(touches, endings):
        if isinstance(what, Ending):
            fold.end(what)
        else:
            is_void = voids is not None and carts[what.message_id] is None and moment_of(what) < voids
            fold.touch(what, carts[what.message_id], items[what.message_id], is_void=is_void)
    return fold.result([what for what in touches if not is_over(what.time, carts[what.message_id], endings)], carts)


def newest_whole_cart(
    touches: list[Fact], carts: dict[str, str | None], items: dict[str, list[Item] | None]
) -> tuple[int, str] | None:
    """The newest event that states the whole cart and names none: item events before it that name none are void."""
    stating = [what for what in touches if what.name in REPLACING and items[what.message_id] is not None]
    return max((moment_of(what) for what in stating if carts[what.message_id] is None), default=None)


def still_counting(facts: Sequence[Fact]) -> list[Fact]:
    """The cart events that are not more than 90 days older than the newest."""
    touches = [what for what in facts if what.name in CARTS]
    return [what for what in touches if what.time >= touches[-1].time - ITEM_RETENTION_MS]


def in_time_order(touches: list[Fact], endings: list[Ending]) -> list[Fact | Ending]:
    """An order ends the carts up to its time, its own millisecond included."""
    steps: list[Fact | Ending] = [*touches, *endings]
    return sorted(steps, key=lambda step: (step.time, 0, moment_of(step)) if isinstance(step, Fact) else (step.time, 1))


def carts_stated_apart(touches: list[Fact]) -> dict[str, str | None]:
    """The cart of each event, by messageId: of the 16 ids that were named last."""
    own = {what.message_id: own_id(what.properties, "cart_id") for what in touches}
    newest_first = dict.fromkeys(own[what.message_id] for what in reversed(touches))
    readable = [cart for cart in newest_first if cart is not None][:CARTS_MAX]
    return {message_id: cart if cart in readable else None for message_id, cart in own.items()}


# --- orders that end carts ---------------------------------------------------------------------


def endings_of(facts: Sequence[Fact], retention_ms: int | None) -> list[Ending]:
    """Every completion that ends carts, and which."""
    ending = [
        what
        for messages in by_order(order_messages(facts, retention_ms)).values()
        for what in ending_completions(messages)
    ]
    return [Ending(what.time, ended_cart(what, facts)) for what in ending]


def ending_completions(messages: list[Fact]) -> list[Fact]:
    """The first completion, and its repeats for five minutes; not those with which it stands again after a cancel."""
    ending: list[Fact] = []
    is_cancelled = False
    for message in messages:
        if message.name == COMPLETED:
            is_repeat = bool(ending) and not is_cancelled and message.time <= ending[0].time + REPEAT_MS
            if not ending or is_repeat:
                ending.append(message)
        if message.name in (COMPLETED, CANCELLED):
            is_cancelled = message.name == CANCELLED
    return ending


def ended_cart(order: Fact, facts: Sequence[Fact]) -> str | None:
    """The order's own cart, if a cart event up to then named it."""
    cart = own_id(order.properties, "cart_id")
    named = {own_id(what.properties, "cart_id") for what in facts if what.name in CARTS and what.time <= order.time}
    return cart if cart in named else None


def is_over(time: int, cart: str | None, endings: list[Ending]) -> bool:
    return any(time <= ending.time and is_ended(cart, ending) for ending in endings)


def is_ended(cart: str | None, ending: Ending) -> bool:
    return ending.cart is None or cart is None or cart == ending.cart


# --- items -------------------------------------------------------------------------------------


def items_of(touches: list[Fact], currency: str | None) -> dict[str, list[Item] | None]:
    """The items of each event, by messageId: the newest 256 of all; None: the event speaks of none."""
    stated = {what.message_id: stated_items(what) for what in touches}
    ranked = [(what, properties) for what in touches for properties in stated[what.message_id] or ()]
    items: dict[str, list[Item] | None] = {key: None if own is None else [] for key, own in stated.items()}
    for rank, (what, properties) in list(enumerate(ranked))[-ITEMS_MAX:]:
        own = items[what.message_id]
        assert own is not None
        own.append(item_of(rank, properties, what, currency))
    return items


def stated_items(what: Fact) -> list[Json] | None:
    """The products that an event adds, takes out, or puts in the place of what was there."""
    if what.name in ADDING | REMOVING:
        names_one = any(identifier(what.properties.get(name)) is not None for name in ("product_id", "id", "sku"))
        return [what.properties] if names_one else stated_products(what.properties)
    products = what.properties.get("products")
    return list(map(mapping, products)) if what.name in REPLACING and isinstance(products, list) else None


def item_of(rank: int, properties: Json, what: Fact, currency: str | None) -> Item:
    named = named_currency(properties) or named_currency(what.properties)
    stated = money(properties.get("price"), named, currency)
    return Item(rank, properties, stated, in_currency(stated, currency))


def line_of(cart: str | None, properties: Json) -> Line:
    sku, variant = identifier(properties.get("sku")), identifier(properties.get("variant"))
    return Line(cart, product_of(properties), sku, variant)


def is_taken(line: Line, removal: Line) -> bool:
    """Whether a removal takes from this line: of the cart that it names, and differing in nothing that both tell."""
    parts = ((removal.cart, line.cart), (removal.sku, line.sku), (removal.variant, line.variant))
    is_in_cart = removal.cart is None or removal.cart == line.cart
    return is_in_cart and removal.product == line.product and all(None in part or part[0] == part[1] for part in parts)


# --- the fold ----------------------------------------------------------------------------------


class Fold:
    """The lines of all carts on the way through the events; quantities in millionths."""

    def __init__(self) -> None:
        self.quantities: dict[Line, int] = {}
        self.added: dict[Line, int] = {}  # the rank of the item that was last put into the line
        self.newest: dict[str | None, tuple[int, str]] = {}  # the newest item event of each cart
        self.prices: dict[Line, int | None] = {}  # the last known price; None: told, but never known

    def end(self, ending: Ending) -> None:
        for line in [line for line in {**self.quantities, **self.prices} if is_ended(line.cart, ending)]:
            self.quantities.pop(line, None)
            self.prices.pop(line, None)

    def touch(self, what: Fact, cart: str | None, items: list[Item] | None, *, is_void: bool) -> None:
        if is_void:  # but for the prices that it tells
            for item in items or ():
                self.tell_price(line_of(cart, item.properties), item)
            return
        if what.name in REPLACING and items is not None:
            self.quantities = {
                line: amounts for line, amounts in self.quantities.items() if line.cart not in (cart, None)
            }
        for item in items or ():
            if what.name in REMOVING:
                self.remove(line_of(cart, item.properties), item)
            else:
                self.add(line_of(cart, item.properties), item)
        if items is not None:
            self.newest[cart] = moment_of(what)

    def add(self, line: Line, item: Item) -> None:
        self.quantities[line] = self.quantities.get(line, 0) + quantity_of(item.properties)
        self.added[line] = item.rank
        self.tell_price(line, item)

    def remove(self, removal: Line, item: Item) -> None:
        """Take from the lines that the removal speaks of, the newest first."""
        left = quantity_stated(item.properties) or None  # a removal of none would be no removal: all are removed
        self.tell_price(removal, item)
        for line in self.newest_first([line for line in self.quantities if is_taken(line, removal)]):
            gone = self.quantities[line] if left is None else min(left, self.quantities[line])
            self.quantities[line] -= gone
            left = None if left is None else left - gone

    def newest_first(self, lines: list[Line]) -> list[Line]:
        """By the newest item event of the cart, then by when something was last put into the line."""
        return sorted(lines, key=lambda line: (self.newest[line.cart], self.added[line]), reverse=True)

    def tell_price(self, line: Line, item: Item) -> None:
        """What is told and not known leaves the price that was known."""
        if item.known_price is not None:
            self.prices[line] = item.known_price
        elif item.price is not None:
            self.prices.setdefault(line, None)

    def result(self, touches: list[Fact], carts: dict[str, str | None]) -> Open | None:
        """The carts that hold something; an event that names no cart is one of each of them."""
        amounts = {line: quantity for line, quantity in self.quantities.items() if quantity > 0}
        if not amounts:
            return None
        readable = {line: self.prices.get(line, 0) for line in amounts}
        value = sum(quantity * (readable[line] or 0) for line, quantity in amounts.items())
        own = {None, *(line.cart for line in amounts)}
        return Open(
            Fraction(sum(amounts.values()), MILLION),
            Fraction(value, MILLION**2),
            all(price is not None for price in readable.values()),
            [what for what in touches if carts[what.message_id] in own],
            by_product(amounts),
        )


def by_product(amounts: dict[Line, int]) -> dict[str, Fraction]:
    """How much there is of each product that has an id, over all its lines."""
    products: dict[str, Fraction] = {}
    for line, quantity in amounts.items():
        if line.product:
            products[line.product] = products.get(line.product, Fraction(0)) + Fraction(quantity, MILLION)
    return products
