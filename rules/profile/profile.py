"""The profile: the facts that are stored of a customer, each of which can be merged.

The one rule: a profile is a function of the *set* of events, whatever their order and however
often each came, within the bounds that each kind of fact has in its module's docstring. Two profiles merge
to the one of all their events. Only facts change a profile (`rules.facts.base.Fact`).
"""

from __future__ import annotations

import msgspec

from rules.profile.attributes import AttributeValue
from rules.profile.cart import Cart
from rules.profile.newest_texts import NewestValues, ProductTexts
from rules.profile.occurrences import Occurrences
from rules.profile.orders import Orders
from rules.profile.sums import Sum


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
    # what changes carry, which decides nothing
    product_texts: list[ProductTexts] = []
    newest_values: list[NewestValues | None] = []
