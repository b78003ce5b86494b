"""Calls of other products' APIs: each recipe of docs/examples/webhooks.yaml against a receiver of its documentation.

The receivers check what the public documentation of each API asks of a request, and answer as it says.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from aiohttp import web

from local.server_process import free_port
from rules.definitions.segments_file import Definitions, DefinitionsError, parse
from rules.times import parse_instant
from streams.triggers import config_file
from streams.triggers.channels import factory
from streams.triggers.config import TriggersFile
from streams.triggers.endpoint import Endpoint
from streams.triggers.messages import AttemptResult, Message, Outcome
from tests.support.in_memory_triggers import START, change

FILE = Path("docs/examples/webhooks.yaml")
SEGMENTS = Path("docs/examples/cart_segments.yaml")
DATA: dict[str, object] = {
    "cart": [
        {"product_id": "t1", "name": 'Green "Tea" & <b>{{ 7*7 }}</b>', "price": 3.5, "quantity": 2},
        {"product_id": "m1", "price": 12, "quantity": 1},
    ],
    "cart_lines": 2,
}
WRITE_KEY = "1Xk5DChfJAol3xtW7qNnK1apo5p"
SECRETS = {
    "SLACK_WEBHOOK_URL": "/services/T0/B0/secret",
    "TELEGRAM_SEND_URL": "/bot123:secret/sendMessage",
    "RUDDERSTACK_TRACK_URL": "/v1/track",
    "RUDDERSTACK_BASIC": base64.b64encode(f"{WRITE_KEY}:".encode()).decode(),
    "BRAZE_API_KEY": "braze-key",
}


def definitions() -> Definitions:
    return parse(SEGMENTS.read_text(), str(SEGMENTS))


Answer = tuple[int, Any]


# --- what each documentation asks


def slack(path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """https://api.slack.com/messaging/webhooks and its list of errors."""
    if path != "/services/T0/B0/secret":
        return 404, "no_service"
    if headers["Content-Type"] != "application/json":
        return 400, "invalid_payload"
    message = json.loads(body)
    if not (isinstance(message.get("text"), str) and message["text"]) and "blocks" not in message:
        return 400, "no_text"
    return (400, "invalid_payload") if message.keys() - {"text", "blocks", "attachments", "thread_ts"} else (200, "ok")


def telegram(path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """https://core.telegram.org/bots/api#sendmessage: chat_id and a text of 1 to 4096 characters."""
    if path != "/bot123:secret/sendMessage":
        return 404, {"ok": False, "error_code": 404, "description": "Not Found"}
    message = json.loads(body)
    if not str(message.get("chat_id", "")):
        return 400, {"ok": False, "error_code": 400, "description": "Bad Request: chat_id is empty"}
    if not isinstance(message.get("text"), str) or not 0 < len(message["text"]) <= 4_096:
        return 400, {"ok": False, "error_code": 400, "description": "Bad Request: message text is empty"}
    return 200, {"ok": True, "result": {"message_id": 1}}


def braze(path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """https://www.braze.com/docs/api/endpoints/user_data/post_user_track/: up to 75 events, each of one user."""
    if path != "/users/track" or headers.get("Authorization") != "Bearer braze-key":
        return 401, {"message": "Invalid API Key"}
    message = json.loads(body)
    if message.keys() - {"attributes", "events", "purchases"} or not 0 < len(message["events"]) <= 75:
        return 400, {"message": "invalid request"}
    for event in message["events"]:
        is_named = isinstance(event.get("external_id"), str) and isinstance(event.get("name"), str) and event["name"]
        if not is_named or parse_instant(event.get("time")) is None or not isinstance(event["properties"], dict):
            return 400, {"message": "events: required fields are missing", "errors": [event]}
    return 201, {"message": "success", "events_processed": len(message["events"])}


def rudderstack(path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """https://www.rudderstack.com/docs/api/http-api/: basic authentication by the write key, a user and an event."""
    expected = "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode()
    if path != "/v1/track" or headers.get("Authorization") != expected:
        return 401, "Invalid Write Key"
    message = json.loads(body)
    is_right = isinstance(message.get("userId"), str) and isinstance(message.get("event"), str)
    is_right = is_right and isinstance(message.get("properties"), dict)
    return (200, "OK") if is_right and parse_instant(message.get("timestamp")) is not None else (400, "Invalid JSON")


API: dict[str, Callable[[str, Mapping[str, str], bytes], Answer]] = {
    "slack": slack, "telegram": telegram, "braze": braze, "rudderstack": rudderstack,
}  # fmt: skip


class Receiver:
    """A server of one API. ``bodies``: of the requests that it accepted; ``answers``: of all."""

    def __init__(self, check: Callable[[str, Mapping[str, str], bytes], Answer]) -> None:
        self._check = check
        self.url = ""
        self.requests: list[tuple[str, Mapping[str, str], bytes]] = []
        self.answers: list[Answer] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request.method, dict(request.headers), body))
        status, text = self._check(request.path, request.headers, body)
        self.answers.append((status, text))
        return (
            web.json_response(text, status=status) if isinstance(text, dict) else web.Response(text=text, status=status)
        )


Serve = Callable[[Callable[[str, Mapping[str, str], bytes], Answer]], Awaitable[Receiver]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def started(check: Callable[[str, Mapping[str, str], bytes], Answer]) -> Receiver:
        receiver = Receiver(check)
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", receiver.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        runners.append(runner)
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{port}"
        return receiver

    yield started
    for runner in runners:
        await runner.cleanup()


def local(key: str, url: str) -> tuple[TriggersFile, dict[str, str]]:
    """The file of the recipes with one channel at a local address, and the environment that it needs."""
    from rules.definitions import yaml_text  # noqa: PLC0415

    document: Any = yaml_text.read(FILE.read_text())
    channel = document["channels"][key]
    channel["allow_private"] = True
    if isinstance(channel["url"], str):
        channel["url"] = url + "/users/track"
    document["channels"] = {key: channel}
    document["triggers"] = {name: own for name, own in document["triggers"].items() if own["channel"] == key}
    environment = {name: url + text if text.startswith("/") else text for name, text in SECRETS.items()}
    return config_file.parsed(document, "recipes"), environment


def message(trigger: str, segment: str, **more: Any) -> Message:
    raw = msgspec.json.encode(change("kim@shop.example", segment, "entered", START, 1))
    contact = {"name": "Kim", "chat": "4711"}
    return Message(f"c1-{trigger}", trigger, "kim@shop.example", raw, contact, START, **more)


async def sent(key: str, url: str, outgoing: Message) -> AttemptResult:
    file, environment = local(key, url)
    channels = factory.channels(file, FILE, definitions(), environment, io.StringIO())
    try:
        return await channels[key].send(outgoing)
    finally:
        await channels[key].close()


RECIPES = [
    ("slack", "team_note", "vip"),
    ("telegram", "cart_chat", "abandoned_cart"),
    ("braze", "cart_to_braze", "abandoned_cart"),
    ("rudderstack", "cart_to_rudderstack", "abandoned_cart"),
]


def test_the_recipes_are_right() -> None:
    """The file is accepted for the segments beside it, and each of its channels has a receiver here."""
    file = config_file.load(FILE, definitions())
    assert set(file.channels) == set(API)
    assert {trigger.channel for trigger in file.triggers.values()} == set(API)


@pytest.mark.parametrize(("key", "trigger", "segment"), RECIPES)
async def test_each_api_accepts_its_recipe(serve: Serve, key: str, trigger: str, segment: str) -> None:
    """The request is what the documentation asks, also with texts that could be its syntax."""
    receiver = await serve(API[key])
    result = await sent(key, receiver.url, message(trigger, segment, data=DATA))
    assert result == AttemptResult(Outcome.SENT), receiver.answers
    assert len(receiver.requests) == 1


async def test_values_stay_values(serve: Serve) -> None:
    """A list is a list and a number a number; a name with quotes and markup is the same text at the other end."""
    receiver = await serve(braze)
    await sent("braze", receiver.url, message("cart_to_braze", "abandoned_cart", data=DATA))
    (event,) = json.loads(receiver.requests[0][2])["events"]
    assert event["external_id"] == "kim@shop.example"
    assert event["name"] == "abandoned_cart_entered"
    first, second = event["properties"]["cart"]
    assert first == {"image_url": "", "url": "", **DATA["cart"][0]}  # type: ignore[index]
    assert (second["name"], second["price"]) == ("", 12)
    assert event["properties"]["lines"] == 2
    telegram_receiver = await serve(telegram)
    await sent("telegram", telegram_receiver.url, message("cart_chat", "abandoned_cart", data=DATA))
    text = json.loads(telegram_receiver.requests[0][2])["text"]
    assert '2 × Green "Tea" & <b>{{ 7*7 }}</b>, €3.50\n' in text
    assert "1 × m1, €12.00\n" in text


# --- what a request may be


HOOK: dict[str, Any] = {"kind": "webhook", "allow_private": True, "timeout": "2s"}


async def request_of(serve: Serve, answer: Answer = (200, "ok"), **way: Any) -> tuple[AttemptResult, Receiver]:
    """The result of one attempt of a webhook, and its receiver."""
    receiver = await serve(lambda *_: answer)
    triggers = {"t": {"segment": "abandoned_cart", "channel": "hook", "template": {"text": "{{ customer }}"}}}
    document = {"version": 1, "channels": {"hook": HOOK | {"url": receiver.url} | way}, "triggers": triggers}
    file = config_file.parsed(document, "file")
    channels = factory.channels(file, FILE, definitions(), {"T": "secret"}, io.StringIO())
    try:
        return await channels["hook"].send(message("t", "abandoned_cart", data=DATA)), receiver
    finally:
        await channels["hook"].close()


async def test_method_headers_and_form(serve: Serve) -> None:
    """A form is encoded as such, a header may come of a variable, and the key of the message may stand in one."""
    _, receiver = await request_of(
        serve, method="PUT", headers={"X-Team": "crm", "Authorization": {"env": "T", "before": "Token "}},
        idempotency="Idempotency-Key", body={"form": {"who": "{{ customer }}&x=1", "lines": "{{ data.cart_lines }}"}},
    )  # fmt: skip
    ((method, headers, body),) = receiver.requests
    assert method == "PUT"
    assert (headers["X-Team"], headers["Authorization"], headers["Idempotency-Key"]) == ("crm", "Token secret", "c1-t")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body.decode()) == {"who": ["kim@shop.example&x=1"], "lines": ["2"]}
    assert "webhook-signature" not in {name.lower() for name in headers}


OWN = {"json": {"a": "{{ customer }}"}}


@pytest.mark.parametrize(
    ("status", "way", "outcome"),
    [
        (200, {}, Outcome.SENT),
        (202, {}, Outcome.SENT),
        (202, {"success": [200]}, Outcome.REFUSED),
        (422, {}, Outcome.REFUSED),
        (422, {"again": [422]}, Outcome.FAILED),
        (410, {}, Outcome.GONE),
        (410, {"again": [410]}, Outcome.FAILED),
        (429, {"success": [200]}, Outcome.FAILED),
    ],
)
async def test_what_a_status_means(serve: Serve, status: int, way: dict[str, Any], outcome: Outcome) -> None:
    """A channel says which statuses accept a message, and after which others it is tried again."""
    result, _ = await request_of(serve, (status, "x"), body=OWN, **way)
    assert result.outcome is outcome


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"json": "{{ data.cart | map(attribute='price') | list }}"}, [3.5, 12]),
        ({"json": "{{ data.cart | map(attribute='price') }}"}, [3.5, 12]),
        ({"json": ["{{ customer }}", 1, None, True]}, ["kim@shop.example", 1, None, True]),
        ({"json": {"a": "{{ 1 }}{{ 2 }}", "b": "{{ {'x': [1]} }}"}}, {"a": "12", "b": {"x": [1]}}),
        (
            {"json": {"a": "{% if data.cart %}yes{% endif %}", "m": "{{ message }}"}},
            {"a": "yes", "m": "kim@shop.example"},
        ),
        ({"json": {"a": "{{ trigger }} {{ key }}"}}, {"a": "t c1-t"}),
    ],
)
async def test_what_a_body_may_be(serve: Serve, body: Any, expected: Any) -> None:
    """Texts are templates; one expression alone gives its value."""
    _, receiver = await request_of(serve, body=body)
    assert json.loads(receiver.requests[0][2]) == expected


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        ({"body": {"json": {"a": "{{ data.cart[0].colour }}"}}}, "channels.hook.body: "),
        ({"body": {"json": {"a": "{{ customer"}}}, "channels.hook.body: "),
        ({"body": {"json": {"a": "{{ nothing }}"}}}, "channels.hook.body: 'nothing' is undefined"),
        ({"body": {"json": {"a": "{{ range }}"}}}, "channels.hook.body: "),
        ({"body": {"json": {"a": "{{ 'x' * 99999999 }}"}}}, "channels.hook.body: "),
        ({"body": {"json": {}, "form": {}}}, "expected {json: …} or {form: {…}}"),
        ({"body": "change"}, "secrets: this key is missing"),
        ({"body": OWN, "headers": {"Host": "x"}}, "not a header that may be set"),
        ({"body": OWN, "headers": {"A b": "x"}}, "not a header that may be set"),
        ({"body": OWN, "headers": {"A": "x\r\nB: y"}}, "a line of printable ASCII"),
        ({"body": OWN, "method": "GET"}, "expected one of 'POST', 'PUT' or 'PATCH'"),
        ({"body": OWN, "rate": 0}, "greater than 0"),
    ],
)
async def test_what_is_wrong_is_said_at_the_start(serve: Serve, way: dict[str, Any], problem: str) -> None:
    """No message is needed to find out."""
    with pytest.raises(DefinitionsError) as raised:
        await request_of(serve, **way)
    assert problem in str(raised.value)


async def test_a_secret_that_is_no_header_is_not_shown(serve: Serve) -> None:
    """The error names the variable."""
    receiver = await serve(lambda *_: (200, "ok"))
    document = {
        "version": 1,
        "channels": {"hook": HOOK | {"url": receiver.url, "body": OWN, "headers": {"A": {"env": "T"}}}},
        "triggers": {"t": {"segment": "abandoned_cart", "channel": "hook"}},
    }
    file = config_file.parsed(document, "file")
    with pytest.raises(DefinitionsError, match="T is no line") as raised:
        factory.channels(file, FILE, definitions(), {"T": "se\ncret"}, io.StringIO())
    assert "cret" not in str(raised.value)


def test_a_rate_spreads_attempts() -> None:
    """At a rate of 2 a second an endpoint gives a place each half a second, to one after the other."""
    file, _ = local("slack", "http://127.0.0.1:9")
    way = file.channels["slack"].model_copy(update={"rate": 2.0})
    endpoint = Endpoint(way, None)  # type: ignore[arg-type]
    taken = []
    asking = {0: 0, 1: 0, 2: 0, 3: 0}
    for now in range(0, 5_000, 10):
        for customer, at in list(asking.items()):
            if now >= at:
                later = endpoint.take(now)
                if later:
                    asking[customer] = later
                else:
                    taken.append(now)
                    del asking[customer]
                    endpoint.give_back()
    assert len(taken) == 4
    assert all(390 <= later - earlier <= 700 for earlier, later in pairwise(taken)), taken
