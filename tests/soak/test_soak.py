"""The soak: a short one is equal, and its audit would find errors.

The checks of all customers are tried on changes made here; the others are those of fault runs, and are tried there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fault_runs.evidence import SLOW_MS, In
from soak_runs.audit import Pass
from soak_runs.fold import CustomerFold
from soak_runs.memory import Quarter, grown

ROOT = Path(__file__).parents[2]


@pytest.mark.kafka
@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2])
def test_a_short_soak_is_equal(seed: int) -> None:
    """A soak of some seconds with a fault or two is equal, with transactions and without."""
    options = f"--seed {seed} --minutes 0.4 --rate 200 --every 8 12 --sample 300"
    command = [sys.executable, "-m", "soak_runs.main", *options.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nequal\n" in done.stdout
    assert "customers asked of the oracle" in done.stdout


def change(sequence: int, what: str, segment: str, segments: list[str], at: str = "1") -> bytes:
    body: dict[str, Any] = {"customer_id": "u", "change": what, "segment": segment, "sequence": sequence}
    more = {"segments": segments, "cause": {"kind": "time"}, "emitted_at": at}
    return json.dumps({**body, **more}, separators=(",", ":")).encode()


FIRST = change(1, "entered", "a", ["a"])


@pytest.mark.parametrize(
    ("then", "invariants"),
    [
        (change(2, "exited", "a", []), []),
        (change(1, "entered", "a", ["a"], at="2"), ["I4"]),
        (change(1, "entered", "b", ["b"]), ["I4"]),
        (change(3, "exited", "a", []), ["I5"]),
        (change(2, "entered", "a", []), ["I3"]),
        (change(2, "entered", "b", ["b"]), ["I2"]),
        (change(2, "exited", "a", []).replace(b'"u"', b'"v"'), ["I1"]),
    ],
)
def test_what_is_told_is_added_up(then: bytes, invariants: list[str]) -> None:
    """A second change is judged by the one before it, and what is wrong with it is found."""
    fold, counts = CustomerFold(), Counter[str]()
    assert list(fold.add("u", FIRST, counts)) == []
    assert [finding.partition(":")[0] for finding in fold.add("u", then, counts)] == invariants
    assert counts["repeats"] == (b'"sequence":1' in then)


def test_whoever_may_be_late_is_known() -> None:
    """Late customers are found by Kafka's time and the event's own; without the sample no input is stored."""
    made = b'{"timestamp":"2026-01-01T00:00:00.000+00:00"}'
    audit_pass = Pass(1, share=0.0)
    for name, delay_ms in (("live-0-1", SLOW_MS), ("live-0-2", SLOW_MS + 1), ("u1", 7_200_000)):
        audit_pass.read(In("visits", 0, 0, 1_767_225_600_000 + delay_ms, name.encode(), made, None))
    assert audit_pass.slow == {"live-0-2"}
    assert len(audit_pass.customers) == 3
    assert not audit_pass.inputs


@pytest.mark.parametrize(
    ("last", "count"),
    [
        (Quarter(120.0, 900, 420.0), 0),
        (Quarter(None, 900, 400.0), 0),
        (Quarter(126.0, 900, 400.0), 1),
        (Quarter(100.0, 900, 441.0), 1),
    ],
)
def test_memory_that_grows_is_found(last: Quarter, count: int) -> None:
    """Workers may grow by a quarter, Redis by a tenth for each customer."""
    first, peak = Quarter(90.0, 300, 400.0), Quarter(110.0, 600, 500.0)
    assert len(list(grown([first, peak, last, last]))) == count


def test_too_little_to_compare_is_found() -> None:
    """A quarter without a measurement is a finding; short quarters are not compared."""
    assert list(grown([Quarter(100.0, 300, 400.0), Quarter(200.0, 300, 800.0)], 30.0)) == []
    assert len(list(grown([Quarter(None, 300, 400.0), Quarter(100.0, 300, 400.0)]))) == 1
