"""Commands that run altered lines first, and a Kafka that falls silent while they send."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.servers import Kafka
from tests.support.commands import Done, environment

RUN = "from streams.cli.main import main\nmain()"


def run_altered(lines: str, *arguments: str, stdin: bytes = b"", **settings: object) -> Done:
    """A command that runs these lines first."""
    command = [sys.executable, "-c", f"{lines}\n{RUN}", *arguments]
    done = subprocess.run(command, input=stdin, env=environment(settings), capture_output=True, timeout=60, check=False)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


FALLS_SILENT = """
import os, signal, time
from streams.cli import delivery
delivery.ANSWER_MAX_S = 4
send = delivery.Sender.send
def send_on(self, number, *of, **record):
    if number == {number}:
        time.sleep(1)  # what was sent before is acknowledged
        os.kill({pid}, signal.SIGSTOP)
    if number > {number}:
        time.sleep(0.3)  # there is always more to be sent
    return send(self, number, *of, **record)
delivery.Sender.send = send_on
"""


@contextmanager
def falling_silent(mortal: Kafka, number: int) -> Iterator[str]:
    """Lines by which Kafka no longer answers when a command sends the record of this number."""
    try:
        yield FALLS_SILENT.format(number=number, pid=mortal.pid)
    finally:
        os.kill(mortal.pid, signal.SIGCONT)
