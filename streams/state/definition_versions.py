"""Definition versions: which definition files decided a partition's customers, one file after the other.

    version 0   today's file; the partition is claimed, every customer is decided by version 0
    deploy      the file changes: version 1 is in force from the partition's clock on
    backfill    a customer is migrated when it is loaded, the others one by one between steps
    done        no customer is of version 0 any more; its document stays for profiles that other partitions send

The one rule: a stored customer is read under the file that decided it. Its number is kept with the customer. The list
of the files is a field of the partition, and their documents, compressed, are under a key beside it, so that whoever
needs only the number or the clock reads neither. Both are written in the step that changes them.

While customers are brought over, every file stays. Once all are, former files serve profiles that other partitions
sent under them, so of these only the newest stay: `KEPT_MAX` files, of `FORMER_MAX_BYTES` in all.

Each file acts from an instant on: the partition's clock when it was first claimed under it, or rebuilt. So what a
change of files does to a customer does not depend on when the customer's turn comes: due times up to that instant are
still the former file's, and everything after it is the new one's.

A rebuild is a change of files too, mostly to the same file: everybody is brought over to what all events say of them.

Long because it is all that is known of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache, partial

import msgspec

from rules import definition_migration, published_ahead
from rules.definition_migration import DefinitionMigration, migrate
from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from rules.identity.events import ProfileMerge
from rules.standing import Change, Customer
from streams.errors import ClaimRefused
from streams.state.contract import Files, PartitionState
from streams.state.definition_documents import compress, engine_of
from streams.stop import REBUILD, Stop
from streams.wire import customers

# Of a partition all of whose customers are brought over: how many files it lists, and bytes of former documents.
KEPT_MAX = 50
FORMER_MAX_BYTES = 1 << 20


class DefinitionVersion(msgspec.Struct, frozen=True):
    """One file: its number, and from when on (ms) it decides.

    ``short``: segments of which not all was kept, and until when (ms) that makes a difference; ``None``: for good.
    ``is_swept``: nobody was found any more whom a former file decided last. ``rebuilt`` (ms): by when, by the wall
    clock, everybody was as all events make them, or from when on all were read into an empty store; 0: neither.
    ``document``: empty, but in a list of a former version, which had no key for documents and requires the field.
    """

    number: int
    fingerprint: str
    since: int
    short: dict[str, int | None] = {}
    is_swept: bool = False
    rebuilt: int = 0
    document: dict[str, object] = {}


_decoder = msgspec.json.Decoder(list[DefinitionVersion])


class DefinitionVersions:
    """The files of a partition, the newest last."""

    def __init__(
        self,
        known: list[DefinitionVersion],
        engine: Engine,
        documents: Mapping[int, bytes] | None = None,
        stored: Collection[int] = (),
        coming: Engine | None = None,
    ) -> None:
        """``engine``: of the newest; ``coming``: of the file that other partitions may have already.

        ``documents``: compressed, by number; ``stored``: numbers of those that the store holds for certain.
        """
        self.known = known
        self._newest = engine
        self._coming = coming
        self._documents = dict(documents or {})
        self._stored = stored
        if self.number not in self._documents:
            self._documents[self.number] = compress(engine.definitions.document)
        if self.is_settled:
            self._drop_former()

    @property
    def number(self) -> int:
        """Of the newest."""
        return self.known[-1].number

    @property
    def engine(self) -> Engine:
        """Of the newest."""
        return self._newest

    @property
    def rebuilt(self) -> int:
        """As of the newest `DefinitionVersion`."""
        return self.known[-1].rebuilt

    @property
    def is_settled(self) -> bool:
        """Whether nobody is to be looked for whom a former file decided last."""
        return _is_settled(self.known)

    def settle(self, rebuilt: int | None = None) -> None:
        """Nobody is. ``rebuilt``: as of `DefinitionVersion`; then nothing is short of anything."""
        self.known[-1] = msgspec.structs.replace(self.known[-1], is_swept=True, rebuilt=rebuilt or 0)
        if rebuilt is not None:
            self.known = [msgspec.structs.replace(one, short={}) for one in self.known]
        self._drop_former()

    def _drop_former(self) -> None:
        """Drop the oldest files, by which no stored customer was decided, where there are too many of them."""
        first, room = len(self.known) - 1, FORMER_MAX_BYTES
        while first and len(self.known) - first < KEPT_MAX:
            document = self._documents.get(self.known[first - 1].number)
            if document is None or len(document) > room:
                break
            first, room = first - 1, room - len(document)
        self.known = self.known[first:]
        self._documents = {one.number: self._documents[one.number] for one in self.known}

    def followed_by(self, engine: Engine, since: int) -> DefinitionVersions:
        """And by the file of this engine from ``since`` on."""
        newest = _epoch(self.number + 1, engine.definitions, since, self._newest.definitions)
        shorts = [one.short for one in (*self.known, newest)]
        newest = msgspec.structs.replace(newest, short=definition_migration.together(shorts, engine.definitions, since))
        former = [msgspec.structs.replace(one, short={}) for one in self.known]
        return DefinitionVersions([*former, newest], engine, self._documents, self._stored)

    def engine_of(self, customer: Customer) -> Engine:
        """By which a stored customer is read. Raises `Stop`."""
        return self._engine(self._at(customer))

    def migrate(
        self, customer_id: str, customer: Customer, anew: Customer | None = None, said: Collection[str] | None = None
    ) -> list[Change]:
        """Bring a customer over to the newest file, in place; what that changed, in order. Raises `Stop`.

        ``anew``: what all events made of them by the newest file, up to where the partition was when it began.
        ``said``: as of `DefinitionMigration.rebuild`.
        """
        changes: list[Change] = []
        at, last = self._at(customer), len(self.known) - 1
        if anew is not None:
            changes += self._fired(at, customer_id, customer, self.known[min(at + 1, last)].since)
            succession = _successions(self._engine(at), self._newest)
            changes += succession.rebuild(customer_id, customer, anew, self.known[last].since, said)
        else:
            for before in range(at, last):
                since = self.known[before + 1].since
                changes += self._fired(before, customer_id, customer, since)
                changes += migrate(self._succession(before), customer_id, customer, since)
        customer.by = self.number
        return changes

    def _fired(self, at: int, customer_id: str, customer: Customer, since: int) -> list[Change]:
        """What is due up to then is still the former file's."""
        if not 0 < customer.due <= since:
            return []
        before = self._engine(at)
        fire = before.fire if customer.ahead is None else partial(published_ahead.fire, before)
        return fire(customer_id, customer, since)

    def translated(self, what: ProfileMerge) -> ProfileMerge | None:
        """With the profile as the newest file keeps it, whichever of these it came under; ``None``: under no such."""
        ours = self._newest.definitions.fingerprint
        if what.definitions == ours:
            return what
        profile = self.carried(what.profile, what.definitions)
        return None if profile is None else msgspec.structs.replace(what, profile=profile, definitions=ours)

    def carried(self, profile: bytes, definitions: str) -> bytes | None:
        """A profile that another partition kept under one of these files, as the newest keeps it; ``None``: unknown."""
        numbers = [at for at, one in enumerate(self.known) if one.fingerprint == definitions]
        known = customers.profile(profile)
        if not numbers:
            coming = self._coming
            if coming is None or coming.definitions.fingerprint != definitions:
                return None
            return msgspec.msgpack.encode(_successions(coming, self._newest).carried(known))
        for at in range(numbers[-1], len(self.known) - 1):
            known = self._succession(at).carried(known)
        return msgspec.msgpack.encode(known)

    def _at(self, customer: Customer) -> int:
        at = customer.by - self.known[0].number
        if customer.is_gone:
            return len(self.known) - 1  # there is nothing to be read
        if not 0 <= at < len(self.known):
            raise Stop(
                f"Redis does not hold the definitions that decided some customers (number {customer.by}); "
                f"bring its data back, or {REBUILD}"
            )
        return at

    def _engine(self, at: int) -> Engine:
        return self._newest if at == len(self.known) - 1 else _engine(self.known[at], self._documents)

    def _succession(self, at: int) -> DefinitionMigration:
        return _successions(self._engine(at), self._engine(at + 1))

    def encoded(self) -> bytes:
        """As they are stored with the partition, without documents."""
        return msgspec.json.encode(self.known)

    @property
    def documents(self) -> Mapping[int, bytes]:
        """The compressed documents, by number."""
        return self._documents

    def listing(self) -> Files:
        """The same, for a step that stores no document."""
        return Files(self.number, self.encoded(), list(self._documents))

    def files(self) -> Files:
        """The same, with the documents that the store was not seen to hold."""
        missing = {number: one for number, one in self._documents.items() if number not in self._stored}
        return msgspec.structs.replace(self.listing(), documents=missing)


def _engine(epoch: DefinitionVersion, documents: Mapping[int, bytes]) -> Engine:
    if epoch.number not in documents:
        raise ClaimRefused(f"Redis does not hold the document of former definitions (number {epoch.number}); {REBUILD}")
    return engine_of(documents[epoch.number], epoch.fingerprint)


@lru_cache(maxsize=8)
def _successions(before: Engine, after: Engine) -> DefinitionMigration:
    return DefinitionMigration(before.definitions, after)


def first(engine: Engine, since: int = 0, rebuilt: int = 0) -> DefinitionVersions:
    """Of a partition that knows no file yet."""
    return DefinitionVersions([_epoch(0, engine.definitions, since, rebuilt=rebuilt)], engine)


def _epoch(
    number: int, definitions: Definitions, since: int, before: Definitions | None = None, rebuilt: int = 0
) -> DefinitionVersion:
    short = [] if before is None else definition_migration.short(before, definitions)
    return DefinitionVersion(
        number,
        definitions.fingerprint,
        since,
        {one.segment: None if one.for_ms is None else since + one.for_ms for one in short},
        rebuilt=rebuilt,
    )


def of(state: PartitionState, engine: Engine) -> DefinitionVersions:
    """What a claim found, with these definitions as the newest. Raises `ClaimRefused`."""
    known = kept(state, engine)
    return known if known.engine is engine else known.followed_by(engine, state.clock)


def kept(state: PartitionState, engine: Engine) -> DefinitionVersions:
    """What a claim found, with the definitions that decided last. Raises `ClaimRefused`."""
    return _known(state.epochs, state.documents, engine) if state.epochs else first(engine, state.clock)


def is_current(customer: Customer, meta: Mapping[str, str]) -> bool:
    """Whether a stored customer was decided last by the newest of its partition's files."""
    return customer.by == int(meta.get("epoch", 0))


def short(meta: Mapping[str, str]) -> frozenset[str]:
    """The segments of which, as of the partition's clock, not all is known that they ask for."""
    known, clock = _decoder.decode(meta.get("epochs", "[]")), int(meta.get("clock", 0))
    return frozenset(key for one in known for key, until in one.short.items() if until is None or until > clock)


def is_settled(meta: Mapping[str, str]) -> bool:
    """Whether nobody is to be looked for whom a former file of the partition decided last."""
    return _is_settled(_decoder.decode(meta.get("epochs", "[]")))


def _is_settled(known: list[DefinitionVersion]) -> bool:
    return len(known) < 2 or known[-1].is_swept


def stored(meta: Mapping[str, str], documents: Mapping[int, bytes], engine: Engine) -> DefinitionVersions:
    """What a partition says, for who looks on under the definitions that it has now. Raises `ClaimRefused`."""
    encoded = meta.get("epochs")
    return first(engine) if encoded is None else _known(encoded, documents, engine)


def to(encoded: str, documents: Mapping[int, bytes], engine: Engine) -> DefinitionVersions:
    """What a partition says, followed by this engine's file if that is another. Raises `ClaimRefused`."""
    known = _known(encoded, documents, engine)
    return known if known.engine is engine else known.followed_by(engine, 0)


def _known(encoded: str | bytes, stored: Mapping[int, bytes], engine: Engine) -> DefinitionVersions:
    known = _decoder.decode(encoded)
    former = {one.number: compress(one.document) for one in known if one.document}
    documents = {**former, **stored}
    known = [msgspec.structs.replace(one, document={}) for one in known]
    if known[-1].fingerprint == engine.definitions.fingerprint:
        return DefinitionVersions(known, engine, documents, stored)
    return DefinitionVersions(known, _engine(known[-1], documents), documents, stored, coming=engine)
