"""Metrics which are read off the process when they are scraped: lag, clocks, the outbox, watchdogs, readiness.

See also `streams.runtime.metrics`, the counters and histograms that are counted as things happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from time import monotonic

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.runtime.metric_list import SCRAPED
from streams.runtime.readiness import ReadinessSources

_PAUSE_TIMES = 9.0


class ScrapedMetrics(Collector):
    """The metrics that are read off the process when they are scraped."""

    def __init__(self, sources: ReadinessSources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        """Describe nothing, so that nothing is read before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read the process as it is now."""
        sources = self._sources
        runners = sources.ownership.runners
        yield _gauge("segmenter_partitions", [((), len(runners))])
        yield _gauge("segmenter_ready", [((), sources.ready().ready)])
        yield _gauge("segmenter_watchdog_near_ratio", [((name,), near) for name, near in sources.near().items()])
        yield _gauge(
            "segmenter_behind_seconds", [((str(number),), behind) for number, behind in sources.behind().items()]
        )
        clocks = [((str(number),), runner.task.saved.clock / 1000) for number, runner in runners.items()]
        yield _gauge("segmenter_clock_timestamp_seconds", clocks)
        waiting = {str(number): runner.outbox.waiting for number, runner in runners.items()}
        yield _gauge("segmenter_outbox_entries", [((number,), entries) for number, (entries, _) in waiting.items()])
        yield _gauge("segmenter_outbox_bytes", [((number,), size) for number, (_, size) in waiting.items()])
        yield from self._inputs()
        for name, counts in sources.counted.items():
            yield _counter(name, counts)
        if channels := sorted(sources.endpoints.items()):
            yield _gauge("segmenter_endpoint_broken", [((key,), endpoint.is_broken) for key, endpoint in channels])
            yield _gauge("segmenter_endpoint_gone", [((key,), endpoint.is_gone) for key, endpoint in channels])

    def _inputs(self) -> Iterator[Metric]:
        lags, in_hand = [], []
        names = self._sources.metrics.topics
        for tp, fetching in self._sources.ownership.fetching().items():
            runner = self._sources.ownership.runners[tp.partition]
            place = names.get(tp.topic, tp.topic), str(tp.partition)
            lags.append((place, max(0, fetching.last_stable_offset - runner.task.saved.positions[tp.topic])))
            in_hand.append((place, runner.task.in_hand(tp.topic)))
        yield _gauge("segmenter_lag_records", lags)
        yield _gauge("segmenter_in_hand_records", in_hand)


def _gauge(name: str, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    metric = SCRAPED[name]
    family = GaugeMetricFamily(name, metric.about, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, float(value))
    return family


def _counter(name: str, counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(name, SCRAPED[name].about, labels=SCRAPED[name].labels)
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


class Exposition:
    """The metrics as Prometheus reads them.

    A rendering takes milliseconds of the event loop on which customers are decided. So each is served again for nine
    times as long as it took to make, however often it is requested.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._text = b""
        self._fresh_until = 0.0

    def text(self) -> bytes:
        """All metrics, at most a moment old."""
        began = monotonic()
        if began >= self._fresh_until:
            self._text = generate_latest(self._registry)
            ended = monotonic()
            self._fresh_until = ended + _PAUSE_TIMES * (ended - began)
        return self._text
