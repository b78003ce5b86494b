"""The variables of the environment: those without effect, and what is wrong with a setting's value."""

from __future__ import annotations

import os

from pydantic import ValidationError

from streams.settings.fields import PREFIX
from streams.settings.model import Settings

# Variables which `streams.failpoints` and the tests read.
_OF_TESTS = {f"{PREFIX}FAIL_POINT", f"{PREFIX}TEST_REDIS"}


def unknown_variables() -> list[str]:
    """Variables of the environment that look like settings and are none: they have no effect."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _OF_TESTS
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in names)


def complaints(error: ValidationError) -> list[str]:
    """A sentence for each setting that is wrong; a value that is or may contain a secret is not repeated."""
    sentences = []
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:  # of a combination of settings, which begins with the name itself
            sentences.append(f"{PREFIX}{message}")
            continue
        name, given = str(problem["loc"][0]), problem["input"]
        field = Settings.model_fields.get(name)
        is_secret = field is None or "SecretStr" in str(field.annotation) or "@" in str(given)
        value = "" if is_secret else f", here is {given!r}"
        sentences.append(f"{PREFIX}{name.upper()}: {message}{value}")
    return sentences
