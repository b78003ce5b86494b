"""Who may follow changes, and how many at once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from streams.gateway.change_streams import OF_CUSTOMER_MAX, ChangeStreams, Follower


def test_one_customer_takes_no_place_of_others() -> None:
    """Beyond its bound a customer is followed no more, others are; a place that is left is free again."""
    streams = ChangeStreams({}, "", 1)
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(streams.follow(Follower(), "u1"))
        for _ in range(OF_CUSTOMER_MAX - 1):
            stack.enter_context(streams.follow(Follower(), "u1"))
        with pytest.raises(OverflowError), streams.follow(Follower(), "u1"):
            pass
        stack.enter_context(streams.follow(Follower(), "u2"))
        first.close()
        stack.enter_context(streams.follow(Follower(), "u1"))
