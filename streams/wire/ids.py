"""The ids of a record: who the customer is, and which other id is named beside it.

Placeholders are no ids. An id has up to 256 bytes and no control characters: it goes into keys, headers and links.
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
    """The record is a dead letter; ``args[0]`` is one of `streams.wire.decode.REASONS`."""


def present(text: Any, placeholders: Placeholders) -> Any:
    """An id as it stands; ``None`` for an empty text and for a placeholder."""
    if not text or (isinstance(text, str) and placeholders.include(text)):
        return None
    return text


def names_user(name: str, fields: Envelope, origin: Origin | None) -> bool:
    """Whether an event whose two ids are the same text names it as that of a user, not as one that a browser made."""
    if name == IDENTIFY and bytes(fields.traits)[:1] == b"{" and bytes(fields.traits)[1:-1].strip():
        return True
    return input_of(name) != _VISITS if origin is None else not origin.topic.endswith(_VISITS)


def customer_of(user: object, anonymous: object) -> str:
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
    if text.isascii():
        return len(text) <= CUSTOMER_MAX_BYTES and text.isprintable()
    return len(text.encode()) <= CUSTOMER_MAX_BYTES and not any(
        unicodedata.category(character) == "Cc" for character in text
    )


def previous_of(fields: Envelope, placeholders: Placeholders) -> str | None:
    """Of an alias and an unlink the other id, which must be one. Raises `Rejected`."""
    if fields.type not in ("alias", "unlink"):
        return None
    previous = present(fields.previousId, placeholders)
    if previous is None:
        return None
    if not isinstance(previous, str) or not is_id(previous):
        raise Rejected("bad_id")
    return previous
