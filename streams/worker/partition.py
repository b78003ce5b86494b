"""Puts the parts of one claimed partition of the worker together."""

from __future__ import annotations

from streams.runtime.checkpoint import Checkpointer
from streams.runtime.meter import NULL_METER, Meter
from streams.state.contract import Claim, PartitionState, Store
from streams.state.definition_versions import DefinitionVersions
from streams.worker.backfill import Backfill
from streams.worker.customer_loader import CustomerLoader
from streams.worker.segmenter import PublishedDeadLetters, Segmenter, SegmenterConfig
from streams.worker.step_writer import StepWriter


class WorkerPartition:
    """A claimed partition: its stored state, and the parts that go on with it."""

    def __init__(
        self,
        store: Store,
        claim: Claim,
        state: PartitionState,
        versions: DefinitionVersions,
        config: SegmenterConfig,
        meter: Meter = NULL_METER,
    ) -> None:
        self.claim = claim
        self.state = state
        self.published_dead_letters: PublishedDeadLetters = set()
        self.checkpointer = Checkpointer(store, claim.partition, claim.fencing_token, state)
        self.loader = CustomerLoader(
            self.checkpointer, versions, config.belong, skips_unknown_profiles=config.skips_unknown_profiles
        )
        writer = StepWriter(self.checkpointer, self.loader, config.now_ms, config.languages, meter)
        self.segmenter = Segmenter(self.checkpointer, self.loader, writer, config, meter, self.published_dead_letters)
        self.backfill = Backfill(self.checkpointer, self.loader, writer, config.now_ms)
