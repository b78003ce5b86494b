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

_ANY: dict[str, object] = {}
_OBJECT = {"anyOf": [{"type": "object"}, {"type": "array"}, {"type": "null"}]}

Money = Annotated[
    Raw,
    Meta(
        description="read without loss: a number from 0 to below 10¹² with up to six decimals, also as text such as"
        ' "1,049.90 €"; anything else counts as unknown',
        extra_json_schema=_ANY,
    ),
]
Id = Annotated[
    Raw,
    Meta(
        description="read without loss: text, or an integer that stands for its digits; anything else counts as absent",
        extra_json_schema=_ANY,
    ),
]
Products = Annotated[
    Raw,
    Meta(
        description="a list of products; on Cart Viewed and Checkout Started: the whole cart",
        extra_json_schema={"anyOf": [{"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Product"}, {}]}}, {}]},
    ),
]
Text = Annotated[Raw, Meta(description="a code such as EUR", extra_json_schema=_ANY)]


class Product(msgspec.Struct, gc=False):
    """One product: identified by ``product_id`` (formerly ``id``), else ``sku``, else ``name``.

    ``sku`` and ``variant``, where told, make lines of one product.
    """

    product_id: Id = NOTHING
    sku: Id = NOTHING
    name: Id = NOTHING
    variant: Id = NOTHING
    quantity: Money = NOTHING
    price: Money = NOTHING
    id: Id = NOTHING


class Properties(msgspec.Struct, gc=False):
    """The properties that are used in events with names of the shop; any other may be present."""

    product_id: Id = NOTHING
    sku: Id = NOTHING
    name: Id = NOTHING
    variant: Id = NOTHING
    quantity: Money = NOTHING
    price: Money = NOTHING
    id: Id = NOTHING
    order_id: Id = NOTHING
    orderId: Id = NOTHING
    cart_id: Id = NOTHING
    cartId: Id = NOTHING
    total: Money = NOTHING
    revenue: Money = NOTHING
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
        Meta(
            description="text or an integer; one id, one event: a repeat changes nothing; above 256 characters, its"
            " head and a hash"
        ),
    ] = None
    timestamp: Annotated[
        str | None,
        Meta(description="RFC 3339 with an offset; cut to milliseconds; without it, originalTimestamp counts"),
    ] = None
    originalTimestamp: str | None = None
    sentAt: Annotated[
        str | None, Meta(description="with receivedAt: by how much the client's clock is wrong, where over 60 s")
    ] = None
    receivedAt: str | None = None
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
            description="device.type/model, os.name, browser.name, userAgent, userAgentData and ua-ch (mobile,"
            " platform), campaign.source/medium/name, referrer.url, page.referrer/url/path, location.country/city/"
            "region, timezone and locale are read;"
            " of another type they count as absent",
            extra_json_schema=_OBJECT,
        ),
    ] = NOTHING
