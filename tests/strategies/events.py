"""What a drawn event says: its name, properties, traits and context.

Its one rule: whatever is drawn is a usable record; what makes a dead letter is drawn elsewhere.
"""

from tests.strategies.oddities import CART_IDS, ODD_TOTALS, VARIANTS, stated_oddly
from tests.strategies.scene import Pick, Scene, merged
from tests.strategies.values import CONTEXTS, CURRENCIES, PRICES, PROPERTIES, QUANTITIES, REFUNDS, TRAITS, VALUES, Event

BROWSING = ("Product Viewed", "Viewed Product", "Product List Viewed", "Product List Filtered",
            "Products Searched", "Product Clicked", "Promotion Viewed", "Promotion Clicked")  # fmt: skip
OWN_NAMES = ("Signed Up", "Webinar Registered")
ADDING = ("Product Added", "Product Added", "Added Product", "Wishlist Product Added to Cart")
REMOVING = ("Product Removed", "Product Removed", "Removed Product")
LISTING = ("Cart Viewed", "Checkout Started")
OTHER_CARTS = ("Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
               "Coupon Entered", "Coupon Applied", "Coupon Removed", "Coupon Denied")  # fmt: skip
COMPLETING = ("Order Completed", "Order Completed", "Completed Order")


def body(pick: Pick, of: Scene) -> Event:
    """An event but for its time and ids."""
    drawn = BODIES[pick(of.kinds)](pick, of) | context(pick, of)
    return stated_oddly(pick, of.oddities, drawn) if of.oddities else drawn


def page_body(pick: Pick, of: Scene) -> Event:
    kind = pick(("page", "page", "screen"))
    return {"type": kind, "properties": {"path": "/"} | with_scene_properties(pick, of, {})}


def browse_body(pick: Pick, of: Scene) -> Event:
    return track(pick(BROWSING), with_scene_properties(pick, of, pick(of.products)))


def other_body(pick: Pick, of: Scene) -> Event:
    """Facts that are neither activity nor purchase."""
    name = pick(("identify", *OWN_NAMES))
    return identify_body(pick, of) if name == "identify" else track(name, {})


def identify_body(pick: Pick, of: Scene) -> Event:
    names = (*of.traits, pick(tuple(TRAITS)))
    return {"type": "identify", "traits": merged(pick(TRAITS[name].values) for name in names[: pick((1, 2, 3))])}


def named_body(pick: Pick, of: Scene) -> Event:
    """An event of one of the scene's own names."""
    name = pick(of.names)
    if name == "page":
        return page_body(pick, of)
    if name == "Order Completed":
        return completed(pick, of)
    if name in ADDING:
        return track(name, with_scene_properties(pick, of, item(pick, of)) | cart_id(pick, of))
    return track(name, with_scene_properties(pick, of, pick(of.products)))


def cart_body(pick: Pick, of: Scene) -> Event:
    kind = pick(("add", "add", "add", "remove", "remove", "list", "other"))
    if kind == "other":
        return track(pick(OTHER_CARTS), cart_id(pick, of))
    if kind == "list":
        contents: Event = pick(({}, {"products": []}, {"products": products(pick, of)}))
        return track(pick(LISTING), contents | cart_id(pick, of))
    stated = with_scene_properties(pick, of, item(pick, of))
    if "lines" in of.oddities and pick((True, False, False)):
        lines: Event = {"products": products(pick, of)}
        stated = stated | lines if pick((True, False, False)) else lines
    return track(pick(ADDING if kind == "add" else REMOVING), stated | cart_id(pick, of))


def cart_id(pick: Pick, of: Scene) -> Event:
    return pick(CART_IDS) if "cart ids" in of.oddities else {}


def item(pick: Pick, of: Scene) -> Event:
    stated = pick(of.products) | pick(QUANTITIES) | pick(PRICES)
    return stated | pick(VARIANTS) if "lines" in of.oddities else stated


def products(pick: Pick, of: Scene) -> list[Event]:
    category = PROPERTIES["category"].values
    return [item(pick, of) | pick(({}, pick(category))) for _ in range(pick((1, 2)))]


ORDER_KINDS = ("complete", "complete", "complete", "complete", "refund", "refund", "refund", "cancel")
MORE_ORDER_KINDS = (*("complete",) * 6, *("update",) * 3, "cancel", "cancel", "refund", "refund")


def order_body(pick: Pick, of: Scene) -> Event:
    kind = pick(MORE_ORDER_KINDS if "orders" in of.oddities else ORDER_KINDS)
    if kind == "complete":
        return completed(pick, of)
    if kind == "update":
        return track("Order Updated", order(pick, of))
    if kind == "refund":
        return track("Order Refunded", pick(of.order_ids) | refund(pick, of))
    return track("Order Cancelled", pick(of.order_ids))


def refund(pick: Pick, of: Scene) -> Event:
    """An amount, products or nothing; now and then an amount below zero, or in some currency."""
    stated = pick(REFUNDS)
    if "orders" in of.oddities:
        amount: Event = pick(({"total": -40}, {"total": 40} | pick(CURRENCIES)))
        stated = pick(
            (stated, amount, {"products": products(pick, of)}, {"products": without_prices(products(pick, of))})
        )
    return stated


def without_prices(lines: list[Event]) -> list[Event]:
    return [{name: value for name, value in line.items() if name != "price"} for line in lines]


def taken_back_body(pick: Pick, of: Scene) -> Event:
    return track(pick(("Order Refunded", "Order Cancelled")), pick(of.order_ids))


def completed(pick: Pick, of: Scene) -> Event:
    return track(pick(COMPLETING), with_scene_properties(pick, of, order(pick, of) | cart_id(pick, of)))


def order(pick: Pick, of: Scene) -> Event:
    """What an order is told to be."""
    values = (*VALUES, *ODD_TOTALS) if "numbers" in of.oddities else VALUES
    lines: Event = {"products": products(pick, of)} if "orders" in of.oddities and pick(range(3)) else {}
    return pick(of.order_ids) | pick(values) | pick(CURRENCIES) | lines


def track(name: str, properties: Event) -> Event:
    return {"type": "track", "event": name, "properties": properties}


def with_scene_properties(pick: Pick, of: Scene, properties: Event) -> Event:
    """The properties with those that the scene is about; money now and then in a currency."""
    all_properties = properties | merged(pick(PROPERTIES[name].values) for name in of.fields)
    return all_properties | pick(CURRENCIES) if all_properties.get("price") is not None else all_properties


def context(pick: Pick, of: Scene) -> Event:
    """No context, or some of the parts that the scene speaks of."""
    names = [pick(of.contexts) for _ in range(pick(of.context_parts))]
    return {"context": merged(pick(CONTEXTS[name].values) for name in names)} if names else {}


BODIES = {
    "page": page_body,
    "browse": browse_body,
    "other": other_body,
    "identify": identify_body,
    "named": named_body,
    "cart": cart_body,
    "order": order_body,
    "taken back": taken_back_body,
}
