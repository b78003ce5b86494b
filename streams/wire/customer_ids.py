"""The ids of a record: that of its customer, and the other id that it may name.

Placeholders are no ids. An id has up to 256 bytes and no control characters: it goes into keys, headers and links.

See also: `rules.placeholders` (which texts are no ids), `rules.identity.resolution` (what two ids lead to).
"""

from __future__ import annotations

import unicodedata
from typing import Any

from rules.events import IDENTIFY, INPUTS, Origin, input_of
from rules.placeholders import Placeholders
from streams.wire.segment_spec import Envelope

CUSTOMER_MAX_BYTES = 256
_VISITS = INPUTS[1]


class Rejected(Exception):
    """The record is a dead letter; ``args[0]`` is one of `streams.wire.dead_letters.REASONS`."""


def present(text: Any, placeholders: Placeholders) -> Any:
    """The id unchanged, whatever its type; ``None`` for an empty text and for a placeholder."""
    if not text or (isinstance(text, str) and placeholders.include(text)):
        return None
    return text


def names_user(name: str, fields: Envelope, origin: Origin | None) -> bool:
    """Whether an event whose userId and anonymousId are the same text means the id of a user.

    Some trackers put the id that a browser made into both. So it means a user only in an identify with traits, and in
    events that do not come from browsers: those of any topic but the one of visits.
    """
    if name == IDENTIFY and bytes(fields.traits)[:1] == b"{" and bytes(fields.traits)[1:-1].strip():
        return True
    if origin is None:  # a line of a file: the topic is the one that events of this name are published to
        return input_of(name) != _VISITS
    return not origin.topic.endswith(_VISITS)


def customer_of(user: object, anonymous: object) -> str:
    """The customer of a record: its userId, else its anonymousId. Raises `Rejected`."""
    if user is None and anonymous is None:
        raise Rejected("no_customer")
    if not isinstance(user, str | None) or not isinstance(anonymous, str | None):
        raise Rejected("bad_id")
    customer = user or anonymous
    assert customer is not None
    if not is_id(customer):
        raise Rejected("bad_id")
    return customer


def is_id(text: str) -> bool:
    """Whether a text can be an id: short enough, and without control characters."""
    if text.isascii():
        return len(text) <= CUSTOMER_MAX_BYTES and text.isprintable()
    if len(text.encode()) > CUSTOMER_MAX_BYTES:
        return False
    return not any(unicodedata.category(character) == "Cc" for character in text)


def previous_of(fields: Envelope, placeholders: Placeholders) -> str | None:
    """The other id of an alias or an unlink; ``None`` for other types, and if it is absent. Raises `Rejected`."""
    if fields.type not in ("alias", "unlink"):
        return None
    previous = present(fields.previousId, placeholders)
    if previous is None:
        return None
    if not isinstance(previous, str) or not is_id(previous):
        raise Rejected("bad_id")
    return previous
