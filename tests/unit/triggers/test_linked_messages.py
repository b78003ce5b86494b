"""Messages to customers with linked ids: what is paid under a linked id counts, however long a message waits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rules.engine import Engine
from rules.times import HOUR_MS, MINUTE_MS, SECOND_MS
from streams.state.redis import PartitionLook
from streams.triggers.action_decisions import FRESH_MS
from streams.triggers.linked_ids import LinkedIds
from streams.triggers.membership_lookup import MembershipLookup
from streams.wire import customer_codec
from tests.support.in_memory_triggers import START, World, come, file_of
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
        self.standings = MembershipLookup(self, DEFINITIONS, linked)

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
    one, shop = World(file), LinkedShop()
    one.standings = shop.standings
    await one.claim()
    await one.read(come(one.shop.change("u1", "abandoned_cart", START), START))
    return one, shop


async def passes(one: World, shop: LinkedShop, until: int, *reached_most: int) -> None:
    """Time passes; the partitions are decided as it does, but no further than that."""
    while one.now < until:
        one.now = shop.now = min(until, one.now + SECOND_MS)
        shop.reached = [min(one.now - GRACE_MS, most) for most in reached_most]
        await one.acting.fire(one.now, 100)
        await one.acting.landed()
        await one.acting.settle()


async def test_a_message_that_waits_for_its_endpoint_is_decided_up_to_now_under_linked_ids() -> None:
    """The endpoint is busy with others for an hour, and meanwhile the partition of the linked id stands still."""
    one, shop = await reminded()
    (endpoint,) = one.acting._deciding._endpoints.values()
    while endpoint.free:
        endpoint.take(one.now)
    later, stands_at = START + HOUR_MS, DUE + 5 * SECOND_MS
    await passes(one, shop, later, later, stands_at)
    endpoint.give_back()
    await passes(one, shop, later + 5 * MINUTE_MS, 2 * later, stands_at)
    assert one.told() == [], "what was paid by the phone since is not decided"
    await passes(one, shop, later + 6 * MINUTE_MS, 2 * later, 2 * later)
    assert len(one.told()) == 1


async def test_after_an_outage_the_partitions_of_all_ids_are_waited_for() -> None:
    """All workers were away from right after the send time on; the customer's own partition is there first."""
    one, shop = await reminded()
    away, back = DUE + 900, START + HOUR_MS
    await passes(one, shop, back, away, away)
    assert one.told() == []
    await passes(one, shop, back + 5 * MINUTE_MS, 2 * back, away)
    assert one.told() == []
    assert one.decisions()[-1].reason == "what happened under a linked id of the customer is not decided yet"
    await passes(one, shop, back + 6 * MINUTE_MS, 2 * back, 2 * back)
    assert len(one.told()) == 1


@pytest.mark.parametrize("behind", [0, FRESH_MS])
async def test_linked_ids_that_are_decided_up_to_now_hold_nothing(behind: int) -> None:
    """Each step between ids takes its time, also where what is due is looked at seldom."""
    one, shop = await reminded()
    later = START + HOUR_MS
    await passes(one, shop, later, DUE - SECOND_MS, DUE - SECOND_MS)
    while not one.told() and one.now < later + 2 * MINUTE_MS:
        await passes(one, shop, one.now + SECOND_MS, one.now, one.now - behind)
    assert one.told()
    assert one.told()[0][0] <= later + 70 * SECOND_MS
