"""Owning: a partition of triggers from its claim on, as `streams.claiming` has it for the segmenter.

The one rule: what is on ``trigger-decisions`` was decided. A claim reads it back from where the last trim
left it; of whom more is told than the store knows, it is saved before anything new is read, so that no
action is decided, and no message sent, again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from functools import partial

import msgspec
from faust.types import TP

from rules.placeholders import Placeholders
from streams import outbox
from streams.claiming import Assignment
from streams.holding import Holding
from streams.merge import Merge
from streams.outbox import Outbox, OutRecord
from streams.plan import Ground
from streams.recovery import Chunk
from streams.shard import Shard
from streams.store import Claim, State
from streams.triggers import decisions
from streams.triggers.acting import Acting
from streams.triggers.config import TriggersFile
from streams.triggers.counts import Counts
from streams.triggers.decisions import DECISIONS, LETTERS, Decision
from streams.triggers.endpoints import Endpoint
from streams.triggers.reading import reading
from streams.triggers.standings import Standings

OUTPUTS = (DECISIONS, LETTERS)
# Between looks: of a hundred actions at most (a slice of due times), so that a partition begins 5,000 a second.
_LOOK_S = 0.035


class TriggersPlan(Ground, frozen=True, kw_only=True):
    """What does not change while triggers run. ``endpoints``: by channel; ``counts``: of all that is counted here.

    ``placeholders``: texts that are no ids, as for the segmenter. ``fresh_ms``: as of `Acting`.
    """

    file: TriggersFile
    placeholders: Placeholders
    endpoints: Mapping[str, Endpoint]
    standings: Standings
    counts: Counts
    fresh_ms: int


class Claimed(msgspec.Struct, frozen=True):
    """A claimed partition that is not read on yet; as of `streams.claiming.Held`."""

    claim: Claim
    state: State
    acting: Acting
    outbox: Outbox


class TriggersClaiming(Assignment[TriggersPlan, Claimed]):
    """One assignment of triggers while it is being claimed."""

    def _claimed(self, claim: Claim, state: State) -> Claimed:
        plan, store = self._plan, self._store
        acting = Acting(
            plan.file, plan.endpoints, plan.standings, store, claim.partition, claim.token, state,
            now_ms=plan.now_ms, counts=plan.counts, fresh_ms=plan.fresh_ms,
        )  # fmt: skip
        box = Outbox(store, self._publisher, claim.partition, claim.token, state, saved=lambda: acting.save_number)
        return Claimed(claim, state, acting, box)

    async def _recover(self) -> None:
        parts = {partition: _Part(one) for partition, one in self.claimed.items()}
        positions = {(topic, at): one.state.outputs.get(topic) for at, one in self.claimed.items() for topic in OUTPUTS}
        async with aclosing(self._outputs.read(positions)) as chunks:
            async for chunk in chunks:
                await parts[chunk.partition].read(chunk)
        for part in parts.values():
            await part.publish_rest()

    def _holding(self, claimed: Claimed) -> Holding:
        plan, consumer, partition = self._plan, self._consumer, claimed.claim.partition
        shard = ActingShard(
            partition,
            Merge(plan.topics, claimed.state.positions),
            claimed.acting,
            claimed.outbox,
            heard=lambda topic: consumer.heard(TP(topic, partition)),
            now_ms=plan.now_ms,
            pace=plan.pace,
            monotonic=plan.monotonic,
            reading=partial(reading, placeholders=plan.placeholders),
            trials=self._trials(claimed.claim),
        )
        shard.acting = claimed.acting
        return Holding(claimed.claim, shard, claimed.outbox, self._store, plan.stop)


class ActingShard(Shard):
    """Beside what is read: attempts that have ended, and actions due up to where everything is read.

    Looked after every `_LOOK_S` and not at each attempt's end: what ends meanwhile is saved together.
    """

    acting: Acting
    _read_to = 0

    def release(self) -> None:
        super().release()
        self.acting.is_released = True

    async def _fire(self) -> bool:
        await self._settle()
        self._read_to = max(self._read_to, self.caught_up())
        begun = await self.acting.fire(self._read_to, self._pace.due_slice)
        if begun:
            await self._outbox.put(begun)
        return False

    async def _settle(self) -> None:
        settled = await self.acting.settle()
        if settled:
            await self._outbox.put(settled)

    def _wait_s(self) -> float:
        return _LOOK_S

    async def run(self) -> None:
        """As `Shard.run`; what is under way at the release is waited for and settled."""
        await super().run()
        await self.acting.landed()
        await self._settle()


class _Part:
    """What of a partition is on the topics, and what is left to be published."""

    def __init__(self, claimed: Claimed) -> None:
        self._claimed = claimed
        self._left = [[decisions.bounded(record) for record in outbox.decode(entry)] for entry in claimed.state.outbox]
        self._seen: set[tuple[str, bytes]] = set()

    async def read(self, chunk: Chunk) -> None:
        """What was published: it is not published again, and what the store does not know of it is saved."""
        self._seen.update(decisions.identity(chunk.topic, record.headers) for record in chunk.records)
        if chunk.topic == DECISIONS:
            await self._claimed.acting.note(_by_customer(chunk))

    async def publish_rest(self) -> None:
        """The entries that are not on the topics, in order."""
        for entry in self._left:
            await self._claimed.outbox.publish([[one for one in entry if not self._is_seen(one)]])

    def _is_seen(self, record: OutRecord) -> bool:
        return decisions.identity(record.topic, record.headers) in self._seen


def _by_customer(chunk: Chunk) -> Mapping[str, list[Decision]]:
    found: dict[str, list[Decision]] = defaultdict(list)
    for decision in _decoded(chunk):
        if decision.is_final:
            found[decision.customer_id].append(decision)
    return found


def _decoded(chunk: Chunk) -> Iterable[Decision]:
    for record in chunk.records:
        try:
            yield decisions.decode(record.value or b"")
        except msgspec.DecodeError:
            continue  # whoever wrote it, it is no decision of ours
