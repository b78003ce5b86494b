"""Loads the customers of a step, each under the newest of the partition's definition files.

The one rule: a customer that a former file decided last is migrated when it is loaded. What the migration changed is
made in the step for which the customer was loaded, before anything else of it. The same goes for what a rebuild made
of a customer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from rules.engine import Engine
from rules.identity.events import ProfileMerge
from rules.published_ahead import PublishedChange, is_forgotten, record_published
from rules.standing import Customer
from streams.errors import Fenced
from streams.runtime.checkpoint import Checkpointer
from streams.runtime.meter import DecidedChanges
from streams.state.contract import Claim, PartitionState, Store
from streams.state.definition_versions import DefinitionVersions, first
from streams.stop import Stop
from streams.wire import customers
from streams.worker.rebuild import RebuildResult

log = logging.getLogger(__name__)

_TOLD_EVERY_S = 5.0
# Of whom the store does not know; no due time is so, and the one that is still listed, if any, is set right.
_UNKNOWN_DUE = 1

Loaded = dict[str, tuple[Customer, int]]


class CustomerLoader(Checkpointer):
    """What a partition's steps load. ``epochs``: the files that decided this partition, the newest last.

    ``skips_unknown``: whether a profile that unknown definitions kept is passed over.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        partition: int,
        token: str,
        state: PartitionState,
        *,
        belongs: Callable[[str], bool],
        epochs: DefinitionVersions | None,
        skips_unknown: bool,
    ) -> None:
        super().__init__(store, partition, token, state)
        self._engine = engine
        self._belongs = belongs
        self._epochs = epochs or first(engine)
        self._epoch = self._epochs.number
        self._adopted: list[DecidedChanges] = []
        self._unchanged: dict[str, PublishedChange | None] = {}
        self._skips_unknown = skips_unknown
        self._swept = 0
        self._told = time.monotonic()
        # What all events made of those who are not brought over yet, encoded; ``None``: they were not read again.
        self._anew: dict[str, bytes] | None = None
        self._said: Mapping[str, PublishedChange] = {}  # what was published last of those of whom the store knew less

    @property
    def epochs(self) -> DefinitionVersions:
        """The files that decided the partition, the newest last."""
        return self._epochs

    async def follow(self, epochs: DefinitionVersions, made: RebuildResult, claim: Claim) -> None:
        """Go on with other definitions, or the same; everybody is brought over to what all events made of them.

        ``made``: that, up to where the partition is now; emptied by and by. Raises `Fenced`, also where the store lost
        its last saves: nobody may go on by what they knew.
        """
        if not await self._store.begin(claim, {}, epochs.files(), self.save_number):
            raise Fenced
        self._engine, self._epochs, self._epoch = epochs.engine, epochs, epochs.number
        self._anew, self._said, self._swept = made.customers, made.said, 0

    def _said_again(self) -> Mapping[str, PublishedChange | None]:
        """Of whom the store had lost it and nothing is otherwise, since this was asked last."""
        unchanged, self._unchanged = self._unchanged, {}
        return unchanged

    def _taken_over(self) -> list[DecidedChanges]:
        """What bringing customers over has changed since this was asked last."""
        made, self._adopted = self._adopted, []
        return made

    async def _as_stored(self, ids: Sequence[str]) -> Loaded:
        """As `_load`, whatever definitions decided them."""
        stored = await self._store.load(self._partition, ids)
        loaded: Loaded = {}
        for customer_id, value in zip(ids, stored, strict=True):
            customer = self._new() if value is None else customers.decode(value)
            due = customer.due if value is not None else _UNKNOWN_DUE
            loaded[customer_id] = (customer, due if value or self._belongs(customer_id) else -1)
        return loaded

    async def _load(self, ids: Iterable[str]) -> Loaded:
        """Customers with the due time they had; -1 marks one that belongs to another partition."""
        wanted = list(ids)
        stored = await self._store.load(self._partition, wanted)
        loaded: Loaded = {}
        for customer_id, value in zip(wanted, stored, strict=True):
            if value is not None:
                customer = customers.decode(value)
                if customer.by == self._epoch:
                    loaded[customer_id] = (customer, customer.due)
                else:
                    loaded[customer_id] = self._adopt(customer_id, customer)
            elif self._anew and customer_id in self._anew:
                loaded[customer_id] = self._adopt(customer_id, self._unknown())[0], _UNKNOWN_DUE
            else:
                # Only a customer not yet known here needs the check: it costs more than the rest.
                loaded[customer_id] = (self._new(), _UNKNOWN_DUE if self._belongs(customer_id) else -1)
        return loaded

    def _unknown(self) -> Customer:
        """One whom the store does not know, although the events do."""
        customer = self._engine.new()
        customer.by = self._epoch - 1
        return customer

    def _new(self) -> Customer:
        customer = self._engine.new()
        customer.by = self._epoch
        return customer

    def _adopt(self, customer_id: str, customer: Customer) -> tuple[Customer, int]:
        """Under the definitions of now, with the due time they had; what that changed is made in this step."""
        due = customer.due
        value = self._anew.pop(customer_id, None) if self._anew else None
        anew = None if value is None else customers.decode(value)
        was_ahead, said = customer.ahead is not None, self._said_beyond(customer_id, customer)
        if changes := self._epochs.migrate(customer_id, customer, anew, None if said is None else said.segments):
            self._adopted.append(DecidedChanges(changes, 0))
        elif said is not None and set(self._engine.membership(customer)) == set(said.segments):
            # The row may be of what was said since Redis lost it.
            self._unchanged[customer_id] = None if is_forgotten(customer, said) else said
        elif was_ahead and customer.is_gone:
            self._unchanged[customer_id] = None
        return customer, due

    def _said_beyond(self, customer_id: str, customer: Customer) -> PublishedChange | None:
        """What was published last of one of whom the store has lost it; their changes go on in number."""
        said = self._said.get(customer_id)
        if said is None or said.sequence <= customer.sequence:
            return None
        if customer.ahead is not None:
            record_published(customer, [said], self.clock)
            return None
        customer.sequence = said.sequence
        return said

    def _translated(self, what: ProfileMerge) -> ProfileMerge | None:
        """A profile that other definitions kept, as the newest keep it; ``None``: passed over. Raises `Stop`."""
        moved = self._epochs.translated(what)
        if moved is None and not self._skips_unknown:
            ours = self._engine.definitions.fingerprint
            raise Stop(
                f"a profile came that other definitions keep than those here ({ours}); start all workers with the "
                f"SEGMENTER_DEFINITIONS of {what.definitions}, then this goes on, later also with others"
            )
        return moved

    async def _tell_sweep(self) -> None:
        now = time.monotonic()
        if self.is_settled or now - self._told > _TOLD_EVERY_S:
            self._told = now
            total = await self._store.count(self._partition)
            told = {"partition": self._partition, "count": self._swept, "of": max(total, self._swept)}
            what = "definitions changed" if self._anew is None else "all events read again"
            log.info("%s: customers decided again", what, extra=told)
