"""Claiming: from partitions that the group assigned to holdings that may be started.

The one rule: first the claims, so that no other owner can save; then the publisher, so that nothing of theirs comes to
the topics any more; then a look whether the claims still stand; then what is on the topics is read back
(`streams.recovery`); only then anything new is read.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import msgspec
from faust.types import TP

from streams import epochs, erasures, placement, safety, trials
from streams.epochs import Epochs
from streams.failpoints import reach
from streams.fetched import Offsets
from streams.holding import Holding
from streams.input_buffer import reader
from streams.merge import Merge
from streams.out_records import DEAD_LETTERS
from streams.outbox import Outbox, Publisher, encode
from streams.plan import Ground, Plan
from streams.rebuild import Asked, Rebuild, Recomputation, Remade
from streams.recovery import Claimed, Outputs, recover
from streams.segmenter import Letters, Segmenter
from streams.shard import Shard
from streams.store import Claim, Fenced, Files, LowerGeneration, State, Store
from streams.transport import Consumer
from streams.trials import Attempt, Care, Trials

log = logging.getLogger(__name__)


class Held(Protocol):
    """A claimed partition that is not read on yet. The positions of ``state`` are those from which to read."""

    @property
    def claim(self) -> Claim: ...
    @property
    def state(self) -> State: ...


H = TypeVar("H", bound=Held)
G = TypeVar("G", bound=Ground)


class Overtaken(Exception):
    """The group has moved on while an assignment was being claimed; the next one follows."""


class Assignment(Generic[G, H]):
    """One assignment while it is being claimed; what becomes of a claimed partition its kinds say."""

    def __init__(
        self, plan: G, store: Store, publisher: Publisher, outputs: Outputs, generation: int, consumer: Consumer
    ) -> None:
        self._plan = plan
        self._store = store
        self._publisher = publisher
        self._outputs = outputs
        self._generation = generation
        self._consumer = consumer
        self.claimed: dict[int, H] = {}
        self._attempts: dict[int, Attempt] = {}
        self.unread: set[int] = set()  # partitions of which nothing was ever read
        self.is_reading_back = False

    async def take(self, tps: frozenset[TP]) -> None:
        """Claim the partitions of an assignment, read back what was published, and publish what is left.

        Raises `Overtaken`, and what store, publisher and Kafka raise.
        """
        plan = self._plan
        partitions = safety.check_complete(tps, plan.topics, plan.identity.partitions)
        if not partitions:
            return
        await self._store.verify(plan.now_ms)
        offsets = await self._consumer.offsets(tps)
        for partition in partitions:
            self.claimed[partition] = self._claimed(*await self._claim(partition, offsets))
        await self._publisher.claim(partitions)
        # Whoever was overtaken before it came here would keep the newer owner from publishing, and set rows back.
        await asyncio.gather(*(self._see_that_it_stands(claimed) for claimed in self.claimed.values()))
        await self._check_placement()
        self.is_reading_back = True
        await self._recover()
        self.is_reading_back = False

    async def _see_that_it_stands(self, claimed: H) -> None:
        """Raises `Fenced` when another has claimed the partition since."""
        claim, state = claimed.claim, claimed.state
        if not await self._store.trim(claim.partition, claim.token, state.trimmed, {}, state.save_number):
            raise Fenced

    def holdings(self) -> dict[int, Holding]:
        """What was claimed, ready to be started."""
        return {partition: self._holding(claimed) for partition, claimed in self.claimed.items()}

    @cached_property
    def _care(self) -> Care:
        careful = [partition for partition, attempt in self._attempts.items() if attempt.needs_care]
        if careful:
            log.warning(
                "the process died again and again where these partitions are; going record by record for a while",
                extra={"partitions": careful, "generation": self._generation},
            )
        return Care(careful, 3 * self._plan.pace.in_hand_max, self._plan.monotonic)

    def _trials(self, claim: Claim) -> Trials:
        attempt, deaths_max = self._attempts[claim.partition], self._plan.trial_deaths_max
        return Trials(self._store, claim.partition, claim.token, attempt, self._care, deaths_max)

    _follows = False

    def _files_of(self, _partition: int, _state: State) -> Files | None:
        """The definitions, to be stored with the partition; none. Raises `ClaimRefused`."""
        return None

    def _claimed(self, claim: Claim, state: State) -> H:
        raise NotImplementedError

    async def _check_placement(self) -> None:
        """Refuse what is not to be read at all. Raises `Stop`."""

    async def _recover(self) -> None:
        """Bring together what is published and what is known, and publish the rest."""
        raise NotImplementedError

    def _holding(self, claimed: H) -> Holding:
        raise NotImplementedError

    async def _claim(self, partition: int, offsets: Offsets) -> tuple[Claim, State]:
        plan, generation, consumer = self._plan, self._generation, self._consumer
        claim = Claim(partition, generation, secrets.token_hex(16), plan.identity, follows=self._follows)
        tps = [TP(topic, partition) for topic in plan.topics]
        reach("before_claim")
        try:
            state = await self._store.claim(claim)
        except LowerGeneration as lower:
            # The group was deleted, or has moved on without this worker: only the group itself can tell.
            if consumer.generation != generation:
                raise Overtaken from None
            if not await consumer.proves_generation({tp: offsets.committed.get(tp, 0) for tp in tps}):
                raise Overtaken from None
            claim = msgspec.structs.replace(claim, proven_over=lower.token)
            try:
                state = await self._store.claim(claim)
            except LowerGeneration:  # of a claim that came meanwhile
                raise Overtaken from None
        reach("after_claim")
        positions = safety.positions(tps, state, offsets, plan)
        if all(position == offsets.first[tp] for tp, position in positions.items()):
            self.unread.add(partition)
        by_topic = {tp.topic: position for tp, position in positions.items()}
        if not await self._store.begin(claim, by_topic, self._files_of(partition, state), state.save_number):
            raise Fenced
        self._attempts[partition] = attempt = trials.judge(state.attempt, by_topic)
        if not await self._store.set_attempt(partition, claim.token, trials.encode(attempt)):
            raise Fenced
        reach("after_begin")
        return claim, msgspec.structs.replace(state, positions=by_topic)


class Claiming(Assignment[Plan, Claimed]):
    """Of the worker that segments."""

    _follows = True

    def _files_of(self, _partition: int, _state: State) -> Files | None:
        plan = self._plan
        if not _state.positions:
            known = epochs.first(plan.engine, _state.clock, plan.now_ms() if plan.rebuild else 0)
        elif self._is_to_be_rebuilt(known := epochs.kept(_state, plan.engine)):
            self._epochs[_partition] = known
            return known.files() if not _state.epochs else None
        else:
            known = epochs.of(_state, plan.engine)
        self._epochs[_partition] = known
        return known.files()

    def _is_to_be_rebuilt(self, known: Epochs) -> bool:
        return self._plan.rebuild and known.rebuilt < self._plan.started_ms

    @cached_property
    def _epochs(self) -> dict[int, Epochs]:
        return {}

    async def _check_placement(self) -> None:
        plan = self._plan
        if unread := self.unread - plan.placed:
            others = {*range(plan.identity.partitions)} - unread - plan.placed
            plan.placed.update(await placement.check(self._outputs, unread, others, plan.belongs))

    async def _recover(self) -> None:
        for partition in sorted(self.unread):
            self.claimed[partition] = await self._forget(self.claimed[partition])
        await recover(self.claimed, self._outputs, self._plan.now_ms)

    async def _forget(self, claimed: Claimed) -> Claimed:
        """Who asks to be erased, before anything of theirs is read; with what is to be published of it."""
        state = claimed.state
        known = self._plan.engine.definitions.placeholders
        found = await erasures.find(self._outputs, claimed.claim.partition, state.outputs, known)
        entries = [encode(out) async for out in claimed.segmenter.forget(found.erased, found.along)]
        if found.positions:
            await claimed.outbox.trim(0, found.positions)
        return msgspec.structs.replace(claimed, state=msgspec.structs.replace(state, outbox=[*state.outbox, *entries]))

    def _claimed(self, claim: Claim, state: State) -> Claimed:
        plan, partition = self._plan, claim.partition
        letters: Letters = set()
        meter, known = plan.meter(), self._epochs[partition]
        segmenter = Segmenter(
            known.engine,
            self._store,
            partition,
            claim.token,
            state,
            now_ms=plan.now_ms,
            belongs=lambda customer: plan.belongs(customer, partition),
            ceiling=plan.ceiling,
            languages=plan.languages,
            letters=letters,
            pseudonym=plan.pseudonym,
            meter=meter,
            epochs=known,
            links=plan.links,
            skips_unknown=plan.rebuild and known.number == 0 and known.rebuilt > 0,  # those that sent it send it again
        )
        outbox = Outbox(
            self._store,
            self._publisher,
            partition,
            claim.token,
            state,
            saved=lambda: segmenter.save_number,
            held={DEAD_LETTERS: letters},
            meter=meter,
        )
        return Claimed(claim, state, segmenter, outbox, letters)

    def _holding(self, claimed: Claimed) -> Holding:
        plan, consumer, partition = self._plan, self._consumer, claimed.claim.partition
        shard = Shard(
            partition,
            Merge(plan.topics, claimed.state.positions),
            claimed.segmenter,
            claimed.outbox,
            heard=lambda topic: consumer.heard(TP(topic, partition)),
            now_ms=plan.now_ms,
            pace=plan.pace,
            monotonic=plan.monotonic,
            reading=reader(plan.engine.definitions.placeholders),
            sweeping=plan.sweeping,
            trials=self._trials(claimed.claim),
            rebuild=self._rebuild(claimed) if self._is_to_be_rebuilt(claimed.segmenter.epochs) else None,
        )
        return Holding(claimed.claim, shard, claimed.outbox, self._store, plan.stop)

    def _rebuild(self, claimed: Claimed) -> Rebuild:
        plan, claim, segmenter = self._plan, claimed.claim, claimed.segmenter
        ours, told = plan.engine.definitions.fingerprint, {"partition": claim.partition}

        async def recompute() -> Recomputation:
            log.info("all events are read again, beside what Redis holds", extra=told)
            known, documents = segmenter.epochs.encoded().decode(), segmenter.epochs.documents
            return await plan.recompute(Asked(claim.partition, plan.identity.partitions, ours, known, documents))

        async def follow(made: Remade) -> None:
            known = segmenter.epochs.followed_by(plan.engine, segmenter.clock)
            count = len(made.customers)
            await segmenter.follow(known, made, claim)
            log.info("all events are read again; going on from them", extra={**told, "customers": count})

        return Rebuild(recompute, lambda: dict(segmenter.positions), follow, plan.rebuilding, plan.monotonic)
