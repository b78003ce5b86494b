"""The tables of settings on the configuration page, generated from `streams.settings`.

The one rule: names, defaults, choices and meanings are those of the code; the rest of the page is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from streams.settings import PREFIX, Settings

PAGE = "docs/operations/configuration.md"
_BEGIN = "<!-- Generated from the code: python -m doc_tools.schemas -->\n"
_END = "<!-- End of what is generated -->"
_BLOCK = re.compile(re.escape(_BEGIN) + r".*?" + re.escape(_END), re.DOTALL)


def page(root: Path) -> str:
    """``docs/operations/configuration.md``, with the tables of today."""
    text, count = _BLOCK.subn(lambda _: f"{_BEGIN}\n{tables()}\n{_END}", (root / PAGE).read_text("utf-8"))
    assert count == 1, f"{PAGE} has {count} places for the settings"
    return text


def tables() -> str:
    """What a process does, and with which passwords and certificates."""
    fields = Settings.model_fields
    credentials = {name: field for name, field in fields.items() if _is_credential(name, field)}
    others = {name: field for name, field in fields.items() if name not in credentials}
    return f"{_table(others)}\n### Passwords and certificates\n\n{_table(credentials)}"


def _is_credential(name: str, field: FieldInfo) -> bool:
    is_secret = SecretStr in get_args(field.annotation)
    return is_secret or name.endswith("_file") or name.startswith("kafka_") or name == "secrets_dir"


def _table(fields: dict[str, FieldInfo]) -> str:
    rows = "".join(f"| {' | '.join(_row(name, field))} |\n" for name, field in fields.items())
    return f"| variable | default | meaning |\n|---|---|---|\n{rows}"


def _row(name: str, field: FieldInfo) -> tuple[str, str, str]:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    of_choices = f" ({', '.join(f'`{choice}`' for choice in choices)})" if choices else ""
    return f"`{PREFIX}{name.upper()}`", _default(field.default), f"{field.description}{of_choices}"


def _default(value: object) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if text is None or text == "":
        return ""
    return f"`{str(text).lower() if isinstance(text, bool) else text}`"
