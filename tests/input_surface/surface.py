"""Every kind of event × every field × odd forms: no value of a field refuses an event."""

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from tests.input_surface.model import ABSENT, Case, Event, event, label, make, track
from tests.input_surface.names import activity
from tests.input_surface.truth import CUSTOM, RESERVED, did

ODD: Final[tuple[Any, ...]] = (
    ABSENT,
    None,
    "",
    "   ",
    [],
    {},
    True,
    False,
    "free",
    "$50",
    "49,90 €",
    "1,049",
    "۱۲٫۵",
    "+7",
    "007",
    ".99",
    -5,
    "-5",
    1_000_000_000_000,
    0.123456789,
    "5e1",
    {"value": {"amount": 5}},
    ["a", 5, None],
    [{}],
    "x" * 5000,
    2002.5,
    "NaN",
)
PROPERTIES: Final = (
    *("order_id", "orderId", "id", "total", "revenue", "value", "subtotal", "tax", "shipping", "discount"),
    *("currency", "coupon", "products", "product_id", "sku", "name", "variant", "price", "quantity", "category"),
    *("brand", "cart_id", "cartId", "step", "list_id", "query", "position", "image_url", "url", "affiliation"),
)
CONTEXT: Final = (
    "device",
    "campaign",
    "page",
    "referrer",
    "location",
    "locale",
    "os",
    "browser",
    "timezone",
    "traits",
    "library",
    "ip",
    "userAgent",
)
INNER: Final = (
    ("device", "type"),
    *(("campaign", name) for name in ("source", "medium", "name", "term", "content")),
    ("page", "referrer"),
    ("referrer", "url"),
    ("location", "country"),
    ("location", "city"),
    ("location", "region"),
    ("os", "name"),
    ("browser", "name"),
)
TOP: Final = (
    "properties",
    "traits",
    "context",
    "integrations",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "previousId",
)
KINDS: Final = (*RESERVED, "page", "screen", "identify", CUSTOM)
FORMS_PER_FIELD: Final = 2


def _head(kind: str) -> tuple[Event, set[str]]:
    """An event of this kind, and the segments that it puts its customer in."""
    if kind in ("page", "screen"):
        return event(kind, "m", properties={}, context={}), {did("page"), "active"}
    if kind == "identify":
        return event(kind, "m", traits={}, context={}), set()
    head = track(kind, "m", 0, order_id="1", product_id="p")
    return {**head, "context": {}}, {did(kind)} | activity(kind)


def _set(where: Event, name: str, value: Any) -> Event:
    """A copy with this field; an ABSENT one is taken away."""
    return {key: inner for key, inner in {**where, name: value}.items() if inner is not ABSENT}


def places() -> Iterator[tuple[tuple[str, ...], str]]:
    """The path of every field, and the rule that says what it may hold."""
    yield from (((name,), "R32") for name in TOP)
    yield from ((("properties", name), "R31") for name in PROPERTIES)
    yield from ((("traits", name), "R33") for name in ("email", "name", "birthday", "address", "createdAt"))
    yield from ((("context", name), "R32") for name in CONTEXT)
    yield from ((("context", *path), "R38") for path in INNER)


def cases() -> Iterator[Case]:
    """A few odd forms for each kind and field, another few for the next; an event after it counts as well."""
    turn = count()
    for kind in KINDS:
        for path, rule in places():
            for _ in range(FORMS_PER_FIELD):
                value = ODD[next(turn) % len(ODD)]
                head, right = _head(kind)
                inner: Any = value
                for depth in range(len(path) - 1, 0, -1):
                    outer = head.get(path[0], {}) if depth == 1 else {}
                    inner = _set(outer, path[depth], inner)
                events = [_set(head, path[0], inner), track("Signed Up", "m2", 1)]
                name = f"{kind}: {'.'.join(path)} is {label(value)}"
                yield make(name, ("R31", rule), "names", events, right | {did(CUSTOM)})
            next(turn)
