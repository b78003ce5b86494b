"""Unlinked ids, as commands see them: which `unlink` refuses, and the output of `explain` and `export` for such ids.

Customers are made by the rules, from events, and stored as a worker stores them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from local.servers import Redis
from rules.customer import Customer
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.event_names import ERASE
from rules.events import Event
from rules.identity.dispatch import process
from rules.identity.events import Unlink
from rules.identity.resolution import Decider
from streams.cli import export, unlink
from streams.cli.explain import lines
from streams.cli.request import Request
from streams.offline.customer_records import InRedis
from streams.offline.explain import Explanation, explanation
from streams.settings import Settings
from streams.state.contract import Claim, Identity, Save, StoredCustomer
from streams.state.redis import RedisStore
from streams.wire import customer_codec
from streams.wire.event_decoder import decode_line
from tests.support.commands import assert_one_line, line, segmenter

T = 1_772_359_200_000  # 2026-03-01T10:00:00Z
# It holds for a customer without any event.
NEVER_BOUGHT = {"not": {"performed": {"event": "Order Completed"}}}
ENGINE = Engine(build({"version": 1, "segments": {"never_bought": {"title": "N", "when": NEVER_BOUGHT}}}, "f.yaml"))
DECIDER = Decider(lambda event, customer: ENGINE.apply(event.customer, customer, event), "")


def read(customer: Customer, *events: Event) -> Customer:
    """A customer whose owner has read these events."""
    for event in events:
        process(event, customer, DECIDER)
    return customer


def browsed(minutes: int, **ids: str) -> Event:
    page = {"type": "page", "messageId": f"page-{minutes}", "timestamp": f"2026-03-01T10:{minutes:02}:00Z", **ids}
    return decode_line(line(page))


def alias(customer_id: str, former: str, hour: int) -> Event:
    own = {"type": "alias", "userId": customer_id, "previousId": former, "messageId": f"alias-{hour}"}
    return decode_line(line(own | {"timestamp": f"2026-03-01T{hour}:00:00Z"}))


def unlinked(customer_id: str, other_id: str) -> Unlink:
    return Unlink(customer_id, ERASE, T + 600_000, "unlink", other=other_id)


def explained(customer_id: str, customer: Customer) -> Explanation:
    meta = {"definitions": ENGINE.definitions.fingerprint, "clock": str(T)}
    return explanation(ENGINE, customer_id, 0, customer_codec.encode(customer), meta, {})


def exported(customer: Customer) -> Mapping[str, Any]:
    value = customer_codec.encode(customer)
    part = InRedis(partition=0, value=value, due=0, waiting=0, erased=None, positions={})
    return dict(export._stored(part))


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "other", "reason"),
    [
        ("a\nb", "c", "bad_id"),
        ("a", "b\nc", "bad_id"),
        ("a", "a", "bad_id"),
        ("undefined", "b", "no_customer"),
        ("a", "Undefined", "bad_id"),
        ("visitor", "b", "no_customer"),
        ("a", " Visitor", "bad_id"),
    ],
)
def test_what_are_not_two_customers(first: str, other: str, reason: str, tmp_path: Path) -> None:
    """Texts that are not two customers' ids, placeholders too, are refused before anything is sent, in one line."""
    file = tmp_path / "segments.yaml"
    file.write_text("version: 1\nlibrary: true\nplaceholders: [visitor]\n")
    done = segmenter("unlink", first, other, brokers="127.0.0.1:1", definitions=file)
    assert (done.code, done.out) == (1, "")
    assert_one_line(done.err)
    assert f"are not the ids of two customers ({reason})" in done.err


def test_a_worker_that_links_nothing() -> None:
    """Without a known partitioner there is nothing to part, which is said before anything is sent."""
    done = segmenter("unlink", "a", "b", brokers="127.0.0.1:1", partitioner="none")
    assert (done.code, done.out) == (1, "")
    assert_one_line(done.err)
    assert "SEGMENTER_PARTITIONER=none" in done.err


# --- when it is carried out --------------------------------------------------------------------


class Stored:
    """One partition in Redis, as its worker saves it step by step."""

    def __init__(self, server: Redis) -> None:
        self.settings = Settings(redis=SecretStr(server.url), redis_prefix="unlink:", partitions=1)
        self._saves = 0

    def save(self, position: int, **stored: Customer) -> None:
        """Save these customers, and up to which offset of ``profiles`` their worker has read."""
        asyncio.run(self._save(position, stored))

    async def _save(self, position: int, stored: Mapping[str, Customer]) -> None:
        store = RedisStore.of(self.settings)
        claim = Claim(0, 1, "token", Identity("cluster", "group", 1, "definitions"))
        state = await store.claim(claim)
        await store.begin(claim, {"profiles": 0})
        values = [
            StoredCustomer(customer_id, customer_codec.encode(customer), None, erased=customer.is_gone)
            for customer_id, customer in stored.items()
        ]
        self._saves += 1
        save = Save(
            fencing_token="token", number=self._saves, digest=b"%d" % self._saves, clock=T, customers=values, outbox=[],
            starts={"profiles": state.positions.get("profiles", 0)}, positions={"profiles": position},
        )  # fmt: skip
        assert await store.save(0, save) == "saved"
        await store.close()

    def is_carried_out(self, offset: int = 4) -> bool:
        """Whether the command sees ``unlink ann phone``, at this offset, as done."""
        return unlink._is_carried_out(self.settings, Request("ann", T + 600_000, {0: offset}), "phone", 1)


def test_it_is_done_when_both_owners_have_noted_it(redis_server: Redis) -> None:
    """Parting is done once the state of both ids shows it, not by the offset alone; an erased id shows it, too."""
    stored = Stored(redis_server)
    linking = browsed(1, userId="ann", anonymousId="phone")
    ann, phone = ENGINE.new(), read(ENGINE.new(), browsed(0, anonymousId="phone"))
    read(phone, *process(linking, ann, DECIDER).sent)
    stored.save(4, ann=ann, phone=phone)
    assert not stored.is_carried_out()
    stored.save(5, ann=ann)
    assert not stored.is_carried_out()
    (relayed,) = process(unlinked("ann", "phone"), ann, DECIDER).sent
    stored.save(5, ann=ann)
    assert not stored.is_carried_out()
    read(phone, relayed)
    stored.save(5, phone=phone)
    assert stored.is_carried_out()
    assert not stored.is_carried_out(offset=5)

    read(phone, *process(alias("ann", "phone", hour=11), read(ENGINE.new(), linking), DECIDER).sent)
    stored.save(5, phone=phone)
    assert phone.merged_into is not None
    assert not stored.is_carried_out()  # ann's owner has read another unlink, and phone's has not
    erased = read(ENGINE.new(), browsed(0, anonymousId="phone"), Event("phone", ERASE, T + 60_000, "e"), relayed)
    stored.save(5, phone=erased)
    assert stored.is_carried_out()


# --- what is said of such ids ------------------------------------------------------------------


def test_a_former_id_and_after_it_is_parted() -> None:
    """A former id is explained as its person, and once parted as an id of its own, undecided until an event comes."""
    phone = read(ENGINE.new(), browsed(0, anonymousId="phone"))
    ann = read(ENGINE.new(), linking := browsed(1, userId="ann", anonymousId="phone"))
    (link,) = process(linking, ENGINE.new(), DECIDER).sent
    read(phone, link)
    assert explained("phone", phone).known_as == "ann"
    assert "known as   ann, which has all its data" in lines(explained("phone", phone), "en")
    assert exported(phone)["known_as"] == "ann"
    assert exported(ann)["other_ids"] == {"phone": "2026-03-01T10:01:00.000Z"}
    assert (exported(phone)["identified"], exported(ann)["identified"]) == (False, True)

    read(phone, unlinked("phone", "ann"))
    parted = explained("phone", phone)
    assert (parted.known_as, parted.segments) == (None, [])
    assert lines(parted, "en")[2].startswith("decided    nothing: no event has come under this id")
    assert exported(phone)["known_as"] is None
    assert exported(phone)["parted_from"] == {"ann": "2026-03-01T10:10:00.000Z"}

    read(phone, browsed(20, anonymousId="phone"))
    assert [segment.member for segment in explained("phone", phone).segments] == [True]
    assert lines(explained("phone", phone), "en")[2].startswith("decided    2026-03-01T10:20:00.000Z")


def test_an_id_that_only_was_parted() -> None:
    """An id under which no event ever came, and which was parted, is explained."""
    never = read(ENGINE.new(), unlinked("never", "ann"))
    assert explained("never", never).segments == []
    assert exported(never)["parted_from"] == {"ann": "2026-03-01T10:10:00.000Z"}


def test_aliases_are_exported() -> None:
    """Links by an alias are exported apart from links by an anonymousId."""
    ann = read(ENGINE.new(), alias("ann", "old", hour=10))
    assert (exported(ann)["aliases"], exported(ann)["other_ids"]) == ({"old": "2026-03-01T10:00:00.000Z"}, {})


def test_what_stays_of_one_that_was_erased() -> None:
    """The export of an id that was parted after its erasure says so, too."""
    erased = read(ENGINE.new(), browsed(0, userId="ann"), Event("ann", ERASE, T + 60_000, "e"), unlinked("ann", "bob"))
    assert erased.is_gone
    part = InRedis(partition=0, value=None, due=0, waiting=0, erased=customer_codec.encode(erased), positions={})
    document = export._stored(part)
    assert (document["erased"], document["parted_from"]) == (True, {"bob": "2026-03-01T10:10:00.000Z"})
