"""The right to be forgotten: what an erasure takes, what stays, and what a second reading of everything tells.

The one rule: what is expected is worked out by the tests' oracle, or looked for byte by byte in what is stored.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from rules.customer import Ahead, Customer
from rules.event_names import ERASE
from rules.events import Event, Origin
from rules.identity.events import CascadedErasure, ErasureNotice, Link
from rules.published_ahead import PublishedChange
from rules.reasons import ERASED
from rules.sentences.reason_sentence import sentence
from streams.kafka.fetch import OutputChunk
from streams.offline.replay import Replay
from streams.state.contract import tombstone
from streams.wire import changes, customer_codec, identity_records, memberships
from streams.wire.event_decoder import Rejected, decode, decode_line
from streams.wire.memberships import tombstone as tombstone_row
from streams.wire.records import OutRecord, encode_entry
from streams.wire.topics import CHANGES, MEMBERSHIPS, MERGES
from streams.worker import erasure_scan, output_recovery
from tests.oracle import oracle
from tests.strategies import histories, worlds
from tests.strategies.worlds import World, failing
from tests.support.lossy_store import Store
from tests.support.partition_lives import GRACE_MS, Lives
from tests.support.recovery_cases import Case, fold, through_all

SEEDS = range(300)
STORED = range(150)
LIVES = range(40)
NIGHTLY = range(len(LIVES), 1_500)


def with_erasures(rng: random.Random, sent: Sequence[histories.Event]) -> list[histories.Event]:
    """Some customers ask to be erased at the time of an event, theirs or another's, give or take a millisecond."""
    events = list(sent)
    for number in range(rng.choice((1, 1, 2, 4))):
        like, at = rng.choice(sent), rng.choice(sent)
        moment = datetime.fromtimestamp(oracle.fact(at).time / 1000, UTC) + timedelta(
            milliseconds=rng.choice((0, 0, 1, -1))
        )
        ids: histories.Event = {name: like[name] for name in ("userId", "anonymousId") if name in like}
        events.append(
            {"type": "erase", "messageId": f"erase{number}", "timestamp": histories.written(moment, "Z"), **ids}
        )
    return histories.in_time_order(events)


def drawn(seed: int) -> World:
    rng = random.Random(seed)
    sent, definitions = histories.world(rng, rng.choice((6, 12, 25)))
    return worlds.made(rng, with_erasures(rng, sent), definitions)


# --- what is decided ---------------------------------------------------------------------------


def test_in_time_order_the_oracle_says_the_same() -> None:
    """Every change of random histories is the oracle's, also those of customers that return after an erasure."""
    assert failing(SEEDS, lambda seed: worlds.wrong_in_time_order(drawn(seed))) == {}


def test_in_any_order_the_oracle_says_the_same() -> None:
    """An erasure that is late acts where the customer stands: what was read by then is gone."""

    def fails(seed: int) -> object:
        world = drawn(seed)
        replay = Replay(world.plain)
        by_customer = worlds.plain_changes_per_customer(list(replay.run(world.late, world.until)))
        members = {
            customer_id: frozenset(world.plain.membership(customer))
            for customer_id, customer in replay.customers.items()
        }
        expected = worlds.right(world.shuffled, world.plain_definitions, world.until)
        expected_members = oracle.membership(world.shuffled, world.plain_definitions, world.until)
        return (by_customer, members) != (expected, expected_members) and (by_customer, expected)

    assert failing(SEEDS, fails) == {}


def test_worlds_have_what_they_are_for() -> None:
    """Some erasures end a membership, some find nothing, and some customers come back."""
    ended = came_back = nothing = 0
    for seed in range(60):
        world = drawn(seed)
        replay = Replay(world.engine)
        by_erasure = [change for change in replay.run(world.events, world.until) if change.cause == "erasure"]
        ended += len(by_erasure)
        erased = [customer for customer in replay.customers.values() if customer.erased]
        came_back += sum(not customer.is_erased for customer in erased)
        nothing += sum(customer.is_erased for customer in erased)
    assert min(ended, came_back, nothing) > 15


def test_a_change_by_erasure_has_no_content() -> None:
    """The change says which segment was left, when and by which request; of what was known it says nothing."""
    engine = worlds.made(random.Random(1), [bought("u1", 0)], {"version": 1, "segments": {"b": BUYER}}).engine
    events = [decode_line(json.dumps(event).encode()) for event in (bought("u1", 0), erase("u1", 5))]
    entered, left = Replay(engine).run(events)
    body = json.loads(changes.encode(changes.of(left)))
    assert (entered.kind, left.kind, left.reason) == ("entered", "exited", ERASED)
    assert body["cause"] == {"kind": "erasure", "event_id": "erase-5"}
    assert body["reason"] == {"holds": False}
    assert body["said"] == {language: sentence(ERASED, language) for language in ("en", "fa")}
    assert body["segments"] == []
    assert left.id != msgspec.structs.replace(left, event=events[0]).id


BUYER = {"title": "Buyer", "when": {"performed": {"event": "Order Completed"}}}


def stamped(at_s: float) -> str:
    return histories.written(histories.START + timedelta(seconds=at_s), "Z")


def bought(customer_id: str, at_s: float) -> histories.Event:
    body = {"type": "track", "event": "Order Completed", "properties": {"order_id": f"o{at_s}", "total": 10}}
    return {**body, "messageId": f"bought-{at_s}", "userId": customer_id, "timestamp": stamped(at_s)}


def erase(customer_id: str, at_s: float) -> histories.Event:
    return {"type": "erase", "messageId": f"erase-{at_s}", "userId": customer_id, "timestamp": stamped(at_s)}


# --- what is a request -------------------------------------------------------------------------


def test_only_on_profiles() -> None:
    """An erasure counts on profiles alone, where it is looked for first; with a prefix it is the same topic."""
    value = json.dumps(erase("u1", 0)).encode()
    for topic in ("profiles", "shop.profiles"):
        assert decode(value, b"u1", None, Origin(topic, 0, 0)).name == ERASE
    for topic in ("visits", "carts", "purchases", "profiles-of-others"):
        with pytest.raises(Rejected, match="bad_type"):
            decode(value, b"u1", None, Origin(topic, 0, 0))


def test_a_track_of_that_name_erases_nobody() -> None:
    """A track event erases no customer, whatever a web page calls its events."""
    track = {**erase("u1", 0), "type": "track", "event": "erase"}
    assert decode_line(json.dumps(track).encode()).name == "erase" != ERASE


# --- what stays --------------------------------------------------------------------------------


def lived(seed: int) -> tuple[Case, Lives]:
    world = drawn(seed)
    case = Case(random.Random(seed), world.sent, world.definitions, world.engine, world.until)
    return case, case.lives()


def erased_for_good(case: Case) -> set[str]:
    """The customers with an erasure request and no event after it."""
    read = oracle.by_customer(case.events, oracle.latest(case.events))
    return {customer_id for customer_id, facts in read.items() if not oracle.remaining(facts)}


def traces(lives: Lives, customer_id: str) -> list[str]:
    """The places in the store where a customer is named, or something of the customer is kept."""
    partition, name = lives.store._partitions[0], customer_id.encode()
    places = ["customers"] if customer_id in partition.customers else []
    places += ["dues"] if customer_id in partition.dues else []
    places += ["another's value"] if any(name in value for value in partition.erased.values()) else []
    places += ["outbox"] if any(name in entry for entry in partition.outbox) else []
    return places


def test_nothing_stays_but_that_there_was_somebody() -> None:
    """Only times, counts and the mark of the erasure stay, but no id and no fact."""
    count = 0
    for seed in STORED:
        case, lives = lived(seed)
        assert asyncio.run(lives.live(case.until))
        for customer_id in erased_for_good(case):
            count += 1
            assert traces(lives, customer_id) == [], seed
        for value in lives.store._partitions[0].erased.values():
            customer = customer_codec.decode(value)
            blank = Customer(
                customer.instant, customer.sequence, {}, {}, case.engine.new().profile, erased=customer.erased
            )
            blank.out_of_order, blank.identified = customer.out_of_order, customer.identified
            assert customer == blank
    assert count > 40


def test_everything_read_again() -> None:
    """On an empty store, from the first record, no change comes for erased customers, and nothing is kept of them."""
    erased_count = 0
    for seed in STORED:
        case, lives = lived(seed)
        assert asyncio.run(lives.live(case.until))
        published, table = lives.outputs.changes(), lives.outputs.table()
        gone = erased_for_good(case)
        lives.store = Store()
        before = len(lives.outputs.records["segment-memberships"])
        assert asyncio.run(lives.live(case.until))
        again = lives.outputs.changes()[len(published) :]
        assert [change for change in again if change.customer_id in gone] == [], seed
        rows = lives.outputs.records["segment-memberships"][before:]
        assert [row for row in rows if (row.key or b"").decode() in gone and row.value is not None] == [], seed
        since = {change.customer_id: memberships.of(change) for change in again}  # time went on
        assert lives.outputs.table() == {**table, **since}, "also of those who came back"
        for customer_id in gone:
            assert traces(lives, customer_id) == [], seed
        erased_count += len(gone)
    assert erased_count > 40


def test_everything_read_again_with_deaths_on_the_way() -> None:
    """Wherever a claim or a step ends, the table is the same, also for customers that returned."""
    for seed in STORED:
        case, lives = lived(seed)
        assert asyncio.run(lives.live(case.until))
        change_count, table = len(lives.outputs.changes()), lives.outputs.table()
        lives.store = Store()
        for _ in range(3):
            asyncio.run(lives.live(case.until, case.rng.randrange(25)))
        assert asyncio.run(lives.live(case.until))
        again = {change.customer_id: memberships.of(change) for change in lives.outputs.changes()[change_count:]}
        assert lives.outputs.table() == {**table, **again}, seed


def test_a_rebuild_beside_those_who_were_erased() -> None:
    """A rebuild on what the store holds leaves erased customers erased, and publishes no changes."""
    count = 0
    for seed in STORED:
        case, lives = lived(seed)
        assert asyncio.run(lives.live(case.until))
        change_count, gone, table = len(lives.outputs.changes()), erased_for_good(case), lives.outputs.table()
        customers = lives.store._partitions[0].customers
        # Redis lost them; it still knows the erased ones.
        for customer_id in case.rng.sample(sorted(customers), len(customers) // 2):
            del customers[customer_id]
        lives.rebuilds = True
        assert asyncio.run(lives.live(case.until)), lives.stop_messages
        by_rebuild = [change for change in lives.outputs.changes()[change_count:] if change.cause.kind != "time"]
        again = {change.customer_id: memberships.of(change) for change in lives.outputs.changes()[change_count:]}
        assert (by_rebuild, lives.outputs.table(), lives.stop_messages) == ([], {**table, **again}, []), seed
        assert lives.members() == case.right(lives.wall - GRACE_MS)[1], seed
        for customer_id in gone:
            count += 1
            assert traces(lives, customer_id) == [], seed
    assert count > 40


def test_a_repeat_gives_no_row_to_whom_more_is_known_of() -> None:
    """An erased customer that returned, of which only the topic knows, gets no row either."""
    engine = worlds.made(random.Random(1), [bought("u", 0)], {"version": 1, "segments": {"b": BUYER}}).engine
    customer = engine.new()
    customer.instant = customer.erased = 8
    customer.sequence, customer.published_ahead = 3, Ahead({"c3"}, 9, 10, ("b",))
    assert output_recovery._row("u", [PublishedChange("c1", 1, 1, ("b",))], customer) is None
    newest = output_recovery._row("u", [PublishedChange("c3", 9, 3, ("b",))], customer)
    assert newest is not None
    assert newest.value is not None


def test_everything_read_again_on_new_topics() -> None:
    """On new topics, where no former change is either, erased customers are not named at all."""
    for seed in STORED:
        case, lives = lived(seed)
        lives.wall = max(lives.times)  # all of it is there when it is read first
        assert asyncio.run(lives.live(case.until))
        gone = erased_for_good(case)
        assert [change for change in lives.outputs.changes() if change.customer_id in gone] == [], seed
        assert not lives.outputs.table().keys() & gone


# --- crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seeds",
    [
        LIVES,
        *(
            pytest.param(NIGHTLY[start : start + 146], marks=pytest.mark.nightly)
            for start in range(0, len(NIGHTLY), 146)
        ),
    ],
    ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}",
)
def test_lives_that_end_anywhere(seeds: range) -> None:
    """Whatever dies when, and whatever the store loses, erased customers have the oracle's changes, and are gone."""

    def fails(seed: int) -> object:
        case, lives = lived(seed)
        asyncio.run(through_all(case, lives))
        members, stored_members = case.right(lives.wall - GRACE_MS)[1], lives.members()
        folded, strange = fold(lives.outputs.changes())
        gone = erased_for_good(case)
        problems = {
            "sequence, alternation or segments": strange,
            "still ahead": lives.ahead(),
            "the topic and the store": folded != stored_members and (folded, stored_members),
            "the topic and the oracle": folded != members and (folded, members),
            "traces": {customer_id: traces_left for customer_id in gone if (traces_left := traces(lives, customer_id))},
            "rows": lives.outputs.table().keys() & gone,
            "stops": lives.stop_messages,
        }
        return {name: value for name, value in problems.items() if value}

    assert failing(seeds, fails) == {}


@pytest.mark.parametrize("comes_back", [False, True], ids=["gone", "back, and in nothing"])
def test_a_row_alone_is_published_again(comes_back: bool) -> None:
    """An erasure out of no segment makes no change, so nothing tells whether its row was sent: it is sent again."""
    sent = [bought("u1", 0), bought("u2", 30), erase("u1", 60)]  # at 30 s the clock passes the end of the first
    if comes_back:
        sent.append({"type": "page", "messageId": "back", "userId": "u1", "timestamp": stamped(90)})
    segment = {"title": "New buyer", "when": {"performed": {"event": "Order Completed", "within": "3s"}}}
    world = worlds.made(random.Random(1), sent, {"version": 1, "segments": {"new": segment}})
    case = Case(random.Random(1), world.sent, world.definitions, world.engine, oracle.latest(sent) + histories.MINUTE)
    lives = case.lives()
    assert asyncio.run(lives.live(case.until))
    assert [change.cause.kind for change in lives.outputs.changes() if change.customer_id == "u1"] == ["event", "time"]
    assert list(lives.outputs.table()) == ["u2"]
    of_store, published = lives.store._partitions[0], lives.outputs.records
    newest, row = published[CHANGES][-1], tombstone_row("u1", 2)
    of_store.outbox = [encode_entry([newest]), encode_entry([row]), encode_entry([newest])]
    of_store.trimmed -= 3
    of_store.outputs = {CHANGES: len(published[CHANGES]) - 1}
    before = {topic: len(records) for topic, records in published.items()}
    asyncio.run(lives.claim())
    assert of_store.outbox == []
    assert row in published[MEMBERSHIPS][before[MEMBERSHIPS] :]
    assert len(published[CHANGES]) == before[CHANGES]


# --- found before anything else is read --------------------------------------------------------


class _Topics:
    """What is on ``merges`` and ``profiles``, all of one partition."""

    peek: Any = None  # it is not called here

    def __init__(self, sent: Sequence[Event], encode: Callable[[Event], bytes] = identity_records.encode) -> None:
        own = [OutRecord(MERGES, event.customer.encode(), encode(event), []) for event in sent]
        self._records = {"merges": own, "profiles": list[OutRecord]()}

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[OutputChunk, None]:
        for (topic, partition), position in positions.items():
            for offset, record in enumerate(self._records[topic][position or 0 :], position or 0):
                yield OutputChunk(topic, partition, [record], offset + 1)


def _by_former_version(event: Event) -> bytes:
    """A record as written by versions that noted nothing of links and erasures."""
    assert isinstance(event, Link | CascadedErasure)
    kind, linked = ("link", 0) if isinstance(event, Link) else ("erased", event.linked)
    fields = {"kind": kind, "customer": event.customer, "time": event.time, "id": event.id, "into": event.into}
    return json.dumps(fields | ({"linked": linked} if linked else {})).encode()


def _linked(former: str, into: str, at: int) -> Link:
    return Link(former, ERASE, at, f"l{at}", into=into)


def _sent_on(former: str, into: str, at: int) -> CascadedErasure:
    return CascadedErasure(former, ERASE, at, f"e{at}", into=into)


@pytest.mark.parametrize(
    ("sent", "erased"),
    [
        ([_linked("a", "u", 1), _sent_on("a", "u", 5)], {"a": 5}),
        ([_linked("a", "u", 1), _sent_on("a", "u", 5), _sent_on("a", "u", 3)], {"a": 5}),
        ([_sent_on("a", "u", 5)], {"a": 5}),  # the link is gone by retention: it was sent to no other id
        ([_linked("a", "u", 1), _linked("a", "v", 2), _sent_on("a", "u", 5)], {}),  # of another person by then
        ([_linked("a", "v", 2), _linked("a", "u", 1), _sent_on("a", "v", 5)], {"a": 5}),
        ([_linked("a", "u", 1), _linked("b", "u", 1), _sent_on("b", "u", 7)], {"b": 7}),
    ],
    ids=[f"sent{number}-found{number}" for number in range(6)],
)
def test_former_ids_of_who_was_erased_are_found(sent: Sequence[Event], erased: dict[str, int]) -> None:
    """Former ids are found in records without notices, unless the newest link was to another person."""
    assert asyncio.run(erasure_scan.find(_Topics(sent, _by_former_version), 0, {})).erased == erased


def test_an_erasure_along_is_found_by_its_notice_alone() -> None:
    """What an id was sent says nothing: its owner may have refused the link, and then it stays."""
    sent = [_linked("a", "u", 1), _sent_on("a", "u", 5)]
    assert asyncio.run(erasure_scan.find(_Topics(sent), 0, {})).erased == {}
    notices = [ErasureNotice("a", ERASE, 5, "e5"), ErasureNotice("a", ERASE, 3, "e3")]
    erasures = asyncio.run(erasure_scan.find(_Topics([*sent, *notices]), 0, {}))
    assert (erasures.erased, erasures.along) == ({"a": 5}, {"a"})
    vouched = ErasureNotice("a", ERASE, 5, "e5", vouched=True)
    assert asyncio.run(erasure_scan.find(_Topics([*sent, vouched]), 0, {})).along == set()


def test_a_late_erasure_is_judged_by_links_and_requests() -> None:
    """A late erasure is judged as its owner did: a customer that was erased or linked again since stays."""
    late = CascadedErasure("a", ERASE, 10, "e10", into="u", linked=3)
    for sent, expected in (
        ([late], {"a": 10}),
        ([_linked("a", "v", 2), late], {"a": 10}),
        ([_linked("a", "v", 4), late], {}),
        ([_linked("a", "u", 1), _sent_on("a", "u", 5), late], {"a": 5}),
    ):
        assert asyncio.run(erasure_scan.find(_Topics(sent, _by_former_version), 0, {})).erased == expected


def test_looked_for_from_where_a_claim_came_to() -> None:
    """A claim that ran out of time goes on after the part that it has searched, and finds no customer twice."""
    sent = [
        _linked("a", "u", 1),
        ErasureNotice("a", ERASE, 5, "m"),
        _linked("b", "w", 6),
        ErasureNotice("b", ERASE, 7, "m"),
    ]
    first = asyncio.run(erasure_scan.find(_Topics(sent[:2]), 0, {}))
    assert (first.erased, first.positions) == ({"a": 5}, {"merges": 2})
    assert asyncio.run(erasure_scan.find(_Topics(sent), 0, first.positions)).erased == {"b": 7}


def test_a_claim_tells_the_next_up_to_where_it_looked() -> None:
    """A claim stores up to where it looked, also when nothing was read yet; by then erasures are applied."""
    case, lives = lived(next(seed for seed in STORED if erased_for_good(lived(seed)[0])))
    lives.wall = max(lives.times)
    asyncio.run(lives.claim())
    requests = [places for places in lives.outputs.requested_positions if ("profiles", 0) in places]
    assert {places["profiles", 0] for places in requests} == {None}
    lives.outputs.requested_positions.clear()
    asyncio.run(lives.claim())
    count = len(lives.topics["profiles"])
    positions = [
        places["profiles", 0] for places in lives.outputs.requested_positions if places.keys() == {("profiles", 0)}
    ]
    assert positions == [count]
    partition = lives.store._partitions[0]
    assert {tombstone(customer_id) for customer_id in erased_for_good(case)} <= partition.erased.keys()
