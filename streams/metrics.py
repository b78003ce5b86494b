"""The metrics of a worker: one closed list, for Prometheus.

The one rule: every label has a bounded set of values: the segments of the file, the inputs, the reasons of dead
letters, the partitions that are held; never a customer. Where a value is only known to others (lags, clocks,
watchdogs), it is asked for when somebody looks (`streams.serving`), so that it costs nothing otherwise.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from rules.events import WITHOUT_EFFECT
from streams.merge import Reading
from streams.meter import Made


class Metric(NamedTuple):
    """One of the list: its kind, its labels, and what it says."""

    kind: str
    labels: tuple[str, ...]
    about: str


COUNTED: Mapping[str, Metric] = {
    "segmenter_events_total": Metric(
        "counter", ("topic", "outcome"), "records read and saved: applied, without_effect or dead_letter"
    ),
    "segmenter_dead_letters_total": Metric("counter", ("reason",), "dead letters, as their headers say why"),
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
    "segmenter_rebalances_total": Metric("counter", (), "how often partitions were let go of"),
}
# Asked for when somebody looks.
ASKED: Mapping[str, Metric] = {
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
    "segmenter_trigger_decisions_total": Metric(
        "counter", ("trigger", "decision"), "decisions of a process of triggers, by kind"
    ),
}
NAMES = frozenset({*COUNTED, *ASKED})

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second time series for each of ours, which nobody reads

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
# Up to an outage's backlog, which is what makes a change really old.
_DELAYS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300, 3600)
_RECORDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000)
_BUCKETS = {
    "segmenter_step_records": _RECORDS,
    "segmenter_event_change_seconds": _DELAYS_S,
    "segmenter_due_late_seconds": _DELAYS_S,
}
SHORT_STAY_MS = 60_000


class Delay(NamedTuple):
    """A change on its way: where its delay is observed, and since when (ms) it counts."""

    of: Histogram
    since_ms: int


class Metrics:
    """Everything that one process counts, in a registry of its own."""

    def __init__(
        self, now_ms: Callable[[], int], grace_ms: int, topics: Mapping[str, str], segments: Sequence[str] = ()
    ) -> None:
        """``topics``: the inputs by the names that they have in Kafka. ``segments``: told of from the start, as 0."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(GC_COLLECTOR)
        self.now_ms = now_ms
        self.grace_ms = grace_ms
        self.topics = topics
        self.last_change_ms: dict[str, int] = {}
        counters = {name: self._counter(name) for name, metric in COUNTED.items() if metric.kind == "counter"}
        histograms = {name: self._histogram(name) for name, metric in COUNTED.items() if metric.kind == "histogram"}
        self._events = counters["segmenter_events_total"]
        self._dead_letters = counters["segmenter_dead_letters_total"]
        self._changes = counters["segmenter_changes_total"]
        self._late = counters["segmenter_late_changes_total"]
        self._short = counters["segmenter_short_stays_total"]
        self._claims = counters["segmenter_claims_total"]
        self.rebalances = counters["segmenter_rebalances_total"]
        self._claim_seconds = histograms["segmenter_claim_seconds"]
        self._redis = histograms["segmenter_redis_seconds"]
        self._step_records = histograms["segmenter_step_records"]
        self._step_seconds = histograms["segmenter_step_seconds"]
        event, due = histograms["segmenter_event_change_seconds"], histograms["segmenter_due_late_seconds"]
        self._by_event = _Children(event)
        self._by_time = _Children(due)
        self._calls = _Children(self._redis)
        for segment in segments:
            for change in ("entered", "exited"):
                self._changes.labels(segment, change)

    def _counter(self, name: str) -> Counter:
        return Counter(name, COUNTED[name].about, COUNTED[name].labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        metric = COUNTED[name]
        buckets = _BUCKETS.get(name, _FAST_S)
        return Histogram(name, metric.about, metric.labels, registry=self.registry, buckets=buckets)

    def claimed(self, took_s: float) -> None:
        """An assignment is claimed."""
        self._claims.inc()
        self._claim_seconds.observe(took_s)

    def called(self, call: str, took_s: float) -> None:
        """A round trip to Redis."""
        self._calls[call].observe(took_s)

    def stepped(self, readings: Sequence[Reading], reasons: Sequence[str], took_s: float) -> None:
        """As of `streams.meter.Meter`."""
        self._step_records.observe(len(readings))
        self._step_seconds.observe(took_s)
        tally = Tally([(reading[4].topic, _outcome(reading[3])) for reading in readings])
        for (topic, outcome), count in tally.items():
            self._events.labels(self.topics.get(topic, topic), outcome).inc(count)
        for reason, count in Tally(reasons).items():
            self._dead_letters.labels(reason).inc(count)

    def decided(self, made: Sequence[Made]) -> list[Delay]:
        """Count these; what is to be observed once they are published."""
        delays = []
        tally: Tally[tuple[str, str]] = Tally()
        for one in made:
            for change in one.changes:
                tally[change.segment, change.kind] += 1
                if change.late:
                    self._late.labels(change.segment).inc()
                if 0 < change.stayed_ms < SHORT_STAY_MS:
                    self._short.labels(change.segment).inc()
                if change.event is None:
                    delays.append(Delay(self._by_time[change.segment], change.occurred_at + self.grace_ms))
                else:
                    delays.append(Delay(self._by_event[change.segment], one.appended_ms))
        for (segment, kind), count in tally.items():
            self._changes.labels(segment, kind).inc(count)
        now = self.now_ms()
        self.last_change_ms.update((segment, now) for segment, _ in tally)
        return delays

    def published(self, delays: Sequence[Delay]) -> None:
        """These changes are acknowledged."""
        now = self.now_ms()
        for of, since_ms in delays:
            of.observe(max(0, now - since_ms) / 1000)


class PartitionMeter:
    """A `streams.meter.Meter` that counts into the metrics of the process."""

    def __init__(self, metrics: Metrics) -> None:
        self.stepped = metrics.stepped
        self._metrics = metrics
        self._waiting: deque[Sequence[Delay]] = deque()

    def decided(self, made: Sequence[Made]) -> None:
        self._waiting.append(self._metrics.decided(made))

    def published(self, entries: int) -> None:
        for _ in range(entries):
            self._metrics.published(self._waiting.popleft())


class _Children(dict[str, Histogram]):
    """A histogram's children by its one label: looking them up by ``labels`` costs more than observing."""

    def __init__(self, parent: Histogram) -> None:
        super().__init__()
        self._parent = parent

    def __missing__(self, label: str) -> Histogram:
        child = self[label] = self._parent.labels(label)
        return child


def _outcome(what: object) -> str:
    if isinstance(what, str):
        return "dead_letter"
    return "without_effect" if getattr(what, "name", "") in WITHOUT_EFFECT else "applied"
