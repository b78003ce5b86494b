"""Secrets of the triggers file, read once at the start.

The one rule: an error names the variable or the file, never its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streams.triggers.request_parts import Secret


def opened(secret: Secret, environment: Mapping[str, str], folder: Path) -> str:
    """Read a secret; a file's path is relative to ``folder``. Raises `ValueError`."""
    if secret.env is not None:
        value = environment.get(secret.env, "")
        if not value:
            raise ValueError(f"the variable {secret.env} is not set")
        return value
    assert secret.file is not None, "a secret is one of both"
    try:
        value = (folder / secret.file).read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {secret.file} cannot be read ({type(error).__name__})") from None
    if not value:
        raise ValueError(f"the file {secret.file} is empty")
    return value
