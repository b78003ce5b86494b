"""The watchdogs: a worker that cannot make progress logs it and stops; one that can goes on.

The tests set the time and Kafka's answers, so that each case is a moment apart from its contrary.
"""

from __future__ import annotations

import asyncio
import math
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.kafka.answer_watch import AnswerWatch
from streams.kafka.fetch import Fetching
from streams.runtime import watchdog
from streams.runtime.watchdog import LOST_AFTER_ANSWERS, FetchWatchdog, LoopWatchdog, LostFetchDetector


class Stops:
    """Stands in for `stop`: keeps the sentences."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.came = threading.Event()

    def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.came.set()


class Clock:
    """Stands in for the module `time` of the watchdogs."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def stops() -> Stops:
    return Stops()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watchdog, "time", clock)
    return clock


async def test_a_loop_that_stands_still(stops: Stops, clock: Clock) -> None:
    """After more than ``stuck_s`` without a turn the sentence is said, from another thread."""
    running = asyncio.create_task(LoopWatchdog(0.3, stops).run())
    await asyncio.sleep(0)
    clock.now += 0.3 + 1e-6
    assert stops.came.wait(10)  # the loop stands still here
    running.cancel()
    assert "start the worker again" in stops.sentences[0]


async def test_a_loop_that_turns(stops: Stops, clock: Clock) -> None:
    """However much time goes by, no two turns are more than ``stuck_s`` apart."""
    running = asyncio.create_task(LoopWatchdog(0.3, stops).run())
    for _ in range(10):
        clock.now += 0.3
        await asyncio.sleep(0.03)
    running.cancel()
    assert stops.sentences == []


UNREAD_S = 10.0


def reading(name: str = "carts-0", fetched: int = 5, end: int = 5, **more: Any) -> Fetching:
    """An input that was answered just now, unless said otherwise; all of its log may be read."""
    usual = {"last_stable_offset": end, "requested_at": 0.0, "heard": math.inf, "full": False}
    return Fetching(name=name, fetched=fetched, high_watermark=end, **{**usual, **more})


def look(stops: Stops, *looks: tuple[float, list[Fetching]]) -> list[str]:
    """The sentences of a watchdog after these looks at these times."""
    inputs = SimpleNamespace(readings=[])
    dog = FetchWatchdog(UNREAD_S, lambda: inputs.readings, lambda: None, stops)
    for now, readings in looks:
        inputs.readings = readings
        dog.look(now)
    return stops.sentences


UNREAD = reading(end=6)
STALLED = {
    "nothing moves": [UNREAD],
    "another input moves": [reading("visits-0", fetched=1), UNREAD],
    "more comes": [reading(end=9)],
}
MOVED = {
    "one was fetched": [reading(fetched=6, end=7)],
    "nothing is unread": [reading()],
    "held back on purpose": [reading(end=6, full=True)],
    "not ours for a while": [],
}


@pytest.mark.parametrize("between", STALLED.values(), ids=STALLED)
def test_unread_records_that_are_not_fetched(between: list[Fetching], stops: Stops) -> None:
    """After more than ``unread_s`` the watchdog stops with the input's name, and not a moment before."""
    assert look(stops, (0, [UNREAD]), (5, between), (UNREAD_S, [UNREAD])) == []
    (sentence,) = look(Stops(), (0, [UNREAD]), (5, between), (UNREAD_S + 0.001, [UNREAD]))
    assert "carts-0" in sentence
    assert "start again" in sentence


@pytest.mark.parametrize("between", MOVED.values(), ids=MOVED)
def test_the_time_of_unread_records_begins_anew(between: list[Fetching], stops: Stops) -> None:
    """The look in between shows progress, or that none is needed."""
    assert look(stops, (0, [UNREAD]), (5, between), (15, [UNREAD])) == []


def test_an_input_without_unread_records_may_rest(stops: Stops) -> None:
    assert look(stops, *((now, [reading(heard=now)]) for now in range(0, 1_000, 7))) == []


def test_an_open_transaction_is_no_stall(stops: Stops) -> None:
    """What may not be read yet is not unread, however long the producer takes."""
    assert look(stops, *((now, [reading(end=50, last_stable_offset=5)]) for now in range(0, 1_000, 7))) == []


def test_a_silent_kafka(stops: Stops) -> None:
    """More than five times ``unread_s`` without an answer stops, exactly that long does not."""
    silent = [reading(heard=100.0)]
    assert look(stops, (100 + 5 * UNREAD_S, silent)) == []
    (sentence,) = look(Stops(), (100 + 5 * UNREAD_S + 0.001, silent))
    assert "Kafka did not answer for carts-0" in sentence


def test_an_input_that_is_held_back_may_be_silent(stops: Stops) -> None:
    """What Kafka gave is not used up yet, so it is asked for no more; the others tell whether it answers."""
    assert look(stops, (1_000, [reading(end=90, heard=0.0, full=True)])) == []


# --- a Kafka that answers nothing ---------------------------------------------------------------


def test_a_kafka_that_answers_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A warning comes after ``every_s``, and again after as much; a late answer ends it."""
    caplog.set_level("INFO")
    watch = AnswerWatch(5.0)
    for looks in (9, 9, 25):
        for _ in range(looks):
            watch.look()
        watch.answered()
    assert [(record.levelname, record.silent_s) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("WARNING", 5), ("WARNING", 10), ("INFO", 12),
    ]  # fmt: skip


def test_a_kafka_that_has_nothing_to_answer_is_asked() -> None:
    """A request is sent in time before each warning."""
    watch = AnswerWatch(5.0)
    requests: list[int] = []
    looks = 0
    watch.request = lambda: requests.append(looks)
    for looks in range(1, 21):  # noqa: B007  # what is asked notes it
        watch.look()
    assert requests == [5, 15]


# --- inputs out of step ------------------------------------------------------------------------

CARTS = TP("carts", 0)


def test_partitions_that_nothing_follows(stops: Stops) -> None:
    """The watchdog stops more than five times ``unread_s`` after their revocation, whatever is fetched."""
    since: list[float | None] = [None, 7.0, 7.0]
    dog = FetchWatchdog(UNREAD_S, list, lambda: since.pop(0), stops)
    for now in (7.0 + 6 * UNREAD_S, 7.0 + 5 * UNREAD_S):
        dog.look(now)
    assert stops.sentences == []
    dog.look(7.0 + 5 * UNREAD_S + 1e-6)
    assert stops.sentences[0].startswith("nothing was claimed for 50 s")


def strays(*looks: Fetching) -> list[int]:
    """The positions to read again from, after these looks at one input."""
    detector = LostFetchDetector()
    return [position for fetching in looks for position in detector.look({CARTS: fetching}).values()]


def answers(number: int, **more: Any) -> list[Fetching]:
    """Looks at an input, each after another answer of Kafka."""
    return [reading(requested_at=float(index), **more) for index in range(number)]


@pytest.mark.parametrize("end", [6, 4], ids=["records that do not come", "an end before what was read"])
def test_out_of_step_for_some_answers(end: int) -> None:
    """So many answers after the first one are needed, then again as many."""
    assert strays(*answers(LOST_AFTER_ANSWERS, end=end)) == []
    assert strays(*answers(LOST_AFTER_ANSWERS + 1, end=end)) == [5]
    assert strays(*answers(2 * LOST_AFTER_ANSWERS + 1, end=end)) == [5]
    assert strays(*answers(2 * LOST_AFTER_ANSWERS + 2, end=end)) == [5, 5]


def test_a_silent_kafka_has_lost_nothing() -> None:
    """Without a newer answer the looks do not count, however many; with answers now and then they do."""
    assert strays(*[reading(end=6)] * 100) == []
    assert strays(*(fetching for fetching in answers(LOST_AFTER_ANSWERS + 1, end=6) for _ in range(7))) == [5]


@pytest.mark.parametrize(
    "between",
    [reading(fetched=6, end=7), reading(), reading(end=6, full=True), reading(end=9, last_stable_offset=5)],
    ids=["it moved", "nothing waits", "held back on purpose", "an open transaction"],
)
def test_in_step_in_between(between: Fetching) -> None:
    """The count begins anew."""
    before = answers(LOST_AFTER_ANSWERS, end=6)
    assert strays(*before, between, *before) == []


def test_inputs_are_counted_apart() -> None:
    """An input that is revoked, as at a rebalance, is counted from the start, too."""
    detector, visits = LostFetchDetector(), TP("visits", 0)
    for fetching in answers(LOST_AFTER_ANSWERS, end=6):
        assert detector.look({CARTS: fetching, visits: reading()}) == {}
    assert detector.look({visits: reading(end=6, requested_at=50.0)}) == {}
    assert detector.look({CARTS: reading(end=6, requested_at=60.0)}) == {}
