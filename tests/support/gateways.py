"""A gateway on servers of its own, for the tests of what is sent to it and read from it."""

from __future__ import annotations

import base64
import itertools
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from kafka import KafkaConsumer

from local import servers
from local.processes import Gateway
from rules.event_names import INPUTS
from streams.kafka import admin
from streams.settings import Settings

WEB_KEY, SHOP_KEY, SIGNED_KEY = "webkey000001", "shop-secret-0001", "signedkey001"
ID_SECRET, READ_SECRET = "an-id-secret-of-32-characters-or-more", "a-read-secret-of-32-characters-or-more"
LINK_SECRET = "a-link-secret-of-32-characters-or-more"
ORIGIN = "https://shop.example"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
ENVIRONMENT = {"SHOP_KEY": SHOP_KEY, "ID_SECRET": ID_SECRET, "READ_SECRET": READ_SECRET, "LINK_SECRET": LINK_SECRET}
FILE: dict[str, Any] = {
    "version": 1,
    "keys": {
        "web": {"kind": "browser", "key": WEB_KEY, "origins": [ORIGIN], "address_rate": 10_000, "rate": 10_000},
        "signed": {
            "kind": "browser", "key": SIGNED_KEY, "origins": ["*"], "signed_ids": {"env": "ID_SECRET"}, "rate": 10,
        },
        "shop": {"kind": "server", "key": {"env": "SHOP_KEY"}, "rate": 100_000},
    },
    "read_tokens": {"env": "READ_SECRET"},
    "links": {"secret": {"env": "LINK_SECRET"}},
}  # fmt: skip


_numbers = itertools.count()


class Answer(NamedTuple):
    """An answer of the gateway; ``status`` 0: none came."""

    status: int
    body: Any
    headers: Mapping[str, str]


class GatewayParts(NamedTuple):
    """A running gateway, its Kafka and its settings."""

    kafka: servers.Kafka
    gateway: Gateway
    settings: dict[str, Any]

    @property
    def address(self) -> str:
        """host:port where events are taken."""
        return self.gateway.address

    def post(self, path: str, body: object, key: str | None = None, **headers: str) -> Answer:
        """Send a body, which is JSON unless it is bytes."""
        return send(self.address, path, body, key, **headers)

    def written(self, wait_ms: int = 1_500) -> list[Any]:
        """All records of the input topics. Their topics have a prefix, `topic_of` says which they are."""
        topics = [self.settings["topic_prefix"] + name for name in INPUTS]
        consumer = KafkaConsumer(
            *topics, bootstrap_servers=self.kafka.address, auto_offset_reset="earliest", consumer_timeout_ms=wait_ms
        )
        try:
            return list(consumer)
        finally:
            consumer.close()

    def topic_of(self, record: Any) -> str:
        """The topic of a record, without the prefix."""
        return str(record.topic).removeprefix(self.settings["topic_prefix"])


@contextmanager
def running(shared: servers.Kafka | None, more: Mapping[str, Any] | None = None, **file: Any) -> Iterator[GatewayParts]:
    """A gateway on topics of its own.

    ``shared``: the broker; `None`: one that the test may end. ``more``: further settings; ``file``: further parts of
    the gateway's file.
    """
    broker = servers.Kafka() if shared is None else nullcontext(shared)
    with broker as kafka, TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(json.dumps({**FILE, **file}))
        settings: dict[str, Any] = {
            "brokers": kafka.address, "partitions": 4, "http": "127.0.0.1:0", "gateway": path,
            "gateway_http": "127.0.0.1:0", "topic_prefix": f"gateway{next(_numbers)}-{os.getpid()}-", **(more or {}),
        }  # fmt: skip
        admin.create(Settings(**settings))
        gateway = Gateway(settings, log=Path(folder) / "gateway.log").start(**ENVIRONMENT)
        try:
            gateway.wait_ready()
            yield GatewayParts(kafka, gateway, settings)
        finally:
            gateway.stop()


def send(address: str, path: str, body: object = None, key: str | None = None, **headers: str) -> Answer:
    """Send a request: a POST where there is a body, which is JSON unless it is bytes."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"User-Agent": AGENT, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    request = urllib.request.Request(f"http://{address}{path}", data=data, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=20.0) as answer:
            return Answer(answer.status, _document(answer.read()), dict(answer.headers))
    except urllib.error.HTTPError as error:
        return Answer(error.code, _document(error.read()), dict(error.headers))
    except OSError:
        return Answer(0, None, {})


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
