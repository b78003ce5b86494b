"""The input contract: one Segment Spec message, as analytics.js and similar libraries send it.

The one rule: these structs are what is decoded, and the JSON Schema is generated from them. Values
inside ``properties`` stay raw until the event's name says that they are used, so an event with a name
of the shop's own may have any properties.

See also: `streams.wire.event_decoder` (a message into an event), `streams.wire.shop` (properties of shop events).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

NOTHING = Raw(b"null")

_NUMBER = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "null"}]}
_TEXT_OR_INTEGER = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
_OBJECT = {"type": ["object", "null"]}
_PRODUCTS = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Product"}}, {"type": "null"}]}

Money = Annotated[
    Raw,
    Meta(description="exact to 10⁻⁶, not negative, below 10¹²; also as text", extra_json_schema=_NUMBER),
]
Id = Annotated[
    Raw,
    Meta(description="text, or an integer that stands for its digits", extra_json_schema=_TEXT_OR_INTEGER),
]
Products = Annotated[
    Raw, Meta(description="on Cart Viewed and Checkout Started: the whole cart", extra_json_schema=_PRODUCTS)
]
Text = Annotated[Raw, Meta(extra_json_schema={"type": ["string", "null"]})]


class Product(msgspec.Struct, gc=False):
    """One product: identified by ``product_id``, else ``sku``, else ``name``."""

    product_id: Id = NOTHING
    sku: Id = NOTHING
    name: Id = NOTHING
    quantity: Money = NOTHING
    price: Money = NOTHING


class Properties(msgspec.Struct, gc=False):
    """The properties that are used in events with names of the shop; any other may be present."""

    product_id: Id = NOTHING
    sku: Id = NOTHING
    name: Id = NOTHING
    quantity: Money = NOTHING
    price: Money = NOTHING
    order_id: Id = NOTHING
    total: Money = NOTHING
    revenue: Money = NOTHING
    subtotal: Money = NOTHING
    value: Money = NOTHING
    tax: Money = NOTHING
    shipping: Money = NOTHING
    discount: Money = NOTHING
    currency: Text = NOTHING
    products: Products = NOTHING


class Envelope(msgspec.Struct, gc=False):
    """One message. The customer is ``userId``, else ``anonymousId``; it is also the record's key.

    ``type``: page, screen, track, identify, alias, group, erase, or unlink; ``event``: the name of a track. An id that
    is a placeholder, such as ``undefined`` (`rules.placeholders`), counts as absent.
    """

    type: Annotated[
        str | None,
        Meta(extra_json_schema={"enum": ["page", "screen", "track", "identify", "alias", "group", "erase", "unlink"]}),
    ] = None
    messageId: Annotated[
        str | None,
        Meta(description="one id, one event: a repeat changes nothing; above 256 characters, its head and a hash"),
    ] = None
    timestamp: Annotated[str | None, Meta(description="RFC 3339 with an offset; cut to milliseconds")] = None
    event: str | None = None
    userId: str | None = None
    anonymousId: str | None = None
    previousId: Annotated[
        str | None,
        Meta(description="of an alias: the id under which the customer was known before; of an unlink: the other id"),
    ] = None
    properties: Annotated[Raw, Meta(extra_json_schema=_OBJECT)] = NOTHING
    traits: Annotated[Raw, Meta(description="of an identify", extra_json_schema=_OBJECT)] = NOTHING
    context: Annotated[
        Raw,
        Meta(
            description="device.type, campaign.source/medium/name, referrer.url, page.referrer/url,"
            " location.country/city and locale are read; of another type they count as absent",
            extra_json_schema=_OBJECT,
        ),
    ] = NOTHING
