"""Random definitions over the whole language, valid by the contract.

Its one rule: a form asks for what its scene tells, at the durations and values on which the scene's events lie.

Long because every condition has its own way to be met.
"""

from collections.abc import Callable
from datetime import timedelta

from tests.strategies.oddities import BOOLEANS, odd_name
from tests.strategies.scene import START, Pick, Scene, merged
from tests.strategies.values import (
    AGES,
    APART,
    CONTEXT_TESTS,
    CONTEXTS,
    DATE_TESTS,
    EVENT_TIMES,
    ODD_TESTS,
    PROPERTIES,
    SUMMED,
    TRAITS,
    Event,
)

CURRENCY = "EUR"

EVENT_NAMES: tuple[str | list[str], ...] = (
    "Order Completed", "Order Completed", "page", "Product Viewed", "Product Added", "Signed Up",
    "Order Refunded", ["Order Completed", "Product Added"], ["page", "Product Viewed"],
    ["Order Cancelled", "Cart Viewed"],
)  # fmt: skip
COUNTS: tuple[Event, ...] = (
    {"at_least": 1}, {"at_least": 2}, {"at_least": 3}, {"at_most": 0}, {"at_most": 1},
    {"at_least": 1, "at_most": 2},
)  # fmt: skip
EXACT_COUNTS: tuple[Event, ...] = ({"exactly": 0}, {"exactly": 1}, {"exactly": 2})
KEYS = ("segment_a", "segment_b", "segment_c", "segment_d")

# --- files -------------------------------------------------------------------------------------


def definitions_by(pick: Pick, of: Scene, *, with_holds: bool = True) -> Event:
    """1-4 segments, each of which may name those drawn before it; the first is about the scene's theme."""
    keys = in_any_order(pick, KEYS[: pick((1, 2, 3, 4))])
    segments: dict[str, Event] = {}
    for key in keys:
        segments[key] = {"title": key} | segment(pick, of, named(segments)) | hold(pick, of, with_holds)
    has_money = "total" in str(segments) or "ratio" in str(segments) or of.oddities
    currency: Event = {"currency": CURRENCY} if has_money else {}
    hosts: Event = {"hosts": ["blog.example"]} if "referrers" in of.oddities else {}
    return {"version": 1} | currency | hosts | {"segments": segments}


def in_any_order(pick: Pick, keys: tuple[str, ...]) -> list[str]:
    """The keys shuffled, so that what is named comes before and after in the order of keys."""
    left, shuffled = list(keys), []
    while left:
        shuffled.append(pick(tuple(left)))
        left.remove(shuffled[-1])
    return shuffled


def named(segments: dict[str, Event]) -> tuple[str, ...]:
    """The keys that in_segment may name: of bands, those of each band."""
    return tuple(name for key, node in segments.items() for name in own_keys(key, node))


def own_keys(key: str, node: Event) -> list[str]:
    bands = node.get("bands")
    return [f"{key}_{name}" for name in bands["from"]] if isinstance(bands, dict) else [key]


def segment(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
    if of.theme in BANDED and pick(range(4)) == 0:
        return {"bands": bands(pick, of)}
    kind = theme_kind(of, others)
    if pick((True, False)):
        return {"when": leaf(pick, of, others, kind)}
    return {"when": condition(pick, of, others, depth=pick((1, 2, 3)))}


def hold(pick: Pick, of: Scene, with_hold: bool) -> Event:
    often = 3 if of.theme in ("cart", "last", "in_segment") else 6
    return {"hold": pick(of.durations)} if with_hold and pick(range(often)) == 0 else {}


def bands(pick: Pick, of: Scene) -> Event:
    kind = of.theme if of.theme in BANDED else "total"
    ranges: Event = pick(BANDED[kind])
    if pick((True, False)):  # in any order
        ranges = dict(reversed(ranges.items()))
    if kind == "total":
        return {"total": summed(pick, of, pick(("sum", "sum", "avg", "max", "min"))), "from": ranges}
    body = FORMS[kind](pick, of)
    return {kind: {key: value for key, value in body.items() if key not in TEST_OF_BAND}, "from": ranges}


TEST_OF_BAND = ("count", "at_least", "at_most", "above", "below")
WHOLE_BANDS: tuple[Event, ...] = ({"one": 1, "more": 2}, {"none": 0, "one": 1, "some": 2, "many": 4}, {"all": 3})
BANDED: dict[str, tuple[Event, ...]] = {
    "total": ({"low": 0, "high": 9}, {"none": 0, "some": 0.5, "many": 10}, {"below": -3, "low": 0, "top": 18.5}),
    "ratio": ({"low": 0, "high": 0.5, "top": 1}, {"any": 0.1}),
    "score": ({"cold": 0, "warm": 0.75, "hot": 1.5}, {"low": 0.25, "high": 2}),
    "performed": WHOLE_BANDS,
    "sessions": WHOLE_BANDS,
}

# --- conditions --------------------------------------------------------------------------------


def condition(pick: Pick, of: Scene, others: tuple[str, ...], depth: int) -> Event:
    """A condition with at most `depth` levels, its leaf counted."""
    kind = pick(("leaf", "all", "any", "not", "not one")) if depth > 1 else "leaf"
    if kind == "leaf":
        return leaf(pick, of, others, pick((theme_kind(of, others), theme_kind(of, others), *leaf_kinds(others))))
    if kind == "not one":
        return {"not": condition(pick, of, others, depth - 1)}
    return {kind: [condition(pick, of, others, depth - 1) for _ in range(pick((1, 2, 2, 3)))]}


def theme_kind(of: Scene, others: tuple[str, ...]) -> str:
    """The kind of condition that the scene is about; another segment can be named only where there is one."""
    return "performed" if of.theme == "in_segment" and not others else of.theme


def leaf_kinds(others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(kind for kind in FORMS if others or kind != "in_segment")


def leaf(pick: Pick, of: Scene, others: tuple[str, ...], kind: str) -> Event:
    return {kind: pick(others) if kind == "in_segment" else FORMS[kind](pick, of)}


def optional(key: str, value: object) -> Event:
    return {} if value is None else {key: value}


# --- over events -------------------------------------------------------------------------------


def event_part(pick: Pick, of: Scene) -> Event:
    """`event`, now and then with `where`: mostly of the scene's own names where they have properties."""
    name = pick((*of.names * 4, list(dict.fromkeys(of.names)), *EVENT_NAMES))
    where = pick(
        (None, where_by(pick, of), where_by(pick, of)) if of.theme == "performed" else (None, None, where_by(pick, of))
    )
    spelled = odd_name(pick, name) if "names" in of.oddities else name
    times = pick(EVENT_TIMES) if pick(range(8)) == 0 else {}
    return {"event": spelled} | optional("where", where) | times


def where_by(pick: Pick, of: Scene) -> Event:
    """Tests of one property or of two; where events are told oddly, also those that are about that."""
    if "booleans" in of.oddities and of.fields[0] in BOOLEANS and pick(range(3)):
        return {of.fields[0]: bool(pick(range(3)))}
    if of.oddities and pick(range(3)) == 0:
        return pick(ODD_TESTS)
    if pick(range(12)) == 0:
        return pick(CONTEXT_TESTS)
    return merged(pick(PROPERTIES[pick(of.fields)].tests) for _ in range(pick((1, 1, 1, 2))))


def performed_form(pick: Pick, of: Scene) -> Event:
    count = pick((None, None, *COUNTS, *EXACT_COUNTS))
    return event_part(pick, of) | optional("count", count) | within(pick, of)


def within(pick: Pick, of: Scene) -> Event:
    return optional("within", pick((None, *of.durations * 4)))


def ago_form(pick: Pick, of: Scene) -> Event:
    return event_part(pick, of) | optional("ago", ago(pick, of))


def mostly_anywhere(pick: Pick, of: Scene) -> Event:
    """A choice of events, mostly without tests of their properties."""
    drawn = event_part(pick, of)
    return {"event": drawn["event"]} if pick(range(4)) else drawn


def newest_form(pick: Pick, of: Scene) -> Event:
    """The tests of one product stand in one of both."""
    drawn = mostly_anywhere(pick, of)
    has = where_by(pick, of) if pick(range(2)) else {of.fields[0]: {"exists": pick((True, False))}}
    if "item" in has:
        drawn.pop("where", None)
    return drawn | {"has": has}


def overdue_form(pick: Pick, of: Scene) -> Event:
    count = pick((None, *[{"at_least": 2}] * 4, {"at_least": 4}))
    return mostly_anywhere(pick, of) | {"times": pick((0.333333, 1, 1, 1.5, 2))} | optional("count", count)


def score_form(pick: Pick, of: Scene) -> Event:
    """Points of the scene's own names, mostly, with the bounds around those of one, two or three events."""
    names = {pick((*of.names * 4, "Product Added", "Order Completed")) for _ in range(pick((1, 2)))}
    points: Event = {name: pick((1, 1, 2, 0.5, 3)) for name in sorted(names)}
    lives = [duration for duration in of.durations if duration != "10s"]
    return {"events": points, "half_life": pick(tuple(lives) or ("1m", "90s", "1h"))} | pick(SCORES)


SCORES: tuple[Event, ...] = (
    {"at_least": 1}, {"at_least": 1.5}, {"at_least": 2}, {"above": 0.75}, {"above": 1}, {"below": 1}, {"at_most": 0.5},
    {"below": 0.3}, {"at_least": 0.5, "below": 1}, {"above": 0.25, "at_most": 1}, {"at_most": 0},
    {"at_least": 0.000001},
)  # fmt: skip


def ago(pick: Pick, of: Scene) -> Event | None:
    """A beginning, an end, or both, in this order; or neither."""
    start = pick(range(len(of.durations)))
    begin, later = of.durations[start], of.durations[start + 1 :]
    end = pick(("at_most", "below"))
    options: list[Event | None] = [None, {"at_least": begin}, {"at_least": begin}, {end: begin}, {end: begin}]
    options += [{"at_least": begin, end: duration} for duration in later * 2]
    return pick(tuple(options))


def total_form(pick: Pick, of: Scene) -> Event:
    agg = pick(("sum", "sum", "sum", "avg", "min", "max", "distinct", "distinct"))
    if agg == "distinct":
        return apart(pick, of) | pick(({"at_least": 2}, {"at_least": 2}, {"at_least": 3}, {"at_most": 1}, {"below": 1}))
    form = summed(pick, of, agg)
    return form | pick(ORDER_BOUNDS if form["of"] == "total" else BOUNDS)


def ratio_form(pick: Pick, of: Scene) -> Event:
    parts = [summed(pick, of, pick(("sum", "sum", "sum", "avg", "max"))) for _ in range(2)]
    if pick(range(3)) == 0:
        parts[1] = apart(pick, of)
    test = pick(RATIOS)
    if test.keys() <= {"below", "at_most"} and pick(range(3)):
        parts = [parts[0] | {"within": of.durations[0]}, parts[1] | {"within": "365d"}]  # time alone lowers it
    return {"of": parts[0], "to": parts[1]} | test


RATIOS: tuple[Event, ...] = (
    {"above": 0.5}, {"at_least": 0.5}, {"at_least": 1}, {"below": 1}, {"at_most": 0.25}, {"above": 1}, {"below": 0.5},
    {"at_least": 0.333333, "below": 3},
)  # fmt: skip


def summed(pick: Pick, of: Scene, agg: str) -> Event:
    """A total of numbers, but for its test: of what the scene tells, or of orders."""
    properties = [SUMMED[name] for name in of.fields if name in SUMMED]
    if "Order Completed" in of.names or "order" in of.kinds or not properties:
        properties.append("total")
    number = pick((*properties, *properties[-1:]))
    part = {"event": "Order Completed"} if number == "total" else event_part(pick, of)
    return {"agg": agg, "of": number} | part | within(pick, of)


def apart(pick: Pick, of: Scene) -> Event:
    property_name = pick((*(APART[name] for name in of.fields), "product_id"))
    return {"agg": "distinct", "of": property_name} | event_part(pick, of) | within(pick, of)


ORDER_BOUNDS: tuple[Event, ...] = (
    {"at_least": 100}, {"at_least": 100}, {"above": 100}, {"at_least": 160}, {"below": 100}, {"at_most": 200},
    {"above": 60, "below": 200}, {"at_least": 100.000001}, {"above": 0}, {"at_most": 0},
)  # fmt: skip
BOUNDS: tuple[Event, ...] = (
    {"at_least": 9}, {"at_least": 5}, {"above": 5}, {"at_most": 5}, {"below": 9}, {"at_least": 9, "below": 18.5},
    {"above": -3, "at_most": 9.5}, {"at_most": 0}, {"below": 0}, {"at_least": 18}, {"above": 2.5}, {"at_least": 0.3},
)  # fmt: skip


def sequence_form(pick: Pick, of: Scene) -> Event:
    """Steps mostly of the scene's own names and in its longest window, so that they are made."""
    steps: list[Event] = []
    for _ in range(pick((2, 2, 2, 2, 2, 3, 4))):
        where = optional("where", where_by(pick, of)) if pick(range(10)) == 0 else {}
        steps.append({"event": pick((*of.names * 5, pick(EVENT_NAMES)))} | where)
    within = optional("within", pick((None, None, *of.durations, of.durations[-1], of.durations[-1])))
    same = pick((*(None,) * 5, "product_id", *(APART[name] for name in of.fields)))
    return {"steps": steps} | within | optional("same", same)


# --- over carts and visits ---------------------------------------------------------------------


def sessions_form(pick: Pick, of: Scene) -> Event:
    gap = pick((None, *of.durations))
    return {"count": pick(COUNTS), "within": pick(of.durations)} | optional("gap", gap)


def cart_form(pick: Pick, of: Scene) -> Event:
    """idle_for is always below until: the other way round the segment would be empty."""
    start = pick(range(len(of.durations)))
    idle_for = pick((None, of.durations[start], of.durations[start]))
    later = of.durations[start + 1 :] if idle_for else of.durations
    until = pick((None, *later, *later))
    form = optional("idle_for", idle_for) | optional("until", until) | optional("stage", pick((None, None, *STAGES)))
    form |= optional("value", pick((None, None, *CART_VALUES))) | optional("items", pick((None, None, *ITEMS)))
    return form | optional("has", pick((*(None,) * 12, *CART_PRODUCTS)))


STAGES = ("cart", "checkout")
CART_VALUES: tuple[object, ...] = (
    {"at_least": 5},
    {"above": 5},
    {"below": 10},
    5,
    {"at_most": 0},
    {"above": 0, "below": 10.5},
)
CART_PRODUCTS: tuple[object, ...] = (
    {"product_id": "p1"},
    {"product_id": "P1", "quantity": {"at_least": 2}},
    {"product_id": {"in": [7, "s1"]}},
    {"product_id": {"not_in": ["p1"]}, "quantity": {"below": 2}},
    {"product_id": {"starts_with": "p"}, "quantity": 1},
    {"product_id": {"exact": "s1"}},
)
ITEMS: tuple[object, ...] = (
    {"at_least": 2},
    {"at_least": 2},
    {"below": 2},
    1,
    {"at_most": 1},
    {"above": 1, "at_most": 3},
)

# --- on the customer and the time -------------------------------------------------------------


def trait_form(pick: Pick, of: Scene) -> Event:
    names = (*of.traits, pick(tuple(TRAITS)))
    return merged(trait_test(pick, of, pick(names)) for _ in range(pick((1, 1, 1, 2))))


def trait_test(pick: Pick, of: Scene, name: str) -> Event:
    if name != "birth_date":
        return pick(TRAITS[name].tests)
    other: Event = pick(({}, {}, {}, {"exists": True}, {"matches": "^2008"}))
    if pick((True, True, False)):
        return {"birth_date": {"age": pick((*AGES, *[ago(pick, of) or {"at_least": of.durations[0]}] * 3))} | other}
    return {"birth_date": pick((*DATE_TESTS, *[ahead(pick, of)] * 6)) | other}


def ahead(pick: Pick, of: Scene) -> Event:
    """A date that lies ahead, by the time between a history's events or by months."""
    ends = ago(pick, of) or {"at_most": pick((*of.durations, "90d", "200d"))}
    return {"ahead": {"at_most" if end == "below" else end: duration for end, duration in ends.items()}}


def context_form(pick: Pick, of: Scene) -> Event:
    tests = merged(pick(CONTEXTS[pick(of.contexts)].tests) for _ in range(pick((1, 1, 1, 2))))
    return tests | optional("touch", pick((None, None, "first", "last")))


def calendar_form(pick: Pick, of: Scene) -> Event:
    kind = pick(("gregorian", "gregorian", "jalali"))
    form: Event = {"timezone": pick(TIMEZONES)} if pick((True, True, False)) else {}
    choice = pick(("between", "between", "weekday", "both"))
    if choice in ("between", "both"):
        form |= {"between": pick(JALALI_RANGES) if kind == "jalali" else near_start(pick)}
    if choice in ("weekday", "both"):
        form |= {"weekday": pick(WEEKDAYS)}
    return form | pick(({"calendar": kind}, {"calendar": kind} if kind == "jalali" else {}))


def near_start(pick: Pick) -> list[str]:
    """Month-days in which the histories lie; a range that ends before it begins goes on over the new year."""
    return [month_day(pick(NEAR_DAYS)), month_day(pick(NEAR_DAYS))]


def month_day(days: int) -> str:
    return (START + timedelta(days=days)).strftime("%m-%d")


NEAR_DAYS = (-2, -1, 0, 0, 1, 1, 2, 3, 28, 30, 31, 59, 60, 90, 91, 120, 300)
JALALI_RANGES: tuple[list[str], ...] = (
    ["12-10", "12-11"], ["12-10", "12-10"], ["12-11", "12-12"], ["12-11", "01-13"], ["12-29", "01-13"],
    ["01-01", "01-01"], ["01-12", "03-10"], ["03-10", "12-10"], ["12-30", "12-30"],
)  # fmt: skip
TIMEZONES = ("UTC", "Asia/Tehran", "Asia/Tehran", "Europe/Berlin", "America/Santiago", "Pacific/Kiritimati")
WEEKDAYS: tuple[object, ...] = ("sun", ["sun"], ["mon", "tue"], ["sun", "tue", "thu"], ["fri"], ["sat", "sun"])


def sample_form(pick: Pick, of: Scene) -> Event:
    return {"percent": pick((10, 50, 50, 15.7, 90))} | optional("salt", pick((None, "a", "نمونه")))


def another_segment(pick: Pick, of: Scene) -> Event:
    """`in_segment` is drawn where the other segments are known."""
    raise AssertionError(of.theme)


FORMS: dict[str, Callable[[Pick, Scene], Event]] = {
    "performed": performed_form,
    "total": total_form,
    "ratio": ratio_form,
    "last": ago_form,
    "first": ago_form,
    "newest": newest_form,
    "overdue": overdue_form,
    "score": score_form,
    "sequence": sequence_form,
    "cart": cart_form,
    "sessions": sessions_form,
    "trait": trait_form,
    "context": context_form,
    "in_segment": another_segment,
    "calendar": calendar_form,
    "sample": sample_form,
}
