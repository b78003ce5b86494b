"""Errors that more than one package raises or handles: failures of the store and the publisher, and newer owners.

See also: `streams.stop.Stop`, the error which ends the process with a sentence for its operator.
"""

from __future__ import annotations


class ClaimRefused(Exception):
    """The stored partition belongs to another cluster, group or definition file. The text says what to do."""


class LowerGeneration(Exception):
    """The stored claim has a higher generation. An offset commit proves which of the two is newer."""

    def __init__(self, stored: int, fencing_token: str) -> None:
        super().__init__(stored, fencing_token)
        self.fencing_token = fencing_token


class Fenced(Exception):
    """Another worker has claimed the partition. This one must release it."""


class StoreFailed(Exception):
    """The store did not answer, retries included. The worker stops and can be started when the store is back."""


class StoreRefused(StoreFailed):
    """The store answered and refused the call. The text says why and what to do."""


class RightMissing(StoreRefused):
    """The store does not allow its user a call that the process needs. The text names the right."""


class PublishFailed(Exception):
    """Kafka did not take records of the outbox. The text says why, and what to do before the next start."""


class ProducerFenced(Fenced):
    """Kafka has fenced this producer; the text says why."""

    def __init__(self, why: str = "another producer has its transactional id") -> None:
        super().__init__(why)


class StaleAssignment(Exception):
    """The group has rebalanced while an assignment was being claimed. The next assignment follows."""


class NotRenewed(PublishFailed):
    """A fence could not be renewed, for a cause that may pass.

    ``has_begun``: some leaders may know the new epoch already, so nothing may be published until another attempt has
    succeeded.
    """

    def __init__(self, sentence: str, *, has_begun: bool) -> None:
        super().__init__(sentence)
        self.has_begun = has_begun
