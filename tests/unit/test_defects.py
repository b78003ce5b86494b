"""The log of a defect: its place in the code, and never what a customer sent.

The id in these tests stands in exceptions, where a defect may well put it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from rules.changes import Change
from rules.customer import Customer
from rules.definitions.segments_file import built_in
from rules.engine import Engine
from rules.events import Event, Origin
from streams import defects
from streams.defects import Pseudonyms
from streams.kafka.fetch import Batch
from streams.runtime.input_buffer import read_record
from streams.state.contract import Claim, Identity, PartitionState
from streams.state.definition_versions import DefinitionVersions
from streams.state.memory import MemoryStore
from streams.wire.dead_letters import Undecodable
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.partition import WorkerPartition
from streams.worker.segmenter import SegmenterConfig, StepResult

CUSTOMER = "someone@example.com"
STREAMS = Path(__file__).parents[2] / "streams"


# --- names -------------------------------------------------------------------------------------


def test_a_customer_has_one_name_under_one_key() -> None:
    """The name is the same in every process with the key, and another under another key or for another customer."""
    key, other = SecretStr("the key of the shop"), SecretStr("the key of another shop" * 10)
    assert Pseudonyms(key)(CUSTOMER) == Pseudonyms(key)(CUSTOMER) == "customer-5f8829914d217ee4"
    named = {
        Pseudonyms(secret)(customer) for secret in (key, other) for customer in (CUSTOMER, CUSTOMER + " ", "مشتری")
    }
    assert len(named) == 6


def test_without_a_key_names_compare_within_one_process_only() -> None:
    """An id cannot be searched for in the log of another process."""
    names, later = Pseudonyms(), Pseudonyms(SecretStr(""))
    assert names(CUSTOMER) == names(CUSTOMER)
    assert names(CUSTOMER) != later(CUSTOMER)


# --- what is told ------------------------------------------------------------------------------


def failing() -> None:
    customers: dict[str, int] = {}
    try:
        customers[CUSTOMER]
    except KeyError as error:
        error.add_note("with carts-0, offset 5")
        raise ValueError(f"no {CUSTOMER}") from error


def test_a_defect_is_told_by_its_kind_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """The log has its causes and notes, without the text of an exception."""
    with pytest.raises(ValueError, match=CUSTOMER) as raised:
        failing()
    sentence = defects.report("partition 3", raised.value)
    assert sentence.startswith("a defect ended partition 3 (ValueError at test_defects.py:")
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.ERROR, None)
    for part in ("partition 3", "in failing", "ValueError", "KeyError", "with carts-0, offset 5"):
        assert part in caplog.text
    assert CUSTOMER not in sentence + caplog.text


def test_every_defect_is_told_so() -> None:
    """Nothing else in the package logs an exception with its text."""
    for path in STREAMS.rglob("*.py"):
        text = path.read_text()
        assert "log.exception" not in text, path
        # One removes it from the logs of others, the other looks for what a client can bring about.
        assert "exc_info" not in text or path in (STREAMS / "logs.py", STREAMS / "http" / "server.py"), path


class Record(NamedTuple):
    """A record as it comes from Kafka."""

    topic: str
    offset: int
    value: bytes | None = None
    key: bytes | None = None
    timestamp: int = 0


class Broken(Engine):
    """An engine that fails with the customer's id in its exception."""

    def apply(self, customer_id: str, customer: Customer, event: Event) -> list[Change]:
        raise KeyError(customer_id)

    fire = apply  # type: ignore[assignment]  # as far as a failure goes


def test_a_customer_that_cannot_be_decided_is_found_again() -> None:
    """The record identifies it, and so does a name that can be made from the id and the key."""
    names = Pseudonyms(SecretStr("key"))
    engine = Broken(built_in())
    claim = Claim(3, 1, "token", Identity("cluster", "group", 4, "definitions"))
    config = SegmenterConfig(
        now_ms=lambda: 0,
        belong=lambda customers: [True] * len(customers),
        dead_letter_limit=DeadLetterLimit(0.5, 10),
        pseudonym=names,
    )
    state = PartitionState({}, 0, 0, 0, [], 0)
    segmenter = WorkerPartition(MemoryStore(), claim, state, DefinitionVersions.initial(engine), config).segmenter
    result = StepResult([])
    event = Event(CUSTOMER, "page", 5, "m1", origin=Origin("visits", 3, 17))
    record = Record("visits", 17)
    ways: list[Callable[[], object]] = [
        lambda: segmenter._apply(event, engine.new(), record, result),
        lambda: segmenter._fire(CUSTOMER, engine.new(), 9, result),
    ]
    for decide in ways:
        with pytest.raises(KeyError) as raised:
            decide()
        trace = defects.trace(raised.value)
        assert names(CUSTOMER) in trace
        assert "partition 3" in trace or "visits-3, offset 17" in trace
        assert CUSTOMER not in trace


def test_a_record_that_cannot_be_read_for_a_defect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable record is a dead letter, and the log says which one, but not what it holds."""

    def decode(value: bytes, *_: object) -> Event:
        raise RuntimeError(value)

    monkeypatch.setattr("streams.wire.event_decoder.decode", decode)
    assert read_record(Record("visits", 17, CUSTOMER.encode()), Batch("visits", 3, 17, 18, [], 1)) == Undecodable(
        "bad_value"
    )
    assert "visits-3, offset 17" in caplog.text
    assert CUSTOMER not in caplog.text
