"""The sentence of a reason: why a condition holds or does not, in words, for people who read segment changes.

The one rule: in each language a sentence has the observed values beside the test, and no text that comes from a
customer or from a segments file can change how the rest of it reads.

See also: `rules.sentences.reason_tree` (the groups of conditions), `rules.sentences.phrases` (the phrase of each kind),
`rules.languages` (what the kinds share), `rules.conditions` (the phrase and messages of each kind).
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.languages.language import Language
from rules.reasons import Reason
from rules.sentences.complete_languages import ENGLISH, PERSIAN
from rules.sentences.reason_tree import tell
from rules.untrusted_texts import PDI, RLI, shortened

__all__ = ["LANGUAGES", "SENTENCE_MAX_CHARS", "embedded", "sentence"]

_LANGUAGES: Mapping[str, Language] = {"en": ENGLISH, "fa": PERSIAN}
_RIGHT_TO_LEFT = frozenset({"fa"})

LANGUAGES = tuple(_LANGUAGES)
# The most characters of a sentence; beyond it comes an ellipsis, and the reason itself has the rest.
SENTENCE_MAX_CHARS = 2_000


def sentence(reason: Reason, language: str = "en") -> str:
    """Write a reason as one sentence without a full stop; ``language``: one of `LANGUAGES`."""
    return shortened(tell(_LANGUAGES[language], reason), SENTENCE_MAX_CHARS)


def embedded(reason: Reason, language: str = "en") -> str:
    """Write a reason as a sentence for a line that runs left to right."""
    words = sentence(reason, language)
    return f"{RLI}{words}{PDI}" if language in _RIGHT_TO_LEFT else words
