"""Writes the phrase of each kind of condition, and of the two reasons that are no condition's.

Observed values come first, the test after them. Where the two together do not show whether the condition holds, the
phrase says so.

See also: `rules.conditions`, where each kind has its phrase and its messages, and `rules.languages.parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rules.conditions.kinds import CONDITION_KINDS
from rules.languages.language import Language
from rules.reasons import Reason

PHRASES: Mapping[str, Callable[[Language, Reason], str]] = {
    **{kind.key: kind.phrase for kind in CONDITION_KINDS},
    "merged": lambda lang, _: lang.say("merged"),
    "removed": lambda lang, _: lang.say("removed"),
}
