"""Generates the reference of all metrics from their lists.

See also `doc_tools.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.gateway import metrics as gateway
from streams.ops import metrics as ops_metrics
from streams.runtime import metric_list as workers
from streams.runtime.metric_list import Metric

_HEAD = """<!-- Drawn from the code: python -m doc_tools.schemas -->

# Metrics

For Prometheus, at `/metrics`: the whole list, beside what prometheus-client tells of every Python process
(`process_…`, `python_gc_…`). No label holds a customer; each has a bounded set of values. There are no cache hits among
them, as no customer is cached: each step loads its own from Redis.

"""


def metrics() -> str:
    """``docs/operations/metrics.md``."""
    return _HEAD + "\n".join(
        [
            *_table("Of a worker, and of a process of triggers", {**workers.COUNTED, **workers.SCRAPED}),
            *_table("Of `segmenter gateway`", {**gateway.COUNTERS, **gateway.HISTOGRAMS, **gateway.GAUGES}),
            *_table("Of `segmenter ops`, also while no worker lives", {**ops_metrics.GAUGES, **ops_metrics.COUNTERS}),
        ]
    )


def _table(title: str, metrics: Mapping[str, Metric]) -> list[str]:
    rows = [
        f"| `{name}` | {metric.kind} | {', '.join(metric.labels) or '–'} | {metric.about} |"
        for name, metric in metrics.items()
    ]
    return [f"## {title}", "", "| metric | kind | labels | says |", "|---|---|---|---|", *rows, ""]
