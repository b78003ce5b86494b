"""The definitions that a process runs on: the user's file, or the built-in one."""

from __future__ import annotations

from pathlib import Path

from rules.definitions.segments_file import Definitions, DefinitionsError, built_in, parse
from rules.definitions.yaml_text import TEXT_MAX_BYTES
from rules.forms.problems import Problem


def load(path: Path | str | None) -> Definitions:
    """Load the definitions of a file; ``None``: the built-in ones. Raises `DefinitionsError` or `OSError`."""
    if path is None:
        return built_in()
    return parse(text_of(Path(path)), str(path))


def text_of(path: Path) -> str:
    """The text of a YAML file, of which at most the allowed size is read. Raises `DefinitionsError` or `OSError`."""
    with path.open("rb") as file:
        encoded = file.read(TEXT_MAX_BYTES + 1)
    if len(encoded) > TEXT_MAX_BYTES:
        text = f"larger than {TEXT_MAX_BYTES:,} bytes"
        raise DefinitionsError(str(path), [Problem("", text, "see whether it is the right file, or list fewer values")])
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise DefinitionsError(str(path), [Problem("", f"not UTF-8 at byte {error.start}")]) from None
