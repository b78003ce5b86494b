"""The look-up of a customer's memberships in the segmenter's store, right before a message is sent.

The result says up to which moment it is valid. Where there is no valid answer it says what the message waits for:
something of the customer is due and not decided, Redis has lost a change of it that was published, or former
definitions decided it last. A customer with linked ids is decided as far as the partitions of all of them are.

See also `streams.triggers.linked_ids`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from rules.customer import Customer
from rules.definitions.segments_file import Definitions
from streams.state import definition_list
from streams.state.redis import PartitionLook
from streams.stop import Stop
from streams.triggers.linked_ids import LinkedIds, LookStore, former_ids
from streams.wire import customer_codec


class Waiting(Enum):
    """What a message that is due waits for: a label of the metric, and the sentence of a `deferred` decision."""

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
        """As it stands in the metric."""
        return self.name.lower()


class MembershipAnswer(msgspec.Struct, frozen=True):
    """A customer as the segmenter has decided it.

    ``since`` (ms): by segment, when it was entered. ``waits_for``: why that is not the last word. ``sequence``: of the
    newest change that is stored. ``reached`` (ms): up to when what happened under any id of the customer is decided,
    and over how many ``steps`` from one id to the next that was learned.
    """

    since: Mapping[str, int]
    waits_for: Waiting | None = None
    sequence: int = sys.maxsize
    reached: int = sys.maxsize
    steps: int = 0

    def waiting(self, sequence: int, due: int) -> Waiting | None:
        """What stands against a decision for which all up to ``due`` (ms) must be decided.

        ``sequence``: of the newest change of the customer that was read. A lower one is stored where Redis lost it.
        """
        if self.waits_for is not None:
            return self.waits_for
        if self.sequence < sequence:
            return Waiting.LOST_CHANGE
        if self.reached < due:
            return Waiting.LINKED_ID if self.steps else Waiting.SEGMENTER
        return None


class LookupResult(msgspec.Struct, frozen=True):
    """``reached`` (ms): what happened, and was appended, up to then is decided."""

    reached: int
    of: Mapping[str, MembershipAnswer]


def undecided(reached: int, ids: Iterable[str]) -> LookupResult:
    """Nothing is known of these customers: the segmenter stands still, and whoever paid meanwhile is not known."""
    return LookupResult(reached, dict.fromkeys(ids, MembershipAnswer({}, Waiting.SEGMENTER)))


class MembershipLookup:
    """Looks at a segmenter that runs, or ran, under these definitions."""

    def __init__(self, store: LookStore, definitions: Definitions, linked: LinkedIds | None = None) -> None:
        """``linked``: follows linked ids; ``None``: the segmenter brings no ids together."""
        self._store = store
        self._definitions = definitions
        self._keys = [segment.key for segment in definitions.segments]
        self._linked = linked

    async def reached(self, partition: int) -> int:
        """Up to when the partition is decided (ms); 0: no worker has read it yet. Raises `Stop`."""
        return self._reached(partition, (await self._store.look(partition, [])).meta)

    async def look(self, partition: int, ids: Sequence[str]) -> LookupResult:
        """What is decided of these customers, and up to when. Raises `Stop`."""
        look, decoded = await self._look(partition, ids)
        if self._linked is not None and any(map(former_ids, decoded.values())):
            await self._linked.refresh(decoded)
            look, decoded = await self._look(partition, ids)  # nothing lies between this answer and what it is for
        reached = self._reached(partition, look.meta)
        return LookupResult(reached, {name: self._standing(name, decoded.get(name), look, reached) for name in ids})

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
        return MembershipAnswer(since, waits_for, customer.sequence, reached, steps)


def why_ended(segment: str, on: str, occurred_at: int, standing: MembershipAnswer) -> str | None:
    """Whether the stay, or absence, that a change began has ended since."""
    since = standing.since.get(segment)
    if on == "exited":
        return None if since is None else "came back meanwhile"
    if since is None:
        return "left meanwhile"
    return "left meanwhile and came back" if since > occurred_at else None
