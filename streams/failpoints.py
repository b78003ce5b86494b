"""Fail points: named places at which a test can make the worker die, hang, or lose an answer.

The one rule: without ``SEGMENTER_FAIL_POINT`` in the environment at start a fail point does
nothing. With ``NAME:N`` the process sends itself SIGKILL when it reaches NAME for the Nth time;
with ``NAME:N:SIGSTOP`` another signal. Anything else ends the process at start.

| fail point              | where                                                                  |
|-------------------------|------------------------------------------------------------------------|
| before_claim            | partitions are assigned, the claim is not in Redis yet                 |
| after_claim             | the claim is in Redis, first positions are not                         |
| after_begin             | first positions are in Redis, nothing is read yet                      |
| before_fence            | Kafka does not know the producer of this claim yet                     |
| mid_fence               | the coordinator knows the producer, the leaders do not know its epoch  |
| after_fence             | the leaders know the epoch, and refuse former producers                |
| mid_read_back           | changes of a part of the outputs are saved, its position is not        |
| after_read_back         | all outputs are read back, the rest of the outbox is not published     |
| after_poll              | a fetched batch has reached its owner                                  |
| mid_decode              | a record that contains `MARK` is about to be decoded                   |
| mid_apply               | a record that contains `MARK` is about to be applied                   |
| after_load              | customers of a step are loaded                                         |
| after_compute           | events were applied, nothing is saved                                  |
| after_fire              | due times were fired, nothing is saved                                 |
| before_save, after_save | around the call that saves a step                                      |
| lost_save_reply         | no death: the reply of a save is lost and the same save is sent again  |
| before_publish          | saved, nothing sent to Kafka                                           |
| after_publish           | acknowledged by Kafka, not trimmed                                     |
| after_trim              | trimmed                                                                |
| before_release          | partitions are being taken away or the worker ends; all still runs     |
| mid_release             | the step in hand is saved, its changes may not be published            |
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Literal, get_args

Name = Literal[
    "before_claim",
    "after_claim",
    "after_begin",
    "before_fence",
    "mid_fence",
    "after_fence",
    "mid_read_back",
    "after_read_back",
    "after_poll",
    "mid_decode",
    "mid_apply",
    "after_load",
    "after_compute",
    "after_fire",
    "before_save",
    "lost_save_reply",
    "after_save",
    "before_publish",
    "after_publish",
    "after_trim",
    "before_release",
    "mid_release",
]
# A record that contains these bytes counts at the fail points `mid_decode` and `mid_apply`.
MARK = b"this record kills"
NAMES: tuple[Name, ...] = get_args(Name)

_name, _, _rest = os.environ.get("SEGMENTER_FAIL_POINT", "").partition(":")
_count, _, _signal = _rest.partition(":")
_left = int(_count) if _count.isascii() and _count.isdigit() else 0
_deadly = _signal or "SIGKILL"
if _name and _name not in NAMES:
    raise SystemExit(f"SEGMENTER_FAIL_POINT: {_name!r} is no fail point; there are {', '.join(NAMES)}")
if _name and (_left < 1 or _deadly not in signal.Signals.__members__):
    raise SystemExit(f"SEGMENTER_FAIL_POINT: {_rest!r} says neither when nor how; write {_name}:1 or {_name}:1:SIGTERM")


def reach(name: Name) -> None:
    """Pass a fail point: kill this process if it is its turn."""
    if name == _name and happens(name):
        os.kill(os.getpid(), signal.Signals[_deadly])


def reach_record(name: Name, values: Iterable[bytes | None]) -> None:
    """Pass a fail point with the values of records; it counts only if one of them contains `MARK`."""
    if name == _name and any(MARK in (value or b"") for value in values):
        reach(name)


def happens(name: Name) -> bool:
    """Count a passage of this fail point, and tell whether it is the one at which the failure happens."""
    global _left  # noqa: PLW0603  # the count-down of this process
    if name != _name:
        return False
    _left -= 1
    return _left == 0
