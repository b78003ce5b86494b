"""The ids of a record: that of its customer, and the other id that it may name.

Placeholders are no ids. An id has up to 256 bytes and no control characters: it goes into keys, headers and links.

See also: `rules.placeholders` (which texts are no ids), `rules.identity.resolution` (what two ids lead to).
"""

from __future__ import annotations

import unicodedata
from typing import Any

from rules.event_names import IDENTIFY, INPUTS, input_of
from rules.events import Origin
from rules.placeholders import Placeholders
from streams.wire.segment_spec import Envelope

CUSTOMER_MAX_BYTES = 256
_VISITS = INPUTS[1]


class Rejected(Exception):
    """The record is a dead letter. ``reason``: one of `streams.wire.dead_letters.REASONS`.

    ``field``: the field which is wrong or lacks, ``""`` where it is the whole record.
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(f"{reason} ({field})" if field else reason)
        self.reason = reason
        self.field = field


def present(text: Any, placeholders: Placeholders) -> Any:
    """The id unchanged, whatever its type; ``None`` for an empty text, for spaces and for a placeholder."""
    # The first character lets most ids pass without a call, as `Placeholders.include` would.
    if not text or (isinstance(text, str) and text[0] in placeholders.first and placeholders.include(text)):
        return None
    return text


def names_user(name: str, origin: Origin | None, *, has_traits: bool) -> bool:
    """Whether an event whose userId and anonymousId are the same text means the id of a user.

    Some trackers put the id that a browser made into both. So it means a user only in an identify with traits, and in
    events that do not come from browsers: those of any topic but the one of visits.
    """
    if name == IDENTIFY and has_traits:
        return True
    if origin is None:  # a line of a file: the topic is the one that events of this name are published to
        return input_of(name) != _VISITS
    return not origin.topic.endswith(_VISITS)


def customer_of(user: object, anonymous: object) -> str:
    """The customer of a record: its userId, else its anonymousId, whichever can be an id. Raises `Rejected`."""
    if user is None and anonymous is None:
        raise Rejected("no_customer", "userId")
    for text in (user, anonymous):
        if isinstance(text, str) and is_id(text):
            return text
    raise Rejected("bad_id", "anonymousId" if user is None else "userId")


def is_id(text: str) -> bool:
    """Whether a text can be an id: short enough, and without control characters."""
    if text.isascii():
        return len(text) <= CUSTOMER_MAX_BYTES and text.isprintable()
    if len(text.encode()) > CUSTOMER_MAX_BYTES:
        return False
    return not any(unicodedata.category(character) == "Cc" for character in text)


def previous_of(fields: Envelope, placeholders: Placeholders) -> str | None:
    """The other id of an alias or an unlink; ``None`` for other types, and if it is none."""
    if fields.type not in ("alias", "unlink"):
        return None
    previous = present(fields.previousId, placeholders)
    return previous if isinstance(previous, str) and is_id(previous) else None
