"""The metrics of the gateway.

The one rule: every metric is in a table with its labels, and so in the reference; a label never holds a customer.

See also: `streams.runtime.metrics`, the metrics of the processes that own partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.runtime.metric_list import HTTP_REFUSALS, REFUSALS, Metric

OUTCOMES = ("written", "refused", "bot", "limited", "unavailable")
# From 1 ms, which no answer from Kafka is faster than, to the time after which a request is answered 503.
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

COUNTERS: Mapping[str, Metric] = {
    "segmenter_gateway_events_total": Metric(
        "counter", ("key", "outcome"), f"events of requests with a key, by what became of them: {', '.join(OUTCOMES)}"
    ),
    "segmenter_gateway_refused_total": Metric(
        "counter", ("key", "reason"), "events that were refused, by the reason that their sender was given"
    ),
    "segmenter_gateway_wrong_keys_total": Metric("counter", (), "requests without a key, or with one that is none"),
    "segmenter_http_refusals_total": Metric("counter", ("reason",), HTTP_REFUSALS),
}
HISTOGRAMS: Mapping[str, Metric] = {
    "segmenter_gateway_answer_seconds": Metric(
        "histogram", ("request",), "time from a request with a key to its answer, by kind of request"
    ),
}
GAUGES: Mapping[str, Metric] = {
    "segmenter_gateway_ready": Metric("gauge", (), "1 while Kafka acknowledges events"),
}
KINDS = ("message", "batch", "read")


class GatewayMetrics:
    """The counters, in a registry of their own."""

    def __init__(self, keys: Iterable[str]) -> None:
        """``keys``: the names of the write keys."""
        self.registry = CollectorRegistry()
        counters = {
            name: Counter(name, metric.about, metric.labels, registry=self.registry)
            for name, metric in COUNTERS.items()
        }
        events = counters["segmenter_gateway_events_total"]
        self.reasons = counters["segmenter_gateway_refused_total"]
        self.wrong_keys = counters["segmenter_gateway_wrong_keys_total"]
        self._refusals = counters["segmenter_http_refusals_total"]
        (name, metric), *_ = HISTOGRAMS.items()
        answers = Histogram(name, metric.about, metric.labels, buckets=_BUCKETS_S, registry=self.registry)
        (name, metric), *_ = GAUGES.items()
        self.ready = Gauge(name, metric.about, registry=self.registry)
        # Counters exist from the start, at 0: an alert on an increase needs a value before the first one.
        self.events = {(key, outcome): events.labels(key, outcome) for key in keys for outcome in OUTCOMES}
        for reason in REFUSALS:
            self._refusals.labels(reason)
        self.answers = {kind: answers.labels(kind) for kind in KINDS}

    def refused(self, reason: str) -> None:
        """Count a refused connection or request; ``reason``: one of `streams.runtime.metric_list.REFUSALS`."""
        self._refusals.labels(reason).inc()
