"""Policy: whether a message that is due may be sent now. Pure: the current time is an argument.

The one rule: the first reason against a message wins, in the order of `decide`. Each action has one verdict at each
instant, and each verdict but `Go` and `Occupied` has its reason in words.

All windows are half-open, (now - window, now]. A message counts for caps, cool-downs and re-entry from its newest
attempt on, unless that attempt is known to have failed. While an attempt is under way, it is not known whether its
message will count. Another message that this one would forbid waits until the attempt ends: otherwise it would be
dropped for a message that may never be sent.

See also: `streams.triggers.action_decisions`, which asks it, and `streams.triggers.config`, the rules of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from hashlib import sha256
from zoneinfo import ZoneInfo

import msgspec

from rules.times import format_duration, format_instant
from streams.triggers import time_zones
from streams.triggers.channel_config import Caps
from streams.triggers.config import Again, HoldOut, Step, TriggersFile
from streams.triggers.customer_state import HOLD_OUT_REASON, Action, Person
from streams.triggers.send_times import quiet_until, wait_until
from streams.triggers.trait_tests import value_of
from streams.triggers.traits import CONTEXT_TIMEZONE

REMOVED = "the trigger was removed"
UNKNOWN_ZONE = "unknown time zone"


class Go(msgspec.Struct, frozen=True):
    """The message may be sent."""


class Skip(msgspec.Struct, frozen=True):
    """The message is never sent.

    ``is_exposure``: the customer was one to write to, but for the hold-out, a policy or the time; see `exposes`.
    """

    reason: str
    is_exposure: bool = True


class Defer(msgspec.Struct, frozen=True):
    """The message is looked at again at ``until`` (ms), which is its new send time."""

    until: int
    reason: str


class Behind(msgspec.Struct, frozen=True):
    """The message waits for the end of another one, whose key is ``rival``; it is looked at again at ``until`` (ms).

    ``send_at`` (ms): its new send time, not before that of the other message.
    """

    rival: str
    send_at: int
    until: int
    reason: str


class Occupied(msgspec.Struct, frozen=True):
    """The message waits for the end of an attempt to send the same customer another one."""


Verdict = Go | Skip | Defer | Behind | Occupied
# A message that waits for another one, or for its attempt, is looked at again after this time.
RIVAL_LOOK_MS = 1_000


def decide(file: TriggersFile, customer: str, person: Person, action: Action, now: int) -> Verdict:
    """The verdict on an action whose customer is still in the segment (or, of an exit, out of it) at ``now`` (ms)."""
    verdict = _decide(file, customer, person, action, now)
    under_way = person.under_way
    if not under_way or not isinstance(verdict, Skip):
        return verdict
    # Decide again as if the attempts that are under way had failed: only a skip that does not depend on them is final.
    others = [sent for sent in person.sent if sent.key not in under_way]
    without = _decide(file, customer, msgspec.structs.replace(person, sent=others), action, now)
    return verdict if isinstance(without, Skip) else Occupied()


def _decide(file: TriggersFile, customer: str, person: Person, action: Action, now: int) -> Verdict:
    """The first rule that objects decides: what ends the action for good, then priority, the time of day, and caps."""
    trigger = file.steps.get(action.trigger)
    reason = over(trigger, action, now)
    if trigger is None or reason is not None:
        return Skip(reason or REMOVED, is_exposure=False)
    reason = _suppressed(file, trigger, person, now)
    if reason is not None:
        return Skip(reason, is_exposure=False)
    reason = next((reason for reason in _against(trigger, customer, person, action, now) if reason), None)
    if reason is not None:
        return Skip(reason)
    outranked = _outranked(file, trigger, person, action, now)
    if outranked is not None:
        return outranked
    # The time of day comes before caps, so that the caps judge a message at the time at which it would be sent.
    too_early = _against_hour(file, trigger, person, action, now)
    if too_early is not None:
        return too_early
    full = _cap(file, trigger, person, action, now)
    return Go() if full is None else Skip(full)


def _against_hour(file: TriggersFile, trigger: Step, person: Person, action: Action, now: int) -> Skip | Defer | None:
    """Why a message may not be sent at this time of the customer's day."""
    quiet, send = trigger.quiet, trigger.send
    if quiet is None and send is None:
        return None
    zone = zone_of(file, person)
    if zone is None:
        return Skip(UNKNOWN_ZONE)
    if quiet is not None and (ends := quiet_until(quiet, zone, now)) is not None:
        return Skip("quiet hours") if quiet.then == "drop" else Defer(ends, "quiet hours")
    if send is not None and (opens := wait_until(send, zone, action.send_at, now)) is not None:
        return Skip("outside of the send times") if send.then == "drop" else Defer(opens, "waits for the send times")
    return None


def _against(trigger: Step, customer: str, person: Person, action: Action, now: int) -> Iterator[str | None]:
    yield HOLD_OUT_REASON if is_in_hold_out(trigger, customer) else None
    yield _again(trigger, person, action, now)
    yield _cooling(trigger, person, action, now)


def over(trigger: Step | None, action: Action, now: int) -> str | None:
    """Why an action ends whatever the customer's memberships are; ``trigger``: of the present file."""
    if trigger is None:
        return REMOVED
    late = now - action.send_at
    return f"expired {format_duration(trigger.expires)} after its time" if late > trigger.expires else None


def _suppressed(file: TriggersFile, trigger: Step, person: Person, now: int) -> str | None:
    """Why a person may not be written to."""
    for name, test in file.suppress.items():
        if test.suppresses(person.stored_trait(name), name, now):
            return f"suppressed by {name}"
    for name, test in file.consent.get(trigger.channel, {}).items():
        if not test.consents(person.stored_trait(name), name, now):
            return f"no consent: {name}"
    return None


def is_in_hold_out(trigger: Step, customer: str) -> bool:
    """Whether the customer is in the hold-out of the file, or in that of the trigger.

    See also `rules.conditions.sample.Sample`, which draws in the same way.
    """
    return any(_is_drawn(hold_out, customer) for hold_out in trigger.hold_outs)


def _is_drawn(hold_out: HoldOut, customer: str) -> bool:
    digest = sha256(f"{hold_out.salt}\0{customer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 100 < hold_out.percent * 2**64


def exposes(verdict: Verdict) -> bool:
    """Whether the verdict is on a customer that was one to write to, but for the hold-out, policies or time.

    From this point on customers of both arms are compared: nothing that comes after it may divide them.
    """
    return verdict.is_exposure if isinstance(verdict, Skip) else True


def _again(trigger: Step, person: Person, action: Action, now: int) -> str | None:
    """Why the re-entry policy forbids the message. Further attempts of one action are no second message."""
    if trigger.reentry == "always":
        return None
    if trigger.reentry == "once":
        others = [message for message in person.sent if message.trigger == action.trigger and message.key != action.key]
        return "sent before, and once is all" if others or action.trigger in person.acted else None
    assert isinstance(trigger.reentry, Again)
    return _within(person, action, trigger.reentry.after, now, "sent again only")


def _cooling(trigger: Step, person: Person, action: Action, now: int) -> str | None:
    return None if trigger.cool_down is None else _within(person, action, trigger.cool_down, now, "cool-down")


def _within(person: Person, action: Action, window: int, now: int, name: str) -> str | None:
    others = [message for message in person.sent if message.trigger == action.trigger and message.key != action.key]
    last = max((message.time for message in others), default=0)
    return f"{name} until {format_instant(last + window)}" if last and last > now - window else None


def _outranked(file: TriggersFile, trigger: Step, person: Person, action: Action, now: int) -> Skip | Behind | None:
    """Compare an action with others of its channel that are due within the window and have a higher priority.

    The action waits until the end of such another one is known, and is skipped only if that was sent.
    """
    is_ended = all(other.key != action.behind for other in person.actions)
    if is_ended and (sent := person.sent_as(action.behind)) is not None:
        return Skip(f"{sent.trigger} goes before it")
    if not file.window:
        return None
    for other in person.actions:
        rival = file.steps.get(other.trigger)
        near = abs(other.send_at - action.send_at) <= file.window
        if rival and near and rival.channel == trigger.channel and rival.priority > trigger.priority:
            return _behind(other, action, now)
    return None


def _behind(other: Action, action: Action, now: int) -> Behind:
    until = max(other.due, now + RIVAL_LOOK_MS)
    return Behind(
        other.key, max(action.send_at, other.send_at), until, f"waits for {other.trigger}, which goes before it"
    )


def zone_of(file: TriggersFile, person: Person) -> tzinfo | None:
    """The customer's time zone: by the trait that the file names, else by their context, else that of the file.

    ``None``: the first of these that is stated names no zone, so what time it is there is unknown.
    """
    name = file.contact.get("timezone")
    of_trait = None if name is None else value_of(person.stored_trait(name), name)
    stated = next(filter(time_zones.is_stated, (of_trait, person.trait(CONTEXT_TIMEZONE))), None)
    return ZoneInfo(file.timezone) if stated is None else time_zones.read(stated)


def _cap(file: TriggersFile, trigger: Step, person: Person, action: Action, now: int) -> str | None:
    of_all = [message for message in person.sent if message.key != action.key]
    of_channel = [message for message in of_all if message.channel == trigger.channel]
    config = file.channels[trigger.channel]
    full = _full(file.caps, [message.time for message in of_all], now)
    if full:
        return f"{full} to one customer"
    full = _full(config.caps, [message.time for message in of_channel], now)
    return f"{full} over {trigger.channel}" if full else None


def _full(caps: Caps, times: list[int], now: int) -> str | None:
    for most, window, name in caps.limits:
        if sum(time > now - window for time in times) >= most:
            return f"at most {most} {name}"
    return None
