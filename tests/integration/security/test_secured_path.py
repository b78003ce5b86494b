"""Passwords and certificates to Kafka: the whole path with the right ones, and what is said of wrong ones.

The one rule: the servers are real, and a secret of these tests stands in no output, however much is logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.processes import Worker
from streams.cli import main
from streams.cli.publish import LinePublisher
from streams.kafka import admin
from streams.kafka import client as kafka_client
from streams.kafka.client import TRIES, TRY_MS
from streams.settings import Settings
from tests.support import commands
from tests.support.secure_servers import (
    KEY_PASSWORD,
    PASSWORD,
    USER,
    WRONG,
    Certificates,
    SecureKafka,
    SecureRedis,
    assert_reveals_no_secret,
)

pytestmark = pytest.mark.kafka

CUSTOMER = "someone@example.com"
MAY = ("READ", "WRITE", "CREATE")
# The rights of a user that lacks one: operations on topics, and whether the group.
MAY_NOT = {"join": (MAY, False), "read": (("WRITE", "CREATE"), True), "write": (("READ", "CREATE"), True)}
WAYS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "certificate")

# The library less what only some days of a year are in.
EVERY_DAY = "version: 1\nlibrary: {without: [black_friday_shopper, nowruz_shopper]}\n"


class Servers(NamedTuple):
    """Kafka and two Redis, one of which asks for a certificate."""

    certificates: Certificates
    kafka: SecureKafka
    redis: SecureRedis
    asking: SecureRedis
    folder: Path
    definitions: Path

    def settings(self, way: str, name: str) -> dict[str, Any]:
        """Settings with the credentials of this way and own topics and keys; one way has its password from a file."""
        redis = self.asking if way == "certificate" else self.redis
        url = f"rediss://{USER}@{redis.address}/0"
        own = {"topic_prefix": f"{name}-", "group": name, "redis_prefix": f"segmenter:{name}:", "partitions": 1}
        own["definitions"] = str(self.definitions)
        own |= {"redis": url, "redis_password": PASSWORD, "redis_ca_file": self.certificates.ca}
        protocol = {"certificate": "SSL", "SCRAM-SHA-256": "SASL_PLAINTEXT"}.get(way, "SASL_SSL")
        own |= {"kafka_protocol": protocol, "brokers": self.kafka.addresses[protocol]}
        if protocol != "SASL_PLAINTEXT":
            own["kafka_ca_file"] = self.certificates.ca
        if way == "certificate":
            own |= {"kafka_certificate_file": self.certificates.client, "kafka_key_file": self.certificates.locked_key}
            own |= {"kafka_key_password": KEY_PASSWORD, "redis_key_file": self.certificates.key}
            return own | {"redis_certificate_file": self.certificates.client}
        own |= {"kafka_mechanism": way, "kafka_user": USER}
        return own | ({"secrets_dir": self.folder} if way == "SCRAM-SHA-512" else {"kafka_password": PASSWORD})

    def without_login(self, settings: Mapping[str, Any]) -> Settings:
        """Settings of the same topics for a user which may do everything."""
        own = {name: value for name, value in settings.items() if not name.startswith("kafka_")}
        return Settings(**{**own, "brokers": self.kafka.address, "secrets_dir": None})


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "segmenter_kafka_password").write_text(PASSWORD + "\n")
    definitions = tmp_path_factory.mktemp("definitions") / "segments.yaml"
    definitions.write_text(EVERY_DAY)
    plain, asking = SecureRedis(certificates), SecureRedis(certificates, client_certificates=True)
    with SecureKafka(certificates) as kafka, plain.running(), asking.running():
        kafka.let_in()
        yield Servers(certificates, kafka, plain, asking, secrets, definitions)


class Worked(NamedTuple):
    worker: Worker
    settings: Mapping[str, Any]


@pytest.fixture(scope="module")
def workers(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Worked]]:
    """A worker for each way to be let in, and for each user that lacks one right; an order waits for all of these."""
    logs = tmp_path_factory.mktemp("logs")
    begun = {}
    for name in (*WAYS, *MAY_NOT):
        settings = servers.settings(name if name in WAYS else "PLAIN", name.lower())
        operations, group = MAY_NOT.get(name, (MAY, True))
        servers.kafka.allow(f"{name.lower()}-", name.lower() if group else "", operations)
        everybodys = servers.without_login(settings)
        admin.create(everybodys)
        if name in MAY_NOT:
            publisher = LinePublisher(everybodys)
            publisher.send(an_order())
            publisher.close()
        arguments = ("--loglevel", "debug") if name in WAYS else ()
        begun[name] = Worked(Worker(settings, *arguments, log=logs / f"{name}.log"), settings)
    with contextlib.ExitStack() as running:
        for worker, _ in begun.values():
            running.enter_context(worker)
        yield begun


def an_order() -> bytes:
    event = {
        "type": "track", "event": "Order Completed", "messageId": "m1", "userId": CUSTOMER,
        "timestamp": datetime.now(UTC).isoformat(), "properties": {"order_id": "o1", "total": 5},
    }  # fmt: skip
    return json.dumps(event).encode()


class Commands:
    """Commands in this process, with all that their clients have to log."""

    def __init__(self, settings: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        self._settings = settings
        self._capsys = capsys

    def __call__(self, *arguments: str, **changed: Any) -> tuple[int, str, str]:
        """Exit code, stdout, stderr; at level DEBUG nothing of it, nor of what is logged, tells a secret."""
        logged = _Logged()
        root = logging.getLogger()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self._settings, **changed}.items():
                patch.setenv(f"SEGMENTER_{name.upper()}", str(value))
            root.addHandler(logged)
            root.setLevel(logging.DEBUG)
            try:
                code = main.run(arguments)
            finally:
                root.setLevel(logging.WARNING)
                root.removeHandler(logged)
        out, err = self._capsys.readouterr()
        assert logged.lines
        assert_reveals_no_secret(out, err, *logged.lines)
        return code, out, err


class _Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.mark.parametrize("way", WAYS)
def test_the_whole_path(
    way: str, workers: Mapping[str, Worked], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands and a worker run with the right credentials; at level DEBUG no secret or customer is logged."""
    worker, settings = workers[way]
    run = Commands(settings, capsys)
    assert run("topics", "create")[0] == 0
    file = tmp_path / "order.jsonl"
    file.write_bytes(an_order())
    assert run("publish", str(file))[::2] == (0, "1 events published, 0 lines refused\n")
    code, out, _ = run("tail", "--from-beginning", "--count", "3")
    assert (code, out.count("\n")) == (0, 3)
    assert "recently_purchased" in out
    assert "recently_purchased" in run("explain", CUSTOMER)[1]
    assert "customers  1" in run("distribution", "--of", "customer_value")[1]
    assert worker.stop() == 0
    log = worker.log.read_text()
    assert "generation 1" in log
    assert_reveals_no_secret(log)
    assert CUSTOMER not in log


@pytest.mark.parametrize(
    ("what", "right"),
    [("join", "READ of the group"), ("read", "READ of read-profiles, "), ("write", "WRITE of write-merges, ")],
)
def test_a_worker_that_may_not(what: str, right: str, workers: Mapping[str, Worked]) -> None:
    """A worker that may not join, read or write stops with a sentence, and is never silent."""
    worker, _ = workers[what]
    assert worker.process is not None
    assert worker.process.wait(30) == 75
    log = worker.log.read_text()
    (stopped,) = [line for line in log.splitlines() if line.startswith("segmenter stopped: ")]
    assert f"Kafka does not allow this user {right}" in stopped
    assert_reveals_no_secret(log)


# --- Kafka that refuses us ---------------------------------------------------------------------


@pytest.fixture
def refused(servers: Servers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Commands of a user which may do nothing with these topics."""
    monkeypatch.setattr(kafka_client, "TRY_MS", 1_000)
    return Commands(servers.settings("PLAIN", "refused"), capsys)


@pytest.fixture(scope="module")
def allowed(servers: Servers) -> Mapping[str, Any]:
    """Settings of a user which may do everything with topics that are there."""
    settings = servers.settings("PLAIN", "allowed")
    servers.kafka.allow("allowed-", "allowed", MAY)
    admin.create(servers.without_login(settings))
    return settings


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_kafka_does_not_take_the_password(
    allowed: Mapping[str, Any], mechanism: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 75 come sooner than for a broker that is away."""
    run = Commands(allowed, capsys)
    began = time.monotonic()
    code, out, err = run("topics", "verify", kafka_mechanism=mechanism, kafka_password=WRONG)
    assert (code, out) == (75, "")
    commands.assert_one_line(err)
    assert "refuses the login" in err
    assert "SEGMENTER_KAFKA_PASSWORD" in err
    assert time.monotonic() - began < TRIES * TRY_MS / 1000
    assert run("topics", "verify", kafka_mechanism=mechanism)[0] == 0, "with the right one"


def test_a_broker_that_we_must_not_trust(refused: Commands, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """No password is sent to a broker with a certificate of a stranger or for another host."""
    monkeypatch.setattr(kafka_client, "TRIES", 1)
    elsewhere = {"kafka_protocol": "SSL", "kafka_user": "", "kafka_password": ""}
    elsewhere["brokers"] = servers.kafka.addresses["ELSEWHERE"]
    for changed in ({"kafka_ca_file": servers.certificates.stranger}, elsewhere):
        code, _, err = refused("topics", "verify", **changed)
        assert code == 75
        assert "CERTIFICATE_VERIFY_FAILED" in err
        assert "the certificates" in err


def test_kafka_asks_for_more_than_we_show(refused: Commands, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that requires a certificate, TLS or a password is named as such."""
    monkeypatch.setattr(kafka_client, "TRIES", 1)
    without = {"kafka_user": "", "kafka_password": ""}
    for changed in (
        {**without, "kafka_protocol": "SSL", "brokers": servers.kafka.addresses["SSL"]},
        {"kafka_protocol": "SASL_PLAINTEXT", "kafka_ca_file": ""},
        {**without, "kafka_protocol": "PLAINTEXT", "kafka_ca_file": ""},
    ):
        code, _, err = refused("topics", "verify", **changed)
        assert code == 75
        commands.assert_one_line(err)
        assert "SEGMENTER_KAFKA_PROTOCOL" in err or "SEGMENTER_BROKERS" in err


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kafka_ca_file": "nowhere.pem"}, "SEGMENTER_KAFKA_CA_FILE cannot be used: nowhere.pem"),
        ({"kafka_key_password": WRONG}, "SEGMENTER_KAFKA_CERTIFICATE_FILE, its key or the key's password cannot be"),
    ],
)
def test_a_file_that_cannot_be_used(changed: Mapping[str, Any], sentence: str, workers: Mapping[str, Worked]) -> None:
    """The setting is named; set right, Kafka lets us in by it."""
    settings = workers["certificate"].settings
    done = commands.segmenter("topics", "verify", **{**settings, **changed})
    commands.assert_stopped(done, f"segmenter stopped: {sentence}")
    assert_reveals_no_secret(done.err)
    assert commands.segmenter("topics", "verify", **settings).code == 0


def test_topics_that_a_user_may_not_create_or_see(refused: Commands, servers: Servers) -> None:
    """Each refusal is one sentence. Once another user has created the topics, this one may use them."""
    code, _, err = refused("topics", "create")
    assert code == 75
    refusal = "CREATE of refused-profiles (TopicAuthorizationFailedError)"
    advice = "see docs/operations/rights.md, or create it as another user"
    assert err == f"segmenter stopped: Kafka does not allow this user {refusal}: {advice}\n"
    code, _, err = refused("topics", "verify")
    assert code == 75
    assert "Kafka does not allow this user DESCRIBE of refused-profiles, " in err
    admin.create(servers.without_login(servers.settings("PLAIN", "refused")))
    servers.kafka.allow("refused-", "", ("READ", "WRITE"))
    assert refused("topics", "verify")[0] == 0
