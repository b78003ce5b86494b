"""The metrics of the operations process: those that must be there even when no worker runs.

The one rule: every metric is in a table with its labels, and so in the reference; a label never holds a customer.

See also: `streams.runtime.metrics`, the metrics of the processes that own partitions.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.runtime.metric_list import HTTP_REFUSALS, REFUSALS, Metric

GAUGES: Mapping[str, Metric] = {
    "segmenter_partition_behind_seconds": Metric(
        "gauge", ("partition",), "how far the clock that Redis holds is behind the wall clock"
    ),
    "segmenter_segment_members": Metric("gauge", ("segment",), "customers in the segment, when last counted"),
    "segmenter_redis_used_bytes": Metric("gauge", (), "memory that Redis uses"),
    "segmenter_redis_max_bytes": Metric("gauge", (), "memory that Redis may use; 0: no limit"),
}
COUNTERS: Mapping[str, Metric] = {
    "segmenter_http_refusals_total": Metric("counter", ("reason",), HTTP_REFUSALS),
}
NAMES = frozenset({*GAUGES, *COUNTERS})


class OpsMetrics:
    """The gauges and counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        gauges = {
            name: Gauge(name, metric.about, metric.labels, registry=self.registry) for name, metric in GAUGES.items()
        }
        self.behind = gauges["segmenter_partition_behind_seconds"]
        self.members = gauges["segmenter_segment_members"]
        self.redis_used = gauges["segmenter_redis_used_bytes"]
        self.redis_max = gauges["segmenter_redis_max_bytes"]
        (name, refusals), *_ = COUNTERS.items()
        self._refusals = Counter(name, refusals.about, refusals.labels, registry=self.registry)
        for reason in REFUSALS:
            self._refusals.labels(reason)

    def refused(self, reason: str) -> None:
        """Count a refused connection or request; ``reason``: one of `streams.runtime.metrics.REFUSALS`."""
        self._refusals.labels(reason).inc()
