"""Names of events and fields that are probably meant to be others: misspelt, or as another product calls them.

A name is only suggested, never taken for the other one.

See also: `rules.event_names` (spellings that are recognised), `streams.wire.segment_spec` (the fields that are read).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import islice

import msgspec

from rules.event_names import (
    CART_NAMES,
    CART_VIEWED,
    CHECKOUT_STARTED,
    ORDER_CANCELLED,
    ORDER_COMPLETED,
    ORDER_NAMES,
    ORDER_REFUNDED,
    ORDER_UPDATED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    SHOP_NAMES,
    differs_in_sense,
    nearest_reserved,
    reserved_name,
)
from streams.offline.raw_fields import Fields, fields_of, members_of, text_of
from streams.wire.segment_spec import NOTHING, Envelope, Product, Properties
from streams.wire.shop import LISTED_MAX

# The most names of an object that are looked at.
NAMES_MAX = 256
NAME_CHARS_MAX = 64
# The most names of fields of products that are looked at in a message.
PRODUCT_FIELDS_MAX = 4_096
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_NEAR = 0.85  # of `difflib`'s ratio: one letter in seven
_NEAR_MIN_CHARS = 5

# What other products call events and fields, without case and separators: GA4, Shopify's pixels and webhooks, Klaviyo,
# Meta, and plain words.
_EVENTS: Mapping[str, str] = {
    "addtocart": PRODUCT_ADDED,
    "addedtocart": PRODUCT_ADDED,
    "productaddedtocart": PRODUCT_ADDED,
    "itemadded": PRODUCT_ADDED,
    "removefromcart": PRODUCT_REMOVED,
    "removedfromcart": PRODUCT_REMOVED,
    "productremovedfromcart": PRODUCT_REMOVED,
    "itemremoved": PRODUCT_REMOVED,
    "viewitem": "Product Viewed",
    "viewcontent": "Product Viewed",
    "viewitemlist": "Product List Viewed",
    "collectionviewed": "Product List Viewed",
    "selectitem": "Product Clicked",
    "viewpromotion": "Promotion Viewed",
    "selectpromotion": "Promotion Clicked",
    "search": "Products Searched",
    "searchsubmitted": "Products Searched",
    "viewcart": CART_VIEWED,
    "begincheckout": CHECKOUT_STARTED,
    "initiatecheckout": CHECKOUT_STARTED,
    "checkoutscreate": CHECKOUT_STARTED,
    "addshippinginfo": "Checkout Step Completed",
    "addpaymentinfo": "Payment Info Entered",
    "paymentinfosubmitted": "Payment Info Entered",
    "purchase": ORDER_COMPLETED,
    "purchased": ORDER_COMPLETED,
    "purchasecomplete": ORDER_COMPLETED,
    "purchasecompleted": ORDER_COMPLETED,
    "checkoutcomplete": ORDER_COMPLETED,
    "checkoutcompleted": ORDER_COMPLETED,
    "orderplaced": ORDER_COMPLETED,
    "ordercreated": ORDER_COMPLETED,
    "orderconfirmed": ORDER_COMPLETED,
    "orderpaid": ORDER_COMPLETED,
    "orderscreate": ORDER_COMPLETED,
    "orderspaid": ORDER_COMPLETED,
    "placedorder": ORDER_COMPLETED,
    "transaction": ORDER_COMPLETED,
    "ordersupdated": ORDER_UPDATED,
    "orderscancelled": ORDER_CANCELLED,
    "refund": ORDER_REFUNDED,
    "refundscreate": ORDER_REFUNDED,
    "refundedpurchase": ORDER_REFUNDED,
}
# Other names of the Segment Spec, which are right as they are, without case and separators.
_OF_SPEC = frozenset({
    "productshared", "cartshared", "productreviewed", "productaddedtowishlist", "productremovedfromwishlist",
    "applicationinstalled", "applicationopened", "applicationupdated", "applicationbackgrounded",
    "applicationforegrounded", "applicationcrashed", "applicationuninstalled", "pushnotificationreceived",
    "pushnotificationtapped", "pushnotificationbounced", "installattributed", "deeplinkclicked", "deeplinkopened",
    "emailbounced", "emaildelivered", "emaillinkclicked", "emailmarkedasspam", "emailopened", "unsubscribed",
    "signedup", "signedin", "signedout", "accountcreated", "accountdeleted", "accountaddeduser",
    "accountremoveduser", "invitesent", "trialstarted", "trialended", "experimentviewed", "videoplaybackstarted",
    "videoplaybackpaused", "videoplaybackinterrupted", "videoplaybackbufferstarted", "videoplaybackbuffercompleted",
    "videoplaybackseekstarted", "videoplaybackseekcompleted", "videoplaybackresumed", "videoplaybackcompleted",
    "videoplaybackexited", "videocontentstarted", "videocontentplaying", "videocontentcompleted", "videoadstarted",
    "videoadplaying", "videoadcompleted", "livechatconversationstarted", "livechatconversationended",
    "livechatmessagesent", "livechatmessagereceived",
})  # fmt: skip
_FIELDS: Mapping[str, str] = {
    "customerid": "userId",
    "uid": "userId",
    "clientid": "anonymousId",
    "visitorid": "anonymousId",
    "deviceid": "anonymousId",
    "eventid": "messageId",
    "uuid": "messageId",
    "eventname": "event",
    "eventtype": "type",
    "name": "event",
    "property": "properties",
    "props": "properties",
    "params": "properties",
    "parameters": "properties",
    "attributes": "properties",
    "eventproperties": "properties",
    "userproperties": "traits",
    "userattributes": "traits",
    "time": "timestamp",
    "ts": "timestamp",
    "createdat": "timestamp",
    "occurredat": "timestamp",
    "itemid": "product_id",
    "itemname": "name",
    "qty": "quantity",
    "unitprice": "price",
    "itemprice": "price",
    "transactionid": "order_id",
    "ordernumber": "order_id",
    "items": "products",
    "lineitems": "products",
    "currencycode": "currency",
    "amount": "total",
    "value": "total",
    "grandtotal": "total",
    "ordertotal": "total",
    "totalprice": "total",
    "carttoken": "cart_id",
    "basketid": "cart_id",
}

ENVELOPE = frozenset(Envelope.__struct_fields__)
# The fields of a message that is no track: its `name` is that of a page, say.
UNNAMED_ENVELOPE = ENVELOPE - {"event"}
PROPERTIES = frozenset(Properties.__struct_fields__)
# What is read of an event of a cart: an order and its value are not.
OF_CART = PROPERTIES - {"total", "revenue", "order_id", "orderId"}
PRODUCT = frozenset(Product.__struct_fields__)
# Fields of the Segment Spec that are not read, and near to one that is.
_OTHER_FIELDS = frozenset({"subtotal", "product", "names", "types", "version", "groupId", "channel", "category"})
# Values for which no name is suggested.
_ABSENT = (NOTHING, msgspec.Raw(b'""'))
# The fields whose values are objects or lists; those of all others are texts and numbers.
_CONTAINERS = frozenset({"properties", "traits", "context", "products"})
# Either of these says what the other does. A product's name is no reason to leave its id unread.
_EQUAL = (
    {"total", "revenue"},
    {"product_id", "id", "sku"},
    {"order_id", "orderId", "id"},
    {"cart_id", "cartId"},
)


@lru_cache(maxsize=1_024)
def near_event(name: str, of_segments: frozenset[str]) -> str | None:
    """The name that an event of a shop's own name was probably to have: a reserved one, or one that a segment names."""
    if name in of_segments or reserved_name(name) is not None:
        return None
    folded = _folded(name)
    for other in of_segments:
        if folded == _folded(other):
            return other
    if folded in _OF_SPEC:
        return None
    return nearest_reserved(name) or _EVENTS.get(folded) or _near(folded, of_segments)


def near_fields(fields: Mapping[str, msgspec.Raw], read: frozenset[str]) -> Mapping[str, str]:
    """Of the names in an object, those that are not read, each with the field that it probably stands for.

    ``read``: the fields that are read there. Only fields that the object lacks, and that may have such a value, are
    suggested.
    """
    shapes = frozenset(
        (name, bytes(memoryview(raw)[:1]) in (b"[", b"{"))
        for name, raw in islice(fields.items(), NAMES_MAX)
        if len(name) <= NAME_CHARS_MAX and raw not in _ABSENT
    )
    return _near_fields(shapes, read)


def near_fields_of_message(message: Fields, event: str | None) -> Iterator[tuple[str, str]]:
    """Names in a message that are not read, each with the field that it probably stands for: ``properties.qty``.

    ``event``: the name that its event was meant to have; only those of a shop's have known properties.
    """
    is_track = "event" in message or text_of(message.get("type", NOTHING)) in (None, "track")
    yield from near_fields(message, ENVELOPE if is_track else UNNAMED_ENVELOPE).items()
    if event not in SHOP_NAMES:
        return
    wanted = PROPERTIES if event in ORDER_NAMES else OF_CART if event in CART_NAMES else PRODUCT
    properties = fields_of(message.get("properties", NOTHING))
    if not properties:
        for name in sorted((wanted & message.keys()) - ENVELOPE - {"name", "id"}):
            yield name, f"properties.{name}"
    for name, field in near_fields(properties, wanted).items():
        yield f"properties.{name}", f"properties.{field}"
    looked_at = 0
    for product in members_of(properties.get("products", NOTHING))[:LISTED_MAX]:
        fields = fields_of(product)
        looked_at += len(fields)
        if looked_at > PRODUCT_FIELDS_MAX:
            return
        for name, field in near_fields(fields, PRODUCT).items():
            yield f"properties.products.{name}", f"properties.products.{field}"


@lru_cache(maxsize=1_024)
def _near_fields(shapes: frozenset[tuple[str, bool]], read: frozenset[str]) -> Mapping[str, str]:
    """See `near_fields`: the objects of a sender mostly have the same names.

    ``shapes``: each name, and whether its value is an object or a list.
    """
    present = frozenset(name for name, _ in shapes)
    lacking = {field for field in read - present if not any(field in equal and equal & present for equal in _EQUAL)}
    near = {}
    for name, is_container in sorted(shapes):
        if name in read or name in _OTHER_FIELDS:
            continue
        field = _near_field(name, {field for field in lacking if (field in _CONTAINERS) is is_container})
        if field is not None:
            near[name] = field
    return near


def _near_field(name: str, lacking: Collection[str]) -> str | None:
    folded = _folded(name)
    for field in sorted(lacking, key=_is_former):
        if folded == _folded(field):
            return field
    meant = _FIELDS.get(folded)
    return meant if meant in lacking else _near(folded, lacking)


def _is_former(field: str) -> bool:
    """Whether a field has its name of the first version of the Segment Spec, beside which it has another one."""
    return field in ("id", "orderId", "cartId")


def _near(folded: str, names: Collection[str]) -> str | None:
    """The name to which a folded text is nearest, if it is near."""
    if len(folded) < _NEAR_MIN_CHARS:
        return None
    by_folded = {_folded(name): name for name in names if len(name) >= _NEAR_MIN_CHARS}
    for nearest in difflib.get_close_matches(folded, sorted(by_folded), 3, _NEAR):
        if not differs_in_sense(folded, nearest):
            return by_folded[nearest]
    return None


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name.lower())
