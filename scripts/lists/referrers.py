"""Makes rules/referrers.json, the hosts of search engines and social sites, from a list that others maintain.

    .venv/bin/python -m lists.referrers           # clones the newest list into .cache/
    .venv/bin/python -m lists.referrers FOLDER    # reads a clone that is there

The list is Matomo's, in the public domain (CC0 1.0). What is added to it and left out of it stands here, each with its
reason. A new list changes the channels of later events, so it belongs in the changelog.

See also: `rules.referrers`, which reads the file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from rules.hosts import is_within
from rules.referrers import COUNTRY, Referrers

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "rules" / "referrers.json"
CLONE = ROOT / ".cache" / "referrers"
SOURCE = "https://github.com/matomo-org/searchengine-and-social-list"
LICENSE = "CC0-1.0"

# Portals whose own pages search, under the hosts that the list has not; and engines that it lacks.
SEARCH_ADDED = frozenset({
    "yahoo.com", "{}.yahoo.com", "yahoo.{}", "aol.com", "naver.com", "m.naver.com", "seznam.cz",
    "html.duckduckgo.com", "lite.duckduckgo.com", "zarebin.ir", "parsijoo.ir", "gerdoo.me",
})  # fmt: skip
# Links out of Telegram and WhatsApp, Iran's networks, and the apps of networks of which the list has the sites alone.
SOCIAL_ADDED = frozenset({
    "t.me", "telegram.me", "web.whatsapp.com", "wa.me", "aparat.com", "eitaa.com", "rubika.ir", "virasty.com",
    "com.facebook.katana", "com.instagram.android", "com.linkedin.android", "com.pinterest", "com.twitter.android",
})  # fmt: skip
# Where people sign in, on their way back to the shop.
SOCIAL_OMITTED = frozenset({"login.live.com"})


def main(arguments: list[str]) -> int:
    """Write the file. Exit code 2 for wrong arguments."""
    if len(arguments) > 1:
        print("usage: python -m lists.referrers [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[0]) if arguments else _cloned()
    referrers = made_of(_shown(folder, "SearchEngines.yml"), _shown(folder, "Socials.yml"), _newest(folder))
    TARGET.write_bytes(msgspec.json.format(msgspec.json.encode(referrers, order="sorted"), indent=1) + b"\n")
    print(f"referrers: {len(referrers.search)} hosts of search engines, {len(referrers.social)} of social sites")
    return 0


def made_of(engines: str, socials: str, newest: tuple[str, str]) -> Referrers:
    """The list of two YAML texts; ``newest``: their commit and its day."""
    commit, date = newest
    addresses = [
        address for entries in yaml.safe_load(engines).values() for entry in entries for address in entry["urls"]
    ]
    sites = [address for addresses in yaml.safe_load(socials).values() for address in addresses]
    social = SOCIAL_ADDED.union(_hosts(sites)) - SOCIAL_OMITTED
    nested = {host for host in social if any(host.endswith("." + other) for other in social)}
    # A network with a search of its own is a network: its links to a shop are rarely found by it.
    search = {host for host in SEARCH_ADDED.union(_hosts(addresses)) if not is_within(host, social)}
    return Referrers(SOURCE, commit, date, LICENSE, frozenset(search), frozenset(social - nested))


def _hosts(addresses: Iterable[str]) -> set[str]:
    """The hosts among the addresses. Those with a path are left out, as browsers cut a referrer to its host."""
    hosts = {address.lower().removeprefix("www.") for address in addresses if "/" not in address}
    # A country within a host is looked for at its beginning and its end alone.
    return {host for host in hosts if COUNTRY not in host.strip("{}")}


def _cloned() -> Path:
    if CLONE.exists():
        subprocess.run(["git", "-C", CLONE, "pull", "--quiet", "--depth", "1"], check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", SOURCE, CLONE], check=True)
    return CLONE


def _shown(folder: Path, name: str) -> str:
    return _git(folder, "show", f"HEAD:{name}")


def _newest(folder: Path) -> tuple[str, str]:
    commit, date = _git(folder, "log", "-1", "--format=%H %cs").split()
    return commit, date


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
