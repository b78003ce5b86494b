"""Profiles of hand-made and drawn events under definitions of every kind of fact, for tests of what is remembered.

The events of a test are one customer's, and lie after T, an instant far from any edge.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from rules.conditions.aggregates import Total
from rules.conditions.base import Condition, CustomerView
from rules.definitions.segments_file import Definitions, build
from rules.events import Event, Item
from rules.number_text import MICRO
from rules.profile.profile import Profile
from rules.times import DAY_MS
from rules.values import Document
from tests.strategies import histories
from tests.strategies.worlds import decoded

T = 1_800_000_000_000 // DAY_MS * DAY_MS  # a midnight
Result = TypeVar("Result")
When = dict[str, object]


# --- definitions -------------------------------------------------------------------------------


def performed(event: object, count: int, within: str | None = None, where: object = None) -> When:
    return {"performed": form_of(event=event, count={"at_least": count}, within=within, where=where)}


def counted(gap: str, within: str) -> When:
    return {"sessions": {"count": {"at_least": 2}, "within": within, "gap": gap}}


def total(agg: str, of: str, event: object, within: str | None = None, where: object = None) -> When:
    return {"total": form_of(agg=agg, of=of, event=event, within=within, where=where, at_least=2)}


def form_of(**form: object) -> When:
    return {name: value for name, value in form.items() if value is not None}


NAMED = ["page", "Product Viewed", "Product Added", "Signed Up", "NPS Submitted", "Webinar Registered"]
ORDER = "Order Completed"

# Every kind of fact, with windows that the histories cross and some that they do not.
ALL_FACTS: list[When] = [
    {"cart": {"value": {"at_least": 5}}},
    performed(ORDER, 1, "1d"),
    performed(ORDER, 2, None, {"color": "red"}),
    performed("page", 1, "1h"),
    performed("Product Added", 3),
    performed(["Order Refunded", "page"], 2, "30d"),
    performed("Signed Up", 2, "10s"),
    performed(NAMED, 2, "30d", {"color": {"in": ["red", 7]}, "score": {"exists": False}}),
    counted("30m", "1d"),
    counted("10s", "1m"),
    counted("1d", "30d"),
    total("sum", "total", ORDER, "30d"),
    total("sum", "score", [*NAMED, ORDER], "1h"),
    total("avg", "price", NAMED),
    total("sum", "plan.seats", NAMED, "30d"),
    total("min", "score", NAMED, "30d"),
    total("max", "price", NAMED, "1d"),
    total("max", "score", [ORDER, *NAMED]),
    total("distinct", "category", NAMED, "1d"),
    total("distinct", "tags", [ORDER, *NAMED]),
    total("distinct", "products.category", [*NAMED, "Cart Viewed"], "30d"),
    {"first": {"event": NAMED}},
    {"first": {"event": [ORDER, "Product Viewed"], "where": {"coupon": {"exists": False}}}},
    {"last": {"event": NAMED, "where": {"score": {"above": 5}}}},
    {"sequence": {"steps": [{"event": NAMED}, {"event": ORDER}, {"event": NAMED}], "within": "30d"}},
    {"sequence": {"steps": [{"event": "page"}, {"event": "Signed Up"}]}},
    {"sequence": {"steps": [{"event": NAMED}, {"event": [*NAMED, ORDER]}], "same": "tags", "within": "1d"}},
    {"sequence": {"steps": [{"event": NAMED, "where": {"price": 5}}, {"event": NAMED}], "same": "color"}},
    {"trait": {"plan": "pro", "city": {"exists": True}, "visits": {"above": 2}}},
    {"trait": {"birth_date": {"age": {"at_least": 18}}}},
    {"trait": {"address.city": "Berlin", "address.zip": {"at_least": 10115}, "tags": {"contains": "vip"}}},
    {"context": {"channel": "search", "source": "google", "device": "mobile"}},
    {"context": {"channel": "direct", "referrer": {"matches": "google"}, "touch": "first"}},
    {"context": {"country": "IR", "city": "تهران", "locale": "fa-IR", "medium": "email", "touch": "first"}},
]


def wanting(*whens: When) -> Definitions:
    segments = {f"s{index}": {"title": "s", "when": when} for index, when in enumerate(whens)}
    return build({"version": 1, "currency": "EUR", "segments": segments}, "facts.yaml")


# --- profiles ----------------------------------------------------------------------------------


def apply(definitions: Definitions, profile: Profile, events: Iterable[Event]) -> Profile:
    facts = definitions.facts.with_segments()
    for event in events:
        for fact, _ in facts:
            if fact.names is None or event.name in fact.names:
                fact.apply(profile, event)
    return profile


def profile_of(definitions: Definitions, events: Iterable[Event]) -> Profile:
    return apply(definitions, definitions.facts.empty(), events)


def merged(definitions: Definitions, first: Profile, second: Profile) -> Profile:
    """The profile that two profiles are merged into; both are left as they are."""
    profile = copy(first)
    for fact, _ in definitions.facts.with_segments():
        fact.merge(profile, copy(second))
    return profile


def copy(profile: Profile) -> Profile:
    return msgspec.msgpack.decode(stored(profile), type=Profile)


def stored(profile: Profile) -> bytes:
    return msgspec.msgpack.encode(profile)


def in_every_order(events: Sequence[Event], apply_: Callable[[Sequence[Event]], Result]) -> Result:
    """The outcome in time order; backwards and shuffled it is the same."""
    expected = apply_(events)
    shuffled = list(events)
    random.Random(len(events)).shuffle(shuffled)
    assert apply_(events[::-1]) == expected
    assert apply_(shuffled) == expected
    return expected


def one_customers(seed: int) -> tuple[Definitions, list[Event], random.Random]:
    """A history read as one customer's; definitions of every kind of fact, or such as are drawn with it."""
    rng = random.Random(seed)
    sent, definitions = histories.world(rng, size=rng.choice((4, 25, 60)))
    built = wanting(*ALL_FACTS) if seed % 2 else build(definitions, "world.yaml")
    return built, decoded(sent), rng


# --- events ------------------------------------------------------------------------------------


def named(at: int, name: str, ident: str | None = None, **properties: object) -> Event:
    """An event with properties."""
    document = Document(msgspec.json.encode(properties))
    return Event("u", name, T + at, f"m{at:012}" if ident is None else ident, properties=document)


def page(at: int) -> Event:
    return Event("u", "page", T + at, f"m{at}")


def item(at: int, name: str = "Product Added", product: str | None = None, ident: str | None = None) -> Event:
    items = (Item(product if product is not None else f"p{at}"),)
    return Event("u", name, T + at, f"m{at:06}" if ident is None else ident, items)


def order(at: int, name: str = ORDER, ident: str | None = None, amount: int | None = None) -> Event:
    return Event("u", name, T + at, f"m{name}{at:06}", None, ident or f"o{at}", amount)


def condition_and_view(when: When, events: Sequence[Event]) -> tuple[Condition, CustomerView]:
    """The condition, and the customer whose events these are."""
    definitions = wanting(when)
    return definitions.segments[0].when, CustomerView("u", profile_of(definitions, events), {})


def value_of(when: When, events: Sequence[Event]) -> Callable[[int], int | None]:
    """The total at an instant after T, in whole units."""
    condition, view = condition_and_view(when, events)
    assert isinstance(condition, Total)

    def value(at: int) -> int | None:
        amount = condition.value(view, T + at)
        return None if amount is None else amount // MICRO

    return value


def holds(when: When, at: int) -> Callable[[Sequence[Event]], bool]:
    def answer(events: Sequence[Event]) -> bool:
        condition, view = condition_and_view(when, events)
        return condition.decide(view, T + at)[0]

    return answer
