"""Orders of some customers in a file, for the commands which read recorded events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.commands import event, lines, moved_to_now

TOTALS: dict[str, list[float | str]] = {
    "u1": [10, 15],
    "u2": [20],
    "u3": [30.5],
    "u4": [1_000],
    "u5": [1_100, "400.25"],
    "u6": [6_000],
    "u7": [7_000],
}


def orders() -> list[dict[str, Any]]:
    """Orders that count, one that was paid back, one in euros, and a customer that only looks."""
    events = [
        event(customer, number, "Order Completed", number, order_id=f"{customer}-{number}", total=total)
        for customer, totals in TOTALS.items()
        for number, total in enumerate(totals, 1)
    ]
    events.append(event("u8", 1, "Order Completed", 4, order_id="u8", total=9_000))
    events.append(event("u8", 2, "Order Refunded", 5, order_id="u8"))
    events.append(event("u9", 1, "Order Completed", 6, order_id="u9", total=9_000, currency="EUR"))
    events.append(event("u10", 1, "page", 7))
    return moved_to_now(*sorted(events, key=lambda event: str(event["timestamp"])))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("recorded") / "events.jsonl"
    path.write_bytes(lines(*orders()))
    return str(path)
