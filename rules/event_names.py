"""The names of events: those with a meaning here, the spellings in which they come, and the topic of each.

A reserved name is recognised without regard to case, to spaces around it, and to `_`, `-`, a space or nothing between
its words, as Segment's libraries do: ``order_completed`` is Order Completed. So are the names of the first version of
the Segment Spec, which has verb and object turned round (Completed Order). Any other name is a shop's own, and counts
as it is written.

Names: https://segment.com/docs/connections/spec/ecommerce/v2/
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate

PAGE = "page"
IDENTIFY = "identify"
PRODUCT_ADDED = "Product Added"
WISHLIST_ADDED = "Wishlist Product Added to Cart"
PRODUCT_REMOVED = "Product Removed"
CART_VIEWED = "Cart Viewed"
CHECKOUT_STARTED = "Checkout Started"
ORDER_COMPLETED = "Order Completed"
ORDER_UPDATED = "Order Updated"
ORDER_REFUNDED = "Order Refunded"
ORDER_CANCELLED = "Order Cancelled"

BROWSE_NAMES = frozenset({
    "Product Viewed", "Product List Viewed", "Product List Filtered", "Products Searched",
    "Product Clicked", "Promotion Viewed", "Promotion Clicked",
})  # fmt: skip
CART_NAMES = frozenset({
    PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED, CART_VIEWED, CHECKOUT_STARTED,
    "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
    "Coupon Entered", "Coupon Applied", "Coupon Removed", "Coupon Denied",
})  # fmt: skip
CHECKOUT_NAMES = frozenset({
    CHECKOUT_STARTED, "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
})  # fmt: skip
ORDER_NAMES = frozenset({ORDER_COMPLETED, ORDER_UPDATED, ORDER_REFUNDED, ORDER_CANCELLED})
ACTIVITY_NAMES = BROWSE_NAMES | CART_NAMES | {PAGE}
SHOP_NAMES = BROWSE_NAMES | CART_NAMES | ORDER_NAMES

# Other spellings of reserved names: the first version of the spec, and American English.
ALIASES = {
    "Viewed Product": "Product Viewed",
    "Viewed Product Category": "Product List Viewed",
    "Clicked Product": "Product Clicked",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Searched Products": "Products Searched",
    "Filtered Product List": "Product List Filtered",
    "Added Product": PRODUCT_ADDED,
    "Removed Product": PRODUCT_REMOVED,
    "Viewed Cart": CART_VIEWED,
    "Started Checkout": CHECKOUT_STARTED,
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied",
    "Removed Coupon": "Coupon Removed",
    "Denied Coupon": "Coupon Denied",
    "Completed Order": ORDER_COMPLETED,
    "Updated Order": ORDER_UPDATED,
    "Refunded Order": ORDER_REFUNDED,
    "Cancelled Order": ORDER_CANCELLED,
    "Canceled Order": ORDER_CANCELLED,
    "Order Canceled": ORDER_CANCELLED,
}

# The names of events that no customer causes, which no track call can have: a request to erase a customer, and the
# events of `rules.identity.resolution`.
UNNAMED = ""
ERASE = UNNAMED

# Segment Spec calls that link ids and group people; no condition depends on them.
WITHOUT_EFFECT = frozenset({"alias", "group"})

# All names that are no shop's own.
KNOWN_NAMES = SHOP_NAMES | WITHOUT_EFFECT | {PAGE, IDENTIFY, UNNAMED}

# Inputs in the order in which records of one millisecond are read.
INPUTS = ("profiles", "visits", "carts", "purchases")

# A name so few letters from a reserved one is told as a probable misspelling; a shorter name may be any word.
NEAR_MAX = 2
_NEAR_MIN_CHARS = 8
# Parts that make another word of a word: Product Reviewed is no misspelling of Product Viewed.
_SENSES = ("un", "re", "dis", "de", "non", "not", "pre", "mis")
_SEPARATORS = re.compile(r"[\s_-]+")
_DIGITS = re.compile(r"\d+")
_SPELLED_MAX_CHARS = 64  # no reserved name is nearly so long, whatever stands between its words


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


def _cuts(name: str) -> frozenset[int]:
    """The places in a folded name at which something stands between its parts."""
    lengths = accumulate(len(part) for part in _SEPARATORS.split(name.strip()))
    return frozenset(lengths)


_SPELLINGS = [*((name, name) for name in SHOP_NAMES), *ALIASES.items()]
# By folded spelling: the reserved name, and where its words end.
_BY_FOLDED = {_folded(spelling): (name, _cuts(spelling)) for spelling, name in _SPELLINGS}


def reserved_name(name: str) -> str | None:
    """The reserved name that a spelling stands for; `None` for a shop's own name."""
    return name if name in SHOP_NAMES else _of_spelling(name)


@lru_cache(maxsize=4_096)
def _of_spelling(name: str) -> str | None:
    if len(name) > _SPELLED_MAX_CHARS:
        return None
    reserved, ends = _BY_FOLDED.get(_folded(name), (None, frozenset()))
    return reserved if _cuts(name) <= ends else None  # nothing stands within a word


@lru_cache(maxsize=4_096)
def nearest_reserved(name: str) -> str | None:
    """The reserved name of which a shop's own name is probably a misspelling, at most `NEAR_MAX` letters away."""
    folded = _folded(name)
    if len(name) > _SPELLED_MAX_CHARS or len(folded) < _NEAR_MIN_CHARS or reserved_name(name) is not None:
        return None
    letters = _letters(folded)
    for spelling, spelled_letters in _NEAR:
        # A letter more, less or another one changes at most two letters of the sets.
        is_near = abs(len(spelling) - len(folded)) <= NEAR_MAX
        is_near = is_near and (letters ^ spelled_letters).bit_count() <= 2 * NEAR_MAX
        if is_near and _is_near(spelling, folded) and not differs_in_sense(spelling, folded):
            return _BY_FOLDED[spelling][0]
    return None


def differs_in_sense(name: str, other: str) -> bool:
    """Whether two names without separators are words of their own: one denies the other, say, or digits differ."""
    if _DIGITS.findall(name) != _DIGITS.findall(other):
        return True
    short, long = sorted((name, other), key=len)
    sense = len(long) - len(short)
    return any(
        long[cut : cut + sense] in _SENSES and long[:cut] + long[cut + sense :] == short for cut in range(len(short))
    )


def _letters(text: str) -> int:
    """The letters of a text as a set: bit i for the i-th letter, one bit for all that are none."""
    bits = 0
    for character in text:
        bits |= 1 << (ord(character) - 97 if "a" <= character <= "z" else 26)
    return bits


def _is_near(case: str, other: str) -> bool:
    """Whether the edit distance of two texts (Levenshtein's) is at most `NEAR_MAX`."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(case, 1):
        before, row[0] = row[0], index
        for place, character in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != character))
        if min(row) > NEAR_MAX:
            return False  # a distance never falls again
    return row[-1] <= NEAR_MAX


_NEAR = [(spelling, _letters(spelling)) for spelling in _BY_FOLDED]


def input_of(name: str) -> str:
    """The input topic, without prefix, on which an event of this name belongs."""
    if name in CART_NAMES:
        return "carts"
    if name in ORDER_NAMES:
        return "purchases"
    return "profiles" if name in (IDENTIFY, "alias", UNNAMED) else "visits"
