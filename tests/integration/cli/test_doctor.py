"""``segmenter doctor`` on real servers, each of which is wrong in one way.

A finding is judged by the printed line and by the exit code; all other checks stay ok.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from fault_runs import clock_faults
from local.server_process import Server
from local.servers import Kafka, Redis, RedisCluster, Tansu
from streams.cli import doctor, main
from streams.kafka import admin
from streams.settings import Settings
from streams.state.redis_reader import key
from streams.wire.topics import ALL
from tests.support.commands import command, environment, shop_on
from tests.support.patience import PATIENCE

TRIGGERS = "triggers: {show: {segment: abandoned_cart, channel: screen}}\n"
SECRET = "not-to-be-printed"
NOBODY = "127.0.0.1:1"  # a privileged port on which nothing listens


class Report(NamedTuple):
    """A run: its exit code, and the lines, each with the state before it."""

    code: int
    lines: list[str]

    def of(self, state: str) -> list[str]:
        return [line.removeprefix(state).strip() for line in self.lines if line.startswith(state)]


Run = Callable[..., Report]


def parsed(code: int, out: str) -> Report:
    """The report of a run, its wrapped lines joined again; the last line counts the problems."""
    *lines, last = re.sub(r"\n {24}", " ", out).splitlines()
    assert re.fullmatch(r"(no|\d+) problems?, (no|\d+) warnings?", last)
    assert all(re.match("(ok|warning|problem) +[A-Z]?[a-z]", line) for line in lines), out
    assert (code, "no problems" in last) in ((0, True), (1, False))
    return Report(code, lines)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, under these settings alone."""

    def in_process(*arguments: str, **settings: Any) -> Report:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("SEGMENTER_")]:
                patch.delenv(name)
            for name, value in settings.items():
                patch.setenv(f"SEGMENTER_{name.upper()}", str(value))
            code = main.run(["doctor", *arguments])
        out, err = capsys.readouterr()
        assert err == ""
        assert SECRET not in out
        return parsed(code, out)

    return in_process


@pytest.fixture
def shop(tansu: Tansu, redis_server: Redis) -> dict[str, Any]:
    """Settings under which all is well."""
    settings = shop_on(tansu, "doctor", redis_server.url)
    admin.create(Settings(**settings), ALL)
    return settings


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Stop a server's process: it accepts connections and answers nothing."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


# --- all is well -------------------------------------------------------------------------------


def test_all_is_well(shop: dict[str, Any], run: Run, redis_server: Redis, tansu: Tansu, tmp_path: Path) -> None:
    """All checks of both processes pass; nothing is left in Redis, and no topic is created."""
    triggers = tmp_path / "triggers.yaml"
    triggers.write_text("version: 1\nchannels: {screen: {kind: console}}\n" + TRIGGERS)
    client = redis.Redis.from_url(redis_server.url)
    before = set(client.keys("*"))
    until = time.monotonic() + PATIENCE
    for arguments, more in ((), {}), (("triggers",), {"triggers": triggers}):
        report = run(*arguments, **shop, **more)
        while time.monotonic() < until and len(report.of("ok")) < len(report.lines):
            report = run(*arguments, **shop, **more)  # a busy machine may answer late, of which it warns
        assert report.code == 0
        assert len(report.of("ok")) == len(report.lines) >= 10, report.lines
    assert set(client.keys("*")) == before
    kafka: Any = KafkaAdminClient(bootstrap_servers=tansu.address)
    assert {topic["name"] for topic in kafka.describe_topics() if topic["name"].startswith(shop["topic_prefix"])} == {
        shop["topic_prefix"] + name for name in ALL
    }
    kafka.close()


# --- what cannot be reached --------------------------------------------------------------------


def test_a_kafka_that_is_not_there(shop: dict[str, Any], run: Run) -> None:
    """Kafka's absence is reported within seconds; all checks that do not need it are ok."""
    began = time.monotonic()
    report = run(**{**shop, "brokers": NOBODY})
    assert time.monotonic() - began < 10
    (problem,) = report.of("problem")
    assert problem.startswith(f"Kafka          Kafka at {NOBODY} does not answer")
    assert problem.endswith("see SEGMENTER_BROKERS")
    assert "Redis rights   all that the process needs" in report.of("ok")


def test_a_redis_that_is_not_there(shop: dict[str, Any], run: Run) -> None:
    """Redis's absence is reported within seconds; all checks that do not need it are ok."""
    began = time.monotonic()
    report = run(**{**shop, "redis": f"redis://user:{SECRET}@{NOBODY}/0"})
    assert time.monotonic() - began < 10
    (problem,) = report.of("problem")
    assert problem.startswith(f"Redis          Redis at {NOBODY} cannot be used")
    assert problem.endswith("see SEGMENTER_REDIS")
    assert any(line.startswith("topics") for line in report.of("ok"))


def test_servers_that_say_nothing(run: Run) -> None:
    """Servers which accept connections and answer nothing cost a few seconds each."""
    with Tansu() as tansu, Redis() as store:
        given = shop_on(tansu, "silent", store.url)
        with paused(tansu), paused(store):
            began = time.monotonic()
            report = run(**given)
            assert time.monotonic() - began < 20
    problems = report.of("problem")
    assert len(problems) == 2
    assert "does not answer" in problems[0]
    assert re.search("no answer within|Timeout", problems[1])


def test_a_wrong_password_of_redis(shop: dict[str, Any], run: Run) -> None:
    """A wrong password is named as the problem, and is not printed."""
    with Redis() as store:
        redis.Redis.from_url(store.url).config_set("requirepass", "right")
        report = run(**{**shop, "redis": store.url, "redis_password": SECRET})
    (problem,) = report.of("problem")
    assert "AuthenticationError" in problem
    assert problem.endswith("see SEGMENTER_REDIS_PASSWORD")


# --- topics ------------------------------------------------------------------------------------


def test_topics_that_are_missing(tansu: Tansu, redis_server: Redis, run: Run) -> None:
    """Missing topics are listed by name, with the command that creates them."""
    given = shop_on(tansu, "missing", redis_server.url)
    admin.create(Settings(**given), [name for name in ALL if name not in ("visits", "trigger-replays")])
    (problem,) = run(**given).of("problem")
    assert problem == f"topics         missing: {given['topic_prefix']}visits; run `segmenter topics create`"
    (*_, problem) = run("triggers", **given).of("problem")
    missing = f"{given['topic_prefix']}trigger-replays, {given['topic_prefix']}visits"
    assert problem.endswith(f"missing: {missing}; run `segmenter topics create --triggers`")


def test_topics_with_different_numbers_of_partitions(tansu: Tansu, redis_server: Redis, run: Run) -> None:
    """Each topic is listed with its number of partitions."""
    given = shop_on(tansu, "uneven", redis_server.url)
    kafka: Any = KafkaAdminClient(bootstrap_servers=tansu.address)
    kafka.create_topics([NewTopic(f"{given['topic_prefix']}carts", 2, 1)])
    kafka.close()
    admin.create(Settings(**given))
    (problem,) = run(**given).of("problem")
    assert f"{given['topic_prefix']}carts 2" in problem
    assert f"{given['topic_prefix']}visits 4" in problem
    assert "topics copy --to" in problem


@pytest.mark.kafka
def test_settings_of_topics(kafka: Kafka, redis_server: Redis, run: Run) -> None:
    """Each setting that differs from what `topics create` sets is reported."""
    given: dict[str, Any] = {"brokers": kafka.address, "redis": redis_server.url, "partitions": 2}
    given |= {"topic_prefix": "settings-", "redis_prefix": "settings:"}
    admin.create(Settings(**given))
    assert run(**given).code == 0
    client: Any = KafkaAdminClient(bootstrap_servers=kafka.address)
    for name, values, state, words in (
        ("segment-memberships", {"cleanup.policy": "delete"}, "warning", "set cleanup.policy=compact"),
        ("visits", {"cleanup.policy": "compact"}, "problem", "set cleanup.policy=delete"),
        ("carts", {"retention.ms": "3600000"}, "warning", "deletes events after 0.0 days"),
        ("merges", {"max.message.bytes": "1000"}, "problem", "set max.message.bytes to"),
    ):
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"settings-{name}", values)])
        report = run(**given)
        (finding,) = report.of(state)
        assert finding.startswith(f"topic settings settings-{name} ")
        assert words in finding
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"settings-{name}", dict.fromkeys(values, ""))])
        client.delete_topics([f"settings-{name}"])
        _wait_gone(client, f"settings-{name}")
        admin.create(Settings(**given))
    client.close()


def _wait_gone(client: Any, name: str) -> None:
    while not client.describe_topics([name])[0]["error_code"]:
        time.sleep(0.1)


# --- Redis -------------------------------------------------------------------------------------


def test_a_redis_that_would_forget(shop: dict[str, Any], run: Run) -> None:
    """A Redis without an append-only file is a warning; one which evicts or is full is a problem."""
    with Redis(options={"maxmemory-policy": "allkeys-lru"}) as store:
        report = run(**{**shop, "redis": store.url})
        assert [line.split("  ")[0] for line in report.of("warning")] == ["Redis data"]
        (problem,) = report.of("problem")
        assert problem.endswith("set maxmemory-policy noeviction")
        client = redis.Redis.from_url(store.url)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "500kb")
        report = run(**{**shop, "redis": store.url})
        assert any("Redis is out of memory (maxmemory)" in line for line in report.of("problem"))
        assert client.keys("*") == []


def test_a_redis_cluster(shop: dict[str, Any], run: Run, redis_cluster: RedisCluster) -> None:
    """Each server of the cluster is checked; without SEGMENTER_REDIS_CLUSTER the setting is named."""
    given = {**shop, "redis": redis_cluster.url, "redis_cluster": True}
    report = run(**given)
    assert report.code == 0, report.lines
    assert sum(line.startswith("Redis data") for line in report.of("warning")) == 3
    lone = {**shop, "redis": redis_cluster.servers[0].url}
    assert any("SEGMENTER_REDIS_CLUSTER" in line for line in run(**lone).of("problem"))


def test_a_redis_of_another_cluster(shop: dict[str, Any], run: Run, redis_server: Redis) -> None:
    """State that another Kafka cluster made is a problem: a worker would refuse to go on from it."""
    client = redis.Redis.from_url(redis_server.url)
    stored: dict[Any, Any] = {
        "cluster": "tansu_cluster",
        "group": shop["group"],
        "partitions": 4,
        "topics": shop["topic_prefix"],
    }
    where = key(shop["redis_prefix"], 0, "meta")
    client.hset(where, mapping=stored)
    assert any(line.startswith("stored state") for line in run(**shop).of("ok"))
    client.hset(where, "cluster", "another")
    (problem,) = run(**shop).of("problem")
    assert problem.startswith("stored state   cluster stored 'another'")
    assert problem.endswith("point SEGMENTER_REDIS to a fresh one")


@pytest.mark.parametrize(("off_s", "side"), [(-1_800, "behind"), (1_800, "ahead of")])
def test_a_clock_that_is_off(
    off_s: int, side: str, shop: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the machine on which the command runs is compared with that of Redis."""
    (tmp_path / "clock").write_text(f"{off_s:+d}\n")
    paths = (str(clock_faults.SKEW), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("SKEW_FILE", str(tmp_path / "clock"))
    done = subprocess.run(command("doctor"), env=environment(shop), capture_output=True, timeout=60, check=False)
    report = parsed(done.returncode, done.stdout.decode())
    (problem,) = report.of("problem")
    assert re.match(rf"clocks +the clock of this machine is 1,(800,0|799,9)\d\d ms {side} that of Redis", problem)
    assert "1,000 ms is the most" in problem


# --- files and settings ------------------------------------------------------------------------


def test_a_segments_file_that_is_wrong(shop: dict[str, Any], run: Run, tmp_path: Path) -> None:
    """A wrong segments file is reported with the place of the mistake, a missing one as missing."""
    wrong = tmp_path / "segments.yaml"
    wrong.write_text("version: 1\nsegments:\n  Buyers: {title: B, when: {cart: {}}}\n")
    (problem,) = run(**shop, definitions=wrong).of("problem")
    assert problem.startswith(f"segments file  {wrong}")
    assert "Buyers" in problem
    assert "segmenter check" in problem
    (problem,) = run(**shop, definitions=tmp_path / "none.yaml").of("problem")
    assert problem.endswith("none.yaml cannot be read (No such file or directory); see SEGMENTER_DEFINITIONS")


def test_a_triggers_file_that_is_wrong(shop: dict[str, Any], run: Run, tmp_path: Path) -> None:
    """A missing or wrong triggers file is reported for the process that needs one."""
    (problem,) = run("triggers", **shop).of("problem")
    assert problem == "triggers file  there is none; name one with SEGMENTER_TRIGGERS"
    wrong = tmp_path / "triggers.yaml"
    wrong.write_text("version: 1\nchannels: {screen: {kind: pigeon}}\n" + TRIGGERS)
    (problem,) = run("triggers", **shop, triggers=wrong).of("problem")
    assert problem.startswith(f"triggers file  {wrong}")
    assert "channels.screen: kind: " in problem


def test_settings_that_cannot_be_read(run: Run) -> None:
    """Each unreadable setting is a problem, and the servers which it names are not contacted."""
    report = run(partitions=0, kafka_protocol="SASL_SSL", redis=f"redis://:{SECRET}/x@h:1")
    assert len(report.of("problem")) >= 2
    assert report.of("problem")[0].startswith("settings       SEGMENTER_")
    assert [line.split()[0] for line in report.of("ok")] == ["Python"]


def test_a_variable_that_is_no_setting(shop: dict[str, Any], run: Run) -> None:
    """An unknown SEGMENTER_ variable is a warning: it has no effect."""
    report = run(**shop, redsi=SECRET)
    (warning,) = report.of("warning")
    assert warning.endswith("SEGMENTER_REDSI is no setting, so it has no effect; did you mean SEGMENTER_REDIS?")
    assert report.code == 0


def test_the_broker_is_of_another_kind(shop: dict[str, Any], run: Run) -> None:
    """A broker of another kind than the setting is a problem: a worker would fail at its first transaction."""
    (problem,) = run(**{**shop, "broker": "kafka"}).of("problem")
    assert problem.endswith("set SEGMENTER_BROKER=tansu, or use Apache Kafka")


@pytest.mark.parametrize(("version", "state"), [((3, 10), "problem"), ((3, 12), "ok"), ((3, 99), "warning")])
def test_versions_of_python(version: tuple[int, int], state: str) -> None:
    """The Python versions that are tested are ok."""
    assert doctor._python(version).state == state
