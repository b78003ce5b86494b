"""The transactional ids of an installation: one for each partition to which its group publishes.

The one rule: no two installations share an id, or each would fence the other. Names alone do not ensure it: the group
`shop` with the prefix `b-` would share its ids with the group `shop-b` without a prefix. So if there is a prefix, the
id ends with its length.
"""

from __future__ import annotations

from streams.wire.topics import CHANGES


def beginning(group: str, topic_prefix: str) -> str:
    """The beginning of all ids of an installation, for which Kafka gives the right to use them."""
    return f"{group}-{topic_prefix}{CHANGES}-"


def transactional_id(group: str, topic_prefix: str, partition: int) -> str:
    """The transactional id of a partition."""
    length = f"-{len(topic_prefix)}" if topic_prefix else ""
    return f"{beginning(group, topic_prefix)}{partition}{length}"
