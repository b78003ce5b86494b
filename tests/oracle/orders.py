"""The orders of a customer, as the oracle reads them: what stands, since when, and what it is worth.

Each is the fold of all messages about it, in (time, messageId) order.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from tests.oracle.amounts import (
    MILLION,
    Money,
    in_currency,
    is_same_currency,
    limited,
    money,
    named_currency,
    read_number,
)
from tests.oracle.facts import Fact
from tests.oracle.names import CANCELLED, COMPLETED, PURCHASES, REFUNDED, UPDATED
from tests.oracle.values import DAY_MS, Json, field, identifier, listed, mapping

ORDER_RETENTION_MS = 90 * DAY_MS  # the product's stated bound, beyond the longest window over orders
LINES_MAX = 16  # the lines of an order whose prices are known to a refund
LINES_MS = 180 * DAY_MS  # and for how long
AMOUNTS = ("total", "revenue")


class Order(NamedTuple):
    """An order that stands: since its `completion`, which tells what the order's newest message told.

    Its value is in millionths of its own currency, less what is known to be refunded; None: unknown, or not told.
    """

    completion: Fact
    value: Fraction | None
    currency: str | None = None


def standing_orders(facts: Sequence[Fact], retention_ms: int | None, currency: str | None = None) -> list[Order]:
    """Each order that stands: neither cancelled since its last completion, nor ever fully refunded."""
    orders = by_order(order_messages(facts, retention_ms)).values()
    standing = [order_of(messages, currency) for messages in orders]
    return [order for order in standing if order is not None]


def by_order(messages: Iterable[Fact]) -> dict[tuple[str, str], list[Fact]]:
    orders: dict[tuple[str, str], list[Fact]] = {}
    for message in messages:
        orders.setdefault(order_key(message), []).append(message)
    return orders


def order_messages(facts: Sequence[Fact], retention_ms: int | None) -> list[Fact]:
    """The messages about an order that still count: none older than `retention_ms` before the newest.

    A refund, cancel or update without an order id is about no order.
    """
    messages = [what for what in facts if what.name in PURCHASES]
    messages = [what for what in messages if what.name == COMPLETED or order_key(what)[0] == "order"]
    return [what for what in messages if retention_ms is None or what.time >= messages[-1].time - retention_ms]


def order_key(message: Fact) -> tuple[str, str]:
    order_id = own_id(message.properties, "order_id")
    return ("message", message.message_id) if order_id is None else ("order", order_id)


def own_id(properties: Json, name: str) -> str | None:
    """An id under its name; where that is none, under the name of the spec's first version."""
    return identifier(properties.get(name)) or identifier(field({**properties, name: None}, name))


# --- standing ----------------------------------------------------------------------------------


def order_of(messages: list[Fact], currency: str | None = None) -> Order | None:
    """The order as its messages leave it; None when it does not stand."""
    begun = standing_since(messages)
    if begun is None or was_fully_refunded(messages, currency):
        return None
    value = value_of_order(messages, currency)
    stated = begun._replace(properties=stated_properties(messages), context=tellers(messages)[-1].context)
    refunds = sum(refunds_known(messages, currency), Fraction(0))
    readable = None if value is None or value.size is None else value.size - refunds
    return Order(stated, readable, own_currency(messages, currency))


def standing_since(messages: list[Fact]) -> Fact | None:
    """The first completion, or the first after the newest cancel; None where there is none."""
    begun: Fact | None = None
    for message in messages:
        if message.name == CANCELLED:
            begun = None
        elif message.name == COMPLETED and begun is None:
            begun = message
    return begun


def was_fully_refunded(messages: list[Fact], currency: str | None) -> bool:
    """Whether at any of its messages the order was fully refunded; nothing undoes that."""
    return any(fully_refunded(messages[: index + 1], currency) for index in range(len(messages)))


def fully_refunded(messages: list[Fact], currency: str | None) -> bool:
    """A refund without amount and products, or refunds that reach the order's value."""
    if any(message.name == REFUNDED and is_whole(message) for message in messages):
        return True
    amounts, value = refunds_known(messages, currency), value_of_order(messages, currency)
    return bool(amounts) and value is not None and value.size is not None and sum(amounts) >= value.size


# --- value -------------------------------------------------------------------------------------


def tellers(messages: list[Fact]) -> list[Fact]:
    """The messages that tell what the order is."""
    return [message for message in messages if message.name in (COMPLETED, UPDATED)]


def value_of_order(messages: list[Fact], currency: str | None) -> Money | None:
    """The amount that was told last, be it unknown; None where none ever was."""
    amounts = [amount(message, currency) for message in tellers(messages)]
    return next((stated for stated in reversed(amounts) if stated is not None), None)


def amount(message: Fact, currency: str | None, own: str | None = None) -> Money | None:
    """The total, else the revenue; None where neither is told. A negative refund is one of that size."""
    raw = amount_as_stated(message)
    stated = money(raw, named_currency(message.properties), currency, own)
    size = None if stated is None or message.name != REFUNDED else size_without_sign(raw)
    return stated if stated is None or size is None else stated._replace(size=size)


def amount_as_stated(message: Fact) -> object:
    values = (message.properties.get(name) for name in AMOUNTS)
    return next((value for value in values if read_number(value) is not None), None)


def size_without_sign(value: object) -> int | None:
    number = read_number(value)
    return None if number is None or number.size is None else limited(abs(number.size))


def own_currency(messages: list[Fact], currency: str | None) -> str | None:
    """The currency of the order: that of its value, else the one that it named last, else the file's."""
    value = value_of_order(messages, currency)
    named = [named_currency(message.properties) for message in tellers(messages)]
    return next((code for code in reversed(named) if code), currency) if value is None else value.currency


def stated_properties(messages: list[Fact]) -> Json:
    """The properties of the newest message; without an amount the former one stands."""
    newest = tellers(messages)[-1].properties
    telling = [message for message in tellers(messages) if amount_as_stated(message) is not None]
    if not telling or telling[-1].properties is newest:
        return newest
    former = telling[-1].properties
    own = {name: value for name, value in newest.items() if name not in AMOUNTS}
    return own | {name: in_its_currency(former[name], former) for name in AMOUNTS if name in former}


def in_its_currency(value: object, properties: Json) -> object:
    """An amount with the currency of its message, which another message may not name."""
    stated, code = read_number(value), named_currency(properties)
    return f"{value} {code}" if code and stated is not None and stated.currency is None else value


# --- refunds -----------------------------------------------------------------------------------


def is_whole(refund: Fact) -> bool:
    """Whether a refund says neither how much nor what."""
    return amount_as_stated(refund) is None and refund.properties.get("products") in (None, "", [], {})


def refunds_known(messages: list[Fact], currency: str | None) -> list[Fraction]:
    """The amounts, in the order's currency, of those refunds whose amount is known."""
    refunds = [message for message in messages if message.name == REFUNDED and not is_whole(message)]
    amounts = [refunded(refund, messages, currency) for refund in refunds]
    return [readable for readable in amounts if readable is not None]


def refunded(refund: Fact, messages: list[Fact], currency: str | None) -> Fraction | None:
    """What a refund takes from the order; None: unknown."""
    own = own_currency(messages, currency)
    stated = amount(refund, currency, own)
    if stated is None:
        return worth_of_products(refund, messages, currency)
    return None if stated.size is None or not is_same_currency(stated.currency, own) else Fraction(stated.size)


def worth_of_products(refund: Fact, messages: list[Fact], currency: str | None) -> Fraction | None:
    """Price × quantity of all that is refunded; unknown if one of the prices is, or is in another currency."""
    products = refund.properties.get("products")
    if not isinstance(products, list):
        return None
    own, whole = own_currency(messages, currency), Fraction(0)
    for product in map(mapping, products):
        of, price = price_in_order(product, refund, messages, currency)
        if price is None:
            of, price = refund, price_in(product, refund, currency, own)
        if price is None or not is_same_currency(currency_of(of, currency, own), own):
            return None
        whole += Fraction(price * quantity_of(product), MILLION)
    return whole


def price_in_order(product: Json, refund: Fact, messages: list[Fact], currency: str | None) -> tuple[Fact, int | None]:
    """The price of the first line in the order that tells one and is of the product, and the message that says so."""
    own = own_currency(messages, currency)
    for message in listing_at(refund, messages):
        if message.time >= refund.time - LINES_MS:
            lines = map(mapping, listed(message.properties["products"])[:LINES_MAX])
            prices = [price_in(line, message, currency, own) for line in lines if is_same_line(line, product)]
            return message, next((price for price in prices if price is not None), None)
    return refund, None


def listing_at(refund: Fact, messages: list[Fact]) -> list[Fact]:
    """The completion or update whose products are refunded: the newest that lists some, else the first after it."""
    place = messages.index(refund)
    before = [message for message in tellers(messages[:place]) if lists_products(message)]
    after = [message for message in tellers(messages[place:]) if lists_products(message)]
    return before[-1:] or after[:1]


def lists_products(message: Fact) -> bool:
    products = message.properties.get("products")
    return isinstance(products, list) and bool(products)


def price_in(line: Json, message: Fact, currency: str | None, own: str | None) -> int | None:
    """The price of a line, if it is in the currency of its message."""
    of_message = currency_of(message, currency, own)
    named = named_currency(line) or named_currency(message.properties)
    return in_currency(money(line.get("price"), named, currency, of_message), of_message)


def currency_of(message: Fact, currency: str | None, own: str | None) -> str | None:
    """The currency that a message tells: with its amount, or beside it; else the file's, or of a refund the order's."""
    if message.name == REFUNDED:
        return named_currency(message.properties) or own
    stated = amount(message, currency)
    return stated.currency if stated is not None else named_currency(message.properties) or currency


# --- lines -------------------------------------------------------------------------------------


def product_of(properties: Json) -> str | None:
    """product_id, else sku, else name; None is the one unnamed product."""
    return own_id(properties, "product_id") or identifier(properties.get("sku")) or identifier(properties.get("name"))


def is_same_line(line: Json, other: Json) -> bool:
    """Whether two lines are of one product and differ in nothing that both tell."""
    stated = [(identifier(line.get(part)), identifier(other.get(part))) for part in ("sku", "variant")]
    return product_of(line) == product_of(other) and all(a is None or b is None or a == b for a, b in stated)


def quantity_stated(properties: Json) -> int | None:
    """The quantity; None: absent, or unknown, which is the same."""
    stated = read_number(properties.get("quantity"))
    return None if stated is None else limited(stated.size)


def quantity_of(properties: Json) -> int:
    quantity = quantity_stated(properties)
    return MILLION if quantity is None else quantity


def stated_products(properties: Json) -> list[Json]:
    """The products of an event: those that it lists, else the single one that it tells."""
    products = properties.get("products")
    return (
        [mapping(product) for product in listed(products)] if isinstance(products, list) and products else [properties]
    )
