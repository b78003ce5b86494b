"""The fact about events that may be steps of a sequence."""

from __future__ import annotations

from typing import TypeAlias

from rules.events import Event
from rules.facts.base import Former, Key, Names, SlottedFact, Window
from rules.facts.selection import EventFilter, PropertyReader
from rules.profile import steps
from rules.profile.profile import Profile
from rules.profile.short_ids import short_id
from rules.profile.steps import StepEntry
from rules.values import Path

# The steps that an event can be, by its name, as (index of the step, filter of events).
Masks: TypeAlias = dict[str, tuple[tuple[int, EventFilter], ...]]

_ENTRY_BYTES = 50


class StepFact(SlottedFact, frozen=True):
    """The events that may be steps of a sequence over ``window``.

    With ``same``, an entry for each value of that property; an event without a value is no step. ``ends`` and ``thin``:
    see `rules.profile.steps`.
    """

    steps: tuple[tuple[Names, EventFilter], ...]
    masks: Masks
    same: PropertyReader | None
    window: Window
    ends: int
    thin: bool

    @classmethod
    def of(
        cls, chosen: tuple[tuple[Names, EventFilter], ...], same: Path | None, window: Window, *, thin: bool
    ) -> StepFact:
        """Make the fact of these steps; ``same``: the path of the property that they share."""
        names = sorted(frozenset[str]().union(*(step_names for step_names, _ in chosen)))
        masks = {
            name: tuple((index, picked) for index, (step_names, picked) in enumerate(chosen) if name in step_names)
            for name in names
        }
        reading = None if same is None else PropertyReader(same, distinct=True, most=steps.SAME_MAX, as_stated=True)
        ends = 1 << (len(chosen) - 1) if thin else 0
        return cls(chosen, masks, reading, window, ends, thin)

    @property
    def key(self) -> Key:
        return StepFact, self.steps, self.same, self.window, self.thin

    @property
    def names(self) -> Names:
        return frozenset(self.masks)

    @property
    def bytes_most(self) -> int:
        return steps.ENTRIES_MAX * _ENTRY_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[list[StepEntry]]:
        return profile.steps

    @staticmethod
    def empty() -> list[StepEntry]:
        return []

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
        mine, theirs = profile.steps[self.slot], other.steps[self.slot]
        profile.steps[self.slot] = steps.merge(mine, theirs, self.window, thin=self.thin)

    def missing_history(self, former: Former) -> Window | bool:
        return False if self.key in former else self.window
