"""The interface of channels: the message that a channel is given, and the result that it returns.

A channel makes one attempt and returns its outcome, which is `Outcome.UNKNOWN` where the message may have
arrived. Whether, when and how often an attempt is made is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Protocol, cast

import msgspec


async def nothing_against() -> str | None:
    """The last look of a message that has none: nothing forbids it."""
    return None


def wording(trigger: str, variant: str) -> str:
    """The key of the templates of a message and of one of its variants."""
    return f"{trigger} {variant}" if variant else trigger


class Message(msgspec.Struct, frozen=True):
    """One attempt of one action.

    ``key``: the idempotency key, the same for every attempt. ``raw``: the segment change as it was published.
    ``contact``: the customer's traits under the names of the file's ``contact``, such as ``email``; absent where the
    trait is unknown. ``attempted_ms``: when this attempt begins, UTC. ``data``: what the segment includes of the
    customer, as of the last look before the attempt. ``variant``: the key of that which the customer gets, "" where the
    message has none. ``against``: takes a last look, and returns why the message must
    not be sent now.
    """

    key: str
    trigger: str
    customer: str
    raw: bytes
    contact: Mapping[str, str]
    attempted_ms: int
    data: Mapping[str, object] = {}
    variant: str = ""
    against: Callable[[], Awaitable[str | None]] = nothing_against

    @property
    def wording(self) -> str:
        """The key of the templates that write the message."""
        return wording(self.trigger, self.variant)

    @property
    def change(self) -> Mapping[str, Any]:
        """The segment change, decoded."""
        return cast("Mapping[str, Any]", msgspec.json.decode(self.raw))


class Outcome(Enum):
    """The outcome of an attempt."""

    SENT = "sent"  # accepted by the other side
    REFUSED = "refused"  # never accepted: no other attempt
    FAILED = "failed"  # not accepted this time, and certainly not delivered: try again
    UNKNOWN = "unknown"  # may have been delivered: the connection was lost after the whole message was sent
    GIVEN_BACK = "given back"  # not made: the last look before it forbade it
    GONE = "gone"  # the endpoint does not exist any more (410): nothing is sent to it again


class AttemptResult(msgspec.Struct, frozen=True):
    """The outcome of an attempt. ``detail``: why, in a few words without personal data.

    ``retry_after_ms``: how long the other side asks to wait before the next attempt, if it does.
    """

    outcome: Outcome
    detail: str = ""
    retry_after_ms: int | None = None


class Channel(Protocol):
    """A way to send messages. Errors of networks and servers are outcomes, not exceptions."""

    async def send(self, message: Message) -> AttemptResult:
        """Make one attempt, within the channel's own time limit."""

    async def close(self) -> None:
        """Close the channel's connections."""
