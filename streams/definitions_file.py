"""The definitions that a process runs on: the user's file, or the built-in one."""

from __future__ import annotations

from pathlib import Path

from rules.definitions import Definitions, DefinitionsError, built_in, parse


def load(path: Path | str | None) -> Definitions:
    """The definitions of a file; ``None``: the built-in ones. Raises `DefinitionsError` or `OSError`."""
    if path is None:
        return built_in()
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionsError(str(path), [f"not UTF-8 at byte {error.start}"]) from None
    return parse(text, str(path))
