"""Customer ids with characters that mean something to Redis Cluster, URLs, templates, patterns and command lines.

The one rule: an id is text. Whatever it looks like, what is stored, sent, printed and found under it is the customer's.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stderr, redirect_stdout
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
import yaml
from aiohttp import ClientSession, web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from yarl import URL

from local.processes import Ops, Triggers, Worker
from local.servers import Kafka, Redis
from rules.times import format_instant
from streams.cli import explain, main
from streams.cli.input_files import visible
from streams.cli.parser import parser
from streams.http.access import TokenGate
from streams.kafka import admin
from streams.kafka.partitioner import partition_of
from streams.offline import customer_records
from streams.offline.explain import explanation
from streams.ops.api import Api
from streams.ops.auth import guard
from streams.ops.change_feed import ChangeFeed
from streams.ops.metrics import OpsMetrics
from streams.ops.state_poller import StatePoller
from streams.ops.status import OpsStatus
from streams.ops.worker_poller import WorkerPoller
from streams.settings import Settings
from streams.state.redis import RedisStore
from streams.wire import customer_codec
from streams.wire.customer_ids import is_id
from streams.wire.topics import TRIGGERS, WORKERS
from tests.support import live
from tests.support.commands import Done, segmenter
from tests.support.migration_worlds import BOUGHT, engine_of
from tests.support.patience import eventually
from tests.support.store_steps import IDENTITY, POSITIONS, claim, step, stored_customer

# Each means something to one of them: hash tags, formats, templates, Lua patterns, regular expressions, globs, paths.
STRANGE = (
    "{p0}", "a}b", "{}", "{0}", "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "{{ customer }}", "{% raw %}", "${HOME}",
    "%s %(a)s %d", "%2F%2e", "..", ".", "../../etc/passwd", "a/b", "//", "a\\b", "*", "[a-z]*?", "^.*$", "(",
    "+1 (555)",
    "-x", "--", "--json", "-", "@file", "~", "$(id)", "`id`", "a'b\"c", "a b", " a ", "#x", "?id=y&time=z", "a;b,c=d",
    "<b>&amp;", "[bold]x[/bold]", "[link=https://example.com]", "مشتری {۱}", "é\"/", "\u202egnp.exe", "😀{", "%",
    "100%",
    ":", "a:b|c", "segmenter:{p1}:meta", "x" * 256,
)  # fmt: skip
ALPHABET = "{}%$*?[]()^+.-\\/|:;,=&#@!~`'\"<> _aA0é۱\u202e😀"
IDS = st.text(ALPHABET, min_size=1, max_size=40) | st.sampled_from(STRANGE)
OFTEN = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ENGINE = engine_of(buyer=BOUGHT)
TOKEN = "t" * 20


def is_customer(text: str) -> bool:
    """Whether the text is an id, and no placeholder."""
    return is_id(text) and not ENGINE.definitions.placeholders.include(text)


def order(customer_id: str, at: str = "2026-03-01T10:00:00Z") -> dict[str, Any]:
    return {
        "type": "track", "event": "Order Completed", "messageId": f"m-{customer_id}"[:100], "userId": customer_id,
        "timestamp": at, "properties": {"order_id": f"o-{customer_id}", "total": 1},
    }  # fmt: skip


# --- what takes and prints an id, without servers ----------------------------------------------


@given(IDS, IDS)
@example("a", "--")
@example("--", "--json")
@OFTEN
def test_a_command_line_takes_every_id(customer_id: str, other: str) -> None:
    """An id stands behind two dashes as it is, beside options before them."""
    for command in ("explain", "export", "erase"):
        assert parser().parse_args([command, "--", customer_id]).customer == customer_id
    arguments = parser().parse_args(["unlink", "--wait", "3", "--", customer_id, other])
    assert (arguments.customer, arguments.other, arguments.wait) == (customer_id, other, 3)


@pytest.mark.parametrize("command", ["explain", "export", "erase", "unlink x"])
def test_bytes_that_are_no_text_are_no_id(command: str) -> None:
    """Bytes that are no UTF-8 give one line, and no traceback."""
    done = segmenter(*command.split(), "\udcff\udcfe")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"an id is text in UTF-8 (see segmenter {command.split(maxsplit=1)[0]} --help)\n")


def test_replay_prints_every_id_as_it_came(tmp_path: Path) -> None:
    """Each id stands on each of its changes, and on no other."""
    named = [customer_id for customer_id in STRANGE if is_customer(customer_id)]
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "segments": {"buyer": {"title": "Buyer", "when": BOUGHT}}}))
    events = "".join(json.dumps(order(customer_id)) + "\n" for customer_id in named).encode()
    done = segmenter("replay", "-", "--definitions", str(path), stdin=events)
    assert done.err == ""
    assert [json.loads(line)["customer_id"] for line in done.out.splitlines()] == named


@given(IDS)
@OFTEN
def test_explain_prints_what_turns_no_line_around(customer_id: str) -> None:
    """The id is printed without characters that steer a terminal."""
    value = customer_codec.encode(ENGINE.new())
    meta = {"definitions": ENGINE.definitions.fingerprint}
    line = explain.lines(explanation(ENGINE, customer_id, 0, value, meta, {}), "en")[0]
    assert line == f"customer   {visible(customer_id)}"
    assert "\u202e" not in line
    assert visible(customer_id) == customer_id.replace("\u202e", "�")


@given(IDS)
@OFTEN
def test_dead_letters_of_a_customer_are_those_that_name_it(customer_id: str) -> None:
    """Dead letters are found however a JSON encoder writes the id."""
    spellings = customer_records._spellings(customer_id)
    for is_ascii in (True, False):
        encoded = json.dumps({"userId": customer_id}, ensure_ascii=is_ascii)
        for text in (encoded, encoded.replace("/", "\\/")):
            assert any(spelling in text.encode() for spelling in spellings)
            assert json.loads(text)["userId"] == customer_id


# --- the page's API on a real Redis ------------------------------------------------------------


class Answers:
    """The API in this process, and a client."""

    def __init__(self, session: ClientSession, address: str, store: RedisStore) -> None:
        self._session = session
        self._address = address
        self.store = store
        self._saves = [0] * 4

    async def put(self, customer_id: str) -> None:
        """Store a customer."""
        partition = partition_of(customer_id, 4)
        identity = msgspec.structs.replace(IDENTITY, definitions=ENGINE.definitions.fingerprint)
        if not self._saves[partition]:
            await self.store.claim(claim(partition=partition, identity=identity))
            await self.store.begin(claim(partition=partition, identity=identity), POSITIONS)
        self._saves[partition] += 1
        content = step(
            self._saves[partition], customers=[stored_customer(customer_id, customer_codec.encode(ENGINE.new()))]
        )
        assert await self.store.save(partition, content) == "saved"

    async def get(self, path: str) -> tuple[int, Any]:
        """The status and JSON of an answer; the path is sent as it stands."""
        url = URL(f"http://{self._address}{path}", encoded=True)
        async with self._session.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def answers(redis_store: RedisStore) -> AsyncIterator[Answers]:
    known_settings, metrics = Settings(partitions=4), OpsMetrics()
    feed = ChangeFeed({}, "", 4, lambda: 0)
    poller = StatePoller(known_settings, redis_store, ENGINE, 4, metrics, lambda: 0)
    status = OpsStatus(feed, poller, WorkerPoller([], lambda: 0.0), ENGINE.definitions.segments, 3.0, lambda: 0)
    app = web.Application(middlewares=[guard(TokenGate(TOKEN, metrics.refused), 1e9, metrics.refused)])
    app.add_routes(Api(status, {}, "").routes())
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with ClientSession() as session:
        host, port = runner.addresses[0]
        yield Answers(session, f"{host}:{port}", redis_store)
    await runner.cleanup()


def drawn(count: int) -> list[str]:
    """Random ids of the alphabet above, always the same."""
    import random  # noqa: PLC0415

    rng = random.Random(count)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(1, 30))) for _ in range(count)]


async def test_the_page_finds_every_id(answers: Answers) -> None:
    """Each id is found in the path and in the query, and one that is not stored is not found."""
    ids = [customer_id for customer_id in (*STRANGE, *drawn(200)) if is_id(customer_id)]
    for customer_id in ids:
        await answers.put(customer_id)
    for customer_id in ids:
        wanted = (HTTPStatus.OK, customer_id)
        for path in (
            f"/api/customers/{quote(customer_id, safe='')}?lang=fa",
            f"/api/customer?{urlencode({'id': customer_id})}",
        ):
            status, body = await answers.get(path)
            assert (status, body.get("customer_id")) == wanted, path
        missing = f"{customer_id[:100]}§"
        status, body = await answers.get(f"/api/customers/{quote(missing, safe='')}")
        assert (status, body["error"]) == (HTTPStatus.NOT_FOUND, f"no customer {missing}")


async def test_bytes_that_are_no_text_are_nobody(answers: Answers) -> None:
    """Bad bytes and the empty text are no customer; a path with more in it is another path."""
    for path in (
        "/api/customers/%FF%FE",
        "/api/customer",
        "/api/customer?id=",
        "/api/customer?id=%FF",
        "/api/customers/a/b",
    ):
        status, body = await answers.get(path)
        assert (status, set(body)) == (HTTPStatus.NOT_FOUND, {"error"}), path


def test_the_page_asks_by_the_query() -> None:
    """The page looks up by the query, as a browser resolves . and .. in a path, escaped ones, too."""
    scripts = sorted((Path(admin.__file__).parent.parent / "ops" / "static").glob("*.js"))
    page = "\n".join(script.read_text("utf-8") for script in scripts)
    assert "`/api/customer?id=${id}" in page
    assert "`/api/customer/at?id=${id}" in page
    assert "/api/customers/" not in page


# --- every command, on real parts --------------------------------------------------------------

LIVE = tuple(customer_id for customer_id in STRANGE if customer_id in {
    "{p0}", "a}b", "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "{{ customer }}", "%s %(a)s %d", "%2F%2e", "..",
    "../../etc/passwd", "[a-z]*?", "-x", "--", "--json", "a'b\"c", " a ", "?id=y&time=z", "[bold]x[/bold]",
    "مشتری {۱}", "é\"/", "\u202egnp.exe", "segmenter:{p1}:meta",
})  # fmt: skip


class Shop:
    """A worker and triggers that read the ids above."""

    triggers: Triggers

    def __init__(self, kafka: Kafka, redis_server: Redis, folder: Path) -> None:
        name = "strange-ids"
        segments, triggers = folder / "segments.yaml", folder / "triggers.yaml"
        bought = {"performed": {"event": "Order Completed", "within": "3000d"}}
        segments.write_text(yaml.safe_dump({"version": 1, "segments": {"buyer": {"title": "Buyer", "when": bought}}}))
        trigger = {"segment": "buyer", "channel": "log", "template": {"text": "for {{ customer }}"}}
        channels = {"log": {"kind": "console"}}
        triggers.write_text(yaml.safe_dump({"version": 1, "channels": channels, "triggers": {"hello": trigger}}))
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis_server.url, "partitions": live.PARTITIONS, "session_timeout_s": 3,
            "topic_prefix": f"{name}-", "group": name, "redis_prefix": f"{name}:", "definitions": segments,
            "triggers": triggers,
        }  # fmt: skip
        admin.create(Settings(**self.settings), (*WORKERS, *TRIGGERS))

    def run(self, *arguments: str) -> Done:
        """Run a command in this process, as there are many."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
            for name, value in self.settings.items():
                patched.setenv(f"SEGMENTER_{name.upper()}", str(value))
            return Done(main.run(arguments), out.getvalue(), err.getvalue())

    def customers_of(self, topic: str) -> list[str]:
        """The customer ids on a topic of JSON."""
        records = live.read_topic(self.settings["brokers"], self.settings["topic_prefix"] + topic)
        return [json.loads(record.value)["customer_id"] for record in records if record.value]


@pytest.fixture(scope="module")
def shop(kafka: Kafka, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(kafka, redis_server, tmp_path_factory.mktemp("ids"))
    with Worker(shop.settings) as worker, Triggers(shop.settings) as shop.triggers:
        worker.wait_ready()
        shop.triggers.wait_ready()
        now = format_instant(int(time.time() * 1000) - 1_000)
        orders = "".join(json.dumps(order(customer_id, now)) + "\n" for customer_id in LIVE).encode()
        done = segmenter("publish", "-", stdin=orders, **shop.settings)
        assert (done.code, done.err) == (0, f"{len(LIVE)} events published, 0 lines refused\n"), done
        eventually(lambda: set(LIVE) <= set(shop.customers_of("segment-changes")), 90)
        yield shop


@pytest.mark.kafka
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.nightly)])
def test_commands_find_every_id(shop: Shop, every: int) -> None:
    """Explain and export say what is known of exactly that customer."""
    for customer_id in LIVE[::every]:
        done = shop.run("explain", "--json", "--", customer_id)
        assert (done.code, json.loads(done.out)["customer_id"]) == (0, customer_id), done
        assert [segment["member"] for segment in json.loads(done.out)["segments"]] == [True]
        exported = json.loads(shop.run("export", "--", customer_id).out)
        assert exported["customer_id"] == exported["segments"]["customer_id"] == customer_id
        assert {name.removeprefix("strange-ids-") for name in exported["topics"]} >= {"purchases", "segment-changes"}


@pytest.mark.kafka
def test_the_page_of_a_running_shop_finds_every_id(shop: Shop) -> None:
    """Each id is found as stored, and as published at a past time."""
    import urllib.request  # noqa: PLC0415

    with Ops({**shop.settings, "ops_http": "127.0.0.1:0", "ops_token": TOKEN, "ops_workers": "127.0.0.1:9"}) as ops:
        ops.wait_ready()
        for customer_id in LIVE:
            for path, more in (("", {}), ("/at", {"time": "2030-01-01T00:00:00Z"})):
                url = f"http://{ops.http}/api/customer{path}?{urlencode({'id': customer_id, **more})}"
                request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    assert json.loads(answer.read())["customer_id"] == customer_id


@pytest.mark.kafka
def test_triggers_write_to_every_id(shop: Shop) -> None:
    """Each id gets its own message, in which the id is text and no template."""
    eventually(lambda: set(LIVE) <= set(shop.customers_of("trigger-decisions")), 60)
    output = shop.triggers.log.read_text("utf-8")
    for customer_id in LIVE:
        line = f"hello → {customer_id}: for {customer_id}"
        written = line if line.isprintable() else line.encode("unicode_escape").decode("ascii")
        assert written in output.splitlines(), customer_id


@pytest.mark.kafka
def test_ids_are_parted_and_erased(shop: Shop) -> None:
    """Each request changes its own ids and no others, and verify finds no difference. It runs last."""
    for customer_id, other in zip(LIVE[:6:2], LIVE[1:6:2], strict=True):
        done = shop.run("unlink", "--", customer_id, other)
        assert done.code == 0, done
        assert "\nparted    " in done.out, done  # long lines before it may be wrapped
    for customer_id in LIVE[4::3]:
        done = shop.run("erase", "--", customer_id)
        assert done.code == 0, done
        assert "gone      Redis: no profile, no due times, no records to be published" in done.out
        assert shop.run("explain", "--", customer_id).err == f"segmenter explain: no customer {visible(customer_id)}\n"
    left = [customer_id for customer_id in LIVE if customer_id not in LIVE[4::3]]
    assert all(
        json.loads(shop.run("explain", "--json", "--", customer_id).out)["customer_id"] == customer_id
        for customer_id in left
    )
    done = shop.run("verify")
    assert done.code == 0, done
