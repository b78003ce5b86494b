"""Turns the result of a step into one checkpoint: the customers to store and the records of the outbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from rules.customer import Customer
from rules.sentences.reason_sentence import LANGUAGES
from rules.times import format_instant
from streams.runtime.checkpoint import Checkpointer, Progress
from streams.runtime.meter import NULL_METER, DecidedChanges, Meter
from streams.state.contract import StoredCustomer
from streams.wire import changes, customer_codec
from streams.wire.records import OutRecord
from streams.wire.step_records import published_records
from streams.worker.customer_loader import CustomerLoader, Loaded

# The most customers of one save.
SAVE_MAX = 500


class StepWriter:
    """Saves the steps of one partition. ``languages``: those of the reasons in changes."""

    def __init__(
        self,
        checkpointer: Checkpointer,
        loader: CustomerLoader,
        now_ms: Callable[[], int],
        languages: Sequence[str] = LANGUAGES,
        meter: Meter = NULL_METER,
    ) -> None:
        self._checkpointer = checkpointer
        self._loader = loader
        self._now_ms = now_ms
        self._languages = languages
        self._meter = meter

    async def write(
        self,
        loaded: Loaded,
        decided: Sequence[DecidedChanges],
        others: Sequence[OutRecord] = (),
        erased: Collection[str] = (),
        progress: Progress | None = None,
    ) -> list[OutRecord]:
        """Save a step. Returns the records to publish.

        ``decided``: all changes of the step, in their order. ``others``: records beside the changes. ``erased``:
        customers that the step erased, also if a later event of it created them again. Raises what `Checkpointer.save`
        raises.
        """
        out = [*self._rows(loaded, decided, erased), *others]
        stored = [stored_customer(customer_id, *entry) for customer_id, entry in loaded.items()]
        await self._checkpointer.save(stored, out, progress)
        if out:
            self._meter.decided(decided)
        return out

    def _rows(
        self, loaded: Mapping[str, tuple[Customer, int]], decided: Sequence[DecidedChanges], erased: Collection[str]
    ) -> list[OutRecord]:
        """The rows of migrated customers, and the changes of the step with the rows that they lead to."""
        emitted_at = format_instant(self._now_ms())
        published = [
            changes.of(change, emitted_at, self._languages) for together in decided for change in together.changes
        ]
        repeated = self._loader.take_rows()
        return repeated + published_records(published, erased, lambda customer_id: loaded[customer_id][0])


def stored_customer(customer_id: str, customer: Customer, due_before: int) -> StoredCustomer:
    """Encode a customer for the store. ``due_before``: the due time (ms) that it was loaded with."""
    changed = None if customer.due == due_before else customer.due
    return StoredCustomer(customer_id, customer_codec.encode(customer), changed, erased=customer.is_gone)


def slices(by_id: Mapping[str, object]) -> Iterator[list[str]]:
    """The ids of a mapping, in slices that are saved together."""
    ids = list(by_id)
    for index in range(0, len(ids), SAVE_MAX):
        yield ids[index : index + SAVE_MAX]
