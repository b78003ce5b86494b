"""The metrics of a worker: one closed list, for Prometheus.

The one rule: every label has a bounded set of values: the segments of the file, the inputs, the reasons of dead
letters, the partitions of this process; never a customer. A value that another object has anyway (lag, clocks,
watchdogs) is read when the port is scraped (`streams.runtime.scraped_metrics`), so that it costs nothing otherwise.

Counters are plain dicts and lists, which prometheus-client only renders: with its own counters and histograms, which
lock, a worker took 5 % more CPU.
The module is long because it has the whole list of metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, get_args

from prometheus_client import GC_COLLECTOR, CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from rules.identity.links import Refusal
from streams.runtime.meter import DecidedChanges, MeteredStep


class Metric(NamedTuple):
    """A metric of the list: its kind, its labels, and its description."""

    kind: str
    labels: tuple[str, ...]
    about: str


# Reasons for which a process refuses a connection or request to its own port, with a description of each.
REFUSALS = ("connections", "host", "idle", "no_token", "tls", "too_many_requests", "wrong_token")
HTTP_REFUSALS = (
    "what came to the process's own port and was refused: connections beyond the limit, idle ones that brought no "
    "request, tls handshakes that failed, no_token, wrong_token, too_many_requests of one address, another host's name"
)

COUNTED: Mapping[str, Metric] = {
    "segmenter_events_total": Metric(
        "counter", ("topic", "outcome"), "records read and saved: applied, without_effect or dead_letter"
    ),
    "segmenter_dead_letters_total": Metric("counter", ("reason",), "dead letters, as their headers say why"),
    "segmenter_link_refusals_total": Metric(
        "counter", ("reason",), "events whose link of two ids was refused: identified, too_many, unlinked or too_late"
    ),
    "segmenter_changes_total": Metric("counter", ("segment", "change"), "segment changes, entered or exited"),
    "segmenter_late_changes_total": Metric("counter", ("segment",), "changes that put right what was said before"),
    "segmenter_short_stays_total": Metric(
        "counter", ("segment",), "flapping: exits less than a minute after the entry, in event time"
    ),
    "segmenter_event_change_seconds": Metric(
        "histogram", ("segment",), "from an event's append to its topic until Kafka has acknowledged its change"
    ),
    "segmenter_due_late_seconds": Metric(
        "histogram", ("segment",), "from a due time and the grace until Kafka has acknowledged its change"
    ),
    "segmenter_last_change_timestamp_seconds": Metric(
        "gauge", ("segment",), "when this process last published a change of the segment; not there before the first"
    ),
    "segmenter_step_records": Metric("histogram", (), "records of a step, which is one save"),
    "segmenter_step_seconds": Metric("histogram", (), "how long a step took, from load to save"),
    "segmenter_redis_seconds": Metric("histogram", ("call",), "round trips to Redis, with their retries"),
    "segmenter_claims_total": Metric("counter", (), "assignments that were claimed"),
    "segmenter_claim_seconds": Metric("histogram", (), "how long a claim took, with what it read back"),
    "segmenter_http_refusals_total": Metric("counter", ("reason",), HTTP_REFUSALS),
    "segmenter_rebalances_total": Metric("counter", (), "how often partitions were released"),
}
# These are read when the port is scraped.
SCRAPED: Mapping[str, Metric] = {
    "segmenter_partitions": Metric("gauge", (), "partitions that are held"),
    "segmenter_lag_records": Metric("gauge", ("topic", "partition"), "records that are readable and not yet saved"),
    "segmenter_in_hand_records": Metric("gauge", ("topic", "partition"), "records fetched and not yet decided"),
    "segmenter_clock_timestamp_seconds": Metric("gauge", ("partition",), "up to when the partition's time is decided"),
    "segmenter_behind_seconds": Metric(
        "gauge", ("partition",), "how far that is behind the wall clock, beyond the grace"
    ),
    "segmenter_outbox_entries": Metric("gauge", ("partition",), "saves whose records Kafka has not acknowledged"),
    "segmenter_outbox_bytes": Metric("gauge", ("partition",), "the bytes of those records"),
    "segmenter_watchdog_near_ratio": Metric(
        "gauge", ("watchdog",), "how near each watchdog is to stopping the process, which it does at 1"
    ),
    "segmenter_ready": Metric("gauge", (), "1 when /ready says so"),
    "segmenter_trigger_decisions_total": Metric("counter", ("trigger", "decision"), "decisions of triggers, by kind"),
    "segmenter_trigger_given_back_total": Metric("counter", ("trigger",), "attempts that a last look stopped"),
    "segmenter_trigger_waits_total": Metric("counter", ("reason",), "looks at what was due and had to wait, by reason"),
    "segmenter_endpoint_broken": Metric("gauge", ("channel",), "1 while a channel's breaker is open: attempts fail"),
    "segmenter_endpoint_gone": Metric("gauge", ("channel",), "1 once a channel answered 410, until the next start"),
}
NAMES = frozenset({*COUNTED, *SCRAPED})

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


class _Spreads(dict[str, Histogram]):
    """The histograms of one metric by its one label, or by "" where it has none."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._bounds = _BUCKETS.get(name, _FAST_S)

    def __missing__(self, label: str) -> Histogram:
        spread = self[label] = Histogram(self._bounds)
        return spread


class _Segment:
    """The counters of one segment, so that a change takes one look-up, however much is counted of it."""

    __slots__ = ("by_event", "by_time", "entered", "exited", "last_ms", "late", "short")

    def __init__(self, by_event: Histogram, by_time: Histogram) -> None:
        self.by_event = by_event
        self.by_time = by_time
        self.entered = self.exited = self.late = self.short = self.last_ms = 0


class _Segments(dict[str, _Segment]):
    """The counters of all segments by key, made when a segment is first met."""

    def __init__(self, by_event: _Spreads, by_time: _Spreads) -> None:
        super().__init__()
        self._by_event = by_event
        self._by_time = by_time

    def __missing__(self, key: str) -> _Segment:
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
        self.spreads = {name: _Spreads(name) for name, metric in COUNTED.items() if metric.kind == "histogram"}
        self.segments = _Segments(
            self.spreads["segmenter_event_change_seconds"], self.spreads["segmenter_due_late_seconds"]
        )
        for segment in segments:
            self.segments[segment]
        self._calls = self.spreads["segmenter_redis_seconds"]
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
        for name, spreads in self.spreads.items():
            histogram = HistogramMetricFamily(name, COUNTED[name].about, labels=COUNTED[name].labels)
            for label, spread in spreads.items():
                if any(spread.counts):  # of 55 segments most have nothing to tell, in 18 lines each
                    histogram.add_metric([label] if label else [], spread.buckets(), spread.total)
            yield histogram
        name = "segmenter_last_change_timestamp_seconds"
        gauge = GaugeMetricFamily(name, COUNTED[name].about, labels=COUNTED[name].labels)
        for key, segment in self.segments.items():
            if segment.last_ms:
                gauge.add_metric([key], segment.last_ms / 1000)
        yield gauge

    def claimed(self, took_s: float) -> None:
        """Count a claimed assignment."""
        self.counts["segmenter_claims_total"][()] += 1
        self.spreads["segmenter_claim_seconds"][""].observe(took_s)

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
        self.spreads["segmenter_step_records"][""].observe(len(step.readings))
        self.spreads["segmenter_step_seconds"][""].observe(step.took_s)
        events, topics = self.counts["segmenter_events_total"], self.topics
        for topic, count in Tally([record.topic for _, _, _, _, record in step.readings]).items():
            events[topics.get(topic, topic), "applied"] += count
        for topic in step.without_effect:
            self._instead(topics.get(topic, topic), "without_effect")
        for topic, reason in step.letters:
            self._instead(topics.get(topic, topic), "dead_letter")
            self.counts["segmenter_dead_letters_total"][(reason,)] += 1
        for reason in step.refused:
            self.counts["segmenter_link_refusals_total"][(reason,)] += 1

    def _instead(self, topic: str, outcome: str) -> None:
        events = self.counts["segmenter_events_total"]
        events[topic, "applied"] -= 1
        events[topic, outcome] += 1

    def decided(self, made: Sequence[DecidedChanges]) -> Delays:
        """Count these changes. Returns their delays, which are observed once the changes are published."""
        delays: Delays = []
        now, grace_ms, segments = self.now_ms(), self.grace_ms, self.segments
        for together in made:
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

    def decided(self, made: Sequence[DecidedChanges]) -> None:
        self._waiting.append(self._metrics.decided(made))

    def published(self, entries: int) -> None:
        for _ in range(entries):
            self._metrics.published(self._waiting.popleft())
