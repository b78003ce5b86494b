"""Write keys: which key a request has, and what may be sent with it.

The key of a browser is public: each visitor of the shop can read it and send with it whatever they like, for any
anonymous id, and for any user id unless the key has ``signed_ids``. So nothing that is sent with it is vouched for.

See also: `streams.gateway.config` (the file), and `streams.gateway.messages` (what a key changes about a message).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from streams.gateway.config import ANY_ORIGIN, KEY_MIN_CHARS, GatewayFile
from streams.http.access import RateLimit
from streams.http.signed_tokens import SECRET_MIN_CHARS
from streams.stop import Stop
from streams.triggers import secrets
from streams.triggers.request_parts import Secret

# So many seconds of a key's rate may come at once.
_BURST_S = 2.0


class WriteKey:
    """One key of the file, with its secrets and its limits."""

    def __init__(
        self, name: str, key: str, origins: frozenset[str], rate: float, address_rate: float, id_secret: str | None, *,
        is_browser: bool,
    ) -> None:  # fmt: skip
        """``rate`` and ``address_rate``: events per second. ``id_secret``: see `KeyConfig.signed_ids`."""
        self.name = name
        self.key = key
        self.is_browser = is_browser
        self.id_secret = id_secret
        self._origins = origins
        self._all = RateLimit(rate, max(1.0, _BURST_S * rate))
        self._of_address = RateLimit(address_rate, max(1.0, _BURST_S * address_rate)) if is_browser else None

    def admits(self, origin: str | None) -> bool:
        """Whether a page of this origin may send with the key; ``None``: no browser sent the request."""
        if origin is None:
            return True
        return ANY_ORIGIN in self._origins or origin.lower() in self._origins

    def take(self, address: str, events: int) -> bool:
        """Whether so many events may come from an address now; if so, they count."""
        if self._of_address is not None and not self._of_address.has_left(address):
            return False
        if not self._all.take("", events):
            return False
        # Last: events that are asked to come later cost their sender nothing.
        return self._of_address is None or self._of_address.take(address, events)


class WriteKeys:
    """All keys of a gateway file."""

    def __init__(self, keys: Iterable[WriteKey]) -> None:
        # By digest, so that the time of a look-up tells nothing about a key.
        self._by_digest = {_digest(key.key): key for key in keys}

    @classmethod
    def of(cls, file: GatewayFile, environment: Mapping[str, str], folder: Path) -> WriteKeys:
        """The keys of a file; ``folder``: of the file, for secrets in files. Raises `Stop`."""
        keys = []
        for name, config in file.keys.items():
            place = f"keys.{name}"
            key = config.key
            text = key if isinstance(key, str) else opened(key, f"{place}.key", environment, folder, KEY_MIN_CHARS)
            signed = config.signed_ids
            keys.append(
                WriteKey(
                    name, text, frozenset(config.origins), config.rate, config.address_rate,
                    None if signed is None else opened(signed, f"{place}.signed_ids", environment, folder),
                    is_browser=config.kind == "browser",
                )
            )  # fmt: skip
        if len({key.key for key in keys}) < len(keys):
            raise Stop("two keys of the gateway file are the same text; give each its own")
        return cls(keys)

    def find(self, text: str) -> WriteKey | None:
        """The key with this text."""
        return self._by_digest.get(_digest(text))

    def admits(self, origin: str) -> bool:
        """Whether a page of this origin may send with one of the keys."""
        return any(key.is_browser and key.admits(origin) for key in self._by_digest.values())


def opened(
    secret: Secret, place: str, environment: Mapping[str, str], folder: Path, at_least: int = SECRET_MIN_CHARS
) -> str:
    """Read a secret that stands at this place of the file. Raises `Stop`.

    ``at_least``: the characters that it needs.
    """
    try:
        text = secrets.opened(secret, environment, folder)
    except ValueError as error:
        raise Stop(f"{place} of the gateway file: {error}") from None
    if len(text) < at_least:
        raise Stop(f"{place} of the gateway file has {len(text)} characters; write at least {at_least}")
    return text


def of_basic(authorization: str) -> str | None:
    """The user name of basic authentication, which is where SDKs write the key; ``None``: it has none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return None


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="replace")).digest()
