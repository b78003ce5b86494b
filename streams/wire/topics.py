"""The names of the topics, without the prefix that an installation may give them."""

from __future__ import annotations

from rules.events import INPUTS

CHANGES = "segment-changes"
MEMBERSHIPS = "segment-memberships"
DEAD_LETTERS = "dead-letters"
# What one id of a person sends to another: written by workers and read by workers.
MERGES = "merges"
OUTPUTS = (CHANGES, MEMBERSHIPS, DEAD_LETTERS)
# What a worker reads. Of records of one millisecond, those of the earlier topic are read first.
READ = (*INPUTS, MERGES)
WORKERS = (*READ, *OUTPUTS)

TRIGGER_DECISIONS = "trigger-decisions"
TRIGGER_DEAD_LETTERS = "trigger-dead-letters"
# Trigger dead letters which an operator sends again.
TRIGGER_REPLAYS = "trigger-replays"
# Topics of which triggers are the one writer, as workers are of `OUTPUTS`.
TRIGGER_OUTPUTS = (TRIGGER_DECISIONS, TRIGGER_DEAD_LETTERS)
TRIGGERS = (*TRIGGER_OUTPUTS, TRIGGER_REPLAYS)

ALL = (*WORKERS, *TRIGGERS)
# Topics which are published in batches of up to `streams.wire.records.batch_size_needed`.
WRITTEN = frozenset({MERGES, *OUTPUTS, *TRIGGERS})
