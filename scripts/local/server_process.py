"""One server process on loopback, with its start, its readiness check, and its end.

A server has its data in a folder of its own and ends with the process that started it,
however that process ends. `start` returns once the server answers; `stop` ends it and removes its data;
`kill9` and `restart` keep them.
"""

import abc
import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from local.reaper import SHARED as REAPER

__all__ = ["HOST", "Server", "StartError", "free_port"]

HOST = "127.0.0.1"
LOG_TAIL_LINES = 30
STOP_S = 10.0  # an orderly end takes Kafka 1-3 s


class StartError(Exception):
    """A server cannot start here; the text says what to install, or ends with the server's log."""


class Server(abc.ABC):
    """One server process: started at most once at a time, ended by its own process group."""

    name: ClassVar[str]

    def __init__(self, *, port: int | None = None, start_timeout_s: float = 30.0) -> None:
        self.port = port or free_port()
        self.start_timeout_s = start_timeout_s
        self.folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def start(self) -> Self:
        """Start the server on the data that it has, and return once it answers."""
        if self.running:
            return self
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix=f"segmenter-{self.name.lower()}-"))
            atexit.register(self.stop)
        try:
            command = self._prepare(self.folder)
        except BaseException:
            self.stop()
            raise
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: ended as a whole, and not reached by a Ctrl-C
            )
        REAPER.watch(self._process.pid, self.folder)
        self._wait_until_it_answers()
        return self

    def stop(self) -> None:
        """End the server and remove its data; without effect on a server that was not started."""
        self._end(signal.SIGKILL)  # its data are removed, too, so it need not write them out
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
            atexit.unregister(self.stop)

    def kill9(self) -> None:
        """End the server as a crash would; `start` starts it again on the same port and data."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """End the server in order, and start it on the same port and data."""
        self._end(signal.SIGTERM)
        return self.start()

    def log_tail(self) -> str:
        """The last lines that the server printed."""
        if self.folder is None:
            return ""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.stop()

    @abc.abstractmethod
    def _prepare(self, folder: Path) -> Sequence[str]:
        """Write the server's configuration, and return the command that starts it."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Whether the server is ready for clients; OSError counts as no."""

    def _wait_until_it_answers(self) -> None:
        """Wait until the server is ready. Raises `StartError` with the end of its log if it ends or takes too long."""
        deadline = time.monotonic() + self.start_timeout_s
        while True:
            with contextlib.suppress(OSError):
                if self._answers():
                    return
            if not self.running:
                why = f"ended with exit code {self._process.returncode if self._process else None}"
            elif time.monotonic() > deadline:
                why = f"did not answer on {self.address} within {self.start_timeout_s:g} s"
            else:
                time.sleep(0.02)
                continue
            tail = self.log_tail()
            self.stop()
            raise StartError(f"{self.name} {why}. The end of its log:\n{tail}")

    def _end(self, first: signal.Signals) -> None:
        if self._process is None:
            return
        # The group's number is not reused until wait() has reaped its leader.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, first)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        REAPER.forget(self._process.pid)
        self._process = None


def free_port() -> int:
    """A free port below Linux's ephemeral range, so that no outgoing connection takes it meanwhile."""
    for _ in range(100):
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise StartError("No free port between 20000 and 32000.")
