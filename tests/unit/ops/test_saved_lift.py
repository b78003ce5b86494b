"""The file of a lift: what it is read as, and what is said where it is none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.offline.lift import Lift, lift
from streams.ops.responses import Lifts
from streams.ops.saved_lift import saved_lifts
from streams.triggers.config import Goal

GOAL = Goal.model_validate({"event": "Order Completed", "within": "7d"})


def test_the_lifts_of_a_file_are_read(tmp_path: Path) -> None:
    """What `segmenter lift --save` writes is read back as it was."""
    made: list[Lift] = [lift("cart", GOAL, {}, 0, {}, {}, 1_000)]
    path = tmp_path / "lift.json"
    path.write_bytes(msgspec.json.encode(made))
    assert saved_lifts(path) == Lifts(None, made)
    assert saved_lifts(None) == Lifts(None, [])


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[1]", b"[{}]", b"\xff", b'[{"trigger":"\xff"}]', b"[" * 10_000, b" " * (4 << 20) + b"[]"]
)
def test_another_file_is_said_to_be_one(document: bytes, tmp_path: Path) -> None:
    """Whatever lies there, the page gets a sentence."""
    path = tmp_path / "lift.json"
    path.write_bytes(document)
    assert saved_lifts(path) == Lifts(f"{path} is no file of segmenter lift --save", [])


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """Until the first lift is saved, the page says how."""
    path = tmp_path / "none.json"
    assert saved_lifts(path) == Lifts(
        f"{path} cannot be read (No such file or directory); see segmenter lift --save", []
    )
