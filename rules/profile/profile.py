"""The profile: the facts that are stored of a customer, each of which can be merged.

The one rule: a profile is a function of the *set* of events, whatever their order and however
often each came, within the bounds that each kind of fact has in its module's docstring. Two profiles merge
to the one of all their events. Only facts change a profile (`rules.facts.base.Fact`).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import msgspec

from rules.profile.attributes import AttributeValue
from rules.profile.cart import Cart
from rules.profile.occurrences import Occurrences
from rules.profile.orders import Orders
from rules.profile.sums import Sum

# A message id orders ties and identifies repeats; of one beyond this length, in UTF-8, its head and a hash are used.
ID_MAX_BYTES = 64
_ID_HEAD_BYTES = 40


class Profile(msgspec.Struct, array_like=True, gc=False):
    """All facts of one customer; one slot per kind, or per kind and parameters.

    Stored as an array: a later kind of fact is a new last field with a default.
    """

    orders: Orders | None = None
    cart: Cart | None = None
    sessions: list[list[tuple[int, int]]] = []  # (start, end) of each, in ms
    occurrences: list[Occurrences] = []
    firsts: list[int] = []  # ms; 0: never
    sums: list[Sum] = []
    extremes: list[list[tuple[int, int]]] = []  # (time in ms, value)
    distincts: list[dict[int, int]] = []  # the newest time (ms) of each hashed value
    steps: list[list[tuple[int, str, int, int]]] = []  # `rules.profile.steps.StepEntry`
    traits: list[AttributeValue | None] = []
    touches: list[AttributeValue | None] = []  # the first or last value of a context's attribute, such as a campaign


def short_id(text: str) -> str:
    """An id of bounded length: as it is, or, if it is too long, its head and a hash."""
    if len(text) <= ID_MAX_BYTES and text.isascii():
        return text
    encoded = text.encode()
    if len(encoded) <= ID_MAX_BYTES:
        return text
    return encoded[:_ID_HEAD_BYTES].decode(errors="ignore") + blake2b(encoded, digest_size=12).hexdigest()


# A few facts ask for the hash of one event's id, one after the other.
@lru_cache(maxsize=256)
def hashed_id(text: str) -> int:
    """A hash of 64 bits of an id, for facts in which ids are only compared."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
