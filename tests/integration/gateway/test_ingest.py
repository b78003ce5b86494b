"""The gateway takes what is right, refuses what is wrong, and loses nothing that it has answered."""

from __future__ import annotations

import base64
import concurrent.futures
import gzip
import http.client
import json
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.servers import Kafka
from rules.times import format_instant
from streams.http.message_links import MessageLinks
from streams.http.signed_tokens import signed
from tests.support.gateways import (
    AGENT,
    ENVIRONMENT,
    ID_SECRET,
    LINK_SECRET,
    ORIGIN,
    SHOP_KEY,
    SIGNED_KEY,
    WEB_KEY,
    GatewayParts,
    running,
    send,
)
from tests.support.operations import exposed, total
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

VISITOR = "6f1c1f9e-0f4e-4a53-9c39-1c1d5f1f7a11"


@pytest.fixture(scope="module")
def parts(kafka: Kafka) -> Iterator[GatewayParts]:
    """One gateway for all tests that leave it running."""
    with running(kafka) as started:
        yield started


def event(message_id: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "track", "event": "Tea", "userId": "u1", "messageId": message_id,
        "timestamp": format_instant(time.time_ns() // 1_000_000), **more,
    }  # fmt: skip


def ids(parts: GatewayParts) -> Counter[str]:
    return Counter(json.loads(record.value)["messageId"] for record in parts.written())


def test_what_is_right_is_written(parts: GatewayParts) -> None:
    """By each of the ways in which SDKs send the key, a body and a type."""
    body = event("right-1", writeKey=WEB_KEY)
    sent = {
        "right-1": parts.post("/v1/t", body, Origin=ORIGIN, Content_Type="text/plain"),
        "right-2": parts.post("/v1/track", event("right-2"), WEB_KEY),
        "right-3": parts.post("/v1/identify", event("right-3", traits={"a": 1}), SHOP_KEY),
        "right-4": parts.post("/beacon/v1/batch?writeKey=" + WEB_KEY, {"batch": [event("right-4")]}, Origin=ORIGIN),
        "right-5": parts.post(
            "/v1/batch", gzip.compress(json.dumps({"batch": [event("right-5")]}).encode()), SHOP_KEY,
            Content_Encoding="gzip",
        ),
        "right-6": parts.post("/v1/import", {"batch": [event("right-6")]}, SHOP_KEY),
    }  # fmt: skip
    assert {name: answer.status for name, answer in sent.items()} == dict.fromkeys(sent, 200)
    assert sent["right-1"].headers["Access-Control-Allow-Origin"] == ORIGIN
    records = {json.loads(record.value)["messageId"]: record for record in parts.written()}
    assert sent.keys() <= records.keys()
    assert parts.topic_of(records["right-3"]) == "profiles"
    assert {parts.topic_of(records[name]) for name in sent.keys() - {"right-3"}} == {"visits"}
    assert {records[name].key for name in sent} == {b"u1"}


def test_what_is_wrong_is_told_and_the_rest_is_written(parts: GatewayParts) -> None:
    """A batch with two wrong messages of three is answered 400, and its third is on the topic."""
    answer = parts.post("/v1/batch", {"batch": [event("mixed"), {"type": "erase", "userId": "u1"}, 7]}, WEB_KEY)
    assert answer.status == 400
    assert answer.body["error"] == "2 of 3 messages were refused, the others are written"
    assert [(each["index"], each["reason"], each["field"]) for each in answer.body["messages"]] == [
        (1, "bad_type", "type"), (2, "not_object", ""),
    ]  # fmt: skip
    assert ids(parts)["mixed"] == 1
    assert parts.post("/v1/track", event("no-event", event=""), WEB_KEY).body == {
        "index": 0, "error": "bad_value of event", "reason": "bad_value", "field": "event",
    }  # fmt: skip
    wrong: list[Any] = [{}, {"batch": {}}, b"{", b"[]", b"\xff"]
    for body in wrong:
        assert parts.post("/v1/batch", body, WEB_KEY).status == 400


def test_who_may_send(parts: GatewayParts) -> None:
    """No key, a wrong one, a page of another origin, a server's key in a page."""
    assert parts.post("/v1/track", event("no")).status == 401
    assert parts.post("/v1/track", event("no"), "webkey000002").status == 401
    assert parts.post("/v1/track", event("no"), WEB_KEY, Origin="https://evil.example").status == 403
    assert "replace it" in parts.post("/v1/track", event("no"), SHOP_KEY, Origin=ORIGIN).body["error"]
    assert parts.post("/v1/track", event("no"), WEB_KEY, User_Agent="Googlebot/2.1").status == 200
    assert send(parts.address, "/v1/track", key=WEB_KEY).status == 405
    assert parts.post("/v1/nothing", event("no"), WEB_KEY).status == 405
    assert ids(parts)["no"] == 0


def test_a_signed_id_and_a_forged_one(parts: GatewayParts) -> None:
    """With `signed_ids` a page speaks for a user only with the shop's signature."""
    token = {"user_token": signed("u7", ID_SECRET)}
    for message_id, context in (("signed", token), ("forged", {})):
        body = event(message_id, userId="u7", anonymousId=VISITOR, context=context)
        assert parts.post("/v1/track", body, SIGNED_KEY, Origin="https://any.example").status == 200
    keys = {json.loads(record.value)["messageId"]: record.key for record in parts.written()}
    assert (keys["signed"], keys["forged"]) == (b"u7", VISITOR.encode())


def test_too_many_events_are_asked_to_come_later(parts: GatewayParts) -> None:
    """The key `signed` has ten events a second, of which two seconds' may come at once."""
    statuses = Counter(
        parts.post("/v1/page", event(f"many-{number}", anonymousId=VISITOR), SIGNED_KEY).status for number in range(60)
    )
    assert statuses[429] > 10
    assert statuses[200] >= 10
    answer = next(
        each
        for each in (parts.post("/v1/page", event("late", anonymousId=VISITOR), SIGNED_KEY) for _ in range(60))
        if each.status == 429
    )
    assert answer.headers["Retry-After"] == "2"


def test_bytes_that_are_no_text_lose_nothing_beside_them(parts: GatewayParts) -> None:
    """In a message of a batch, in the body's key, and in headers, which may hold any byte."""
    good = json.dumps(event("beside-bytes")).encode()
    answer = parts.post("/v1/batch", b'{"batch":[{"a\xff":1},' + good + b"]}", WEB_KEY)
    assert [each["reason"] for each in answer.body["messages"]] == ["not_json"]
    assert parts.post("/v1/track", b'{"writeKey":"\xff"}').status == 401
    basic = base64.b64encode(f"{WEB_KEY}:".encode())
    body = json.dumps(event("odd-agent")).encode()
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
    statuses = {}
    for name, header in {
        "agent": b"Authorization: Basic %s\r\nUser-Agent: Mozilla \xff" % basic,
        "origin": b"Authorization: Basic %s\r\nOrigin: https://\xff" % basic,
        "bearer": b"Authorization: Bearer \xff",
    }.items():
        with socket.create_connection(("127.0.0.1", int(parts.address.rpartition(":")[2]))) as client:
            client.sendall(head + header + b"\r\n\r\n" + body)
            statuses[name] = int(client.recv(4_096).split()[1])
    assert statuses == {"agent": 200, "origin": 403, "bearer": 401}
    assert {"beside-bytes", "odd-agent"} <= ids(parts).keys()


def test_a_page_over_tls_is_told_to_send_over_tls(parts: GatewayParts) -> None:
    """The gateway itself has no TLS; the page's own scheme says that what stands before it has."""
    settings = send(parts.address, f"/v1/projects/{WEB_KEY}/settings", Origin=ORIGIN)
    assert settings.body["integrations"]["Segment.io"]["protocol"] == "https"
    assert (
        send(parts.address, f"/v1/projects/{WEB_KEY}/settings").body["integrations"]["Segment.io"]["protocol"] == "http"
    )


def test_a_preflight_is_answered_for_known_origins(parts: GatewayParts) -> None:
    """The key `signed` has all origins, so each is allowed to ask; the request itself is held to its key."""
    with socket.create_connection(("127.0.0.1", int(parts.address.rpartition(":")[2]))) as client:
        client.sendall(
            b"OPTIONS /v1/t HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n"
            b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n"
        )
        answer = client.recv(4_096).decode()
    assert answer.startswith("HTTP/1.1 204")
    assert "Access-Control-Allow-Headers: authorization,content-type" in answer


def test_large_bodies_end_early(parts: GatewayParts) -> None:
    """A gzip bomb of 1 GB, a batch and an event above their limits."""
    bomb = gzip.compress(b'{"batch":["' + b"0" * 100_000_000)
    bombs = b"".join([bomb] * 10)  # members of one stream: 1 GB
    began = time.monotonic()
    assert parts.post("/v1/batch", bombs, WEB_KEY, Content_Encoding="gzip").status in (400, 413)
    assert time.monotonic() - began < 3
    assert parts.post("/v1/batch", {"batch": [event("large", p="x" * 520_000)]}, WEB_KEY).status == 413
    assert parts.post("/v1/track", event("large", p="x" * 40_000), WEB_KEY).status == 413
    answer = parts.post("/v1/batch", {"batch": [event("large", p="x" * 40_000), event("small")]}, WEB_KEY)
    assert [each["reason"] for each in answer.body["messages"]] == ["too_large"]
    assert ids(parts)["small"] == 1


def test_what_sdks_load_first(parts: GatewayParts) -> None:
    """The settings name the gateway itself; a server's key is given nothing."""
    settings = send(parts.address, f"/v1/projects/{WEB_KEY}/settings")
    assert settings.body["integrations"]["Segment.io"]["apiHost"] == f"{parts.address}/v1"
    config = send(parts.address, f"/sourceConfig/?writeKey={WEB_KEY}&v=3").body
    assert config["source"]["dataplanes"]["US"][0]["url"] == f"http://{parts.address}"
    assert send(parts.address, f"/v1/projects/{SHOP_KEY}/settings").status == 404


def test_metrics_say_what_became_of_events(parts: GatewayParts) -> None:
    """By key and outcome, on the operator's port."""

    def counts() -> list[float]:
        families = exposed(parts.gateway.http)
        events = families["segmenter_gateway_events_total"]
        return [
            *(total(events, key="web", outcome=outcome) for outcome in ("written", "refused", "bot")),
            total(families["segmenter_gateway_refused_total"], key="web", reason="bad_type"),
            total(families["segmenter_gateway_wrong_keys_total"]),
        ]

    before = counts()
    batch = {"batch": [event("counted-1"), event("counted-2"), event("counted-3", type="erase")]}
    answers = [
        parts.post("/v1/batch", batch, WEB_KEY),
        parts.post("/v1/track", event("counted-4"), WEB_KEY, User_Agent="Googlebot/2.1"),
        parts.post("/v1/track", event("counted-5"), "webkey000002"),
    ]
    assert [answer.status for answer in answers] == [400, 200, 401]

    def counted() -> list[float]:
        return [after - earlier for after, earlier in zip(counts(), before, strict=True)]

    # A rendering of the metrics is served again for a while.
    eventually(lambda: counted() == [2, 1, 1, 1, 1], 10, "each event is counted once, by what became of it")


LINKS = MessageLinks("", LINK_SECRET)
TARGET = "https://shop.example/cart?of=u9"


def visited(parts: GatewayParts, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """The status, the address that is led to, and the body; redirects are not followed."""
    connection = http.client.HTTPConnection(parts.address, timeout=20)
    connection.request(method, path, headers={"User-Agent": AGENT, **headers})
    answer = connection.getresponse()
    page = (answer.status, answer.headers.get("Location", ""), answer.read().decode())
    connection.close()
    return page


def test_a_link_unsubscribes_only_who_confirms(parts: GatewayParts) -> None:
    """Programs that open links to look at them unsubscribe no reader; a mail program's own button does."""
    link = LINKS.unsubscribe("u8", "cart_mail", "b")

    def of_customer() -> list[dict[str, Any]]:
        records = [each for each in parts.written() if each.key == b"u8"]
        return [json.loads(each.value) | {"topic": parts.topic_of(each)} for each in records]

    status, _, page = visited(parts, link)
    assert (status, "<button>No more messages</button>" in page) == (200, True)
    assert 'dir="rtl"' in visited(parts, link, **{"Accept-Language": "fa-IR,fa"})[2]
    assert of_customer() == []
    assert visited(parts, link, "POST")[0] == 200
    identify, event = sorted(of_customer(), key=lambda each: each["topic"])
    assert (identify["topic"], identify["type"], identify["traits"]) == ("profiles", "identify", {"unsubscribed": True})
    assert (event["topic"], event["event"]) == ("visits", "Unsubscribed")
    assert event["properties"] == {"trigger": "cart_mail", "variant": "b"}


def test_a_click_leads_on_and_counts_once(parts: GatewayParts) -> None:
    """However often the link is opened; a crawler and a HEAD lead on without a count."""
    link = LINKS.click("u9", "cart_mail", "", TARGET)
    assert visited(parts, link, "HEAD")[:2] == (302, TARGET)
    assert visited(parts, link, **{"User-Agent": "Googlebot/2.1"})[:2] == (302, TARGET)
    assert [each for each in parts.written() if each.key == b"u9"] == []
    for padding in ("", "", "="):  # which makes another text of the same signature
        assert visited(parts, link + padding)[:2] == (302, TARGET)
    events = [json.loads(each.value) for each in parts.written() if each.key == b"u9"]
    assert len({each["messageId"] for each in events}) == 1
    assert (events[0]["event"], events[0]["properties"]) == (
        "Message Clicked", {"trigger": "cart_mail", "url": TARGET},
    )  # fmt: skip


def test_a_link_that_was_not_signed_leads_nowhere(parts: GatewayParts) -> None:
    """Another secret, another purpose, a token of a visitor, a token with another address."""
    forged = MessageLinks("", "x" * 40)
    wrong = [
        forged.unsubscribe("u1", "t", ""), forged.click("u1", "t", "", TARGET),
        LINKS.unsubscribe("u1", "t", "").replace("/u/", "/c/"),
        LINKS.click("u1", "t", "", TARGET).replace("/c/", "/u/"),
        "/c/" + signed("u1", LINK_SECRET), "/u/" + signed("u1", LINK_SECRET), "/c/x", "/u/x",
        "/c/" + signed("u1", LINK_SECRET, use="click", to="javascript:alert(1)"),
    ]  # fmt: skip
    for path in wrong:
        assert visited(parts, path)[0] == 404, path
        assert visited(parts, path, "POST")[0] in (404, 405), path


@pytest.mark.slow
def test_nothing_that_was_answered_is_lost() -> None:
    """The gateway is killed three times and Kafka once, while four senders repeat what was not answered 200."""
    with running(None) as parts:
        deliver_through(parts, kills=3, kafka_away_s=12.0)


@pytest.mark.slow
@pytest.mark.nightly
def test_nothing_that_was_answered_is_lost_in_ten_deaths() -> None:
    """Ten kill -9 of the gateway, and a Kafka that is away for 30 s."""
    with running(None) as parts:
        deliver_through(parts, kills=10, kafka_away_s=30.0)


@contextmanager
def ended(ending: threading.Event) -> Iterator[None]:
    """End the senders also where the test fails."""
    try:
        yield
    finally:
        ending.set()


def deliver_through(parts: GatewayParts, kills: int, kafka_away_s: float) -> None:
    """Send events without a pause while parts die; each that was answered is on the topics."""
    port = parts.address.rpartition(":")[2]
    parts.gateway.stop()
    parts.gateway.environment["SEGMENTER_GATEWAY_HTTP"] = f"127.0.0.1:{port}"
    address = f"127.0.0.1:{port}"
    ending = threading.Event()

    def sender(name: int) -> set[str]:
        answered = set[str]()
        number = 0
        while not ending.is_set():
            messages = [event(f"{name}-{number}-{index}", userId=f"u{name}") for index in range(5)]
            while send(address, "/v1/batch", {"batch": messages}, SHOP_KEY).status != 200:
                if ending.is_set():
                    return answered
                time.sleep(0.1)
            answered.update(message["messageId"] for message in messages)
            number += 1
        return answered

    with concurrent.futures.ThreadPoolExecutor(4) as pool, ended(ending):
        parts.gateway.start(**ENVIRONMENT)
        futures = [pool.submit(sender, name) for name in range(4)]
        for _ in range(kills):
            time.sleep(1.5)
            parts.gateway.kill()
            parts.gateway.start(**ENVIRONMENT)
            time.sleep(2.0)
        parts.kafka.kill9()
        time.sleep(1.0)
        clicked = time.monotonic()
        assert visited(parts, LINKS.click("u1", "t", "", TARGET))[:2] == (302, TARGET)
        assert time.monotonic() - clicked < 2.5
        assert send(address, "/v1/track", event("away"), SHOP_KEY).status == 503
        assert visited(parts, LINKS.unsubscribe("u1", "t", ""), "POST")[0] == 503
        time.sleep(max(0.0, kafka_away_s - 19.0))
        parts.kafka.restart()
        eventually(lambda: send(address, "/v1/track", event("back"), SHOP_KEY).status == 200, 60, parts.gateway.tail())
        time.sleep(3.0)
        ending.set()
        answered = set[str]().union(*(future.result() for future in futures))
    assert len(answered) > 100

    def all_are_there() -> bool:
        records = parts.written(4_000)
        return answered <= {json.loads(record.value)["messageId"] for record in records}

    eventually(all_are_there, 30, parts.gateway.tail())  # Kafka has just come back


@pytest.mark.slow
def test_idle_and_slow_clients_hold_up_nobody(parts: GatewayParts) -> None:
    """Ten thousand connections that send nothing, or a byte of a body: others are answered as before."""

    def p99_ms(count: int = 150) -> float:
        times = []
        for number in range(count):
            began = time.monotonic()
            assert parts.post("/v1/track", event(f"beside-{number}-{began}"), SHOP_KEY).status == 200
            times.append(time.monotonic() - began)
        return 1_000 * sorted(times)[int(0.99 * count) - 1]

    address = "127.0.0.1", int(parts.address.rpartition(":")[2])
    slow = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n{"
    alone = min(p99_ms(), p99_ms())
    clients: list[socket.socket] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(12_000, limits[1]), limits[1]))
    try:
        for number in range(min(10_000, limits[1] - 1_000)):
            client = socket.create_connection(address, timeout=10)
            if number % 3 == 0:
                client.sendall(slow)
            clients.append(client)
        beside = min(p99_ms(), p99_ms())
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(f"p99 alone {alone:.1f} ms, beside {len(clients)} connections {beside:.1f} ms")  # noqa: T201
    assert beside < max(2 * alone, 50)
