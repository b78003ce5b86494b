"""`segmenter distribution` and `check` of the state that a worker keeps in Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from local.processes import Worker
from local.servers import Redis, Tansu
from tests.support.commands import assert_stopped, read, segmenter, shop_on
from tests.support.recorded_orders import recorded

__all__ = ["recorded"]  # the fixture


# --- from Redis --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tansu: Tansu, redis_server: Redis, recorded: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a shop in which a worker has decided the same orders by the whole library, and has ended."""
    settings = shop_on(tansu, "spread", redis_server.url)
    assert segmenter("topics", "create", **settings).code == 0
    assert segmenter("publish", recorded, **settings).code == 0
    count = segmenter("replay", recorded).out.count("\n")
    with Worker(settings, log=tmp_path_factory.mktemp("spread") / "log"):
        assert len(read(tansu.address, [settings["topic_prefix"] + "segment-changes"], count)) >= count > 30
    return settings


@pytest.mark.parametrize("wish", ["customer_value", "win_back"])
def test_redis_tells_what_the_recorded_events_tell(wish: str, shop: dict[str, Any], recorded: str) -> None:
    """The figures over all partitions are those of the recorded events, to the last one."""
    stored = segmenter("distribution", "--of", wish, **shop)
    assert (stored.code, stored.err) == (0, "")
    assert stored == segmenter("distribution", "--of", wish, "--events", recorded)


def test_a_state_that_is_not_there_or_of_other_definitions(shop: dict[str, Any], recorded: str, tmp_path: Path) -> None:
    """A missing state, other definitions and a total that no file has are sentences whose advice works."""
    path = tmp_path / "own.yaml"
    total = {"agg": "sum", "of": "total", "event": "Order Completed", "at_least": 1}
    own = {"version": 1, "currency": "USD", "segments": {"own": {"title": "Own", "when": {"total": total}}}}
    path.write_text(yaml.safe_dump(own))
    elsewhere = segmenter("distribution", "--of", "customer_value", **{**shop, "redis_prefix": "none:"})
    assert_stopped(elsewhere, "SEGMENTER_REDIS")
    others = segmenter("distribution", "--of", "own", **shop, definitions=path)
    assert_stopped(others, "other definitions", "SEGMENTER_DEFINITIONS", "--events")
    written = segmenter("distribution", "--of", "{agg: sum, of: total, event: Order Completed}", **shop)
    assert_stopped(written, "other definitions", "--events")
    named = segmenter("distribution", "--of", "customer_value", **shop)
    read_again = segmenter("distribution", "--of", "own", "--events", recorded, **shop, definitions=path)
    assert (named.code, read_again.code) == (0, 0)
    assert named.out.partition("\n")[2] == read_again.out.partition("\n")[2]
