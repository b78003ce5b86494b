"""The worker's own tasks: none of them may end it, or itself, without a word."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from streams.runtime import faust_app


class Stopped(Exception):
    """Stands in for the end of the process."""


async def test_a_task_that_fails_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust would crash in its own way; a supervisor is to see exit code 75 and a sentence."""
    sentences: list[str] = []

    def stop(sentence: str) -> None:
        sentences.append(sentence)
        raise Stopped

    async def action() -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr(faust_app, "stop", stop)
    with pytest.raises(Stopped):
        await asyncio.wait_for(faust_app._every(0, action)(), 5)
    (sentence,) = sentences
    assert sentence.startswith("a defect ended a task (LookupError at test_faust_app.py:")
    assert sentence.endswith("); please report it with the log above")


@pytest.mark.parametrize(("within_s", "lasts_s", "code"), [(0.2, 30, 0), (30, 0.2, 3)])
def test_what_does_not_end_is_ended(within_s: float, lasts_s: float, code: int) -> None:
    """A process that does not end exits with code 0, as all is saved; one that ends in time has its own code."""
    program = f"import sys, time, streams.stop as s; s.end_at_last({within_s}); time.sleep({lasts_s}); sys.exit(3)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == code
    assert time.monotonic() - began < 20
