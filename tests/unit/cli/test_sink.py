"""The command ``segmenter sink``."""

from __future__ import annotations

import importlib.util

import pytest

from streams.cli import sink
from streams.settings import Settings
from streams.stop import Stop


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is no dependency of a worker, so it may be missing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Stop, match=r"the package psycopg is missing; install it with pip install 'psycopg\[binary\]'"):
        sink.run(Settings(), once=True)
