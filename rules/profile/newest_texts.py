"""What changes carry of a customer's events: texts of products, and the newest values of events and traits.

The one rule: the newest stands, by time and then by text or message id, in whatever order events came.

Bounds: of each field the texts of the `PRODUCTS_MAX` products that were told last, none of which is more than 90 days
older than the newest.

See also: `rules.facts.change_contents` (the facts that need it), and `rules.included_texts` (what may stand in them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from rules.profile.cart import LINES_AGE_MS

PRODUCTS_MAX = 32

# By product (`rules.profile.products.product_key`): when (ms) its newest text of a field was told, and the text.
ProductTexts: TypeAlias = dict[str, tuple[int, str]]
# Of one event: its time (ms), its message id, and its values.
NewestValues: TypeAlias = tuple[int, str, tuple[str | None, ...]]


def note_texts(texts: ProductTexts, stated: Mapping[str, tuple[int, str]]) -> ProductTexts:
    """Note texts of products, of one event or of another profile. Returns what is to be stored."""
    newer = {product: text for product, text in stated.items() if text > texts.get(product, (0, ""))}
    if not newer:
        return texts
    both = {**texts, **newer}
    frontier = max(both.values())[0] - LINES_AGE_MS
    newest = sorted(both, key=lambda product: (both[product], product))[-PRODUCTS_MAX:]
    # Ordered by time, so that equal profiles are stored alike.
    return {product: both[product] for product in newest if both[product][0] >= frontier}


def newer_values(mine: NewestValues | None, theirs: NewestValues | None) -> NewestValues | None:
    """The newer of two."""
    if mine is None or theirs is None:
        return mine or theirs
    return theirs if theirs[:2] > mine[:2] else mine
