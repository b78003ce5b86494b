"""Workers and their supervisor, which checks why a worker ended, and starts another one.

The one rule: a worker ends because it was told to, because it was killed, or with exit code 75 and a sentence that this
fault may cause. Any other end is a finding, and so are crashes that go on.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.processes import Worker

__all__ = ["Crew", "Member"]

STOPPED = 75
STARTS_MAX = 12
RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")
SENTENCE = re.compile(r"segmenter stopped: (.*)")


class Member:
    """One worker process, and the permitted reasons for its end."""

    def __init__(self, worker: Worker, fail_point: str = "") -> None:
        self.worker = worker
        self.fail_point = fail_point
        self.is_terminating = False  # it was sent SIGTERM
        self.killed = False
        self.frozen = False
        self._began = time.monotonic()

    @property
    def age_s(self) -> float:
        """The time (s) since its start."""
        return time.monotonic() - self._began

    @property
    def memory_mb(self) -> float:
        """The resident memory; 0 of a process that has ended."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.worker.pid}/status").read_text()
            if match := RESIDENT.search(status):
                return int(match[1]) / 1024
        return 0.0

    @property
    def sentence(self) -> str:
        """The sentence with which it stopped for safety."""
        sentences = SENTENCE.findall(self.worker.log.read_text(errors="replace"))
        return sentences[-1] if sentences else ""

    @property
    def is_ready(self) -> bool:
        """Whether it has joined the group, even if no partition was left for it."""
        return "Worker ready" in self.worker.log.read_text(errors="replace")


class Crew:
    """The workers of one group; call `tend` now and then."""

    def __init__(self, settings: Mapping[str, object], folder: Path, stops: Sequence[str]) -> None:
        self.members: list[Member] = []
        self.findings: list[str] = []
        self.deaths: list[str] = []
        self.environment: dict[str, str] = {}
        self.successors: list[str] = []  # the fail points of the next workers, in order
        self.replaces = True  # whether a worker that ends is replaced
        self.starts_max = STARTS_MAX
        self._settings = dict(settings)
        self._folder = folder
        self._stops = [re.compile(pattern) for pattern in stops]
        self._started = 0

    def hire(self, *arguments: str, fail_point: str = "") -> Member:
        """Start one more worker; it dies at the fail point if one is named."""
        self._started += 1
        worker = Worker(self._settings, *arguments, log=self._folder / f"worker-{self._started}.log")
        environment = {"SEGMENTER_FAIL_POINT": fail_point} if fail_point else {}
        member = Member(worker.start(**self.environment, **environment), fail_point)
        self.members.append(member)
        return member

    def tend(self) -> None:
        """Check each worker that has ended, and start another one in its place."""
        for member in tuple(self.members):
            if member.worker.exit_code is None:
                continue
            self.members.remove(member)
            self._judge(member)
            if self.replaces and not member.is_terminating and self._started < self.starts_max:
                self.hire(fail_point=self.successors.pop(0) if self.successors else "")

    def _judge(self, member: Member) -> None:
        code, sentence = member.worker.exit_code, member.sentence
        if member.is_terminating and (code == 0 or (code == -signal.SIGTERM and not member.is_ready)):
            self.deaths.append("ended in order")
        elif code == -signal.SIGKILL and (member.killed or member.fail_point):
            self.deaths.append(f"died at {member.fail_point}" if member.fail_point else "killed")
        elif code == STOPPED and any(pattern.search(sentence) for pattern in self._stops):
            self.deaths.append(f"75: {sentence}")
            if member.fail_point and not member.frozen:  # on a busy machine it may stop before its fail point
                self.successors.insert(0, member.fail_point)
        else:
            self.findings.append(f"a worker ended with {code}, saying {sentence!r}:\n{member.worker.tail(25)}")
        if self._started == self.starts_max:
            self.findings.append(f"{self.starts_max} starts were not enough; the last deaths: {self.deaths[-3:]}")

    def kill(self, member: Member) -> None:
        """Kill a worker (kill -9)."""
        member.killed = True
        member.worker.kill()

    def freeze(self, member: Member) -> None:
        """Freeze a worker (SIGSTOP)."""
        member.frozen = True
        os.kill(member.worker.pid, signal.SIGSTOP)

    def thaw(self, member: Member) -> None:
        """Wake a frozen worker (SIGCONT)."""
        member.frozen = False
        os.kill(member.worker.pid, signal.SIGCONT)

    def end(self, member: Member) -> None:
        """End a worker (SIGTERM), wait for its end, and check it."""
        member.is_terminating = True
        member.worker.stop()
        self.tend()

    def end_all(self) -> None:
        """End all workers in order, before the audit."""
        for member in self.members:
            member.is_terminating = True
            if member.frozen:
                self.thaw(member)
        for member in tuple(self.members):
            member.worker.stop()
        self.tend()

    def kill_all(self) -> None:
        """Kill all workers that are left, at once: the run is over."""
        for member in self.members:
            member.worker.kill()
        self.members.clear()

    def wait_ready(self, within_s: float = 240.0) -> None:
        """Wait until every worker owns a partition, as far as there are enough of them."""
        until = time.monotonic() + within_s
        while not all(member.is_ready for member in self.members):
            self.tend()
            if time.monotonic() > until:
                self.findings.append(f"a worker was not ready within {within_s:.0f} s")
                return
            time.sleep(0.05)
