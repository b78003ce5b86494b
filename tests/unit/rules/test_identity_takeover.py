"""Attackers send events: whatever they name, and in whatever order it is read, no identified customer moves.

What is right is kept beside the owners (`Victims`): a victim is what its own events make it, from the first event on
that names it as a user. The rules of links are not used for it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest

from rules.customer import Customer
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.events import Event, Origin
from rules.identity.dispatch import process
from rules.identity.events import CascadedErasure, ForwardedEvent, Link, Misaddressed, ProfileMerge, Unlink
from rules.identity.resolution import LINKS_MAX, NEW_LINKS_MAX, Decider
from rules.placeholders import TEXTS
from streams.offline.replay import Replay
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import decode, read
from tests.strategies import histories, worlds
from tests.strategies.worlds import failing
from tests.support.identity_posts import Post, consistent

VICTIMS = ("ann", "bea", "زهرا")
ATTACKERS = ("evil", "mallory", "phone-7")
DAY_MINUTES = 24 * 60

ENGINE = Engine(
    build(
        {
            "version": 1,
            "currency": "EUR",
            "segments": {
                "cart": {"title": "Cart", "when": {"cart": {"idle_for": "30m", "until": "30d"}}},
                "buyer": {"title": "B", "when": {"performed": {"event": "Order Completed", "count": {"at_least": 2}}}},
                "spent": {
                    "title": "Spent",
                    "when": {
                        "total": {
                            "agg": "sum",
                            "of": "total",
                            "event": "Order Completed",
                            "within": "90d",
                            "at_least": 50,
                        }
                    },
                },
                "seen": {"title": "Seen", "when": {"sessions": {"count": {"at_least": 2}, "within": "30d"}}},
                "named": {"title": "Named", "when": {"trait": {"plan": "gold"}}},
            },
        },
        "takeover.yaml",
    )
)


def event(name: str, minute: int, number: int, **ids: str) -> histories.Event:
    kind: dict[str, Any] = {"type": name}
    if name not in ("page", "identify", "alias", "erase", "unlink", "group"):
        kind = {"type": "track", "event": name}
    properties = {"product_id": f"p{number % 3}", "order_id": f"o{number}", "total": 30}
    stamp = histories.written(histories.START + timedelta(minutes=minute), "Z")
    return {
        **kind,
        **ids,
        "messageId": f"m{number}",
        "timestamp": stamp,
        "properties": properties,
        "traits": {"plan": "gold"},
    }


def topic_of(rng: random.Random, sent: histories.Event, *, browser: bool) -> str:
    """The topic of an event: what browsers send never comes on `profiles`."""
    names = {"Order Completed": "purchases", "Product Added": "carts"}
    own = names.get(str(sent.get("event")), "visits")
    return rng.choice((own, "visits", "carts", "purchases")) if browser else own


class Attack:
    """A history of victims and of attackers, drawn from a seed: (topic, event), in the order of reading."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.victims = rng.sample(VICTIMS, rng.choice((1, 2)))
        self._number = 0
        lines = [self._victims_line(name, minute) for name in self.victims for minute in self._minutes(4)]
        lines += [self._attackers_line(minute) for minute in self._minutes(8)]
        rng.shuffle(lines)
        if rng.random() < 0.5:
            lines.sort(key=lambda line: str(line[1]["timestamp"]))
        if rng.random() < 0.3:
            lines += rng.sample(lines, min(3, len(lines)))  # a producer sends again
        self.lines = lines
        self.until = max(line.time for line in map(self._decoded, lines)) + rng.choice((0, 3_600_000, 40 * 86_400_000))

    @staticmethod
    def _decoded(line: tuple[str, histories.Event]) -> Event:
        topic, sent = line
        decoded = read(
            json.dumps(sent).encode(), str(sent.get("userId") or sent["anonymousId"]).encode(), -1, Origin(topic, 0, 0)
        )
        assert isinstance(decoded, Event), (decoded, sent)
        return decoded

    def _minutes(self, most: int) -> Sequence[int]:
        return [self.rng.randrange(40 * DAY_MINUTES) for _ in range(self.rng.randint(1, most))]

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _victims_line(self, name: str, minute: int) -> tuple[str, histories.Event]:
        """An event of a victim: mostly as a user, sometimes as an anonymous id of that text."""
        rng = self.rng
        kind = rng.choice(("page", "Product Added", "Order Completed", "identify", "group"))
        ids = rng.choice(
            ({"userId": name}, {"userId": name}, {"anonymousId": name}, {"userId": name, "anonymousId": name})
        )
        sent = event(kind, minute, self._next(), **ids)
        return ("profiles" if kind == "identify" else topic_of(rng, sent, browser=False)), sent

    def _attackers_line(self, minute: int) -> tuple[str, histories.Event]:
        """An event that a browser may send, which names victims anywhere but as its user; or an erasure of itself."""
        rng = self.rng
        own, other = rng.choice(ATTACKERS), rng.choice((*ATTACKERS, *self.victims, *self.victims))
        kind = rng.choice(("page", "identify", "Order Completed", "alias", "alias", "erase", "unlink"))
        if kind == "erase":
            return "profiles", event("erase", minute, self._next(), userId=own)
        if kind == "unlink":
            return "profiles", event(
                "unlink",
                minute,
                self._next(),
                userId=own,
                previousId=rng.choice([name for name in ATTACKERS if name != own]),
            )
        ids = {"userId": own, "anonymousId": other} if rng.random() < 0.7 else {"anonymousId": own}
        if kind == "alias":
            ids = {"userId": own, "previousId": other}
        sent = event(kind, minute, self._next(), **ids)
        return topic_of(rng, sent, browser=True), sent


class Victims(Post):
    """Owners whose records come late and twice, and what each victim's own events make of it."""

    def __init__(self, attack: Attack) -> None:
        super().__init__(ENGINE, attack.rng)
        self.names = attack.victims
        self.right = {name: ENGINE.new() for name in attack.victims}
        self.identified: set[str] = set()
        self.moved: list[str] = []
        self.erased: list[str] = []
        self.erased_until: dict[str, int] = {}

    def read(self, what: Event, value: bytes = b"", at: int = -1) -> None:
        name = what.customer
        if name not in self.names:
            super().read(what, value, at)
            return
        before, erased = self.customers[name].merged_into, self.customers[name].erased
        super().read(what, value, at)
        if self.customers[name].erased > erased:
            self.erased.append(name)
        if type(what) is Event:
            self._note(name, what, was_redirect=before is not None)
        elif (before is None and self.customers[name].merged_into is not None) or self.customers[name].erased > erased:
            self.right[name] = ENGINE.new()  # before it was identified: what was known has moved, or is erased
        if name in self.identified and self.customers[name].merged_into is not None:
            self.moved.append(name)
        if name in self.identified and self.customers[name].erased > self.erased_until[name]:
            self.moved.append(name)

    def _note(self, name: str, what: Event, *, was_redirect: bool) -> None:
        if what.identifies:
            if name not in self.identified:
                self.erased_until[name] = min(what.time - 1, self.customers[name].erased)
            self.identified.add(name)
        # An id that is not known as a user's may be moved and erased: that stays, up to where it is one.
        is_erased = what.time <= self.customers[name].erased
        if not is_erased and (what.identifies or not was_redirect):
            ENGINE.apply(name, self.right[name], what)
        if what.identifies and is_erased and what.time > self.erased_until.get(name, 0):
            self.moved.append(name)

    def wrong(self) -> list[object]:
        """The victims that differ from what their own events say, once they were identified."""
        mistakes: list[object] = [*self.moved]
        for name in self.identified:
            customer, right = self.customers[name], self.right[name]
            if normal(customer) != normal(right):
                mistakes.append((name, "profile"))
            if set(ENGINE.membership(customer)) != set(ENGINE.membership(right)):
                mistakes.append((name, ENGINE.membership(customer), ENGINE.membership(right)))
        return mistakes


def normal(customer: Customer) -> bytes:
    """A profile with its lists in one order."""
    merged = ENGINE.new().profile
    for fact, _ in ENGINE.definitions.facts.with_segments():
        fact.merge(merged, customer.profile)
    return msgspec.msgpack.encode(merged)


def attacked(seed: int) -> tuple[Attack, Victims]:
    attack = Attack(seed)
    owners = Victims(attack)
    for number, (topic, sent) in enumerate(attack.lines):
        value = json.dumps(sent).encode()
        key = str(sent.get("userId") or sent["anonymousId"]).encode()
        owners.read(decode(value, key, None, Origin(topic, 0, number)), value)
        owners.deliver(owners.rng.choice((0, 0, 1, 5)))
    owners.deliver()
    owners.finish(attack.until)
    for name in attack.victims:
        ENGINE.fire(name, owners.right[name], attack.until)
    return attack, owners


def strange(seed: int) -> object:
    _, owners = attacked(seed)
    return [*owners.wrong(), *consistent(owners.changes)]


@pytest.mark.parametrize("seeds", [range(3_000), pytest.param(range(3_000, 10_000), marks=pytest.mark.nightly)])
def test_no_identified_customer_is_moved(seeds: range) -> None:
    """Only an alias or an erasure on `profiles` moves one, in any order; each id's changes are consistent."""
    assert failing(seeds, strange) == {}


def test_attacks_are_drawn() -> None:
    """Links come before and after the victim is identified, end, and are refused; attackers take over each other."""
    counts = {"identified": 0, "ended": 0, "never": 0, "refused": 0, "erased": 0, "attackers moved": 0, "links": 0}
    for seed in range(1_000):
        attack, owners = attacked(seed)
        for name in attack.victims:
            customer = owners.customers[name]
            counts["identified"] += name in owners.identified
            counts["never"] += customer.merged_into is not None
            counts["ended"] += customer.linkage is not None and customer.linkage.left > 0
        counts["refused"] += owners.refused["identified"]
        counts["erased"] += len(owners.erased)
        counts["attackers moved"] += sum(owners.customers[name].merged_into is not None for name in ATTACKERS)
        counts["links"] += sum(len(owners.customers[name].links or ()) for name in ATTACKERS)
    assert min(counts.values()) > 20, counts


# --- stated outcomes -----------------------------------------------------------------------------


def replayed(*events: histories.Event) -> Replay:
    replay = Replay(ENGINE)
    list(replay.run(worlds.decoded(list(events))))
    return replay


def orders_of(replay: Replay, name: str) -> int:
    orders = replay.customers[name].profile.orders
    return 0 if orders is None else len(orders.messages)


def test_one_event_takes_nobody_over() -> None:
    """Orders, segments and later events of a known customer stay, although it is named as an anonymous id."""
    before = [event("Order Completed", minute, minute, userId="ann") for minute in (0, 1)]
    hijack = event("page", 5, 5, userId="evil", anonymousId="ann")
    after = event("Order Completed", 9, 9, userId="ann")
    replay = replayed(*before, hijack, after)
    assert orders_of(replay, "ann") == 3
    assert replay.customers["ann"].merged_into is None
    assert orders_of(replay, "evil") == 0
    assert "buyer" in ENGINE.membership(replay.customers["ann"])


def test_an_erasure_of_the_attacker_erases_nobody_else() -> None:
    """An erasure of the attacker erases no victim: not before the link, not after it, not by a late event."""
    bought = [event("Order Completed", minute, minute, userId="ann") for minute in (0, 1)]
    hijack = event("page", 5, 5, userId="evil", anonymousId="ann")
    erase = event("erase", 8, 8, userId="evil")
    late = event("page", 6, 6, userId="evil", anonymousId="ann")
    for order in ([hijack, erase], [erase, hijack], [hijack, erase, late], [erase, late, hijack]):
        assert orders_of(replayed(*bought, *order), "ann") == 2


def test_a_link_ends_where_its_id_turns_out_to_be_a_users() -> None:
    """What had moved stays; what comes from then on belongs to the customer itself."""
    anonymous = event("Order Completed", 0, 0, anonymousId="ann")
    hijack = event("page", 5, 5, userId="evil", anonymousId="ann")
    own = event("Order Completed", 9, 9, userId="ann")
    replay = replayed(anonymous, hijack, event("Order Completed", 6, 6, anonymousId="ann"), own)
    assert (orders_of(replay, "evil"), orders_of(replay, "ann")) == (2, 1)
    assert replay.customers["ann"].merged_into is None
    assert "ann" not in (replay.customers["evil"].links or {})
    again = replayed(anonymous, hijack, own, event("page", 20, 20, userId="evil", anonymousId="ann"))
    assert again.customers["ann"].merged_into is None


def test_a_customer_that_is_of_its_own_again_is_decided_anew() -> None:
    """Sequence numbers go on, after all earlier instants: no change id comes twice."""
    cart = event("Product Added", 0, 0, anonymousId="ann")
    hijack = event("page", 50, 5, userId="evil", anonymousId="ann")
    for minute in (10, 50, 60):
        own = [event("Product Added", minute, 20, userId="ann"), event("page", 5000, 21, userId="ann")]
        replay = Replay(ENGINE)
        changes = [change for change in replay.run(worlds.decoded([cart, hijack, *own])) if change.customer == "ann"]
        assert [change.sequence for change in changes] == list(range(1, len(changes) + 1))
        assert len({change.id for change in changes}) == len(changes)
        assert [(change.segment, change.kind) for change in changes][:2] == [("cart", "entered"), ("cart", "exited")]
        assert "cart" in ENGINE.membership(replay.customers["ann"])


def test_an_alias_on_profiles_joins_two_identified_ids() -> None:
    """On another topic it links as an anonymous id does, so it is refused; the redirect does not end by an event."""
    bought = [event("Order Completed", minute, minute, userId=name) for minute, name in enumerate(("ann", "bea"))]
    alias = event("alias", 5, 5, userId="bea", previousId="ann")
    later = event("Order Completed", 9, 9, userId="ann")
    replay = replayed(*bought, alias, later)
    assert replay.customers["ann"].merged_into is not None
    assert orders_of(replay, "bea") == 3
    for topic, joined in (("profiles", True), ("visits", False), ("carts", False), ("purchases", False)):
        post = Post(ENGINE, random.Random(1))
        for topic_of_line, sent in (("purchases", bought[0]), ("purchases", bought[1]), (topic, alias)):
            value = json.dumps(sent).encode()
            post.read(decode(value, str(sent["userId"]).encode(), None, Origin(topic_of_line, 0, 0)), value)
        post.deliver()
        assert (post.customers["ann"].merged_into is not None) == joined, topic


def test_whoever_an_alias_on_profiles_names_is_not_taken_over() -> None:
    """An alias vouches for an anonymous id, whatever a browser says of it; what it joined is safe, too."""
    bought = [event("Order Completed", minute, minute, userId="ann") for minute in (0, 1)]
    joined = event("alias", 5, 5, anonymousId="x", previousId="ann")
    for minute in (3, 7):
        hijack = event("page", minute, 9, userId="evil", anonymousId="x")
        replay = replayed(*sorted([*bought, joined, hijack], key=lambda sent: str(sent["timestamp"])))
        assert orders_of(replay, "evil") == 0
        assert orders_of(replay, "x") == 2
    device = [
        event("Order Completed", 0, 0, anonymousId="phone"),
        event("alias", 1, 1, userId="ann", previousId="phone"),
    ]
    hijack = event("page", 5, 5, userId="evil", anonymousId="phone")
    later = event("Order Completed", 9, 9, anonymousId="phone")
    assert orders_of(replayed(*device, hijack, later), "ann") == 2


def test_the_bound_on_new_devices_goes_by_the_time_of_records() -> None:
    """An event chooses its own time, so a burst may claim to be of many years."""
    post = Post(ENGINE, random.Random(1))
    for number in range(NEW_LINKS_MAX + 40):
        sent = event("page", number * 20 * DAY_MINUTES, number, userId="ann", anonymousId=f"d{number}")
        post.read(decode(json.dumps(sent).encode(), b"ann", None, Origin("visits", 0, 0)), b"", 2_000_000_000_000)
    assert post.refused["too_many"] == 40
    erased = event("erase", 10**6, 999, userId="ann")
    post.read(decode(json.dumps(erased).encode(), b"ann", None, Origin("profiles", 0, 0)))
    for number in range(NEW_LINKS_MAX + 40):
        sent = event("page", number, 2000 + number, userId="ann", anonymousId=f"guest{number}")
        post.read(decode(json.dumps(sent).encode(), b"ann", None, Origin("visits", 0, 0)), b"", 2_000_000_000_000)
    assert post.refused["too_many"] == 80


def test_an_event_that_identifies_an_erased_device_brings_nothing_back() -> None:
    """From then on it is a customer of its own; erased data stays erased, and its own erasure works."""
    device = event("Order Completed", 0, 0, anonymousId="phone")
    person = [event("page", 1, 1, userId="ann", anonymousId="phone"), event("erase", 5, 5, userId="ann")]
    named = event("Order Completed", 9, 9, userId="phone")
    for again in (device, {**device, "messageId": "another"}):
        replay = replayed(device, *person, named, again)
        assert orders_of(replay, "phone") == 1
    own = event("erase", 3, 3, userId="phone")
    assert orders_of(replayed(device, own, *person, named, {**device, "messageId": "another"}), "phone") == 1


def test_two_ids_that_were_parted_stay_so() -> None:
    """What had moved stays; no anonymous id links them again, only a newer alias on profiles."""
    device = event("Order Completed", 0, 0, anonymousId="phone")
    link = event("page", 1, 1, userId="ann", anonymousId="phone")
    part = event("unlink", 2, 2, userId="ann", previousId="phone")
    later = [
        event("Order Completed", 5, 5, anonymousId="phone"),
        event("page", 6, 6, userId="ann", anonymousId="phone"),
    ]
    for parted in (part, event("unlink", 2, 2, userId="phone", previousId="ann")):
        replay = replayed(device, link, parted, *later)
        assert replay.customers["phone"].merged_into is None
        assert (orders_of(replay, "ann"), orders_of(replay, "phone")) == (1, 1)
    phone = ENGINE.new()
    decider = Decider(
        lambda event, customer: ENGINE.apply(event.customer, customer, event), ENGINE.definitions.fingerprint
    )
    process(Unlink("phone", "", 5, "u", other="ann", is_relayed=True), phone, decider)
    on_its_way = process(Link("phone", "", 4, "l", into="ann"), phone, decider)
    assert (on_its_way.refused, phone.merged_into) == ("unlinked", None)
    older = event("alias", 1, 7, userId="ann", previousId="phone")
    assert replayed(device, link, part, older, *later).customers["phone"].merged_into is None
    newer = event("alias", 9, 9, userId="ann", previousId="phone")
    assert orders_of(replayed(device, link, part, *later, newer), "ann") == 2


def test_an_id_that_is_linked_again_is_not_a_new_one() -> None:
    """Repeats after an erasure do not use up the bound of new ids, nor does a kiosk of two customers."""
    turns = range(0, 4 * NEW_LINKS_MAX, 2)
    kiosk = [
        event("page", minute + index, minute + index, userId=user, anonymousId="kiosk")
        for minute in turns
        for index, user in enumerate(("ann", "bob"))
    ]
    phone = event("page", 10_000, 10_000, userId="ann", anonymousId="phone")
    others = [
        event("page", 2_000 + number, 2_000 + number, userId="ann", anonymousId=f"d{number}")
        for number in range(NEW_LINKS_MAX - 1)
    ]
    again = event("page", 3_000, 3_000, userId="ann", anonymousId="kiosk")
    into = replayed(*kiosk, *others, again).customers["kiosk"].merged_into
    assert into is not None
    assert into[0] == "ann"
    replay = replayed(*kiosk, phone)
    assert replay.customers["kiosk"].merged_into is not None
    assert replay.customers["kiosk"].merged_into[0] == "bob"
    assert replay.customers["phone"].merged_into is not None
    erased = event("erase", 5_000, 5_000, userId="ann")
    late = [event("page", 4_000, 6_000 + number, userId="ann", anonymousId="till") for number in turns]
    tablet = event("page", 4_500, 9_000, userId="ann", anonymousId="tablet")
    replay = replayed(erased, *late, event("Order Completed", 1, 9_500, anonymousId="tablet"), tablet, phone)
    assert replay.customers["tablet"].erased
    assert replay.customers["phone"].merged_into is not None


def test_a_liar_that_names_a_device_twice_makes_no_user_of_it() -> None:
    """Some trackers send the device's id as both; else anyone could keep its person from being known on it."""
    bought = event("Order Completed", 0, 0, anonymousId="phone")
    lie = event("page", 2, 2, userId="phone", anonymousId="phone")
    sign_in = event("page", 5, 5, userId="ann", anonymousId="phone")
    for order in permutations([bought, lie, sign_in]):
        replay = replayed(*order)
        assert orders_of(replay, "ann") == 1
        assert replay.customers["phone"].merged_into == ("ann", worlds.decoded([sign_in])[0].time)
        assert not replay.customers["phone"].identified


@pytest.mark.parametrize("kind", ["Order Completed", "Product Added", "identify"])
def test_a_user_whom_the_shop_names_twice_is_taken_over_by_no_liar(kind: str) -> None:
    """A shop that has no ids of devices sends its own as both: an order, a cart, or an identify with traits."""
    own = event(kind, 0, 0, userId="ann", anonymousId="ann")
    bought = event("Order Completed", 1, 1, userId="ann", anonymousId="ann")
    hijack = event("page", 5, 5, userId="evil", anonymousId="ann")
    lie = event("page", 6, 6, userId="ann", anonymousId="ann")
    for order in ([own, hijack, bought], [own, bought, hijack, lie], [bought, own, lie, hijack]):
        replay = replayed(*order)
        assert replay.customers["ann"].merged_into is None
        assert orders_of(replay, "evil") == 0
        assert orders_of(replay, "ann") == (2 if kind == "Order Completed" else 1)


def test_a_person_has_so_many_new_devices() -> None:
    """The bound is for a month: more links are refused, aliases never, and a month later there is room again."""
    pages = [
        event("page", number, number, userId="ann", anonymousId=f"d{number}") for number in range(NEW_LINKS_MAX + 3)
    ]
    replay = replayed(*pages)
    assert len(replay.customers["ann"].links or ()) == NEW_LINKS_MAX == LINKS_MAX
    assert f"d{NEW_LINKS_MAX}" not in replay.customers
    alias = event("alias", 99, 99, userId="ann", previousId="older")
    assert replayed(*pages, alias).customers["older"].merged_into is not None
    later = event("page", 31 * DAY_MINUTES, 100, userId="ann", anonymousId="new")
    assert replayed(*pages, later).customers["new"].merged_into is not None


@pytest.mark.parametrize("text", [*TEXTS, " Undefined ", "NULL", "n / a", "[OBJECT object]"])
def test_a_placeholder_is_no_id(text: str) -> None:
    """A placeholder counts as absent, as a user and as an anonymous id: it links no customers and is none."""
    pages = [event("page", number, number, userId=text, anonymousId=name) for number, name in enumerate(("ann", "bea"))]
    replay = replayed(*pages, event("page", 5, 5, userId="ann", anonymousId=text))
    assert sorted(replay.customers) == ["ann", "bea"]
    assert all(customer.merged_into is None and not customer.links for customer in replay.customers.values())


def test_the_key_may_be_another_id_of_the_record() -> None:
    """The owner of that partition sends the event on; any other key is a dead letter."""
    sent = event("page", 0, 0, userId="ann", anonymousId="phone")
    value = json.dumps(sent).encode()
    at = Origin("visits", 0, 0)
    assert decode(value, b"ann", None, at).customer == "ann"
    away = read(value, b"phone", -1, at)
    assert isinstance(away, Misaddressed)
    assert (away.customer, away.link) == ("ann", "phone")
    assert read(value, b"bea", -1, at) == Undecodable("wrong_key", "key")
    undefined = json.dumps(event("page", 0, 0, userId="undefined", anonymousId="phone")).encode()
    assert getattr(read(undefined, b"undefined", -1, at), "customer", None) == "phone"
    erase = json.dumps(event("erase", 0, 0, userId="ann", anonymousId="phone")).encode()
    assert read(erase, b"phone", -1, Origin("profiles", 0, 0)) == Undecodable("wrong_key", "key")


def test_all_kinds_of_records_are_tried() -> None:
    """The histories above send each kind that an id may send to another."""
    kinds: set[type[Event]] = set()
    for seed in range(60):
        kinds |= attacked(seed)[1].kinds
    assert {Link, ProfileMerge, ForwardedEvent, CascadedErasure, Unlink} <= kinds
