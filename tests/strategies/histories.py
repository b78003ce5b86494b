"""Histories and definitions that collide: random events whose times sit on the boundaries of random rules.

Its one rule: every choice goes through a `Pick`, so that Hypothesis and a plain seeded Random draw from
the same world. A history has a scene (`tests.strategies.scene`): how many customers, what they mostly do and say, and a
few durations. Each event lies nothing, one of them, or a bound of the product after an earlier one, give or
take a millisecond; definitions of the same scene (`tests.strategies.language`) use the same durations and values.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, TypeVar

from hypothesis import strategies as st

from tests.strategies.events import OWN_NAMES, body
from tests.strategies.language import definitions_by
from tests.strategies.scene import (
    DAY,
    DURATIONS,
    HOUR,
    ITEM_RETENTION,
    MINUTE,
    SECOND,
    START,
    Pick,
    Scene,
    scene,
    steps,
)
from tests.strategies.values import Event

__all__ = [
    "DAY",
    "DURATIONS",
    "HOUR",
    "ITEM_RETENTION",
    "MINUTE",
    "OWN_NAMES",
    "SECOND",
    "START",
    "Event",
    "Pick",
    "Scene",
    "definitions",
    "history",
    "random_definitions",
    "scene",
    "scenes",
    "shuffled",
    "shuffled_history",
    "sorted_history",
    "without_hold",
    "world",
    "world_of",
    "worlds",
    "written",
]

T = TypeVar("T")

NUDGES = (0, 0, 0, 0, 0, 0, 1, -1)
EARLIER = (1, 1, 1, 1, 2, 2, 3, 5, 0)  # which of the customer's drafts so far; 0 = the last of any customer


IDENTITIES = ("user", "user", "user", "anonymous", "empty user", "both")
ODD_IDENTITIES = ("placeholder", "float", "float")
PLACEHOLDER = "Undefined "
CLOCKS = ("Z", "Z", "+03:30", "-05:00", "micros", "nanos")
ODD_CLOCKS = ("+0330", "-05")
EARLIER_TIME = "2026-01-01T00:00:00Z"
STAMPS: tuple[Event, ...] = (
    {},
    {"originalTimestamp": "2026-01-01T00:00:00Z"},
    {
        "originalTimestamp": "2026-01-01T00:00:00Z",
        "sentAt": "2026-01-01T00:00:00Z",
        "receivedAt": "2026-02-01T00:00:00Z",
    },
    {"sentAt": "2026-01-01T00:00:00Z", "receivedAt": "2026-01-01T00:01:00Z"},
    {"sentAt": "2026-01-01T00:00:00Z", "receivedAt": ""},
)


class Draft(NamedTuple):
    """An event without its time and messageId, which depend on the drafts before it."""

    customer: int
    earlier: int
    step_ms: int
    id_letter: str  # so that the order of ids is not the order of times
    identity: str
    clock: str
    body: Event
    copies: int
    has_number: bool = False  # whether the customer's id is a number
    stamps: Event | None = None  # other times, none of which counts beside the timestamp


# --- with Hypothesis ---------------------------------------------------------------------------


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    return scene(picking(draw))


@st.composite
def sorted_history(draw: st.DrawFn, of: Scene | None = None, max_size: int = 25) -> list[Event]:
    """Events of 1-4 customers in time order: no customer has a late event."""
    drafts = draft_of(of or draw(scenes()))
    return in_time_order(place(draw(st.lists(drafts, min_size=1, max_size=max_size))))


@st.composite
def shuffled_history(draw: st.DrawFn, of: Scene | None = None, max_size: int = 25) -> list[Event]:
    """The events of a sorted history in any order: many are late."""
    return draw(st.permutations(draw(sorted_history(of, max_size))))


@st.composite
def definitions(draw: st.DrawFn, of: Scene | None = None) -> Event:
    """1-4 segments over the whole language, nested up to depth 3."""
    return definitions_by(picking(draw), of or draw(scenes()))


@st.composite
def worlds(draw: st.DrawFn, *, late: bool = False) -> tuple[list[Event], Event]:
    """A history and definitions of one scene: where boundaries are met most often.

    With late events nothing is held: how long it is would depend on the order of the events.
    """
    of = draw(scenes())
    if late:
        return draw(shuffled_history(of)), without_hold(draw(definitions(of)))
    return draw(sorted_history(of)), draw(definitions(of))


@st.composite
def draft_of(draw: st.DrawFn, of: Scene) -> Draft:
    return draft(picking(draw), of)


def picking(draw: st.DrawFn) -> Pick:
    def pick(options: Sequence[T], /) -> T:
        return draw(st.sampled_from(options))

    return pick


# --- with a seed -------------------------------------------------------------------------------


def history(rng: random.Random, of: Scene | None = None, size: int = 25) -> list[Event]:
    """Events in time order; repeated messages come on top of `size`."""
    return history_by(rng.choice, of or scene(rng.choice), size)


def shuffled(rng: random.Random, events: list[Event]) -> list[Event]:
    return rng.sample(events, len(events))


def random_definitions(rng: random.Random, of: Scene | None = None) -> Event:
    return definitions_by(rng.choice, of or scene(rng.choice))


def world(rng: random.Random, size: int = 25) -> tuple[list[Event], Event]:
    """A history in time order and definitions, of one scene."""
    of = scene(rng.choice)
    return history(rng, of, size), random_definitions(rng, of)


def world_of(kind: str, pick: Pick, size: int = 25) -> tuple[list[Event], Event]:
    """A world of a scene about one kind of condition, which most segments then use."""
    of = scene(pick, kind)
    return history_by(pick, of, size), definitions_by(pick, of)


def without_hold(drawn: Mapping[str, object]) -> Event:
    """The definitions without minimum stays: a customer that no longer meets a condition leaves at once."""
    segments = drawn["segments"]
    assert isinstance(segments, dict)
    plain = {
        key: {name: value for name, value in segment.items() if name != "hold"} for key, segment in segments.items()
    }
    return {**drawn, "segments": plain}


# --- histories ---------------------------------------------------------------------------------


def history_by(pick: Pick, of: Scene, size: int) -> list[Event]:
    return in_time_order(place([draft(pick, of) for _ in range(size)]))


def draft(pick: Pick, of: Scene) -> Draft:
    return Draft(
        customer=pick(range(of.customers)),
        earlier=pick(EARLIER),
        step_ms=pick(steps(of)) + pick(NUDGES),
        id_letter=pick("axbyc"),
        identity=pick((*IDENTITIES, *ODD_IDENTITIES) if "ids" in of.oddities else IDENTITIES),
        clock=pick((*CLOCKS, *ODD_CLOCKS) if "times" in of.oddities else CLOCKS),
        body=body(pick, of),
        copies=pick((1, 1, 1, 1, 1, 1, 1, 2)),
        has_number="ids" in of.oddities,
        stamps=pick(STAMPS) if "times" in of.oddities else None,
    )


def place(drafted: list[Draft]) -> list[Event]:
    """The events of the drafts, as drawn: not in time order, repeated messages side by side."""
    placed: list[Event] = []
    times: dict[int, list[int]] = {}
    newest = 0
    for index, draft in enumerate(drafted):
        newest = max(0, anchor(times.get(draft.customer, []), draft.earlier, newest) + draft.step_ms)
        times.setdefault(draft.customer, []).append(newest)
        placed += [event(draft, newest, f"{draft.id_letter}{index}") for _ in range(draft.copies)]
    return placed


def anchor(own: list[int], earlier: int, newest: int) -> int:
    return own[-min(earlier, len(own))] if own and earlier else newest


def event(draft: Draft, since_start_ms: int, message_id: str) -> Event:
    moment = START + timedelta(milliseconds=since_start_ms)
    stamp: Event = {"messageId": message_id, "timestamp": written(moment, draft.clock)}
    name = str(1000 + draft.customer) if draft.has_number else customer_name(draft.customer)
    return draft.body | (draft.stamps or {}) | stamp | ids(name, draft.identity)


def customer_name(index: int) -> str:
    return "مشتری-۱" if index == 1 else f"u{index}"


def ids(customer: str, identity: str) -> Event:
    """The customer is userId, else anonymousId; a placeholder is neither."""
    if identity == "anonymous":
        return {"anonymousId": customer}
    if identity == "empty user":
        return {"userId": "", "anonymousId": customer}
    if identity == "placeholder":
        return {"userId": PLACEHOLDER, "anonymousId": customer}
    if identity == "float":
        return {"userId": float(customer)}
    return {"userId": customer, "anonymousId": customer} if identity == "both" else {"userId": customer}


def written(moment: datetime, clock: str) -> str:
    """An instant as RFC 3339 in several hands; digits beyond the millisecond are to be cut."""
    offsets = {"+03:30": 3.5, "-05:00": -5, "+0330": 3.5, "-05": -5}
    local = moment.astimezone(timezone(timedelta(hours=offsets.get(clock, 0))))
    digits = {"micros": "999", "nanos": "999999"}.get(clock, "")
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{local.microsecond // 1000:03}{digits}{offset_of(clock)}"


def offset_of(clock: str) -> str:
    return clock if clock[0] in "+-" else "Z"


def in_time_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=cut_instant)


def cut_instant(event: Event) -> datetime:
    """The event's time as the contract cuts it; equal milliseconds stay in drawn order."""
    moment = datetime.fromisoformat(str(event["timestamp"]))
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
