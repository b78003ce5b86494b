"""The arguments of a save for its script (``lua/save.lua``).

All counts come first, then the counted values, in the order in which the script reads them.
"""

from __future__ import annotations

from streams.state.contract import Save


def arguments(save: Save) -> list[bytes | str | int]:
    """The arguments in a flat list. Dues come as pairs for ZADD, which has the score before the member."""
    customers: list[bytes | str | int] = []
    dues: list[bytes | str | int] = []
    removed: list[bytes | str | int] = []
    gone: list[bytes | str | int] = []
    erased: list[bytes | str | int] = []
    for customer in save.customers:
        if customer.erased:
            gone.append(customer.id)
            erased += (customer.tombstone, customer.value)
        else:
            customers += (customer.id, customer.value)
        if customer.due:
            dues += (customer.due, customer.id)
        elif customer.due == 0:
            removed.append(customer.id)
    arguments: list[bytes | str | int] = [
        save.fencing_token, save.number, save.digest, save.clock, save.caught_up_until,
        len(save.positions), len(customers), len(dues), len(removed), len(save.outbox), len(gone), len(erased),
        save.definition_version,
    ]  # fmt: skip
    if save.files is None:
        arguments += (b"", 0)
    else:
        arguments += (save.files.encoded, len(save.files.stay), *save.files.stay)
    for name, position in save.positions.items():
        arguments += (name, save.starts[name], position)
    return [*arguments, *customers, *dues, *removed, *save.outbox, *gone, *erased]
