"""Messages, templates and host names for the tests of channels."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec

from local.receivers import now_ms
from streams.triggers import config
from streams.triggers.messages import Message
from streams.triggers.templates import MessageTemplates
from tests.support.in_memory_triggers import START, change

SUBJECT, TEXT = "سبد شما {{ customer }}", "سلام {{ contact.name }}: {{ said.fa }} <b>"
HTML = "<p dir=rtl lang=fa>{{ contact.name }} {{ said.fa }}</p>"


def message(**more: Any) -> Message:
    fields = {
        "key": "change1-cart", "trigger": "cart", "customer": "بهار",
        "raw": msgspec.json.encode(change("بهار", "abandoned_cart", "entered", START, 1)),
        "contact": {"email": "bahar@example.com", "name": "بهار <b>"}, "attempted_ms": now_ms(), **more,
    }  # fmt: skip
    return Message(**fields)


def words(**parts: Any) -> dict[str, MessageTemplates]:
    template = config.Template(**(parts or {"subject": SUBJECT, "text": TEXT, "html": HTML}))
    return {
        "cart": MessageTemplates(template, Path(), frozenset({"email", "name"}), "https://example.com/{{ customer }}")
    }


class Names:
    """A DNS stand-in: the addresses of a name, one list after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in addresses
        ]

    async def close(self) -> None:
        pass
