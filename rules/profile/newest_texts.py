"""What changes carry of a customer's events: texts of products, and the newest values of events and traits.

The one rule: the newest stands, by time and then by text or message id, in whatever order events came.

Bounds: of each field the texts of the `PRODUCTS_MAX` products that were told last, none of which is more than 90 days
older than the newest.

See also: `rules.facts.change_contents` (the facts that need it), and `rules.included_texts` (what may stand in them).
"""

from __future__ import annotations

from typing import TypeAlias

from rules.profile.cart import LINES_AGE_MS

PRODUCTS_MAX = 32

# By product (`rules.profile.products.product_key`): when (ms) its newest text of a field was told, and the text.
ProductTexts: TypeAlias = dict[str, tuple[int, str]]
# Of one event: its time (ms), its message id, and its values.
NewestValues: TypeAlias = tuple[int, str, tuple[str | None, ...]]


def note_text(texts: ProductTexts, product: str, text: tuple[int, str]) -> None:
    """Note the text of a product in ``texts``, which is ordered by text, so that equal profiles are stored alike."""
    before = texts.get(product)
    if before is not None:
        if text <= before:
            return
        del texts[product]
    last = next(reversed(texts), None)
    texts[product] = text
    if last is None:
        return
    newest = texts[last]
    if text[0] <= newest[0] and (text, product) < (newest, last):  # mostly it belongs at the end
        ordered = sorted(texts.items(), key=_by_text)
        texts.clear()
        texts.update(ordered)
    oldest = texts[next(iter(texts))][0]
    if len(texts) > PRODUCTS_MAX or oldest < max(text[0], newest[0]) - LINES_AGE_MS:
        _bound(texts)


def note_texts(texts: ProductTexts, others: ProductTexts) -> None:
    """Note the texts of another profile in ``texts``."""
    for product, text in others.items():
        note_text(texts, product, text)


def _bound(texts: ProductTexts) -> None:
    frontier = next(reversed(texts.values()))[0] - LINES_AGE_MS
    while len(texts) > PRODUCTS_MAX or next(iter(texts.values()))[0] < frontier:
        del texts[next(iter(texts))]


def _by_text(item: tuple[str, tuple[int, str]]) -> tuple[tuple[int, str], str]:
    product, text = item
    return text, product


def newer_values(mine: NewestValues | None, theirs: NewestValues | None) -> NewestValues | None:
    """The newer of two."""
    if mine is None or theirs is None:
        return mine or theirs
    return theirs if theirs[:2] > mine[:2] else mine
