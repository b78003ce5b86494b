"""Decides what follows from the end of an attempt: a final decision, or a retry after a back-off.

Pure: the current time is an argument.

An action ends in one final decision, and a message that may have been delivered is never called skipped.

See also: `streams.triggers.endpoint` (the breaker of an endpoint that fails for all).
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from streams.triggers.channel_config import ChannelConfig, Retry
from streams.triggers.customer_state import Action
from streams.triggers.decision_log import DecisionKind
from streams.triggers.messages import AttemptResult, Outcome


class End(msgspec.Struct, frozen=True):
    """The decision after an attempt. ``until`` (ms): when to look at the action again, 0 where the decision is final.

    ``is_dead``: the message becomes a dead letter.
    """

    kind: DecisionKind
    reason: str | None = None
    until: int = 0
    is_dead: bool = False


def of(config: ChannelConfig, action: Action, result: AttemptResult, now: int) -> End:
    """The decision after the newest attempt of an action."""
    match result.outcome:
        case Outcome.SENT:
            return End("sent", result.detail or None)
        case Outcome.REFUSED:
            return End("failed", f"refused: {result.detail}", is_dead=True)
        case Outcome.GONE:
            return End("failed", "the endpoint is gone", is_dead=True)
        case Outcome.UNKNOWN:
            return uncertain(config, action, result, now)
        case Outcome.FAILED:
            return _again(config, action, "retried", result, now)
        case Outcome.GIVEN_BACK:
            return End("deferred", f"given back: {result.detail}", now)


def uncertain(config: ChannelConfig, action: Action, result: AttemptResult, now: int) -> End:
    """The decision after an attempt that may have arrived: after a crash, or a lost connection."""
    if config.after_crash == "drop":
        return End("unknown, not sent", result.detail)
    return _again(config, action, "unknown, sent again", result, now)


def _again(config: ChannelConfig, action: Action, kind: DecisionKind, result: AttemptResult, now: int) -> End:
    wait = max(wait_ms(config.retry, action), result.retry_after_ms or 0)
    if action.attempts >= config.retry.attempts:
        return End("failed", f"{action.attempts} attempts: {result.detail}", is_dead=True)
    if now + wait > action.first_at + config.retry.budget:
        return End("failed", f"out of time: {result.detail}", is_dead=True)
    return End(kind, result.detail or None, now + wait)


def wait_ms(retry: Retry, action: Action) -> int:
    """The back-off: twice as long after each attempt, with half of it as jitter.

    The jitter is drawn from the key, so that a replay gives the same times.
    """
    full = min(retry.most, retry.first << min(action.attempts - 1, 30))
    drawn = sha256(f"{action.key}\0{action.attempts}".encode()).digest()
    return full // 2 + int.from_bytes(drawn[:4], "big") % (full // 2 + 1)
