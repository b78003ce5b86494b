"""The gateway file: who may send events, and from where.

    version: 1
    keys:
      web: {kind: browser, key: 3f9c…, origins: ["https://shop.example"]}
      shop: {kind: server, key: {env: SHOP_KEY}}

The one rule: nothing starts on a wrong file. Every error names the path inside the file, and never repeats a value.

See also: `streams.gateway.write_keys`, which uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from rules.definitions import yaml_text
from rules.definitions.segments_file import DefinitionsError
from rules.forms.problems import Problem
from streams.settings.definitions_file import text_of
from streams.triggers.request_parts import Model, Secret

# A key that can be guessed would be none.
KEY_MIN_CHARS = 12
_NAME = r"^[a-z][a-z0-9_-]{0,31}$"
ANY_ORIGIN = "*"


def _origin(text: str) -> str:
    if text == ANY_ORIGIN:
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError('expected an origin such as https://shop.example, without a path, or "*"')
    return text.lower()


def _key(value: object) -> object:
    if isinstance(value, str) and (len(value) < KEY_MIN_CHARS or not value.isascii() or not value.isalnum()):
        raise ValueError(f"expected at least {KEY_MIN_CHARS} letters and digits, or {{env: NAME}}, or {{file: PATH}}")
    return value


OriginText: TypeAlias = Annotated[str, AfterValidator(_origin)]


class KeyConfig(Model):
    """One write key. ``rate``: events per second over all senders. ``address_rate``: of one address, for browser keys.

    ``signed_ids``: the secret with which a shop's server signs who has logged in; without it each
    visitor of the shop, who can read the key, can send events of any ``userId``.
    """

    kind: Literal["browser", "server"]
    key: Annotated[str | Secret, BeforeValidator(_key)]
    origins: tuple[OriginText, ...] = ()
    rate: float = Field(1_000.0, gt=0)
    address_rate: float = Field(50.0, gt=0)
    signed_ids: Secret | None = None

    @model_validator(mode="after")
    def _fits(self) -> KeyConfig:
        if self.kind == "browser" and not self.origins:
            raise ValueError('a browser key names origins, such as ["https://shop.example"]')
        if self.kind == "server" and (self.origins or self.signed_ids):
            raise ValueError("origins and signed_ids are of browser keys")
        if self.kind == "server" and isinstance(self.key, str):
            raise ValueError("a server key is a secret: write {env: NAME} or {file: PATH}")
        return self


class LinkConfig(Model):
    """Links of messages: the secret that triggers sign them with, and the trait which an unsubscription sets."""

    secret: Secret
    trait: str = Field("unsubscribed", min_length=1)


class GatewayFile(Model):
    """The whole file. ``keep_ip``: whether the address of a sender becomes ``context.ip``.

    ``bots``: whether events of known crawlers are written, too. ``read_tokens``: the secret of the tokens with which a
    browser reads its own customer. ``links``: of messages, see `LinkConfig`.
    """

    version: Literal[1]
    keys: dict[Annotated[str, Field(pattern=_NAME)], KeyConfig] = Field(min_length=1)
    keep_ip: bool = False
    bots: Literal["drop", "write"] = "drop"
    read_tokens: Secret | None = None
    links: LinkConfig | None = None


def load(path: Path) -> GatewayFile:
    """Load a gateway file. Raises `DefinitionsError`."""
    try:
        document: Any = yaml_text.read(text_of(path))
    except OSError as error:
        raise DefinitionsError(str(path), [Problem("", f"cannot be read ({error})")]) from None
    except yaml_text.NotYaml as error:
        raise DefinitionsError(str(path), [Problem("", str(error))]) from None
    try:
        return GatewayFile.model_validate(document)
    except ValidationError as error:
        problems = [
            Problem(
                ".".join(str(part) for part in details["loc"] if part not in ("str", "Secret")),
                details["msg"].removeprefix("Value error, "),
            )
            for details in error.errors(include_url=False, include_input=False)
        ]
        raise DefinitionsError(str(path), list(dict.fromkeys(problems))) from None
