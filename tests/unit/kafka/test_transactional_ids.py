"""No two installations share a transactional id."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.transactional_ids import transactional_id
from streams.rights.acl_lines import of_kafka
from streams.rights.process_rights import NEEDS, TRIGGERS_PROCESS, WORKER
from streams.settings import Settings, of_triggers

# Parts of which names are made that could be taken for one another.
_PARTS = ("shop", "b", "-", "segment-changes-", "0", "12", ":", "triggers")
_names = st.lists(st.sampled_from(_PARTS), max_size=6).map("".join)


def taken_apart(full_id: str) -> tuple[str, str, int]:
    """Group, topic prefix and partition, read from the id alone."""
    match = re.fullmatch(r"(.*)segment-changes-(\d+)(?:-(\d+))?", full_id)
    assert match is not None
    before, partition, length = match[1], int(match[2]), int(match[3] or 0)
    index = len(before) - length
    return before[: index - 1], before[index:], partition


@given(group=_names, prefix=_names, partition=st.integers(0, 500))
def test_an_id_can_be_taken_apart_in_one_way(group: str, prefix: str, partition: int) -> None:
    """An id can be parsed in one way only, so installations that differ in group or prefix share no id."""
    assert taken_apart(transactional_id(group, prefix, partition)) == (group, prefix, partition)


def test_without_a_prefix_it_is_what_it_was() -> None:
    """The id is unchanged, so that a worker of this version fences one of the version before."""
    assert transactional_id("segmenter", "", 3) == "segmenter-segment-changes-3"


def test_the_right_that_is_documented_is_enough() -> None:
    """The documented right covers the ids of workers and of triggers, with a prefix and without."""
    for prefix in ("", "b-"):
        settings = Settings(group="shop", topic_prefix=prefix)
        for name, owner in ((WORKER, settings), (TRIGGERS_PROCESS, of_triggers(settings))):
            (right,) = (
                candidate for candidate in of_kafka(NEEDS[name], settings) if candidate.kind == "transactional-id"
            )
            assert right.is_prefix
            assert transactional_id(owner.group, prefix, 7).startswith(right.names[0])
