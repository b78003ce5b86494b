"""A series whose Redis loses what it knew: each message is decided once, and sent at most as often as before.

A life is lived once to its end. Then it is lived again from each of its states in Redis, with each number of decisions
that may be on the topic by then.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from rules.times import HOUR_MS
from streams.state.memory import MemoryStore
from streams.triggers.decision_log import Decision
from streams.triggers.inputs import ChangeInput
from streams.triggers.messages import AttemptResult, Message, Outcome
from tests.support.in_memory_triggers import START, World, cart, change_input

FILE = cart(delay="1h", then={"after": "2d"})
TIMES = (START + HOUR_MS, START + 2 * HOUR_MS, START + 49 * HOUR_MS, START + 60 * HOUR_MS)


class Moment(NamedTuple):
    """A state in Redis, whether the change was read by then, and how many decisions it had made."""

    store: MemoryStore
    has_read: bool
    decided: int


def refusing(*keys: str) -> Callable[[Message, int], AttemptResult]:
    """The script of a channel that refuses these messages."""

    def script(message: Message, _: int) -> AttemptResult:
        return AttemptResult(Outcome.REFUSED if message.trigger in keys else Outcome.SENT, "drawn")

    return script


async def lived(script: Callable[[Message, int], AttemptResult], leaves: bool) -> tuple[list[Moment], list[Decision]]:
    """The moments of a life that nothing disturbs, and its decisions."""
    world = World(FILE, script)
    await world.claim()
    moments = [Moment(copy.deepcopy(world.store), False, 0)]
    await world.read(entry(world))
    for now in (START, *TIMES):
        if leaves and now == TIMES[0]:
            world.shop.since["u1"] = {}
        await world.until(now)
        moments.append(Moment(copy.deepcopy(world.store), True, len(world.decisions())))
    return moments, world.decisions()


def entry(world: World) -> ChangeInput:
    world.shop.since, world.shop.sequences = {}, {}
    return change_input(world.shop.change("u1", "abandoned_cart", START), START)


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
@pytest.mark.parametrize("refused", [(), ("cart",), ("cart-2",)], ids=str)
async def test_each_message_is_decided_once_whatever_redis_loses(refused: tuple[str, ...], leaves: bool) -> None:
    """No message whose end is on the topic is attempted again, and none is left without an end."""
    moments, decisions = await lived(refusing(*refused), leaves)
    expected = {decision.trigger: decision.decision for decision in decisions if decision.is_final}
    assert set(expected) == {"cart", "cart-2"}
    for moment in moments:
        for published in range(moment.decided, len(decisions) + 1):
            world = World(FILE, refusing(*refused))
            world.store = copy.deepcopy(moment.store)
            event = entry(world)
            if leaves:
                world.shop.since["u1"] = {}
            await world.claim()
            topic = decisions[:published]
            await world.acting.note({"u1": [decision for decision in topic if decision.is_final]})
            if not moment.has_read:
                await world.read(event)
            for now in TIMES:
                await world.until(max(now, world.waiting()))
            made = world.decisions()[moment.decided :]
            ends = [decision for decision in (*topic, *made) if decision.is_final]
            # A record that is published twice has one id.
            by_id = {decision.decision_id: decision for decision in ends}
            assert Counter(decision.trigger for decision in by_id.values()) == {"cart": 1, "cart-2": 1}, (
                moment,
                published,
            )
            assert {decision.trigger: decision.decision for decision in by_id.values()} == expected
            ended = {decision.trigger for decision in topic if decision.is_final}
            assert not ended & {message.trigger for _, message, _ in world.attempts()}
            assert world.waiting() == 0
