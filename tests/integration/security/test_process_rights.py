"""Every process and command, whole, as its own user of docs/operations/rights.md, on an Apache Kafka that authorizes.

Kafka and Redis themselves show which right allowed each request: Redis notes what it refuses, and Kafka's
authorizer logs the rule by which it allowed or denied each request.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from kafka import KafkaProducer

from local.postgres import Postgres
from local.processes import Gateway, Ops, Triggers, Worker
from local.server_process import free_port
from streams.kafka import admin as topics
from streams.rights.process_rights import NEEDS, USERS, WORKER
from streams.settings import Settings
from streams.state.redis_reader import key
from streams.stop import Stop
from tests.support import user_rights
from tests.support.commands import assert_one_line, event, line, moved_to_now, segmenter
from tests.support.gateways import SHOP_KEY, send
from tests.support.patience import eventually
from tests.support.servers_with_rights import PARTITIONS, TOKEN, Servers, get, granted_servers
from tests.support.user_rights import Granted

pytestmark = pytest.mark.kafka

SEGMENTS = """
version: 1
currency: EUR
segments:
  buyer: {title: Buyer, when: {performed: {event: Order Completed, within: 30d}}}
  spender: {title: Spender, when: {total: {agg: sum, of: total, event: Order Completed, at_least: 1}}}
  visitor: {title: Visitor, when: {performed: {event: Product Viewed, within: 30d}}}
  idle: {title: Idle, when: {cart: {idle_for: 1s, until: 2s}}}
"""
TRIGGERS_FILE = """
version: 1
contact: {{email: email}}
channels:
  screen: {{kind: console}}
  bot: {{kind: webhook, url: "http://127.0.0.1:{port}/", secrets: [{{env: BOT_SECRET}}], allow_private: true,
         timeout: 1s, retry: {{attempts: 1, first: 100ms, most: 100ms}}}}
triggers:
  show: {{segment: buyer, channel: screen}}
  call: {{segment: buyer, channel: bot}}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("rights")
    (folder / "segments.yaml").write_text(SEGMENTS)
    (folder / "triggers.yaml").write_text(TRIGGERS_FILE.format(port=free_port()))
    with granted_servers(folder) as running:
        yield running


# --- one whole run -----------------------------------------------------------------------------


def history() -> list[dict[str, Any]]:
    """Events of all inputs: orders, carts, views, traits, ids linked over partitions, and others to be parted."""
    events: list[dict[str, Any]] = []
    for name in ("ann", "bob", "cleo", "dan", "eve"):
        events += [
            event(name, 1, "Product Viewed", 0, product_id="p1"),
            event(name, 2, "Product Added", 1, product_id="p1"),
            event(name, 3, "Order Completed", 2, order_id=f"o-{name}", total=10, currency="EUR"),
            {**event(name, 4, "page", 3), "type": "identify", "traits": {"email": f"{name}@example.com"}},
            {**event(name, 5, "Product Viewed", 4), "anonymousId": f"cookie-of-{name}"},
        ]
    return [*moved_to_now(*events), alias("zoe", "ann")]


def alias(into: str, former: str) -> dict[str, Any]:
    (link,) = moved_to_now({**event(into, 9, "page", 10), "type": "alias", "previousId": former})
    return link


def publish(servers: Servers, events: Sequence[Mapping[str, Any]]) -> None:
    file = servers.folder / "events.jsonl"
    file.write_bytes(b"".join(line(event) + b"\n" for event in events))
    done = servers.run("publish", str(file))
    assert done.code == 0, done.err


def spoil(servers: Servers) -> None:
    """Write a record that is no event, by another producer than ours."""
    producer: Any = KafkaProducer(bootstrap_servers=servers.kafka.address)
    producer.send("visits", key=b"a", value=b"{")
    producer.flush()
    producer.close()


def test_everything_runs_as_its_user(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is refused, and there is no right of Kafka by which nothing was done."""
    monkeypatch.setenv("BOT_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    created = servers.run("topics", "create", "--triggers")
    assert created.code == 0, created.err
    assert servers.run("topics", "verify", "--triggers").code == 0
    assert_doctor_is_content(servers)
    publish(servers, history())
    spoil(servers)
    worker = servers.process(Worker, "segmenter-worker", "worker")
    triggers = servers.process(Triggers, "segmenter-triggers", "triggers")
    with worker, triggers:
        worker.wait_ready()
        triggers.wait_ready()
        eventually(lambda: "serving metrics and health" in worker.log.read_text(), 10)
        looks = {"ops_http": "127.0.0.1:0", "ops_token": TOKEN, "ops_workers": worker.http}
        with servers.process(Ops, "segmenter-ops", "ops", **looks) as ops:
            ops.wait_ready()
            assert_commands_run(servers)
            assert_gateway_runs(servers, monkeypatch)
            with Postgres() as database:
                done = segmenter("sink", "--once", **servers.settings("segmenter-sink", postgres=database.url))
                assert done.code == 0, done.err
            assert_doctor_is_content(servers)
            assert_page_is_served(ops)
            assert ops.stop() == 0
        assert (worker.stop(), triggers.stop()) == (0, 0)
    worker = servers.process(Worker, "segmenter-worker", "rebuilt", "--rebuild")
    triggers = servers.process(Triggers, "segmenter-triggers", "triggers-again")
    with worker, triggers:
        worker.wait_ready()
        triggers.wait_ready()
        eventually(lambda: worker.log.read_text().count("rebuild result in use") == PARTITIONS, 60)
        publish(servers, moved_to_now(event("fay", 1, "Order Completed", 11, order_id="o-fay", total=1)))
        eventually(lambda: decisions_on(servers, "fay"), 60)
        eventually(lambda: servers.run("verify").out.endswith("equal\n"), 60)
        assert (worker.stop(), triggers.stop()) == (0, 0)
    assert servers.redis.acl_log() == []
    denied, allowed = servers.decided()
    assert denied == []
    assert {right for right in user_rights.kafka_rights() if right not in allowed} == set()


def assert_gateway_runs(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send an event through a gateway, and ask of its customer."""
    monkeypatch.setenv("SHOP_KEY", SHOP_KEY)
    file = servers.folder / "gateway.yaml"
    file.write_text('{"version": 1, "keys": {"shop": {"kind": "server", "key": {"env": "SHOP_KEY"}}}}')
    settings = {"gateway": file, "gateway_http": "127.0.0.1:0", "http": "127.0.0.1:0"}
    with servers.process(Gateway, "segmenter-gateway", "gateway", **settings) as gateway:
        gateway.wait_ready()
        address = gateway.log.read_text().rpartition("segmenter gateway: http://")[2].split()[0]
        for kind in ("identify", "page"):
            assert send(address, f"/v1/{kind}", {"userId": "gwen", "traits": {"a": 1}}, SHOP_KEY).status == 200
        for name in ("Order Completed", "Product Added"):
            assert send(address, "/v1/track", {"userId": "gwen", "event": name}, SHOP_KEY).status == 200
        eventually(lambda: send(address, "/v1/customers/gwen", key=SHOP_KEY).body["segments"] != [], 30)
        assert gateway.stop() == 0


def decisions_on(servers: Servers, customer: str) -> bool:
    """Whether triggers have decided on a customer."""
    exported = servers.run("export", customer)
    return exported.code == 0 and "trigger-decisions" in json.loads(exported.out)["topics"]


def assert_commands_run(servers: Servers) -> None:
    """Run the commands on what a worker and triggers have made."""
    eventually(lambda: servers.run("verify").code == 0, 60)
    tail = servers.run("tail", "--from-beginning", "--count", "5")
    assert (tail.code, tail.out.count("\n")) == (0, 5), tail.err
    for arguments, words in (
        (("explain", "bob"), "buyer"),
        (("distribution", "--of", "spender"), "customers  "),
        (("diff", str(servers.folder / "segments.yaml"), str(servers.folder / "segments.yaml"), "--topics"), ""),
        (("export", "bob"), "bob@example.com"),
    ):
        done = servers.run(*arguments)
        assert done.code == 0, (arguments, done)
        assert words in done.out
    eventually(lambda: "trigger-dead-letters" in servers.run("export", "bob").out, 60)
    redelivered = servers.run("redeliver")
    assert redelivered.code == 0
    assert re.match(r"[1-9]\d* messages handed to triggers", redelivered.err)
    erased = servers.run("erase", "cleo", "--wait", "60")
    assert erased.code == 0, erased
    assert "not known here" not in erased.out
    parted = servers.run("unlink", "zoe", "ann", "--wait", "60")
    assert parted.code == 0, parted


def assert_doctor_is_content(servers: Servers) -> None:
    """Run `doctor` with the rights of each process, before it ever ran and beside it."""
    for process in ("worker", "triggers"):
        done = servers.run("doctor", process)
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith("\nno problems, no warnings\n"), done.out
        assert "Kafka rights   all that the process needs" in done.out
        assert "Redis rights   all that the process needs" in done.out


def assert_page_is_served(ops: Worker) -> None:
    """Read each part of the API that the operations page uses."""
    eventually(
        lambda: all(segment["members"] is not None for segment in get(ops.http, "/api/segments")["segments"]), 60
    )
    assert get(ops.http, "/api/customers/bob")["customer_id"] == "bob"
    assert get(ops.http, "/api/customers/bob/at?time=2100-01-01T00:00:00Z")["segments"]
    eventually(lambda: get(ops.http, "/api/dead-letters")["letters"], 30)
    assert get(ops.http, "/api/status")["state"]


# --- a right that is missing -------------------------------------------------------------------


@contextlib.contextmanager
def without(servers: Servers, right: Granted) -> Iterator[None]:
    """Withdraw this right for a while."""
    user_rights.withdraw_kafka(servers.admin, right)
    try:
        yield
    finally:
        user_rights.grant_kafka(servers.admin, [right])


@pytest.fixture
def topics_there(servers: Servers) -> None:
    """Create all topics, whichever test came before."""
    assert servers.run("topics", "create", "--triggers").code == 0


def one_of_each() -> list[Granted]:
    """The first right of each user for each operation that is needed at once."""
    first_rights: dict[tuple[str, str], Granted] = {}
    for right in user_rights.kafka_rights():
        if right.kind == "topic" and right.operation in ("READ", "WRITE", "DESCRIBE"):
            first_rights.setdefault((right.user, right.operation), right)
    return list(first_rights.values())


def test_what_kafka_does_not_allow_is_named(servers: Servers, topics_there: None) -> None:
    """The operation and the topic are named before anything is begun; other topics of the user are not."""
    cases = one_of_each()
    assert len(cases) >= 9
    for right in cases:
        (user,) = (user for user in USERS if user.name == right.user)
        settings = Settings(**servers.settings(user.name))
        with without(servers, right), pytest.raises(Stop) as refused:
            topics.verify(settings, user.needs.topics)
        sentence = f"Kafka does not allow this user {right.operation} of {right.name}"
        assert str(refused.value) == f"{sentence}: see docs/operations/rights.md, then start again"
        topics.verify(settings, user.needs.topics)


def test_settings_of_topics_that_may_not_be_read(
    servers: Servers, topics_there: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The right is named and the process goes on: a too large record is reported when it is published."""
    right = right_of("segmenter-worker", "DESCRIBE_CONFIGS", "merges")
    with without(servers, right):
        topics.verify(Settings(**servers.settings(right.user)), NEEDS[WORKER].topics)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "streams.kafka.admin"]
    assert warning.startswith(
        "Kafka does not allow this user DESCRIBE_CONFIGS of merges, so these topics are not checked"
    )
    assert warning.endswith(": see docs/operations/rights.md")


def test_doctor_names_each_right_of_kafka(servers: Servers, topics_there: None) -> None:
    """The rights of the group and the transactional ids are named as well, which no other command tries."""
    cases = [right for right in one_of_each() if right.user in ("segmenter-worker", "segmenter-triggers")]
    cases += [right for right in user_rights.kafka_rights() if right.kind != "topic"]
    assert {right.kind for right in cases} == {"topic", "group", "transactional-id"}
    for right in cases:
        process = right.user.removeprefix("segmenter-")
        with without(servers, right):
            done = servers.run("doctor", process)
        (problem,) = re.findall(r"^problem +Kafka rights +((?:.+\n)(?: {24}.+\n)*)", done.out, re.MULTILINE)
        assert f"this user {right.operation} of " in problem
        assert right.name in problem
        assert "see docs/operations/rights.md" in " ".join(problem.split())
        assert done.code == 1


def test_doctor_warns_of_topics_that_it_cannot_check(servers: Servers, topics_there: None) -> None:
    """A missing DESCRIBE_CONFIGS is a warning, as a worker runs without it."""
    right = right_of("segmenter-worker", "DESCRIBE_CONFIGS", "merges")
    with without(servers, right):
        done = servers.run("doctor", "worker")
    output = " ".join(done.out.split())
    assert (
        "warning Kafka rights Kafka does not allow this user DESCRIBE_CONFIGS of merges, so these topics are" in output
    )
    assert done.code == 0


def test_doctor_names_each_right_of_redis(servers: Servers, topics_there: None) -> None:
    """Each missing command and key pattern of each process is named; nothing stays of the attempts."""
    rules = user_rights.redis_rules(servers.redis)
    before = set(servers.redis.keys("*"))
    for process in ("worker", "triggers"):
        user = f"segmenter-{process}"
        try:
            for missing in [rule for rule in rules[user] if rule[0] in "+~%"]:
                rest = [rule for rule in rules[user] if rule != missing]
                servers.redis.execute_command("ACL", "SETUSER", user, *rest)
                done = servers.run("doctor", process)
                output = " ".join(done.out.split())
                name = f"keys ~{missing.partition('~')[2]}" if "~" in missing else missing
                problem = f"problem Redis rights Redis does not allow this user {name}: give it"
                assert f"{problem}, see docs/operations/rights.md" in output
                assert (done.code, done.err) == (1, "")
        finally:
            servers.redis.execute_command("ACL", "SETUSER", user, *rules[user])
    assert set(servers.redis.keys("*")) == before


@pytest.mark.parametrize("setting", ["kafka_password", "redis_password"])
def test_doctor_names_a_wrong_password(setting: str, servers: Servers, topics_there: None) -> None:
    """The setting is named without the password; what the other server says is ok."""
    wrong: dict[str, Any] = {setting: "a-wrong-password"}
    if setting == "redis_password":
        wrong["redis"] = servers.settings("segmenter-worker")["redis"].replace(f":{user_rights.PASSWORD}@", "@")
    done = servers.run("doctor", "worker", **wrong)
    (problem,) = re.findall(r"^problem +((?:.+\n)(?: {24}.+\n)*)", done.out, re.MULTILINE)
    assert f"SEGMENTER_{setting.upper()}" in problem
    assert "a-wrong-password" not in done.out
    assert user_rights.PASSWORD not in done.out
    assert done.code == 1


def right_of(user: str, operation: str, name: str) -> Granted:
    (granted,) = (
        right
        for right in user_rights.kafka_rights()
        if (right.user, right.operation, right.name) == (user, operation, name)
    )
    return granted


def assert_stopped_for(process: Worker, words: str) -> None:
    """The process ends by itself, with one sentence that says this, and without a traceback."""
    eventually(lambda: process.exit_code is not None, 20)
    log = process.log.read_text()
    (sentence,) = [row for row in log.splitlines() if row.startswith("segmenter stopped: ")]
    assert process.exit_code == 75
    assert f"Kafka does not allow this user {words}" in sentence
    assert "see docs/operations/rights.md" in sentence
    assert "Traceback" not in log


def order(name: str) -> dict[str, Any]:
    (purchase,) = moved_to_now(event(name, 1, "Order Completed", 0, order_id=f"o-{name}", total=1))
    return purchase


def is_buyer(servers: Servers, name: str) -> bool:
    return "segments   buyer" in servers.run("explain", name).out


def test_a_worker_without_a_right(servers: Servers, topics_there: None) -> None:
    """A worker stops and names the right, missing or withdrawn; with it, a worker decides what came."""
    user = "segmenter-worker"
    publish(servers, [order("gil")])
    for name, kind, words in (
        ("segmenter", "group", "READ of the group"),
        ("segmenter-segment-changes-", "transactions", "WRITE of the transactional id"),
    ):
        worker = servers.process(Worker, user, f"without-{kind}")
        with without(servers, right_of(user, "READ" if kind == "group" else "WRITE", name)), worker:
            assert_stopped_for(worker, words)
    with servers.process(Worker, user, "loses-writing") as worker:
        eventually(lambda: is_buyer(servers, "gil"), 60)
        with without(servers, right_of(user, "WRITE", "segment-memberships")):
            publish(servers, [order("hal")])
            assert_stopped_for(worker, "WRITE of the topic")
    with servers.process(Worker, user, "loses-reading") as worker:
        eventually(lambda: is_buyer(servers, "hal"), 60)
        eventually(lambda: "segment-memberships" in servers.run("export", "hal").out, 60)
        with without(servers, right_of(user, "READ", "visits")):
            assert_stopped_for(worker, "READ of the topic visits")


def test_the_page_loses_a_right(servers: Servers, topics_there: None) -> None:
    """The operations process stops with one sentence that names the right."""
    user = "segmenter-ops"
    with servers.process(Ops, user, "loses-changes", ops_http="127.0.0.1:0", ops_token=TOKEN) as ops:
        ops.wait_ready()
        eventually(lambda: not get(ops.http, "/api/status")["stale"], 30)
        with without(servers, right_of(user, "READ", "segment-changes")):
            assert_stopped_for(ops, "READ of the topic")


@pytest.mark.parametrize(
    ("user", "command"), [("segmenter-ops", "info"), ("segmenter-ops", "hscan"), ("segmenter-reader", "hmget")]
)
def test_what_redis_does_not_allow_is_named(user: str, command: str, servers: Servers, topics_there: None) -> None:
    """The page, which could retry, and a command stop and name the right. With it they work."""
    ops = servers.process(Ops, user, f"without-{command}", ops_http="127.0.0.1:0", ops_token=TOKEN)
    servers.redis.execute_command("ACL", "SETUSER", user, f"-{command}")
    try:
        if user == "segmenter-ops":
            with ops:
                eventually(lambda: ops.exit_code is not None, 10)
            sentence, code = ops.log.read_text().splitlines()[-1] + "\n", ops.exit_code
            assert "Traceback" not in ops.log.read_text()
        else:
            servers.redis.hset(key("segmenter:", 0, "meta"), "partitions", PARTITIONS)
            code, _, sentence = servers.run("explain", "bob")
    finally:
        servers.redis.execute_command("ACL", "SETUSER", user, f"+{command}")
    assert code == 75
    assert_one_line(sentence)
    assert sentence.startswith(f"segmenter stopped: Redis does not allow this user +{command} (")
    assert sentence.endswith("): see docs/operations/rights.md, then start again\n")
    if user == "segmenter-ops":
        ops.log.write_text("")
        with ops:
            ops.wait_ready()
            eventually(lambda: not get(ops.http, "/api/status")["stale"], 30)
    else:
        assert servers.run("explain", "bob").code != 75
