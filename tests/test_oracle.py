"""The oracle agrees with every hand-computed story, and the strategies produce what they claim."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle, strategies
from tests.oracle import BUILT_IN, CARTS, Fact, Json, OracleChange, changes, membership, milliseconds
from tests.strategies import DAY, DURATIONS, START, Event

STORIES_FILE = Path(__file__).with_name("stories.json")
START_MS = milliseconds(START)  # time 0 of the histories told here


class Expected(TypedDict):
    customer_id: str
    segment: str
    change: str
    occurred_at: str
    late: bool


class Story(TypedDict, total=False):
    """`needs` is there only where the oracle is not that far."""

    name: str
    definitions: Event | None
    events: list[Event]
    until: str | None
    expected: list[Expected]
    needs: list[str]


STORIES = cast("list[Story]", json.loads(STORIES_FILE.read_text()))
NOW = [story for story in STORIES if "needs" not in story]
LATER = [story for story in STORIES if "needs" in story]


def name_of(story: Story) -> str:
    return story["name"]


def per_customer(found: Sequence[OracleChange]) -> dict[str, list[OracleChange]]:
    told: dict[str, list[OracleChange]] = defaultdict(list)
    for change in found:
        told[change.customer_id].append(change)
    return told


def as_change(told: Expected) -> OracleChange:
    return OracleChange(
        told["customer_id"], told["segment"], told["change"], milliseconds(told["occurred_at"]), told["late"]
    )


# --- the stories -------------------------------------------------------------------------------


@pytest.mark.parametrize("story", NOW, ids=name_of)
def test_story(story: Story) -> None:
    """What was computed by hand comes out, in order per customer, late or not."""
    until = milliseconds(story["until"]) if story["until"] else None
    found = changes(story["events"], story["definitions"] or BUILT_IN, until)
    assert per_customer(found) == per_customer([as_change(told) for told in story["expected"]])


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_a_story_needs_exactly_what_the_oracle_lacks(story: Story) -> None:
    """A story is put off only for a condition that the oracle does not know, which it names."""
    assert story.get("needs", []) == oracle.needs(story["definitions"] or BUILT_IN)


@pytest.mark.parametrize("story", LATER, ids=name_of)
def test_an_unknown_condition_is_refused(story: Story) -> None:
    """What the oracle cannot decide it does not decide."""
    definitions = story["definitions"]
    assert definitions is not None
    assert oracle.unsupported(definitions)
    with pytest.raises(NotImplementedError, match=story["needs"][0]):
        changes(story["events"], definitions)


# --- boundaries that no story tells ------------------------------------------------------------


class Told:
    """A hand-written history: each line is one event `at` milliseconds after START."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, at: int, name: str, customer: str = "u1", **properties: object) -> "Told":
        track: Event = {"type": "track", "event": name}
        kind: Event = {"type": name} if name in ("page", "screen", "identify", "group") else track
        stamp = strategies.written(START + timedelta(milliseconds=at), "Z")
        ids: Event = {"userId": customer, "messageId": f"m{len(self.events):03}", "timestamp": stamp}
        self.events.append(kind | ids | {"properties": properties})
        return self

    def gives(self, when: Event, until: int | None = None) -> list[tuple[str, int]]:
        definitions = {"version": 1, "segments": {"s": {"when": when}}}
        found = changes(self.events, definitions, None if until is None else START_MS + until)
        return [(change.change, change.occurred_at - START_MS) for change in found]


def ordered(**form: object) -> Event:
    return {"performed": {"event": "Order Completed"} | form}


def test_an_item_counts_for_ninety_days_of_cart_events() -> None:
    """An item 90 days before the newest cart event still counts, a millisecond more and it does not."""
    told = Told()(0, "Product Added", product_id="p1")(90 * DAY, "Cart Viewed")(90 * DAY + 1, "Cart Viewed")
    assert told.gives({"cart": {}}) == [("entered", 0), ("exited", 90 * DAY + 1)]


def test_a_product_told_twice_in_a_cart_view_adds_up() -> None:
    """Removing one of twice one leaves one."""
    twice = [{"sku": "s1"}, {"sku": "s1"}]
    told = Told()(0, "Cart Viewed", products=twice)(1, "Product Removed", sku="s1", quantity=1)
    assert told.gives({"cart": {}}) == [("entered", 0)]


def test_items_of_one_millisecond_are_folded_by_message_id() -> None:
    """Added then Removed, by messageId, whatever the order in the file."""
    told = Told()(0, "Product Added")(0, "Product Removed")
    assert told.gives({"cart": {}}) == [("entered", 0), ("exited", 0)]
    told.events.reverse()
    assert told.gives({"cart": {}}) == []


def test_a_quantity_below_a_millionth_is_no_item() -> None:
    """Digits beyond 10⁻⁶ are cut, and a cart without items is no cart."""
    assert Told()(0, "Product Added", quantity="0.0000009").gives({"cart": {}}) == []
    assert Told()(0, "Product Added", quantity=1e-06).gives({"cart": {}}) == [("entered", 0)]


def test_one_is_the_quantity_of_an_add_that_tells_none() -> None:
    """Removing a millionth less than one leaves something, removing the rest nothing."""
    told = Told()(0, "Product Added")(1, "Product Removed", quantity=0.999999)
    told(2, "Product Removed", quantity="1e-6")
    assert told.gives({"cart": {}}) == [("entered", 0), ("exited", 2)]


def test_a_screen_is_a_page() -> None:
    """What mobile SDKs send counts under the name `page`."""
    assert Told()(0, "screen").gives({"performed": {"event": "page"}}) == [("entered", 0)]


def test_the_first_event_decides_whatever_it_is() -> None:
    """An identify makes a customer, who has performed nothing; a group makes none."""
    nothing: Event = {"performed": {"event": "page", "count": {"exactly": 0}}}
    assert Told()(5, "identify").gives(nothing) == [("entered", 5)]
    assert Told()(5, "group").gives(nothing) == []


def test_orders_and_other_events_add_up() -> None:
    """Two messages of one order are one, and one item added makes two."""
    told = Told()(0, "Order Completed", order_id="o")(1, "Order Completed", order_id="o")(2, "Product Added")
    when: Event = {"performed": {"event": ["Order Completed", "Product Added"], "count": {"at_least": 2}}}
    assert told.gives(when) == [("entered", 2)]


def test_an_order_without_a_value_falls_only_to_a_refund_without_an_amount() -> None:
    """No sum reaches what has no value."""
    told = Told()(0, "Order Completed", order_id=7)(1, "Order Refunded", order_id="7", total=10**6)
    assert told.gives(ordered()) == [("entered", 0)]
    assert told(2, "Order Refunded", order_id="7").gives(ordered()) == [("entered", 0), ("exited", 2)]


def test_a_free_order_stands() -> None:
    """Nothing refunded is not fully refunded, even if the value is 0."""
    told = Told()(0, "Order Completed", order_id="o", total=0)
    assert told.gives(ordered()) == [("entered", 0)]


def test_the_value_is_that_of_the_earliest_completion() -> None:
    """A refund is held against the first completion, not against a later, dearer one."""
    told = Told()(0, "Order Completed", order_id="o", total=10)(1, "Order Completed", order_id="o", total=20)
    told(2, "Order Refunded", order_id="o", total=10)
    assert told.gives(ordered()) == [("entered", 0), ("exited", 2)]


def test_order_messages_count_for_the_longest_window_and_ninety_days() -> None:
    """At the bound a cancellation still counts; a millisecond beyond it, the id is free again."""
    for gap, expected in ((91 * DAY, []), (91 * DAY + 1, [("entered", 91 * DAY + 1)])):
        told = Told()(0, "Order Cancelled", order_id="o")(gap, "Order Completed", order_id="o")
        assert told.gives(ordered(within="1d")) == expected
        assert told.gives(ordered()) == []
        assert told.gives({"any": [ordered(within="1d"), ordered(within="2d")]}) == []
        assert told.gives({"any": [ordered(within="1d"), {"not": {"not": ordered()}}]}) == []


def test_a_line_after_until_is_skipped_singly() -> None:
    """What follows a skipped line is read, and both times of the end count."""
    told = Told()(0, "page")(9, "page")(5, "Signed Up")
    assert told.gives({"performed": {"event": "Signed Up"}}, until=5) == [("entered", 5)]
    assert told.gives({"performed": {"event": "page", "count": {"at_least": 2}}}, until=5) == []


def test_neighbours_of_one_millisecond_go_by_topic() -> None:
    """A purchase before a cart event in the file is read after it; with a line between them it is not."""
    first: Event = {"performed": {"event": "Product Added"}}
    when: Event = {"all": [first, {"not": ordered()}]}
    together = Told()(0, "Order Completed")(0, "Product Added")
    assert together.gives(when) == [("entered", 0), ("exited", 0)]
    apart = Told()(0, "Order Completed")(1, "page", customer="u2")(0, "Product Added")
    assert apart.gives(when) == []


# --- what holds of every history ---------------------------------------------------------------

IN_ORDER = strategies.worlds()
BUILT_IN_WORLD = st.tuples(strategies.sorted_history(), st.just(BUILT_IN))
ANY_WORLD = st.one_of(IN_ORDER, strategies.worlds(late=True), BUILT_IN_WORLD)
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def now_members(found: Sequence[OracleChange]) -> dict[str, frozenset[str]]:
    """Who is in what after these changes; customers in nothing are left out."""
    members: dict[str, frozenset[str]] = defaultdict(frozenset)
    for change in found:
        assert (change.segment in members[change.customer_id]) == (change.change == "exited")
        members[change.customer_id] ^= {change.segment}
    return {customer: segments for customer, segments in members.items() if segments}


@QUICK
@given(ANY_WORLD, st.data())
def test_changes_add_up_to_membership(world: tuple[list[Event], Json], data: st.DataObject) -> None:
    """Whatever the order, at any instant the changes up to it add up to what the events up to it say."""
    history, definitions = world
    times = st.sampled_from([milliseconds(event["timestamp"]) for event in history])
    waits = st.sampled_from([0, *DURATIONS.values()])
    at = sum(data.draw(part) for part in (times, waits, waits, st.integers(-1, 1)))
    expected = {who: segments for who, segments in membership(history, definitions, at).items() if segments}
    assert now_members(changes(history, definitions, at)) == expected


@QUICK
@given(IN_ORDER)
def test_in_time_order_nothing_is_late(world: tuple[list[Event], Event]) -> None:
    """Without late events no change is marked, and no customer's changes go back in time."""
    found = changes(*world)
    assert not any(change.late for change in found)
    for own in per_customer(found).values():
        assert all(before.occurred_at <= after.occurred_at for before, after in pairwise(own))


def read_at(fact: Fact) -> tuple[int, int]:
    return fact.time, oracle.topic_rank(fact.name)


@QUICK
@given(IN_ORDER, st.randoms(use_true_random=False))
def test_a_repeat_changes_nothing(world: tuple[list[Event], Event], rng: random.Random) -> None:
    """Messages read again at any later place are harmless (topics in order: repeats part neighbours)."""
    history, definitions = sorted(world[0], key=lambda event: read_at(oracle.fact(event))), world[1]
    again = list(history)
    for event in rng.sample(history, min(3, len(history))):
        again.insert(rng.randint(again.index(event), len(again)), event)
    until = milliseconds(history[-1]["timestamp"]) + DAY
    assert changes(again, definitions, until) == changes(history, definitions, until)


@QUICK
@given(IN_ORDER)
def test_customers_are_decided_alone(world: tuple[list[Event], Event]) -> None:
    """A customer's changes are the same when nobody else is in the history."""
    history, definitions = world
    until = milliseconds(history[-1]["timestamp"])
    together = per_customer(changes(history, definitions, until))
    for who in {oracle.customer(event) for event in history}:
        alone = [event for event in history if oracle.customer(event) == who]
        assert changes(alone, definitions, until) == together.get(who, [])


# --- the strategies produce what they claim ----------------------------------------------------


class World(NamedTuple):
    history: list[Event]
    definitions: Event


WORLDS = [World(*strategies.world(random.Random(seed))) for seed in range(300)]
RIGHT = [changes(*one) for one in WORLDS]


def facts_of(history: list[Event]) -> list[Fact]:
    return [oracle.fact(event) for event in history]


def by_time(history: list[Event]) -> list[list[Fact]]:
    """Each customer's facts in order."""
    return [sorted(facts, key=oracle.moment_of) for facts in oracle.by_customer(history, 10**15).values()]


def apart(gap_ms: int) -> Callable[[list[Event]], bool]:
    """Two events of one customer lie so far apart."""

    def holds(history: list[Event]) -> bool:
        own = [{fact.time for fact in facts} for facts in by_time(history)]
        return any(time + gap_ms in times for times in own for time in times)

    return holds


def named(*names: str) -> Callable[[list[Event]], bool]:
    """An event came under one of these names, as written."""
    return lambda history: any(event.get("event", event["type"]) in names for event in history)


def order_with(*names: str) -> Callable[[list[Event]], bool]:
    """The messages of some order begin with these."""

    def holds(history: list[Event]) -> bool:
        orders: dict[tuple[int, tuple[str, str]], list[str]] = defaultdict(list)
        for customer, facts in enumerate(by_time(history)):
            for fact in (fact for fact in facts if fact.name in oracle.PURCHASES):
                orders[customer, oracle.order_key(fact)].append(fact.name)
        return any(tuple(messages[: len(names)]) == names for messages in orders.values())

    return holds


def told(is_wanted: Callable[[object], bool]) -> Callable[[list[Event]], bool]:
    """A Cart Viewed or Checkout Started has such products."""

    def holds(history: list[Event]) -> bool:
        seen = [fact.properties for fact in facts_of(history) if fact.name in oracle.REPLACING]
        return any(is_wanted(properties.get("products")) for properties in seen)

    return holds


# What a history of 25 events may hold, and the least share of the histories in which it must be.
FEATURES: list[tuple[str, float, Callable[[list[Event]], bool]]] = [
    *((f"exactly {text} apart", 0.15, apart(ms)) for text, ms in DURATIONS.items()),
    *((f"a millisecond less than {text}", 0.1, apart(ms - 1)) for text, ms in DURATIONS.items()),
    *((f"a millisecond more than {text}", 0.1, apart(ms + 1)) for text, ms in DURATIONS.items()),
    ("exactly the 90 days of items", 0.2, apart(90 * DAY)),
    ("a millisecond more than 90 days", 0.05, apart(90 * DAY + 1)),
    ("exactly the bound of orders", 0.1, apart(91 * DAY)),
    ("a millisecond more than the bound", 0.05, apart(91 * DAY + 1)),
    ("several customers", 0.6, lambda history: len(by_time(history)) > 1),
    ("no userId", 0.5, lambda history: any("userId" not in event for event in history)),
    ("an empty userId", 0.5, lambda history: any(event.get("userId") == "" for event in history)),
    ("a whole message repeated", 0.5, lambda history: any(history.count(event) > 1 for event in history)),
    ("digits to cut", 0.5, lambda history: any("999Z" in str(event["timestamp"]) for event in history)),
    ("another offset", 0.5, lambda history: any("+03:30" in str(event["timestamp"]) for event in history)),
    ("pages", 0.5, named("page")),
    ("screens", 0.3, named("screen")),
    ("browsing", 0.3, named(*oracle.BROWSE)),
    ("own names", 0.3, named(*strategies.OWN_NAMES)),
    ("identify", 0.2, named("identify")),
    *((f"the old name {name}", 0.1, named(name)) for name in oracle.OLD_NAMES),
    ("removals", 0.5, named("Product Removed")),
    ("a cart told", 0.2, told(bool)),
    ("a cart told empty", 0.2, told(lambda products: products == [])),
    ("a cart seen, not told", 0.2, told(lambda products: products is None)),
    ("an order completed twice", 0.1, order_with("Order Completed", "Order Completed")),
    ("an order and its refund", 0.1, order_with("Order Completed", "Order Refunded")),
    ("a refund before its order", 0.1, order_with("Order Refunded", "Order Completed")),
    ("an order and its cancellation", 0.05, order_with("Order Completed", "Order Cancelled")),
    ("a cancellation before its order", 0.02, order_with("Order Cancelled", "Order Completed")),
]


@pytest.mark.parametrize(("share", "holds"), [row[1:] for row in FEATURES], ids=[row[0] for row in FEATURES])
def test_histories_hold(share: float, holds: Callable[[list[Event]], bool]) -> None:
    """Each boundary and each kind of event comes up often enough to be met in a short run."""
    assert sum(holds(one.history) for one in WORLDS) >= share * len(WORLDS)


def kinds_and_depth(condition: Json) -> tuple[set[str], int]:
    ((kind, form),) = condition.items()
    if kind not in ("all", "any", "not"):
        return {kind}, 1
    inner = [kinds_and_depth(member) for member in oracle.members(form)]
    return {kind}.union(*(kinds for kinds, _ in inner)), 1 + max(depth for _, depth in inner)


def test_definitions_hold_every_condition_nested_to_three() -> None:
    """All conditions come up, at every depth up to 3, and the oracle knows them all."""
    conditions = [when for one in WORLDS for when in oracle.conditions_of(one.definitions).values()]
    looked_at = [kinds_and_depth(when) for when in conditions]
    assert Counter(depth for _, depth in looked_at).keys() == {1, 2, 3}
    assert set().union(*(kinds for kinds, _ in looked_at)) == oracle.CONDITIONS.keys()
    assert not any(oracle.unsupported(one.definitions) for one in WORLDS)


def test_histories_and_definitions_collide() -> None:
    """Most worlds have changes; most have some that time alone causes; entries and exits are both common."""
    by_time_alone = 0
    for one, found in zip(WORLDS, RIGHT, strict=True):
        times = {fact.time for fact in facts_of(one.history)}
        by_time_alone += any(change.occurred_at not in times for change in found)
    assert sum(map(bool, RIGHT)) > 0.8 * len(WORLDS)
    assert by_time_alone > 0.5 * len(WORLDS)
    assert min(Counter(change.change for found in RIGHT for change in found).values()) > 3 * len(WORLDS)


def test_shuffled_histories_have_late_changes() -> None:
    """Out of order, decisions are taken back, marked late, in many worlds."""
    late = 0
    for seed, one in enumerate(WORLDS):
        found = changes(strategies.shuffled(random.Random(seed), one.history), one.definitions)
        late += any(change.late for change in found)
    assert late > 0.25 * len(WORLDS)


@QUICK
@given(IN_ORDER)
def test_drawn_worlds_keep_their_promises(world: tuple[list[Event], Event]) -> None:
    """1-4 customers, in time order from START on, one content per messageId, conditions that are built."""
    history, definitions = world
    times = [fact.time for fact in facts_of(history)]
    assert times == sorted(times)
    assert times[0] >= START_MS
    assert 1 <= len(by_time(history)) <= 4
    assert all(a == b for a in history for b in history if a["messageId"] == b["messageId"])
    assert not oracle.unsupported(definitions)


FULL, STARTS = oracle.fully_refunded, oracle.session_starts


def kept(time: int, within: object, now: int) -> bool:
    """A window closed at its far end, which is wrong."""
    return within is None or now - time <= oracle.duration_ms(within)


# One rule of the contract each, broken: what is replaced in the oracle, and by what.
BROKEN: list[tuple[str, str, object]] = [
    ("items count for ever", "ITEMS_KEPT_MS", 10**15),
    ("items count a millisecond less", "ITEMS_KEPT_MS", 90 * DAY - 1),
    ("order messages count for ever", "orders_kept", lambda *_: None),
    ("order messages count a millisecond less", "ORDERS_KEPT_MS", 90 * DAY - 1),
    ("one millisecond in file order", "topic_rank", lambda *_: 0),
    ("ties in reading order", "moment_of", lambda fact: fact.time),
    ("old names are other names", "OLD_NAMES", {}),
    ("carts survive a purchase", "since_purchase", lambda facts: [f for f in facts if f.name in CARTS]),
    ("one product for all", "product", lambda *_: None),
    ("no quantities", "quantity", lambda *_: 1_000_000),
    ("cart lists are not read", "REPLACING", set()),
    ("wishlists add nothing", "ADDING", {"Product Added"}),
    ("every message is an order", "order_key", lambda fact: ("message", fact.message_id)),
    ("refunds do nothing", "fully_refunded", lambda *_: False),
    ("refunds do not add up", "fully_refunded", lambda first, rest: any(FULL(first, [one]) for one in rest)),
    ("windows are closed", "in_window", lambda times, *window: [t for t in times if kept(t, *window)]),
    ("a gap is more than the gap", "session_starts", lambda facts, gap: STARTS(facts, gap + 1)),
    ("revenue is no amount", "amount", lambda fact: oracle.millionths(fact.properties.get("total"))),
    ("cents, not millionths", "millionths", lambda value: value and int(float(str(value)) * 100)),
    ("names as they are written", "name_of", lambda event: str(event.get("event", event["type"]))),
    ("purchases are activity", "ACTIVITY", oracle.ACTIVITY | oracle.PURCHASES),
    ("no due times", "due_times", lambda *_, **__: []),
]


@pytest.mark.parametrize(("name", "value"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_the_worlds_tell_a_broken_rule(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    """With one rule broken, some of the worlds come out differently: none of them is idle."""
    monkeypatch.setattr(oracle, name, value)
    assert any(changes(*one) != right for one, right in zip(WORLDS, RIGHT, strict=True))
