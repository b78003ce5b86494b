"""Worker processes for the demo, the tests and the benchmark.

A process that is started here is ended here, by its own process id, also when this one is killed.
"""

import atexit
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, Self

from pydantic import SecretStr

from local import reaper

READY = "claimed partitions"
_ADDRESS = re.compile(r"(?:serving metrics and health.*address=|segmenter ops: http://)([^\s/]+)")
_SERVES_WITHIN_S = 20.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def _as_text(value: object) -> str:
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


class RunningProcess(Protocol):
    """A process that was started, as `subprocess.Popen` is."""

    pid: int

    def poll(self) -> int | None:
        """The exit code; ``None`` while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired` after so many seconds."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal, unless it has ended."""

    def terminate(self) -> None:
        """Send SIGTERM."""


SEGMENTER = ("-m", "streams")


def spawn(
    program: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
) -> RunningProcess:
    """Start a program with these arguments in an interpreter of its own; it writes into the log."""
    command = [sys.executable, *program, *arguments]
    return _WatchedProcess(command, env=environment, stdout=log, stderr=log, start_new_session=True)


class _WatchedProcess(subprocess.Popen[bytes]):
    """A process that ends with this one. Once its end is known it is watched no more: its number may be another's."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        super().__init__(command, **options)
        self._is_watched = True
        reaper.SHARED.watch(self.pid, _logs())

    def poll(self) -> int | None:
        code = super().poll()
        if code is not None:
            self._forget()
        return code

    def wait(self, timeout: float | None = None) -> int:
        code = super().wait(timeout)
        self._forget()
        return code

    def _forget(self) -> None:
        if self._is_watched:
            self._is_watched = False
            reaper.SHARED.forget(self.pid)


@functools.cache
def _logs() -> Path:
    """The folder of the logs, which goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="segmenter-logs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# How the processes of this module are started; the tests put another one here, which shares imports.
launcher: Callable[[Sequence[str], Sequence[str], Mapping[str, str], IO[bytes]], RunningProcess] = spawn


class Worker:
    """One ``segmenter worker``; its log is a file. Environment: ``SEGMENTER_…`` without the prefix."""

    program: Sequence[str] = SEGMENTER
    command = "worker"
    options: tuple[str, ...] = ("--loglevel", "info")
    ready = READY

    def __init__(self, settings: Mapping[str, object], *arguments: str, log: Path | None = None) -> None:
        self._arguments = arguments
        self.environment = {
            **os.environ,
            **{f"SEGMENTER_{name.upper()}": _as_text(value) for name, value in settings.items()},
        }
        self.log = log or Path(tempfile.mkstemp(prefix=f"{self.command}-", suffix=".log", dir=_logs())[1])
        self.process: RunningProcess | None = None

    def start(self, **environment: str) -> Self:
        """Start the process; `wait_ready` waits for its first claim."""
        arguments = [self.command, *self.options, *self._arguments]
        with self.log.open("ab") as log:
            self.process = launcher(self.program, arguments, {**self.environment, **environment}, log)
        return self

    def wait_ready(self, timeout_s: float = 180.0) -> Self:
        """Wait until partitions are claimed. Raises `RuntimeError` with the end of the log."""
        until = time.monotonic() + timeout_s
        while self.ready not in self.log.read_text(errors="replace"):
            if self.exit_code is not None or time.monotonic() > until:
                raise RuntimeError(f"the worker is not ready ({self.exit_code}):\n{self.tail()}")
            time.sleep(0.05)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def http(self) -> str:
        """host:port where it serves metrics, or the page; of the newest start.

        It may be ready shortly before it serves. Raises `RuntimeError` with the end of the log.
        """
        until = time.monotonic() + _SERVES_WITHIN_S
        while not (addresses := _ADDRESS.findall(self.log.read_text())):
            if self.exit_code is not None or time.monotonic() > until:
                raise RuntimeError(f"nothing is served ({self.exit_code}):\n{self.tail()}")
            time.sleep(0.05)
        return str(addresses[-1])

    @property
    def exit_code(self) -> int | None:
        """The exit code; ``None`` while it runs."""
        return None if self.process is None else self.process.poll()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def stop(self, timeout_s: float = 20.0) -> int | None:
        """End the process by SIGTERM, or SIGKILL if that is not enough. Returns the exit code."""
        if self.exit_code is None and self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.exit_code

    def kill(self) -> None:
        """Kill the process (kill -9)."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Triggers(Worker):
    """One process of ``segmenter triggers``; its file is the setting ``triggers``."""

    command = "triggers"


class Ops(Worker):
    """One process of ``segmenter ops``."""

    command = "ops"
    options = ()
    ready = "segmenter ops: http://"


class Gateway(Worker):
    """One ``segmenter gateway``; its file is the setting ``gateway``."""

    command = "gateway"
    options = ()
    ready = "segmenter gateway: http://"

    @property
    def address(self) -> str:
        """host:port where it takes events; of the newest start."""
        return self.log.read_text().rpartition(self.ready)[2].split()[0]
