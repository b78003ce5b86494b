"""Templates of messages: Jinja in its sandbox, compiled and tried out at the start.

The one rule: a template that works on the example works on every change: what it may name is always there,
but for ``contact``, where what nobody told is empty text. HTML is escaped, and nothing can break a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from streams.triggers import config
from streams.triggers.channels.base import Message

RENDERED_MAX_CHARS = 256 * 1024
NAMES = ("change", "customer", "contact", "segment", "said", "unsubscribe")
_LANGUAGES = ("en", "fa")

EXAMPLE: dict[str, Any] = {
    "change_id": "0" * 32, "customer_id": "u1", "segment": "a_segment", "change": "entered",
    "occurred_at": "2026-01-01T00:00:00.000Z", "sequence": 1, "segments": ["a_segment"],
    "cause": {"kind": "event", "event_id": "m1"}, "reason": {"holds": True}, "definition": "0" * 12,
    "late": False, "backfill": False, "said": {"en": "because", "fa": "زیرا"}, "emitted_at": "2026-01-01T00:00:00.000Z",
}  # fmt: skip


class TooLong(Exception):
    """What was rendered is longer than a message may be."""


class Said(msgspec.Struct, frozen=True):
    """A message in words; ``None``: the trigger has no such template."""

    subject: str | None
    text: str | None
    html: str | None


_NOTHING = Said(None, None, None)


class Words:
    """The templates of one trigger. ``names``: what a contact may have; ``unsubscribe``: the channel's template."""

    def __init__(
        self, template: config.Template, folder: Path, names: frozenset[str], unsubscribe: str | None = None
    ) -> None:
        """Raises `ValueError` with the part that is wrong, and why."""
        self._names = names
        self._subject = _compiled("subject", template.subject, folder)
        self._text = _compiled("text", template.text, folder)
        self._html = _compiled("html", template.html, folder, escape=True)
        self._unsubscribe = _compiled("list_unsubscribe", unsubscribe, folder)
        self._is_silent = not any((self._subject, self._text, self._html, self._unsubscribe))
        self._try()

    def _try(self) -> None:
        example = Message("key", "trigger", "u1", msgspec.json.encode(EXAMPLE), dict.fromkeys(self._names, "x"), 0)
        for part, template in (
            ("list_unsubscribe", self._unsubscribe), ("subject", self._subject),
            ("text", self._text), ("html", self._html),
        ):  # fmt: skip
            try:
                _rendered(template, self._context(example, "https://example.com"))
            except (TemplateError, TooLong, TypeError, ValueError, ArithmeticError) as error:
                known = f"; known are {', '.join(NAMES)}, and of contact {', '.join(sorted(self._names)) or 'nothing'}"
                raise ValueError(f"{part}: {error}{known}") from None

    def say(self, message: Message) -> tuple[Said, str | None]:
        """The message, and where to unsubscribe. Raises `TemplateError` or `TooLong`."""
        if self._is_silent:
            return _NOTHING, None
        unsubscribe = _rendered(self._unsubscribe, self._context(message, None))
        context = self._context(message, unsubscribe)
        said = Said(*(_rendered(template, context) for template in (self._subject, self._text, self._html)))
        return said, unsubscribe

    def _context(self, message: Message, unsubscribe: str | None) -> Mapping[str, Any]:
        change = message.change
        return {
            "change": change,
            "customer": message.customer,
            "contact": {**dict.fromkeys(self._names, ""), **message.contact},
            "segment": change["segment"],
            "said": {**dict.fromkeys(_LANGUAGES, ""), **change.get("said", {})},
            "unsubscribe": unsubscribe or "",
        }


_plain = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)  # text, not HTML
_escaping = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True)


def _compiled(
    part: str, source: str | Mapping[Literal["file"], Path] | None, folder: Path, *, escape: bool = False
) -> Template | None:
    if source is None:
        return None
    environment = _escaping if escape else _plain
    try:
        written = source if isinstance(source, str) else (folder / source["file"]).read_text("utf-8")
        return environment.from_string(written)
    except TemplateError as error:
        raise ValueError(f"{part}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{part}: the file cannot be read ({type(error).__name__})") from None


def _rendered(template: Template | None, context: Mapping[str, Any]) -> str | None:
    """By parts, so that a template that never ends is noticed. Raises `TooLong`."""
    if template is None:
        return None
    parts, length = [], 0
    for part in template.generate(context):
        parts.append(part)
        length += len(part)
        if length > RENDERED_MAX_CHARS:
            raise TooLong(f"longer than {RENDERED_MAX_CHARS} characters")
    return "".join(parts)
