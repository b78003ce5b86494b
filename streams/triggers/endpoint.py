"""Endpoints: a channel with a limit of concurrent attempts and a circuit breaker.

The one rule: an endpoint that is slow, broken or gone delays no other. A message that cannot be sent now gets the time
at which to try again.

See also: `streams.triggers.dispatcher` (which takes a place before an attempt), `streams.triggers.retries` (when to try
again), and `streams.triggers.channels` (which send).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from streams import defects
from streams.triggers.channel_config import ChannelConfig
from streams.triggers.messages import AttemptResult, Channel, Message, Outcome

# This many failed attempts in a row open the breaker, for a second at first and then twice as long each time.
BREAKS_AFTER = 5
BROKEN_FIRST_MS, BROKEN_MOST_MS = 1_000, 60_000
_COME_BACK_MS = 100
_LINE_MOST_MS = 30_000


class EndedAttempt(msgspec.Struct, frozen=True):
    """An attempt that has ended, and its result."""

    customer: str
    key: str
    result: AttemptResult


class Endpoint:
    """One channel with its places and its breaker. Times are in ms by the wall clock."""

    def __init__(self, config: ChannelConfig, channel: Channel) -> None:
        self.config = config
        self.is_gone = False
        self._channel = channel
        self._free = config.concurrency
        self._failed = 0
        self._closed_until = 0
        self._line_until = 0
        self._next_at = 0.0  # the time from which the rate allows the next attempt
        self._took_ms = 50.0  # the duration of an attempt, as a moving average

    def take(self, now: int) -> int:
        """Take a place for an attempt. Returns 0, or the time (ms) at which to ask again.

        Each answer is a little later than the one before, at the rate at which places get free: a queue in time.
        """
        if now < self._closed_until:
            return self._closed_until
        if self.config.rate and now < self._next_at:
            return self._line(now, 1000 / self.config.rate)
        if self._free and not (self._failed >= BREAKS_AFTER and self._free < self.config.concurrency):
            self._free -= 1
            if self.config.rate:
                self._next_at = max(self._next_at, now - _COME_BACK_MS) + 1000 / self.config.rate
            return 0
        return self._line(now, self._took_ms / self.config.concurrency)

    def _line(self, now: int, each_ms: float) -> int:
        """The next place in a queue in which one is served after so many ms, and none waits too long to ask again."""
        self._line_until = max(self._line_until, now + _COME_BACK_MS) + int(each_ms)
        self._line_until = min(self._line_until, now + _LINE_MOST_MS)
        return self._line_until

    @property
    def is_broken(self) -> bool:
        """Whether the breaker is open, also while an attempt tries whether it may close."""
        return self._failed >= BREAKS_AFTER

    @property
    def free(self) -> int:
        """Attempts that could begin now, if the breaker lets them."""
        return self._free

    def give_back(self) -> None:
        """Give a place back: its attempt has ended, or was not begun."""
        self._free += 1

    async def send(self, message: Message, now_ms: Callable[[], int]) -> AttemptResult:
        """Make the attempt for which a place was taken."""
        began = now_ms()
        try:
            result = await self._channel.send(message)
        except Exception as error:  # noqa: BLE001  # a defect of a channel ends one attempt, not the partition
            defects.report(f"a {self.config.kind} channel", error)
            result = AttemptResult(Outcome.UNKNOWN, "a defect of the channel")
        self._took_ms += 0.1 * (now_ms() - began - self._took_ms)
        self._note(result, now_ms())
        return result

    def _note(self, result: AttemptResult, now: int) -> None:
        if result.outcome is Outcome.GIVEN_BACK:
            return  # no attempt was made, so nothing was learned about the endpoint
        self.is_gone = self.is_gone or result.outcome is Outcome.GONE
        if result.outcome not in (Outcome.FAILED, Outcome.UNKNOWN):
            self._failed = 0
            return
        self._failed += 1
        if self._failed >= BREAKS_AFTER:
            broken = min(BROKEN_MOST_MS, BROKEN_FIRST_MS << min(self._failed - BREAKS_AFTER, 10))
            self._closed_until = now + broken

    async def close(self) -> None:
        """Close the channel's connections."""
        await self._channel.close()
