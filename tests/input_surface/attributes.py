"""Traits and their tests: texts, numbers, lists, true. Long because each form of a trait stands beside its meaning."""

import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any, Final

from tests.input_surface.model import ABSENT, Case, Event, event, label, make, raw, track, without_absent
from tests.input_surface.truth import FILES, Condition, document, performed

YES: Final[tuple[Any, ...]] = (True, "true", "True", "TRUE", " true ", "yes", "Yes", " YES", "1", " 1 ", 1)
NO: Final[tuple[Any, ...]] = (
    False,
    "false",
    "FALSE",
    "no",
    "No",
    "0",
    0,
    2,
    "2",
    "truly",
    "yes please",
    "",
    None,
    ABSENT,
)
HUNDRED: Final[tuple[Any, ...]] = (
    *(100, raw("100.0"), raw("1e2"), "100", "100.0", "100.00", "+100", "0100", " 100 ", "1e2", "100,00", "۱۰۰", "١٠٠"),
    *("۱۰۰٫۰", [100], ["100"], [5, "100"]),
)
NOT_HUNDRED: Final[tuple[Any, ...]] = (
    *(99, 101, -100, 100.000001, "1000", "10", "hundred", "100 points of 200", "", "1,00,00", True, {"points": 100}),
    *([], [5], ["99", 101], None, ABSENT),
)
# Texts that a rule names, texts that are the same, and texts that are not.
WORDS: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    (
        "gold",
        ("gold", "Gold", "GOLD", " gold", "gold ", "\tGold\n"),
        ("golden", "g old", "gol", "золото", "go\u00adld x"),
    ),
    ("علی", ("علی", "علي", "على", " علی "), ("عل", "ع لی", "علیا")),
    ("کتاب", ("کتاب", "كتاب", "کتـــاب", "كـتـاب", "کت\u200cاب"), ("کتب", "کتا ب")),
    ("می‌خواهم", ("می‌خواهم", "میخواهم", "مي‌خواهم", "ميخواهم", "مى‌خواهم"), ("می خواهم", "نمی‌خواهم")),
    ("خانه ۱۲", ("خانه ۱۲", "خانه ١٢", "خانه 12", " خانه 12 "), ("خانه ۱۳", "خانه12")),
    ("café", ("café", "cafe\u0301", "CAFÉ", "CAFE\u0301", "Café "), ("cafe", "caf")),
    ("Ångström", ("Ångström", "A\u030angstro\u0308m", "\u212bngström", "ångström"), ("Angstrom",)),
    (
        "new customer",
        ("new customer", "New Customer", "NEW CUSTOMER "),
        ("newcustomer", "new  customers", "new_customer"),
    ),
)
LISTS: Final[tuple[Any, ...]] = (
    *(
        ["new"],
        ["New "],
        ["old", "NEW"],
        ["old"],
        ["renewed"],
        [],
        ["old", "renewed"],
        ["", "new"],
        "new",
        "old",
        "renewed",
    ),
    *(ABSENT, None, ""),
)


def fold(text: str) -> str:
    """A text as tests compare it."""
    same = str.maketrans({"\u064a": "\u06cc", "\u0649": "\u06cc", "\u0643": "\u06a9", "\u0640": None, "\u200c": None})
    digits = str.maketrans({chr(start + i): str(i) for start in (0x660, 0x6F0) for i in range(10)})
    return unicodedata.normalize("NFC", text).translate(same).translate(digits).strip().lower()


def _word_conditions() -> dict[str, Condition]:
    hit: dict[str, Condition] = {}
    for index, (word, _, _) in enumerate(WORDS):
        hit |= {
            f"is_{index}": {"trait": {"word": word}},
            f"in_{index}": {"trait": {"word": {"in": ["nothing", word]}}},
            f"not_in_{index}": {"trait": {"word": {"not_in": [word]}}},
            f"contains_{index}": {"trait": {"word": {"contains": word}}},
            f"where_{index}": performed("Signed Up", {"word": word}),
        }
    return hit


FILES["words"] = document(_word_conditions())
FILES["traits"] = document(
    {
        "vip": {"trait": {"vip": True}},
        "hundred": {"trait": {"points": 100}},
        "paris": {"trait": {"address.city": "Paris"}},
        "new": {"trait": {"tags": "new"}},
        "new_in": {"trait": {"tags": {"in": ["new", "newer"]}}},
        "new_not_in": {"trait": {"tags": {"not_in": ["new", "newer"]}}},
        "new_contains": {"trait": {"tags": {"contains": "new"}}},
        "tags": {"trait": {"tags": {"exists": True}}},
        "no_tags": {"trait": {"tags": {"exists": False}}},
        "gold": {"trait": {"plan": "gold"}},
        "silver": {"trait": {"plan": "silver"}},
        "small_gold": {"trait": {"plan": {"matches": "^gold$"}}},
    }
)
FILES["exact"] = document(
    {
        "exact_gold": {"trait": {"plan": {"exact": "Gold"}}},
        "new_not_contains": {"trait": {"tags": {"not_contains": "new"}}},
    }
)


def identify(message: str, minutes: float, /, **traits: Any) -> Event:
    """An identify with these traits."""
    return event("identify", message, minutes, traits=without_absent(traits))


def of_tags(value: Any) -> set[str]:
    """The segments of the tests of `tags`."""
    members = [value] if isinstance(value, str) and value else value if isinstance(value, list) else []
    texts = [fold(case) for case in members]
    if not texts:
        return {"no_tags"}
    hit = {"tags"} | ({"new", "new_in"} if "new" in texts else {"new_not_in"})
    return hit | ({"new_contains"} if any("new" in text for text in texts) else set())


def words() -> Iterator[Case]:
    """Texts that are the same although they are written in another way."""
    for word, same, others in WORDS:
        for text in (*same, *others):
            folded = fold(text)
            assert (folded == fold(word)) == (text in same)
            right = set()
            for other, (named, _, _) in enumerate(WORDS):
                equal = folded == fold(named)
                right |= {f"is_{other}", f"in_{other}", f"where_{other}"} if equal else {f"not_in_{other}"}
                right |= {f"contains_{other}"} if fold(named) in folded else set()
            points = "-".join(f"{ord(char):x}" for char in text)
            traits, done = identify("m1", 0, word=text), track("Signed Up", "m2", 1, word=text)
            yield make(f"text {label(text)} ({points}) for {word}", ("R34",), "words", [traits, done], right)


def values() -> Iterator[Case]:
    """True, numbers, dotted names and lists."""
    for value in YES:
        yield make(f"vip {label(value)}", ("R35",), "traits", [identify("m", 0, vip=value)], {"vip", "no_tags"})
    for value in NO:
        yield make(f"vip {label(value)}", ("R35",), "traits", [identify("m", 0, vip=value)], {"no_tags"})
    for value in HUNDRED:
        name = f"points {label(value)} is 100"
        yield make(name, ("R35", "R36"), "traits", [identify("m", 0, points=value)], {"hundred", "no_tags"})
    for value in NOT_HUNDRED:
        name = f"points {label(value)} is not 100"
        yield make(name, ("R35", "R36"), "traits", [identify("m", 0, points=value)], {"no_tags"})
    addresses: tuple[tuple[Any, bool], ...] = (
        ({"city": "Paris"}, True),
        ({"city": " PARIS "}, True),
        ({"city": ["Rome", "Paris"]}, True),
        ([{"city": "Rome"}, {"city": "paris"}], True),
        ({"city": "Rome"}, False),
        ({"city": None}, False),
        ({"city": ""}, False),
        ({"city": []}, False),
        ({"town": "Paris"}, False),
        ({}, False),
        ([], False),
        ("Paris", False),
        (None, False),
        (5, False),
        (True, False),
    )
    for value, there in addresses:
        right = {"paris", "no_tags"} if there else {"no_tags"}
        name = f"address {label(value)}"
        yield make(name, ("R36", "R33", "R34"), "traits", [identify("m", 0, address=value)], right)
    for value in LISTS:
        right = of_tags(value)
        sent = identify("m", 0, tags=value)
        yield make(f"tags {label(value)}", ("R36", "R34"), "traits", [sent], right)
        rest = {"new_not_contains"} if "tags" in right and "new_contains" not in right else set()
        yield make(f"tags {label(value)} without new", ("R36",), "exact", [sent], rest)
    for text, exact, small in (
        ("Gold", True, False),
        ("gold", False, True),
        ("GOLD", False, False),
        (" Gold", False, False),
        ("Gold ", False, False),
    ):
        sent = identify("m", 0, plan=text)
        yield make(f"exactly {label(text)}", ("R34",), "exact", [sent], {"exact_gold"} if exact else set())
        right = (
            {"no_tags"} | ({"gold"} if text.strip().lower() == "gold" else set()) | ({"small_gold"} if small else set())
        )
        yield make(f"plan {label(text)}", ("R34", "R33"), "traits", [sent], right)


def places() -> Iterator[Case]:
    """Where traits stand, and which of them count."""
    odd: tuple[Any, ...] = (ABSENT, None, "", [], {}, "gold", 5, True, ["plan"])
    gold = {"gold", "small_gold", "no_tags"}
    good = {"plan": "gold"}
    for value in odd:
        shown = label(value)
        sent = without_absent({**event("identify", "m", context={"traits": good}), "traits": value})
        yield make(f"context.traits below traits {shown}", ("R33", "R32"), "traits", [sent], gold)
        sent = event("identify", "m", traits=good, context=without_absent({"traits": value}))
        yield make(f"traits over context.traits {shown}", ("R33", "R32"), "traits", [sent], gold)
        sent = without_absent({**event("identify", "m", traits=good), "context": value})
        yield make(f"traits beside context {shown}", ("R33", "R32"), "traits", [sent], gold)
        sent = event("identify", "m", traits=value)
        yield make(f"traits {shown} alone", ("R33", "R32"), "traits", [sent], {"no_tags"})
        sent = event("identify", "m", context=without_absent({"traits": value}))
        yield make(f"context.traits {shown} alone", ("R33", "R32"), "traits", [sent], {"no_tags"})
    sent = event("identify", "m", traits=good, context={"traits": {"plan": "silver", "vip": "yes"}})
    yield make("traits and context.traits of other names", ("R33",), "traits", [sent], {*gold, "vip"})
    for kind in ("track", "page", "screen", "group"):
        named = {"event": "Signed Up"} if kind == "track" else {}
        for where in ({"traits": good}, {"context": {"traits": good}}):
            fields: dict[str, Any] = {**named, **where}
            sent = event(kind, "m", **fields)
            right = set() if kind == "group" else {"no_tags"}  # a group has no effect at all
            yield make(f"{kind} with {', '.join(where)}", ("R33",), "traits", [sent], right)
    first, second = identify("m1", 0, plan="silver"), identify("m2", 5, plan="gold")
    for events, order in (([first, second], "in order"), ([second, first], "late")):
        yield make(f"the newest plan, {order}", ("R33",), "traits", events, gold)
    for value in (ABSENT, *odd[3:5]):
        later = event("identify", "m2", 5, traits=value)
        events = [identify("m1", 0, plan="gold"), later]
        yield make(f"a later identify with traits {label(value)}", ("R33", "R32"), "traits", events, gold)


NO_PRODUCTS: Final[tuple[Any, ...]] = (ABSENT, None, "", {}, "tea", 5, True)
PRODUCTS: Final[tuple[tuple[dict[str, Any], ...], ...]] = (
    (),
    ({"category": "tea", "price": 10},),
    ({"category": "tea", "price": 60},),
    ({"category": "cups", "price": 150},),
    ({"category": "tea", "price": 10}, {"category": "cups", "price": 150}),
    ({"category": "Tea ", "price": "60,00 €"}, {"category": "cups"}),
    ({"category": "tea", "price": "£60"}, {"category": "cups", "price": 10}),
    ({"category": "tea", "price": "free"}, {"category": "cups", "price": 150}),
    ({"category": "tea"}, {"category": "coffee", "price": "150.00"}),
    ({"category": None, "price": 60}, {"price": 10}),
    ({"category": "", "price": "۶۰"},),
    ({"category": "green teas", "price": 60},),
    ({"category": ["cups", "tea"], "price": 60},),
)
AMOUNTS: Final = {"60,00 €": 60, "150.00": 150, "۶۰": 60, "£60": None, "free": None}
FILES["products"] = document(
    {
        "tea": performed("Order Completed", {"products.category": "tea"}),
        "tea_in": performed("Order Completed", {"products.category": {"in": ["tea", "coffee"]}}),
        "tea_not_in": performed("Order Completed", {"products.category": {"not_in": ["tea", "coffee"]}}),
        "tea_contains": performed("Order Completed", {"products.category": {"contains": "tea"}}),
        "tea_matches": performed("Order Completed", {"products.category": {"matches": "^(tea|green)"}}),
        "category": performed("Order Completed", {"products.category": {"exists": True}}),
        "no_category": performed("Order Completed", {"products.category": {"exists": False}}),
        "price_100": performed("Order Completed", {"products.price": {"at_least": 100}}),
        "price_below_50": performed("Order Completed", {"products.price": {"below": 50}}),
    },
    currency="EUR",
)
_ITEM: Final[Condition] = {"item": {"category": "tea", "price": {"above": 50}}}
FILES["items"] = document(
    {"tea_above_50": performed("Order Completed", _ITEM), "viewed_tea_above_50": performed("Product Viewed", _ITEM)},
    currency="EUR",
)


def _categories(case: dict[str, Any]) -> list[str]:
    value = case.get("category")
    return value if isinstance(value, list) else [value] if value else []


def _price(case: dict[str, Any]) -> Fraction | None:
    value = case.get("price")
    amount = AMOUNTS.get(value) if isinstance(value, str) else value
    return None if amount is None else Fraction(amount)


def of_products(products: tuple[dict[str, Any], ...]) -> set[str]:
    """The segments of an order of these products."""
    categories = [text for case in products for text in _categories(case)]
    prices = [price for case in products if (price := _price(case)) is not None]
    tests = {
        "tea": any(fold(text) == "tea" for text in categories),
        "tea_in": any(fold(text) in ("tea", "coffee") for text in categories),
        "tea_not_in": bool(categories) and all(fold(text) not in ("tea", "coffee") for text in categories),
        "tea_contains": any("tea" in fold(text) for text in categories),
        "tea_matches": any(text.startswith(("tea", "green")) for text in categories),
        "category": bool(categories),
        "no_category": not categories,
        "price_100": any(price >= 100 for price in prices),
        "price_below_50": any(price < 50 for price in prices),
    }
    return {key for key, holds in tests.items() if holds}


def has_item(case: dict[str, Any]) -> bool:
    """A tea above 50."""
    price = _price(case)
    return price is not None and price > 50 and any(fold(text) == "tea" for text in _categories(case))


def products_of_orders() -> Iterator[Case]:
    """Tests of the products of an order, and of one and the same product."""
    for index, products in enumerate(PRODUCTS):
        forms: list[tuple[str, Any]] = [("list", list(products))]
        if len(products) == 1:
            forms.append(("object", products[0]))
        if not products:
            forms += [(label(value), value) for value in NO_PRODUCTS]
        for (form, value), total in product(forms, (ABSENT, 9)):
            sent = track("Order Completed", "m", 0, order_id="1", total=total, products=value)
            name = f"products {index} as {form} with total {label(total)}"
            yield make(name, ("R36", "R23"), "products", [sent], of_products(products))
            right = {"tea_above_50"} if any(map(has_item, products)) else set()
            yield make(f"item of {name}", ("R37", "R23"), "items", [sent], right)
        if len(products) == 1:
            sent = track("Product Viewed", "m", 0, product_id="p", **products[0])
            right = {"viewed_tea_above_50"} if has_item(products[0]) else set()
            yield make(f"item of a view of products {index}", ("R37",), "items", [sent], right)


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (words, values, places, products_of_orders):
        yield from part()
