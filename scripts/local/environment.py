"""Writes settings as lines for a shell, so that commands in another terminal find the same servers.

The one rule: the lines can be pasted as they are, and no line has a password.
"""

import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlencode

from pydantic import SecretStr

from streams.settings import Settings

__all__ = ["export_lines"]


def export_lines(settings: Settings, names: Sequence[str]) -> Iterator[str]:
    """One line which exports these settings, and one for each password, which the shell then asks for."""
    values: dict[str, object] = {}
    passwords: list[str] = []
    for name in names:
        value = getattr(settings, name)
        if name == "redis":
            value, has_password = _without_password(value)
            passwords += ["redis_password"] if has_password else []
        elif isinstance(value, SecretStr):
            passwords.append(name)
            continue
        if value not in (None, ""):
            values[name] = value
    yield "export " + " ".join(f"{_variable(name)}={shlex.quote(str(value))}" for name, value in values.items())
    for name in passwords:
        variable = _variable(name)
        yield f"printf '{variable}: '; read -rs {variable} && export {variable}"


def _variable(name: str) -> str:
    return f"SEGMENTER_{name.upper()}"


def _without_password(secret: SecretStr) -> tuple[str, bool]:
    """A Redis URL of one or several hosts without its password, and whether it had one."""
    scheme, separator, rest = secret.get_secret_value().partition("://")
    address, question_mark, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    userinfo, at_sign, hosts = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    options = parse_qsl(query)
    shown = [(name, value) for name, value in options if name != "password"]
    query = urlencode(shown) if len(shown) < len(options) else query
    before_hosts = f"{user}{at_sign}" if user else ""
    question_mark = "?" if query else ""
    url = f"{scheme}{separator}{before_hosts}{hosts}{slash}{path}{question_mark}{query}"
    return url, bool(password) or len(shown) < len(options)
