"""Epochs: which definitions decided a partition's customers, one file after the other.

The one rule: a stored customer is read under the file that decided it. Its number is kept with the customer, the files
with the partition, until nobody is left whom a former one decided last.

Each file acts from an instant on: the partition's clock when it was first claimed under it. So what a change of files
does to a customer does not depend on when the customer's turn comes: due times up to that instant are still the former
file's, and everything after it is the new one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial

import msgspec

from rules import ahead, changed
from rules.changed import Succession
from rules.definitions import Definitions, DefinitionsError, build
from rules.engine import Engine
from rules.standing import Change, Customer
from streams.store import ClaimRefused, State

MANY = 100


class Epoch(msgspec.Struct, frozen=True):
    """One file: its number, its document without short forms, and from when on (ms) it decides.

    ``short``: segments of which not all was kept, and until when (ms) that makes a difference; ``None``: for good.
    """

    number: int
    fingerprint: str
    document: dict[str, object]
    since: int
    short: dict[str, int | None] = {}


_decoder = msgspec.json.Decoder(list[Epoch])


class Epochs:
    """The files of a partition, the newest last; those before it as long as they are needed."""

    def __init__(self, known: list[Epoch], engine: Engine) -> None:
        """``engine``: of the newest. Raises `ClaimRefused` for a file that this version reads otherwise."""
        self.known = known
        self._engines = [*map(_engine, known[:-1]), engine]
        self._successions = [
            Succession(before.definitions, after)
            for before, after in zip(self._engines, self._engines[1:], strict=False)
        ]

    @property
    def number(self) -> int:
        """Of the newest."""
        return self.known[-1].number

    @property
    def is_settled(self) -> bool:
        """Whether nobody is left whom a former file decided last."""
        return not self._successions

    def settled(self) -> bytes:
        """As it is stored once nobody is."""
        return msgspec.json.encode(self.known[-1:])

    def settle(self) -> None:
        """Nobody is."""
        del self.known[:-1], self._engines[:-1], self._successions[:]

    def engine_of(self, customer: Customer) -> Engine:
        """By which a stored customer is read."""
        return self._engines[self._at(customer)]

    def adopt(self, customer_id: str, customer: Customer) -> list[Change]:
        """Bring a customer over to the newest file, in place; what that changed, in order."""
        changes: list[Change] = []
        for at in range(self._at(customer), len(self._successions)):
            before, since = self._engines[at], self.known[at + 1].since
            if 0 < customer.due <= since:
                fire = before.fire if customer.ahead is None else partial(ahead.fire, before)
                changes += fire(customer_id, customer, since)
            changes += changed.adopt(self._successions[at], customer_id, customer, since)
        customer.by = self.number
        return changes

    def _at(self, customer: Customer) -> int:
        at = customer.by - self.known[0].number
        if customer.is_erased and customer.ahead is None:
            return max(at, 0)
        if not 0 <= at < len(self.known):
            raise ClaimRefused(
                "Redis lost the definitions that decided some customers; bring its data back, or read everything "
                "again with `segmenter worker --rebuild` on an empty Redis"
            )
        return at

    def encoded(self) -> bytes:
        """As it is stored with the partition."""
        return msgspec.json.encode(self.known)


def _engine(epoch: Epoch) -> Engine:
    return Engine(_built(epoch.fingerprint, msgspec.json.encode(epoch.document)))


@lru_cache(maxsize=8)  # the same for each partition
def _built(fingerprint: str, document: bytes) -> Definitions:
    try:
        found = build(msgspec.json.decode(document), "the former definitions")
    except DefinitionsError as error:
        raise ClaimRefused(f"the former definitions are no longer understood: {error.problems[0]}") from None
    if found.fingerprint != fingerprint:
        raise ClaimRefused("the former definitions were read otherwise by the version that wrote Redis; go back to it")
    return found


def first(engine: Engine, since: int = 0) -> Epochs:
    """Of a partition that knows no file yet."""
    return Epochs([_epoch(0, engine.definitions, since)], engine)


def _epoch(number: int, definitions: Definitions, since: int, before: Definitions | None = None) -> Epoch:
    short = [] if before is None else changed.short(before, definitions)
    return Epoch(
        number,
        definitions.fingerprint,
        dict(definitions.document),
        since,
        {one.segment: None if one.for_ms is None else since + one.for_ms for one in short},
    )


def of(state: State, engine: Engine) -> Epochs:
    """What a claim found, with these definitions as the newest. Raises `ClaimRefused`."""
    if not state.epochs:
        return first(engine, state.clock)
    known = _decoder.decode(state.epochs)
    if known[-1].fingerprint == engine.definitions.fingerprint:
        return Epochs(known, engine)
    if len(known) >= MANY:
        raise ClaimRefused(f"{MANY} changes of definitions wait for customers to be decided again; let that end first")
    former = _built(known[-1].fingerprint, msgspec.json.encode(known[-1].document))
    return Epochs([*known, _epoch(known[-1].number + 1, engine.definitions, state.clock, former)], engine)


def stored(meta: Mapping[str, str], engine: Engine) -> Epochs:
    """What a partition says, for who looks on under the definitions that it has now. Raises `ClaimRefused`."""
    told = meta.get("epochs")
    return first(engine) if told is None else Epochs(_decoder.decode(told), engine)
