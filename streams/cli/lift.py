"""``segmenter lift``: prints what the messages of triggers brought about, compared with their hold-out.

The one rule: it only reads. Decisions come from ``trigger-decisions``, the events of the goal from the inputs, and
which ids are one person from Redis. What retention has removed does not count.

See also: `streams.offline.lift`, which compares.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec

from rules.definitions.segments_file import Definitions
from rules.event_names import INPUTS, ORDER_CANCELLED, ORDER_REFUNDED
from rules.events import Event
from rules.placeholders import Placeholders
from streams.cli.diff import retained_events
from streams.cli.input_files import with_progress
from streams.cli.terminal import show
from streams.http.message_links import MESSAGE_CLICKED
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.offline.lift import (
    MONEY_FROM,
    SHARES_FROM,
    Achievements,
    ArmComparison,
    ArmFigures,
    Clicks,
    Lift,
    exposures,
    lift,
)
from streams.offline.lift_intervals import LiftInterval
from streams.offline.person_ids import PersonIds
from streams.rights.process_rights import NEEDS
from streams.settings import Settings, definitions_file
from streams.state.readonly_store import opened
from streams.stop import Stop
from streams.triggers import config_file, decision_log
from streams.triggers.config import Goal, Step
from streams.triggers.decision_log import Decision
from streams.wire.topics import TRIGGER_DECISIONS

# Events whose persons are looked up together.
_EVENTS_AT_ONCE = 5_000


def run(settings: Settings, file: Path, trigger: str | None, *, as_json: bool, save: Path | None = None) -> int:
    """Print the lift of a trigger, or of each that has a goal. Raises `DefinitionsError` and `Stop`.

    ``save``: a file that gets the JSON, too, for the operations page.
    """
    definitions = definitions_file.load(settings.definitions)
    loaded = config_file.load(file, definitions)
    triggers = loaded.triggers
    if trigger is not None and trigger not in triggers:
        raise Stop(f"there is no trigger {trigger} in {file}; it has {', '.join(triggers)}")
    if save is not None and (save.is_dir() or not save.parent.is_dir()):
        raise Stop(f"{save} cannot be written (it is a folder, or its folder does not exist)")
    goals = {key: entry.goal for key, entry in triggers.items() if entry.goal is not None and trigger in (None, key)}
    if not goals:
        raise Stop(f"no trigger here has a goal; write goal: {{event: Order Completed, within: 7d}} in {file}")
    lifts = asyncio.run(_lifts(settings, goals, loaded.steps, definitions, int(time.time() * 1000)))
    document = msgspec.json.format(msgspec.json.encode(lifts)) + b"\n"
    if save is not None:
        _save(save, document)
    if as_json:
        sys.stdout.buffer.write(document)
    else:
        show(line for each in lifts for line in lines(each))
    return 0


def _save(path: Path, document: bytes) -> None:
    """Replace a file as a whole, so that who reads it meanwhile reads the former one."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(document)
        part.replace(path)
    except OSError as error:
        raise Stop(f"{path} could not be written ({error.strerror or error}); see whether there is room") from None


async def _lifts(
    settings: Settings,
    goals: Mapping[str, Goal],
    steps: Mapping[str, Step],
    definitions: Definitions,
    now: int,
) -> list[Lift]:
    counts = admin.verify(settings, NEEDS["lift"].topics).partitions
    async with opened(settings) as store:
        persons = PersonIds(settings, store, counts[INPUTS[0]])
        with answering(settings), closing(Logs(settings)) as logs:
            decisions = list(_decisions(logs, counts[TRIGGER_DECISIONS], goals))
            await persons.look_up(decision.customer_id for decision in decisions)
            person_of = {decision.customer_id: persons.of(decision.customer_id) for decision in decisions}
            exposed = {key: exposures(decisions, key, steps[key].divided_by, person_of) for key in goals}
            achievements = {key: Achievements(goal, definitions.currency) for key, goal in goals.items()}
            clicks = {key: Clicks([name for name, step in steps.items() if step.of == key]) for key in goals}
            names = {name for goal in goals.values() for name in goal.event}
            names |= {ORDER_CANCELLED, ORDER_REFUNDED, MESSAGE_CLICKED}
            for events in _batches(_events(settings, logs, counts[INPUTS[0]], names, definitions.placeholders)):
                await persons.look_up(event.customer for event in events)
                for event in events:
                    for key, achieved in achievements.items():
                        if (person := persons.of(event.customer)) in exposed[key][0]:
                            achieved.read(event, person)
                            clicks[key].read(event, person)
    return [
        lift(key, goals[key], *exposed[key], achievements[key].of_persons(), clicks[key].of_persons, now)
        for key in goals
    ]


def _decisions(logs: Logs, count: int, goals: Mapping[str, Goal]) -> Iterator[Decision]:
    """Each decision on an exposure, once."""
    read_ids: set[str] = set()
    for partition in range(count):
        for record in with_progress(logs.open(TRIGGER_DECISIONS, partition).whole(), "read", "decisions"):
            try:
                decision = decision_log.decode(record.value or b"")
            except msgspec.DecodeError:
                continue  # another program wrote to the topic
            if decision.arm is not None and decision.trigger in goals and decision.decision_id not in read_ids:
                read_ids.add(decision.decision_id)
                yield decision


def _events(settings: Settings, logs: Logs, count: int, names: set[str], placeholders: Placeholders) -> Iterator[Event]:
    for partition in range(count):
        events = retained_events(settings, logs, partition, count, placeholders)
        for event in with_progress(events, "read", f"events of partition {partition} of {count}"):
            if event.name in names:
                yield event


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _EVENTS_AT_ONCE)):
        yield batch


def lines(of_trigger: Lift) -> Iterator[str]:
    """A lift as text."""
    yield f"{of_trigger.trigger}: {of_trigger.goal}"
    yield from _compared("", of_trigger.all)
    for name, comparison in of_trigger.variants.items():
        yield from _compared(f"variant {name}, ", comparison)
    if of_trigger.waiting:
        yield f"  {of_trigger.waiting:,} of {of_trigger.exposed:,} customers still have time left, and do not count yet"
    if of_trigger.mixed:
        yield f"  {of_trigger.mixed:,} customers are left out, as they were in both arms"


def _compared(of: str, comparison: ArmComparison) -> Iterator[str]:
    treated, control = comparison.treated, comparison.control
    yield f"  {of}treated   {_figures(treated)}"
    if not of:
        yield f"  control   {_figures(control)}"
    least = min(treated.customers, control.customers)
    if comparison.conversions is None:
        yield f"  {of}not enough yet: {least:,} of {SHARES_FROM:,} customers in the smaller arm"
        return
    shares = [f"{100 * value:+.2f}" for value in msgspec.structs.astuple(comparison.conversions)]
    yield f"  {of}conversions {_interval(comparison.conversions, shares, ' points')}"
    if comparison.revenue is None:
        yield f"  {of}money: not enough yet: {least:,} of {MONEY_FROM:,} customers in the smaller arm"
        return
    amounts = [f"{value:+,.2f}" for value in msgspec.structs.astuple(comparison.revenue)]
    yield f"  {of}money {_interval(comparison.revenue, amounts, ' per customer')}"


def _interval(interval: LiftInterval, texts: list[str], unit: str) -> str:
    difference, low, high = texts
    verdict = "more" if interval.says_more else "less" if interval.says_less else "no difference beyond chance"
    return f"{difference}{unit} (95 %: {low} to {high}): {verdict}"


def _figures(arm: ArmFigures) -> str:
    each = arm.revenue / arm.customers if arm.customers else 0.0
    text = f"{arm.customers:>9,} customers, {arm.conversions:,} reached it ({arm.share:.2%}), {each:,.2f} per customer"
    return f"{text}, {arm.clicked:,} clicked" if arm.clicked else text
