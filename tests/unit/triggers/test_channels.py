"""Channels against a real SMTP server and a real HTTP endpoint: what arrives, and how failures are reported."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from hypothesis import given
from hypothesis import strategies as st

from local.receivers import SECRET, Hook, Mailbox
from local.server_process import free_port
from rules.times import DAY_MS
from streams.triggers import channel_config, ssrf
from streams.triggers.channels.console import Console
from streams.triggers.channels.smtp import Smtp
from streams.triggers.channels.webhook import Webhook, waited
from streams.triggers.messages import Channel, Message, Outcome
from tests.support.channel_messages import Names, message, words

OTHER = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


# --- e-mail


def smtp(port: int, context: ssl.SSLContext | None = None, **more: Any) -> Smtp:
    way = {"kind": "email", "host": "127.0.0.1", "port": port, "tls": "none", "from": "فروشگاه <shop@example.com>",
           "timeout": "2s", **more}  # fmt: skip
    return Smtp(channel_config.EmailWay.model_validate(way), "secret", words(), context)


async def test_an_email_arrives_as_it_was_written() -> None:
    """Persian is in names, subject, text and html; only html is escaped; the key and unsubscribing are there."""
    with Mailbox() as mailbox:
        assert (await smtp(mailbox.port).send(message())).outcome is Outcome.SENT
        assert (await smtp(mailbox.port).send(message(key="other"))).outcome is Outcome.SENT
        assert (await smtp(mailbox.port).send(message())).outcome is Outcome.SENT
    mail = mailbox.mails[0][1]
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (mail["Subject"], mail["To"]) == ("سبد شما بهار", "bahar@example.com")
    assert mail["From"].addresses[0].display_name == "فروشگاه"
    assert plain.get_content().replace("\r\n", "\n") == "سلام بهار <b>: ۳۰ دقیقه بی‌فعالیت <b>\n"
    assert html.get_content().replace("\r\n", "\n") == "<p dir=rtl lang=fa>بهار &lt;b&gt; ۳۰ دقیقه بی‌فعالیت</p>\n"
    assert mail["List-Unsubscribe"].startswith("<https://example.com/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    ids = [mail["Message-ID"] for _, mail in mailbox.mails]
    assert ids[0] == ids[2] != ids[1]


async def test_starttls_is_kept_to() -> None:
    """A trusted certificate is needed; with another one the message is not sent."""
    authority = trustme.CA()
    server_tls, client_tls, strange = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.create_default_context(),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    authority.configure_trust(client_tls)
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, tls_context=server_tls, require_starttls=True)
    controller.start()
    try:
        assert (await smtp(port, client_tls, tls="starttls").send(message())).outcome is Outcome.SENT
        assert (await smtp(port, strange, tls="starttls").send(message())).outcome is Outcome.FAILED
        assert (await smtp(port).send(message())).outcome is not Outcome.SENT
    finally:
        controller.stop()
    assert len(box.mails) == 1


async def test_who_we_are_is_said() -> None:
    """The password of the settings is sent under TLS; with a wrong one the attempt fails and is repeated."""
    authority, server_tls, client_tls = (
        trustme.CA(),
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    authority.configure_trust(client_tls)

    def knows(_: Any, __: Any, ___: Any, ____: Any, credentials: Any) -> AuthResult:
        return AuthResult(success=(credentials.login, credentials.password) == (b"shop", b"secret"), handled=False)

    box, port = Mailbox(), free_port()
    controller = Controller(
        box, hostname="127.0.0.1", port=port, tls_context=server_tls, require_starttls=True, authenticator=knows,
        auth_required=True,
    )  # fmt: skip
    controller.start()
    try:
        user = {"user": "shop", "password": {"env": "P"}, "tls": "starttls"}
        assert (await smtp(port, client_tls, **user).send(message())).outcome is Outcome.SENT
        refused = await smtp(port, client_tls, **{**user, "user": "other"}).send(message())
        assert (refused.outcome, refused.detail) == (Outcome.FAILED, "the server refuses the login (535)")
        assert (await smtp(port, client_tls, tls="starttls").send(message())).outcome is Outcome.REFUSED
    finally:
        controller.stop()
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    ("address", "lines"), [("", None), ("no-at", None), ("a@b\r\nBcc: c@d", None), ("a@b, c@d", None)]
)
async def test_what_is_no_address_is_refused(address: str, lines: None) -> None:
    """No server is contacted."""
    result = await smtp(1).send(message(contact={"email": address}))
    assert (result.outcome, result.detail) == (Outcome.REFUSED, "no address")


class Says:
    """An SMTP server that answers a command as the test says; ``None``: it hangs up."""

    def __init__(self, at: str, answer: str | None) -> None:
        self._at, self._answer = at, answer

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        in_data = False
        while line := await reader.readline():
            word = "." if line == b".\r\n" else line[:4].decode().strip().upper()
            if in_data and word != ".":
                continue
            if word == self._at:
                if self._answer is None:
                    break
                writer.write(self._answer.encode() + b"\r\n")
                in_data = False
                continue
            in_data = word == "DATA"
            writer.write(b"354 go\r\n" if in_data else b"250 ok\r\n")
        writer.close()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


@pytest.mark.parametrize(
    ("at", "answer", "outcome"),
    [
        ("RCPT", "550 unknown", Outcome.REFUSED), ("RCPT", "450 greylisted", Outcome.FAILED),
        ("DATA", "554 no", Outcome.REFUSED), (".", "451 later", Outcome.FAILED), (".", "552 too big", Outcome.REFUSED),
        (".", None, Outcome.UNKNOWN), ("EHLO", None, Outcome.FAILED),
    ],
)  # fmt: skip
async def test_what_a_mail_server_may_say(at: str, answer: str | None, outcome: Outcome) -> None:
    """A mail server refuses for good, refuses for now, or says nothing after the whole message."""
    async with Says(at, answer) as port:
        assert (await smtp(port).send(message())).outcome is outcome
    assert (await smtp(free_port()).send(message())).outcome is Outcome.FAILED


async def test_the_last_look_of_an_email_comes_right_before_data() -> None:
    """All that takes time is done; after an objection the server gets no more."""
    heard: list[str] = []

    class Spy(Mailbox):
        async def handle_RCPT(  # noqa: N802 (aiosmtpd's)
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            heard.append("RCPT")
            envelope.rcpt_tos.append(address)
            return "250 OK"

    async def against() -> str | None:
        heard.append("look")
        return "left meanwhile" if heard.count("look") == 1 else None

    with Spy() as mailbox:
        first = await smtp(mailbox.port).send(message(against=against))
        assert (first.outcome, first.detail, mailbox.mails) == (Outcome.GIVEN_BACK, "left meanwhile", [])
        assert (await smtp(mailbox.port).send(message(against=against))).outcome is Outcome.SENT
    assert heard == ["RCPT", "look"] * 2
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(("against", "outcome"), [(None, Outcome.SENT), ("the last look failed", Outcome.GIVEN_BACK)])
async def test_a_slow_last_look_is_no_failure_of_the_mail_server(against: str | None, outcome: Outcome) -> None:
    """The store takes longer than the server may, and the server is not held for broken."""

    async def slow() -> str | None:
        await asyncio.sleep(0.8)
        return against

    with Mailbox() as mailbox:
        result = await smtp(mailbox.port, timeout="500ms").send(message(against=slow))
    assert (result.outcome, len(mailbox.mails)) == (outcome, int(outcome is Outcome.SENT))


# --- webhooks


def hook(url: str, secrets: tuple[str, ...] = (SECRET,), **more: Any) -> Webhook:
    way = {"kind": "webhook", "url": url, "secrets": [{"env": "S"}], "allow_private": True, "timeout": "500ms", **more}
    return Webhook(channel_config.WebhookWay.model_validate(way), secrets, words(text="سلام {{ contact.name }}"))


async def closed(channel: Channel, outgoing: Message) -> Any:
    """The result of one attempt, after which the channel is closed."""
    try:
        return await channel.send(outgoing)
    finally:
        await channel.close()


async def test_a_webhook_arrives_signed() -> None:
    """The published library verifies both bodies, also by the old secret while it is changed, but by no other."""
    with Hook() as receiver:
        for body in ("change", "audience"):
            assert (await closed(hook(receiver.url, body=body), message())).outcome is Outcome.SENT
        assert (await closed(hook(receiver.url, (OTHER, SECRET)), message())).outcome is Outcome.SENT
        assert (await closed(hook(receiver.url, (OTHER,)), message())).outcome is Outcome.REFUSED
    assert receiver.forged == 1
    assert [call.id for call in receiver.calls] == ["change1-cart"] * 3
    change_body, audience_body = receiver.calls[0].body, receiver.calls[1].body
    assert change_body["type"] == "segment.entered"
    assert change_body["data"]["change"]["customer_id"] == "بهار"
    assert change_body["data"]["message"] == "سلام بهار <b>"
    assert (audience_body["event"], audience_body["userId"], audience_body["messageId"]) == (
        "Audience Entered",
        "بهار",
        "change1-cart",
    )
    assert audience_body["properties"]["audience_key"] == "abandoned_cart"
    assert audience_body["properties"]["abandoned_cart"] is True


Answer = Callable[[web.Request], Any]


@pytest.fixture
def endpoint() -> Iterator[Callable[[Answer], Any]]:
    """Serves a handler on the test's own loop."""
    runners: list[web.AppRunner] = []

    async def serve(answer: Answer) -> str:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        runners.append(runner)
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{port}/hook"

    yield serve
    runners.clear()


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "retry_after"),
    [
        (204, {}, Outcome.SENT, None), (410, {}, Outcome.GONE, None), (400, {}, Outcome.REFUSED, None),
        (301, {"Location": "/elsewhere"}, Outcome.REFUSED, None), (503, {}, Outcome.FAILED, None),
        (429, {"Retry-After": "7"}, Outcome.FAILED, 7_000), (408, {}, Outcome.FAILED, None),
    ],
)  # fmt: skip
async def test_what_an_endpoint_may_answer(
    endpoint: Any, status: int, headers: dict[str, str], outcome: Outcome, retry_after: int | None
) -> None:
    """No redirect is followed."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers=headers)

    result = await closed(hook(await endpoint(answer)), message())
    assert (result.outcome, result.retry_after_ms, paths) == (outcome, retry_after, ["/hook"])


async def test_slow_long_and_cut(endpoint: Any) -> None:
    """Timeouts and cut connections are unknown outcomes; a long answer is not read on; a closed port is a failure."""

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1.2)
        return web.Response()

    async def long(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 10_000)
        return response

    async def cut(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert (await closed(hook(await endpoint(slow)), message())).outcome is Outcome.UNKNOWN
    assert (await closed(hook(await endpoint(long), timeout="5s"), message())).outcome is Outcome.SENT
    assert (await closed(hook(await endpoint(cut)), message())).outcome is Outcome.UNKNOWN
    assert (await closed(hook(f"http://127.0.0.1:{free_port()}/"), message())).outcome is Outcome.FAILED


def test_retry_after_in_both_forms() -> None:
    """The header is seconds or a date, at most a day; anything else is ignored."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 98_000 <= (waited(at) or 0) <= 100_000
    assert [waited(header) for header in ("3", "99999999999999", "soon", "-1", None)] == [
        3_000,
        DAY_MS,
        None,
        None,
        None,
    ]
    assert waited("0" * 20 + "7") == 7_000


NO_RETRY_AFTER = [
    "²", "٧", "Fri, 31 Dec 99999999999999999999 23:59:59 GMT", "Fri, 31 Dec 2100 23:59:59 +" + "9" * 40, "\ud8007",
]  # fmt: skip


@pytest.mark.parametrize("header", NO_RETRY_AFTER)
def test_a_retry_after_that_is_neither_a_number_nor_a_date(header: str) -> None:
    """Digits of other scripts, and dates and zones that no clock has, are no Retry-After."""
    assert waited(header) is None


async def test_an_endpoint_that_lies_about_when_to_come_again(endpoint: Any) -> None:
    """The attempt fails as one without the header does."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": NO_RETRY_AFTER[int(request.headers["webhook-id"])]})

    url = await endpoint(answer)
    for index in range(4):
        result = await closed(hook(url), message(key=str(index)))
        assert (result.outcome, result.retry_after_ms) == (Outcome.FAILED, None)


def odd(*usual: str) -> st.SearchStrategy[str]:
    """A part of a date: mostly a usual one, else digits without an end or something else."""
    other = st.sampled_from(["9" * 30, "-1", "²", "", ":", "::", "1.5", "\ud800", "\x00", ","]) | st.text(max_size=3)
    return st.sampled_from(usual) | other


# Headers that are bytes of any kind, as the client decodes them, digits of any script, and texts that look like dates.
headers = (
    st.binary().map(lambda value: value.decode("utf-8", "surrogateescape"))
    | st.text(st.characters())
    | st.text(st.characters(categories=["Nd", "Nl", "No"]))
    | st.tuples(
        odd("Fri,"), odd("31", "0"), odd("Dec", "Feb"), odd("2030", "1"), odd("23:59:59"), odd("GMT", "-2359", "+9999")
    ).map(" ".join)
)


@given(headers)
def test_no_retry_after_is_beyond_its_bounds(header: str) -> None:
    """Whatever an endpoint sends, the wait is between nothing and a day."""
    wait = waited(header)
    assert wait is None or 0 <= wait <= DAY_MS


# --- the guard


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("ff02::1", False), ("not an address", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, allowed: bool) -> None:
    """Private addresses are recognised in each form that may carry them."""
    assert ssrf.is_public(address) is allowed


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://user@example.com/",
        "https://example.com:22/",
    ],
)
def test_which_urls_are_not_called(url: str) -> None:
    """A URL that may not be called is refused at the start."""
    with pytest.raises(ValueError, match="url: expected"):
        hook(url, allow_private=False)


async def test_a_name_that_turns_inside_is_not_followed() -> None:
    """A name is public first and private later, or mixed: the checked address is the one connected to."""
    rebinding = ssrf.Guard(Names(["93.184.216.34"], ["127.0.0.1"]))  # type: ignore[arg-type]
    assert [address["host"] for address in await rebinding.resolve("example.com", 443)] == ["93.184.216.34"]
    with pytest.raises(ssrf.NotAllowed):
        await rebinding.resolve("example.com", 443)
    with pytest.raises(ssrf.NotAllowed):
        await ssrf.Guard(Names(["93.184.216.34", "10.0.0.1"])).resolve("example.com", 443)  # type: ignore[arg-type]


async def test_a_private_name_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: Any) -> None:
    """The real channel refuses it, and the server that listens there gets no request."""
    came: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        came.append(request.path)
        return web.Response()

    url = await endpoint(answer)
    inner = Names(["127.0.0.1"])
    monkeypatch.setattr(ssrf, "Guard", lambda: _guard(inner))
    channel = hook(url.replace("http://127.0.0.1", "https://internal.example"), allow_private=False)
    result = await closed(channel, message())
    assert (result.outcome, result.detail, came) == (Outcome.REFUSED, "the address is not allowed", [])


def _guard(inner: Any, real: type[ssrf.Guard] = ssrf.Guard) -> ssrf.Guard:
    return real(inner)


# --- templates and the console


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"text": "{{ nobody }}"}, "text: 'nobody' is undefined"),
        ({"text": "{{ contact.phone }}"}, "text: 'dict object' has no attribute 'phone'"),
        ({"text": "{% if %}"}, "text: Expected an expression"),
        ({"subject": "{{ ''.__class__.__mro__ }}", "text": "t"}, "subject: access to attribute '__class__'"),
        ({"text": {"file": "absent.txt"}}, "text: the file cannot be read"),
        ({"text": "{% for a in range(90000) %}xxxxxxxxxx{% endfor %}"}, "text: longer than"),
    ],
)
def test_wrong_templates_are_told_at_the_start(parts: dict[str, Any], complaint: str) -> None:
    """The message has the part and the names that are allowed."""
    with pytest.raises(ValueError, match=complaint.replace("(", "\\(")):
        words(**parts)


async def test_the_console_says_a_line() -> None:
    """A customer's id can neither turn the line around nor end it."""
    stream = io.StringIO()
    channel = Console(words(text="hello {{ customer }}"), stream)
    await channel.send(message(customer="a\u202e\nb"))
    await channel.send(message())
    first, second = stream.getvalue().splitlines()
    assert first.isascii()
    assert second == "cart → بهار: hello بهار"
