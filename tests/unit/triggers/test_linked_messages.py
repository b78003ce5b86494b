"""Messages to customers with linked ids: what is paid under a linked id counts, however long a message waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rules.engine import Engine
from rules.times import HOUR_MS, MINUTE_MS, SECOND_MS
from streams.state.redis_reader import PartitionLook
from streams.triggers import customer_state
from streams.triggers.action_decisions import FRESH_MS
from streams.triggers.customer_state import Person, SentMessage
from streams.triggers.former_persons import joined
from streams.triggers.linked_ids import LinkedIds
from streams.triggers.membership_lookup import MembershipLookup
from streams.triggers.traits import Trait
from streams.wire import customer_codec
from tests.support.in_memory_triggers import START, World, change_input, file_of, identify
from tests.support.trigger_segmenter import DEFINITIONS, PLACE

GRACE_MS = 1_000
DUE = START + MINUTE_MS


class LinkedShop:
    """A customer with a cart in partition 0, whose phone is linked and lies in partition 1.

    ``reached`` (ms): up to where each partition is decided.
    """

    def __init__(self) -> None:
        self.reached = [START, START]
        self.now = START
        customer = Engine(DEFINITIONS).new()
        customer.since[PLACE] = START
        customer.sequence = 1
        customer.links = {"phone1": 5}
        self._stored = customer_codec.encode(customer)
        linked = LinkedIds(self, lambda name: int(name == "phone1"), lambda: self.now, GRACE_MS)
        self.memberships = MembershipLookup(self, DEFINITIONS, linked)

    async def look(self, partition: int, ids: Sequence[str]) -> PartitionLook:
        reached = str(self.reached[partition])
        meta = {"clock": reached, "caught_up": reached, "trimmed": "0"}
        return PartitionLook(meta, 0, {name: self._stored for name in ids if name == "u1"}, {})


async def reminded() -> tuple[World, LinkedShop]:
    """A world in which a message to that customer is due at `DUE`."""
    file = file_of(
        channels={"screen": {"kind": "console", "retry": {"attempts": 20, "budget": "6h"}}},
        triggers={"cart": {"segment": "abandoned_cart", "channel": "screen", "delay": "1m"}},
    )
    world, shop = World(file), LinkedShop()
    world.memberships = shop.memberships
    await world.claim()
    await world.read(change_input(world.shop.change("u1", "abandoned_cart", START), START))
    return world, shop


async def passes(world: World, shop: LinkedShop, until: int, *reached_most: int) -> None:
    """Time passes; the partitions are decided as it does, but no further than that."""
    while world.now < until:
        world.now = shop.now = min(until, world.now + SECOND_MS)
        shop.reached = [min(world.now - GRACE_MS, most) for most in reached_most]
        await world.acting.fire(world.now, 100)
        await world.acting.landed()
        await world.acting.settle()


async def test_a_message_that_waits_for_its_endpoint_is_decided_up_to_now_under_linked_ids() -> None:
    """The endpoint is busy with others for an hour, and meanwhile the partition of the linked id stands still."""
    world, shop = await reminded()
    (endpoint,) = world.acting._deciding._endpoints.values()
    while endpoint.free:
        endpoint.take(world.now)
    later, stands_at = START + HOUR_MS, DUE + 5 * SECOND_MS
    await passes(world, shop, later, later, stands_at)
    endpoint.give_back()
    await passes(world, shop, later + 5 * MINUTE_MS, 2 * later, stands_at)
    assert world.attempts() == [], "what was paid by the phone since is not decided"
    await passes(world, shop, later + 6 * MINUTE_MS, 2 * later, 2 * later)
    assert len(world.attempts()) == 1


async def test_after_an_outage_the_partitions_of_all_ids_are_waited_for() -> None:
    """All workers were away from right after the send time on; the customer's own partition is there first."""
    world, shop = await reminded()
    away, back = DUE + 900, START + HOUR_MS
    await passes(world, shop, back, away, away)
    assert world.attempts() == []
    await passes(world, shop, back + 5 * MINUTE_MS, 2 * back, away)
    assert world.attempts() == []
    assert world.decisions()[-1].reason == "what happened under a linked id of the customer is not decided yet"
    await passes(world, shop, back + 6 * MINUTE_MS, 2 * back, 2 * back)
    assert len(world.attempts()) == 1


@pytest.mark.parametrize("behind", [0, FRESH_MS])
async def test_linked_ids_that_are_decided_up_to_now_hold_nothing(behind: int) -> None:
    """Each step between ids takes its time, also where what is due is looked at seldom."""
    world, shop = await reminded()
    later = START + HOUR_MS
    await passes(world, shop, later, DUE - SECOND_MS, DUE - SECOND_MS)
    while not world.attempts() and world.now < later + 2 * MINUTE_MS:
        await passes(world, shop, world.now + SECOND_MS, world.now, world.now - behind)
    assert world.attempts()
    assert world.attempts()[0][0] <= later + 70 * SECOND_MS


async def test_an_id_that_was_unlinked_counts_no_more() -> None:
    """The address and the caps of another person are not this customer's."""
    shop = LinkedShop()
    await shop.memberships.look(0, ["u1"])
    assert shop.memberships.former(["u1"]) == {"u1": [(1, "phone1")]}
    customer = customer_codec.decode(shop._stored)
    customer.links = {}
    shop._stored = customer_codec.encode(customer)
    await shop.memberships.look(0, ["u1"])
    assert shop.memberships.former(["u1"]) == {}


def test_an_erasure_holds_for_what_former_ids_know() -> None:
    """What was stored before it counts no more, whatever id has it."""
    former = Person(
        traits={"email": Trait(500, "i", "old@example.com"), "plan": Trait(1_500, "i", "pro")},
        sent=[SentMessage(500, "cart", "mail", "k"), SentMessage(1_500, "call", "bot", "l")],
        acted=["cart", "call"],
    )
    person = joined(Person(erased=1_000), [former])
    assert (set(person.traits), [message.key for message in person.sent], person.acted) == ({"plan"}, ["l"], ["call"])


FORMER = [
    ({"sent": [SentMessage(START - HOUR_MS, "cart", "screen", "k")]}, {"cool_down": "1d"}, "cool-down until "),
    ({"sent": [SentMessage(START - HOUR_MS, "other", "screen", "k")]}, {"cool_down": "1d"}, None),
    ({"sent": [SentMessage(START - HOUR_MS, "other", "screen", "k")]}, {}, "at most 1 a day to one customer"),
    ({"acted": ["cart"]}, {"reentry": "once"}, "sent before, and once is all"),
    ({"traits": {"unsubscribed": Trait(START - HOUR_MS, "i", True)}}, {}, "suppressed by unsubscribed"),
    ({"traits": {"unsubscribed": Trait(START - 2 * HOUR_MS, "i", True)}}, {}, None),  # taken back since, as u1
    ({}, {}, None),
]


@pytest.mark.parametrize(("former", "trigger", "reason"), FORMER, ids=lambda given: str(given)[:50])
async def test_what_was_sent_to_a_former_id_counts(
    former: dict[str, Any], trigger: dict[str, Any], reason: str | None
) -> None:
    """Caps, cool-downs, `once` and suppression are a person's, and of a trait the newest value counts."""
    caps = {"per_day": 1} if reason and "at most" in reason else {}
    file = file_of(
        suppress={"unsubscribed": True},
        contact={"email": "email"},
        caps=caps,
        triggers={
            "cart": {"segment": "abandoned_cart", "channel": "screen", "delay": "1m", **trigger},
            "other": {"segment": "guest", "channel": "screen"},
        },
    )
    world, shop = World(file), LinkedShop()
    world.memberships = shop.memberships
    await world.claim()
    phone = {"email": Trait(START, "i", "phone@example.com")}
    person = Person(**{**former, "traits": {**phone, **former.get("traits", {})}})
    world.store._of(1).customers["phone1"] = customer_state.encode(person)
    await world.read(
        identify("u1", START - 90 * MINUTE_MS, unsubscribed=False),
        change_input(world.shop.change("u1", "abandoned_cart", START), START),
    )
    await passes(world, shop, START + 5 * MINUTE_MS, 2 * START, 2 * START)
    (end,) = [decision for decision in world.decisions() if decision.is_final]
    assert (end.reason or "").startswith(reason or "")
    assert bool(end.reason) == bool(reason)
    assert [message.contact for _, message, _ in world.attempts()] == (
        [] if reason else [{"email": "phone@example.com"}]
    )
    untouched = customer_state.decode(world.store._of(1).customers["phone1"])
    assert untouched == person, "the state of a former id is only read"
