"""Loads the customers of a step, each under the newest of the partition's definition files.

A customer that a former file decided last is migrated when it is loaded, and a rebuilt customer replaces
the stored one then. The changes of that are saved in the step for which the customer was loaded, before its others.

See also `streams.worker.customer_migration` for what a migration does to one customer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rules.customer import Customer
from rules.identity.events import ProfileMerge
from rules.published_ahead import PublishedChange
from streams.errors import Fenced
from streams.runtime.checkpoint import Checkpointer
from streams.runtime.meter import DecidedChanges
from streams.state.contract import Claim
from streams.state.definition_versions import DefinitionVersions
from streams.stop import Stop
from streams.wire import customer_codec
from streams.wire.memberships import row_of
from streams.wire.records import OutRecord
from streams.worker.customer_migration import RowAction, migrate_customer
from streams.worker.rebuild_handover import RebuildResult

# The due time of a customer which the store does not hold. No real due time is 1 ms, so that the save sets it again.
_UNKNOWN_DUE = 1
# The due time of a customer which belongs to another partition.
_MISPLACED = -1

# Customers by id, each with the due time (ms) that it was loaded with; negative: it belongs to another partition.
Loaded = dict[str, tuple[Customer, int]]


class CustomerLoader:
    """Loads customers of one partition.

    ``versions``: the definition files that decided the partition. ``belong``: whether each of these customers belongs
    to it. ``skips_unknown_profiles``: whether a profile of unknown definitions is skipped.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        versions: DefinitionVersions,
        belong: Callable[[Sequence[str]], Sequence[bool]],
        *,
        skips_unknown_profiles: bool = False,
    ) -> None:
        self._checkpointer = checkpointer
        self._store = checkpointer.store
        self._partition = checkpointer.partition
        self._belong = belong
        self._skips_unknown_profiles = skips_unknown_profiles
        # Rebuilt customers that are not migrated yet, encoded; ``None``: there was no rebuild.
        self.rebuilt: dict[str, bytes] | None = None
        # The newest published change of those rebuilt customers whose change the store has lost.
        self._published: Mapping[str, PublishedChange] = {}
        self._migration_changes: list[DecidedChanges] = []
        self._rows: dict[str, OutRecord] = {}
        self._use(versions)

    def _use(self, versions: DefinitionVersions) -> None:
        self.versions = versions
        self.engine = versions.engine
        self._checkpointer.definition_version = versions.number

    async def use_rebuilt(self, versions: DefinitionVersions, result: RebuildResult, claim: Claim) -> None:
        """Go on under ``versions``, which may be the same; rebuilt customers replace the stored ones.

        ``result``: up to where the partition is now; it is emptied as customers are migrated. Raises `Fenced`, also
        where the store lost its last saves: what those customers were rebuilt from is no longer what the store has.
        """
        if not await self._store.begin(claim, {}, versions.files(), self._checkpointer.save_number):
            raise Fenced
        self._use(versions)
        self.rebuilt, self._published = result.customers, result.published

    async def load(self, ids: Iterable[str]) -> Loaded:
        """Load these customers under the newest definitions, each with the due time that it had."""
        wanted = list(ids)
        stored = await self._store.load(self._partition, wanted)
        loaded: Loaded = {}
        not_stored: list[str] = []
        newest = self.versions.number
        for customer_id, value in zip(wanted, stored, strict=True):
            if value is not None:
                customer = customer_codec.decode(value)
                if customer.definition_version == newest:
                    loaded[customer_id] = (customer, customer.due)
                else:
                    loaded[customer_id] = self.migrate(customer_id, customer)
            elif self.rebuilt and customer_id in self.rebuilt:
                # Numbered as of a former version, so that it is migrated; a rebuild has always added a version.
                loaded[customer_id] = self.migrate(customer_id, self._new(newest - 1))[0], _UNKNOWN_DUE
            else:
                loaded[customer_id] = (self._new(newest), _UNKNOWN_DUE)
                not_stored.append(customer_id)
        self._mark_misplaced(not_stored, loaded)
        return loaded

    def _mark_misplaced(self, not_stored: Sequence[str], loaded: Loaded) -> None:
        """Mark those of the customers that the store does not hold which belong to another partition."""
        for customer_id, belongs in zip(not_stored, self._belong(not_stored), strict=True):
            if not belongs:
                loaded[customer_id] = (loaded[customer_id][0], _MISPLACED)

    async def load_as_stored(self, ids: Sequence[str]) -> Loaded:
        """Load these customers under the definitions that decided them last."""
        stored = await self._store.load(self._partition, ids)
        loaded: Loaded = {}
        for customer_id, value in zip(ids, stored, strict=True):
            customer = self._new(self.versions.number) if value is None else customer_codec.decode(value)
            loaded[customer_id] = (customer, customer.due if value is not None else _UNKNOWN_DUE)
        not_stored = [customer_id for customer_id, value in zip(ids, stored, strict=True) if not value]
        self._mark_misplaced(not_stored, loaded)
        return loaded

    def _new(self, version: int) -> Customer:
        customer = self.engine.new()
        customer.definition_version = version
        return customer

    def migrate(self, customer_id: str, customer: Customer) -> tuple[Customer, int]:
        """Bring a stored customer under the newest definitions; returns it with the due time that it had."""
        due = customer.due
        rebuilt = self.rebuilt.pop(customer_id, None) if self.rebuilt else None
        published = self._published.get(customer_id)
        migration = migrate_customer(self.versions, customer_id, customer, rebuilt, published, self._checkpointer.clock)
        if migration.changes:
            self._migration_changes.append(DecidedChanges(migration.changes, 0))
        if migration.row is not RowAction.LEAVE:
            self._rows[customer_id] = row_of(customer_id, migration.repeated, customer.sequence)
        return customer, due

    def take_migration_changes(self) -> list[DecidedChanges]:
        """The changes that migrations have made since the last call. Cleared by each call."""
        changes, self._migration_changes = self._migration_changes, []
        return changes

    def take_rows(self) -> list[OutRecord]:
        """Rows to publish of customers whose migration changed nothing. Cleared by each call."""
        rows, self._rows = self._rows, {}
        return list(rows.values())

    def translate(self, merge: ProfileMerge) -> ProfileMerge | None:
        """Migrate a profile from other definitions to the newest; ``None``: it is skipped. Raises `Stop`."""
        translated = self.versions.translated(merge)
        if translated is None and not self._skips_unknown_profiles:
            fingerprint = self.engine.definitions.fingerprint
            raise Stop(
                f"another partition sent a profile made under definitions {merge.definitions}, which this worker "
                f"(definitions {fingerprint}) cannot read; start all workers with the segments file of "
                f"{merge.definitions}; once they have caught up, change the file again"
            )
        return translated
