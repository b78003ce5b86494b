"""Events: actions of a customer and statements about it, as the rules see them.

The name decides the meaning of an event, never the topic that it came on.

See also: `rules.event_names` (the names), `streams.wire.event_decoder` (makes events of records), and
`rules.identity.events` (events between ids of one person).
"""

from __future__ import annotations

import msgspec

from rules.context import NO_CONTEXT, Context
from rules.event_names import ERASE
from rules.values import NO_DOCUMENT, Document


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The place of an event's record: topic, partition, offset."""

    topic: str
    partition: int
    offset: int


class Item(msgspec.Struct, frozen=True, gc=False):
    """A product of an event; ``quantity`` and ``price`` in 10⁻⁶, ``None`` when the event states none that can be read.

    ``product``: its id, else SKU, else name, with its SKU and variant where they are told (`rules.profile.products`).
    ``currency``: that of the price, as `rules.currencies.money_currency` gives it. ``is_unpriced``: the price cannot be
    read.
    """

    product: str
    quantity: int | None = None
    price: int | None = None
    currency: str = ""
    is_unpriced: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event of a customer: its name, its time (ms, UTC), and its message id.

    ``items`` are the products of an item or order event (``None``: the event names none). ``order``: of an order event,
    ``amount``: its value (10⁻⁶ of ``currency``); ``None`` if it states none, or with ``is_unvalued`` none that can be
    read. ``cart``: the cart that a cart or order event names. ``unread``: properties whose value cannot be read.
    ``properties``, ``traits`` (of an
    identify) and ``context`` are read when a rule asks for them. ``link``: another id of the same person;
    ``vouched``: by an `alias` on `profiles`, whose writers vouch for it. ``identifies``: the event names its customer
    as `userId` (see `rules.identity.resolution`).
    """

    customer: str
    name: str
    time: int
    id: str
    items: tuple[Item, ...] | None = None
    order: str | None = None
    amount: int | None = None
    origin: Origin | None = None
    properties: Document = NO_DOCUMENT
    traits: Document = NO_DOCUMENT
    context: Context = NO_CONTEXT
    link: str | None = None
    vouched: bool = False
    identifies: bool = False
    currency: str = ""
    cart: str | None = None
    is_unvalued: bool = False
    unread: tuple[str, ...] = ()

    @property
    def is_erasure(self) -> bool:
        """Whether the event asks for the customer to be erased."""
        return self.name == ERASE and type(self) is Event
