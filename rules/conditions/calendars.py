"""The calendar: days of a year or of the week, in a time zone (`calendar`).

Time zones come from the system or the ``tzdata`` package, Jalali dates from ``jdatetime``; both
are tables, so that a date is a pure function of an instant.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import jdatetime
import msgspec

from rules.conditions.base import NEVER, CustomerView, Decision, until
from rules.reasons import Observed, Reason
from rules.times import HOUR_MS
from rules.value_tests import Shown

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# A rule that never turns within so many days is looked at again after them.
_LOOK_AHEAD_DAYS = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_LAST = date(9999, 12, 25)  # no time zone is a week off
_LAST_MS = (datetime(9999, 12, 28, tzinfo=UTC) - _EPOCH) // _MS

MonthDay = tuple[int, int]


class CalendarDays(msgspec.Struct, frozen=True, dict=True):
    """The local day lies between two month-days (inclusive, may wrap) and is one of these weekdays.

    What was found last is kept beside it (``dict=True``): it serves until it turns.
    """

    between: tuple[MonthDay, MonthDay] | None
    weekdays: tuple[int, ...] | None
    jalali: bool
    timezone: str

    def decide(self, who: CustomerView, now: int) -> Decision:  # noqa: ARG002
        since, answer = self.__dict__.get("latest", (0, (False, NEVER)))
        if since <= now < answer[1]:
            return cast(Decision, answer)
        holding, due = _answer(self, _local_day(self.timezone, now))
        while due != NEVER and due <= now:
            due += HOUR_MS  # clocks went back over midnight: it comes once more
        self.__dict__["latest"] = now, (holding, due)
        return holding, due

    def reason(self, who: CustomerView, now: int) -> Reason:
        holding, due = self.decide(who, now)
        observed = Observed(date=self._written(_local_day(self.timezone, now)))
        return Reason(holding, condition="calendar", observed=observed, test=self.test, until=until(due))

    @property
    def test(self) -> dict[str, Shown]:
        """As it stands in a definition."""
        asked: dict[str, Shown] = {}
        if self.between is not None:
            asked["between"] = [f"{month:02d}-{day:02d}" for month, day in self.between]
        if self.weekdays is not None:
            asked["weekday"] = [WEEKDAYS[at] for at in self.weekdays]
        return {**asked, "calendar": "jalali" if self.jalali else "gregorian", "timezone": self.timezone}

    def holds_on(self, day: date) -> bool:
        """Whether a day is one of them."""
        if self.weekdays is not None and day.weekday() not in self.weekdays:
            return False
        if self.between is None:
            return True
        first, last = self.between
        at = self._month_day(day)
        return first <= at <= last if first <= last else at >= first or at <= last

    def _month_day(self, day: date) -> MonthDay:
        if not self.jalali:
            return day.month, day.day
        jalali = jdatetime.date.fromgregorian(date=day)
        return jalali.month, jalali.day

    def _written(self, day: date) -> str:
        return str(jdatetime.date.fromgregorian(date=day)) if self.jalali else day.isoformat()


def _local_day(timezone: str, now: int) -> date:
    moment = _EPOCH + now * _MS if now < _LAST_MS else _EPOCH + _LAST_MS * _MS
    return moment.astimezone(ZoneInfo(timezone)).date()


# What was found for a day is so for each day up to the next turn.
_answers: dict[tuple[CalendarDays, date], Decision] = {}
_ANSWERS_MAX = 100_000


def _answer(rule: CalendarDays, day: date) -> Decision:
    """Whether it holds on that day, and the midnight at which that turns."""
    known = _answers.get((rule, day))
    if known is not None:
        return known
    holding, days = rule.holds_on(day), [day]
    while len(days) < _LOOK_AHEAD_DAYS and days[-1] < _LAST and rule.holds_on(days[-1] + _DAY) == holding:
        days.append(days[-1] + _DAY)
    if days[-1] >= _LAST:
        return holding, NEVER
    turn = days[-1] + _DAY
    # A midnight that a change of clocks skips is the instant of that change (fold=0, PEP 495).
    midnight = datetime(turn.year, turn.month, turn.day, tzinfo=ZoneInfo(rule.timezone))
    answer = (holding, (midnight - _EPOCH) // _MS)
    if len(_answers) >= _ANSWERS_MAX:
        _answers.clear()
    _answers.update(((rule, one), answer) for one in days)
    return answer
