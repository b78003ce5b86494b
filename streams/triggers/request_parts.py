"""Parts of requests in the triggers file: secrets, headers, and bodies of other products' APIs.

See also: `streams.triggers.config`, the whole file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

JSON_TYPE = "application/json"


class Model(BaseModel):
    """A part of the file: an unknown key is an error, and instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


class Secret(Model):
    """The place of a secret: a variable of the environment, or a file."""

    env: str | None = Field(None, min_length=1)
    file: Path | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected {env: NAME} or {file: PATH}")
        return self


class HeaderSecret(Secret):
    """A secret in a header, after a text such as ``Bearer`` and a space."""

    before: str = ""


class OwnBody(Model):
    """The body of a request as another product's API has it: JSON, or the fields of a form; texts are templates.

    A text that is one expression alone gives its value, so that a list stays a list.
    """

    json_: Any = Field(None, alias="json")
    form: dict[str, str] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> OwnBody:
        if (self.json_ is None) == (self.form is None):
            raise ValueError("expected {json: …} or {form: {…}}")
        return self

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return JSON_TYPE if self.form is None else "application/x-www-form-urlencoded"


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value) or value.lower() in _OWN_HEADERS:
        raise ValueError(f"{value!r} is not a header that may be set")
    return value


def is_header_text(text: str) -> bool:
    """Whether a text may be the value of a header: one line of printable ASCII."""
    return text.isprintable() and text.isascii()


def _header_value(value: object) -> object:
    if isinstance(value, str) and not is_header_text(value):
        raise ValueError("a header is a line of printable ASCII")
    return value


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 9110, 5.1
# Headers that the client itself sets, or which decide where a request ends.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderText = Annotated[str | HeaderSecret, BeforeValidator(_header_value)]
AnswerStatus = Annotated[int, Field(ge=200, le=599)]
