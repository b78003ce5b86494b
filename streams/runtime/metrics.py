"""The metrics of a worker: one closed list, for Prometheus.

The one rule: every label has a bounded set of values: the segments of the file, the inputs, the reasons of dead
letters, the partitions of this process; never a customer. A value that another object has anyway (lag, clocks,
watchdogs) is read when the port is scraped (`streams.runtime.scraped_metrics`), so that it costs nothing otherwise.

Counters are plain dicts and lists, which prometheus-client only renders: with its own counters and histograms, which
lock, a worker took 5 % more CPU.
See also: `streams.runtime.metric_list` (names, labels and descriptions).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import get_args

from prometheus_client import GC_COLLECTOR, CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from rules.event_names import KNOWN_NAMES, nearest_reserved
from rules.identity.resolution import Refusal
from streams.runtime.input_merge import Reading
from streams.runtime.meter import DecidedChanges, MeteredStep
from streams.runtime.metric_list import COUNTED, REFUSALS
from streams.wire.dead_letters import Undecodable

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
# Up to an hour: after an outage the backlog makes changes old.
_DELAYS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300, 3600)
_RECORDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000)
_BUCKETS = {
    "segmenter_step_records": _RECORDS,
    "segmenter_event_change_seconds": _DELAYS_S,
    "segmenter_due_late_seconds": _DELAYS_S,
}
SHORT_STAY_MS = 60_000

Label = tuple[str, ...]
# The delays of changes that are not published yet: the histogram of each, and the time (ms) from which it counts.
Delays = list[tuple["Histogram", int]]


class Histogram:
    """A histogram: how many values each bucket has."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus has them: how many values were at most each upper bound."""
        names = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(map(float, self.counts)), strict=True))


class _HistogramsByLabel(dict[str, Histogram]):
    """The histograms of one metric by its one label, or by "" where it has none."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._bounds = _BUCKETS.get(name, _FAST_S)

    def __missing__(self, label: str) -> Histogram:
        histogram = self[label] = Histogram(self._bounds)
        return histogram


class _Segment:
    """The counters of one segment, so that a change takes one look-up, however much is counted of it."""

    __slots__ = ("by_event", "by_time", "entered", "exited", "last_ms", "late", "short")

    def __init__(self, by_event: Histogram, by_time: Histogram) -> None:
        self.by_event = by_event
        self.by_time = by_time
        self.entered = self.exited = self.late = self.short = self.last_ms = 0


class _Segments(dict[str, _Segment]):
    """The counters of all segments by key, made when a segment is first met."""

    def __init__(self, by_event: _HistogramsByLabel, by_time: _HistogramsByLabel) -> None:
        super().__init__()
        self._by_event = by_event
        self._by_time = by_time

    def __missing__(self, key: str) -> _Segment:
        return self.add(key)

    def add(self, key: str) -> _Segment:
        """Make the counters of a segment, at 0."""
        segment = self[key] = _Segment(self._by_event[key], self._by_time[key])
        return segment

    def counts(self) -> Iterator[tuple[str, Label, int]]:
        """The counters, by name and labels."""
        for key, segment in self.items():
            yield "segmenter_changes_total", (key, "entered"), segment.entered
            yield "segmenter_changes_total", (key, "exited"), segment.exited
            yield "segmenter_late_changes_total", (key,), segment.late
            yield "segmenter_short_stays_total", (key,), segment.short


class Metrics(Collector):
    """Everything that one process counts, in a registry of its own."""

    def __init__(
        self, now_ms: Callable[[], int], grace_ms: int, topics: Mapping[str, str], segments: Sequence[str] = ()
    ) -> None:
        """``topics``: the inputs by their names in Kafka. ``segments``: have counters from the start, at 0."""
        self.now_ms = now_ms
        self.grace_ms = grace_ms
        self.topics = topics
        self.counts: dict[str, Tally[Label]] = {
            name: Tally() for name, metric in COUNTED.items() if metric.kind == "counter"
        }
        self.histograms = {
            name: _HistogramsByLabel(name) for name, metric in COUNTED.items() if metric.kind == "histogram"
        }
        self.segments = _Segments(
            self.histograms["segmenter_event_change_seconds"], self.histograms["segmenter_due_late_seconds"]
        )
        for segment in segments:
            self.segments.add(segment)
        self._calls = self.histograms["segmenter_redis_seconds"]
        self.counts["segmenter_link_refusals_total"].update({(reason,): 0 for reason in get_args(Refusal)})
        self.counts["segmenter_http_refusals_total"].update({(reason,): 0 for reason in REFUSALS})
        for name in ("segmenter_claims_total", "segmenter_rebalances_total"):
            self.counts[name][()] = 0
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(GC_COLLECTOR)
        self.registry.register(self)

    def describe(self) -> Iterable[Family]:
        """Describe nothing, so that nothing is collected before the first scrape."""
        return []

    def collect(self) -> Iterator[Family]:
        """Read all counters as they are now."""
        for name, labels, count in self.segments.counts():
            self.counts[name][labels] = count
        for name, counts in self.counts.items():
            counter = CounterMetricFamily(name, COUNTED[name].about, labels=COUNTED[name].labels)
            for labels, count in counts.items():
                counter.add_metric(labels, count)
            yield counter
        for name, histograms in self.histograms.items():
            family = HistogramMetricFamily(name, COUNTED[name].about, labels=COUNTED[name].labels)
            for label, histogram in histograms.items():
                if any(histogram.counts):  # of 55 segments most have nothing to tell, in 18 lines each
                    family.add_metric([label] if label else [], histogram.buckets(), histogram.total)
            yield family
        name = "segmenter_last_change_timestamp_seconds"
        gauge = GaugeMetricFamily(name, COUNTED[name].about, labels=COUNTED[name].labels)
        for key, segment in self.segments.items():
            if segment.last_ms:
                gauge.add_metric([key], segment.last_ms / 1000)
        yield gauge

    def claimed(self, took_s: float) -> None:
        """Count a claimed assignment."""
        self.counts["segmenter_claims_total"][()] += 1
        self.histograms["segmenter_claim_seconds"][""].observe(took_s)

    def let_go(self) -> None:
        """Count a release of partitions."""
        self.counts["segmenter_rebalances_total"][()] += 1

    def refused(self, reason: str) -> None:
        """Count a refused connection or request to this process's port; see `REFUSALS`."""
        self.counts["segmenter_http_refusals_total"][(reason,)] += 1

    def called(self, call: str, took_s: float) -> None:
        """Count a round trip to Redis."""
        self._calls[call].observe(took_s)

    def stepped(self, step: MeteredStep) -> None:
        """Count a step; see `streams.runtime.meter.Meter`."""
        self.histograms["segmenter_step_records"][""].observe(len(step.readings))
        self.histograms["segmenter_step_seconds"][""].observe(step.took_s)
        events, topics = self.counts["segmenter_events_total"], self.topics
        for topic, count in Tally([record.topic for _, _, _, _, record in step.readings]).items():
            events[topics.get(topic, topic), "applied"] += count
        for topic in step.without_effect:
            self._instead(topics.get(topic, topic), "without_effect")
        for topic, why in step.letters:
            self._instead(topics.get(topic, topic), "dead_letter")
            self.counts["segmenter_dead_letters_total"][why] += 1
        self._look_at_values(step.readings)
        for reason in step.refused:
            self.counts["segmenter_link_refusals_total"][(reason,)] += 1

    def _look_at_values(self, readings: Sequence[Reading]) -> None:
        """Count what senders may want to correct: values that cannot be read, names that are nearly reserved ones."""
        for _, _, _, decoded, _ in readings:
            if isinstance(decoded, Undecodable):
                continue
            name = decoded.name
            if decoded.unread:
                for field in decoded.unread:
                    self.counts["segmenter_unread_values_total"][name, field] += 1
            elif name not in KNOWN_NAMES and (near := nearest_reserved(name)) is not None:
                self.counts["segmenter_misspelled_events_total"][(near,)] += 1

    def _instead(self, topic: str, outcome: str) -> None:
        events = self.counts["segmenter_events_total"]
        events[topic, "applied"] -= 1
        events[topic, outcome] += 1

    def decided(self, changes: Sequence[DecidedChanges]) -> Delays:
        """Count these changes. Returns their delays, which are observed once the changes are published."""
        delays: Delays = []
        now, grace_ms, segments = self.now_ms(), self.grace_ms, self.segments
        for together in changes:
            for change in together.changes:
                segment = segments[change.segment]
                segment.last_ms = now
                if change.kind == "entered":
                    segment.entered += 1
                else:
                    segment.exited += 1
                    segment.short += 0 < change.stayed_ms < SHORT_STAY_MS
                segment.late += change.late
                if change.backfill:
                    continue  # no event caused the change, so it has no delay
                if change.event is None:
                    delays.append((segment.by_time, change.occurred_at + grace_ms))
                else:
                    delays.append((segment.by_event, together.appended_ms))
        return delays

    def published(self, delays: Delays) -> None:
        """Observe the delays of changes which Kafka has acknowledged."""
        now = self.now_ms()
        for histogram, since_ms in delays:
            histogram.observe((now - since_ms) / 1000 if now > since_ms else 0.0)


class PartitionMeter:
    """A `streams.runtime.meter.Meter` that counts into the metrics of the process."""

    def __init__(self, metrics: Metrics) -> None:
        self.stepped = metrics.stepped
        self._metrics = metrics
        self._waiting: deque[Delays] = deque()

    def decided(self, changes: Sequence[DecidedChanges]) -> None:
        self._waiting.append(self._metrics.decided(changes))

    def published(self, entries: int) -> None:
        for _ in range(entries):
            self._metrics.published(self._waiting.popleft())
