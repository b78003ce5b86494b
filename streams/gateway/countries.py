"""The country of an address, by a database in MaxMind's format (MMDB), as several publishers have it.

See also: https://maxmind.github.io/MaxMind-DB/
"""

from __future__ import annotations

from pathlib import Path

import maxminddb

from streams.stop import Stop


class Countries:
    """The countries of a database file, which stays open."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises `Stop`."""
        try:
            self._database = maxminddb.open_database(str(path))
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise Stop(f"{path} is no database of addresses ({error}); see SEGMENTER_GATEWAY_COUNTRIES") from None

    def of(self, address: str) -> str | None:
        """The ISO code of an address's country, such as ``DE``; ``None``: it is not known."""
        try:
            entry = self._database.get(address)
        except ValueError:  # no address, or IPv6 in a database of IPv4
            return None
        country = entry.get("country") if isinstance(entry, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else country
        return code if isinstance(code, str) else None
