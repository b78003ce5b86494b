"""Worlds about one kind of condition: every segment in them is of that kind, and what can happen to it.

The one rule: the table says in which ways a kind can be entered and left, by an event or by time alone;
what it does not list cannot happen.
"""

import random
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from tests.oracle import oracle
from tests.oracle.oracle import Json
from tests.strategies import histories
from tests.strategies.histories import Event, Pick, Scene
from tests.strategies.language import BANDED, BOUNDS, CURRENCY, FORMS, bands
from tests.strategies.values import APART, SUMMED
from tests.strategies.worlds import World, made

T = TypeVar("T")

ORDER = "Order Completed"
IN, OUT = "entered", "exited"
BY_EVENT = {(IN, "event"), (OUT, "event")}
ALL_WAYS = BY_EVENT | {(IN, "time"), (OUT, "time")}

TRIES_MAX = 1_000  # a drawn form is of the kind that is looked for in one of a few


Fits = Callable[[Event], object]
Draw = Callable[[Pick, Scene, tuple[str, ...]], Event]


class Kind(NamedTuple):
    """`ways`: what can happen; `segment`: draws one of the kind, given what can be named.

    `scenes`: which scenes about the theme will do.
    """

    theme: str
    ways: set[tuple[str, str]]
    segment: Draw
    scenes: Callable[[Scene], object] = bool


def form(kind: str, fits: Fits = bool) -> Draw:
    """A segment of one condition, drawn until it fits."""

    def segment(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
        return {"when": {kind: until(lambda: FORMS[kind](pick, of), fits)}}

    return segment


def until(draw: Callable[[], T], fits: Callable[[T], object]) -> T:
    return next(drawn for drawn in (draw() for _ in range(TRIES_MAX)) if fits(drawn))


def total(agg: str) -> Kind:
    return Kind("total", ALL_WAYS, form("total", lambda drawn: drawn["agg"] == agg))


def uncovered(agg: str, ends: set[str]) -> Kind:
    """A total that begins to hold as contributions leave the window."""
    bounds = tuple(bound for bound in BOUNDS if ends & bound.keys())

    def segment(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
        total_form: Event = {
            "agg": agg,
            "of": SUMMED[of.fields[0]],
            "event": pick(of.names),
            "within": of.durations[-1],
        }
        return {"when": {"total": total_form | pick(bounds)}}

    return Kind("total", ALL_WAYS, segment, lambda of: len(of.durations) > 1 and of.fields[0] != "plan")


def taken_back(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
    """Steps of orders, which can be taken back, that share something that they tell."""
    properties = [APART[name] for name in of.fields]

    def fits(drawn: Event) -> bool:
        return drawn.get("same") in properties and str({"event": ORDER}) in str(drawn["steps"])

    return form("sequence", fits)(pick, of, others)


def between(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
    """A window that does not end now."""
    last = pick(range(len(of.durations) - 1))
    drawn = FORMS["performed"](pick, of)
    drawn.pop("within", None)
    return {"when": {"performed": drawn | {"between": [pick(of.durations[last + 1 :]), of.durations[last]]}}}


def cart(part: str) -> Kind:
    return Kind("cart", ALL_WAYS, form("cart", lambda drawn: part in drawn))


def group(kind: str) -> Kind:
    """A group of two conditions: one that time turns, and any other."""

    def segment(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
        other = pick(("performed", "cart", "sessions", "last", "trait", "calendar"))
        members = [{of.theme: FORMS[of.theme](pick, of)}, {other: FORMS[other](pick, of)}]
        return {"when": {kind: members}}

    return Kind("performed", ALL_WAYS, segment)


def has_date(*keys: str) -> Callable[[Event], bool]:
    """Whether a trait is asked one of these tests of a date."""

    def chosen(tests: Event) -> bool:
        return any(isinstance(test, dict) and not test.keys().isdisjoint(keys) for test in tests.values())

    return chosen


DATE_KEYS = ("age", "before", "after", "ahead", "anniversary")


def has_before(tests: Event) -> bool:
    return has_date("before", "after")(tests) and not has_date("age", "ahead", "anniversary")(tests)


def in_segment(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
    """The first segment of a world is there to be named."""
    if not others:
        return {"when": {"performed": FORMS["performed"](pick, of)}}
    return {"when": {"in_segment": pick(others)}}


def segment_with_hold(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
    kind = pick(("performed", "cart", "last", "sessions"))
    return {"when": {kind: FORMS[kind](pick, of)}, "hold": pick(of.durations)}


def banded(pick: Pick, of: Scene, others: tuple[str, ...]) -> Event:
    return {"bands": bands(pick, of)}


KINDS: dict[str, Kind] = {
    "performed": Kind("performed", ALL_WAYS, form("performed", lambda drawn: "where" not in drawn)),
    "performed.where": Kind("performed", ALL_WAYS, form("performed", lambda drawn: "where" in drawn)),
    "performed.between": Kind("performed", ALL_WAYS, between, lambda of: len(of.durations) > 1),
    "total.sum": total("sum"),
    "total.avg": uncovered("avg", {"at_least", "above", "at_most", "below"}),
    "total.min": uncovered("min", {"at_least", "above"}),
    "total.max": uncovered("max", {"at_most", "below"}),
    "total.distinct": total("distinct"),
    "ratio": Kind("ratio", ALL_WAYS, form("ratio")),
    "last": Kind("last", ALL_WAYS, form("last", lambda drawn: "ago" in drawn)),
    # Left by an event when the first order is taken back.
    "first": Kind("first", ALL_WAYS, form("first", lambda drawn: "ago" in drawn)),
    "overdue": Kind("overdue", {(IN, "time"), (OUT, "event")}, form("overdue")),
    "score": Kind("score", ALL_WAYS, form("score")),
    "newest": Kind("newest", BY_EVENT, form("newest")),
    # A window only takes away, so that by time alone no customer enters.
    "sequence": Kind("sequence", ALL_WAYS - {(IN, "time")}, form("sequence", lambda drawn: "same" not in drawn)),
    "sequence.same": Kind(
        "sequence",
        ALL_WAYS - {(IN, "time")},
        taken_back,
        lambda of: ORDER in of.names and len(of.order_ids) > 2 and "taken back" in of.kinds,
    ),
    "cart": Kind("cart", ALL_WAYS, form("cart", lambda drawn: not {"stage", "value", "items"} & drawn.keys())),
    "cart.stage": cart("stage"),
    "cart.value": cart("value"),
    "cart.items": cart("items"),
    "cart.has": cart("has"),
    "sessions": Kind("sessions", ALL_WAYS, form("sessions")),
    "trait": Kind("trait", BY_EVENT, form("trait", lambda drawn: not has_date(*DATE_KEYS)(drawn))),
    "trait.age": Kind("trait", ALL_WAYS, form("trait", has_date("age"))),
    "trait.before": Kind("trait", BY_EVENT, form("trait", has_before)),
    "trait.ahead": Kind("trait", ALL_WAYS, form("trait", has_date("ahead"))),
    "trait.anniversary": Kind("trait", ALL_WAYS, form("trait", has_date("anniversary"))),
    "context": Kind("context", BY_EVENT, form("context")),
    "in_segment": Kind("in_segment", ALL_WAYS, in_segment),
    # The first event makes a customer, which is in at once on such a day.
    "calendar": Kind("calendar", ALL_WAYS - {(OUT, "event")}, form("calendar")),
    "sample": Kind("sample", {(IN, "event")}, form("sample")),
    "hold": Kind("cart", ALL_WAYS, segment_with_hold),
    "bands": Kind("total", ALL_WAYS, banded),
    **{f"bands.{kind}": Kind(kind, ALL_WAYS, banded) for kind in BANDED if kind != "total"},
    "all": group("all"),
    "any": group("any"),
    "not": group("not"),
}

KEYS = ("segment_b", "segment_d", "segment_a", "segment_c")


def definitions_of(name: str, rng: random.Random) -> tuple[Scene, Event]:
    """A scene about the kind, and four segments of it."""
    kind = KINDS[name]
    of = until(lambda: histories.scene(rng.choice, kind.theme), kind.scenes)
    segments: dict[str, Event] = {}
    for key in KEYS:
        segments[key] = {"title": key} | kind.segment(rng.choice, of, tuple(segments))
    return of, {"version": 1, "currency": CURRENCY, "segments": segments}


def world_of(name: str, seed: int, size: int = 25) -> World:
    """A history of a scene about the kind, and such segments."""
    rng = random.Random(f"{name} {seed}")
    of, definitions = definitions_of(name, rng)
    return made(rng, histories.history(rng, of, size), definitions)


def of_kind(name: str, definitions: Json) -> set[str]:
    """The segments of the kind: all but the one that is only there to be named."""
    keys = set(oracle.conditions_of(definitions))
    return keys - {KEYS[0]} if name == "in_segment" else keys
