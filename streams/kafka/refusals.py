"""Sentences about rights which Kafka says are missing.

See also `streams.rights` for those that each process needs.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import errors
from aiokafka.errors import KafkaError

from streams.stop import RIGHTS

# What is needed of each kind; of a topic it is for the caller to say.
_NEEDED: Mapping[type[KafkaError], str] = {
    errors.TopicAuthorizationFailedError: "{operation} of the topic {name}",
    errors.GroupAuthorizationFailedError: "READ of the group",
    errors.TransactionalIdAuthorizationFailed: "WRITE of the transactional id",
    errors.ClusterAuthorizationFailedError: "IDEMPOTENT_WRITE of the cluster",
}


def missing_right(error: BaseException | None, operation: str, name: str = "") -> str | None:
    """A sentence that names the right without which something failed; ``None``: it failed otherwise.

    ``operation``, ``name``: what was tried, and on which topic, where the error does not say.
    """
    for kind, needed in _NEEDED.items():
        if isinstance(error, kind):
            right = needed.format(operation=operation, name=name).strip()
            return f"Kafka does not allow this user {right} ({error!r}): see {RIGHTS}, then start again"
    return None
