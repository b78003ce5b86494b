"""Ends the servers and removes the folders that a process leaves behind, however that process ends.

The one rule: a watched group that was not forgotten is gone a moment after the watching process is, even after a
`kill -9`. A helper process reads a pipe whose other end only the watching process holds; the end of that pipe
is the signal. (Linux's PR_SET_PDEATHSIG would fire when the *thread* that started the server ends, and needs
a preexec_fn, which may deadlock beside threads.)
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

__all__ = ["SHARED", "Reaper"]


class Reaper:
    """The watching side: starts one helper process for all servers of this process, with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._helper: subprocess.Popen[str] | None = None

    def watch(self, group: int, folder: Path) -> None:
        """Have the helper end process group `group` and remove `folder` if this process ends before it forgets them."""
        self._tell(f"+ {group} {folder}")

    def forget(self, group: int) -> None:
        """Forget a group; to be called once it has ended, before its number can be reused."""
        self._tell(f"- {group}")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._helper is None:
                self._helper = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    start_new_session=True,  # so that a Ctrl-C in the terminal does not reach the helper
                )
            assert self._helper.stdin is not None
            self._helper.stdin.write(line + "\n")
            self._helper.stdin.flush()


# One helper serves all that a process starts.
SHARED = Reaper()


def reap_at_end(orders: TextIO) -> None:
    """The helper's side: follow the orders and, at their end, end the groups that are left."""
    watched: dict[int, str] = {}
    for line in orders:
        sign, group, *folder = line.rstrip("\n").split(" ", 2)
        if sign == "+":
            watched[int(group)] = folder[0]
        else:
            watched.pop(int(group), None)
    for left, path in watched.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(left, signal.SIGKILL)
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    reap_at_end(sys.stdin)
