"""The backfill: all customers of a partition are brought under its newest definitions, some in each step.

The one rule: a backfill is done when a whole pass has found no customer of former definitions. A pass in which Redis
was restarted may miss customers, so a pass that has migrated one is followed by another.

See also `streams.runtime.backfill_pacer` (when a step may be taken), `streams.worker.customer_loader` (migrates the
customers that events need in the meantime), and `rules.definition_migration` (what a migration changes).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import islice

from streams.runtime.checkpoint import Checkpointer
from streams.state.definition_versions import DefinitionVersions
from streams.wire import customer_codec
from streams.wire.records import OutRecord
from streams.worker.customer_loader import CustomerLoader, Loaded
from streams.worker.step_writer import StepWriter

log = logging.getLogger(__name__)

_LOGGED_EVERY_S = 5.0


class Backfill:
    """The backfill of one partition under one claim; a `streams.runtime.backfill_pacer.BackfillScan`."""

    def __init__(
        self, checkpointer: Checkpointer, loader: CustomerLoader, writer: StepWriter, now_ms: Callable[[], int]
    ) -> None:
        self._checkpointer = checkpointer
        self._store = checkpointer.store
        self._partition = checkpointer.partition
        self._loader = loader
        self._writer = writer
        self._now_ms = now_ms
        self._cursor = 0
        self._pass_is_clean = True
        self._has_scanned_all = False
        self._versions: DefinitionVersions | None = None
        self._migrated = 0
        self._last_logged_at = time.monotonic()

    @property
    def is_done(self) -> bool:
        """Whether no customer is left to migrate."""
        return self._loader.versions.is_settled

    async def step(self, limit: int) -> list[OutRecord]:
        """Migrate about ``limit`` customers, and save. Returns the records to publish.

        After the first pass over the store come the customers which only a rebuild knows.
        """
        if self._versions is not self._loader.versions:
            self._versions, self._migrated = self._loader.versions, 0
        loaded = await self._next(limit)
        changes = self._loader.take_migration_changes()
        out = await self._writer.write(loaded, changes) if loaded else []
        self._migrated += len(loaded)
        self._pass_is_clean = self._pass_is_clean and not loaded
        if not self._cursor:
            await self._end_pass()
        await self._log_progress()
        return out

    async def _next(self, limit: int) -> Loaded:
        if self._loader.rebuilt and self._has_scanned_all:
            return await self._loader.load(list(islice(self._loader.rebuilt, limit)))
        self._cursor, scanned = await self._store.scan(self._partition, self._cursor, limit)
        loaded: Loaded = {}
        for customer_id, value in scanned:
            customer = customer_codec.decode(value)
            if customer.definition_version != self._loader.versions.number:
                loaded[customer_id] = self._loader.migrate(customer_id, customer)
        self._has_scanned_all = not self._cursor
        return loaded

    async def _end_pass(self) -> None:
        rebuilt = self._loader.rebuilt
        if self._pass_is_clean and not rebuilt:
            versions = self._loader.versions
            versions.settle(None if rebuilt is None else self._now_ms())
            await self._checkpointer.save((), (), files=versions.listing())
        self._pass_is_clean = True

    async def _log_progress(self) -> None:
        now = time.monotonic()
        if self.is_done or now - self._last_logged_at > _LOGGED_EVERY_S:
            self._last_logged_at = now
            total = await self._store.count(self._partition)
            progress = {"partition": self._partition, "count": self._migrated, "of": max(total, self._migrated)}
            cause = "definitions changed" if self._loader.rebuilt is None else "all events read again"
            log.info(
                "%s: %s re-evaluated under the new definitions",
                cause,
                "all customers" if self.is_done else "customers",
                extra=progress,
            )
