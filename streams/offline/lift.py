"""What the messages of a trigger brought about: those who were to get them, compared with a hold-out.

    decision   u1, exposed at 10:00, treated      u2, exposed at 10:05, control (the hold-out)
    order      u1 on the third day, 40
    goal       {event: Order Completed, within: 7d}: u1 converted and spent 40, u2 did not

The one rule: both arms are counted from one point, at which nothing but the hold-out has divided them. What comes after
it (a cap, quiet hours, a failed attempt) leaves a customer in its arm, as those who would have met the same are in the
control arm, too. Each person counts once, from the first exposure, and only once the whole time of the goal is over.

See also: `streams.triggers.policy.exposes` (that point), and `streams.offline.lift_intervals` (what chance alone does).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from rules.event_names import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED
from rules.events import Event
from rules.number_text import MICRO
from rules.times import format_instant, parse_instant, words
from rules.value_tests import number_reader
from rules.values import path_of, read_property
from streams.http.message_links import MESSAGE_CLICKED
from streams.offline.lift_intervals import LiftInterval, of_means, of_shares
from streams.triggers.config import Goal
from streams.triggers.decision_log import Arm, Decision

# The least customers in each arm before a difference of shares, or one of money, is told.
SHARES_FROM, MONEY_FROM = 100, 2_000


class Exposure(msgspec.Struct, frozen=True):
    """A person's first exposure to the messages of a trigger, at ``at`` (ms)."""

    arm: Arm
    at: int
    variant: str | None


class Achievement(msgspec.Struct, frozen=True):
    """An event that is a goal: when (ms) it was, and what it was worth (10⁻⁶)."""

    at: int
    micro: int


class ArmFigures(msgspec.Struct, frozen=True):
    """The customers of an arm whose time is over, how many reached the goal, and what they spent in all.

    ``clicked``: how many of them clicked in a message of the trigger within the time of the goal.
    """

    customers: int
    conversions: int
    revenue: float
    clicked: int = 0

    @property
    def share(self) -> float:
        """The share of customers that reached the goal."""
        return self.conversions / self.customers if self.customers else 0.0


class ArmComparison(msgspec.Struct, frozen=True):
    """Two arms, with the differences that are more than chance can be asked about; ``None``: not enough yet."""

    treated: ArmFigures
    control: ArmFigures
    conversions: LiftInterval | None
    revenue: LiftInterval | None


class Lift(msgspec.Struct, frozen=True):
    """The lift of a trigger as of ``as_of`` (RFC 3339), by the goal that ``goal`` says in words.

    ``exposed``: persons so far. ``waiting``: those of them that have time left. ``mixed``: persons that are left out,
    as they were in both arms under two ids.
    """

    trigger: str
    goal: str
    as_of: str
    exposed: int
    waiting: int
    mixed: int
    all: ArmComparison
    variants: Mapping[str, ArmComparison]


def exposures(
    decisions: Iterable[Decision], trigger: str, hold_out: str | None, person_of: Mapping[str, str]
) -> tuple[dict[str, Exposure], int]:
    """The first exposure of each person to a trigger, and how many were left out because they were in both arms.

    ``hold_out``: the identity of the present one; exposures under another one would compare other times and other
    customers, and do not count. ``person_of``: by a former id, the id of the same person now.
    """
    first: dict[str, Exposure] = {}
    mixed: set[str] = set()
    for decision in decisions:
        if decision.trigger != trigger or decision.hold_out != hold_out:
            continue
        if decision.arm is None or decision.exposed_at is None:
            continue
        person = person_of.get(decision.customer_id, decision.customer_id)
        exposure = Exposure(decision.arm, parse_instant(decision.exposed_at) or 0, decision.variant)
        earlier = first.get(person)
        if earlier is not None and earlier.arm != exposure.arm:
            mixed.add(person)
        if earlier is None or exposure.at < earlier.at:
            first[person] = exposure
    return {person: exposure for person, exposure in first.items() if person not in mixed}, len(mixed)


class Achievements:
    """The events that are a goal, by person: each order once, less what was cancelled or refunded."""

    def __init__(self, goal: Goal, currency: str | None) -> None:
        """``currency``: of the segments file; money in another one counts as 0."""
        self._goal = goal
        self._currency = currency
        self._by_key: dict[tuple[str, str], Achievement] = {}
        self._ended: set[tuple[str, str]] = set()
        self._refunds: Counter[tuple[str, str]] = Counter()
        self._refund_ids: set[str] = set()

    def read(self, event: Event, person: str) -> None:
        """Take in an event of a person, in any order and however often it comes."""
        if event.name in self._goal.event:
            key = (person, event.order or event.id)
            earlier = self._by_key.get(key)
            if earlier is None or event.time < earlier.at:
                self._by_key[key] = Achievement(event.time, self._worth(event))
        if event.order is None:
            return
        if event.name == ORDER_CANCELLED:
            self._ended.add((person, event.order))
        elif event.name == ORDER_REFUNDED and event.id not in self._refund_ids:
            self._refund_ids.add(event.id)
            if event.amount is None and not event.is_unvalued:
                self._ended.add((person, event.order))
            self._refunds[person, event.order] += event.amount or 0

    def _worth(self, event: Event) -> int:
        if event.name == ORDER_COMPLETED and self._goal.of == "total":
            is_foreign = bool(event.currency and self._currency and event.currency != self._currency)
            return 0 if event.amount is None or is_foreign else event.amount
        fields = event.properties.fields
        path = path_of(self._goal.of)
        read = number_reader(path, fields, self._currency, is_refund=False)
        return read(read_property(fields, path)) or 0

    def of_persons(self) -> dict[str, list[Achievement]]:
        """The achievements of each person that has any."""
        achieved: dict[str, list[Achievement]] = {}
        for key, achievement in self._by_key.items():
            if key in self._ended:
                continue
            person, _ = key
            rest = max(achievement.micro - self._refunds[key], 0)
            achieved.setdefault(person, []).append(Achievement(achievement.at, rest))
        return achieved


class Clicks:
    """When (ms) each person clicked in a message of a trigger."""

    def __init__(self, messages: Collection[str]) -> None:
        """``messages``: the keys of the trigger's messages."""
        self._messages = messages
        self.of_persons: dict[str, list[int]] = {}

    def read(self, event: Event, person: str) -> None:
        """Take in an event of a person, in any order and however often it comes."""
        if event.name == MESSAGE_CLICKED and event.properties.fields.get("trigger") in self._messages:
            self.of_persons.setdefault(person, []).append(event.time)


def lift(
    trigger: str, goal: Goal, exposed: Mapping[str, Exposure], mixed: int,
    achieved: Mapping[str, Sequence[Achievement]], clicks: Mapping[str, Sequence[int]], now: int,
) -> Lift:  # fmt: skip
    """Compare both arms of a trigger at ``now`` (ms), all together and for each variant."""
    over = {person: exposure for person, exposure in exposed.items() if exposure.at + goal.within <= now}
    results = {
        person: _Result(
            [event.micro for event in achieved.get(person, ()) if _is_in_time(exposure, event.at, goal)],
            any(_is_in_time(exposure, at, goal) for at in clicks.get(person, ())),
        )
        for person, exposure in over.items()
    }
    control = _arm(results[person] for person, exposure in over.items() if exposure.arm == "control")
    treated = [person for person, exposure in over.items() if exposure.arm == "treated"]
    names = sorted({over[person].variant for person in treated} - {None}, key=str)
    return Lift(
        trigger=trigger,
        goal=f"{' or '.join(goal.event)} within {words(goal.within)}",
        as_of=format_instant(now),
        exposed=len(exposed),
        waiting=len(exposed) - len(over),
        mixed=mixed,
        all=_compared(_arm(results[person] for person in treated), control),
        variants={
            str(name): _compared(_arm(results[person] for person in treated if over[person].variant == name), control)
            for name in names
        },
    )


def _is_in_time(exposure: Exposure, at: int, goal: Goal) -> bool:
    """Whether an event is in the time of the goal; one at the instant of the exposure came before it."""
    return exposure.at < at <= exposure.at + goal.within


class _Result(NamedTuple):
    """What a person did in the time of the goal: the amount (10⁻⁶) of each achievement, and whether it clicked."""

    micros: list[int]
    has_clicked: bool


class _Arm(NamedTuple):
    """An arm: its figures, and the amounts of those who spent something."""

    figures: ArmFigures
    spent: list[float]


def _arm(results: Iterable[_Result]) -> _Arm:
    customers = conversions = clicked = 0
    spent: list[float] = []
    for result in results:
        customers += 1
        conversions += bool(result.micros)
        clicked += result.has_clicked
        if total := sum(result.micros):
            spent.append(total / MICRO)
    return _Arm(ArmFigures(customers, conversions, sum(spent), clicked), spent)


def _compared(treated_arm: _Arm, control_arm: _Arm) -> ArmComparison:
    treated, control = treated_arm.figures, control_arm.figures
    least = min(treated.customers, control.customers)
    shares = money = None
    if least >= SHARES_FROM:
        shares = of_shares((treated.conversions, treated.customers), (control.conversions, control.customers))
    if least >= MONEY_FROM:
        money = of_means(treated_arm.spent, treated.customers, control_arm.spent, control.customers)
    return ArmComparison(treated, control, shares, money)
