"""Names of events and fields that are probably meant to be others: misspelt, or as another product calls them.

A name is only suggested, never taken for the other one.

See also: `rules.event_names` (spellings that are recognised), `streams.wire.segment_spec` (the fields that are read).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import islice

from rules.event_names import (
    CART_VIEWED,
    CHECKOUT_STARTED,
    ORDER_COMPLETED,
    ORDER_REFUNDED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    nearest_reserved,
    reserved_name,
)
from streams.wire.segment_spec import Envelope, Product, Properties

# The most names of an object that are looked at.
NAMES_MAX = 256
NAME_CHARS_MAX = 64
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_NEAR = 0.85  # of `difflib`'s ratio: one letter in seven
_NEAR_MIN_CHARS = 5

# What other products call events and fields, without case and separators: GA4, Shopify's pixels, and plain words.
_EVENTS: Mapping[str, str] = {
    "addtocart": PRODUCT_ADDED,
    "addedtocart": PRODUCT_ADDED,
    "productaddedtocart": PRODUCT_ADDED,
    "itemadded": PRODUCT_ADDED,
    "removefromcart": PRODUCT_REMOVED,
    "productremovedfromcart": PRODUCT_REMOVED,
    "viewitem": "Product Viewed",
    "viewcart": CART_VIEWED,
    "begincheckout": CHECKOUT_STARTED,
    "initiatecheckout": CHECKOUT_STARTED,
    "purchase": ORDER_COMPLETED,
    "purchased": ORDER_COMPLETED,
    "checkoutcompleted": ORDER_COMPLETED,
    "orderplaced": ORDER_COMPLETED,
    "ordercreated": ORDER_COMPLETED,
    "orderpaid": ORDER_COMPLETED,
    "placedorder": ORDER_COMPLETED,
    "transaction": ORDER_COMPLETED,
    "refund": ORDER_REFUNDED,
    "refundedpurchase": ORDER_REFUNDED,
}
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
PROPERTIES = frozenset(Properties.__struct_fields__)
# What is read of an event of a cart: an order and its value are not.
OF_CART = PROPERTIES - {"total", "revenue", "order_id", "orderId"}
PRODUCT = frozenset(Product.__struct_fields__)
# Fields of the Segment Spec that are not read, and near to one that is.
_OTHER_FIELDS = frozenset({"subtotal", "product", "names", "types", "version", "groupId", "channel", "category"})
# Either of these says what the other does.
_EQUAL = (
    {"total", "revenue"},
    {"product_id", "id", "sku", "name"},
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
    return nearest_reserved(name) or _EVENTS.get(folded) or _near(folded, of_segments)


def near_fields(names: Iterable[str], read: frozenset[str]) -> Mapping[str, str]:
    """Of the names in an object, those that are not read, each with the field that it probably stands for.

    ``read``: the fields that are read there. Only fields that the object lacks are suggested.
    """
    short = frozenset(name for name in islice(names, NAMES_MAX) if len(name) <= NAME_CHARS_MAX)
    return _near_fields(short, read)


@lru_cache(maxsize=1_024)
def _near_fields(present: frozenset[str], read: frozenset[str]) -> Mapping[str, str]:
    """See `near_fields`: the objects of a sender mostly have the same names."""
    lacking = {field for field in read - present if not any(field in equal and equal & present for equal in _EQUAL)}
    near = {}
    for name in sorted(present - read - _OTHER_FIELDS):
        field = _near_field(name, lacking)
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
    nearest = difflib.get_close_matches(folded, sorted(by_folded), 1, _NEAR)
    return by_folded[nearest[0]] if nearest else None


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name.lower())
