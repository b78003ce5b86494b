"""The command line as a person or a script meets it: a process, what it prints, its exit code.

A run is judged by its streams and its exit code alone; its records are read back from Kafka.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.processes import Worker
from local.servers import Redis, Tansu
from rules.event_names import INPUTS
from tests.oracle import oracle
from tests.oracle.oracle import milliseconds
from tests.support import live
from tests.support.commands import (
    DEMO,
    NOW,
    PAGE,
    Done,
    assert_one_line,
    assert_stopped,
    command,
    environment,
    event,
    line,
    lines,
    moved_to_now,
    on_tansu,
    partition_of,
    read,
    segmenter,
    shop_on,
)

NOBODY = "127.0.0.1:1"  # a privileged port on which nothing listens
UNREACHABLE = {
    words.split()[0]: words.split() for words in ("topics verify", "publish -", "tail", "worker", "explain u1")
}


# --- wrong arguments and settings --------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def unreachable() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Commands that look for what is not there, begun first: Kafka's clients try for half a minute."""
    settings = environment({"brokers": NOBODY, "redis": f"redis://{NOBODY}"})
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    begun = {name: subprocess.Popen(command(*words), env=settings, **pipes) for name, words in UNREACHABLE.items()}
    yield begun
    for process in begun.values():
        with process:
            process.kill()


# --- topics and publish ------------------------------------------------------------------------

NAMES = ("carts", "dead-letters", "merges", "profiles", "purchases", "segment-changes", "segment-memberships", "visits")


def test_topics_are_created_once(tansu: Tansu) -> None:
    """Topics are created and listed; a second time there is nothing to create; both exit 0."""
    settings = on_tansu(tansu, "created-")
    first, again = (segmenter("topics", "create", **settings) for _ in range(2))
    listed = [f"created-{name}: 4 partitions" for name in NAMES]
    assert (first.code, again.code) == (0, 0)
    assert sorted(first.out.splitlines()) == sorted([*(f"created created-{name}" for name in NAMES), *listed])
    assert again.out.splitlines() == listed
    assert segmenter("topics", "verify", **settings) == again


def test_missing_topics_stop(tansu: Tansu) -> None:
    """Verify and publish name what is missing and how to create it."""
    for arguments, names in (("topics verify", NAMES), ("publish -", INPUTS)):
        done = segmenter(*arguments.split(), **on_tansu(tansu, "missing-"))
        assert_stopped(done, "segmenter topics create", *(f"missing-{name}" for name in names))


def test_publish_sends_each_event_to_its_topic(tansu: Tansu, tmp_path: Path) -> None:
    """Bad lines are named by number and the rest is sent: key, bytes and partition as they should be; exit 1."""
    settings = on_tansu(tansu, "sent-")
    segmenter("topics", "create", **settings)
    sent: dict[str, list[dict[str, Any]]] = {
        "profiles": [
            {"type": "identify", "traits": {"age": 3}},
            {"type": "alias", "previousId": "a"},
            {"type": "unlink", "previousId": "a"},
            {"type": "erase"},
        ],
        "visits": [{"type": "page"}, {"type": "screen"}, {"type": "track", "event": "Webinar Registered"}],
        "carts": [{"type": "track", "event": "Added Product"}, {"type": "track", "event": "Cart Viewed"}],
        "purchases": [{"type": "track", "event": "Order Completed"}, {"type": "track", "event": "Order Refunded"}],
    }
    wanted: dict[str, list[bytes]] = {}
    file = [b"{", b""]
    for topic, kinds in sent.items():
        for number, kind in enumerate(kinds):
            identity = {"userId": f"u{number}"} if number else {"anonymousId": "نام", "userId": ""}
            what = {**kind, **identity, "messageId": f"{topic}-{number}", "timestamp": NOW.isoformat()}
            wanted.setdefault(topic, []).append(line(what))
            file.append(line(what))
    ahead = {**PAGE, "timestamp": (NOW + timedelta(hours=1)).isoformat()}
    file.append(line({**PAGE, "type": "unlink", "timestamp": NOW.isoformat()}))  # of which other id?
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([*file, line(ahead)]))

    done = segmenter("publish", str(path), **settings)

    assert (done.code, done.out) == (1, "")
    bad = re.findall(r"^line (\d+): ([^:\n]+)$", done.err, re.MULTILINE)
    assert bad == [("1", "not_json"), ("14", "bad_id (previousId)"), ("15", "absurd_timestamp (timestamp)")]
    assert "11 events published, 3 lines refused" in done.err
    records = read(tansu.address, [f"sent-{topic}" for topic in wanted], 11)
    for topic, values in wanted.items():
        assert sorted(record.value for record in records if record.topic == f"sent-{topic}") == sorted(values)
    for record in records:
        value = json.loads(record.value)
        assert record.key.decode() == (value["userId"] or value["anonymousId"])
        assert record.partition == partition_of(record.key)


def test_publish_knows_the_placeholders_of_the_file(tansu: Tansu, tmp_path: Path) -> None:
    """A line with a placeholder as its only id is refused, as by a worker; beside another id it is ignored."""
    file = tmp_path / "segments.yaml"
    file.write_text("version: 1\nlibrary: true\nplaceholders: [visitor]\n")
    settings = on_tansu(tansu, "placeholders-", definitions=file)
    segmenter("topics", "create", **settings)
    page = {**PAGE, "timestamp": NOW.isoformat()}
    both = lines({**page, "userId": "Visitor"}, {**page, "userId": "Visitor", "anonymousId": "a"})
    done = segmenter("publish", "-", stdin=both, **settings)
    assert (done.code, done.err) == (1, "line 1: no_customer (userId)\n1 events published, 1 lines refused\n")
    (record,) = read(tansu.address, ["placeholders-visits"], 1)
    assert record.key == b"a"


# --- from publish to explain -------------------------------------------------------------------

MARYAM = "مریم"  # Persian, as shops there write their customers
ALI_REZA = "علی\u200cرضا"  # with the joiner that such names are written with
SHOES, HAT = "کفش ورزشی", "کلاه"


def a_quiet_cart(customer: str) -> list[dict[str, Any]]:
    """Two products known by their names alone, one of them taken out again."""
    return moved_to_now(
        event(customer, 1, "Product Added", 0, name=SHOES),
        event(customer, 2, "Product Added", 1, name=HAT),
        event(customer, 3, "Product Removed", 2, name=HAT),
    )


@pytest.fixture(scope="module")
def shop(tansu: Tansu, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a shop in which a worker has decided two quiet carts and one order, and has ended."""
    settings = shop_on(tansu, "shop", redis_server.url, definitions=live.FOUR)
    assert segmenter("topics", "create", **settings).code == 0
    order = moved_to_now(event("u2", 1, "Order Completed", 60, order_id="o1", total="9.99"))
    content = lines(*a_quiet_cart(MARYAM), *a_quiet_cart(ALI_REZA), *order)
    published = segmenter("publish", "-", stdin=content, **settings)
    assert (published.code, published.out) == (0, ""), published.err
    with Worker(settings, log=tmp_path_factory.mktemp("shop") / "log"):
        assert len(read(tansu.address, [settings["topic_prefix"] + "segment-changes"], 3)) == 3
    return settings


def tail(shop: Mapping[str, Any]) -> list[str]:
    """The shop's changes as `segmenter tail` prints them."""
    done = segmenter("tail", "--from-beginning", "--count", "3", **shop)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


def test_tail_says_when_who_what_and_why(shop: dict[str, Any]) -> None:
    """One line per change, as many as asked for."""
    lines = tail(shop)
    (maryam,) = (text for text in lines if MARYAM in text)
    quiet_at = a_quiet_cart(MARYAM)[-1]["timestamp"]
    due = datetime.fromisoformat(quiet_at) + timedelta(minutes=30)
    assert len(lines) == 3
    assert maryam.startswith(f"{due:%H:%M:%S}.000Z  + abandoned_cart")
    assert "for 30 minutes; the cart holds 1 item" in maryam
    assert re.search(r"\+ recently_purchased +u2 +1 × Order Completed", "".join(lines))


def test_tail_shows_a_name_with_a_joiner_as_it_is_written(shop: dict[str, Any]) -> None:
    """U+200C belongs to Persian spelling and steers no terminal."""
    assert ALI_REZA in "".join(tail(shop))


@pytest.mark.parametrize("customer", [MARYAM, ALI_REZA])
def test_explain_in_words(customer: str, shop: dict[str, Any]) -> None:
    """The output has the segments, since when, because of what, until when, and how far time was decided."""
    done = segmenter("explain", customer, **shop)
    assert (done.code, done.err) == (0, "")
    last = datetime.fromisoformat(a_quiet_cart(customer)[-1]["timestamp"])
    since, due = last + timedelta(minutes=30), last + timedelta(days=30)
    form = "%Y-%m-%dT%H:%M:%S.000Z"
    head = dict(text.split(maxsplit=1) for text in done.out.split("\n\n")[0].splitlines())
    assert head["customer"] == customer
    assert head["segments"] == "abandoned_cart"
    assert head["decided"].startswith(f"{since:{form}}")
    assert milliseconds(head["clock"].split()[0]) > since.timestamp() * 1000
    paragraphs = {text.split()[0]: text for text in done.out.rstrip("\n").split("\n\n")[1:]}
    assert sorted(paragraphs) == sorted(oracle.conditions_of(oracle.BUILT_IN))
    inside = paragraphs["abandoned_cart"]
    assert f"in since {since:{form}}" in inside
    assert f"may change by time at {due:{form}}" in inside
    assert f"because no cart activity since {last:{form}}, for 30 minutes; the cart holds 1 item" in inside
    assert "not in" in paragraphs["repeat_buyer"]
    assert "because 0 × Order Completed within 365 days" in paragraphs["repeat_buyer"]


def test_explain_as_json_agrees_with_itself_and_with_the_words(shop: dict[str, Any]) -> None:
    """Members, and they alone, have a since; every reason holds as its segment does."""
    done = segmenter("explain", MARYAM, "--json", **shop)
    assert (done.code, done.err) == (0, "")
    explanation = json.loads(done.out)
    assert MARYAM in done.out
    assert (explanation["customer_id"], explanation["sequence"]) == (MARYAM, 1)
    assert explanation["partition"] == partition_of(MARYAM.encode())
    assert [membership["segment"] for membership in explanation["segments"]] == sorted(
        oracle.conditions_of(oracle.BUILT_IN)
    )
    words = segmenter("explain", MARYAM, **shop).out
    for membership in explanation["segments"]:
        assert membership["member"] == membership["reason"]["holds"] == ("since" in membership)
        assert (
            f"{membership['segment']} ({membership['title']}): {'in since' if membership['member'] else 'not in'}"
            in words
        )
        assert "due_at" not in membership or membership["due_at"] > explanation["clock"]
        assert membership.get("since", "") <= explanation["instant"] <= explanation["clock"]
    assert [membership["segment"] for membership in explanation["segments"] if membership["member"]] == [
        "abandoned_cart"
    ]


def test_explain_of_somebody_unknown(shop: dict[str, Any]) -> None:
    """The exit code is 1, and a line names the customer."""
    done = segmenter("explain", "ناشناس", **shop)
    assert (done.code, done.out) == (1, "")
    assert_one_line(done.err)
    assert "ناشناس" in done.err


def test_explain_of_a_state_that_is_not_there(shop: dict[str, Any]) -> None:
    """For another prefix or other definitions, a sentence names the setting to look at."""
    elsewhere = segmenter("explain", MARYAM, **{**shop, "redis_prefix": "other:"})
    assert_stopped(elsewhere, "see SEGMENTER_REDIS and SEGMENTER_REDIS_PREFIX")
    assert_stopped(segmenter("explain", MARYAM, **{**shop, "definitions": DEMO}), "SEGMENTER_DEFINITIONS")
    assert segmenter("explain", MARYAM, **shop).code == 0, "with both as they should be"


@pytest.mark.parametrize("name", UNREACHABLE)
def test_what_is_not_there_is_named(
    name: str, unreachable: dict[str, subprocess.Popen[bytes]], shop: dict[str, Any]
) -> None:
    """After some attempts the exit code is 75 and one sentence is printed. With the right setting the command works."""
    out, err = unreachable[name].communicate(timeout=60)
    done = Done(unreachable[name].returncode, out.decode(), err.decode())
    setting = "SEGMENTER_REDIS" if name == "explain" else "SEGMENTER_BROKERS"
    assert_stopped(done, "does not answer", setting)
    if name == "worker":
        with Worker(shop) as worker:
            worker.wait_ready()
    else:
        words = {"tail": ("tail", "--from-beginning", "--count", "1"), "explain": ("explain", MARYAM)}
        right = segmenter(*words.get(name, UNREACHABLE[name]), **shop)
        assert (right.code, "stopped" in right.err) == (0, False), right
