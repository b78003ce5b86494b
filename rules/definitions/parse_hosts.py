"""Reads the part of a segments file that lists the shop's own hosts."""

from __future__ import annotations

from typing import cast

from rules.forms.problems import Problems
from rules.hosts import OWN_MAX, is_host


def own_hosts(problems: Problems, given: object) -> list[str]:
    """The hosts that a file names as the shop's own, in lower case, sorted."""
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > OWN_MAX:
        problems.note("hosts", f"expected at most {OWN_MAX} host names of the shop, such as [shop.example]")
        return []
    wrong = [host for host in given if not isinstance(host, str) or not is_host(host)]
    for host in wrong:
        problems.note(
            "hosts",
            f"{_cut(host)} is not a host name; write it as in an address, without scheme, port and path, such as"
            " shop.example (international names as xn--…)",
        )
    return [] if wrong else sorted({host.lower() for host in cast(list[str], given)})


def _cut(given: object) -> str:
    words = repr(given)
    return words if len(words) <= 80 else words[:79] + "…"
