"""Definition versions: which definition files decided a partition's customers, one file after the other.

    version 0   the partition is claimed under today's file: version 0 decides every customer
    deploy      the file changes: version 1 is in force from the partition's clock on
    backfill    a customer is migrated when it is loaded, the others one by one between steps
    settled     no customer is of version 0 any more; its document stays for profiles that other partitions send

The one rule: a stored customer is read under the file that decided it. The file's number is stored with the customer.
The list of the files is a field of the partition, and their documents, compressed, are under a key beside it, so that a
reader that needs only the number or the clock reads neither. Both are written in the step that changes them.

While a backfill runs, every file stays. Once it is done, former files are needed only for profiles that other
partitions sent under them, so only the newest of them stay: `VERSIONS_MAX` files, of `FORMER_MAX_BYTES` in all.

Each file is in force from an instant on: the partition's clock when it was first claimed under the file, or rebuilt. So
the result of a change of files does not depend on when a customer is migrated: due times up to that instant fire under
the former file, and everything after it is decided by the new one.

A rebuild is a change of files, too, mostly to the same file: every customer is computed again from all events.

See also `streams.state.definition_list` for the list as it is stored, `streams.state.definition_documents` for the
documents, `rules.definition_migration` for what a migration changes in a customer, and `streams.worker.backfill` for
the steps that migrate all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache, partial
from typing import Self

import msgspec

from rules import definition_migration, published_ahead
from rules.changes import Change
from rules.customer import Customer
from rules.definition_migration import DefinitionMigration
from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from rules.identity.events import ProfileMerge
from streams.errors import ClaimRefused
from streams.state.contract import EncodedVersions, PartitionState
from streams.state.definition_documents import compress, engine_of
from streams.state.definition_list import DefinitionVersion, all_are_newest, decode
from streams.stop import REBUILD, Stop
from streams.wire import customer_codec

# Limits of a settled partition: the files that it lists, and the bytes of former documents.
VERSIONS_MAX = 50
FORMER_MAX_BYTES = 1 << 20


class DefinitionVersions:
    """The definition files of a partition, the newest last."""

    def __init__(
        self,
        versions: list[DefinitionVersion],
        engine: Engine,
        documents: Mapping[int, bytes] | None = None,
        stored: Collection[int] = (),
        coming: Engine | None = None,
    ) -> None:
        """``engine``: that of the newest; ``coming``: of a file that other partitions may have already.

        ``documents``: compressed, by number; ``stored``: numbers of those that the store holds for certain.
        """
        self.versions = versions
        self.engine = engine
        self._coming = coming
        self._documents = dict(documents or {})
        self._stored = stored
        if self.number not in self._documents:
            self._documents[self.number] = compress(engine.definitions.document)
        if self.is_settled:
            self._drop_former()

    @classmethod
    def initial(cls, engine: Engine, since: int = 0, rebuilt: int = 0) -> Self:
        """The versions of a partition without a stored file: the engine's alone, in force from ``since`` (ms)."""
        return cls([_version(0, engine.definitions, since, rebuilt=rebuilt)], engine)

    @classmethod
    def loaded(cls, state: PartitionState, engine: Engine) -> Self:
        """The stored versions of a claimed partition. Raises `ClaimRefused`."""
        if not state.definition_versions:
            return cls.initial(engine, state.clock)
        return cls.decoded(state.definition_versions, state.documents, engine)

    @classmethod
    def read(cls, meta: Mapping[str, str], documents: Mapping[int, bytes], engine: Engine) -> Self:
        """The versions that a partition's fields in the store hold, for a reader which changes nothing.

        Raises `ClaimRefused`.
        """
        encoded = meta.get("epochs")
        return cls.initial(engine) if encoded is None else cls.decoded(encoded, documents, engine)

    @classmethod
    def decoded(cls, encoded: str | bytes, stored: Mapping[int, bytes], engine: Engine) -> Self:
        """Decode a stored list; ``stored``: its documents. Raises `ClaimRefused`."""
        versions = decode(encoded)
        in_list = {version.number: compress(version.document) for version in versions if version.document}
        documents = {**in_list, **stored}
        versions = [msgspec.structs.replace(version, document={}) for version in versions]
        if versions[-1].fingerprint == engine.definitions.fingerprint:
            return cls(versions, engine, documents, stored)
        newest = _engine_of_stored(versions[-1], documents)
        return cls(versions, newest, documents, stored, coming=engine)

    @property
    def number(self) -> int:
        """The number of the newest."""
        return self.versions[-1].number

    @property
    def rebuilt(self) -> int:
        """When (ms) the newest file was rebuilt; see `DefinitionVersion`."""
        return self.versions[-1].rebuilt

    @property
    def is_settled(self) -> bool:
        """Whether the newest file has decided every customer."""
        return all_are_newest(self.versions)

    def settle(self, rebuilt: int | None = None) -> None:
        """Mark the backfill done. With ``rebuilt`` (ms): a full rebuild did it, so no segment lacks history."""
        self.versions[-1] = msgspec.structs.replace(self.versions[-1], is_swept=True, rebuilt=rebuilt or 0)
        if rebuilt is not None:
            self.versions = [msgspec.structs.replace(version, short={}) for version in self.versions]
        self._drop_former()

    def _drop_former(self) -> None:
        """Drop the oldest files, by which no stored customer was decided, where there are too many of them."""
        first, room = len(self.versions) - 1, FORMER_MAX_BYTES
        while first and len(self.versions) - first < VERSIONS_MAX:
            document = self._documents.get(self.versions[first - 1].number)
            if document is None or len(document) > room:
                break
            first, room = first - 1, room - len(document)
        self.versions = self.versions[first:]
        self._documents = {version.number: self._documents[version.number] for version in self.versions}

    def for_engine(self, engine: Engine, since: int) -> DefinitionVersions:
        """Return these versions, or a list with `engine`'s file added, in force from ``since`` (ms)."""
        return self if self.engine is engine else self.with_next(engine, since)

    def with_next(self, engine: Engine, since: int) -> DefinitionVersions:
        """Return a list of these versions plus a new one, the engine's, in force from ``since`` (ms)."""
        newest = _version(self.number + 1, engine.definitions, since, self.engine.definitions)
        shorts = [version.short for version in (*self.versions, newest)]
        newest = msgspec.structs.replace(newest, short=definition_migration.together(shorts, engine.definitions, since))
        former = [msgspec.structs.replace(version, short={}) for version in self.versions]
        return DefinitionVersions([*former, newest], engine, self._documents, self._stored)

    def engine_of(self, customer: Customer) -> Engine:
        """The engine by which a stored customer is read. Raises `Stop`."""
        return self._engine(self._index(customer))

    def migrate(
        self,
        customer_id: str,
        customer: Customer,
        rebuilt: Customer | None = None,
        published: Collection[str] | None = None,
    ) -> list[Change]:
        """Migrate a customer to the newest file, in place. Returns the changes, in order. Raises `Stop`.

        ``rebuilt``: the customer as all events make it under the newest file, up to the positions at its beginning.
        ``published``: the segments of its newest change on the topic, where the store had lost that change.
        """
        changes: list[Change] = []
        index, last = self._index(customer), len(self.versions) - 1
        if rebuilt is not None:
            changes += self._fire_former(index, customer_id, customer, self.versions[min(index + 1, last)].since)
            migration = _cached_migration(self._engine(index), self.engine)
            changes += migration.rebuild(customer_id, customer, rebuilt, self.versions[last].since, published)
        else:
            for former in range(index, last):
                since = self.versions[former + 1].since
                changes += self._fire_former(former, customer_id, customer, since)
                changes += self._migration_from(former).migrate(customer_id, customer, since)
        customer.definition_version = self.number
        return changes

    def _fire_former(self, index: int, customer_id: str, customer: Customer, since: int) -> list[Change]:
        """Fire due times up to ``since`` (ms), under the former file: until then it is in force."""
        if not 0 < customer.due <= since:
            return []
        former = self._engine(index)
        fire = former.fire if customer.published_ahead is None else partial(published_ahead.fire, former)
        return fire(customer_id, customer, since)

    def translated(self, merge: ProfileMerge) -> ProfileMerge | None:
        """Migrate a sent profile to the newest file; ``None``: it is of none of these files."""
        newest = self.engine.definitions.fingerprint
        if merge.definitions == newest:
            return merge
        profile = self.translated_profile(merge.profile, merge.definitions)
        return None if profile is None else msgspec.structs.replace(merge, profile=profile, definitions=newest)

    def translated_profile(self, encoded: bytes, definitions: str) -> bytes | None:
        """Migrate another partition's profile from one of these files to the newest; ``None``: from none of them."""
        indices = [index for index, version in enumerate(self.versions) if version.fingerprint == definitions]
        profile = customer_codec.profile(encoded)
        if not indices:
            coming = self._coming
            if coming is None or coming.definitions.fingerprint != definitions:
                return None
            return msgspec.msgpack.encode(_cached_migration(coming, self.engine).carried(profile))
        for index in range(indices[-1], len(self.versions) - 1):
            profile = self._migration_from(index).carried(profile)
        return msgspec.msgpack.encode(profile)

    def _index(self, customer: Customer) -> int:
        """The place in the list of the version which decided a customer last."""
        index = customer.definition_version - self.versions[0].number
        if customer.is_gone:
            return len(self.versions) - 1  # nothing is stored of the customer, so any file can read it
        if not 0 <= index < len(self.versions):
            raise Stop(
                "Redis does not hold the definitions that decided some customers "
                f"(number {customer.definition_version}); "
                f"bring its data back, or {REBUILD}"
            )
        return index

    def _engine(self, index: int) -> Engine:
        if index == len(self.versions) - 1:
            return self.engine
        return _engine_of_stored(self.versions[index], self._documents)

    def _migration_from(self, index: int) -> DefinitionMigration:
        return _cached_migration(self._engine(index), self._engine(index + 1))

    def encoded(self) -> bytes:
        """The list as it is stored with the partition, without documents."""
        return msgspec.json.encode(self.versions)

    @property
    def documents(self) -> Mapping[int, bytes]:
        """The compressed documents, by number."""
        return self._documents

    def listing(self) -> EncodedVersions:
        """The list, for a save that stores no document."""
        return EncodedVersions(self.number, self.encoded(), list(self._documents))

    def files(self) -> EncodedVersions:
        """The list, with the documents that the store may lack."""
        missing = {number: document for number, document in self._documents.items() if number not in self._stored}
        return msgspec.structs.replace(self.listing(), documents=missing)


def _engine_of_stored(version: DefinitionVersion, documents: Mapping[int, bytes]) -> Engine:
    if version.number not in documents:
        raise ClaimRefused(
            f"Redis does not hold the document of former definitions (number {version.number}); {REBUILD}"
        )
    return engine_of(documents[version.number], version.fingerprint)


@lru_cache(maxsize=8)
def _cached_migration(former: Engine, newer: Engine) -> DefinitionMigration:
    return DefinitionMigration(former.definitions, newer)


def _version(
    number: int, definitions: Definitions, since: int, former: Definitions | None = None, rebuilt: int = 0
) -> DefinitionVersion:
    short: dict[str, int | None] = {}
    if former is not None:
        for gap in definition_migration.history_gaps(former, definitions):
            short[gap.segment] = None if gap.for_ms is None else since + gap.for_ms
    return DefinitionVersion(number, definitions.fingerprint, since, short, rebuilt=rebuilt)
