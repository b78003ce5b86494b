"""The list of a process's metrics: names, labels and descriptions.

The one rule: the worker and triggers serve no metric that is not listed here, and the page of docs is drawn from this
list. See also `streams.ops.metrics` for those of the operations page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric of the list: its kind, its labels, and its description."""

    kind: str
    labels: tuple[str, ...]
    about: str


# Reasons for which a process refuses a connection or request to its own port, with a description of each.
REFUSALS = ("connections", "host", "idle", "no_token", "tls", "too_many_requests", "wrong_token")
HTTP_REFUSALS = (
    "connections and requests refused at the process's own port: connections beyond the limit, idle ones that brought "
    "no request, tls handshakes that failed, no_token, wrong_token, too_many_requests of one address, another host's "
    "name"
)

COUNTED: Mapping[str, Metric] = {
    "segmenter_events_total": Metric(
        "counter", ("topic", "outcome"), "records read and saved: applied, without_effect or dead_letter"
    ),
    "segmenter_dead_letters_total": Metric(
        "counter", ("reason", "field"), "dead letters, as their headers say why, and which field is wrong"
    ),
    "segmenter_unread_values_total": Metric(
        "counter", ("event", "field"), "values of shop events which cannot be read, and so count as unknown"
    ),
    "segmenter_misspelled_events_total": Metric(
        "counter", ("event",), "events of another name that is nearly this reserved one; they count as a shop's own"
    ),
    "segmenter_link_refusals_total": Metric(
        "counter", ("reason",), "events whose link of two ids was refused: identified, too_many, unlinked or too_late"
    ),
    "segmenter_changes_total": Metric("counter", ("segment", "change"), "segment changes, entered or exited"),
    "segmenter_late_changes_total": Metric(
        "counter", ("segment",), "changes that correct published ones, after a late event or after Redis lost them"
    ),
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
    "segmenter_partitions": Metric("gauge", (), "partitions owned"),
    "segmenter_lag_records": Metric("gauge", ("topic", "partition"), "records that are readable and not yet saved"),
    "segmenter_in_hand_records": Metric("gauge", ("topic", "partition"), "records fetched and not yet decided"),
    "segmenter_clock_timestamp_seconds": Metric("gauge", ("partition",), "up to when the partition's time is decided"),
    "segmenter_behind_seconds": Metric(
        "gauge", ("partition",), "how far the partition's time is behind the wall clock, beyond the grace"
    ),
    "segmenter_outbox_entries": Metric("gauge", ("partition",), "saves whose records Kafka has not acknowledged"),
    "segmenter_outbox_bytes": Metric(
        "gauge", ("partition",), "bytes of saved records which Kafka has not acknowledged"
    ),
    "segmenter_watchdog_near_ratio": Metric(
        "gauge", ("watchdog",), "how near each watchdog is to stopping the process, which it does at 1"
    ),
    "segmenter_ready": Metric("gauge", (), "1 while /ready answers 200"),
    "segmenter_trigger_decisions_total": Metric("counter", ("trigger", "decision"), "decisions of triggers, by kind"),
    "segmenter_trigger_given_back_total": Metric(
        "counter", ("trigger",), "attempts that the look-up right before sending stopped"
    ),
    "segmenter_trigger_waits_total": Metric("counter", ("reason",), "times that a due message had to wait, by reason"),
    "segmenter_endpoint_broken": Metric("gauge", ("channel",), "1 while a channel's breaker is open: attempts fail"),
    "segmenter_endpoint_gone": Metric("gauge", ("channel",), "1 once a channel answered 410, until the next start"),
}
NAMES = frozenset({*COUNTED, *SCRAPED})
