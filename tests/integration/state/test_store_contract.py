"""The store's contract, kept alike by the memory store and by Redis.

The one rule of a store: a step is written whole, or not at all and the answer says why. One suite and one machine
of random steps ask both stores the same. Long because it is one test for each sentence of the contract.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
import pytest
import redis.asyncio as redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from local.servers import Redis
from streams.errors import ClaimRefused, LowerGeneration
from streams.state.contract import EncodedVersions, Identity, PartitionState, Save, Store, StoredCustomer
from streams.state.memory import MemoryStore
from streams.state.redis import RedisStore
from tests.support.store_steps import (
    IDENTITY,
    NOTHING,
    PERSIAN,
    POSITIONS,
    claim,
    claimed,
    step,
    stored_customer,
    visible_state,
)

MANY = 5_001  # two values each: beyond the 8,000 that Lua's unpack() takes
Answer = TypeVar("Answer")

_prefixes = (f"test_both{number}:" for number in itertools.count())


# --- claim and begin ---------------------------------------------------------------------------


async def test_an_empty_partition(store: Store) -> None:
    """Nothing is known, nothing is due, nothing waits to be published."""
    assert await store.claim(claim()) == NOTHING
    assert await store.load(0, ["a"]) == [None]
    assert await store.load(0, []) == []
    assert await store.due(0, 10**15, 10) == []
    assert await store.next_due(0) == 0


async def test_a_claim_finds_what_was_saved(store: Store) -> None:
    """Any later claim finds positions, clock, save number, the next due time and the outbox."""
    await claimed(store)
    save = step(customers=[stored_customer("a", due=700), stored_customer("b", due=600)], outbox=[b"one", b"two"])
    assert await store.save(0, save) == "saved"
    state = await store.claim(claim("t2", 6))
    assert state == PartitionState({"visits": 11, "carts": 21}, 1_000, 1, 600, [b"one", b"two"], trimmed=0)


async def test_first_positions_are_set_once(store: Store) -> None:
    """Inputs that have a position keep it, those that have none get one."""
    await claimed(store)
    assert await store.begin(claim(), {"visits": 99, "purchases": 30})
    assert (await store.claim(claim())).positions == {**POSITIONS, "purchases": 30}
    await store.begin(claim(), {})
    assert (await store.claim(claim())).positions == {**POSITIONS, "purchases": 30}


async def test_first_positions_of_another_claim_are_not_set(store: Store) -> None:
    """A claim which does not hold the partition begins nothing; nor does a begin before any claim."""
    assert not await store.begin(claim(), POSITIONS)
    assert (await store.claim(claim("t2"))).positions == {}
    assert not await store.begin(claim("t1"), POSITIONS)
    assert (await store.claim(claim("t2"))).positions == {}


async def test_files_do_not_change_over_saves_that_are_lost(store: Store) -> None:
    """New files are refused if a save before them is lost: they were chosen by what is not there any more."""
    await claimed(store)
    assert not await store.begin(claim(), {}, EncodedVersions(1, b"[]"), 1)
    assert await store.save(0, step(1)) == "saved", "by the files that decide"
    assert await store.begin(claim(), {}, EncodedVersions(1, b"[]"), 1)
    assert await store.save(0, step(2)) == "moved"


@pytest.mark.parametrize("generation", [5, 6, 500])
async def test_a_claim_of_the_same_or_a_higher_generation_holds(store: Store, generation: int) -> None:
    """The newest claim holds; the one before it can write no more."""
    await claimed(store)
    await store.claim(claim("t2", generation))
    assert await store.save(0, step()) == "fenced"
    assert await store.save(0, step(fencing_token="t2")) == "saved"


async def test_a_lower_generation_is_refused_unless_proven(store: Store) -> None:
    """A refusal changes nothing; an offset commit proves it, and then its own generation counts."""
    await claimed(store)
    with pytest.raises(LowerGeneration):
        await store.claim(claim("t2", 4))
    assert await store.save(0, step()) == "saved"
    state = await store.claim(claim("t3", 4, proven_over="t1"))
    assert state.save_number == 1
    assert await store.save(0, step(2)) == "fenced"
    await store.claim(claim("t4", 4))
    with pytest.raises(LowerGeneration):
        await store.claim(claim("t5", 3))
    await store.claim(claim("t6", 5))  # of a group that began anew: the same number is another claim
    with pytest.raises(LowerGeneration):
        await store.claim(claim("t7", 4, proven_over="t1"))


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"cluster": "cluster-b"}, "cluster stored 'cluster-a', here 'cluster-b': .*another Kafka cluster"),
    ({"group": "other"}, "group stored 'segmenter', here 'other': .*SEGMENTER_GROUP"),
    ({"partitions": 8}, "partitions stored 4, here 8: .*segmenter topics copy"),
    ({"definitions": "def456"}, "definitions stored 'abc123', here 'def456': .*former file"),
]


@pytest.mark.parametrize("proven", [False, True])
@pytest.mark.parametrize(("other", "sentence"), OTHERS, ids=[next(iter(other)) for other, _ in OTHERS])
async def test_what_belongs_to_something_else_is_refused(
    store: Store, other: dict[str, Any], sentence: str, proven: bool
) -> None:
    """The sentence names what was stored, what is here and what to do; the partition stays as it was."""
    await claimed(store)
    with pytest.raises(ClaimRefused, match=sentence):
        await store.claim(
            claim("t2", 9, identity=msgspec.structs.replace(IDENTITY, **other), proven_over="t1" if proven else "")
        )
    assert await store.save(0, step()) == "saved"


@pytest.mark.parametrize(("other", "_sentence"), OTHERS, ids=[next(iter(other)) for other, _ in OTHERS])
async def test_a_claim_that_was_never_begun_binds_nobody(store: Store, other: dict[str, Any], _sentence: str) -> None:
    """A worker that was refused after its claim has left no state that could belong to something."""
    await store.claim(claim())
    theirs = claim("t2", 6, identity=msgspec.structs.replace(IDENTITY, **other))
    assert await store.claim(theirs) == NOTHING
    await store.begin(claim(), POSITIONS)
    assert (await store.claim(theirs)).positions == {}
    await store.begin(theirs, POSITIONS)
    with pytest.raises(ClaimRefused):
        await store.claim(claim("t3", 7))


async def test_of_several_differences_the_first_is_told(store: Store) -> None:
    """The order is cluster, group, partitions, definitions; all come before the generation."""
    await claimed(store)
    for identity, field in (
        (Identity("x", "x", 1, "x"), "cluster"),
        (Identity("cluster-a", "x", 1, "x"), "group"),
        (Identity("cluster-a", "segmenter", 1, "x"), "partitions"),
    ):
        with pytest.raises(ClaimRefused, match=f"^{field} stored"):
            await store.claim(claim("t2", 1, identity=identity))


# --- save --------------------------------------------------------------------------------------


async def test_saves_follow_one_another(store: Store) -> None:
    """Each save has the next number and starts where the last one ended."""
    await claimed(store)
    for number in range(1, 6):
        assert await store.save(0, step(number)) == "saved"
    state = await store.claim(claim())
    assert (state.save_number, state.clock) == (5, 5_000)
    assert state.positions == {name: offset + 5 for name, offset in POSITIONS.items()}


REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("another token", "fenced", {"fencing_token": "t2"}),
    ("another token with the same save", "fenced", {"fencing_token": "t2", "number": 1, "digest": b"d1"}),
    ("the same number, another content", "out_of_order", {"number": 1}),
    ("a number left out", "out_of_order", {"number": 3, "digest": b"d2"}),
    ("a number from long ago", "out_of_order", {"number": 0, "digest": b"d0"}),
    ("an input that is further", "moved", {"starts": {"visits": 10, "carts": 21}}),
    ("an input that is not so far", "moved", {"starts": {"visits": 11, "carts": 22}}),
    ("an input that nobody knows", "moved", {"starts": {"visits": 11, "carts": 21, "purchases": 0}}),
]


@pytest.mark.parametrize(("answer", "wrong"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_refused_save_writes_nothing(store: Store, answer: str, wrong: dict[str, Any]) -> None:
    """A refused save writes no customer, due time, entry, position, clock or number; the next save is taken."""
    await claimed(store)
    await store.save(0, step(1, customers=[stored_customer("a", b"1", 500)], outbox=[b"one"]))
    before = await visible_state(store)
    positions = dict.fromkeys(wrong.get("starts", POSITIONS), 99)
    fields = {"number": 2, "digest": b"x", "positions": positions, "clock": 9_999, **wrong}
    content = {"customers": [stored_customer("a", b"2", 100), stored_customer("b", b"2", 200)], "outbox": [b"two"]}
    refused = msgspec.structs.replace(step(2), **fields, **content)
    assert await store.save(0, refused) == answer
    assert await visible_state(store) == before
    assert await store.save(0, step(2)) == "saved"


async def test_before_any_claim_a_save_is_fenced(store: Store) -> None:
    """A save is refused while no claim holds the partition."""
    assert await store.save(0, step()) == "fenced"
    assert await visible_state(store) == (NOTHING, [None, None], [])


async def test_the_same_save_again_is_already_there(store: Store) -> None:
    """A client's own retry is harmless, however often, until the next save."""
    await claimed(store)
    first = step(1, customers=[stored_customer("a", b"1", 500)], outbox=[b"one"])
    assert await store.save(0, first) == "saved"
    before = await visible_state(store)
    assert [await store.save(0, first) for _ in range(3)] == ["already"] * 3
    assert await visible_state(store) == before
    assert await store.save(0, step(2)) == "saved"
    assert await store.save(0, first) == "out_of_order"


async def test_the_same_save_by_the_next_owner_is_fenced_for_the_last(store: Store) -> None:
    """The token is checked first: after a takeover the former owner's retry is fenced."""
    await claimed(store)
    await store.save(0, step(1))
    await store.claim(claim("t2", 6))
    assert await store.save(0, step(1)) == "fenced"
    assert await store.save(0, step(1, fencing_token="t2")) == "already"


async def test_a_step_of_some_inputs_moves_only_those(store: Store) -> None:
    """Inputs that are not named keep their positions; a step of time alone names none."""
    await claimed(store)
    assert await store.save(0, step(1, starts={"carts": 20}, positions={"carts": 25})) == "saved"
    assert await store.save(0, step(2, starts={}, positions={})) == "saved"
    assert (await store.claim(claim())).positions == {"visits": 10, "carts": 25}


async def test_positions_are_exact(store: Store) -> None:
    """Offsets are 64 bits wide, which a double is not."""
    far = 2**62 + 1
    await store.claim(claim())
    await store.begin(claim(), {"visits": far})
    assert await store.save(0, step(1, starts={"visits": far + 1}, positions={"visits": far + 2})) == "moved"
    assert await store.save(0, step(1, starts={"visits": far}, positions={"visits": far + 1})) == "saved"
    assert (await store.claim(claim())).positions == {"visits": far + 1}


async def test_the_clock_never_goes_back(store: Store) -> None:
    """A step with an older clock is saved, the newer one stays."""
    await claimed(store)
    for number, clock, stays in ((1, 1_772_366_400_000, 1_772_366_400_000), (2, 5, 1_772_366_400_000)):
        assert await store.save(0, step(number, clock=clock)) == "saved"
        assert (await store.claim(claim())).clock == stays


# --- customers, due times, outbox --------------------------------------------------------------


async def test_customers_come_in_the_order_asked_for(store: Store) -> None:
    """Any bytes are loaded under any name, in order; unknown ids are None, one given twice comes twice."""
    await claimed(store)
    values = {"a": b"", PERSIAN: bytes(range(256)), "{p1}:x": b"\x93\xff", " ": b"4", "a\u202eb": b"5"}
    await store.save(0, step(customers=[stored_customer(name, value) for name, value in values.items()]))
    names = ["nobody", *reversed(values), PERSIAN]
    assert await store.load(0, names) == [None, *reversed(values.values()), values[PERSIAN]]


async def test_a_customer_is_written_over(store: Store) -> None:
    """The newest value counts, other customers stay."""
    await claimed(store)
    await store.save(0, step(1, customers=[stored_customer("a", b"1"), stored_customer("b", b"1")]))
    await store.save(0, step(2, customers=[stored_customer("b", b"2")]))
    assert await store.load(0, ["a", "b"]) == [b"1", b"2"]


async def test_due_times_are_set_kept_and_removed(store: Store) -> None:
    """A number sets a due time, None leaves it, 0 removes it; the next one is always the oldest."""
    await claimed(store)
    for number, (due, next_due) in enumerate([(500, 500), (None, 500), (700, 700), (None, 700), (0, 0), (None, 0)], 1):
        assert await store.save(0, step(number, customers=[stored_customer("a", due=due)])) == "saved"
        assert await store.next_due(0) == next_due
        assert (await store.claim(claim())).next_due == next_due
    assert await store.save(0, step(7, customers=[stored_customer("never", due=0)])) == "saved"
    assert await store.due(0, 10**15, 10) == []


async def test_due_customers_come_oldest_first(store: Store) -> None:
    """Customers due up to and including the instant come by time, then by name, at most so many."""
    await claimed(store)
    now = 1_772_366_400_000
    dues = {"c": now + 1, "b": now, PERSIAN: now, "a": now, "d": now - 1, "e": 0, "f": None}
    await store.save(0, step(customers=[stored_customer(name, due=due) for name, due in dues.items()]))
    assert await store.due(0, now - 2, 10) == []
    assert await store.due(0, now - 1, 10) == ["d"]
    assert await store.due(0, now, 10) == ["d", "a", "b", PERSIAN]
    assert await store.due(0, now, 2) == ["d", "a"]
    assert await store.due(0, now + 1, 10) == ["d", "a", "b", PERSIAN, "c"]
    assert await store.next_due(0) == now - 1


async def test_the_outbox_keeps_its_order(store: Store) -> None:
    """Entries of one save stay in order, saves follow one another, any bytes are kept."""
    await claimed(store)
    await store.save(0, step(1, outbox=[b"2", b"1", b""]))
    await store.save(0, step(2, outbox=[]))
    await store.save(0, step(3, outbox=[bytes(range(256)), b"2"]))
    assert list((await store.claim(claim())).outbox) == [b"2", b"1", b"", bytes(range(256)), b"2"]


@pytest.mark.parametrize(("first", "left"), [(0, [b"0", b"1", b"2"]), (2, [b"2"]), (3, [])])
async def test_published_entries_are_trimmed(store: Store, first: int, left: list[bytes]) -> None:
    """Entries before a number, counted from the first ever put, are dropped; later saves follow on."""
    await claimed(store)
    await store.save(0, step(1, outbox=[b"0", b"1", b"2"]))
    for _ in range(3):
        assert await store.trim(0, "t1", first, {}, 1)
        assert await waiting(store) == (first, left)
    await store.save(0, step(2, outbox=[b"3"]))
    assert await waiting(store) == (first, [*left, b"3"])


async def test_entries_keep_their_numbers(store: Store) -> None:
    """A number that was passed before drops nothing more, though more entries were put since."""
    await claimed(store)
    for number in range(1, 4):
        await store.save(0, step(number, outbox=[b"%d" % (2 * number - 2), b"%d" % (2 * number - 1)]))
        for first in (number, number, number - 1, 0):
            assert await store.trim(0, "t1", first, {}, 1)
        assert await waiting(store) == (number, [b"%d" % entry for entry in range(number, 2 * number)])


async def waiting(store: Store) -> tuple[int, list[bytes]]:
    """The number of the first entry in the outbox, and the entries."""
    state = await store.claim(claim())
    return state.trimmed, list(state.outbox)


async def test_only_the_holder_trims(store: Store) -> None:
    """After a takeover the former owner's trim is refused and drops nothing."""
    await claimed(store)
    await store.save(0, step(1, outbox=[b"1"]))
    await store.claim(claim("t2", 6))
    assert not await store.trim(0, "t1", 1, {"changes": 9}, 1)
    state = await store.claim(claim("t2", 6))
    assert (list(state.outbox), state.outputs) == ([b"1"], {})
    assert not await MemoryStore().trim(0, "t1", 1, {}, 0)


async def test_what_is_published_is_found_by_the_next_claim(store: Store) -> None:
    """The positions noted last are found by output, whether or not entries were dropped with them."""
    await claimed(store)
    await store.save(0, step(1, outbox=[b"0", b"1"]))
    for first, outputs in ((1, {"changes": 7}), (1, {"letters": 3}), (0, {"changes": 9}), (2, {}), (2, {"changes": 4})):
        assert await store.trim(0, "t1", first, outputs, 1)
    assert (await store.claim(claim("t2", 6))).outputs == {"changes": 4, "letters": 3}
    assert (await store.claim(claim("t2", 6))).positions == {name: offset + 1 for name, offset in POSITIONS.items()}


async def test_a_trim_that_rests_on_a_save_that_is_not_there_is_refused(store: Store) -> None:
    """A trim after a lost save is refused: the store has lost what was published or noted."""
    await claimed(store)
    await store.save(0, step(1, outbox=[b"0", b"1"]))
    for first, outputs in ((2, {"changes": 9}), (0, {"changes": 9}), (2, {})):
        assert not await store.trim(0, "t1", first, outputs, 2)
    state = await store.claim(claim())
    assert (list(state.outbox), state.trimmed, state.outputs) == ([b"0", b"1"], 0, {})
    assert await store.trim(0, "t1", 2, {"changes": 9}, 1)


async def test_partitions_are_apart(store: Store) -> None:
    """Claims, customers, due times and outbox of one partition do not affect another."""
    await claimed(store)
    await claimed(store, partition=1, fencing_token="t9")
    await store.save(0, step(1, customers=[stored_customer("a", b"0", 500)], outbox=[b"0"]))
    assert await store.save(1, step(1)) == "fenced"
    as_begun = msgspec.structs.replace(NOTHING, positions=POSITIONS)
    assert await visible_state(store, partition=1, fencing_token="t9") == (as_begun, [None, None], [])
    assert await store.save(1, step(1, fencing_token="t9", customers=[stored_customer("a", b"1", 400)])) == "saved"
    assert await store.load(0, ["a"]) == [b"0"]
    assert await store.next_due(0) == 500


async def test_thousands_of_customers_in_one_save(store: Store) -> None:
    """Due times are set, kept and removed and entries appended by the thousand, in one step each."""
    await claimed(store)
    names = [f"مشتری-{index:05}" for index in range(MANY)]
    customers = [stored_customer(name, name.encode(), index + 1) for index, name in enumerate(names)]
    outbox = [b"%d" % index for index in range(MANY)]
    assert await store.save(0, step(1, customers=customers, outbox=outbox)) == "saved"
    assert await store.load(0, names) == [name.encode() for name in names]
    assert await store.due(0, MANY, MANY) == names
    assert list((await store.claim(claim())).outbox) == outbox
    keeping = [stored_customer(name, b"2") for name in names]
    assert await store.save(0, step(2, customers=keeping)) == "saved"
    assert await store.due(0, MANY, MANY) == names
    removing = [stored_customer(name, b"3", 0 if index else None) for index, name in enumerate(names)]
    assert await store.save(0, step(3, customers=removing)) == "saved"
    assert await store.due(0, MANY, MANY) == names[:1]
    assert await store.load(0, names) == [b"3"] * MANY
    assert await store.trim(0, "t1", MANY - 1, {}, 3)
    assert await waiting(store) == (MANY - 1, outbox[-1:])


async def test_an_attempt_is_found_by_the_next_claim(store: Store) -> None:
    """An attempt stays until another is written; a save leaves it, and only the holder writes one."""
    assert (await claimed(store)).attempt == b""
    assert await store.set_attempt(0, "t1", b"one")
    assert await store.save(0, step(1)) == "saved"
    assert (await store.claim(claim("t2"))).attempt == b"one"
    assert not await store.set_attempt(0, "t1", b"two")
    assert (await store.claim(claim("t2"))).attempt == b"one"
    assert await store.set_attempt(0, "t2", b"")
    assert (await store.claim(claim("t2"))).attempt == b""


async def test_nobody_writes_an_attempt_of_what_was_never_claimed(store: Store) -> None:
    """Without a claim there is no holder, and no attempt is written."""
    assert not await store.set_attempt(3, "t1", b"one")
    assert (await store.claim(claim(partition=3))).attempt == b""


# --- both side by side -------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", PERSIAN])
TOKENS = st.sampled_from(["t1", "t2"])
INPUTS = st.sampled_from(["visits", "carts"])
SMALL = st.integers(0, 3)


class Both(RuleBasedStateMachine):
    """A machine that asks the memory store and Redis the same, in any order, and compares the answers."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = redis.from_url(url)
        self.stores: tuple[Store, Store] = (MemoryStore(), RedisStore(self.client, next(_prefixes)))
        self.holder = "nobody"
        self.number = 0
        self.positions: dict[str, int] = {}
        self.trimmed = 0

    def teardown(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()

    def both(self, ask: Callable[[Store], Awaitable[Answer]]) -> Answer:
        """The answer that both stores give."""

        async def answer(store: Store) -> object:
            try:
                return await ask(store)
            except (ClaimRefused, LowerGeneration) as refused:
                return type(refused), str(refused)

        memory, redis_ = (self.runner.run(answer(store)) for store in self.stores)
        assert memory == redis_
        return cast("Answer", memory)

    @rule(
        fencing_token=TOKENS,
        generation=SMALL,
        proven_over=st.just("") | TOKENS,
        other=st.sampled_from([None] * 6 + ["group"]),
    )
    def claim(self, fencing_token: str, generation: int, proven_over: str, other: str | None) -> None:
        identity = msgspec.structs.replace(IDENTITY, **{other: "x"} if other else {})
        outcome = self.both(
            lambda store: store.claim(claim(fencing_token, generation, proven_over=proven_over, identity=identity))
        )
        if isinstance(outcome, PartitionState):
            self.holder, self.number, self.positions = fencing_token, outcome.save_number, dict(outcome.positions)

    @rule(fencing_token=TOKENS, positions=st.dictionaries(INPUTS, SMALL), behind=st.sampled_from([0, 0, 0, 1, -1]))
    def begin(self, fencing_token: str, positions: dict[str, int], behind: int) -> None:
        if self.both(lambda store: store.begin(claim(fencing_token), positions, None, self.number - behind)):
            self.positions = {**positions, **self.positions}

    @rule(
        fencing_token=st.sampled_from([None] * 5 + ["t1", "t2"]),
        ahead=st.sampled_from([1, 1, 1, 1, 1, 0, 2, -1]),
        digest=st.sampled_from([b"d1", b"d2"]),
        moved=st.dictionaries(INPUTS, st.sampled_from([0, 0, 0, 0, 1])),
        by=SMALL,
        clock=st.integers(0, 9),
        customers=st.dictionaries(
            NAMES,
            st.tuples(st.binary(max_size=3), st.none() | SMALL, st.sampled_from([False] * 5 + [True])),
            max_size=4,
        ),
        outbox=st.lists(st.binary(max_size=3), max_size=3),
    )
    def save(
        self,
        fencing_token: str | None,
        ahead: int,
        digest: bytes,
        moved: dict[str, int],
        by: int,
        clock: int,
        customers: dict[str, tuple[bytes, int | None, bool]],
        outbox: list[bytes],
    ) -> None:
        """Save the next step of the holder mostly, and now and then one that must be refused."""
        save = Save(
            fencing_token=fencing_token or self.holder,
            number=max(1, self.number + ahead),
            digest=digest,
            starts={name: self.positions.get(name, 0) + off for name, off in moved.items()},
            positions={name: self.positions.get(name, 0) + by for name in moved},
            clock=clock,
            customers=[StoredCustomer(name, *rest) for name, rest in customers.items()],
            outbox=outbox,
        )
        if self.both(lambda store: store.save(0, save)) == "saved":
            self.number = save.number
            self.positions |= save.positions

    @rule(
        fencing_token=st.sampled_from([None, None, "t1", "t2"]),
        ahead=st.integers(-1, 3),
        behind=st.sampled_from([0, 0, 0, 1, -1]),
        outputs=st.dictionaries(st.sampled_from(["changes", "letters"]), SMALL),
    )
    def trim(self, fencing_token: str | None, ahead: int, behind: int, outputs: dict[str, int]) -> None:
        """Trim entries not yet trimmed mostly; now and then passed ones, or with a save that is not there."""
        first, number = self.trimmed + ahead, self.number - behind
        if self.both(lambda store: store.trim(0, fencing_token or self.holder, first, outputs, number)):
            self.trimmed += max(0, ahead)

    @rule(fencing_token=st.sampled_from([None, None, "t1", "t2"]), attempt=st.binary(max_size=3))
    def set_attempt(self, fencing_token: str | None, attempt: bytes) -> None:
        self.both(lambda store: store.set_attempt(0, fencing_token or self.holder, attempt))

    @rule(until=SMALL, limit=st.integers(1, 3))
    def due(self, until: int, limit: int) -> None:
        self.both(lambda store: store.due(0, until, limit))

    @invariant()
    def looks_the_same(self) -> None:
        self.both(lambda store: store.load(0, ["a", "b", "c", PERSIAN]))
        self.both(lambda store: store.due(0, 10, 10))
        self.both(lambda store: store.next_due(0))


def test_memory_and_redis_answer_alike(redis_server: Redis) -> None:
    """Random steps of random owners on both stores: every answer and all that can be seen is the same."""
    limits = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(partial(Both, redis_server.url), settings=limits)  # type: ignore[arg-type]  # any factory


async def test_who_is_erased_is_found_under_no_name(store: Store) -> None:
    """What stays of an erased customer is loaded until it is back, and again after another erasure."""
    await claimed(store)
    gone = StoredCustomer(PERSIAN, b"gone", 0, erased=True)
    await store.save(0, step(1, customers=[stored_customer(PERSIAN, due=700), stored_customer("b", due=900)]))
    assert await store.save(0, step(2, customers=[gone])) == "saved"
    assert await store.load(0, ["b", PERSIAN, "c"]) == [b"v", b"gone", None]
    assert await store.due(0, 10**15, 10) == ["b"]
    await store.save(0, step(3, customers=[stored_customer(PERSIAN, b"back", due=800)]))
    assert await store.load(0, [PERSIAN]) == [b"back"]
    await store.save(0, step(4, customers=[msgspec.structs.replace(gone, value=b"gone again")]))
    assert await store.load(0, [PERSIAN]) == [b"gone again"]


async def test_many_are_erased_at_once(store: Store) -> None:
    """Many customers are erased in one save, whose arguments go in slices."""
    await claimed(store)
    names = [f"u{number}" for number in range(MANY)]
    await store.save(0, step(1, customers=[stored_customer(name) for name in names]))
    gone = [StoredCustomer(name, name.encode(), 0, erased=True) for name in names]
    assert await store.save(0, step(2, customers=gone)) == "saved"
    assert await store.load(0, names) == [name.encode() for name in names]


async def test_a_long_run_of_saves(store: Store) -> None:
    """Hundreds of saves after one another, of random content, leave what two dictionaries would hold."""
    rng = random.Random(20260305)
    await claimed(store)
    values: dict[str, bytes] = {}
    dues: dict[str, int] = {}
    for number in range(1, 301):
        customers = [
            stored_customer(f"u{rng.randrange(50)}", rng.randbytes(4), rng.choice((None, 0, rng.randrange(1, 99))))
        ]
        assert await store.save(0, step(number, customers=customers)) == "saved"
        for customer in customers:
            values[customer.id] = customer.value
            dues[customer.id] = dues.get(customer.id, 0) if customer.due is None else customer.due
    assert await store.load(0, list(values)) == list(values.values())
    waiting = sorted((due, name) for name, due in dues.items() if due)
    assert await store.due(0, 99, 99) == [name for _, name in waiting]
