"""The look-up of a customer's memberships in the segmenter's store, right before a message is sent.

The result says up to which moment it is valid. Where there is no valid answer, it says what the message waits for: a
due time of the customer that has passed and is not decided, a published change that Redis has lost, or a customer that
former definitions decided last. A customer with linked ids is decided as far as the partitions of all these ids are.

See also `streams.triggers.linked_ids`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.definitions.change_data import Data
from rules.definitions.segments_file import Definitions
from streams.state import definition_list
from streams.state.redis_reader import PartitionLook
from streams.stop import Stop
from streams.triggers.linked_ids import LinkedIds, LookStore, former_ids
from streams.wire import customer_codec


class Waiting(Enum):
    """The reasons why a message that is due waits.

    A name in small letters is the metric's label, and a value is the sentence of a `deferred` decision.
    """

    SEGMENTER = "not everything up to its time is read and decided, or nothing was lately"
    DUE_TIME = "a due time of the customer has passed and is not decided yet"
    PUBLISHED_AHEAD = "changes of the customer that were published are not decided again yet"
    DEFINITIONS = "the customer is not decided by the new definitions yet"
    LOST_CHANGE = "Redis has lost a change of the customer that was published"
    LINKED_ID = "what happened under a linked id of the customer is not decided yet"
    ENDPOINT = "the endpoint takes no more attempts now"
    ATTEMPT = "an attempt to send the customer another message is under way"
    PRIORITY = "another message goes before it"

    @property
    def label(self) -> str:
        """The label in the metric."""
        return self.name.lower()


class MembershipAnswer(msgspec.Struct, frozen=True):
    """A customer as the segmenter has decided it.

    ``since`` (ms): by segment, when it was entered. ``waits_for``: why these memberships may not be used yet.
    ``sequence``: of the newest change that is stored. ``reached`` (ms): up to when events of all ids of the customer
    are decided, and ``steps``: over how many links from one id to the next that was learned. ``customer``: as stored.
    """

    since: Mapping[str, int]
    waits_for: Waiting | None = None
    sequence: int = sys.maxsize
    reached: int = sys.maxsize
    steps: int = 0
    customer: Customer | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the customer is known under another id now."""
        return self.customer is not None and self.customer.is_gone

    def waiting(self, sequence: int, due: int) -> Waiting | None:
        """Why this answer may not be used for an action that is due at ``due`` (ms); ``None``: it may be used.

        ``sequence``: of the newest change of the customer that was read. A lower stored one means that Redis lost it.
        """
        if self.waits_for is not None:
            return self.waits_for
        if self.sequence < sequence:
            return Waiting.LOST_CHANGE
        if self.reached < due:
            return Waiting.LINKED_ID if self.steps else Waiting.SEGMENTER
        return None


class LookupResult(msgspec.Struct, frozen=True):
    """The answers on some customers of one partition. ``reached`` (ms): events appended up to then are decided."""

    reached: int
    of: Mapping[str, MembershipAnswer]


def undecided(reached: int, ids: Iterable[str]) -> LookupResult:
    """The result while the segmenter stands still: each customer waits, as events since then are not decided."""
    return LookupResult(reached, dict.fromkeys(ids, MembershipAnswer({}, Waiting.SEGMENTER)))


class MembershipLookup:
    """Looks up memberships that a segmenter with these definitions has stored."""

    def __init__(self, store: LookStore, definitions: Definitions, linked: LinkedIds | None = None) -> None:
        """``linked``: follows linked ids; ``None``: the segmenter brings no ids together."""
        self._store = store
        self._definitions = definitions
        self._keys = [segment.key for segment in definitions.segments]
        self._includes = {segment.key: segment.include for segment in definitions.segments}
        self._linked = linked

    async def reached(self, partition: int) -> int:
        """Up to when (ms) the partition is decided; 0: no worker has read it yet.

        Raises `Stop` where other definitions segment it.
        """
        return self._reached(partition, (await self._store.look(partition, [])).meta)

    async def look(self, partition: int, ids: Sequence[str]) -> LookupResult:
        """The memberships of these customers, and up to when they are decided. Raises `Stop`."""
        look, decoded = await self._look(partition, ids)
        if self._linked is not None:
            if any(map(former_ids, decoded.values())):
                await self._linked.refresh(decoded)
                look, decoded = await self._look(partition, ids)  # again, so that the answer is as new as it can be
            # An unlinked id is another person's: nothing of it may count here from now on.
            self._linked.forget(name for name in ids if name not in decoded or not former_ids(decoded[name]))
        reached = self._reached(partition, look.meta)
        return LookupResult(reached, {name: self._standing(name, decoded.get(name), look, reached) for name in ids})

    def former(self, ids: Iterable[str]) -> Mapping[str, list[tuple[int, str]]]:
        """The former ids, with their partitions, of each of these customers that had any at the last look."""
        return {} if self._linked is None else {name: former for name in ids if (former := self._linked.of(name))}

    async def _look(self, partition: int, ids: Sequence[str]) -> tuple[PartitionLook, Mapping[str, Customer]]:
        look = await self._store.look(partition, ids)
        return look, {name: customer_codec.decode(value) for name, value in look.values.items()}

    def _reached(self, partition: int, meta: Mapping[str, str]) -> int:
        was = meta.get("definitions")
        fingerprint = self._definitions.fingerprint
        if was is not None and was != fingerprint:
            raise Stop(
                f"partition {partition} is segmented by other definitions ({was}, here "
                f"{fingerprint}); give triggers and worker the same SEGMENTER_DEFINITIONS"
            )
        return min(int(meta.get("clock", 0)), int(meta.get("caught_up", 0)))

    def _standing(self, name: str, customer: Customer | None, look: PartitionLook, reached: int) -> MembershipAnswer:
        if customer is None:
            return MembershipAnswer({}, sequence=0)
        if not customer.is_gone and not definition_list.is_current(customer, look.meta):
            return MembershipAnswer({}, Waiting.DEFINITIONS)
        since = {self._keys[index]: entered for index, entered in customer.since.items()}
        waits_for = None
        if 0 < look.dues.get(name, 0) <= int(look.meta.get("clock", 0)):
            waits_for = Waiting.DUE_TIME
        elif customer.published_ahead is not None:
            waits_for = Waiting.PUBLISHED_AHEAD
        steps = 0
        if self._linked is not None and former_ids(customer):
            reached, steps = self._linked.reached(name, customer, reached)
        return MembershipAnswer(since, waits_for, customer.sequence, reached, steps, customer)

    def data(self, name: str, segment: str, look: LookupResult) -> Data:
        """What a change of a segment would carry of a customer now; nothing where its definition includes nothing."""
        customer, include = look.of[name].customer, self._includes.get(segment)
        if customer is None or include is None:
            return {}
        view = CustomerView(name, customer.profile, customer.since)
        return include.data(view, max(customer.instant, look.reached))


def why_ended(segment: str, on: str, occurred_at: int, standing: MembershipAnswer) -> str | None:
    """Why the stay or absence that a change began has ended since; ``None``: it goes on."""
    since = standing.since.get(segment)
    if on == "exited":
        return None if since is None else "came back meanwhile"
    if since is None:
        return "left meanwhile"
    return "left meanwhile and came back" if since > occurred_at else None
