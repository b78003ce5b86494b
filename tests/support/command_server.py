"""Runs commands in processes that are forked from one which has imported the command line already.

A test run starts many hundreds of commands, and importing what they need takes most of a short command's time. Each
command still is a process of its own, with its own environment, streams and exit code; only the imports are shared.

    the tests       connect, and send arguments, environment and folder with three descriptors
    server          forks a supervisor, which forks the command and waits for it
    the tests       get the command's process id, and its exit code once it has ended

A command sees nothing of another one. The server runs none itself, and starts no thread.

See also `tests.support.commands.segmenter` (commands that end), and `launch` (processes that go on).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from local import processes
from local.processes import RunningProcess

_CHUNK = 65_536


class ForkedCommand:
    """A command that runs. ``pid``: its process."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._code: int | None = None
        self._answer = b""
        self.pid = int(self._read_line(None) or 0)

    def poll(self) -> int | None:
        """The exit code; ``None`` while it runs; negative: the signal that ended it."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired` after so many seconds."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("segmenter", timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int, /) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended since, and its supervisor has not said so yet
                os.kill(self.pid, number)

    def _ended(self, timeout: float | None) -> int | None:
        if self._code is None and (line := self._read_line(timeout)) is not None:
            self._code = int(line)
            self._connection.close()
        return self._code

    def _read_line(self, timeout: float | None) -> bytes | None:
        """The next line of the supervisor; ``None``: it did not come in time (s)."""
        self._connection.settimeout(timeout)
        while b"\n" not in self._answer:
            try:
                piece = self._connection.recv(_CHUNK)
            except (TimeoutError, BlockingIOError):
                return None
            assert piece, "the server of commands has ended"
            self._answer += piece
        line, _, self._answer = self._answer.partition(b"\n")
        return line


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
) -> ForkedCommand:
    """Start the command line with these arguments. ``streams``: stdin, stdout and stderr, files with descriptors."""
    server = _server()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    request = json.dumps([list(arguments), dict(environment), str(Path.cwd())]).encode()
    descriptors = [stream.fileno() for stream in streams]
    try:
        connection.connect(server.address)
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], descriptors)
        connection.sendall(request)
        return ForkedCommand(connection)
    except ConnectionError as error:
        ended = server.process.poll()
        raise AssertionError(f"the server of commands ended with {ended}: {server.log.read_text()}") from error


def launch(
    program: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
) -> RunningProcess:
    """Start a worker, triggers or the page, in place of `local.processes.spawn`.

    The interpreter is a fresh one where the program is another one, or where something is set that is read at start: a
    fail point, or a variable of the interpreter.
    """
    is_plain = tuple(program) == processes.SEGMENTER and "SEGMENTER_FAIL_POINT" not in environment
    if not is_plain or _of_interpreter(environment) != _of_interpreter(os.environ):
        return processes.spawn(program, arguments, environment, log)
    with Path(os.devnull).open("rb") as nothing:
        return start(arguments, environment, (nothing, log, log))


def _of_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables which the interpreter reads when it starts."""
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LD_"))}


class _Server(NamedTuple):
    """The server of this process. ``log``: what it writes to stderr."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path


@cache
def _server() -> _Server:
    """The server, which is started at the first call and ends with the process."""
    folder = tempfile.TemporaryDirectory(prefix="commands-")
    address = f"{folder.name}/server"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    log = Path(folder.name) / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server", str(listener.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=[listener.fileno()],
        )  # fmt: skip
    listener.close()

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()  # by which the server ends
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return _Server(address, process, log)


# --- the server's process ------------------------------------------------------------------------


def _import_commands() -> None:
    """Import the command line and what its commands import when they run."""
    package: Any = importlib.import_module("streams.cli")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"streams.cli.{module.name}")
    for name in ("streams.kafka.admin", "streams.worker.app", "streams.triggers.app", "streams.ops.app"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that a collection in a command does not touch, and so copy, what all have in common


def _serve(listener: socket.socket) -> tuple[list[str], dict[str, str], str] | None:
    """Fork a command for each connection. Returns its request in the command's process; ``None`` at the end."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if any(key.fileobj is sys.stdin for key, _ in selector.select()):
                return None
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    return _supervise(connection)


def _supervise(connection: socket.socket) -> tuple[list[str], dict[str, str], str]:
    """Fork the command and wait for it. Returns in the command's process only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    request = b""
    while len(request) < int.from_bytes(length, "big"):
        request += connection.recv(_CHUNK)
    if (pid := os.fork()) == 0:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        connection.close()
        os.setsid()
        arguments, environment, folder = json.loads(request)
        return arguments, environment, folder
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):  # the process that started it may have ended
        connection.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def main() -> None:
    """Serve until stdin ends; in the process of a command, be that command."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    _import_commands()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
    request = _serve(listener)
    if request is None:
        return
    arguments, environment, folder = request
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["streams", *arguments]
    runpy.run_module("streams", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
