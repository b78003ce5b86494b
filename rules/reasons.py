"""Reasons: why a condition holds or does not, as data (`rules.sentences.reason_sentence` has the words).

A reason has the observed values beside the required ones, so that a reader of a
segment change needs no access to the profile. These structs are part of the public contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from rules.value_tests import Shown

Instant = Annotated[str, msgspec.Meta(description="RFC 3339, UTC, milliseconds")]


class Observed(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The observed values.

    ``count``: orders, events or sessions in the window; ``or_more``: there may be more of them, which are not stored,
    as no test depends on them, or the cart has a product whose price cannot be read. ``items``: the quantity in the
    cart. ``value``: of a total or of the cart; absent if there is nothing to average or compare. ``stage``: how far
    the customer came with the cart. ``values``: traits or attributes, or a product in the cart that is asked for and
    its quantity; shortened; null: not known. ``first_at``, ``last_at``:
    of the earliest or newest one, also after it has left the window. ``met_at``: of the newest one that meets the test.
    ``since``: when the other segment was entered. ``date``: the local day. ``of`` and ``to``: the
    totals of a ratio, whose own value is ``value``.
    """

    count: int | None = None
    or_more: bool = False
    items: int | float | None = None
    value: int | float | None = None
    stage: str | None = None
    values: dict[str, str | None] | None = None
    first_at: Instant | None = None
    last_at: Instant | None = None
    met_at: Instant | None = None
    since: Instant | None = None
    date: str | None = None
    of: int | float | None = None
    to: int | float | None = None


class TotalShown(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A total of a ratio, as the definition has it; a part that is empty was cut."""

    agg: str
    of: str = ""
    event: str | tuple[str, ...] = ""
    where: Mapping[str, Shown] | None = None
    times: Mapping[str, Shown] | None = None
    within: str | None = None


class StepAsked(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A step of a sequence, as the definition has it."""

    event: str | tuple[str, ...]
    where: Mapping[str, Shown] | None = None
    times: Mapping[str, Shown] | None = None


class Reason(msgspec.Struct, frozen=True, omit_defaults=True, rename={"not_": "not"}, gc=False):
    """One node: either members under ``all``, ``any`` or ``not``, or a ``condition``.

    A condition has the observed values (``observed``) beside the required ones (``test`` and the definition's own
    keys). ``until`` is the instant at which time alone may turn the answer. A reason with neither members nor a
    condition is that of an erasure. ``cut``: the places in this node that were shortened, as a reason has at most
    8 KiB: each as JSON Pointer (RFC 6901) from the node, with the number of items of a list, fields of an object or
    characters of a text that are left out.
    """

    holds: bool
    condition: str | None = None
    observed: Observed | None = None
    test: Mapping[str, Shown] | None = None
    until: Instant | None = None
    event: str | tuple[str, ...] | None = None
    where: Mapping[str, Shown] | None = None
    times: Mapping[str, Shown] | None = None
    within: str | None = None
    after: str | None = None
    gap: str | None = None
    agg: str | None = None
    of: str | None = None
    steps: list[StepAsked] | None = None
    totals: list[TotalShown] | None = None
    same: str | None = None
    touch: str | None = None
    segment: str | None = None
    all: list[Reason] | None = None
    any: list[Reason] | None = None
    not_: list[Reason] | None = None
    cut: Mapping[str, Annotated[int, msgspec.Meta(ge=1)]] | None = None


ERASED = Reason(False)
REMOVED = Reason(False, condition="removed", observed=Observed(), test={})
MERGED = Reason(False, condition="merged", observed=Observed(), test={})
