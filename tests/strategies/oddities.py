"""What shops really send: events as they are drawn elsewhere, told in odd ways.

Its one rule: a scene is about a few oddities, or about none, and each of them changes some of its events; an event
stays a usable record.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Event = dict[str, object]
T = TypeVar("T")


class Pick(Protocol):
    """One of several: the only way in which anything here is chosen."""

    def __call__(self, options: Sequence[T], /) -> T: ...


OFTEN = (True, True, False)
NUMBERS = ("total", "revenue", "price", "quantity", "score")
TEXTS = ("color", "category", "coupon", "city", "plan")
BOOLEANS = ("color", "coupon", "score")
SINGLE = ("color", "category", "coupon", "score")
NEW_FIELDS = {"product_id": "id", "order_id": "orderId", "cart_id": "cartId"}
VERBS = {
    "Product Viewed": "Viewed Product", "Product Added": "Added Product", "Product Removed": "Removed Product",
    "Product List Viewed": "Viewed Product Category", "Product Clicked": "Clicked Product",
    "Cart Viewed": "Viewed Cart",
    "Checkout Started": "Started Checkout", "Payment Info Entered": "Entered Payment Info",
    "Checkout Step Viewed": "Viewed Checkout Step", "Order Completed": "Completed Order",
    "Order Updated": "Updated Order", "Order Refunded": "Refunded Order", "Order Cancelled": "Canceled Order",
    "Coupon Applied": "Applied Coupon", "Products Searched": "Searched Products",
    "Product List Filtered": "Filtered Product List", "Promotion Viewed": "Viewed Promotion",
}  # fmt: skip
OWN = {"Signed Up", "Webinar Registered", "NPS Submitted"}  # these are no reserved names

CART_IDS: tuple[Event, ...] = (
    {}, {"cart_id": "c1"}, {"cart_id": "c1"}, {"cart_id": "c2"}, {"cart_id": 5}, {"cart_id": 5.0}, {"cart_id": ""},
)  # fmt: skip
VARIANTS: tuple[Event, ...] = (
    {}, {}, {"sku": "S"}, {"sku": "L"}, {"sku": "L", "variant": "blue"}, {"variant": "blue"}, {"variant": "red"},
)  # fmt: skip
ODD_TOTALS: tuple[Event, ...] = (
    {"total": "1,049.90"}, {"total": "1.049,90"}, {"total": "100,00"}, {"total": "۱۰۰"}, {"total": "١٠٠٫٠٠"},
    {"total": " +100 "}, {"total": "EUR 100"}, {"total": "€100"}, {"total": "100.00 eur"}, {"total": "0100"},
    {"total": ".99"}, {"total": "1,60"}, {"total": "۱٬۰۴۹"},
)  # fmt: skip
UNREADABLE = ("n/a", "1,049", True, {"amount": 5}, -40, 10**12, "10 or 20", "-")
OTHER_MONEY = ("USD", "usd ", "IRR", "eur", " EUR")


# --- of one property ---------------------------------------------------------------------------


def is_plain_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and "e" not in str(value)


def spelled(pick: Pick, value: object) -> object:
    """A number in another spelling, which has the same size."""
    if not is_plain_number(value):
        return value
    digits = str(value)
    spellings = [
        f" {digits} ",
        persian(digits),
        arabic(digits),
        digits.replace(".", ","),
        f"{digits} EUR",
        f"€{digits}",
    ]
    if not digits.startswith("-"):
        spellings += [f"+{digits}", f"0{digits}", digits.removeprefix("0") or "0"]
    return pick(spellings)


def persian(digits: str) -> str:
    return digits.translate({ord("0") + digit: 0x06F0 + digit for digit in range(10)}).replace(".", "٫")


def arabic(digits: str) -> str:
    return digits.translate({ord("0") + digit: 0x0660 + digit for digit in range(10)})


def with_sign(pick: Pick, value: object) -> object:
    """Money that names another currency than the file's, or the file's."""
    return pick((f"${value}", f"{value} USD", f"¥ {value}", f"{value}€")) if is_plain_number(value) else value


def other_letters(pick: Pick, value: object) -> object:
    """A text that tests take for the same."""
    if not isinstance(value, str) or not value:
        return value
    others = (value.upper(), value.lower(), f" {value} ", value.replace("ی", "ي"), value.replace("ی", "ى"))
    return pick((*others, value.replace("ک", "ك"), f"{value[:1]}\u200c{value[1:]}", f"{value}\u0640", persian(value)))


# --- of the properties -------------------------------------------------------------------------


def each(names: Sequence[str], change: Callable[[Pick, object], object]) -> Callable[[Pick, Event], Event]:
    """Changes some of these properties, also those of listed products."""

    def changed(pick: Pick, properties: Event) -> Event:
        products = properties.get("products")
        whole = {
            name: change(pick, value) if name in names and value is not None and pick(OFTEN) else value
            for name, value in properties.items()
        }
        if isinstance(products, list):
            whole["products"] = [changed(pick, dict(product)) for product in products if isinstance(product, dict)]
        return whole

    return changed


def unreadable(pick: Pick, value: object) -> object:
    return pick(UNREADABLE)


def as_boolean(pick: Pick, value: object) -> object:
    """Something that is clearly true, or clearly false."""
    return pick(("yes", " TRUE", 1, "1", "۱", 1.0, True, "no", "0", 0, False))


def as_list(pick: Pick, value: object) -> object:
    return value if isinstance(value, list) else pick(([value], [value, "other"], ["other", value]))


def as_float(pick: Pick, value: object) -> object:
    """An integer id as a float."""
    digits = str(value)
    return float(digits) if digits.isdecimal() and not isinstance(value, str) else value


def in_old_fields(pick: Pick, properties: Event) -> Event:
    products = properties.get("products")
    whole = {NEW_FIELDS.get(name, name): value for name, value in properties.items()}
    if isinstance(products, list):
        whole["products"] = [in_old_fields(pick, product) for product in products if isinstance(product, dict)]
    return whole


def in_other_money(pick: Pick, properties: Event) -> Event:
    """Another currency, or another spelling of the file's."""
    if not {"total", "revenue", "price", "products"} & properties.keys():
        return properties
    return properties | {"currency": pick(OTHER_MONEY)}


def with_other_lists(pick: Pick, properties: Event) -> Event:
    """Lists where one value is usual, and one value where a list is."""
    tags = properties.get("tags")
    single: Event = {"tags": tags[0]} if isinstance(tags, list) and tags else {}
    return each(SINGLE, as_list)(pick, properties) | single


PROPERTY_ODDITIES: dict[str, Callable[[Pick, Event], Event]] = {
    "numbers": each(NUMBERS, spelled),
    "unreadable": each(("total", "revenue", "price", "quantity"), unreadable),
    "signs": each(("total", "revenue", "price"), with_sign),
    "currencies": in_other_money,
    "texts": each(TEXTS, other_letters),
    "booleans": each(BOOLEANS, as_boolean),
    "lists": with_other_lists,
    "fields": in_old_fields,
    "ids": each(("order_id", "product_id", "cart_id"), as_float),
}

# --- of the whole event ------------------------------------------------------------------------


def odd_name(pick: Pick, name: object) -> object:
    """A reserved name in another hand."""
    if not isinstance(name, str) or name in OWN or name == "page":
        return name
    words = (VERBS.get(name, name), name.lower(), name.upper(), name.replace(" ", "_"), name.replace(" ", "-"))
    return pick((*words, name.replace(" ", ""), f" {name} ", name.lower().replace(" ", "_")))


def with_odd_name(pick: Pick, event: Event) -> Event:
    return event | {"event": odd_name(pick, event["event"])} if "event" in event else event


def with_lists_for_objects(pick: Pick, event: Event) -> Event:
    """What PHP writes for an object without members."""
    empty: Event = {part: [] for part in ("properties", "traits", "context") if event.get(part) == {}}
    return event | empty | pick(({}, {"context": []} if "context" not in event else {}))


def with_traits_in_context(pick: Pick, event: Event) -> Event:
    """Traits in the context, of which those at the top count first."""
    traits = event.get("traits")
    if not isinstance(traits, dict) or not isinstance(event.get("context", {}), dict):
        return event
    context = event.get("context", {})
    assert isinstance(context, dict)
    names = list(traits)
    at_top = {name: traits[name] for name in names[: pick(range(len(names) + 1))]}
    below = {name: "other" if name in at_top else value for name, value in traits.items()}
    return event | {"traits": at_top, "context": context | {"traits": below}}


def with_direct_referrer(pick: Pick, event: Event) -> Event:
    context = event.get("context", {})
    if event["type"] not in ("page", "screen") or not isinstance(context, dict):
        return event
    referrer = pick(({"referrer": {"url": "$direct"}}, {"page": {"referrer": "$direct"}}))
    return event | {"context": context | referrer}


EVENT_ODDITIES: dict[str, Callable[[Pick, Event], Event]] = {
    "names": with_odd_name,
    "empty": with_lists_for_objects,
    "traits": with_traits_in_context,
    "referrers": with_direct_referrer,
}
# What is drawn where events are made: messages of orders, cart ids, lines, and times.
DRAWN_ODDITIES = ("orders", "cart ids", "lines", "times")
ODDITIES = (*DRAWN_ODDITIES, "orders", "orders", "cart ids", "lines", *PROPERTY_ODDITIES, *EVENT_ODDITIES)
KINDS_FOR: dict[str, tuple[str, ...]] = {  # what has to be drawn more often, so that an oddity shows
    "orders": ("order",) * 6,
    "cart ids": ("cart", "cart", "order"),
    "lines": ("cart", "cart"),
    "signs": ("order", "order"),
    "traits": ("identify", "identify"),
    "texts": ("identify",),
}


def stated_oddly(pick: Pick, oddities: Sequence[str], event: Event) -> Event:
    """The event as told by a scene of these oddities; some stay as they are."""
    for oddity in oddities:
        if oddity in EVENT_ODDITIES and pick((True, False)):
            event = EVENT_ODDITIES[oddity](pick, event)
        properties = event.get("properties")
        if oddity in PROPERTY_ODDITIES and isinstance(properties, dict) and pick((True, False)):
            event = event | {"properties": PROPERTY_ODDITIES[oddity](pick, properties)}
        traits = event.get("traits")
        if oddity == "texts" and isinstance(traits, dict):
            event = event | {"traits": PROPERTY_ODDITIES[oddity](pick, traits)}
    return event


def ordered(oddities: Sequence[str]) -> tuple[str, ...]:
    """Each once; fields are renamed last, and an event is made empty at the end."""
    last = ("fields", "empty")
    return (*(name for name in dict.fromkeys(oddities) if name not in last), *(n for n in last if n in oddities))
