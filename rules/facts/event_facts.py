"""Facts of any events: when they happened, what they add up to, how they followed one another."""

from __future__ import annotations

import msgspec

from rules.events import Event
from rules.facts.selection import EventFilter, PropertyReader, read
from rules.profile import extremes, occurrences, steps, sums
from rules.profile.profile import Profile, hashed_id, short_id

DISTINCT_MAX = 256


class OccurrenceFact(msgspec.Struct, frozen=True):
    """The newest ``keep`` of these events as (time, hashed message id).

    What is older than the newest by ``window`` (ms; ``None``: for ever) or beyond ``keep`` is
    dropped: no test of these definitions can tell it from more of the same.
    """

    slot: int
    names: frozenset[str]
    picked: EventFilter
    window: int | None
    keep: int

    def apply(self, profile: Profile, event: Event) -> bool:
        if not self.picked.meets(event):
            return False
        kept = profile.occurrences[self.slot]
        return occurrences.add(kept, event.time, hashed_id(event.id), self.window, self.keep)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.occurrences[self.slot], other.occurrences[self.slot]
        profile.occurrences[self.slot] = occurrences.merge(ours, theirs, self.window, self.keep)


class FirstFact(msgspec.Struct, frozen=True):
    """When the earliest of these events was; 0: none yet."""

    slot: int
    names: frozenset[str]
    picked: EventFilter

    def apply(self, profile: Profile, event: Event) -> bool:
        known = profile.firsts[self.slot]
        if (known and known <= event.time) or not self.picked.meets(event):
            return False
        profile.firsts[self.slot] = event.time
        return True

    def merge(self, profile: Profile, other: Profile) -> None:
        known = (profile.firsts[self.slot], other.firsts[self.slot])
        profile.firsts[self.slot] = min(filter(None, known), default=0)


class SumFact(msgspec.Struct, frozen=True):
    """What these events contribute to sums and averages over up to ``window`` (ms; ``None``: ever)."""

    slot: int
    names: frozenset[str]
    picked: EventFilter
    reading: PropertyReader
    window: int | None

    def apply(self, profile: Profile, event: Event) -> bool:
        found = read(self.picked, self.reading, event)
        kept = profile.sums[self.slot]
        return bool(found) and sums.add(kept, (event.time, hashed_id(event.id), found[0]), self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.sums[self.slot] = sums.merge(profile.sums[self.slot], other.sums[self.slot], self.window)


class ExtremeFact(msgspec.Struct, frozen=True):
    """What can be the greatest, or the least, of these events over ``window`` (ms; ``None``: ever)."""

    slot: int
    names: frozenset[str]
    picked: EventFilter
    reading: PropertyReader
    window: int | None
    greatest: bool

    def apply(self, profile: Profile, event: Event) -> bool:
        found = read(self.picked, self.reading, event)
        kept = profile.extremes[self.slot]
        return bool(found) and extremes.add(kept, (event.time, found[0]), self.window, greatest=self.greatest)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.extremes[self.slot], other.extremes[self.slot]
        profile.extremes[self.slot] = extremes.merge(ours, theirs, self.window, greatest=self.greatest)


class DistinctFact(msgspec.Struct, frozen=True):
    """Values (hashed) of these events and when each was last told; the newest 256 of them."""

    slot: int
    names: frozenset[str]
    picked: EventFilter
    reading: PropertyReader
    window: int | None

    def apply(self, profile: Profile, event: Event) -> bool:
        known = profile.distincts[self.slot]
        found = [value for value in read(self.picked, self.reading, event) if event.time > known.get(value, 0)]
        if not found:
            return False
        if len(found) == 1 and event.time > (next(reversed(known.values())) if known else 0):
            known.pop(found[0], None)  # the newest, so that it comes last
            known[found[0]] = event.time
            self._drop_oldest(known)
        else:
            profile.distincts[self.slot] = self._bounded(known | dict.fromkeys(found, event.time))
        return True

    def _drop_oldest(self, known: dict[int, int]) -> None:
        frontier = 0 if self.window is None else next(reversed(known.values())) - self.window
        while len(known) > DISTINCT_MAX or next(iter(known.values())) <= frontier:
            del known[next(iter(known))]

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.distincts[self.slot], other.distincts[self.slot]
        merged = {value: max(ours.get(value, 0), theirs.get(value, 0)) for value in ours.keys() | theirs.keys()}
        profile.distincts[self.slot] = self._bounded(merged)

    def _bounded(self, known: dict[int, int]) -> dict[int, int]:
        """Ascending by (time, value), so that equal sets of events are stored alike."""
        newest = sorted(known.items(), key=lambda told: (told[1], told[0]))[-DISTINCT_MAX:]
        frontier = 0 if self.window is None or not newest else newest[-1][1] - self.window
        return {value: time for value, time in newest if time > frontier}


class StepFact(msgspec.Struct, frozen=True):
    """The events that may be steps of a sequence over ``window`` (ms; ``None``: ever).

    ``masks``: per event name the steps that ask for it, as (step, which of these events). With
    ``same``, an entry per value of that property; an event without one is no step. ``ends`` and
    ``thin``: as of `rules.profile.steps`.
    """

    slot: int
    masks: dict[str, tuple[tuple[int, EventFilter], ...]]
    same: PropertyReader | None
    window: int | None
    ends: int
    thin: bool

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.masks)

    def apply(self, profile: Profile, event: Event) -> bool:
        mask = 0
        for step, picked in self.masks[event.name]:
            if picked.meets(event):
                mask |= 1 << step
        if not mask:
            return False
        values = (0,) if self.same is None else self.same.of(event.properties.fields)
        entries = [(event.time, short_id(event.id), mask, value) for value in values]
        return steps.add(profile.steps[self.slot], entries, self.window, self.ends, thin=self.thin)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.steps[self.slot], other.steps[self.slot]
        profile.steps[self.slot] = steps.merge(ours, theirs, self.window, thin=self.thin)
