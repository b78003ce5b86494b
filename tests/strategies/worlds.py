"""A world: a history, definitions of the same scene, and what engine and oracle make of them.

The one rule: a seed is the whole world, so that a failure that names its seed can be seen again.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rules.changes import Change
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.events import Event
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line
from tests.oracle import oracle
from tests.oracle.oracle import Json
from tests.strategies import histories
from tests.strategies.histories import DAY, DURATIONS

FOREVER = 500 * DAY  # longer than any window of the worlds

PlainChange = tuple[str, str, int, bool]


class World(NamedTuple):
    """`sent`: in time order, as a shop would send it; `events` and `late` (the same, shuffled): as they are read.

    The `plain` engine is of the same definitions without `hold`. Where events come late it decides: how long
    somebody is held depends on the order of the events, so that there with `hold` nothing is claimed.
    """

    sent: list[histories.Event]
    shuffled: list[histories.Event]
    definitions: Json
    plain_definitions: Json
    engine: Engine
    plain: Engine
    events: list[Event]
    late: list[Event]
    until: int


def made(rng: random.Random, sent: list[histories.Event], definitions: histories.Event) -> World:
    """The world of a history in time order; read for some while after its last event."""
    wait = rng.choice((0, *DURATIONS.values(), FOREVER)) + rng.choice((0, 0, -1, 1))
    shuffled = histories.shuffled(rng, sent)
    engine = Engine(build(definitions, "world.yaml"))
    plain_definitions = histories.without_hold(definitions)
    plain = engine if plain_definitions == definitions else Engine(build(plain_definitions, "world.yaml"))
    until = oracle.latest(sent) + wait
    return World(
        sent, shuffled, definitions, plain_definitions, engine, plain, decoded(sent), decoded(shuffled), until
    )  # fmt: skip


def decoded(sent: Sequence[histories.Event]) -> list[Event]:
    return [decode_line(json.dumps(event).encode()) for event in sent]


# --- what was decided, in one form -------------------------------------------------------------


def plain_change(change: Change) -> PlainChange:
    return change.segment, change.kind, change.occurred_at, change.late


def per_customer(changes: Sequence[Change]) -> dict[str, list[Change]]:
    own: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        own[change.customer].append(change)
    return own


def plain_changes_per_customer(changes: Sequence[Change]) -> dict[str, list[PlainChange]]:
    return {customer_id: list(map(plain_change, own)) for customer_id, own in per_customer(changes).items()}


def right(sent: Sequence[Json], definitions: Json, until: int | None = None) -> dict[str, list[PlainChange]]:
    """The changes of each customer by the oracle."""
    own: dict[str, list[PlainChange]] = defaultdict(list)
    for change in oracle.changes(sent, definitions, until):
        own[change.customer_id].append((change.segment, change.change, change.occurred_at, change.late))
    return dict(own)


def wrong_in_time_order(world: World) -> object:
    """The changes of a replay and the right ones, where these are not the same."""
    actual = plain_changes_per_customer(list(Replay(world.engine).run(world.events, world.until)))
    expected = right(world.sent, world.definitions, world.until)
    return actual != expected and (actual, expected)


def wrong_in_any_order(world: World) -> object:
    """Compare a world whose events are shuffled, and the memberships in the end."""
    replay = Replay(world.plain)
    actual = plain_changes_per_customer(list(replay.run(world.late, world.until)))
    expected = right(world.shuffled, world.plain_definitions, world.until)
    members = {
        customer_id: frozenset(world.plain.membership(customer)) for customer_id, customer in replay.customers.items()
    }
    expected_members = oracle.membership(world.sent, world.plain_definitions, world.until)
    return (actual, members) != (expected, expected_members) and (actual, expected, members, expected_members)


def failing(seeds: Sequence[int], fails: Callable[[int], object]) -> dict[int, object]:
    """The seeds that fail, each with what fails: compared with {}."""
    return {seed: failure for seed in seeds if (failure := fails(seed))}
