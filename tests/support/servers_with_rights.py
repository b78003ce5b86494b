"""A Kafka and a Redis that authorize, and the processes and commands on them, each as its own user.

A process gets the settings of the user that docs/operations/rights.md gives it, and no others.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from kafka import KafkaAdminClient

from local.processes import Worker
from local.servers import Redis
from streams.cli import main
from streams.rights.process_rights import AS_PROCESS, USERS
from tests.support import user_rights
from tests.support.secure_servers import Certificates, SecureKafka
from tests.support.user_rights import Granted

PARTITIONS = 2
TOKEN = "a-token-for-the-tests"
# Where the authorizer says what it allowed (level DEBUG) and what it denied.
LOGGING = """
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.authorizer.name = kafka.authorizer.logger
logger.authorizer.level = debug
"""
DECIDED = re.compile(r"Principal = User:(\S+) is (Allowed|Denied) operation = (\S+) .*? on resource = (\S+) .*")
BY_RULE = re.compile(
    r"resourceType=(\w+), resourceName=([^,]*), patternType=(\w+), principal=User:([^,]+), host=\*, operation=(\w+)"
)


class Done(NamedTuple):
    code: int
    out: str
    err: str


def user_of(arguments: Sequence[str]) -> str:
    """The name of the user that runs this command; `doctor` runs as that of the process which it checks."""
    command = arguments[-1] if arguments[0] in AS_PROCESS else arguments[0]
    (name,) = (user.name for user in USERS if command in user.runs)
    return name


def run(arguments: Sequence[str], settings: Mapping[str, Any]) -> Done:
    """Run a command in this process, with these settings."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name, value in settings.items():
            patch.setenv(f"SEGMENTER_{name.upper()}", str(value))
        code = main.run(arguments)
    return Done(code, out.getvalue(), err.getvalue())


def get(address: str, path: str) -> Any:
    """JSON of the operations page."""
    request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


class Servers:
    """Kafka and Redis with the users of the page, and a place for files."""

    def __init__(self, kafka: SecureKafka, store: Redis, folder: Path) -> None:
        self.kafka = kafka
        self.redis: Any = redis.Redis.from_url(store.url)
        self.folder = folder
        self._store = store
        self.admin: Any = KafkaAdminClient(bootstrap_servers=kafka.address)

    def settings(self, user: str, **more: Any) -> dict[str, Any]:
        """The settings of a process of this user, under the default names."""
        return {
            "brokers": self.kafka.addresses["SASL_PLAINTEXT"], "kafka_protocol": "SASL_PLAINTEXT",
            "kafka_mechanism": "PLAIN", "kafka_user": user, "kafka_password": user_rights.PASSWORD,
            "redis": self._store.url.replace("://", f"://{user}:{user_rights.PASSWORD}@"), "partitions": PARTITIONS,
            "session_timeout_s": 6, "fetch_wait_ms": 50, "http": "127.0.0.1:0", **self._files(), **more,
        }  # fmt: skip

    def _files(self) -> dict[str, Path]:
        """The segments and triggers files, as far as they are in the folder."""
        files = {"definitions": self.folder / "segments.yaml", "triggers": self.folder / "triggers.yaml"}
        return {name: path for name, path in files.items() if path.exists()}

    def run(self, *arguments: str, **more: Any) -> Done:
        """Run a command in this process, as its user."""
        return run(arguments, self.settings(user_of(arguments), **more))

    def process(self, kind: type[Worker], user: str, name: str, *arguments: str, **more: Any) -> Worker:
        return kind(self.settings(user, **more), *arguments, log=self.folder / f"{name}.log")

    def decided(self) -> tuple[list[str], set[Granted]]:
        """The log lines of what Kafka denied, and the rights by which it allowed the rest."""
        assert self.kafka.folder is not None
        denied: list[str] = []
        allowed = set()
        for line in (self.kafka.folder / "log").read_text(errors="replace").splitlines():
            if (match := DECIDED.match(line)) is None or match[1] == "ANONYMOUS":
                continue
            if match[2] == "Denied":
                denied.append(line)
            elif rule := BY_RULE.search(line):
                kind = rule[1].lower().replace("_", "-")
                allowed.add(Granted(rule[4], rule[5], kind, rule[2], rule[3] == "PREFIXED"))
        return denied, allowed


@contextlib.contextmanager
def granted_servers(folder: Path) -> Iterator[Servers]:
    """Both servers, with all users; what they log, and what processes read, is in this folder."""
    (folder / "log4j2.properties").write_text(LOGGING)
    kafka = SecureKafka(Certificates(folder), {user.name: user_rights.PASSWORD for user in USERS})
    with pytest.MonkeyPatch.context() as patch:
        options = os.environ.get("KAFKA_JVM_PERFORMANCE_OPTS", "")
        logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
        patch.setenv("KAFKA_JVM_PERFORMANCE_OPTS", f"{options} {logging}")
        kafka.start()
    with contextlib.ExitStack() as stack:
        stack.callback(kafka.stop)
        servers = Servers(kafka, stack.enter_context(Redis(aof=True)), folder)
        stack.callback(servers.admin.close)
        user_rights.grant_redis(servers.redis)
        user_rights.grant_kafka(servers.admin, user_rights.kafka_rights())
        yield servers
