"""The key of a product in carts and orders: the product, and its SKU and variant where an event tells them.

{product_id: 800, sku: STAND}   800 STAND      a line of its own
{product_id: 800, sku: SET}     800 SET        another line
{product_id: 800}               800            as a removal: both, as it differs from neither in what both tell
"""

from __future__ import annotations

from functools import lru_cache

from rules.profile.short_ids import short_id

_BETWEEN = "\x1f"  # no text of a shop has it: `product_key` takes it out
_PARTS = 3


def product_key(product: str, sku: str = "", variant: str = "") -> str:
    """The key of a product; a SKU or variant is ``""`` where it is not told, or names the product itself."""
    if not sku and not variant:
        return _part(product)
    return _BETWEEN.join((_part(product), _part(sku), _part(variant)))


def _part(text: str) -> str:
    return short_id(text.replace(_BETWEEN, " ") if _BETWEEN in text else text)


def is_same(case: str, other: str) -> bool:
    """Whether two keys are of one product and differ in nothing that both tell."""
    return case == other or _is_same(case, other)


@lru_cache(maxsize=4_096)
def _is_same(case: str, other: str) -> bool:
    mine, theirs = _parts(case), _parts(other)
    return mine[0] == theirs[0] and all(not a or not b or a == b for a, b in zip(mine[1:], theirs[1:], strict=True))


def _parts(key: str) -> list[str]:
    parts = key.split(_BETWEEN)
    return parts + [""] * (_PARTS - len(parts))
