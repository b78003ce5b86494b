"""Several ids of one person: however a history is cut into them, it ends as that of one id.

The expected result is that of the undivided history under one id; the oracle knows nothing of several ids.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.event_names import input_of
from rules.events import Origin
from rules.identity import events as identity_events
from rules.identity.dispatch import HOPS_MAX, is_effective
from rules.identity.events import CascadedErasure, ForwardedEvent, ProfileMerge
from rules.identity.resolution import LINKS_MAX
from rules.profile.profile import Profile
from streams.offline.replay import Replay
from streams.wire import changes, identity_records
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import decode_line
from tests.oracle import oracle
from tests.strategies import histories, worlds
from tests.strategies.worlds import failing
from tests.support.identity_posts import Post, consistent

SEEDS = range(300)
USER, DEVICES = "ann", ("phone", "دستگاه", "tablet")


class Split:
    """A history of one person, cut into ids: on devices before they are known there, and sometimes after."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        sent, drawn = histories.world(rng, rng.choice((6, 12, 25)))
        self.definitions = histories.without_hold(drawn)
        self.engine = Engine(build(self.definitions, "f.yaml"))
        self.whole = [bare | {"userId": USER, "messageId": f"m{index}"} for index, bare in enumerate(map(_bare, sent))]
        devices = rng.sample(DEVICES, rng.choice((1, 1, 2, 3)))
        self.cut = [event | self._ids(devices, index / len(sent)) for index, event in enumerate(map(_bare, self.whole))]
        for device in devices:  # each is known in the end, by an event that has no other effect
            last = self.whole[-1]["timestamp"]
            alias = {"type": "alias", "userId": USER, "previousId": device, "messageId": f"alias-{device}"}
            self.cut.insert(rng.randrange(len(self.cut) + 1), alias | {"timestamp": last})
        self.cut = histories.in_time_order(self.cut)
        self.until = oracle.latest(sent) + rng.choice((0, histories.HOUR, 40 * histories.DAY))

    def _ids(self, devices: Sequence[str], share: float) -> histories.Event:
        device = self.rng.choice(devices)
        if self.rng.random() > share:
            return {"anonymousId": device}
        ids: list[histories.Event] = [
            {"userId": USER}, {"userId": USER, "anonymousId": device}, {"anonymousId": device},
        ]  # fmt: skip
        return self.rng.choice(ids)

    def right(self) -> frozenset[str]:
        return oracle.membership(self.whole, self.definitions, self.until).get(USER, frozenset())

    def profile(self) -> bytes:
        replay = Replay(self.engine)
        list(replay.run(worlds.decoded(self.whole), self.until))
        return self.normal(replay.customers[USER].profile) if USER in replay.customers else b""

    def normal(self, profile: Profile) -> bytes:
        """A profile with its lists in one order."""
        merged = self.engine.new().profile
        for fact, _ in self.engine.definitions.facts.with_segments():
            fact.merge(merged, profile)
        return msgspec.msgpack.encode(merged)


def _bare(event: histories.Event) -> histories.Event:
    return {name: value for name, value in event.items() if name not in ("userId", "anonymousId")}


def posted(events: Sequence[histories.Event], engine: Engine, rng: random.Random, until: int) -> Post:
    post = Post(engine, rng)
    for number, event in enumerate(events):
        value = json.dumps(event).encode()
        decoded = decode_line(value, None, Origin(input_of(decode_line(value).name), 0, number))
        if is_effective(decoded):
            post.read(decoded, value)
        post.deliver(rng.choice((0, 0, 1, 5)))
    post.deliver()
    post.finish(until)
    return post


# --- however it is cut -------------------------------------------------------------------------


def test_a_replay_of_a_cut_history() -> None:
    """The person's membership and profile are those of the undivided history; no other id is in a segment."""

    def fails(seed: int) -> object:
        split = Split(seed)
        replay = Replay(split.engine)
        decided = list(replay.run(worlds.decoded(split.cut), split.until))
        members = {
            customer_id: frozenset(split.engine.membership(customer))
            for customer_id, customer in replay.customers.items()
        }
        inside = {customer_id: own for customer_id, own in members.items() if own}
        right = {USER: split.right()} if split.right() else {}
        same = split.normal(replay.customers[USER].profile) == split.profile()
        strange = consistent(decided)
        return (inside != right or not same or strange) and (inside, right, same, strange)

    assert failing(SEEDS, fails) == {}


@pytest.mark.parametrize("shuffled", [False, True], ids=["in time order", "late events"])
def test_ids_that_hear_of_one_another_late(shuffled: bool) -> None:
    """Late, reordered and repeated records give the same end, and consistent changes for each id."""

    def fails(seed: int) -> object:
        split = Split(seed)
        events = histories.shuffled(split.rng, split.cut) if shuffled else split.cut
        post = posted(events, split.engine, split.rng, split.until)
        right = {USER: split.right()} if split.right() else {}
        same = split.normal(post.customers[USER].profile) == split.profile()
        strange = consistent(post.changes)
        return (post.members() != right or not same or strange) and (post.members(), right, same, strange)

    assert failing(SEEDS, fails) == {}


def test_histories_are_cut() -> None:
    """Profiles move, events are forwarded, memberships end by a merge, and go on under the other id."""
    counts = {"moved": 0, "forwarded": 0, "merge": 0, "after": 0}
    for seed in SEEDS:
        split = Split(seed)
        replay = Replay(split.engine)
        decided = list(replay.run(worlds.decoded(split.cut), split.until))
        counts["merge"] += sum(change.cause == "merge" and change.kind == "exited" for change in decided)
        counts["after"] += sum(change.cause == "merge" and change.kind == "entered" for change in decided)
        counts["moved"] += sum(customer.merged_into is not None for customer in replay.customers.values())
        counts["forwarded"] += sum(
            change.event is not None and isinstance(change.event, ForwardedEvent) for change in decided
        )
    assert min(counts.values()) > 40, counts


def test_no_buyer_is_left_in_an_abandoned_cart() -> None:
    """The cart is of a phone, the purchase of a user, in any order and however late the two are linked."""
    file = {
        "version": 1,
        "segments": {"cart": {"title": "Cart", "when": {"cart": {"idle_for": "30m", "until": "30d"}}}},
    }
    engine = Engine(build(file, "f.yaml"))
    for seed in range(200):
        rng = random.Random(seed)
        added = _at("Product Added", rng.randrange(50), anonymousId="phone", product_id="p")
        bought = _at("Order Completed", rng.randrange(60, 200), userId=USER, anonymousId="phone", order_id="o")
        events = [added, bought] if rng.random() < 0.7 else [bought, added]
        post = posted(events, engine, rng, oracle.latest(events) + histories.DAY)
        assert post.members() == {}, seed
        assert consistent(post.changes) == []


# --- stated outcomes ---------------------------------------------------------------------------


BOUGHT = Engine(
    build({"version": 1, "segments": {"b": {"title": "B", "when": {"performed": {"event": "Order Completed"}}}}}, "f")
)
ABSENT = Engine(
    build({"version": 1, "segments": {"a": {"title": "A", "when": {"not": {"performed": {"event": "x"}}}}}}, "f")
)


def _at(name: str, minute: int, **more: Any) -> histories.Event:
    ids: dict[str, Any] = {key: more.pop(key) for key in ("userId", "anonymousId", "previousId") if key in more}
    kind = {"type": name} if name in ("alias", "page", "erase") else {"type": "track", "event": name}
    stamp = histories.written(histories.START + minute * _MINUTE, "Z")
    number = f"{name}-{minute}-{'-'.join(ids.values())}"
    return {**kind, **ids, "messageId": number, "timestamp": stamp, "properties": more}


_MINUTE = timedelta(minutes=1)


def alias(previous: str, to: str, minute: int) -> histories.Event:
    return _at("alias", minute, userId=to, previousId=previous)


def order(customer_id: str, minute: int, **ids: str) -> histories.Event:
    return _at("Order Completed", minute, **(ids or {"userId": customer_id}), order_id=f"o-{customer_id}-{minute}")


def after(*events: histories.Event, engine: Engine = BOUGHT) -> Replay:
    replay = Replay(engine)
    list(replay.run(worlds.decoded(list(events))))
    return replay


def where(replay: Replay) -> dict[str, list[str]]:
    """The segments of each customer that is in any."""
    segments = {customer_id: list(customer.since) for customer_id, customer in replay.customers.items()}
    return {customer_id: ["b"] for customer_id, own in segments.items() if own}


def test_a_chain() -> None:
    """With a linked to b and b to c, all that any of them did, before or later, belongs to c."""
    events = [order("a", 0), alias("a", "b", 1), alias("b", "c", 2), order("a", 3)]
    replay = after(*events)
    assert where(replay) == {"c": ["b"]}
    assert len(replay.customers["c"].profile.orders.messages) == 2  # type: ignore[union-attr]
    backwards = after(order("a", 0), alias("b", "c", 1), alias("a", "b", 2))
    assert where(backwards) == {"c": ["b"]}


def test_a_chain_that_is_too_long() -> None:
    """An event goes through so many ids; after that it is a dead letter, which says where it was lost."""
    links = [alias(f"i{index}", f"i{index + 1}", index) for index in range(HOPS_MAX + 1)]
    assert where(after(*links[1:], order("i1", 99))) == {f"i{HOPS_MAX + 1}": ["b"]}
    assert where(after(*links, order("i0", 99))) == {}


def test_both_directions_at_once() -> None:
    """The second link arrives where the first is already known: the first link stands."""
    for events, person in (
        ([order("a", 0), alias("a", "b", 1), alias("b", "a", 1), order("b", 2)], "b"),
        ([order("b", 0), alias("b", "a", 1), alias("a", "b", 1), order("b", 2), order("a", 3)], "a"),
        ([order("c", 0), alias("a", "b", 1), alias("b", "c", 1), alias("c", "a", 1), order("b", 2)], "c"),
    ):
        assert where(after(*events)) == {person: ["b"]}, events


def test_a_ring_whose_owners_hear_of_one_another_late() -> None:
    """Wherever the two links cross, one of the two is the person, with all that both did."""
    for seed in range(200):
        rng = random.Random(seed)
        events = [order("a", 0), order("b", 0), alias("a", "b", 1), alias("b", "a", 1), order("a", 9), order("b", 9)]
        post = posted(events, BOUGHT, rng, 0)
        ((customer_id, _),) = post.members().items()
        assert customer_id in ("a", "b")
        assert len(post.customers[customer_id].profile.orders.messages) == 4, seed  # type: ignore[union-attr]
        assert consistent(post.changes) == []


def test_a_link_before_anything_else() -> None:
    """There is a redirect, and what comes of the id later goes on."""
    replay = after(alias("phone", USER, 0), order("phone", 1, anonymousId="phone"))
    assert replay.customers["phone"].merged_into == (USER, worlds.decoded([alias("phone", USER, 0)])[0].time)
    assert where(replay) == {USER: ["b"]}


def test_what_was_before_a_link_that_came_first_is_out_of_order() -> None:
    """An event from before the link is sent on, too; the decisions here then no longer follow event time."""
    for first, count in ((5, 0), (15, 1)):
        replay = after(alias("phone", USER, first), order("phone", 10, anonymousId="phone"))
        assert where(replay) == {USER: ["b"]}
        assert replay.customers["phone"].out_of_order == count


def test_a_shared_device() -> None:
    """The newer link wins for what follows; nothing moves back; a former user that comes back is linked again."""
    first, second = {"userId": "ann", "anonymousId": "tv"}, {"userId": "bob", "anonymousId": "tv"}
    before, alone = order("tv", 0, anonymousId="tv"), {"anonymousId": "tv"}
    replay = after(before, _at("page", 1, **first), _at("page", 2, **second), order("tv", 3, **alone))
    assert where(replay) == {"ann": ["b"], "bob": ["b"]}
    assert replay.customers["tv"].merged_into is not None
    assert replay.customers["tv"].merged_into[0] == "bob"
    assert replay.customers["ann"].links == {}
    again = after(
        before, _at("page", 1, **first), _at("page", 2, **second), _at("page", 3, **first), order("tv", 4, **alone)
    )
    assert again.customers["tv"].merged_into is not None
    assert again.customers["tv"].merged_into[0] == "ann"
    assert "bob" not in where(again)


def test_a_link_is_made_once() -> None:
    """One link is made however many events name both ids; beyond the bound the oldest device is forgotten."""
    replay = after(*(_at("page", minute, userId=USER, anonymousId="phone") for minute in range(5)))
    assert list(replay.customers[USER].links or ()) == ["phone"]
    many = after(*(_at("page", day * 24 * 60, userId=USER, anonymousId=f"d{day:03}") for day in range(LINKS_MAX + 5)))
    assert list(many.customers[USER].links or ()) == [f"d{day:03}" for day in range(5, LINKS_MAX + 5)]


def test_an_erasure_takes_the_ids_that_are_linked() -> None:
    """An erasure erases all ids of a person, with their redirects; later events belong to a new customer."""
    erase = _at("erase", 5, userId=USER)
    replay = after(order("phone", 0, anonymousId="phone"), alias("phone", USER, 1), alias(USER, "name", 2), erase)
    assert where(replay) == {"name": ["b"]}  # the erased id was USER, which is name's: nothing of USER itself is left
    assert replay.customers[USER].merged_into is None
    whole = after(order("phone", 0, anonymousId="phone"), alias("phone", USER, 1), erase)
    assert where(whole) == {}
    assert all(customer.is_erased for customer in whole.customers.values())
    back = after(
        order("phone", 0, anonymousId="phone"), alias("phone", USER, 1), erase, order("phone", 9, anonymousId="phone")
    )
    assert where(back) == {"phone": ["b"]}


def test_an_erasure_that_is_known_before_takes_the_ids_that_are_linked() -> None:
    """An erasure that is known before its older events, as in a second reading, removes them in any order."""
    at = worlds.decoded([_at("erase", 50, userId=USER)])[0].time
    stayed = 0
    for seed in range(300):
        rng = random.Random(seed)
        events = [order("phone", 0, anonymousId="phone"), _at("page", 1, userId=USER, anonymousId="phone")]
        events += [order(USER, 2, userId=USER, anonymousId="phone"), order("phone", 3, anonymousId="phone")]
        events += [order("phone", 60, anonymousId="phone")] if rng.random() < 0.5 else []
        post = Post(BOUGHT, rng)
        post.customers[USER].instant = post.customers[USER].erased = at
        rng.shuffle(events)
        for sent in (*events, _at("erase", 50, userId=USER)):
            (event,) = worlds.decoded([sent])
            post.read(event, json.dumps(sent).encode())
            post.deliver(rng.choice((0, 0, 1, 5)))
        post.deliver()
        assert post.members().keys() <= {"phone"}, seed
        assert all(customer.erased >= at and not customer.links for customer in post.customers.values())
        assert post.customers[USER].is_erased
        orders = post.customers["phone"].profile.orders
        assert orders is None or len(orders.messages) == 1, "that of minute 60"
        stayed += "phone" in post.members()
        assert {change.customer for change in post.changes} <= {"phone"}
        assert consistent(post.changes) == []
    assert stayed > 20


def test_a_late_link_erases_nobody_who_was_erased_or_linked_since() -> None:
    """A repeated link does not, nor one that is older than the link there is."""
    both = {"userId": USER, "anonymousId": "phone"}
    page = _at("page", 1, **both)
    own = [order("phone", 20, anonymousId="phone"), order(USER, 25)]
    replay = after(page, _at("erase", 10, userId=USER), *own, _at("erase", 30, userId=USER), page)
    assert where(replay) == {"phone": ["b"]}
    other = _at("page", 5, userId="other", anonymousId="phone")
    erased = [order(USER, 0), _at("erase", 10, userId=USER)]
    assert where(after(*erased, other, page, order("phone", 15, anonymousId="phone"))) == {"other": ["b"]}


def test_a_late_link_erases_who_was_linked_to_another_before() -> None:
    """The newer link counts, also for what is on its way; the former owner of the id is told."""
    events = [_at("page", 0, userId="other", anonymousId="phone"), order(USER, 1), _at("erase", 10, userId=USER)]
    events += [_at("page", 2, userId=USER, anonymousId="phone"), order("phone", 3, anonymousId="phone")]
    replay = after(*events)
    assert where(replay) == {}
    assert replay.customers["phone"].is_erased
    assert replay.customers["other"].links == {}


def test_who_is_known_under_another_id_is_decided_no_more() -> None:
    """A former id is in no segment, not even in one of customers without events; the person is."""
    replay = after(
        _at("page", 0, anonymousId="phone"), alias("phone", USER, 1), _at("page", 2, userId=USER), engine=ABSENT
    )
    assert where(replay) == {USER: ["b"]}


def test_a_change_by_a_merge() -> None:
    """For both ids the cause is the event that linked them; the reason of the former id says no more."""
    events = worlds.decoded([order("phone", 0, anonymousId="phone"), _at("page", 1, userId=USER, anonymousId="phone")])
    published = [changes.of(change) for change in Replay(BOUGHT).run(events)]
    assert [(change.customer_id, change.change, change.cause.kind, change.cause.event_id) for change in published] == [
        ("phone", "entered", "event", events[0].id),
        ("phone", "exited", "merge", events[1].id),
        (USER, "entered", "merge", events[1].id),
    ]
    assert published[1].said["en"] == "the customer is known under another id since"
    assert len({change.change_id for change in published}) == 3


# --- what names two ids ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "link"),
    [
        ({"userId": "u", "anonymousId": "a"}, "a"),
        ({"userId": "u"}, None),
        ({"anonymousId": "a"}, None),
        ({"userId": "", "anonymousId": "a"}, None),
        ({"userId": "u", "anonymousId": "u"}, None),
        ({"userId": "u", "anonymousId": "a\n"}, None),  # it is not used, so it is no error
        ({"userId": "u", "previousId": "p"}, None),  # of an alias alone
    ],
)
def test_what_an_event_links(ids: histories.Event, link: str | None) -> None:
    assert decode_line(json.dumps({**_at("page", 0), **ids}).encode()).link == link


def test_what_an_alias_links() -> None:
    """An alias links the previous id, or without one the anonymous id; what can be no id is as absent."""
    for ids, link in (
        ({"userId": "u", "previousId": "p"}, "p"),
        ({"userId": "u", "previousId": "p", "anonymousId": "a"}, "p"),
        ({"userId": "u", "anonymousId": "a"}, "a"),
        ({"userId": "u", "previousId": 7}, "7"),
        ({"userId": "u", "previousId": "u"}, None),
        ({"userId": "u"}, None),
    ):
        assert decode_line(json.dumps({**_at("alias", 0), **ids}).encode()).link == link
    unusable: list[object] = ["a\n", "x" * 300, True, ["p"], {}]
    for previous in unusable:
        assert decode_line(json.dumps({**_at("alias", 0), "userId": "u", "previousId": previous}).encode()).link is None


def test_what_is_on_the_topic_is_read_as_it_was_sent() -> None:
    """All kinds of records are; a record that is not ours is a dead letter."""
    moved = ProfileMerge(
        "u", "", 5, "m", origin=Origin("visits", 1, 2), profile=b"\x90", definitions="d", path=("a",), move=7, linked=4,
        taken={3: 2}, part=1, parts=2, digest=b"d",
    )  # fmt: skip
    for event in (
        moved,
        identity_events.Link("a", "", 5, "m", into="u"),
        identity_events.Unlinked("u", "", 5, "m", former="a"),
        identity_events.Link("a", "", 5, "m", into="u", vouched=True),
        identity_events.Unlink("a", "", 5, "m", other="u", is_relayed=True),
        CascadedErasure("a", "", 5, "m", into="u", linked=3, vouched=True),
        identity_events.ErasureNotice("a", "", 5, "m"),
    ):
        assert identity_records.read(identity_records.encode(event), event.customer.encode()) == event
    assert identity_records.read(identity_records.encode(moved), b"another") == Undecodable("wrong_key")
    for value, reason in (
        (None, "not_json"),
        (b"{", "not_json"),
        (b"[]", "bad_value"),
        (b'{"kind": "x"}', "bad_value"),
    ):
        assert identity_records.read(value, b"u") == Undecodable(reason)
