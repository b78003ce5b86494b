"""Records of other programs on the output topics: bytes that are no text are told as what is no JSON."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from streams.triggers import decision_log
from streams.wire import changes, memberships


@pytest.mark.parametrize("decode", [changes.decode, changes.published_change, memberships.decode, decision_log.decode])
@pytest.mark.parametrize("field", [b"change_id", b"customer_id", b"decision_id", b"\xff"])
def test_bytes_that_are_no_text_are_a_decode_error(decode: Callable[[bytes], object], field: bytes) -> None:
    """Else one such record would end each process that reads the topic."""
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"' + field + b'":"\xff"}')
