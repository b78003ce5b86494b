"""Standings looked up in a real Redis, as the segmenter saved them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from rules.customer import Ahead, Customer, Linkage
from rules.definitions.segments_file import built_in
from rules.engine import Engine
from streams.state.contract import StoredCustomer
from streams.state.redis import RedisStore
from streams.state.redis_reader import LOOK_FIELDS, PartitionLook
from streams.stop import Stop, recreated_topic
from streams.triggers.app import sentence_of_triggers
from streams.triggers.due_step import WAIT_MOST_MS
from streams.triggers.linked_ids import MARK_RETENTION_MS, LinkedIds, PartitionMarks
from streams.triggers.membership_lookup import MembershipLookup, Waiting
from streams.wire import customer_codec
from tests.support.store_steps import IDENTITY, claim, step, stored_customer

DEFINITIONS = built_in()
ENGINE = Engine(DEFINITIONS)
PLACE = next(index for index, segment in enumerate(DEFINITIONS.segments) if segment.key == "abandoned_cart")
OWN_IDENTITY = msgspec.structs.replace(IDENTITY, definitions=DEFINITIONS.fingerprint)


def member(sequence: int = 1) -> Customer:
    customer = ENGINE.new()
    customer.since[PLACE] = 1_234
    customer.sequence = sequence
    return customer


async def filled(store: RedisStore, fingerprint: str = DEFINITIONS.fingerprint) -> MembershipLookup:
    """A lookup of customers which are decided, due, ahead, of a former file, and erased."""
    own_claim = claim(identity=msgspec.structs.replace(IDENTITY, definitions=fingerprint))
    await store.claim(own_claim)
    await store.begin(own_claim, {"visits": 10, "carts": 20})
    ahead, former, erased = member(), member(), member(7)
    ahead.published_ahead = Ahead({"c"}, 9, 9, ())
    former.definition_version = 3
    erased.since, erased.erased, erased.definition_version = {}, 5, 2
    saved = [
        stored_customer("decided", customer_codec.encode(member(4)), 6_000),
        stored_customer("due", customer_codec.encode(member()), 5_000),
        stored_customer("ahead", customer_codec.encode(ahead), 0),
        stored_customer("former", customer_codec.encode(former), 0),
        StoredCustomer("erased", customer_codec.encode(erased), 0, erased=True),
    ]
    assert await store.save(0, step(clock=5_500, caught_up_until=5_200, customers=saved)) == "saved"
    return MembershipLookup(store, DEFINITIONS)


async def test_what_is_decided_up_to_when(redis_store: RedisStore) -> None:
    """A look gives the clock, limited by what is read, what each customer waits for, and its newest change."""
    memberships = await filled(redis_store)
    assert await memberships.reached(0) == 5_200
    look = await memberships.look(0, ["decided", "due", "ahead", "former", "erased", "nobody"])
    assert look.reached == 5_200
    inside = {"abandoned_cart": 1_234}
    assert {
        name: (dict(customer.since), customer.waits_for, customer.sequence)
        for name, customer in look.of.items()
        if name != "former"
    } == {
        "decided": (inside, None, 4),
        "due": (inside, Waiting.DUE_TIME, 1),
        "ahead": (inside, Waiting.PUBLISHED_AHEAD, 1),
        "erased": ({}, None, 7),
        "nobody": ({}, None, 0),
    }
    assert look.of["former"].waits_for is Waiting.DEFINITIONS


async def test_a_change_that_was_read_and_is_not_stored_is_waited_for(redis_store: RedisStore) -> None:
    """A lost change is waited for, of a lost and of an erased customer, too."""
    look = await (await filled(redis_store)).look(0, ["decided", "erased", "nobody"])
    assert {name: (customer.waiting(4, 0), customer.waiting(8, 0)) for name, customer in look.of.items()} == {
        "decided": (None, Waiting.LOST_CHANGE),
        "erased": (None, Waiting.LOST_CHANGE),
        "nobody": (Waiting.LOST_CHANGE, Waiting.LOST_CHANGE),
    }


async def test_a_look_reads_small_fields_alone(redis_store: RedisStore) -> None:
    """A look, which comes many times a second, does not read the definition files, which may be megabytes."""
    memberships = await filled(redis_store)
    await redis_store._client.hset(redis_store._key(0, "meta"), "epochs", b"x" * 1_000_000)
    look = await redis_store.look(0, ["decided"])
    assert look.meta.keys() <= set(LOOK_FIELDS)
    assert sum(map(len, look.meta.values())) < 200
    assert (await memberships.look(0, ["decided"])).of["decided"].waits_for is None


async def test_a_partition_that_nobody_reads_is_never_reached(redis_store: RedisStore) -> None:
    """Nothing is sent before a segmenter has claimed the partition."""
    assert await MembershipLookup(redis_store, DEFINITIONS).reached(0) == 0


async def test_other_definitions_stop_triggers(redis_store: RedisStore) -> None:
    """Triggers stop, as under other definitions an index would mean another segment."""
    memberships = await filled(redis_store, "another")
    with pytest.raises(Stop, match="other definitions"):
        await memberships.reached(0)


# --- linked ids --------------------------------------------------------------------------------


class Partitions:
    """What Redis holds of a segmenter's partitions; set by a test."""

    def __init__(self) -> None:
        self.now = 100_000
        self.meta: dict[int, dict[str, str]] = {}
        self.outbox: dict[int, int] = {}
        self.values: dict[int, dict[str, bytes]] = {0: {}, 1: {}, 2: {}}
        self.looks: list[tuple[int, tuple[str, ...]]] = []
        linked = LinkedIds(self, lambda name: int(name[-1]), lambda: self.now, 1_000)
        self.memberships = MembershipLookup(self, DEFINITIONS, linked)

    def at(self, partition: int, reached: int, trimmed: int = 0, outbox: int = 0) -> None:
        self.meta[partition] = {"clock": str(reached), "caught_up": str(reached), "trimmed": str(trimmed)}
        self.outbox[partition] = outbox

    async def look(self, partition: int, customers: Sequence[str]) -> PartitionLook:
        self.looks.append((partition, tuple(customers)))
        values = {name: self.values[partition][name] for name in customers if name in self.values[partition]}
        return PartitionLook(self.meta.get(partition, {}), self.outbox.get(partition, 0), values, {})

    async def reached(self, now: int, name: str = "u0") -> int:
        """The time up to which all ids of a customer are decided, by a look at ``now``."""
        self.now = now
        return (await self.memberships.look(0, [name])).of[name].reached


def linked_to(*names: str, alias: bool = False) -> bytes:
    customer = member()
    links = dict.fromkeys(names, 5)
    customer.links, customer.linkage = (None, Linkage(aliases=links)) if alias else (links, None)
    return customer_codec.encode(customer)


@pytest.mark.parametrize("alias", [False, True])
async def test_who_has_a_linked_id_is_decided_as_far_as_its_partition(alias: bool) -> None:
    """A linked id counts as decided when what its partition forwarded by then was read, a second of skew included."""
    parts = Partitions()
    parts.values[0]["u0"] = linked_to("phone1", alias=alias)
    parts.at(0, 99_000)
    parts.at(1, 60_000)  # lags
    assert await parts.reached(100_000) == 0, "no mark counts yet"
    parts.at(0, 102_000)
    assert await parts.reached(103_000) == 60_000
    parts.at(1, 103_000)
    assert await parts.reached(104_000) == 60_000, "what it decided by now is not read yet"
    parts.at(0, 104_999)
    assert await parts.reached(105_000) == 60_000
    parts.at(0, 105_000)
    assert await parts.reached(105_500) == 103_000
    assert parts.looks[-1] == (0, ("u0",)), "nothing lies between the last answer and what it is for"


async def test_what_is_not_published_yet_is_waited_for() -> None:
    """A purchase that was read under a linked id lies in the outbox of that partition before it is sent on."""
    parts = Partitions()
    parts.values[0]["u0"] = linked_to("phone1")
    parts.at(0, 99_000)
    parts.at(1, 99_000, trimmed=7, outbox=2)
    await parts.reached(100_000)
    parts.at(1, 100_500, trimmed=8, outbox=5)
    await parts.reached(101_000)
    parts.at(0, 110_000)
    assert await parts.reached(111_000) == 0
    parts.at(1, 111_000, trimmed=9, outbox=5)  # all that lay there at 100,000
    await parts.reached(112_000)
    parts.at(0, 113_000)
    assert await parts.reached(114_000) == 99_000


async def test_ids_that_are_linked_to_linked_ids_count_too() -> None:
    """Each further link takes the time of one more partition."""
    parts = Partitions()
    parts.values[0]["u0"] = linked_to("old1")
    parts.values[1]["old1"] = linked_to("phone2", "u0")  # rings end
    reached = 0
    for now in range(100_000, 110_000, 1_000):
        for partition in (0, 1, 2):
            parts.at(partition, now - 1_000)
        reached = await parts.reached(now)
    assert (2, ("phone2",)) in parts.looks
    assert reached == 108_000 - 2 * 2_000, "of each step: how far a partition is behind, and the skew"
    for now in range(110_000, 130_000, 1_000):  # the last one stands still
        for partition in (0, 1):
            parts.at(partition, now - 1_000)
        reached = await parts.reached(now)
    assert 104_000 < reached <= 108_000, "no further than that"


async def test_a_partition_that_nobody_read_holds_who_is_linked_to_it() -> None:
    """An unread partition holds back the customers linked to it, and no others."""
    parts = Partitions()
    parts.values[0] |= {"u0": linked_to("phone1"), "v0": customer_codec.encode(member())}
    for now in range(100_000, 200_000, 10_000):
        parts.at(0, now)
        assert await parts.reached(now) == 0
    look = await parts.memberships.look(0, ["u0", "v0"])
    assert (look.of["u0"].waiting(1, 90_000), look.of["v0"].waiting(1, 90_000)) == (Waiting.LINKED_ID, None)


async def test_an_id_that_was_linked_between_two_looks_is_waited_for() -> None:
    """A newly linked id is waited for, as its partition was not looked at yet."""
    parts = Partitions()
    parts.values[0]["u0"] = linked_to("phone1")
    for now in range(100_000, 110_000, 1_000):
        parts.at(0, now)
        parts.at(1, now)
        await parts.reached(now)
    assert await parts.reached(110_000) > 100_000
    look, looks = parts.look, []

    async def links(partition: int, customers: Sequence[str]) -> PartitionLook:
        looks.append(partition)
        if looks == [0, 1, 0]:
            parts.values[0]["u0"] = linked_to("phone1", "phone2")
        return await look(partition, customers)

    parts.look = links  # type: ignore[method-assign]
    assert await parts.reached(111_000) == 0


def test_a_stop_of_triggers_says_what_to_do_about_triggers() -> None:
    """The advice names triggers' own Redis keys and rebuild, not the worker's."""
    assert sentence_of_triggers("p:triggers:", str(recreated_topic("visits-0", 4, 5))) == (
        "visits-0 ends at 4 but records up to 5 were already read; the topic was deleted and recreated: remove the "
        "keys under p:triggers: in Redis and start `segmenter triggers --rebuild`"
    )
    assert sentence_of_triggers("p:", "start the worker again") == "start triggers again"


def test_marks_after_a_loss() -> None:
    """Redis counts entries anew, so marks of former entries do not hold for new ones."""
    marks = PartitionMarks(60_000)

    def note(now: int, reached: int, trimmed: int, outbox: int) -> None:
        meta = {"clock": str(reached), "caught_up": str(reached), "trimmed": str(trimmed)}
        marks.note(PartitionLook(meta, outbox, {}, {}), now)

    note(10_000, 9_000, trimmed=100, outbox=3)
    note(11_000, 8_000, trimmed=1, outbox=2)
    note(12_000, 9_500, trimmed=3, outbox=1)
    assert [marks.decided(read) for read in (12_999, 13_000)] == [0, 8_000]
    note(80_000, 79_000, trimmed=4, outbox=0)
    assert marks.decided(79_000) == 0, "too old to be remembered"
    assert marks.decided(81_000) == 79_000


@pytest.mark.parametrize(
    ("now", "reached", "fencing_token", "decided"),
    [
        (12_000, 8_000, "a", 0),  # it went back
        (12_000, 9_500, "b", 0),  # another owner came, and it has come further since
        (12_000, 9_500, "a", 9_000),  # nothing was lost
    ],
    ids=["goes back", "another claim", "no loss"],
)
def test_marks_after_a_loss_of_entries_that_others_replace(
    now: int, reached: int, fencing_token: str, decided: int
) -> None:
    """Marks of two lost entries are not reached by trimming two others."""
    marks = PartitionMarks(60_000)

    def note(time: int, up_to: int, trimmed: int, of: str) -> None:
        meta = {"clock": str(up_to), "caught_up": str(up_to), "trimmed": str(trimmed), "token": of}
        marks.note(PartitionLook(meta, 2, {}, {}), time)

    note(10_000, 9_000, 8, "a")
    note(now, reached, 10, fencing_token)
    assert marks.decided(60_000) == decided


def test_the_look_before_counts_however_long_a_message_waits() -> None:
    """The look before counts after an outage, too, where looks are rarest: else a message would wait for ever."""
    marks = PartitionMarks(MARK_RETENTION_MS)
    for now in (0, WAIT_MOST_MS + 2_000):
        marks.note(PartitionLook({"clock": str(now + 1), "caught_up": str(now + 1)}, 0, {}, {}), now)
    assert marks.decided(WAIT_MOST_MS) == 1
