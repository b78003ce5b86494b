"""The key of a product in carts and orders: the product, and its SKU and variant where an event tells them.

{product_id: 800, sku: STAND}   800 STAND      a line of its own
{product_id: 800, sku: SET}     800 SET        another line
{product_id: 800}               800            as a removal: both, as it differs from neither in what both tell
"""

from __future__ import annotations

from functools import lru_cache

from rules.profile.short_ids import short_id

_BETWEEN = "\x1f"  # no text of a shop has it: `product_key` takes it out


def product_key(product: str, sku: str = "", variant: str = "") -> str:
    """The key of a product; a SKU or variant is ``""`` where it is not told, or names the product itself."""
    if not sku and not variant:
        return _part(product)
    return _BETWEEN.join((_part(product), _part(sku), _part(variant)))


def _part(text: str) -> str:
    return short_id(text.replace(_BETWEEN, " ") if _BETWEEN in text else text)


def product_of(key: str) -> str:
    """The product of a key: its id, else its SKU, else its name; one of over 64 bytes is its beginning and a hash."""
    return _parts(key)[0]


def is_same(case: str, other: str) -> bool:
    """Whether two keys are of one product and differ in nothing that both tell."""
    if case == other:
        return True
    product, sku, variant = _parts(case)
    other_product, other_sku, other_variant = _parts(other)
    return (
        product == other_product
        and (not sku or not other_sku or sku == other_sku)
        and (not variant or not other_variant or variant == other_variant)
    )


# By key, not by pair: the keys of one cart are few, their pairs many.
@lru_cache(maxsize=4_096)
def _parts(key: str) -> tuple[str, str, str]:
    product, _, rest = key.partition(_BETWEEN)
    sku, _, variant = rest.partition(_BETWEEN)
    return product, sku, variant
