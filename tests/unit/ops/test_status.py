"""What the operations process computes: rates, silence, quantiles and limits; without Kafka and Redis."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from benchmarks import metrics_overhead
from doc_tools import openapi, output_schemas
from rules.changes import Change
from streams.http.access import RateLimit
from streams.http.server import HttpServer, Limits
from streams.ops import api, routes
from streams.ops.change_feed import ChangeFeed
from streams.ops.segment_activity import MINUTE_MS, SILENT_AT_LEAST_MS, SILENT_TIMES, USUAL_FROM, SegmentActivity
from streams.ops.status import OpsStatus
from streams.ops.worker_poller import WorkerPoller, WorkerReport, addresses, parsed, quantile_ms
from streams.runtime.meter import DecidedChanges, MeteredStep
from streams.runtime.metrics import SHORT_STAY_MS, Histogram, Metrics, PartitionMeter
from streams.runtime.readiness import Ready
from tests.support.sentence_cases import QUIET

T = 1_800_000_000_000


def change(segment: str, occurred_at: int, **more: Any) -> Change:
    """A change, made by time unless ``more`` says otherwise."""
    fields = {
        "customer": "u", "kind": "exited", "sequence": 1, "segments": (), "event": None, "reason": QUIET,
        "definition": "d", "late": False, **more,
    }  # fmt: skip
    return Change(segment=segment, occurred_at=occurred_at, **fields)


def test_a_change_is_late_by_what_is_beyond_its_due_time_and_the_grace() -> None:
    """A delay is observed when the change's outbox entry is acknowledged, in the order of entries."""
    now = [T + 1_500]
    metrics = Metrics(lambda: now[0], 1_000, {})
    meter = PartitionMeter(metrics)
    meter.decided([DecidedChanges([change("first", T)], 0)])
    meter.decided([])
    meter.decided([DecidedChanges([change("second", T)], 0)])
    assert metrics.histograms["segmenter_due_late_seconds"]["first"].total == 0
    meter.published(2)
    now[0] += 3_000
    meter.published(1)
    late = metrics.histograms["segmenter_due_late_seconds"]
    assert (late["first"].total, late["second"].total) == (0.5, 3.5)


def test_an_exit_soon_after_the_entry_is_a_short_stay() -> None:
    """A stay of up to a minute is short; an entry has no stay."""
    metrics = Metrics(lambda: T, 0, {})
    stays = (0, 1, SHORT_STAY_MS - 1, SHORT_STAY_MS)
    metrics.decided([DecidedChanges([change("flaps", T, stayed_ms=stay) for stay in stays], 0)])
    assert (metrics.segments["flaps"].short, metrics.segments["flaps"].exited) == (2, 4)


def test_what_is_told_is_what_was_counted() -> None:
    """The exposition is read again by an independent parser."""
    metrics = Metrics(lambda: T, 0, {}, ["never"])
    for seconds in (0.001, 0.3, 99_999.0):
        metrics.called("save", seconds)
    metrics.stepped(MeteredStep([], [], [], 0.1))
    samples = parsed(generate_latest(metrics.registry).decode())
    buckets = {dict(labels)["le"]: count for labels, count in samples["segmenter_redis_seconds_bucket"].items()}
    assert (buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["25.0"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert sum(samples["segmenter_redis_seconds_count"].values()) == 3
    assert set(samples["segmenter_changes_total"].values()) == {0}


@given(st.lists(st.floats(0.0, 59.0), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    """The true one is the sorted value at that share, whatever the values."""
    bounds = [0.01, 0.1, 0.5, 1, 5, 60]
    spread = Histogram(bounds)
    for value in values:
        spread.observe(value)
    estimate = quantile_ms({float(bound): count for bound, count in spread.buckets()}, share)
    true = next(value for rank, value in enumerate(sorted(values), 1) if rank >= share * len(values))
    low = max((bound for bound in [0, *bounds] if bound < true), default=0)
    high = min(bound for bound in bounds if bound >= true)
    assert estimate is not None
    assert 1000 * low - 1e-6 <= estimate <= 1000 * high + 1e-6


def test_a_segment_is_silent_against_its_own_rate() -> None:
    """A segment is silent after ten usual intervals, at least five minutes; never without a usual rate."""
    for every in (1, 3):
        counted = SegmentActivity()
        for index in range(USUAL_FROM - 1):
            counted.add(T + index * every * MINUTE_MS, entered=True)
        assert not counted.is_silent(T + 10**9)
        last = T + (USUAL_FROM - 1) * every * MINUTE_MS
        counted.add(last, entered=False)
        assert counted.usual_ms() == every * MINUTE_MS
        allowed = max(SILENT_AT_LEAST_MS, SILENT_TIMES * every * MINUTE_MS)
        assert not counted.is_silent(last + allowed)
        assert counted.is_silent(last + allowed + 1)


def test_one_campaign_is_no_habit() -> None:
    """A thousand changes in one minute do not make a segment silent five minutes later."""
    counted = SegmentActivity()
    for index in range(1_000):
        counted.add(T + index, entered=True)
    assert not counted.is_silent(T + 60 * MINUTE_MS)


def test_a_limit_gives_its_burst_and_then_its_rate() -> None:
    """Each address has a limit of its own."""
    now = [0.0]
    limit = RateLimit(2, 3, lambda: now[0])
    assert [limit.take("a") for _ in range(4)] == [True, True, True, False]
    assert limit.take("b")
    now[0] = 0.5
    assert [limit.take("a"), limit.take("a")] == [True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1", ["a:1"]),
        ("a:1-3,b:9", ["a:1", "a:2", "a:3", "b:9"]),
        ("[::1]:9101", ["[::1]:9101"]),
    ],
)
def test_workers_are_named_one_by_one_or_by_a_range(text: str, expected: list[str]) -> None:
    assert addresses(text) == expected


def test_each_path_of_the_document_has_a_handler() -> None:
    """Each handler that answers JSON also names the type of its answer."""
    document = openapi.document()
    for route in routes.ROUTES:
        assert callable(getattr(api.Api, route.name))
        assert route.path in document["paths"]
    committed = json.loads((Path(api.__file__).parents[2] / "docs" / "reference" / "openapi.json").read_text())
    assert committed == json.loads(json.dumps(document))


async def test_a_reader_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing is disconnected, so that it does not hold its place and buffers for ever."""
    monkeypatch.setattr(api, "_TAKEN_WITHIN_S", 0.3)
    feed = ChangeFeed({}, "", 1, lambda: T)
    handlers = api.Api(cast(OpsStatus, SimpleNamespace(feed=feed)), {}, "")
    app = web.Application()
    app.add_routes([web.get("/api/changes", handlers.changes)])
    server = HttpServer(app, Limits(connections=8, idle_s=60.0), lambda _: None)
    await server.start("127.0.0.1", 0)
    large = msgspec.structs.replace(output_schemas.CHANGE, said={"en": "x" * 100_000})
    loop = asyncio.get_running_loop()
    try:
        with socket.socket() as reader:
            reader.setblocking(False)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            await loop.sock_connect(reader, server.address)
            await loop.sock_sendall(reader, b"GET /api/changes HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(20):
                assert b" 200 " in await loop.sock_recv(reader, 100)
                (follower,) = feed._readers
                while feed._readers:
                    for _ in range(50):
                        follower.put(large)
                    await asyncio.sleep(0.05)
    finally:
        await server.close()


def test_the_cost_of_metrics_is_judged_by_pairs() -> None:
    """The interval holds the truth where it is known, and is narrow where pairs agree."""
    interval = metrics_overhead.cost([(1.04, 1.0), (1.05, 1.0), (1.06, 1.0)] * 4)
    assert interval.low < 0.05 < interval.high
    assert interval.low > 0.03
    assert interval.high < 0.07


def test_turns_are_compared_in_pairs() -> None:
    """A pair has CPU per event with metrics first, whichever ran first; turns in which a worker starts do not count."""
    turns = ("on 1 9.0", "off 1 9.0", "off 10 1.0", "on 10 1.1", "on 20 2.4", "off 20 2.0", "off 5 0.5")
    log = "".join(f"2026-11-27 12:00:00 [warning  ] turn {turn} [mode.redirect]\nanother line\n" for turn in turns)
    assert metrics_overhead.paired(log) == [(1.1 / 10, 1.0 / 10), (2.4 / 20, 2.0 / 20)]
    with pytest.raises(RuntimeError, match="too few to compare"):
        metrics_overhead.paired("no turn at all")


def test_a_partition_is_a_workers_and_not_of_triggers() -> None:
    """Triggers own partitions of the same numbers, of other topics."""
    lags = 'segmenter_lag_records{topic="%s",partition="0"} 3\n'
    outbox = 'segmenter_outbox_entries{partition="0"} 2\n'
    workers = WorkerPoller([], lambda: 0.0)
    for address, topic in (("triggers", "segment-changes"), ("worker", "visits")):
        workers.reports[address] = WorkerReport(0.0, parsed(lags % topic + outbox), Ready(ready=True, because=[]))
    assert workers.of_partition(0) == ("worker", {"visits": 3}, 2)
    assert workers.of_partition(1) == (None, None, None)
