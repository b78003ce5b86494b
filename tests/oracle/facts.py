"""How the oracle reads an event: who it is of, when it happened, what it is called and what it tells.

Its one rule: no value makes an event unusable; only what has no customer, message id, name or time has no effect.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from tests.oracle.dates import milliseconds
from tests.oracle.names import CARTS, PURCHASES, current_name
from tests.oracle.values import Json, identifier, mapping

ERASURE = "(erase)"  # the name of a request to erase a customer
NAME_OF_TYPE = {"page": "page", "screen": "page", "identify": "identify", "erase": ERASURE}

PLACEHOLDERS = {
    "undefined", "null", "nil", "none", "nan", "n/a", "na", "anonymous", "anon", "guest", "unknown", "user", "userid",
    "user_id", "default", "test", "0", "-1", "true", "false", "[objectobject]", "{}", "[]",
    "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
ID_BYTES_MAX = 256
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

CLOCK_ERROR_MIN_MS = 60_000  # a clock that differs by no more is right
FIRST_TIME = milliseconds("2000-01-01T00:00:00Z")
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)"
)


class Fact(NamedTuple):
    """One event as the rules see it."""

    time: int
    message_id: str
    name: str
    properties: Json
    traits: Json
    context: Json


def moment_of(what: Fact) -> tuple[int, str]:
    return what.time, what.message_id


def topic_rank(name: str) -> int:
    """The rank of a name's topic in: profiles, visits, carts, purchases."""
    if name in ("identify", ERASURE):
        return 0
    return 3 if name in PURCHASES else 2 if name in CARTS else 1


def has_effect(event: Json, placeholders: Collection[str] = ()) -> bool:
    """Whether the event is one of a customer, and usable."""
    parts = (customer(event, placeholders), identifier(event.get("messageId")), name_of(event))
    return all(parts) and time_of(event) is not None


def fact(event: Json) -> Fact:
    """What the rules see of an event that has an effect."""
    time, message_id = time_of(event), identifier(event["messageId"])
    assert time is not None
    assert message_id is not None
    context = mapping(event.get("context"))
    traits = {**mapping(context.get("traits")), **mapping(event.get("traits"))}
    return Fact(time, message_id, name_of(event), mapping(event.get("properties")), traits, context)


def name_of(event: Json) -> str:
    """The name of the event; empty if there is none, or if its kind has no effect."""
    if event["type"] == "track":
        return current_name(event["event"]) if isinstance(event.get("event"), str) else ""
    return NAME_OF_TYPE.get(str(event["type"]), "")


# --- who ---------------------------------------------------------------------------------------


def customer(event: Json, placeholders: Collection[str] = ()) -> str:
    """UserId, else anonymousId; a placeholder is absent. Empty if there is none."""
    readable = PLACEHOLDERS | set(map(without_spaces, placeholders))
    ids = (identifier(event.get(field)) for field in ("userId", "anonymousId"))
    first = next((name for name in ids if name is not None and without_spaces(name) not in readable), "")
    return first if len(first.encode()) <= ID_BYTES_MAX and not CONTROL.search(first) else ""


def without_spaces(name: str) -> str:
    return "".join(name.split()).lower()


# --- when --------------------------------------------------------------------------------------


def time_of(event: Json) -> int | None:
    """When it happened: `timestamp`, else `originalTimestamp`, by the receiver's clock where that is known."""
    original = event.get("originalTimestamp") or None
    stated = instant(event.get("timestamp") or original)
    if stated is None:
        return None
    is_corrected = bool(event.get("timestamp")) and original is not None
    time = stated if is_corrected else stated + clock_error(event)
    return time if time >= FIRST_TIME else None


def clock_error(event: Json) -> int:
    """By how much the sender's clock is behind; 0 where that is not told, or is no more than a minute."""
    received, sent = instant(event.get("receivedAt")), instant(event.get("sentAt"))
    if received is None or sent is None or abs(received - sent) <= CLOCK_ERROR_MIN_MS:
        return 0
    return received - sent


def instant(value: object) -> int | None:
    """An RFC 3339 instant with an offset; None if it is none."""
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        return None
    try:
        return milliseconds(value)
    except ValueError:  # such as the 30th of February
        return None
