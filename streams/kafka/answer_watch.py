"""A watch that warns while Kafka does not answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)

# Checks per ``every_s``.
_LOOKS = 10


def _request_nothing() -> None:
    """Do nothing: there is no connection yet."""


class AnswerWatch:
    """Warns every ``every_s`` while Kafka answers nothing. It ends nothing: reading continues when Kafka answers.

    It counts checks without an answer, and not the time: a process that was itself suspended has missed no answer. Half
    way to a warning it makes a ``request`` that Kafka answers at once: Kafka may have nothing else to answer than a
    join of the group, which lasts until all members have come.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._looks = 0
        self._answered_s = time.time()
        self.request: Callable[[], None] = _request_nothing

    async def run(self) -> None:
        """Check now and then until cancelled."""
        while True:
            await asyncio.sleep(self._every_s / _LOOKS)
            self.look()

    def look(self) -> None:
        """Check once, and warn at every tenth check since the last answer."""
        self._looks += 1
        if self._looks % _LOOKS == _LOOKS // 2:
            self.request()
        if self._looks % _LOOKS == 0:
            log.warning("Kafka does not answer; reading goes on when it does", extra=self._log_fields())

    def answered(self) -> None:
        """Note that Kafka has answered a request."""
        if self._looks >= _LOOKS:
            log.info("Kafka answers again", extra=self._log_fields())
        self._looks = 0
        self._answered_s = time.time()

    def _log_fields(self) -> dict[str, object]:
        since = datetime.fromtimestamp(self._answered_s, UTC).isoformat(timespec="seconds")
        return {"since": since, "silent_s": round(self._looks * self._every_s / _LOOKS)}
