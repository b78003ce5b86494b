"""E-mail whose ids and traits are hostile: no header, part or command that was not meant, and the customer gets mail.

What is sent is read by a parser that shares no code with the one that checks it before it is sent. Values are chosen
so that they break what does not encode them: RFC 2047 encoded words, controls, line breaks of all kinds of Unicode,
marks that turn text around, halves of pairs, lines of 998 characters, ends of messages as lenient servers take them.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import unicodedata
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec
import pytest
from aiosmtpd.controller import Controller
from fast_mail_parser import PyMail, PyMimePart, parse_email, parse_email_tree

from local.server_process import free_port
from rules.sentences.reason_sentence import SENTENCE_MAX_CHARS
from streams.triggers import channel_config, config
from streams.triggers.channels import mime
from streams.triggers.channels.smtp import Smtp
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.triggers.templates import MessageTemplates
from streams.triggers.traits import TRAIT_MAX_CHARS
from streams.wire.event_decoder import CUSTOMER_MAX_BYTES
from tests.support.in_memory_triggers import START, change

NAMES = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Reply-To", "List-Unsubscribe",
    "List-Unsubscribe-Post", "MIME-Version", "Content-Type",
]  # fmt: skip
PART_NAMES = ["Content-Type", "Content-Transfer-Encoding"]
UNSUBSCRIBE = "https://example.com/stop?who={{ customer }}&name={{ contact.name }}"
SUBJECT = "{{ contact.name }}, you left something, {{ customer }}"
TEXT = "Hello {{ contact.name }} ({{ customer }}):\n{{ said.en }}\n{{ unsubscribe }}"
HTML = "<p>Hello {{ contact.name }} ({{ customer }}): {{ said.en }}</p>"
NAME_MAX_CHARS = 64
SIGNS = 'aZ9 =?_<>@.,:;\r\n\t\0"\\%&\x85\u2028\u202e\u2069\ud83dبé😀'

INJECTIONS = [
    "=?utf-8?q?Ann=0d=0aReply-To=3a_evil=40example=2enet?=",
    "=?utf-8?q?x=0d=0aContent-Type=3a_text/html=0d=0a=0d=0a<h1>Pay</h1>?=",
    "=?utf-8?b?eA0KQmNjOiBldmlsQGV4YW1wbGUubmV0?=", "=?utf-8*en?q?a=0ab?=", "=?a?=", "=?utf-8?q?open",
    "x\r\nBcc: evil@example.net", "x\nBcc: evil@example.net", "x\rBcc: evil@example.net", "x\n\n<h1>body</h1>",
    "x\u0085Bcc: a@b", "x\u2028Bcc: a@b", "x\u2029Bcc: a@b", "x\x0bBcc: a@b", "x\x0cBcc: a@b", "x\x1c\x1d\x1eBcc: a@b",
    "a\x00b", "\x1b[2J", "\x7f\x80\x9f", "\u202eevil", "\u2066\u2067\u2068", "\u2069\u202c", "\ud800", "\udfff\ud800x",
    "x" * 998, "x " * 499, "ä" * 998, "😀" * 250, "<>,;:\"()[]\\@", "&admin=1#x%0d%0a%zz", "{{ customer }}", "a\tb",
    "\n.\nMAIL FROM:<evil@example.net>\nRCPT TO:<v@example.com>\nDATA\nhi\n.\n", "\r\n.\r\nQUIT\r\n", "\r.\r",
    "\n.\r\n", "a=\r\n", "Subject: x", " \t folded",
    "\r\n--=_\r\nContent-Type: text/html\r\n\r\nx", ".", "..", "", " ", "بهار\u200c",
]  # fmt: skip
ADDRESSES = [
    "a@example.com", "a.b+c@example.com", "a%b@example.com", "-oQ/tmp@example.com", "a\x00@example.com",
    "a@example.com\r\nRCPT TO:<b@example.com>", "=?utf-8?q?a?=@example.com", "a\u202e@example.com", "a@b\u2028c",
    "\ud800@a", "ä@exämple.com", "a@نامه\u200cای.com", "a@example.com> SIZE=1", "a,b@example.com", "", "x" * 998,
]  # fmt: skip


def channel(port: int = 1, unsubscribe: str | None = UNSUBSCRIBE, subject: str = SUBJECT, **more: Any) -> Smtp:
    way = {
        "kind": "email", "host": "127.0.0.1", "port": port, "tls": "none",
        "from": '"Shop, =?utf-8?q?x?=" <shop@example.com>',
        "reply_to": "Help <help@example.com>, Büro <office@example.com>", "timeout": "10s", **more,
    }  # fmt: skip
    template = config.Template(subject=subject, text=TEXT, html=HTML)
    words = MessageTemplates(template, Path(), frozenset({"email", "name"}), unsubscribe)
    return Smtp(channel_config.EmailWay.model_validate(way), None, {"cart": words})


def message(
    customer: str = "u1", name: str = "Ann", email: str = "ann@example.com", sentence: str = "because"
) -> Message:
    raw = change("u1", "abandoned_cart", "entered", START, 1)
    raw = msgspec.structs.replace(raw, said={"en": sentence, "fa": sentence})
    return Message("key", "cart", customer, msgspec.json.encode(raw), {"email": email, "name": name}, START)


def composed(customer: str = "u1", name: str = "Ann", email: str = "ann@example.com", **more: Any) -> bytes:
    return channel(**more).compose(message(customer, name, email), email).content


def visible(text: str) -> str:
    """The characters that neither steer nor separate, which must arrive whatever else is in a value."""
    whole = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return "".join(
        character
        for character in whole
        if not character.isspace() and unicodedata.category(character) != "Cc" and character not in BIDI
    )


BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def check(raw: bytes, customer: str, name: str, sentence: str = "because", *, is_named: bool = True) -> None:
    """What goes out has these headers and parts and no others, and each reads as it was meant.

    ``is_named``: the name is in the address to unsubscribe at.
    """
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|[^\t\r\n -\xff]|\x7f", raw)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    for word in re.findall(rb"=\?utf-8\?b\?([^?]*)\?=", raw.partition(b"\r\n\r\n")[0]):
        assert len(word) <= 75 - len("=?utf-8?b??=")
        assert b64decode(word, validate=True).decode()  # no character is in two words
    mail, tree = parse_email(raw, strict=True), parse_email_tree(raw)
    assert {header: len(values) for header, values in mail.headers.items()} == dict.fromkeys(NAMES, 1)
    assert list(mail.headers) == NAMES
    _check_parts(tree)
    _check_subject(mail, f"{name}, you left something, {customer}")
    _check_unsubscribe(mail, {"who": customer, "name": name} if is_named else {"who": customer})
    assert mail.from_ is not None
    assert (mail.from_.display_name, mail.from_.address) == ("Shop, =?utf-8?q?x?=", "shop@example.com")
    assert [address.address for address in mail.reply_to] == ["help@example.com", "office@example.com"]
    ((plain,), (html,)) = mail.text_plain, mail.text_html
    assert visible(plain).startswith(visible(f"Hello {name} ({customer}):{sentence}https://example.com/stop?who="))
    assert visible(html).startswith("<p>Hello".replace(" ", ""))
    assert "<h1>" not in html


def _check_parts(tree: PyMimePart) -> None:
    assert tree.content_type == "multipart/alternative"
    assert [part.content_type for part in tree.children] == ["text/plain", "text/html"]
    assert [list(part.headers) for part in tree.children] == [PART_NAMES] * 2
    assert [part.children for part in tree.children] == [[], []]


def _check_subject(mail: PyMail, meant: str) -> None:
    assert visible(mail.subject) == visible(meant)
    steering = [char for char in mail.subject if unicodedata.category(char) in ("Cc", "Zl", "Zp") or char in BIDI]
    assert steering == []


def _check_unsubscribe(mail: PyMail, meant: dict[str, str]) -> None:
    """The header has one URI (RFC 3986), which has exactly these parameters."""
    (header,) = mail.headers["List-Unsubscribe"]
    assert re.fullmatch(r"<https://example\.com/stop\?(?:[A-Za-z0-9._~&=-]|%[0-9A-F]{2})*>", header)
    parameters = parse_qs(urlsplit(header[1:-1]).query, keep_blank_values=True, errors="strict")
    assert parameters == {key: [re.sub("[\ud800-\udfff]", "?", value)] for key, value in meant.items()}


def drawn(rng: random.Random) -> tuple[str, str]:
    """An id of at most 256 bytes, and a name: pieces of what breaks mail, cut and put together by chance."""
    signs = [*SIGNS, "=?utf-8?q?", "?="]

    def value() -> str:
        pieces = [rng.choice(INJECTIONS) for _ in range(rng.randrange(3))]
        pieces += ["".join(rng.choices(signs, k=rng.randrange(12))) for _ in range(rng.randrange(3))]
        rng.shuffle(pieces)
        return "".join(pieces)[: rng.choice((3, 20, 80, 256))]

    # Url-encoded, an id of 256 bytes and a name of 48 fit into the line of List-Unsubscribe.
    return _cut(value() or "u", CUSTOMER_MAX_BYTES), _cut(value(), 48)


def drawn_long(rng: random.Random) -> tuple[str, str, str]:
    """An id, a name and a sentence, each up to the longest that is stored, of the same pieces."""
    signs = [*SIGNS, "=?utf-8?q?", "?=", "x" * 60, "ä" * 30, " "]
    kinds = rng.choices(signs, k=rng.randint(1, 4))  # few at a time, so that some are long and plain

    def value(*lengths: int) -> str:
        most = rng.choice(lengths)
        text = rng.choice((rng.choice(INJECTIONS), ""))
        while len(text) < most:
            text += "".join(rng.choices(kinds, k=40))
            text += rng.choice((*INJECTIONS, "", "", "", ""))
        return text[:most]

    customer = _cut(value(1, 85, CUSTOMER_MAX_BYTES), CUSTOMER_MAX_BYTES)
    name = value(0, 49, 100, 200, rng.randint(900, 1_000), TRAIT_MAX_CHARS)
    sentence = re.sub("[\ud800-\udfff]", "", value(1, 998, SENTENCE_MAX_CHARS))  # a change is UTF-8
    return customer, name, sentence


def _cut(text: str, most: int) -> str:
    while len(text.encode("utf-8", "surrogatepass")) > most:
        text = text[:-1]
    return text


# --- header by header


@pytest.mark.parametrize("value", INJECTIONS)
def test_a_name_is_no_header(value: str) -> None:
    """The name is in the subject, the address to unsubscribe at and both bodies."""
    check(composed(name=value[:NAME_MAX_CHARS]), "u1", value[:NAME_MAX_CHARS])


@pytest.mark.parametrize("value", INJECTIONS)
def test_an_id_is_no_header(value: str) -> None:
    """Ids of up to 256 bytes give mail, whatever is in them."""
    customer = value.encode("utf-8", "surrogatepass")[:256].decode("utf-8", "ignore")
    check(composed(customer=customer), customer, "Ann")


@pytest.mark.parametrize("value", INJECTIONS)
def test_a_subject_of_any_length(value: str) -> None:
    """A subject of any length reads back. No address to unsubscribe at is in these mails, as its line has a limit."""
    mail = parse_email(composed(name=value, unsubscribe=None), strict=True)
    _check_subject(mail, f"{value}, you left something, u1")
    assert list(mail.headers) == [name for name in NAMES if not name.startswith("List")]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_one_address(address: str) -> None:
    """An address is the whole of To, or there is no message."""
    if not mime.is_address(address):
        with pytest.raises(ValueError, match="expected addresses"):
            composed(email=address)
        return
    mail = parse_email(composed(email=address), strict=True)
    assert mail.headers["To"] == [address]


def test_drawn_addresses_are_one_address() -> None:
    """Addresses are drawn from signs that steer, part and quote, and from plain ones, so that some are valid."""
    rng, count = random.Random(1), 0
    for _ in range(2_000):
        address = "@".join("".join(rng.choices(SIGNS + "abcdefgh" * 8, k=rng.randint(1, 9))) for _ in range(2))
        if mime.is_address(address):
            count += 1
            mail = parse_email(composed(email=address), strict=True)
            assert mail.headers["To"] == [address]
            assert list(mail.headers) == NAMES
    assert count > 200


def test_which_addresses_there_are() -> None:
    """Persian and German ones go where the server takes them; none may steer, be several or be decoded."""
    taken = [address for address in ADDRESSES if mime.is_address(address)]
    assert taken == [*ADDRESSES[:4], "ä@exämple.com", "a@نامه\u200cای.com"]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"from": "nobody"}, "from: expected"), ({"from": "x <a\x00@example.com>"}, "from: expected"),
        ({"reply_to": "nobody"}, "reply_to: expected"),
        ({"reply_to": "a@example.com, =?utf-8?q?a?=@b"}, "reply_to: expected"),
    ],
)  # fmt: skip
def test_the_shops_own_addresses_are_checked_at_the_start(parts: dict[str, Any], problem: str) -> None:
    """The shop's own addresses are checked at the start, not only at the first message."""
    with pytest.raises(ValueError, match=problem):
        channel(**parts)


@pytest.mark.parametrize("name", ["Shop", "Shop & Söhne", "Shop, Inc.", '"Q" <x@y>', "=?utf-8?q?a=0ab?=", "ف" * 60])
def test_the_shops_name_is_shown_as_it_is(name: str) -> None:
    """The shop's name is shown as it is, whatever signs are in it."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    mail = parse_email(composed(**{"from": f'"{quoted}" <shop@example.com>'}), strict=True)
    assert mail.from_ is not None
    assert (mail.from_.display_name, mail.from_.address) == (name, "shop@example.com")


def test_isolates_of_sentences_stay_in_a_subject() -> None:
    """Isolates of the segmenter's own sentence stay; those of a customer's value are removed."""
    sent = channel(subject="{{ said.fa }} {{ contact.name }}").compose(
        message(name="\u2067Ann\u2069", sentence="\u2068کالا\u2069 ۳"), "ann@example.com"
    )
    assert parse_email(sent.content).subject == "\u2068کالا\u2069 ۳ Ann"


# --- addresses in templates


@pytest.mark.parametrize(
    ("template", "address"),
    [
        ("https://example.com/stop?who={{ customer }}", "https://example.com/stop?who=a%26b%2F%3E%20%C3%A4"),
        ("https://example.com/stop?who={{ customer | urlencode }}", "https://example.com/stop?who=a%26b/%3E%20%C3%A4"),
        ("https://example.com/?{{ {'who': customer} | urlencode }}", "https://example.com/?who=a%26b%2F%3E+%C3%A4"),
        ("https://example.com/خروج?100%&a=?{{ segment }}", "https://example.com/%D8%AE%D8%B1%D9%88%D8%AC?100%25&a=%3Fabandoned_cart"),
        ("mailto:stop@example.com?subject={{ contact.name }}", "mailto:stop@example.com?subject=x%20%20Bcc%3A%20y"),
        ("{{ contact.email | safe }}", "https://example.net/a?b=c%3E,%3Chttps://evil.example/"),
        ("{% if segment == 'none' %}https://example.com/{% endif %}https://example.com/", "https://example.com/"),
    ],
)  # fmt: skip
def test_expressions_in_an_address_are_encoded_once(template: str, address: str) -> None:
    """An expression is encoded once, also if the author encodes it; ``safe`` marks a whole address."""
    words = MessageTemplates(config.Template(text="{{ unsubscribe }}"), Path(), frozenset({"email", "name"}), template)
    contact = {"name": "x\r\nBcc: y", "email": "https://example.net/a?b=c>,<https://evil.example/"}
    rendered, unsubscribe = words.say(msgspec.structs.replace(message("a&b/> ä"), contact=contact))
    assert (unsubscribe, rendered.text) == (address, address)
    assert unquote(address)


def test_an_empty_address_is_no_header() -> None:
    """A template may give nothing for some customers."""
    template = "{% if customer == 'u1' %}https://example.com/{% endif %}"
    assert "List-Unsubscribe" in parse_email(composed(unsubscribe=template)).headers
    assert "List-Unsubscribe" not in parse_email(composed("u2", unsubscribe=template)).headers


@pytest.mark.parametrize("template", ["{{ contact.email }}", "javascript:alert({{ customer }})", "example.com/stop"])
def test_what_is_no_address_is_a_problem_at_the_start(template: str) -> None:
    """The problem says what to know about it."""
    with pytest.raises(ValueError, match=r"list_unsubscribe: .* is neither https nor mailto; each .* url-encoded"):
        channel(unsubscribe=template)


async def test_an_address_that_fits_no_line_is_refused() -> None:
    """An address that a trait makes invalid is refused, too; the sentence names neither."""
    long, other = channel(), channel(unsubscribe="{{ contact.name | safe }}")
    assert await long.send(message(name="x" * 998)) == AttemptResult(
        Outcome.REFUSED, "the address to unsubscribe at is too long"
    )
    assert await other.send(message(name="javascript:x")) == AttemptResult(
        Outcome.REFUSED, "the address to unsubscribe at is neither https nor mailto"
    )


# --- before it is sent


def test_no_value_comes_to_pythons_parser_of_headers() -> None:
    """No value reaches the parser of headers, whose handling of encoded line breaks depends on the version."""
    files: set[str] = set()

    def note(frame: FrameType, _: str, __: object) -> None:
        files.add(Path(frame.f_code.co_filename).name)

    smtp, hostile = channel(), message(INJECTIONS[0], INJECTIONS[0])
    sys.setprofile(note)
    try:
        smtp.compose(hostile, "ann@example.com")
    finally:
        sys.setprofile(None)
    assert {"mime.py", "parser.py"} <= files  # those are seen that take part
    assert files & {"_header_value_parser.py", "headerregistry.py", "generator.py"} == set()


def mail_of(subject: str = "Hi", text: str = "Hello\n.\n") -> mime.Mail:
    fields = [mime.address_field("To", [("", "a@example.com")]), mime.text_field("Subject", subject)]
    return mime.Mail(fields, [mime.body("plain", text), mime.body("html", f"<p>{text}</p>")], "=_b")


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        (b"Subject: Hi\r\n", b"Subject: Hi\r\nBcc: b@example.com\r\n", "parts"),
        (b"Subject: Hi\r\n", b"Subject: Hi\r\n\r\n", "parts"),
        (b"Subject: Hi\r\n", b"", "headers"),
        (b"Subject: Hi\r\n", b"Subject: Hi\r\nSubject: Hi\r\n", "parts"),
        (b"Subject: Hi\r\n", b"Subject: Ho\r\n", "headers"),
        (b"To: a@example.com\r\nSubject: Hi\r\n", b"Subject: Hi\r\nTo: a@example.com\r\n", "headers"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r\nX: y\r\n", "parts"),
        (b"text/html", b"text/plain", "parts"),
        (b"<p>", b"<b>", "parts"),
        (b"Hello\r\n", b"Hello\r\n--=_b\r\n\r\nx\r\n", "parts"),
        (b"--=_b--\r\n", b"--=_b--\r\nepilogue\r\n", "parts"),
        (b"--=_b--\r\n", b"", "parts"),
        (b"quoted-printable", b"quoted-printable\r\nX: y", "parts"),
        (b"Hello\r\n", b"Hello\n", "line break"), (b"Hello\r\n", b"Hello\r", "line break"),
        (b"Hello", b"Hel\0lo", "control"), (b"Hi", b"Hi\x0b", "control"), (b"Hello", b"x" * 999, "998"),
    ],
)  # fmt: skip
def test_what_does_not_read_back_is_refused(right: bytes, wrong: bytes, problem: str) -> None:
    """Each case changes the bytes in a way that only something other than the composer could."""
    mail = mail_of()
    raw = mime.write(mail)
    mime.verify(raw, mail)
    changed = raw.replace(right, wrong, 1)
    assert changed != raw
    with pytest.raises(mime.NotAsMeant, match=problem):
        mime.verify(changed, mail)


def test_what_does_not_decode_is_refused() -> None:
    """A header whose encoded words say something else than its text."""
    mail = mail_of("ä")
    mail = mail._replace(fields=[mail.fields[0], mail.fields[1]._replace(text="ö")])
    with pytest.raises(mime.NotAsMeant, match="does not decode"):
        mime.verify(mime.write(mail), mail)


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_a_message_of_one_part(subtype: str) -> None:
    """A message of one part reads back, and one with another text does not."""
    mail = mail_of()._replace(parts=[mime.body(subtype, "Hello")])
    raw = mime.write(mail)
    mime.verify(raw, mail)
    for wrong in (raw.replace(b"Hello", b"Hallo"), raw.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n")):
        with pytest.raises(mime.NotAsMeant, match="parts"):
            mime.verify(wrong, mail)


async def test_what_would_not_be_read_as_meant_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a header written as Python's own package does on an old interpreter, no server would be called."""
    monkeypatch.setattr(mime, "_encoded", lambda text: text.replace("Ann", "Ann\r\nReply-To: evil@example.net"))
    assert await channel().send(message()) == AttemptResult(
        Outcome.REFUSED, "the message does not have the headers that were meant"
    )


@pytest.mark.parametrize("text", ["a\r\n.\r\nb", "a\n.\nb", "a\r.\rb", "a\n.\r\nb", "a\x0b.\x0cb", "a\u2028.\u0085b"])
@pytest.mark.parametrize("filler", ["", "é" * 400, "x" * 2_000])
def test_a_body_has_one_kind_of_line_break(text: str, filler: str) -> None:
    """A body has CR LF alone, whichever line break it came with, in either transfer encoding."""
    mail = mail_of(text=text + filler)
    raw = mime.write(mail)
    mime.verify(raw, mail)
    assert parse_email(raw).text_plain == [f"a\r\n.\r\nb{filler}\r\n"]
    assert not re.search(rb"(?:^|[\r\n])\.(?:[\r\n]|$)", raw)  # a lone point is encoded, too


# --- through a real server


class Inbox:
    """A real SMTP server that takes what it is given: the envelope and the bytes."""

    def __init__(self, *, takes_utf8: bool = True) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=takes_utf8)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 OK"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@pytest.mark.parametrize("address", [address for address in ADDRESSES if mime.is_address(address)])
async def test_a_recipient_is_one_recipient(address: str) -> None:
    """An address that is more than ASCII goes to a server that takes it, and is refused for one that does not."""
    with Inbox() as inbox:
        assert (await channel(inbox.port).send(message(email=address))).outcome is Outcome.SENT
    assert [(sender, recipients) for sender, recipients, _ in inbox.mails] == [("shop@example.com", [address])]
    with Inbox(takes_utf8=False) as inbox:
        result = await channel(inbox.port).send(message(email=address))
    refused = AttemptResult(Outcome.REFUSED, "the server cannot take such an address")
    assert result == (AttemptResult(Outcome.SENT) if address.isascii() else refused)


def batches(count: int) -> Iterator[list[tuple[int, str, str]]]:
    """Numbered ids and names, a few at a time."""
    for start in range(0, count, 16):
        yield [(number, *drawn(random.Random(number))) for number in range(start, min(start + 16, count))]


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.nightly)])
async def test_drawn_ids_and_traits_through_a_real_server(count: int) -> None:
    """Each is one message to its one recipient, with the headers and parts that were meant and no others."""
    sent = 0
    with Inbox() as inbox:
        smtp = channel(inbox.port)
        for batch in batches(count):
            results = await asyncio.gather(
                *(smtp.send(message(customer, name, f"u{number}@example.com")) for number, customer, name in batch)
            )
            assert [result.outcome for result in results] == [Outcome.SENT] * len(batch)
            received = {recipients[0]: raw for _, recipients, raw in inbox.mails}
            assert {sender for sender, _, _ in inbox.mails} == {"shop@example.com"}
            assert sorted(received) == sorted(f"u{number}@example.com" for number, _, _ in batch)
            assert len(inbox.mails) == len(batch)
            for number, customer, name in batch:
                check(received[f"u{number}@example.com"], customer, name)
            sent += len(inbox.mails)
            inbox.mails.clear()
    assert sent == count


def fits(customer: str, name: str) -> bool:
    """Whether the address to unsubscribe at fits into one line."""
    written = [quote(value, safe="", errors="replace") for value in (customer, name)]
    return len(f"List-Unsubscribe: <https://example.com/stop?who={written[0]}&name={written[1]}>") <= 998


@pytest.mark.parametrize("count", [150, pytest.param(3_000, marks=pytest.mark.nightly)])
async def test_drawn_values_of_any_length_through_a_real_server(count: int) -> None:
    """Each is one message, or is refused where the name is in an address that fits no line; and each happens."""
    sent: dict[bool, int] = {True: 0, False: 0}
    with Inbox() as inbox:
        named, unnamed = channel(inbox.port), channel(inbox.port, "https://example.com/stop?who={{ customer }}")
        for number in range(count):
            customer, name, sentence = drawn_long(random.Random(number))
            mail = message(customer, name, sentence=sentence)
            assert (await unnamed.send(mail)).outcome is Outcome.SENT
            check(inbox.mails.pop()[2], customer, name, sentence, is_named=False)
            result = await named.send(mail)
            is_sent = fits(customer, name)
            sent[is_sent] += 1
            if is_sent:
                assert result.outcome is Outcome.SENT
                check(inbox.mails.pop()[2], customer, name, sentence)
            else:
                assert result == AttemptResult(Outcome.REFUSED, "the address to unsubscribe at is too long")
            assert inbox.mails == []
    assert min(sent.values()) > count // 10, sent


async def test_a_message_ends_once_whatever_the_server_takes_for_an_end() -> None:
    """A line with a point alone comes once, as the last, whatever line breaks count."""
    data = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while (command := await reader.readline()) != b"DATA\r\n":
            assert command.startswith((b"EHLO ", b"MAIL FROM:<shop@", b"RCPT TO:<ann@"))
            writer.write(b"250 ok\r\n")
        writer.write(b"354 go\r\n")
        data.extend(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 ok\r\n")
        data.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        smtp = channel(server.sockets[0].getsockname()[1])
        for value in (value for value in INJECTIONS if "." in value and len(value) < 100):
            data.clear()
            assert (await smtp.send(message(name=value[:NAME_MAX_CHARS], sentence=value))).outcome is Outcome.SENT
            assert len(re.findall(rb"[\r\n]\.(?=[\r\n])", data)) == 1
            assert data.endswith(b"\r\n.\r\n")
    finally:
        server.close()
