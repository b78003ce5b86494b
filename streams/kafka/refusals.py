"""Sentences about missing rights, made of Kafka's errors.

See also: `streams.rights.process_rights` (the rights that each process needs).
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import errors
from aiokafka.errors import KafkaError

from streams.stop import RIGHTS

# The right that is missing, by the class of the error; the caller knows the operation and the topic.
_NEEDED: Mapping[type[KafkaError], str] = {
    errors.TopicAuthorizationFailedError: "{operation} of the topic {name}",
    errors.GroupAuthorizationFailedError: "READ of the group",
    errors.TransactionalIdAuthorizationFailed: "WRITE of the transactional id",
    errors.ClusterAuthorizationFailedError: "IDEMPOTENT_WRITE of the cluster",
}


def missing_right(error: BaseException | None, operation: str, name: str = "") -> str | None:
    """A sentence that names the right which is missing; ``None``: the error is not about a right.

    ``operation``, ``name``: what was tried, and on which topic, as errors about topics do not say it.
    """
    for kind, needed in _NEEDED.items():
        if isinstance(error, kind):
            right = needed.format(operation=operation, name=name).strip()
            return f"Kafka does not allow this user {right} ({error!r}): see {RIGHTS}, then start again"
    return None
