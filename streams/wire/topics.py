"""The names of the topics, without the prefix that an installation may give them."""

from __future__ import annotations

from rules.event_names import INPUTS

# The input on which triggers may publish what they sent.
VISITS = "visits"
CHANGES = "segment-changes"
MEMBERSHIPS = "segment-memberships"
DEAD_LETTERS = "dead-letters"
# Messages from one id of a person to another, written and read by workers (`streams.wire.identity_records`).
MERGES = "merges"
OUTPUTS = (CHANGES, MEMBERSHIPS, DEAD_LETTERS)
# Topics that a worker reads. Of records with the same time, those of the topic that is named first are read first.
READ = (*INPUTS, MERGES)
WORKERS = (*READ, *OUTPUTS)

TRIGGER_DECISIONS = "trigger-decisions"
TRIGGER_DEAD_LETTERS = "trigger-dead-letters"
# Trigger dead letters which an operator sends again.
TRIGGER_REPLAYS = "trigger-replays"
# Topics that triggers alone write, as workers alone write `OUTPUTS`.
TRIGGER_OUTPUTS = (TRIGGER_DECISIONS, TRIGGER_DEAD_LETTERS)
TRIGGERS = (*TRIGGER_OUTPUTS, TRIGGER_REPLAYS)

ALL = (*WORKERS, *TRIGGERS)
# Topics that are published in batches, of up to `streams.wire.records.batch_size_needed` bytes.
WRITTEN = frozenset({MERGES, *OUTPUTS, *TRIGGERS})
