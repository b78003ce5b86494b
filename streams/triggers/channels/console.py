"""The console: a line on standard output for each message, for trying out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.triggers.templates import MessageTemplates, TemplateFailed


class Console:
    """Writes messages to a stream. ``words``: the templates by trigger."""

    def __init__(self, words: Mapping[str, MessageTemplates], stream: TextIO) -> None:
        self._words = words
        self._stream = stream

    async def send(self, message: Message) -> AttemptResult:
        """Write one line. See also `streams.triggers.messages.Channel`."""
        try:
            rendered, _ = self._words[message.wording].say(message)
        except TemplateFailed as failure:
            return AttemptResult(Outcome.REFUSED, f"the template failed ({failure})")
        parts = [part for part in (rendered.subject, rendered.text) if part] or [
            message.change.get("said", {}).get("en", "")
        ]
        line = f"{message.trigger} → {message.customer}: {' '.join(parts)}"
        if not line.isprintable():  # a customer's id may reverse a line, or break it
            line = line.encode("unicode_escape").decode("ascii")
        self._stream.write(line + "\n")
        self._stream.flush()
        return AttemptResult(Outcome.SENT)

    async def close(self) -> None:
        """Do nothing: the stream belongs to the caller."""
