"""Time and processes: an asyncio loop whose clock is a number, and what runs on it as processes.

The one rule: nothing waits. When no callback is ready the clock jumps to the next timer. Every
callback belongs, by its context, to a process or to the world around them; those of a frozen
process are kept until it thaws, those of a dead one never run, so a process can be killed
between any two steps and leaves nothing behind but what is already on its way.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import Any

STEPS_MAX = 500_000  # of a run; a usual one has some ten thousand


class Killed(BaseException):
    """Ends the step in which a process dies; nothing can be made of it."""


class Process:
    """One life of a worker."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_frozen = False
        self.steps_left = -1  # it is killed when they are used up; -1: no such end
        self.tasks: list[asyncio.Task[Any]] = []
        self.pending: list[asyncio.Handle] = []

    @property
    def is_running(self) -> bool:
        """Whether the process is neither dead nor frozen."""
        return not (self.is_dead or self.is_frozen)

    def runs(self, handle: asyncio.Handle) -> bool:
        """Whether its next callback may run; else it is kept."""
        if self.is_running and self.steps_left:
            self.steps_left -= 1
            return True
        self.is_dead = self.is_dead or not self.steps_left
        self.pending.append(handle)
        return False


_process: ContextVar[Process | None] = ContextVar("process", default=None)


class Loop(asyncio.BaseEventLoop):
    """An event loop on simulated time (seconds)."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._outside = Context()
        self._processes: list[Process] = []
        self._ends = False
        self._steps = 0
        self.failures: list[str] = []
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._now

    def spawn(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        """Let a process do this; what it starts belongs to it too."""
        context = copy_context()
        context.run(_process.set, process)
        if process not in self._processes:
            self._processes.append(process)
        process.tasks.append(self.create_task(work, context=context))

    def outside(self, delay_s: float, callback: Any, *args: Any) -> None:
        """Call later in the world around the processes."""
        self.call_later(delay_s, callback, *args, context=self._outside)

    def thaw(self, process: Process) -> None:
        """Let a process go on where it was frozen."""
        process.is_frozen = False
        self._ready.extend(process.pending)
        process.pending.clear()

    def unwind(self) -> None:
        """End everything: all that was left off is called off, so that nothing is left pending."""
        self._ends = True
        for process in self._processes:
            self._ready.extend(process.pending)
        while tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()  # again: Python 3.11's wait_for may swallow it
            self.run_until_complete(_ended(tasks))
        self.close()

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback failed. A process that dies leaves tasks behind whose end nothing awaits: that is no failure."""
        if not isinstance(context.get("exception"), Killed | BaseExceptionGroup):
            self.failures.append(f"{context['message']}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        """In place of the selector: one callback, or the next moment at which there is one."""
        scheduled, ready = self._scheduled, self._ready
        if not ready:
            assert scheduled, "nothing is left that could happen"
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        self._steps += 1
        assert self._steps < STEPS_MAX, f"no end after {STEPS_MAX} steps, at {self._now:.3f} s"
        handle = ready.popleft()
        if handle.cancelled():
            return
        process = handle._context.get(_process)
        if process is None or self._ends or process.runs(handle):
            handle._run()


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=1.0)
