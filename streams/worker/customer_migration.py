"""Brings one loaded customer under the newest definitions, and decides what is published of it.

    stored     sequence 4, decided by version 1, in {buyers}
    published  sequence 6, in {buyers, lapsed}: Redis has lost its last saves, the topic has not
    rebuilt    by all events under version 2 the customer is in {buyers, lapsed}
    result     version 2, numbered on from 6; no change, but the row of sequence 6 is published again

The one rule: a published change is never taken back, and sequence numbers only rise. So a customer goes on from its
newest change on the topic, also if the store has lost that change.

See also `rules.definition_migration` for what a migration changes, and `rules.published_ahead` for customers whose
published changes the store has yet to decide.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from rules.changes import Change
from rules.customer import Customer
from rules.published_ahead import PublishedChange, is_forgotten, record_published
from streams.state.definition_versions import DefinitionVersions
from streams.wire import customer_codec


class RowAction(enum.Enum):
    """The action on the customer's row in the table of memberships, beside the rows of its changes."""

    LEAVE = enum.auto()
    REPEAT = enum.auto()
    REMOVE = enum.auto()


class CustomerMigration(msgspec.Struct, frozen=True):
    """The result of a migration: changes to publish, and the action on the row. ``repeated``: for `REPEAT`."""

    changes: Sequence[Change]
    row: RowAction
    repeated: PublishedChange | None = None


def migrate_customer(
    versions: DefinitionVersions,
    customer_id: str,
    customer: Customer,
    rebuilt: bytes | None,
    published: PublishedChange | None,
    clock: int,
) -> CustomerMigration:
    """Bring ``customer`` under the newest of ``versions``, in place. Raises `Stop`.

    ``rebuilt``: the customer as all events make it, encoded; ``None``: not rebuilt. ``published``: its newest change
    on the topic, where the store had lost changes; ``clock`` (ms): up to when the partition is decided.

    ======================================  =======  ==========================================================
    published beyond the store              changes  row
    ======================================  =======  ==========================================================
    no, or the customer is published-ahead  any      unchanged; deleted if the migration leaves only an erasure
    yes, with the membership of now         none     published again; deleted if an erasure emptied it
    yes, with another membership            some     published with these changes
    ======================================  =======  ==========================================================
    """
    was_ahead = customer.published_ahead is not None
    beyond = _number_on_from(customer, published, clock)
    changes = versions.migrate(
        customer_id,
        customer,
        None if rebuilt is None else customer_codec.decode(rebuilt),
        None if beyond is None else beyond.segments,
    )
    if changes:
        return CustomerMigration(changes, RowAction.LEAVE)
    if beyond is not None and set(versions.engine.membership(customer)) == set(beyond.segments):
        # The row on the topic may be older than the change, as the owner may have died between publishing the two.
        if is_forgotten(customer, beyond):
            return CustomerMigration((), RowAction.REMOVE)
        return CustomerMigration((), RowAction.REPEAT, beyond)
    if was_ahead and customer.is_gone:
        return CustomerMigration((), RowAction.REMOVE)
    return CustomerMigration((), RowAction.LEAVE)


def _number_on_from(customer: Customer, published: PublishedChange | None, clock: int) -> PublishedChange | None:
    """Let the customer's numbers go on from the newest published change, if the store lost it. Returns that change."""
    if published is None or published.sequence <= customer.sequence:
        return None
    if customer.published_ahead is not None:
        record_published(customer, [published], clock)
        return None
    customer.sequence = published.sequence
    return published
