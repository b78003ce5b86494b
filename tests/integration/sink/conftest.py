"""Fixtures of the tests of the sink: a PostgreSQL for all of them, in which each has a schema of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from local.postgres import Postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of this process."""
    with Postgres() as server:
        yield server


@pytest.fixture
def schema() -> str:
    """The name of a schema that is not there yet."""
    return f"sink_{next(_numbers)}"


@pytest.fixture
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """A connection for what the test asks."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection
