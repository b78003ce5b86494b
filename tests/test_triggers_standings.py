"""Standings looked up in a real Redis, as the segmenter saved them."""

from __future__ import annotations

import msgspec
import pytest

from rules.definitions import built_in
from rules.engine import Engine
from rules.standing import Ahead
from streams.redis_store import RedisStore
from streams.stop import Stop
from streams.triggers.standings import Standings
from streams.wire import customers
from tests.test_store import IDENTITY, claim, known, step

DEFINITIONS = built_in()
ENGINE = Engine(DEFINITIONS)
AT = next(at for at, segment in enumerate(DEFINITIONS.segments) if segment.key == "abandoned_cart")


async def filled(store: RedisStore, fingerprint: str = DEFINITIONS.fingerprint) -> Standings:
    """Three customers in a segment: one decided, one with a due time that has passed, one of whom more was said."""
    ours = claim(identity=msgspec.structs.replace(IDENTITY, definitions=fingerprint))
    await store.claim(ours)
    await store.begin(ours, {"visits": 10, "carts": 20})
    saved = []
    for name, due, is_ahead in (("decided", 6_000, False), ("due", 5_000, False), ("ahead", 0, True)):
        customer = ENGINE.new()
        customer.since[AT] = 1_234
        customer.ahead = Ahead({"c"}, 9, 9, ()) if is_ahead else None
        saved.append(known(name, customers.encode(customer), due))
    assert await store.save(0, step(clock=5_500, caught_up=5_200, customers=saved)) == "saved"
    return Standings(store, DEFINITIONS)


async def test_what_is_decided_up_to_when(redis_store: RedisStore) -> None:
    """The clock, and no further than everything is read; undecided with a due time at or before the clock, or ahead."""
    standings = await filled(redis_store)
    assert await standings.reached(0) == 5_200
    look = await standings.look(0, ["decided", "due", "ahead", "nobody"])
    assert look.reached == 5_200
    assert {name: (dict(one.since), one.is_decided) for name, one in look.of.items()} == {
        "decided": ({"abandoned_cart": 1_234}, True),
        "due": ({"abandoned_cart": 1_234}, False),
        "ahead": ({"abandoned_cart": 1_234}, False),
        "nobody": ({}, True),
    }


async def test_a_partition_that_nobody_reads_is_never_reached(redis_store: RedisStore) -> None:
    """Nothing is sent before a segmenter has come."""
    assert await Standings(redis_store, DEFINITIONS).reached(0) == 0


async def test_other_definitions_stop_triggers(redis_store: RedisStore) -> None:
    """Places of segments would mean others."""
    standings = await filled(redis_store, "another")
    with pytest.raises(Stop, match="other definitions"):
        await standings.reached(0)
