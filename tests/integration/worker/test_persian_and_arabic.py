"""Persian and Arabic all the way: names, values, cities and titles come out as they went in, wherever they pass.

The one rule: nothing is normalised. Two spellings that Unicode tells apart are two customers, two names, two values;
what is written is what is read, stored, published and shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.processes import Worker
from local.servers import Redis, Tansu
from rules.changes import Change
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.events import Origin
from streams.state.contract import Store, StoredCustomer
from streams.state.redis import RedisStore
from streams.wire import changes, customer_codec
from streams.wire.event_decoder import Rejected, decode, decode_line
from tests.support import live
from tests.support.commands import NOW, Done, lines, partition_of, read, segmenter, shop_on
from tests.support.store_steps import claimed, step

Json = dict[str, Any]

ZWNJ = "\u200c"  # the joiner of Persian compounds
VISITORS = [
    "مریم",
    f"علی{ZWNJ}رضا",
    "مُحَمَّد",  # with harakat, which are combining marks
    "مشتری-۱۲۳",  # Persian digits
    "عميل-١٢٣",  # Arabic digits
    "کریم",  # with the Persian kaf and ye
    "كريم",  # the same name with the Arabic ones: another customer
    "\u0622رش",  # alef with madda as one character
    "\u0627\u0653رش",  # and as two: yet another customer
    "زهرا\u200f",  # a right-to-left mark at the end
    "سارا 👩\u200d💻",  # a joined emoji, beyond the basic plane
]
WEBINAR, VIEWED, ADDED = f"ثبت{ZWNJ}نام وبینار", "دیدن کالا", "إضافة منتج"
SHOES, WISH = f"کفش پیاده{ZWNJ}روی", f"این را می{ZWNJ}خواهم!"
TITLES = {
    "called": "هم‌نام مُحَمَّد",
    "cities": "تهران و القاهرة",
    "colours": "رنگ‌های گوناگون",
    "decided": "دید و برداشت",
    "webinar": "ثبت‌نام در وبینار",
    "wishes": "می‌خواهد",
    "year": "سال ۱۴۰۵",
}
WHEN: Json = {
    "called": {"trait": {"نام.کوچک": "مُحَمَّد"}},
    "cities": {"context": {"city": {"in": ["تهران", "القاهرة"]}}},
    "colours": {"total": {"agg": "distinct", "of": "رنگ", "event": VIEWED, "at_least": 2}},
    "decided": {"sequence": {"steps": [{"event": VIEWED}, {"event": ADDED}], "same": "کالا"}},
    "webinar": {"performed": {"event": WEBINAR, "where": {"سخنران.نام": {"in": ["دکتر رضایی", "د. أحمد"]}}}},
    "wishes": {"performed": {"event": VIEWED, "where": {"شرح": {"contains": f"می{ZWNJ}خواهم"}}}},
    "year": {"trait": {"سال": {"matches": "^[۰-۹]{4}$"}}},
}
DEFINITIONS: Json = {
    "version": 1,
    "segments": {key: {"title": TITLES[key], "kind": "گروه", "when": when} for key, when in WHEN.items()},
}
# What each visitor does, and what each of it leads to.
STORY: list[tuple[Json, list[str]]] = [
    ({"type": "identify", "traits": {"نام": {"کوچک": "مُحَمَّد"}, "سال": "۱۴۰۵"}}, ["called", "year"]),
    ({"type": "page", "context": {"location": {"city": "القاهرة", "country": "مصر"}}}, ["cities"]),
    ({"type": "track", "event": WEBINAR, "properties": {"سخنران": {"نام": "د. أحمد"}}}, ["webinar"]),
    ({"type": "track", "event": VIEWED, "properties": {"رنگ": "آبی", "کالا": SHOES, "شرح": WISH}}, ["wishes"]),
    ({"type": "track", "event": VIEWED, "properties": {"رنگ": "آبی تیره", "کالا": "کلاه"}}, ["colours"]),
    ({"type": "track", "event": ADDED, "properties": {"کالا": SHOES}}, ["decided"]),
]  # fmt: skip
# The same but for a spelling: nothing comes of any of it.
OTHER_SPELLINGS: list[Json] = [
    {"type": "identify", "traits": {"نام": {"کوچک": "محمد"}, "سال": "١٤٠٥"}},  # no harakat; Arabic digits
    {"type": "page", "context": {"location": {"city": "القاهره"}}},  # ha for ta marbuta
    {"type": "track", "event": "ثبت نام وبینار", "properties": {"سخنران": {"نام": "د. أحمد"}}},  # a blank, no joiner
    {"type": "track", "event": WEBINAR, "properties": {"سخنران": {"نام": "د. احمد"}}},  # no hamza
    {"type": "track", "event": ADDED, "properties": {"کالا": "کفش"}},
]


def event(visitor: str, number: int, fields: Json) -> Json:
    """An event so many seconds after three hours ago; the message's id is no English either."""
    timestamp = (NOW - timedelta(hours=3) + timedelta(seconds=number)).isoformat()
    return {**fields, "userId": visitor, "messageId": f"پیام-{number}-{visitor}", "timestamp": timestamp}


def history(visitor: str) -> list[Json]:
    return [event(visitor, number, fields) for number, (fields, _) in enumerate(STORY)]


def entered() -> list[str]:
    return [segment for _, segments in STORY for segment in segments]


# --- through the rules and the stores ----------------------------------------------------------


async def decided(store: Store, events: Sequence[bytes]) -> list[Change]:
    """The changes of the events, each in a step of its own: the customer is loaded, decided and saved again."""
    engine = Engine(build(DEFINITIONS, "بخش‌ها.yaml"))
    await claimed(store)
    decided_changes: list[Change] = []
    for number, value in enumerate(events, 1):
        what = decode_line(value)
        (stored,) = await store.load(0, [what.customer])
        customer = engine.new() if stored is None else customer_codec.decode(stored)
        made = list(engine.apply(what.customer, customer, what))
        stored_customer = StoredCustomer(what.customer, customer_codec.encode(customer), customer.due)
        outbox = [changes.encode(changes.of(change)) for change in made]
        assert await store.save(0, step(number, customers=[stored_customer], outbox=outbox)) == "saved"
        decided_changes += made
    return decided_changes


@pytest.mark.parametrize("escaped", [False, True], ids=["as UTF-8", "as escapes"])
async def test_through_engine_store_and_change(store: Store, escaped: bool) -> None:
    """Every visitor enters all segments, in order; the outbox in the store says so in the same characters."""
    events = [event for visitor in VISITORS for event in history(visitor)]
    decided_changes = await decided(store, [json.dumps(event, ensure_ascii=escaped).encode() for event in events])
    wanted = [(visitor, segment) for visitor in VISITORS for segment in entered()]
    assert [(change.customer, change.segment) for change in decided_changes] == wanted
    assert all(value is not None for value in await store.load(0, VISITORS))
    outbox = [changes.decode(value) for value in (await claimed(store)).outbox]
    assert outbox == [changes.of(change) for change in decided_changes]
    assert [change.customer_id for change in outbox] == [visitor for visitor, _ in wanted]
    ids = [event["messageId"] for event, (_, made) in zip(events, STORY * len(VISITORS), strict=True) for _ in made]
    assert [change.cause.event_id for change in outbox] == ids
    for change in outbox:
        reason = changes.encode(change).decode()
        assert "\\u" not in reason
        assert all(word in reason for word in words(WHEN[change.segment]))


async def test_other_spellings_are_others(store: Store) -> None:
    """What differs in a mark, a word or the form of another letter is not the same."""
    events = [event("دیگری", number, what) for number, what in enumerate(OTHER_SPELLINGS)]
    assert await decided(store, [json.dumps(event, ensure_ascii=False).encode() for event in events]) == []
    assert await store.load(0, ["ديگري"]) == [None]


def words(node: object) -> Iterator[str]:
    """The names and values of a condition that are not English."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from words(name)
            yield from words(value)
    elif isinstance(node, list):
        for member in node:
            yield from words(member)
    elif isinstance(node, str) and not node.isascii():
        yield node


@pytest.mark.parametrize("visitor", VISITORS)
def test_a_record_belongs_to_its_key(visitor: str) -> None:
    """The key is the customer's id in UTF-8, byte for byte; another spelling is another key."""
    value = json.dumps(history(visitor)[0]).encode()
    assert decode(value, visitor.encode(), None, Origin("visits", 0, 0)).customer == visitor
    for other in VISITORS:
        if other != visitor:
            with pytest.raises(Rejected, match="wrong_key"):
                decode(value, other.encode(), None, Origin("visits", 0, 0))


# --- through the topics and the commands -------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The definitions, in a file whose name is Persian too."""
    path = tmp_path_factory.mktemp("farsi") / f"بخش{ZWNJ}ها.yaml"
    path.write_text(yaml.safe_dump(DEFINITIONS, allow_unicode=True), "utf-8")
    return path


@pytest.fixture(scope="module")
def content() -> bytes:
    """All visitors' events in the order of their times, one visitor's with escapes."""
    events = sorted(
        (event for visitor in VISITORS for event in history(visitor)), key=lambda event: str(event["timestamp"])
    )
    return b"".join(json.dumps(event, ensure_ascii=event["userId"] == "مریم").encode() + b"\n" for event in events)


@pytest.fixture(scope="module")
def shop(
    tansu: Tansu, redis_server: Redis, file: Path, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Settings of a shop in which a worker has decided all of it, and has ended."""
    settings = shop_on(tansu, "farsi", redis_server.url, definitions=file)
    settings["redis_prefix"] = "فروشگاه:" + settings["redis_prefix"]
    assert segmenter("topics", "create", **settings).code == 0
    published = segmenter("publish", "-", stdin=content, **settings)
    assert (published.code, published.out) == (0, ""), published.err
    with Worker(settings, log=tmp_path_factory.mktemp("farsi") / "log"):
        assert (
            len(read(tansu.address, [settings["topic_prefix"] + "segment-changes"], count_of_changes()))
            == count_of_changes()
        )
    return settings


def count_of_changes() -> int:
    return len(VISITORS) * len(entered())


def test_the_topic_says_what_the_replay_says(shop: dict[str, Any], content: bytes) -> None:
    """Keys and values in UTF-8 without escapes; the same changes, ids and reasons as offline."""
    records = read(shop["brokers"], [shop["topic_prefix"] + "segment-changes"], count_of_changes())
    assert {record.key.decode() for record in records} == set(VISITORS)
    assert all(record.partition == partition_of(record.key) for record in records)
    assert not any(b"\\u" in record.value for record in records)
    published = [json.loads(record.value) for record in records]
    assert [change["customer_id"] for change in published] == [record.key.decode() for record in records]
    done = segmenter("replay", "-", stdin=content, definitions=shop["definitions"])
    assert (done.code, done.err) == (0, "")
    assert "\\u" not in done.out
    assert by_visitor(published) == by_visitor([json.loads(text) for text in done.out.splitlines()])
    for visitor in VISITORS:
        assert [change["segment"] for change in by_visitor(published)[visitor]] == entered()


def by_visitor(published: list[Json]) -> dict[str, list[Json]]:
    """Each visitor's changes in order, without when and where they came to be."""
    own: dict[str, list[Json]] = {}
    for change in published:
        cause = {name: value for name, value in change["cause"].items() if name in ("kind", "event_id")}
        fields = {name: value for name, value in change.items() if name != "emitted_at"}
        own.setdefault(change["customer_id"], []).append({**fields, "cause": cause})
    return own


async def test_redis_knows_each_visitor_by_its_name(shop: dict[str, Any]) -> None:
    """The ids are field names in Redis, byte for byte."""
    store = RedisStore.connect(shop["redis"], shop["redis_prefix"])
    names = [name for partition in range(live.PARTITIONS) async for name, _ in store.customers(partition)]
    await store.close()
    assert sorted(names) == sorted(VISITORS)


@pytest.mark.parametrize("language", ["en", "fa"])
def test_tail(language: str, shop: dict[str, Any]) -> None:
    """Each change is a line with the visitor as written, and the names and values of the reason."""
    count = count_of_changes()
    done = segmenter("tail", "--from-beginning", "--count", str(count), "--lang", language, **shop)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) == count
    for visitor in VISITORS:
        for segment in entered():
            (line,) = [line for line in lines if f"+ {segment:<20} {visitor}  " in line]
            assert "�" not in line
            assert all(word in line for word in words_of_reason(segment)), line


def words_of_reason(segment: str) -> list[str]:
    """The words that a reason must show: the event or attribute, and its value."""
    return {
        "called": ["نام.کوچک", "مُحَمَّد"],
        "cities": ["القاهرة"],
        "colours": [VIEWED, "رنگ"],
        "decided": [VIEWED, ADDED, "کالا"],
        "webinar": [WEBINAR, "سخنران.نام"],
        "wishes": [VIEWED, "شرح", f"می{ZWNJ}خواهم"],
        "year": ["سال", "۱۴۰۵"],
    }[segment]


def explained(visitor: str, shop: dict[str, Any], *more: str) -> Done:
    done = segmenter("explain", visitor, *more, **shop)
    assert (done.code, done.err) == (0, ""), visitor
    return done


@pytest.mark.parametrize("visitor", VISITORS)
def test_explain_as_json(visitor: str, shop: dict[str, Any]) -> None:
    """A visitor is found by the name as written; titles, names and values are in the JSON."""
    explanation = json.loads(explained(visitor, shop, "--json").out)
    assert (explanation["customer_id"], explanation["partition"]) == (visitor, partition_of(visitor.encode()))
    assert {membership["segment"]: membership["title"] for membership in explanation["segments"]} == TITLES
    for membership in explanation["segments"]:
        assert membership["member"], membership
        reason = json.dumps(membership["reason"], ensure_ascii=False)
        assert all(word in reason for word in words(WHEN[membership["segment"]]))


@pytest.mark.parametrize("language", ["en", "fa"])
def test_explain_in_words(language: str, shop: dict[str, Any]) -> None:
    """The visitor, the titles, the names and the values are printed as they are, in either language."""
    text = explained(VISITORS[1], shop, "--lang", language).out
    assert text.startswith(f"customer   {VISITORS[1]}\n")
    for segment, title in TITLES.items():
        assert f"{segment} ({title}): in since" in text
        assert all(word in text for word in words_of_reason(segment))


def test_a_spelling_that_nobody_has_is_unknown(shop: dict[str, Any]) -> None:
    """Without the joiner, with a blank in its place, or composed otherwise, a name is unknown."""
    for other in ("علیرضا", "علی رضا", "محمد", "مشتری-١٢٣", "زهرا"):
        assert other not in VISITORS
        done = segmenter("explain", other, **shop)
        assert (done.code, done.out) == (1, "")
        assert done.err == f"segmenter explain: no customer {other}\n"


def test_check_and_distribution(shop: dict[str, Any], content: bytes) -> None:
    """Titles, sentences, the file's own name and a total of a Persian property are shown as written."""
    done = segmenter("check", str(shop["definitions"]), "--explain")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{shop['definitions']}: 7 segments")
    for segment, title in TITLES.items():
        assert f"  {segment}  {title}  (" in done.out
        assert all(word in done.out for word in words(WHEN[segment]))
    wish = f"{{agg: distinct, of: کالا, event: {VIEWED}}}"
    spread = segmenter("distribution", "--of", wish, "--events", "-", stdin=content)
    assert (spread.code, spread.err) == (0, "")
    assert spread.out.startswith("distinct of کالا\ncustomers  11, from 2.00 to 2.00")


def test_a_dead_letter_and_a_wrong_file_are_shown_as_written(tmp_path: Path) -> None:
    """The refused line, and the path of what is wrong, are on stderr as written."""
    bad = {**event("زهرا", 1, STORY[2][0]), "timestamp": "۱۴۰۵-۰۱-۰۱"}
    done = segmenter("replay", "-", stdin=lines(bad))
    assert done.code == 1
    assert done.err.startswith("line 1: absurd_timestamp (timestamp): ")
    assert WEBINAR in done.err
    path = tmp_path / "نادرست.yaml"
    path.write_text("version: 1\nsegments: {سبد: {title: سبد, when: {cart: {}}}}\n", "utf-8")
    wrong = segmenter("check", str(path))
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err.startswith(f"{path}: segments.سبد: ")
