"""Profiles that move from id to id: each counts once, however often and in whatever order its records come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from rules.conditions.base import CustomerView
from rules.customer import ArrivingProfile, Customer, Linkage
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.event_names import ERASE
from rules.events import Event
from rules.identity import profile_merge
from rules.identity.dispatch import process
from rules.identity.events import Link, ProfileMerge, Unlink
from rules.identity.profile_merge import TAKEN_MAX, parts_of
from rules.identity.resolution import Decider
from streams.kafka.fetch import FetchedRecord
from streams.wire import customer_codec, identity_records
from streams.wire.event_decoder import decode_line
from streams.worker.segmenter import StepResult
from tests.strategies import histories
from tests.strategies.worlds import failing
from tests.support.identity_posts import Post

ENGINE = Engine(
    build(
        {
            "version": 1,
            "currency": "EUR",
            "segments": {
                "seen_much": {
                    "title": "Seen",
                    "when": {"total": {"agg": "sum", "of": "score", "event": "Product Viewed", "at_least": 10**6}},
                },
                "spent_much": {
                    "title": "Spent",
                    "when": {"total": {"agg": "sum", "of": "total", "event": "Order Completed", "at_least": 10**6}},
                },
            },
        },
        "moves.yaml",
    )
)
DECIDER = Decider(lambda event, customer: ENGINE.apply(event.customer, customer, event), ENGINE.definitions.fingerprint)


def viewed(customer_id: str, second: int, score: int = 1) -> Event:
    """A view of one product, or every fifth time an order of 10."""
    name = "Order Completed" if second % 5 == 0 else "Product Viewed"
    stamp = histories.written(histories.START + timedelta(seconds=second), "Z")
    properties = {"score": score, "order_id": f"o{second}", "total": 10}
    sent = {"type": "track", "event": name, "anonymousId": customer_id, "messageId": f"m{second}", "timestamp": stamp}
    return decoded(sent | {"properties": properties})


def linking(customer_id: str, to: str, second: int, *, vouched: bool = False) -> Event:
    stamp = histories.written(histories.START + timedelta(seconds=second), "Z")
    ids = {"type": "alias", "previousId": customer_id} if vouched else {"type": "page", "anonymousId": customer_id}
    return decoded({**ids, "userId": to, "messageId": f"l{second}", "timestamp": stamp})


LINES: dict[str, bytes] = {}


def decoded(sent: histories.Event) -> Event:
    """The event of a line, with its bytes, as it may be sent on."""
    line = msgspec.json.encode(sent)
    event = decode_line(line)
    LINES[event.id] = line
    return event


def sums(customer: Customer, name: str = "ann") -> list[int]:
    """The two totals."""
    subject = CustomerView(name, customer.profile, customer.since)
    return [segment.when.value(subject, customer.instant) // 10**6 for segment in ENGINE.definitions.segments]  # type: ignore[attr-defined]


def right(seconds: Sequence[int]) -> list[int]:
    return [sum(second % 5 != 0 for second in seconds), 10 * sum(second % 5 == 0 for second in seconds)]


class Person:
    """One person on one to three devices, more active than a sum keeps single contributions, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        devices = ["phone", "tablet", "laptop"][: rng.choice((1, 1, 2, 3))]
        self.seconds = range(1, rng.choice((40, 300, 600)))
        events: list[Event] = [viewed(rng.choice(devices), second) for second in self.seconds]
        joins = [linking(device, "ann", rng.randrange(1, len(events) + 9)) for device in devices]
        if rng.random() < 0.4:  # known under another name in the end
            joins.append(linking("ann", "ann@shop", len(events) + 20, vouched=True))
        self.name = "ann@shop" if len(joins) > len(devices) else "ann"
        for join in joins:
            events.insert(rng.randrange(len(events) + 1) if rng.random() < 0.3 else len(events), join)
        self.events = events

    def lived(self) -> Post:
        post = Post(ENGINE, self.rng)
        for event in self.events:
            post.read(event, LINES[event.id])
            post.deliver(self.rng.choice((0, 0, 0, 3)))
        post.deliver()
        return post


def wrong(seed: int) -> object:
    person = Person(seed)
    post = person.lived()
    actual = sums(post.customers[person.name], person.name)
    return actual != right(person.seconds) and (actual, right(person.seconds))


def test_every_record_twice() -> None:
    """The sums are those of the undivided history, although single contributions are no longer told apart."""
    assert failing(range(150), wrong) == {}


@pytest.mark.nightly
def test_every_record_twice_in_many_lives() -> None:
    """The sums are also right in 2,000 lives."""
    assert failing(range(150, 2_000), wrong) == {}


def customer_after(count: int, customer_id: str = "phone") -> Customer:
    customer = ENGINE.new()
    for second in range(1, count + 1):
        process(viewed(customer_id, second), customer, DECIDER)
    return customer


def moved(count: int = 400) -> ProfileMerge:
    """A profile on its way from phone to ann."""
    customer = customer_after(count)
    link = Link("phone", ERASE, customer.instant + 1, "l", into="ann")
    (sent,) = process(link, customer, DECIDER).sent
    assert isinstance(sent, ProfileMerge)
    return sent


def test_a_profile_that_comes_three_times_counts_once() -> None:
    """A profile that comes three times counts once, also after the receiver was stored and read again."""
    sent, ann = moved(), ENGINE.new()
    for _ in range(3):
        process(sent, ann, DECIDER)
        assert sums(ann) == right(range(1, 401))
        ann = customer_codec.decode(customer_codec.encode(ann))


def test_a_profile_that_went_on_is_known_there() -> None:
    """What a person took in travels with the profile: a repeat that comes the old way changes nothing."""
    sent, ann, whole = moved(), ENGINE.new(), ENGINE.new()
    process(sent, ann, DECIDER)
    link = Link("ann", ERASE, ann.instant + 1, "l2", into="ann@shop", vouched=True)
    (onward,) = process(link, ann, DECIDER).sent
    process(onward, whole, DECIDER)
    (again,) = process(sent, ann, DECIDER).sent  # ann is a redirect by now
    process(again, whole, DECIDER)
    assert sums(whole) == right(range(1, 401))


def test_of_very_many_moves_the_oldest_count_as_taken_in() -> None:
    """A forgotten move is refused as too late, and one newer than all known ones is taken in: none counts twice."""
    ann, sent = ENGINE.new(), moved(3)
    for number in range(TAKEN_MAX + 10):
        process(
            msgspec.structs.replace(sent, move=number, linked=sent.linked + number, time=sent.time + number),
            ann,
            DECIDER,
        )
    assert ann.linkage is not None
    assert len(ann.linkage.taken) == TAKEN_MAX
    old = process(msgspec.structs.replace(sent, move=5, linked=sent.linked + 5), ann, DECIDER)
    assert (old.changes, old.refused) == ([], "too_late")


# --- in parts ------------------------------------------------------------------------------------


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of 400 events goes in some ten parts."""
    monkeypatch.setattr(profile_merge, "PART_MAX_BYTES", 1_000)


def test_parts_come_in_any_order_and_twice(small_parts: None) -> None:
    """Nothing is decided by half of a profile, whatever is stored and read again between two parts."""
    customer = customer_after(400)
    link = Link("phone", ERASE, customer.instant + 1, "l", into="ann")
    sent = [event for event in process(link, customer, DECIDER).sent if isinstance(event, ProfileMerge)]
    assert len(sent) > 5
    for seed in range(50):
        rng = random.Random(seed)
        order = [*sent, *rng.sample(sent, 3)]
        rng.shuffle(order)
        ann, came = ENGINE.new(), set[int]()
        for part in order:
            process(part, ann, DECIDER)
            came.add(part.part)
            assert (ann.instant > 0) == (len(came) == len(sent))
            ann = customer_codec.decode(customer_codec.encode(ann))
        assert sums(ann) == right(range(1, 401))
        assert ann.linkage is not None
        assert ann.linkage.arriving == {}


def test_parts_go_on_where_their_receiver_has_gone(small_parts: None) -> None:
    """Those that had come are sent on with the link, and those that come later by the redirect."""
    customer = customer_after(400)
    link = Link("phone", ERASE, customer.instant + 1, "l", into="ann")
    sent = [event for event in process(link, customer, DECIDER).sent if isinstance(event, ProfileMerge)]
    for some in range(len(sent) + 1):
        ann, whole = ENGINE.new(), ENGINE.new()
        for part in sent[:some]:
            process(part, ann, DECIDER)
        onward = process(Link("ann", ERASE, link.time + 9, "l2", into="x", vouched=True), ann, DECIDER).sent
        for part in sent[some:]:
            onward += process(part, ann, DECIDER).sent
        for event in onward:
            process(event, whole, DECIDER)
        assert sums(whole) == right(range(1, 401)), some


def test_parts_of_another_content_begin_anew(small_parts: None) -> None:
    """A sender that lost its last writes makes the profile again; parts of the two are never joined."""
    first, second = (parts_of(msgspec.structs.replace(moved_whole(count), move=7)) for count in (380, 400))
    ann = ENGINE.new()
    for part in (*first[:-1], *second):
        process(part, ann, DECIDER)
    assert sums(ann) == right(range(1, 401))


def test_parts_of_two_contents_that_come_mixed(small_parts: None) -> None:
    """The first content that is whole counts, and nothing of the other stays."""
    first, second = (parts_of(msgspec.structs.replace(moved_whole(count), move=7)) for count in (380, 400))
    mixed = [part for pair in zip(second, first, strict=False) for part in pair]
    ann = ENGINE.new()
    for part in [*mixed, *second[len(first) :], *first[len(second) :]]:
        process(part, ann, DECIDER)
    assert sums(ann) in (right(range(1, 401)), right(range(1, 381)))
    assert ann.linkage is not None
    assert len(ann.linkage.taken) == 1


def test_half_profiles_do_not_pile_up(small_parts: None) -> None:
    """Only the newest few of the profiles that never come whole stay."""
    ann = ENGINE.new()
    for number in range(40):
        first, *_ = parts_of(msgspec.structs.replace(moved_whole(200), move=number, linked=number))
        process(first, ann, DECIDER)
    assert ann.linkage is not None
    assert len(ann.linkage.arriving) == profile_merge.ARRIVING_MAX


def test_a_profile_is_known_after_its_receiver_has_come_back() -> None:
    """A customer that took it in, was linked to another and is parted again does not take it in twice."""
    sent, ann = moved(), ENGINE.new()
    process(sent, ann, DECIDER)
    process(Link("ann", ERASE, ann.instant + 1, "l2", into="bob", vouched=True), ann, DECIDER)
    process(Unlink("ann", ERASE, ann.instant + 5, "u", other="bob"), ann, DECIDER)
    assert ann.merged_into is None
    process(sent, ann, DECIDER)
    assert sums(ann) == [0, 0]


def moved_whole(count: int) -> ProfileMerge:
    customer = customer_after(count)
    profile = msgspec.msgpack.encode(customer.profile)
    fingerprint = ENGINE.definitions.fingerprint
    return ProfileMerge(
        "ann", ERASE, customer.instant, "l", profile=profile, definitions=fingerprint, path=("phone",), move=1, linked=5
    )


def test_every_part_fits_into_a_record() -> None:
    """Each part fits into a record with the longest ids and paths, and the longest list of moves."""
    customer = customer_after(2_000)
    whole = ProfileMerge(
        "م" * 128, ERASE, customer.instant, "m" * 256, profile=b"p" * 3_000_000, definitions="d" * 12,
        path=tuple(f"{number:02}" + "م" * 127 for number in range(32)), move=2**64 - 1, linked=2**40,
        taken={2**64 - 1 - number: 2**40 for number in range(TAKEN_MAX)},
    )  # fmt: skip
    parts = parts_of(whole)
    assert len(parts) == 6
    assert max(len(identity_records.encode(part)) for part in parts) < 600_000
    assert b"".join(part.profile for part in parts) == whole.profile


# --- what former versions left -------------------------------------------------------------------


class FormerCustomer(msgspec.Struct, array_like=True):
    """A customer as the version before stored it."""

    instant: int
    sequence: int
    since: dict[int, int]
    dues: dict[int, int]
    profile: object
    due: int = 0
    ahead: None = None
    late: int = 0
    erased: int = 0
    by: int = 0
    into: tuple[str, int] | None = None
    links: dict[str, int] | None = None


def test_a_customer_of_the_former_version_is_read_on() -> None:
    """A customer with links was named as a user, so it is not taken over; a redirect stays one."""
    profile = customer_after(5).profile
    stored = FormerCustomer(50, 3, {}, {}, profile, links={"phone": 7})
    ann = customer_codec.decode(msgspec.msgpack.encode(stored))
    assert (ann.identified, ann.linkage) == (True, None)
    today = customer_codec.decode(customer_codec.encode(ENGINE.new()))
    today.links = {"phone": 7}  # an anonymous id may hold links, too
    assert not customer_codec.decode(customer_codec.encode(today)).identified
    refused = process(Link("ann", ERASE, 2**41, "l", into="evil"), ann, DECIDER)
    assert (refused.refused, ann.merged_into) == ("identified", None)
    linked = msgspec.structs.replace(stored, links=None, into=("ann", 5))
    redirect = customer_codec.decode(msgspec.msgpack.encode(linked))
    (sent,) = process(viewed("phone", 9), redirect, DECIDER).sent
    assert sent.customer == "ann"


def test_a_record_of_the_former_version_is_read_on() -> None:
    """A record of the former version, JSON with the profile in base64, counts once if it comes twice."""
    profile = msgspec.msgpack.encode(customer_after(400).profile)
    record = msgspec.json.encode(
        {
            "kind": "moved", "customer": "ann", "time": 2**41, "id": "l", "profile": profile,
            "definitions": ENGINE.definitions.fingerprint, "path": ["phone"],
        }
    )  # fmt: skip
    ann = ENGINE.new()
    for _ in range(2):
        event = identity_records.read(record, b"ann")
        assert isinstance(event, ProfileMerge)
        process(event, ann, DECIDER)
    assert sums(ann) == right(range(1, 401))
    made_again = msgspec.structs.replace(moved(), id="l")
    process(made_again, ann, DECIDER)  # as when all events are read again by this version
    assert sums(ann) == right(range(1, 401))
    link = identity_records.read(b'{"kind":"link","customer":"phone","time":5,"id":"m","into":"ann"}', b"phone")
    assert link == Link("phone", "", 5, "m", into="ann")


def test_what_a_linkage_holds_is_stored() -> None:
    """Each field comes back as it was, also half of a profile."""
    arriving = ArrivingProfile(b"d", "f", 2, 5, "m", 4, ("a",), 9, {1: 2}, {0: b"x"})
    linkage = Linkage(True, 3, (1, "b"), {"a": 1}, {"c": 2}, {2**64 - 1: 5}, 4, {7: arriving}, True)
    customer = customer_after(3)
    customer.linkage, customer.identified = linkage, True
    again = customer_codec.decode(customer_codec.encode(customer))
    assert (again.linkage, again.identified) == (linkage, True)


# --- events that are sent on ---------------------------------------------------------------------


@pytest.mark.parametrize(("size", "reason"), [(900_000, None), (1_047_000, None), (1_048_400, "too_large_to_forward")])
def test_an_event_that_fits_into_no_record_is_a_dead_letter(size: int, reason: str | None) -> None:
    """A forwarded event goes as it came, not in base64; one that is too large is a dead letter instead."""
    redirect = ENGINE.new()
    redirect.merged_into = ("ann", 5)
    (sent,) = process(viewed("phone", 9), redirect, DECIDER, b"x" * size).sent
    result, record = StepResult([]), FetchedRecord("visits", 3, 0, b"phone", b"x" * size)
    result.send([sent], record)
    assert [why.reason for _, why in result.dead_letters] == ([] if reason is None else [reason])
    assert (result.sent == [sent]) == (reason is None)
    if reason is None:
        assert len(identity_records.encode(sent)) < 1_048_588 - 500
