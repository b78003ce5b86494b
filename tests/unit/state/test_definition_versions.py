"""The list of a partition's definition files, without a store.

The one rule: a list is right by what it says after a change of files, whichever store has it.
"""

from __future__ import annotations

import msgspec

from streams.state import definition_list
from streams.state.definition_list import DefinitionVersion
from streams.state.definition_versions import DefinitionVersions
from tests.support.migration_worlds import BOUGHT, engine_of


def test_what_is_short_is_listed_once() -> None:
    """The newest version alone lists segments short of history: the latest moment of each that has not passed."""
    now, day = 10_000_000_000, 86_400_000
    old = DefinitionVersions.initial(engine_of(a=BOUGHT), since=now)
    viewed = {"performed": {"event": "page", "within": "2d"}}
    ever = {"performed": {"event": "Product Viewed"}}
    second = old.with_next(engine_of(a=BOUGHT, v=viewed, e=ever), now + day)
    third = second.with_next(engine_of(a=BOUGHT, v={"performed": {"event": "page", "within": "5d"}}), now + 2 * day)
    assert [version.short for version in third.versions] == [{}, {}, {"v": now + 7 * day, "e": None}]
    last = third.with_next(engine_of(a=BOUGHT), now + 8 * day)
    assert [version.short for version in last.versions] == [{}, {}, {}, {"e": None}]
    assert definition_list.short({"epochs": last.encoded().decode(), "clock": "0"}) == {"e"}
    versions = msgspec.json.decode(last.encoded(), type=list[DefinitionVersion])
    assert [version.number for version in versions] == [0, 1, 2, 3]
