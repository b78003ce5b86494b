"""The engine agrees with the oracle in random worlds, whatever the cuts, the orders and the repeats.

A failure names its seeds: `world(seed)` is the case again.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings

from rules.conditions import NEVER, Condition
from rules.definitions import build
from rules.engine import Engine
from rules.events import Event
from rules.profile import Profile
from rules.reasons import Reason
from rules.standing import Change, Customer
from streams.replay import Replay, in_reading_order
from streams.wire import customers
from streams.wire.decode import decode_line
from tests import oracle, strategies
from tests.oracle import Json
from tests.strategies import DAY, DURATIONS

SEEDS = range(1_500)
NIGHTLY = range(len(SEEDS), 20_000)
BLOCK = 500
BLOCKS = [
    *(SEEDS[first : first + BLOCK] for first in range(0, len(SEEDS), BLOCK)),
    *(
        pytest.param(NIGHTLY[first : first + BLOCK], marks=pytest.mark.nightly)
        for first in range(0, len(NIGHTLY), BLOCK)
    ),
]
IN_BLOCKS = pytest.mark.parametrize("seeds", BLOCKS, ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}")
FOREVER = 2_000 * DAY  # longer than any window of the worlds

Told = tuple[str, str, int, bool]


class World(NamedTuple):
    """`sent`: in time order, as a shop would send it; `events` and `late` (the same, shuffled): as they are read."""

    sent: list[strategies.Event]
    shuffled: list[strategies.Event]
    definitions: Json
    engine: Engine
    events: list[Event]
    late: list[Event]
    until: int


@lru_cache(len(SEEDS))
def world(seed: int) -> World:
    rng = random.Random(seed)
    sent, definitions = strategies.world(rng)
    wait = rng.choice((0, *DURATIONS.values(), FOREVER)) + rng.choice((0, 0, -1, 1))
    shuffled = strategies.shuffled(rng, sent)
    engine = Engine(build(definitions, "world.yaml"))
    until = oracle.latest(sent) + wait
    return World(sent, shuffled, definitions, engine, decoded(sent), decoded(shuffled), until)


def decoded(sent: Sequence[strategies.Event]) -> list[Event]:
    return [decode_line(json.dumps(event).encode()) for event in sent]


def told(change: Change) -> Told:
    return change.segment, change.kind, change.occurred_at, change.late


def per_customer(changes: Sequence[Change]) -> dict[str, list[Change]]:
    own: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        own[change.customer].append(change)
    return own


def told_per_customer(changes: Sequence[Change]) -> dict[str, list[Told]]:
    return {who: list(map(told, own)) for who, own in per_customer(changes).items()}


def right(sent: Sequence[Json], definitions: Json, until: int | None = None) -> dict[str, list[Told]]:
    own: dict[str, list[Told]] = defaultdict(list)
    for change in oracle.changes(sent, definitions, until):
        own[change.customer_id].append((change.segment, change.change, change.occurred_at, change.late))
    return dict(own)


@cache
def replayed(seed: int) -> list[Change]:
    """The changes in time order."""
    one = world(seed)
    return list(Replay(one.engine).run(one.events, one.until))


@cache
def replayed_late(seed: int) -> list[Change]:
    """The changes of the shuffled events."""
    one = world(seed)
    return list(Replay(one.engine).run(one.late, one.until))


def failing(seeds: Sequence[int], fails: Callable[[int], object]) -> dict[int, object]:
    """What fails, by seed: compared with {}."""
    return {seed: found for seed in seeds if (found := fails(seed))}


# --- against the oracle ------------------------------------------------------------------------


@IN_BLOCKS
def test_replay_in_time_order(seeds: range) -> None:
    """Segment, kind, instant and lateness of every change are the oracle's, in order per customer."""

    def differs(seed: int) -> object:
        one = world(seed)
        found = told_per_customer(list(Replay(one.engine).run(one.events, one.until)))
        expected = right(one.sent, one.definitions, one.until)
        return found != expected and (found, expected)

    assert failing(seeds, differs) == {}


@IN_BLOCKS
def test_replay_in_any_order(seeds: range) -> None:
    """With late events too; and at the end everybody is where the set of events says, whatever its order."""

    def differs(seed: int) -> object:
        one = world(seed)
        engine = one.engine
        replay = Replay(engine)
        found = told_per_customer(list(replay.run(one.late, one.until)))
        expected = right(one.shuffled, one.definitions, one.until)
        members = {who: frozenset(engine.membership(known)) for who, known in replay.customers.items()}
        expected_members = oracle.membership(one.sent, one.definitions, one.until)
        return (found, members) != (expected, expected_members) and (found, expected)

    assert failing(seeds, differs) == {}


QUICK = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@QUICK
@given(strategies.worlds())
def test_drawn_worlds_in_time_order(drawn: tuple[list[strategies.Event], strategies.Event]) -> None:
    """As above, with cases that shrink; `until` is the last event's time."""
    sent, definitions = drawn
    engine = Engine(build(definitions, "world.yaml"))
    assert told_per_customer(list(Replay(engine).run(decoded(sent)))) == right(sent, definitions)


@QUICK
@given(strategies.worlds(late=True))
def test_drawn_worlds_in_any_order(drawn: tuple[list[strategies.Event], strategies.Event]) -> None:
    """The same with late events."""
    sent, definitions = drawn
    engine = Engine(build(definitions, "world.yaml"))
    assert told_per_customer(list(Replay(engine).run(decoded(sent)))) == right(sent, definitions)


def test_the_worlds_have_late_changes() -> None:
    """Agreement on lateness means something: shuffled worlds have it, those in time order never."""
    late = 0
    for seed in SEEDS[:300]:
        late += any(change.late for change in replayed_late(seed))
        assert not any(change.late for change in replayed(seed))
    assert late > 75


# --- batches, storage, repeats -----------------------------------------------------------------


class Worker:
    """Customers that are encoded after each step and decoded before the next, as a worker's are."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stored: dict[str, bytes] = {}
        self.changes: list[Change] = []

    def load(self, who: str) -> Customer:
        return customers.decode(self.stored[who]) if who in self.stored else self.engine.new()

    def apply(self, event: Event) -> None:
        customer = self.load(event.customer)
        self.changes += self.engine.apply(event.customer, customer, event)
        self.stored[event.customer] = customers.encode(customer)

    def fire(self, who: str, until: int) -> None:
        customer = self.load(who)
        instant = customer.instant
        self.changes += self.engine.fire(who, customer, until)
        assert customer.instant >= instant, "an instant never goes back"
        self.stored[who] = customers.encode(customer)

    def live(self, events: Sequence[Event], rng: random.Random, until: int) -> None:
        """At random places between events, due times up to the newest event fire for some customers."""
        clock = 0
        for event in in_reading_order(event for event in events if event.time <= until):
            self.apply(event)
            clock = max(clock, event.time)
            for who in rng.sample(list(self.stored), rng.randint(0, len(self.stored))):
                self.fire(who, clock)
        for who in self.stored:
            self.fire(who, until)


def test_cuts_and_storage_do_not_matter() -> None:
    """Without late events, whenever due times fire and customers are stored, the changes are a replay's."""

    def differs(seed: int) -> object:
        one = world(seed)
        worker = Worker(one.engine)
        worker.live(one.events, random.Random(seed), one.until)
        found = {who: [change.id for change in own] for who, own in per_customer(worker.changes).items()}
        expected = {who: [change.id for change in own] for who, own in per_customer(replayed(seed)).items()}
        return found != expected and told_per_customer(worker.changes)

    assert failing(SEEDS, differs) == {}


def test_cuts_with_late_events_end_in_the_same_membership() -> None:
    """Which events are late depends on the cuts; where everybody ends does not."""

    def differs(seed: int) -> object:
        one = world(seed)
        worker = Worker(one.engine)
        worker.live(one.late, random.Random(seed), one.until)
        members = {who: frozenset(worker.engine.membership(worker.load(who))) for who in worker.stored}
        expected = oracle.membership(one.sent, one.definitions, one.until)
        return members != expected and (members, expected)

    assert failing(SEEDS, differs) == {}


def test_a_repeat_changes_nothing() -> None:
    """An event read again at any later place makes no change, and leaves the profile as it was."""

    def differs(seed: int) -> object:
        rng = random.Random(seed)
        one = world(seed)
        events = list(in_reading_order(one.events))
        again = list(events)
        for event in rng.sample(events, 5):
            again.insert(rng.randint(again.index(event) + 1, len(again)), event)
        once, twice = Replay(one.engine), Replay(one.engine)
        found = told_per_customer(list(twice.run(again, one.until)))
        expected = told_per_customer(list(once.run(events, one.until)))
        profiles = [{who: known.profile for who, known in run.customers.items()} for run in (once, twice)]
        return (found, profiles[1]) != (expected, profiles[0]) and (found, expected)

    assert failing(SEEDS, differs) == {}


def test_alias_and_group_have_no_effect() -> None:
    """Between the others they make no change, and leave everybody as they were."""

    def differs(seed: int) -> object:
        rng = random.Random(seed)
        one = world(seed)
        more: list[strategies.Event] = []
        for event in one.sent:
            more.append(event)
            links = event | {"type": rng.choice(("alias", "group")), "messageId": f"link{len(more)}"}
            more += [links] * rng.randint(0, 1)
        with_links, without = Replay(one.engine), Replay(one.engine)
        found = told_per_customer(list(with_links.run(decoded(more), one.until)))
        expected = told_per_customer(list(without.run(one.events, one.until)))
        return (found, with_links.customers) != (expected, without.customers) and (found, expected)

    assert failing(SEEDS, differs) == {}


def test_only_alias_and_group_make_no_customer() -> None:
    """A later event is the customer's first, whatever its time."""
    nothing_yet = {"performed": {"event": "page", "count": {"exactly": 0}}}
    engine = Engine(build({"version": 1, "segments": {"s": {"title": "s", "when": nothing_yet}}}, "f"))
    customer = engine.new()
    for name in ("alias", "group"):
        assert engine.apply("u", customer, Event("u", name, 5_000, name)) == []
    assert customer == engine.new()
    (change,) = engine.apply("u", customer, Event("u", "identify", 4_000, "m"))
    assert (change.occurred_at, change.late) == (4_000, False)


# --- what holds of the changes of every world --------------------------------------------------


def test_sequence_and_membership_add_up() -> None:
    """`sequence` counts from 1 without gaps; entered and exited alternate; `segments` is their sum, sorted."""

    def breaks(own: Sequence[Change]) -> bool:
        members: set[str] = set()
        for number, change in enumerate(own, 1):
            alternates = (change.segment in members) == (change.kind == "exited")
            members ^= {change.segment}
            if not alternates or change.sequence != number or change.segments != tuple(sorted(members)):
                return True
        return False

    def fails(seed: int) -> list[str]:
        both = (per_customer(replayed(seed)), per_customer(replayed_late(seed)))
        return [who for changes in both for who, own in changes.items() if breaks(own)]

    assert failing(SEEDS, fails) == {}


def test_changes_of_one_decision_go_by_key() -> None:
    """What one event, or one instant, changes is in order of the segments' keys; and instants never go back."""

    def cause(change: Change) -> tuple[int, str]:
        return change.occurred_at, "" if change.event is None else change.event.id

    def fails(seed: int) -> bool:
        for own in per_customer(replayed(seed)).values():
            if any(before.occurred_at > after.occurred_at for before, after in pairwise(own)):
                return True
            keys = [[change.segment for change in together] for _, together in groupby(own, cause)]
            if any(together != sorted(set(together)) for together in keys):
                return True
        return False

    assert failing(SEEDS, fails) == {}


def test_several_changes_at_once_are_common() -> None:
    """The order by key is put to the test: many worlds change two segments in one instant."""
    instants = Counter((seed, change.customer, change.occurred_at) for seed in SEEDS for change in replayed(seed))
    assert sum(count > 1 for count in instants.values()) > len(SEEDS)


def test_change_ids_name_one_decision() -> None:
    """No two changes of a world have one id, and a second run gives the same ids."""

    def fails(seed: int) -> bool:
        one = world(seed)
        first = [change.id for change in replayed(seed)]
        again = [change.id for change in Replay(one.engine).run(one.events, one.until)]
        late = [change.id for change in replayed_late(seed)]
        return first != again or len(set(first)) < len(first) or len(set(late)) < len(late)

    assert failing(SEEDS, fails) == {}


def test_a_change_id_depends_on_each_of_its_parts() -> None:
    """Customer, segment, kind, instant, cause and definition: one of them different, and the id is another."""
    page = Event("ab", "page", DAY, "m1")
    parts: dict[str, Any] = {"customer": "ab", "segment": "c", "kind": "entered", "occurred_at": DAY}
    parts |= {"event": page, "definition": "d", "sequence": 1, "segments": ("c",), "reason": Reason(True)}
    other: dict[str, Any] = {"customer": "a", "segment": "bc", "kind": "exited", "occurred_at": DAY + 1}
    other |= {"event": None, "definition": "e"}
    others: list[dict[str, Any]] = [{}, *({key: value} for key, value in other.items())]
    others += [{"customer": "a", "segment": "bc"}, {"event": Event("ab", "page", DAY, "m2")}]
    ids = [Change(late=False, **{**parts, **one}).id for one in others]
    assert len(set(ids)) == len(ids)
    same: list[dict[str, Any]] = [{"sequence": 2}, {"segments": ()}, {"event": Event("ab", "page", 1, "m1")}]
    assert {Change(late=True, **{**parts, **one}).id for one in same} == {ids[0]}


# --- due times ---------------------------------------------------------------------------------


def moments(events: Sequence[Event], rng: random.Random) -> list[int]:
    """Instants at which anything may turn: events and what lies a duration after them, give or take."""
    found = [event.time + wait + nudge for event in events for wait in (0, *DURATIONS.values()) for nudge in (-1, 0, 1)]
    return sorted({*rng.sample(found, min(60, len(found))), rng.randint(events[0].time, events[-1].time + FOREVER)})


def profiles(seed: int) -> Iterator[tuple[Profile, int, list[int]]]:
    """A few customers of a world, each at some event, with instants to look at."""
    rng = random.Random(seed)
    one = world(seed)
    engine = one.engine
    known: dict[str, Customer] = {}
    events = list(in_reading_order(one.events))
    for at in range(len(events)):
        customer = known.setdefault(events[at].customer, engine.new())
        engine.apply(events[at].customer, customer, events[at])
        if rng.random() < 0.2:
            yield customer.profile, customer.instant, moments(events[: at + 1], rng)


def flips(when: Condition, profile: Profile, now: int, looks: list[int]) -> int:
    """Walks from due time to due time; how many of them turned the answer."""
    turned = 0
    while True:
        answer, due = when.decide(profile, now)
        assert due == NEVER or due > now, "a due time lies ahead"
        between = [look for look in looks if now < look and (look < due or due == NEVER)]
        if due != NEVER:
            between.append(due - 1)
        assert all(when.decide(profile, look)[0] == answer for look in between), "no flip before the due time"
        if due == NEVER:
            return turned
        now = due
        turned += when.decide(profile, now)[0] != answer


def test_a_due_time_misses_no_flip() -> None:
    """From one due time to the next the answer stays, after the last it stays for ever; most of them turn it."""
    turned: Counter[str] = Counter()
    for seed in SEEDS:
        whens = world(seed).engine.definitions.segments
        for profile, now, looks in profiles(seed):
            for segment in whens:
                try:
                    turned[type(segment.when).__name__] += flips(segment.when, profile, now, looks)
                except AssertionError as error:
                    raise AssertionError(f"seed {seed}, {segment.key}: {error}") from error
    assert len(turned) == 6
    assert min(turned.values()) > 200, turned


def idle_and_applied(seed: int) -> tuple[int, int]:
    """How many due times changed nothing, and how many events there were."""
    one = world(seed)
    engine = one.engine
    known: dict[str, Customer] = {}
    idle = 0
    for event in in_reading_order(one.events):
        customer = known.setdefault(event.customer, engine.new())
        idle += idle_until(engine, customer, event.time)
        engine.apply(event.customer, customer, event)
    idle += sum(idle_until(engine, customer, one.until) for customer in known.values())
    return idle, len(one.events)


def idle_until(engine: Engine, customer: Customer, until: int) -> int:
    idle = 0
    while 0 < customer.due <= until:
        idle += not engine.fire("u", customer, customer.due)
    return idle


def test_few_wake_ups_are_for_nothing() -> None:
    """At most 2 for each event in any world, and fewer than 1 for each 50 events over all of them."""
    counts = {seed: idle_and_applied(seed) for seed in SEEDS}
    assert failing(SEEDS, lambda seed: counts[seed][0] > 2 * counts[seed][1]) == {}
    assert 50 * sum(idle for idle, _ in counts.values()) < sum(applied for _, applied in counts.values())


def test_firing_before_the_due_time_changes_nothing() -> None:
    """A millisecond early nothing is decided, and the customer is stored as it was."""
    checked = 0
    for seed in SEEDS[:600]:
        one = world(seed)
        replay = Replay(one.engine)
        list(replay.run(one.events))
        for who, customer in replay.customers.items():
            stored = customers.encode(customer)
            if customer.due:
                assert one.engine.fire(who, customer, customer.due - 1) == []
                assert customers.encode(customer) == stored
                checked += 1
    assert checked > 150


def test_what_is_due_at_one_instant_is_one_decision() -> None:
    """Two segments that end together are left at that instant, by key, and nothing is due any more."""
    within = {"performed": {"event": "page", "within": "1d"}}
    segments = {key: {"title": key, "when": within} for key in ("b", "a")}
    engine = Engine(build({"version": 1, "segments": segments}, "f"))
    customer = engine.new()
    engine.apply("u", customer, Event("u", "page", DAY, "m"))
    changes = engine.fire("u", customer, FOREVER)
    assert [(change.segment, change.kind, change.occurred_at) for change in changes] == [
        ("a", "exited", 2 * DAY),
        ("b", "exited", 2 * DAY),
    ]
    assert [change.segments for change in changes] == [("b",), ()]
    assert (customer.due, customer.instant) == (0, 2 * DAY)


# --- every condition is put to the test --------------------------------------------------------

KINDS = ("performed", "cart", "sessions", "all", "any", "not")


@pytest.mark.parametrize("kind", KINDS)
def test_a_condition_is_entered_and_left_by_events_and_by_time(kind: str) -> None:
    """Segments of each condition do all four in the worlds, each often."""
    found: Counter[tuple[str, str]] = Counter()
    for seed in SEEDS:
        whens = oracle.conditions_of(world(seed).definitions)
        for change in replayed(seed):
            if next(iter(whens[change.segment])) == kind:
                found[change.kind, "time" if change.event is None else "event"] += 1
    assert len(found) == 4
    assert min(found.values()) > 100, found
