"""The transactional ids of an installation: one for each partition of what a group publishes.

The one rule: no two installations share one, or each would keep the other from publishing. A group may be called
anything: the group `shop` with the prefix `b-` would share its ids with the group `shop-b` without one. So where there
is a prefix, its length ends the id.
"""

from __future__ import annotations

from streams.wire.topics import CHANGES


def beginning(group: str, topic_prefix: str) -> str:
    """With what all of them begin: the right to use them is given by it."""
    return f"{group}-{topic_prefix}{CHANGES}-"


def transactional_id(group: str, topic_prefix: str, partition: int) -> str:
    """That of a partition."""
    length = f"-{len(topic_prefix)}" if topic_prefix else ""
    return f"{beginning(group, topic_prefix)}{partition}{length}"
