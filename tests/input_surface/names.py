"""Names of events, in events and in definitions, and what refuses a line."""

from collections.abc import Iterator
from typing import Any, Final

from tests.input_surface.model import ABSENT, Case, event, label, line, make, raw, track
from tests.input_surface.truth import BROWSE, CART, CUSTOM, RESERVED, did

OLD: Final = {
    "Viewed Product": "Product Viewed",
    "Viewed Product Category": "Product List Viewed",
    "Clicked Product": "Product Clicked",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Viewed Cart": "Cart Viewed",
    "Started Checkout": "Checkout Started",
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Completed Order": "Order Completed",
    "Updated Order": "Order Updated",
    "Refunded Order": "Order Refunded",
    "Cancelled Order": "Order Cancelled",
    "Canceled Order": "Order Cancelled",
    "Order Canceled": "Order Cancelled",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Searched Products": "Products Searched",
    "Filtered Product List": "Product List Filtered",
    "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied",
    "Removed Coupon": "Coupon Removed",
    "Denied Coupon": "Coupon Denied",
}
OTHER_NAMES: Final = (
    "Order Complted",
    "Orders Completed",
    "Order Complete",
    "Order.Completed",
    "Order/Completed",
    "Order Completed!",
    "The Order Completed",
    "Order Completed 2",
    "Product Add",
    "Products Added",
    "Product Viewd",
    "Cart View",
    "Add to Cart",
    "Purchase",
    "signed up",
    "signed_up",
    "SignedUp",
    "SIGNED UP",
)


def activity(name: str) -> set[str]:
    """The segment of those with a session, where the event is an activity."""
    return {"active"} if name in BROWSE or name in CART or name == "page" else set()


def spellings(name: str) -> dict[str, None]:
    """The spellings that Segment's libraries take for the same name, in a fixed order."""
    words = name.split()
    joined = [name, "_".join(words), "-".join(words), "".join(words)]
    mixed = f"{words[0]}_{'-'.join(words[1:])}"
    camel = words[0].lower() + "".join(word.capitalize() for word in words[1:])
    around = [f" {name}", f"{name} ", f"  {name.lower()}\n", f"\t{'_'.join(words)}"]
    hit = [*joined, *map(str.lower, joined), *map(str.upper, joined), mixed, mixed.lower(), camel, *around]
    return dict.fromkeys(hit)


def reserved() -> Iterator[Case]:
    """Every reserved name in every spelling, in events and in definitions."""
    for name in RESERVED:
        for spelling in spellings(name):
            sent = track(spelling, "m", 0, order_id="1", product_id="p")
            right = {did(name)} | activity(name)
            yield make(f"event {label(spelling)}", ("R29", "R40"), "names", [sent], right)
        for spelling in list(spellings(name))[::3]:
            sent = track(spelling, "m", 0, order_id="1", product_id="p")
            yield make(f"definition of {label(spelling)}", ("R29",), "spelled", [sent], {did(name)})
    for old, name in OLD.items():
        for spelling in spellings(old):
            sent = track(spelling, "m", 0, order_id="1", product_id="p")
            right = {did(name)} | activity(name)
            yield make(f"event {label(spelling)}", ("R30", "R29", "R40"), "names", [sent], right)
        sent = track(old, "m", 0, order_id="1", product_id="p")
        yield make(f"definition of {old}", ("R30", "R29"), "spelled", [sent], {did(name)})
    for name in ("Product Viewed", "Product Added", "Order Completed", "Order Cancelled"):
        sent = track(name, "m", 0, order_id="1", product_id="p")
        yield make(f"definition by an old name of {name}", ("R30",), "spelled_old", [sent], {did(name)})


def others() -> Iterator[Case]:
    """Names that are not reserved, and the kinds of events beside track."""
    for name in OTHER_NAMES:
        yield make(f"event {name} is another", ("R29", "R40"), "names", [track(name, "m", 0, order_id="1")], set())
    yield make(f"event {CUSTOM}", ("R29", "R40"), "names", [track(CUSTOM, "m")], {did(CUSTOM)})
    values: tuple[Any, ...] = (ABSENT, None, "", "Home", 5, True, {}, [])
    for kind in ("page", "screen"):
        for value in values:
            right = {did("page"), "active"}
            yield make(f"{kind} named {label(value)}", ("R40", "R31"), "names", [event(kind, "m", name=value)], right)
            sent = event(kind, "m", properties=value)
            yield make(f"{kind} with properties {label(value)}", ("R40", "R32"), "names", [sent], right)
    for kind in ("identify", "group"):
        for value in values:
            sent = event(kind, "m", traits=value)
            yield make(f"{kind} with traits {label(value)}", ("R40", "R32"), "names", [sent], set())


def refused() -> Iterator[Case]:
    """What no event can do without."""
    after = track(CUSTOM, "m2", 1)
    right = {did(CUSTOM)}
    absent: tuple[Any, ...] = (ABSENT, None, "", {}, [], True)
    for value in absent:
        sent = event("track", "m", event=value, properties={})
        name = f"track with the name {label(value)}"
        yield make(name, ("R31",), "names", [sent, after], right, refused={1: "bad_value"})
    types: tuple[Any, ...] = (None, "", "tracking", "event", "order", 5, True, {}, [])
    for value in types:
        sent = {**event("track", "m", event=CUSTOM), "type": value}
        yield make(f"type {label(value)}", ("R31",), "names", [sent, after], right, refused={1: "bad_type"})
    nameless = event("track", "m", event=CUSTOM)
    del nameless["type"]
    yield make("no type", ("R31",), "names", [nameless, after], right, refused={1: "bad_type"})
    for text in ("[]", "5", '"text"', "null", "true", "[{}]", "1.5"):
        yield make(f"line {text}", ("R31",), "names", [text, after], right, refused={1: "not_object"})
    whole = line(track("Order Completed", "m", 0, order_id="1"))
    for text in ("{", whole[:-1], whole + "}", "{'type': 'track'}", "undefined", "type=track", whole.replace('"', "'")):
        name = f"line {text[:12]}…{text[-3:]}"
        yield make(name, ("R31",), "names", [text, after], right, refused={1: "not_json"})
    for constant in ("NaN", "Infinity", "-Infinity"):
        for field in ("total", "coupon"):
            sent = track("Order Completed", "m", 0, **{field: raw(constant)})
            name = f"{field} is the bare {constant}"
            yield make(name, ("R31",), "names", [sent, after], right, refused={1: "not_json"})


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (reserved, others, refused):
        yield from part()
