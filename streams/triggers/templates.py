"""Templates of messages: Jinja in a sandbox (`streams.triggers.sandbox`), compiled and tried out at the start.

A template that works on the example has its names on every change: each name always exists, and a name of ``contact``
whose trait is unknown is empty text. HTML is escaped. In an address each expression is url-encoded, so that a value
cannot become syntax. In a subject a value cannot reverse the text beside it.

See also: `streams.triggers.channels`, which write messages with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from jinja2 import Template
from jinja2.filters import FILTERS

from rules.definitions import change_data
from rules.definitions.change_data import NO_DATA, Include
from streams.http.message_links import MessageLinks
from streams.triggers import config
from streams.triggers.body_templates import BodyTemplate
from streams.triggers.messages import Message
from streams.triggers.request_parts import OwnBody
from streams.triggers.sandbox import BoundedEnvironment, rendered

NAMES = (
    "change", "key", "trigger", "variant", "customer", "contact", "segment", "said", "data", "unsubscribe", "locale",
    "currency", "timezone",
)  # fmt: skip
# Further names, where the file has `links`.
NAMES_OF_LINKS = ("unsubscribe_url", "click")
_LANGUAGES = ("en", "fa")

_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URI_SIGNS = "%:/?#@!$&'()*+,;=-._~"  # RFC 3986 without brackets; "%" is of what is encoded already
_ADDRESS = re.compile(r"https?://[^/?#]|mailto:.")
_ENCODED_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")

EXAMPLE: dict[str, Any] = {
    "change_id": "0" * 32, "customer_id": "u1", "segment": "a_segment", "change": "entered",
    "occurred_at": "2026-01-01T00:00:00.000Z", "sequence": 1, "segments": ["a_segment"],
    "cause": {"kind": "event", "event_id": "m1"}, "reason": {"holds": True}, "definition": "0" * 12,
    "late": False, "backfill": False, "said": {"en": "because", "fa": "زیرا"}, "emitted_at": "2026-01-01T00:00:00.000Z",
}  # fmt: skip


class TemplateFailed(Exception):
    """A template cannot be rendered with this message. The text names the kind of the cause, which may hold values."""


class NotAnAddress(ValueError):
    """The address to unsubscribe at is invalid; the text says why, without the address."""


class RenderedMessage(msgspec.Struct, frozen=True):
    """The texts of a message; ``None``: the trigger has no such template."""

    subject: str | None
    text: str | None
    html: str | None
    body: bytes | None = None


_NOTHING = RenderedMessage(None, None, None)


class MessageSubject(msgspec.Struct, frozen=True):
    """What a message may say: what the segment includes, and how amounts and dates in it are written.

    ``body``: that of the channel's requests, if the file says how it is written. ``links``: makes those to the gateway.
    """

    include: Include | None = None
    locale: str = "en"
    currency: str | None = None
    timezone: str = "UTC"
    body: OwnBody | None = None
    links: MessageLinks | None = None


class MessageTemplates:
    """The templates of one trigger. ``names``: of the file's contact; ``unsubscribe``: the channel's template."""

    def __init__(
        self,
        template: config.Template,
        folder: Path,
        names: frozenset[str],
        unsubscribe: str | None = None,
        about: MessageSubject | None = None,
    ) -> None:
        """Compile the templates and try them out. Raises `ValueError` with the part that is wrong, and why."""
        self._names = names
        self._about = about or MessageSubject()
        self._subject = _compiled("subject", template.subject, folder, _line)
        self._text = _compiled("text", template.text, folder)
        self._html = _compiled("html", template.html, folder, _escaping)
        self._unsubscribe = _compiled("list_unsubscribe", unsubscribe, folder, _url)
        self._body = _body(self._about.body)
        parts = (self._subject, self._text, self._html, self._unsubscribe, self._body)
        self._is_silent = not any(part is not None for part in parts)
        self._try()

    def _try(self) -> None:
        # The example's traits are URLs, as a template may use a trait as a whole address; in a text any value will do.
        contact = dict.fromkeys(self._names, "https://example.com/x")
        include = self._about.include
        data = NO_DATA if include is None else include.example
        example = Message("key", "trigger", "u1", msgspec.json.encode(EXAMPLE), contact, 0, data)
        for part, template in (
            ("list_unsubscribe", self._unsubscribe), ("subject", self._subject),
            ("text", self._text), ("html", self._html), ("body", self._body),
        ):  # fmt: skip
            try:
                context = self._context(example, "https://example.com")
                if isinstance(template, BodyTemplate):
                    _written(template, {**context, "message": ""})
                    continue
                text = _rendered(template, context)
                if template is self._unsubscribe:
                    _address(text)
            except NotAnAddress as error:
                raise ValueError(f"{part}: {error}; each {{{{ }}}} in it is url-encoded, but for | safe") from None
            except TemplateFailed as failure:
                of_contact = ", ".join(sorted(self._names)) or "nothing"
                names = f"; known are {', '.join(self._known_names)}, and of contact {of_contact}"
                names += f"; data has what `include` of the segment asks for: {_included(include)}"
                raise ValueError(f"{part}: {_reason(failure.__cause__)}{names}") from None

    @property
    def _known_names(self) -> tuple[str, ...]:
        return NAMES if self._about.links is None else (*NAMES, *NAMES_OF_LINKS)

    def say(self, message: Message) -> tuple[RenderedMessage, str | None]:
        """Render a message, and the address to unsubscribe at. Raises `TemplateFailed` or `NotAnAddress`."""
        if self._is_silent:
            return _NOTHING, None
        unsubscribe = _address(_rendered(self._unsubscribe, self._context(message, None)))
        context = self._context(message, unsubscribe)
        subject, text, html = (_rendered(template, context) for template in (self._subject, self._text, self._html))
        body = None if self._body is None else _written(self._body, {**context, "message": text or ""})
        return RenderedMessage(subject, text, html, body), unsubscribe

    def _context(self, message: Message, unsubscribe: str | None) -> Mapping[str, Any]:
        change = message.change
        links = {} if self._about.links is None else _links(self._about.links, message)
        sentences = {language: Sentence(text) for language, text in change.get("said", {}).items()}
        return {
            "change": change,
            "key": message.key,
            "trigger": message.trigger,
            "variant": message.variant,
            "customer": message.customer,
            "contact": {**dict.fromkeys(self._names, ""), **message.contact},
            "segment": change["segment"],
            "said": {**dict.fromkeys(_LANGUAGES, ""), **sentences},
            "data": NO_DATA if self._about.include is None else self._about.include.completed(message.data),
            "locale": self._about.locale,
            "currency": self._about.currency,
            "timezone": self._about.timezone,
            "unsubscribe": unsubscribe or "",
            **links,
        }


def _links(links: MessageLinks, message: Message) -> Mapping[str, Any]:
    """The links of a message, each made when a template asks for it."""
    of = (message.customer, message.trigger, message.variant)

    def click(address: object) -> str:
        return UrlText(links.click(*of, str(address)))

    return {"unsubscribe_url": UrlText(links.unsubscribe(*of)), "click": click}


class Sentence(str):
    """Text that the segmenter wrote, in which foreign values stand in isolates (see `rules.untrusted_texts`)."""

    __slots__ = ()


class UrlText(str):
    """Text that goes into an address unchanged; the filters ``urlencode`` and ``safe`` return it."""

    __slots__ = ()


def _straight(value: object) -> str:
    return value if isinstance(value, Sentence) else _BIDI.sub("", str(value))


def _quoted(value: object) -> str:
    return value if isinstance(value, UrlText) else quote(str(value), safe="", errors="replace")


_plain = BoundedEnvironment(autoescape=False)  # text, not HTML
_escaping = BoundedEnvironment(autoescape=True)
_line = BoundedEnvironment(autoescape=False, finalize=_straight)
_url = BoundedEnvironment(autoescape=False, finalize=_quoted)
_url.filters["urlencode"] = lambda value: UrlText(FILTERS["urlencode"](value))
_url.filters["safe"] = UrlText


def _compiled(
    part: str,
    source: str | Mapping[Literal["file"], Path] | None,
    folder: Path,
    environment: BoundedEnvironment = _plain,
) -> Template | None:
    """Compile a part of a message. Raises `ValueError` with the part's name, as its author reads it."""
    if source is None:
        return None
    try:
        written = source if isinstance(source, str) else (folder / source["file"]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{part}: the file cannot be read ({type(error).__name__})") from None
    try:
        return environment.from_string(written)
    except Exception as error:  # noqa: BLE001  # Jinja compiles to Python, which may fail, too: nested blocks, recursion
        raise ValueError(f"{part}: {_reason(error)}") from None


def _body(own: OwnBody | None) -> BodyTemplate | None:
    """Compile the body of a channel's requests. Raises `ValueError` with the part's name."""
    if own is None:
        return None
    try:
        return BodyTemplate(own.json_, own.form)
    except Exception as error:  # noqa: BLE001  # as in `_compiled`
        raise ValueError(f"body: {_reason(error)}") from None


def _written(template: BodyTemplate, context: Mapping[str, Any]) -> bytes:
    """Write a body. Raises `TemplateFailed`."""
    try:
        return template.written(context)
    except Exception as error:  # as in `_rendered`
        raise TemplateFailed(type(error).__name__) from error


def _included(include: Include | None) -> str:
    return "nothing" if include is None else change_data.describe(include)


def _reason(error: BaseException | None) -> str:
    """Why a template failed, for its author."""
    return str(error) or type(error).__name__


def _rendered(template: Template | None, context: Mapping[str, Any]) -> str | None:
    """Render a template. Raises `TemplateFailed`."""
    if template is None:
        return None
    try:
        return rendered(template, context)
    except Exception as error:  # of any kind: a template may divide by a customer's value, or call itself
        raise TemplateFailed(type(error).__name__) from error


def _address(rendered: str | None) -> str | None:
    """The rendered address as a URI in ASCII; ``None`` where it is empty. Raises `NotAnAddress`."""
    if rendered is None or not rendered.strip():
        return None
    address = quote(_STRAY_PERCENT.sub("%25", rendered.strip()), safe=_URI_SIGNS, errors="replace")
    address = address.replace("=?", "=%3F")  # in a header it would begin an encoded word
    if not _ADDRESS.match(address):
        raise NotAnAddress("the address to unsubscribe at is neither https nor mailto")
    if address.startswith("mailto:"):  # a mail program makes headers of it (RFC 6068), so no line breaks
        address = _ENCODED_CONTROL.sub("%20", address)
    return address
