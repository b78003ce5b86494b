"""Two definitions files which differ in a few segments, and what `diff` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import event, lines

CART: dict[str, Any] = {"title": "Cart", "when": {"cart": {"idle_for": "30m", "until": "30d"}}}
BOUGHT: dict[str, Any] = {"title": "Bought", "when": {"performed": {"event": "Order Completed"}}}
GONE: dict[str, Any] = {"title": "Gone", "when": {"performed": {"event": "page"}}}
SLOW: dict[str, Any] = {"title": "Cart", "when": {"cart": {"idle_for": "60m", "until": "30d"}}}


EVENTS = lines(
    event("a", 1, "Product Added", 0, product_id="p", price=5),
    event("b", 1, "Product Added", 5, product_id="p", price=5),
    event("c", 1, "page", 10),
    event("a", 2, "Order Completed", 45, order_id="o", total=5),
    event("c", 2, "page", 180),
)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two segments files: the cart waits longer, `gone` goes, `came` comes, `bought` stays as it is."""
    old = {"cart": CART, "gone": GONE, "bought": BOUGHT}
    new = {"cart": SLOW, "came": {**GONE, "title": "Came"}, "bought": {**BOUGHT, "title": "Another title"}}
    for name, segments in (("old", old), ("new", new)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"version": 1, "segments": segments}))
    return [str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]
