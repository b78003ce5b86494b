"""Workers and their supervisor: whoever dies is judged, and started again.

The one rule: a worker ends because it was told to, because it was killed, or with exit code 75 and a
sentence that this fault may cause. Anything else is a finding, and so is a crash without end.
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
    """One worker process, and why it may die."""

    def __init__(self, worker: Worker, fail_point: str = "") -> None:
        self.worker = worker
        self.fail_point = fail_point
        self.is_terminating = False  # it was sent SIGTERM
        self.killed = False
        self.frozen = False
        self._began = time.monotonic()

    @property
    def age_s(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._began

    @property
    def memory_mb(self) -> float:
        """Resident memory; 0 of one that has ended."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.worker.pid}/status").read_text()
            if match := RESIDENT.search(status):
                return int(match[1]) / 1024
        return 0.0

    @property
    def sentence(self) -> str:
        """With which it stopped for safety."""
        sentences = SENTENCE.findall(self.worker.log.read_text(errors="replace"))
        return sentences[-1] if sentences else ""

    @property
    def is_ready(self) -> bool:
        """Whether it has taken part in the group, even if there was no partition left for it."""
        return "Worker ready" in self.worker.log.read_text(errors="replace")


class Crew:
    """So many workers of one group; `tend` it now and then."""

    def __init__(self, settings: Mapping[str, object], folder: Path, stops: Sequence[str]) -> None:
        self.members: list[Member] = []
        self.findings: list[str] = []
        self.deaths: list[str] = []
        self.environment: dict[str, str] = {}
        self.successors: list[str] = []  # the fail points of those who follow the dead, one after the other
        self.replaces = True  # whether anybody follows
        self.starts_max = STARTS_MAX
        self._settings = dict(settings)
        self._folder = folder
        self._stops = [re.compile(pattern) for pattern in stops]
        self._started = 0

    def hire(self, *arguments: str, fail_point: str = "") -> Member:
        """One worker more; it dies at the fail point if one is named."""
        self._started += 1
        worker = Worker(self._settings, *arguments, log=self._folder / f"worker-{self._started}.log")
        environment = {"SEGMENTER_FAIL_POINT": fail_point} if fail_point else {}
        member = Member(worker.start(**self.environment, **environment), fail_point)
        self.members.append(member)
        return member

    def tend(self) -> None:
        """Judge the dead, and start another for each that should go on."""
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
            if member.fail_point and not member.frozen:  # on a busy machine it may have to stop before it comes there
                self.successors.insert(0, member.fail_point)
        else:
            self.findings.append(f"a worker ended with {code}, saying {sentence!r}:\n{member.worker.tail(25)}")
        if self._started == self.starts_max:
            self.findings.append(f"{self.starts_max} starts were not enough; the last deaths: {self.deaths[-3:]}")

    def kill(self, member: Member) -> None:
        """kill -9."""
        member.killed = True
        member.worker.kill()

    def freeze(self, member: Member) -> None:
        """SIGSTOP: the process is there and does nothing."""
        member.frozen = True
        os.kill(member.worker.pid, signal.SIGSTOP)

    def thaw(self, member: Member) -> None:
        """SIGCONT."""
        member.frozen = False
        os.kill(member.worker.pid, signal.SIGCONT)

    def end(self, member: Member) -> None:
        """SIGTERM; waited for, and judged."""
        member.is_terminating = True
        member.worker.stop()
        self.tend()

    def end_all(self) -> None:
        """Everybody, in order; before the run is looked at."""
        for member in self.members:
            member.is_terminating = True
            if member.frozen:
                self.thaw(member)
        for member in tuple(self.members):
            member.worker.stop()
        self.tend()

    def kill_all(self) -> None:
        """Whatever is left, at once: the run is over."""
        for member in self.members:
            member.worker.kill()
        self.members.clear()

    def wait_ready(self, within_s: float = 240.0) -> None:
        """Until everybody holds something, as far as there are partitions for all."""
        until = time.monotonic() + within_s
        while not all(member.is_ready for member in self.members):
            self.tend()
            if time.monotonic() > until:
                self.findings.append(f"a worker was not ready within {within_s:.0f} s")
                return
            time.sleep(0.05)
