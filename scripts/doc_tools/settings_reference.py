"""Generates the tables of settings on the configuration page from `streams.settings`.

Names, defaults, choices and meanings are those of the code; the rest of the page is written by hand.
"""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from streams.settings import PREFIX, Settings

__all__ = ["tables"]


def tables() -> str:
    """The tables: settings of a process, and its passwords and certificates."""
    fields = Settings.model_fields
    credentials = {name: field for name, field in fields.items() if _is_credential(name, field)}
    others = {name: field for name, field in fields.items() if name not in credentials}
    return f"\n{_table(others)}\n### Passwords and certificates\n\n{_table(credentials)}"


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
