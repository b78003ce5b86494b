"""Changed definitions on real Kafka and Redis, with two workers, one of which is killed on the way.

The one rule: what is right is what `segmenter verify` recomputes from all events under the new file, and what the
topic says by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.processes import Worker
from local.servers import Kafka, Redis
from rules.definitions.segments_file import build
from tests.support import live
from tests.support.commands import event, moved_to_now
from tests.support.migration_shop import EVENTS, OLD, Shop, consistent
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka


_shops = itertools.count()


@pytest.fixture
def shop(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(kafka, redis_server, tmp_path, prefix=f"changed{next(_shops)}-")
    yield shop
    shop.forget()


def test_a_file_is_changed_and_changed_back(shop: Shop) -> None:
    """Beside events and a death, all customers become as under the new file, as far as history is kept."""
    events = live.real_events()[:EVENTS]
    customers = len({event["userId"] for event in events})
    half = len(events) // 2
    early = len({event["userId"] for event in events[:half]})
    shop.publish(events[:half])
    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: shop.is_equal("old", early), 90)

    first, second = (Worker(shop.under("new")) for _ in range(2))
    try:
        first.start()
        second.start()
        shop.publish(events[half:])
        first.wait_ready()
        first.kill()
        first.start()
        eventually(lambda: shop.is_equal("new", customers), 120)
        assert "segments not compared with the events, as stored history begins later: viewer" in shop.verify("new").out
    finally:
        first.stop()
        second.stop()
    changes = shop.changes()
    by_file = [change for change in changes if change["cause"]["kind"] == "definition"]
    assert {(change["segment"], change["change"]) for change in by_file} >= {
        ("buyer", "exited"),
        ("cart", "exited"),
        ("one_order", "entered"),
    }
    assert {(change["backfill"], change["late"]) for change in by_file} == {(True, False)}
    assert not any(change["backfill"] for change in changes if change["cause"]["kind"] != "definition")
    assert consistent(changes) == []

    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: shop.verify("old").code == 0, 120)
    before = {change["change_id"] for change in changes}
    back = [change for change in shop.changes() if change["change_id"] not in before]
    assert {(change["cause"]["kind"], change["backfill"]) for change in back} == {("definition", True)}
    assert consistent(shop.changes()) == []


def test_placeholders_are_added(shop: Shop) -> None:
    """A text under which a customer is stored becomes no id: its events from then on are another customer's."""
    named = {key: {"title": key, "when": when} for key, when in OLD.items()}
    more = {"version": 1, "currency": "EUR", "placeholders": ["visitor"], "segments": named}
    shop.files["more"] = shop.files["old"].with_name("more.yaml")
    shop.files["more"].write_text(yaml.safe_dump(more))
    first, second = moved_to_now(
        *(event("visitor", number, "Order Completed", number, order_id=f"o{number}", total=10) for number in (1, 2))
    )
    shop.publish([first])
    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: [change["customer_id"] for change in shop.changes()] == ["visitor"], 60)

    with Worker(shop.under("more")) as worker:
        worker.wait_ready()
        # Its key is the text, so the owner of that partition sends it on to its customer's.
        shop.publish([{**second, "anonymousId": "b"}])
        eventually(lambda: [change["customer_id"] for change in shop.changes()] == ["visitor", "b"], 60)
        assert worker.exit_code is None
    (fingerprint,) = {meta["definitions"] for meta in shop.metas()}
    assert fingerprint == build(more, "more.yaml").fingerprint
