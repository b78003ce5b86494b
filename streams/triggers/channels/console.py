"""The console: a line on standard output for each message, for trying out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from streams.triggers.channels.base import Message, Outcome, Result
from streams.triggers.templates import TemplateFailed, Words


class Console:
    """Writes to a stream. ``words``: by trigger, what is written beside who and why."""

    def __init__(self, words: Mapping[str, Words], stream: TextIO) -> None:
        self._words = words
        self._stream = stream

    async def send(self, message: Message) -> Result:
        """As `streams.triggers.channels.base.Channel`."""
        try:
            said, _ = self._words[message.trigger].say(message)
        except TemplateFailed as failure:
            return Result(Outcome.REFUSED, f"the template failed ({failure})")
        told = [part for part in (said.subject, said.text) if part] or [message.change.get("said", {}).get("en", "")]
        line = f"{message.trigger} → {message.customer}: {' '.join(told)}"
        if not line.isprintable():  # a customer's id may turn a line around, or end it
            line = line.encode("unicode_escape").decode("ascii")
        self._stream.write(line + "\n")
        self._stream.flush()
        return Result(Outcome.SENT)

    async def close(self) -> None:
        """The stream is not ours to close."""
