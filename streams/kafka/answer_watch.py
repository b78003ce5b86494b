"""Warns while Kafka answers nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

log = logging.getLogger(__name__)

# So many times in the time after which it is warned.
_LOOKS = 10


class AnswerWatch:
    """Warns while Kafka answers nothing, every ``every_s``; what waits for it goes on when it answers.

    Looks without an answer are counted, not time: a process that was stopped itself has not been left alone.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._looks = 0
        self._answered_s = time.time()

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await asyncio.sleep(self._every_s / _LOOKS)
            self.look()

    def look(self) -> None:
        """One look."""
        self._looks += 1
        if self._looks % _LOOKS == 0:
            log.warning("Kafka does not answer; reading goes on when it does", extra=self._told())

    def answered(self) -> None:
        """Kafka has answered a request."""
        if self._looks >= _LOOKS:
            log.info("Kafka answers again", extra=self._told())
        self._looks = 0
        self._answered_s = time.time()

    def _told(self) -> dict[str, object]:
        since = datetime.fromtimestamp(self._answered_s, UTC).isoformat(timespec="seconds")
        return {"since": since, "silent_s": round(self._looks * self._every_s / _LOOKS)}
