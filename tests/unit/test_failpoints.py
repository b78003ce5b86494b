"""Fail points: off unless a setting asks for them, and then exactly where and when it asks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams import failpoints


def passing(program: str, point: str | None) -> subprocess.CompletedProcess[bytes]:
    """A process that prints each fail point that it passed."""
    environment = {name: value for name, value in os.environ.items() if name != "SEGMENTER_FAIL_POINT"}
    environment |= {} if point is None else {"SEGMENTER_FAIL_POINT": point}
    command = [sys.executable, "-c", f"from streams.failpoints import NAMES, happens, reach\n{program}"]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("point", "passed", "code"),
    [
        (None, 300, 0),
        ("", 300, 0),
        ("after_save:4", 9, -signal.SIGKILL),
        ("after_load:100", 299, -signal.SIGKILL),
        ("after_load:101", 300, 0),
        ("after_publish:1:SIGTERM", 1, -signal.SIGTERM),
    ],
)
def test_fail_points(point: str | None, passed: int, code: int) -> None:
    """Without the variable nothing happens; with it the process gets its signal there, at that time."""
    names = "('after_save', 'after_publish', 'after_load')"
    done = passing(f"for name in {names} * 100: reach(name) or print(name, flush=True)", point)
    assert (done.returncode, len(done.stdout.splitlines())) == (code, passed)


def test_a_fail_point_that_does_not_kill_happens_once() -> None:
    """A fail point that does not kill happens at its count alone, and nothing else happens with it."""
    done = passing("print(*[happens('lost_save_reply') for _ in range(4)], happens('after_save'))", "lost_save_reply:3")
    assert done.stdout.split() == [b"False", b"False", b"True", b"False", b"False"]


def test_a_fail_point_that_does_not_exist_is_no_silent_pass() -> None:
    """A name misspelt would make every test that relies on it pass."""
    done = passing("print('started')", "after_safe:1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"'after_safe' is no fail point; there are before_claim, " in done.stderr


@pytest.mark.parametrize("point", ["after_save", "after_save:", "after_save:0", "after_save:-1", "after_save:1:SIGX"])
def test_a_fail_point_without_a_time_is_no_silent_pass(point: str) -> None:
    """A signal that does not exist is refused, too."""
    done = passing("print('started')", point)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"write after_save:1 or after_save:1:SIGTERM" in done.stderr


def test_every_fail_point_is_somewhere_in_the_worker_and_described() -> None:
    """What `NAMES` promises to a test is reached, and the table says where."""
    folder = Path(failpoints.__file__).parent
    sources = [path.read_text() for path in folder.rglob("*.py") if path.name != "failpoints.py"]
    reached = {name for text in sources for name in re.findall(r'\b(?:reach|happens|reach_record)\(\s*"(\w+)"', text)}
    assert reached == set(failpoints.NAMES)
    assert reached <= set(re.findall(r"\w+", failpoints.__doc__ or ""))
