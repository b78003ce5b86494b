"""Fixtures of the tests of triggers on real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.servers import Kafka, Redis
from tests.support.trigger_processes import (
    _names,
    settings_of,
)


@pytest.fixture
def parts(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> dict[str, Any]:
    """Settings of a worker and of triggers, all under a name of its own; the triggers file is written by the test."""
    return settings_of(kafka, redis_server, tmp_path, next(_names))
