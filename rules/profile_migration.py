"""Migrates a profile: what was remembered under former definitions, in the places of newer ones.

The one rule: only what was remembered is carried over. What the former file did not ask for starts from now, and
`missing_history` says of which fact, and how long it takes until that makes no difference any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from rules.facts import (
    CartFact,
    DistinctFact,
    ExtremeFact,
    FirstFact,
    OccurrenceFact,
    OrderFact,
    SessionFact,
    StepFact,
    SumFact,
    TouchFact,
    TraitFact,
)
from rules.facts.registry import FactRegistry, Key, Window
from rules.profile.attributes import SHOWN_MAX_CHARS, AttributeValue
from rules.profile.cart import LINES_AGE_MS
from rules.profile.days import Days
from rules.profile.orders import COMPLETED, TOTAL, OrderMessage, Orders, Settled, slot_of, view_and_place
from rules.profile.profile import Fact, Profile

Carry = Callable[[Profile, Profile], None]
Asked = TraitFact | TouchFact
AskedT = TypeVar("AskedT", TraitFact, TouchFact)

# Facts that are the same under both or not there, by where they stand in a profile.
_WHOLE: Mapping[type[Fact], str] = {
    SessionFact: "sessions",
    OccurrenceFact: "occurrences",
    FirstFact: "firsts",
    SumFact: "sums",
    ExtremeFact: "extremes",
    DistinctFact: "distincts",
    StepFact: "steps",
}


def carrying(before: FactRegistry, now: FactRegistry) -> list[Carry]:
    """What brings one profile over into an empty one, fact by fact."""
    return [carry for key, fact in now.by_key.items() if (carry := _carry(before, key, fact)) is not None]


def _carry(before: FactRegistry, key: Key, fact: Fact) -> Carry | None:
    was = before.by_key.get(key)
    if isinstance(fact, TraitFact):
        return _touch("traits", _told(before, TraitFact, fact.name), fact)
    if isinstance(fact, TouchFact):
        return _touch("touches", _told(before, TouchFact, (fact.attribute, fact.first)), fact)
    if was is None:
        return None
    if isinstance(fact, OrderFact):
        assert isinstance(was, OrderFact)
        return _orders(was, fact)
    if isinstance(fact, CartFact):
        return _cart
    name, source, target = _WHOLE[type(fact)], was.slot, fact.slot  # type: ignore[attr-defined]  # these have one

    def whole(old: Profile, new: Profile) -> None:
        getattr(new, name)[target] = getattr(old, name)[source]

    return whole


def _cart(old: Profile, new: Profile) -> None:
    new.cart = old.cart


def _told(before: FactRegistry, kind: type[AskedT], of: object) -> list[AskedT]:
    """The facts of one trait or attribute: all of them know the same event."""
    return [fact for key, fact in before.by_key.items() if isinstance(fact, kind) and key[1] == of]


def _orders(was: OrderFact, fact: OrderFact) -> Carry:
    views = [(at, was.views.index(view)) for at, view in enumerate(fact.views) if view in was.views]
    places = [was.readings.index(one) if one in was.readings else None for one in fact.readings]
    known_views = {source: at for at, source in views}
    known_places = {TOTAL: TOTAL} | {source + 1: at + 1 for at, source in enumerate(places) if source is not None}

    def message(one: OrderMessage) -> OrderMessage:
        met = sum(1 << at for at, source in views if one.views >> source & 1)
        values = tuple(() if source is None or not one.values else one.values[source] for source in places)
        return msgspec.structs.replace(one, views=met, values=values if one.kind == COMPLETED else ())

    def settled(one: Settled) -> Settled:
        days: dict[int, Days] = {}
        for slot, kept in one.days.items():
            view, place = view_and_place(slot)
            if view in known_views and place in known_places:
                days[slot_of(known_views[view], known_places[place])] = kept
        return Settled({known_views[view]: at for view, at in one.first.items() if view in known_views}, days)

    def carry(old: Profile, new: Profile) -> None:
        if old.orders is not None:
            kept = old.orders.settled
            new.orders = Orders(list(map(message, old.orders.messages)), None if kept is None else settled(kept))

    return carry


def _touch(slots: str, known: Sequence[Asked], fact: Asked) -> Carry | None:
    """Of a trait or an attribute, which stand under ``slots``: what was told, and the answers to what is asked now."""
    if not known:
        return None
    tests = [_find(test, ((one.slot, one.tests) for one in known)) for test in fact.tests]
    paths = fact.dates if isinstance(fact, TraitFact) else ()
    dates = [_find(path, ((one.slot, one.dates) for one in known if isinstance(one, TraitFact))) for path in paths]

    def carry(old: Profile, new: Profile) -> None:
        touches = getattr(old, slots)
        told = touches[known[0].slot]
        if told is None:
            return
        of = {one.slot: touches[one.slot] for one in known if touches[one.slot] is not None}
        met = _met(tests, of)
        if isinstance(fact, TouchFact) and told.shown is not None and len(told.shown) < SHOWN_MAX_CHARS:
            # All of the text, so it can be asked.
            met = sum(1 << at for at, test in enumerate(fact.tests) if test.meets(told.shown))
        found = tuple(None if place is None else of[place[0]].dates[place[1]] for place in dates)
        getattr(new, slots)[fact.slot] = AttributeValue(told.time, told.id, met, told.shown, found)

    return carry


def _find(one: object, among: Iterable[tuple[int, tuple[object, ...]]]) -> tuple[int, int] | None:
    """In which slot, and where there."""
    return next(((slot, known.index(one)) for slot, known in among if one in known), None)


def _met(tests: list[tuple[int, int] | None], of: Mapping[int, AttributeValue]) -> int:
    return sum(1 << at for at, place in enumerate(tests) if place is not None and of[place[0]].met >> place[1] & 1)


# --- what was not kept -------------------------------------------------------------------------


def missing_history(before: FactRegistry, now: FactRegistry) -> Window | bool:
    """How long it takes (ms) until what was not kept makes no difference; ``None``: nobody can say; ``False``: all was.

    ``now``: the facts that one segment asks for.
    """
    short = [window for key, fact in now.by_key.items() if (window := _short(before, key, fact)) is not False]
    if not short:
        return False
    return None if None in short else max(window for window in short if window is not None)


def _short(before: FactRegistry, key: Key, fact: Fact) -> Window | bool:
    was = before.by_key.get(key)
    if isinstance(fact, TraitFact):
        known = _told(before, TraitFact, fact.name)
        tests = {test for one in known for test in one.tests}
        dates = {path for one in known for path in one.dates}
        return False if tests >= set(fact.tests) and dates >= set(fact.dates) and known else None
    if isinstance(fact, TouchFact):
        return False if _told(before, TouchFact, (fact.attribute, fact.first)) else None
    if isinstance(fact, CartFact):
        is_kept = isinstance(was, CartFact) and was.prices >= fact.prices
        return False if is_kept else LINES_AGE_MS
    window: Window = getattr(fact, "window", None)
    if was is None:
        return window
    if isinstance(fact, OrderFact):
        assert isinstance(was, OrderFact)
        if (
            set(was.views) >= set(fact.views)
            and set(was.readings) >= set(fact.readings)
            and _covers(was.window, window)
        ):
            return False
        return window
    is_kept = _covers(getattr(was, "window", None), window)
    if isinstance(fact, OccurrenceFact):
        assert isinstance(was, OccurrenceFact)
        is_kept = is_kept and was.keep >= fact.keep
    return False if is_kept else window


def _covers(was: Window, asked: Window) -> bool:
    return was is None or (asked is not None and asked <= was)
