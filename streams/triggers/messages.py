"""What every channel answers, and what it is given.

The one rule: a channel makes one attempt and says what came of it. Whether, when and how often is
decided elsewhere, and what a channel does not know it says, as `Outcome.UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Protocol, cast

import msgspec


async def nothing_against() -> str | None:
    """For a message that nobody looks at again."""
    return None


class Message(msgspec.Struct, frozen=True):
    """One attempt of one action.

    ``key``: the idempotency key, the same for every attempt. ``raw``: the segment change as it was
    published. ``contact``: what is known of the customer under the names of the file's
    ``contact`` and ``variables``, such as ``email`` and ``language``; absent where nothing was told.
    ``attempted_ms``: when this attempt begins, UTC. ``against``: look once more, and say why it must not be sent now.
    """

    key: str
    trigger: str
    customer: str
    raw: bytes
    contact: Mapping[str, str]
    attempted_ms: int
    against: Callable[[], Awaitable[str | None]] = nothing_against

    @property
    def change(self) -> Mapping[str, Any]:
        """The change, decoded; for who says something of it."""
        return cast("Mapping[str, Any]", msgspec.json.decode(self.raw))


class Outcome(Enum):
    """What came of an attempt."""

    SENT = "sent"  # accepted by the other side
    REFUSED = "refused"  # it will never be: no other attempt
    FAILED = "failed"  # not accepted this time, and not done: try again
    UNKNOWN = "unknown"  # it may have been done: the connection was lost after all was said
    GIVEN_BACK = "given back"  # not made: the last look before it was against it
    GONE = "gone"  # the endpoint does not exist any more (410): nothing is sent to it again


class AttemptResult(msgspec.Struct, frozen=True):
    """An outcome, why in a few words without personal data, and when to come back if that was said (ms from now)."""

    outcome: Outcome
    detail: str = ""
    retry_after_ms: int | None = None


class Channel(Protocol):
    """One way out. It raises nothing that the world can cause."""

    async def send(self, message: Message) -> AttemptResult:
        """Make one attempt, within the channel's own time limit."""

    async def close(self) -> None:
        """Close connections."""
