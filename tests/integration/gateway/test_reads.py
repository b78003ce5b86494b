"""What the gateway answers about customers: to servers, and to the pages of a shop."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from local import servers
from local.processes import Worker
from rules.times import format_instant, parse_instant
from streams.http.signed_tokens import signed
from tests.support import live
from tests.support.gateways import ORIGIN, READ_SECRET, SHOP_KEY, WEB_KEY, Answer, GatewayParts, running, send
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka


class ReadParts(NamedTuple):
    """A gateway, and a worker that decides what is sent to it."""

    gateway: GatewayParts
    worker: Worker

    def track(self, customer_id: str, name: str, **more: Any) -> None:
        """Send an event of now."""
        now = time.time_ns() // 1_000_000
        event = {"event": name, "userId": customer_id, "messageId": f"{customer_id}-{name}-{now}", **more}
        event.setdefault("timestamp", format_instant(now))
        assert self.gateway.post("/v1/track", event, SHOP_KEY).status == 200

    def buy(self, customer_id: str, order: str = "o1") -> None:
        """Send an order of now."""
        self.track(customer_id, "Order Completed", properties={"order_id": order, "total": 5})

    def ask(self, path: str, key: str | None = SHOP_KEY, **headers: str) -> Answer:
        """Ask about customers."""
        return send(self.gateway.address, path, key=key, **headers)

    def segments(self, customer_id: str) -> list[str]:
        """The keys of a customer's segments."""
        body = self.ask(f"/v1/customers/{quote(customer_id, safe='')}").body
        return [each["segment"] for each in body["segments"]]


@pytest.fixture(scope="module")
def parts(kafka: servers.Kafka) -> Iterator[ReadParts]:
    """A gateway and a worker."""
    with servers.Redis() as redis, running(kafka, {"redis": redis.url, "definitions": live.FOUR}) as gateway:
        settings = {**gateway.settings, "fetch_wait_ms": 50, "grace_ms": 200}
        with Worker(settings) as worker:
            worker.wait_ready()
            yield ReadParts(gateway, worker)


def token(customer_id: str, lasts_s: float = 60.0, secret: str = READ_SECRET) -> str:
    return signed(customer_id, secret, int(time.time() + lasts_s))


def test_a_server_asks_of_anybody(parts: ReadParts) -> None:
    """The answer is what `segmenter explain` says of the customer, and the header says as of when."""
    parts.buy("r1")
    eventually(lambda: parts.segments("r1") == ["recently_purchased"], 10, "it is decided")
    answer = parts.ask("/v1/customers/r1?reasons=en")
    (segment,) = answer.body["segments"]
    assert segment["title"] == "Recently purchased"
    assert segment["reason"].startswith("1 × Order Completed within 30 days")
    assert answer.headers["Segmenter-Clock"] == answer.body["clock"]
    command = [sys.executable, "-m", "streams", "explain", "r1", "--json"]
    done = subprocess.run(command, env=parts.worker.environment, capture_output=True, text=True, check=True)
    explained = {each["segment"]: each["since"] for each in json.loads(done.stdout)["segments"] if each["member"]}
    assert explained == {segment["segment"]: segment["since"]}
    assert parts.ask("/v1/customers/nobody").body | {"clock": ""} == {
        "customer_id": "nobody", "stored": False, "known_as": None, "clock": "", "segments": [],
    }  # fmt: skip


def test_many_are_looked_up_at_once(parts: ReadParts) -> None:
    """In the order in which they were asked for."""
    for number in range(5):
        parts.buy(f"many-{number}")
    ids = [f"many-{number}" for number in range(5)] + ["nobody", "many-0"]

    def lookup() -> Answer:
        return parts.gateway.post("/v1/customers/lookup", {"ids": ids}, SHOP_KEY)

    eventually(lambda: sum(bool(each["segments"]) for each in lookup().body["customers"]) == 6, 10, "they are decided")
    assert [each["customer_id"] for each in lookup().body["customers"]] == ids
    wrong: list[Any] = [{}, {"ids": []}, {"ids": ["x"] * 101}, {"ids": [7]}, {"ids": ["\0"]}, [], b"{"]
    for body in wrong:
        assert parts.gateway.post("/v1/customers/lookup", body, SHOP_KEY).status == 400
    assert parts.gateway.post("/v1/customers/lookup", {"ids": ids}, WEB_KEY).status == 403


def test_a_page_learns_of_its_own_visitor_alone(parts: ReadParts) -> None:
    """By a token of the shop's server, which expires."""
    parts.buy("own")
    eventually(lambda: parts.segments("own") != [], 10, "it is decided")
    bearer = f"Bearer {token('own')}"
    for path in ("/v1/customers/own", "/v1/customers/me"):
        answer = parts.ask(path, None, Authorization=bearer, Origin=ORIGIN)
        assert (answer.status, answer.body["customer_id"]) == (200, "own")
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert parts.ask(f"/v1/customers/me?token={token('own')}", None).status == 200
    assert parts.ask("/v1/customers/other", None, Authorization=bearer).status == 403
    for wrong in ("", "x", token("own", -1), token("own", secret="x" * 40), signed("own", READ_SECRET)):
        assert parts.ask("/v1/customers/own", None, Authorization=f"Bearer {wrong}").status == 401
    assert parts.ask("/v1/customers/own", WEB_KEY).status == 401
    assert parts.ask("/v1/customers/own", SHOP_KEY, Origin=ORIGIN).status == 401
    statuses = {parts.ask("/v1/customers/me", None, Authorization=f"Bearer {token('often')}").status for _ in range(60)}
    assert statuses == {200, 429}


def test_a_due_time_that_the_clock_has_passed_is_decided(parts: ReadParts) -> None:
    """A cart that was left for the time that the segment asks for, whether the worker has saved it or not."""
    now = time.time_ns() // 1_000_000
    due = now + 2_000
    at = format_instant(due - 30 * 60_000)
    parts.track("cart", "Product Added", properties={"product_id": "p1"}, timestamp=at)
    until = time.monotonic() + 20
    while True:
        body = parts.ask("/v1/customers/cart").body
        is_due = (parse_instant(body["clock"]) or 0) >= due
        assert [each["segment"] for each in body["segments"]] == (["abandoned_cart"] if is_due else [])
        if is_due:
            break
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_look_up_may_come_in_parts(parts: ReadParts) -> None:
    """A body in two pieces is read to its end."""
    body = json.dumps({"ids": ["nobody"]}).encode()
    basic = base64.b64encode(f"{SHOP_KEY}:".encode())
    head = b"POST /v1/customers/lookup HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic %s\r\n" % basic
    with socket.create_connection(("127.0.0.1", int(parts.gateway.address.rpartition(":")[2]))) as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
        time.sleep(0.2)
        client.sendall(body[5:])
        assert client.recv(4_096).startswith(b"HTTP/1.1 200")


def test_a_stream_ends_with_its_token(parts: ReadParts) -> None:
    """The page comes back with a new one."""
    began = time.monotonic()
    path = f"/v1/customers/me/changes?token={token('brief', 2)}"
    with urllib.request.urlopen(f"http://{parts.gateway.address}{path}", timeout=20) as answer:
        answer.read()
    assert time.monotonic() - began < 4


class Events:
    """The server-sent events of one stream, as they come."""

    def __init__(self, address: str, path: str) -> None:
        self.events: list[tuple[str, Any]] = []
        self._answer = urllib.request.urlopen(f"http://{address}{path}", timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        name = ""
        for line in self._answer:
            kind, _, text = line.decode().rstrip("\n").partition(": ")
            if kind == "event":
                name = text
            elif kind == "data":
                self.events.append((name, json.loads(text)))

    @property
    def segments(self) -> list[str]:
        """The segments of now, as a page would show them."""
        if not self.events:
            return []
        name, document = self.events[-1]
        if name == "change":
            return list(document["segments"])
        return [each["segment"] for each in document["segments"]]


@contextmanager
def followed(parts: ReadParts, customer_id: str) -> Iterator[Events]:
    """The changes of a customer, with its own token."""
    events = Events(parts.gateway.address, f"/v1/customers/me/changes?token={token(customer_id)}")
    eventually(lambda: bool(events.events), 10, "the segments of now come first")
    yield events


def test_a_page_is_told_of_each_change(parts: ReadParts) -> None:
    """First the segments of now, then what changes, with the reason."""
    with followed(parts, "live") as events:
        assert events.segments == []
        parts.buy("live")
        eventually(lambda: events.segments == ["recently_purchased"], 10, "the change comes")
        name, change = events.events[-1]
        assert (name, change["change"], change["segment"]) == ("change", "entered", "recently_purchased")
        assert change["said"]["en"].startswith("1 × Order Completed within 30 days")
        parts.buy("live", "o2")
        eventually(lambda: events.segments == ["recently_purchased", "repeat_buyer"], 10, "and the next one")


def test_a_visitor_who_logs_in_is_followed(parts: ReadParts) -> None:
    """The stream of an anonymous id goes on with the changes of the user that it became."""
    parts.track("known-user", "Order Completed", properties={"order_id": "k1", "total": 5})
    eventually(lambda: parts.segments("known-user") == ["recently_purchased"], 10, "the user is there")
    with followed(parts, "anon-1") as events:
        now = time.time_ns() // 1_000_000
        page = {"anonymousId": "anon-1", "messageId": f"p{now}", "timestamp": format_instant(now)}
        assert parts.gateway.post("/v1/page", page, WEB_KEY).status == 200
        login = {"anonymousId": "anon-1", "userId": "known-user", "messageId": f"i{now}", "traits": {"a": 1}}
        assert parts.gateway.post("/v1/identify", login, WEB_KEY).status == 200
        eventually(lambda: parts.ask("/v1/customers/anon-1").body["known_as"] == "known-user", 10, "they are linked")
        assert parts.segments("anon-1") == ["recently_purchased"]
        eventually(lambda: events.segments == ["recently_purchased"], 25, "the page is told")
        parts.buy("known-user", "k2")
        eventually(lambda: "repeat_buyer" in events.segments, 10, "and follows the user")
