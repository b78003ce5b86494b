"""The worker's own tasks: none of them may end it, or itself, without a word."""

from __future__ import annotations

import asyncio

import pytest

from streams import app


class Stopped(Exception):
    """What stands in for the end of the process."""


async def test_a_task_that_fails_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust would crash in its own way; a supervisor is to see exit code 75 and a sentence."""
    said: list[str] = []

    def stop(sentence: str) -> None:
        said.append(sentence)
        raise Stopped

    async def action() -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr(app, "stop", stop)
    with pytest.raises(Stopped):
        await asyncio.wait_for(app._every(0, action)(), 5)
    (sentence,) = said
    assert sentence.startswith("a defect ended a task (LookupError at test_app.py:")
    assert sentence.endswith("); please report it with the log above")
