"""Redis URLs: those of several hosts in one setting, and whether a text is such a URL."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr


def redis_urls(redis: SecretStr) -> list[str]:
    """The URLs of the hosts that a Redis URL lists, with the same user, password and path."""
    scheme, separator, rest = redis.get_secret_value().partition("://")
    authority, slash, path = rest.partition("/")
    user, user_sign, hosts = authority.rpartition("@")
    return [f"{scheme}{separator}{user}{user_sign}{host}{slash}{path}" for host in hosts.split(",")]


def is_redis_url(text: str) -> bool:
    """Whether a text is a Redis URL, and no unescaped character of a password has cut it short.

    The rest of such a password would be taken for a part of the address, and shown in errors.
    """
    try:
        url = urlsplit(text)
        if url.scheme == "unix":
            return True
        named = url.scheme in ("redis", "rediss") and bool(url.hostname) and url.port != 0
    except ValueError:  # the error is not shown, as its text may contain a part of a password
        return False
    return named and not url.fragment and "@" not in url.query and re.fullmatch(r"(/\d*)?", url.path) is not None
