"""SDKs of others, as published: fetched by npm, for the tests that run the gateway against them.

A folder of packages is either complete or absent, also when several processes fetch it at the same time.
"""

import fcntl
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from local.server_process import StartError

__all__ = ["missing", "packages"]

_FETCH_S = 300.0
_SOURCE = Path(__file__).parent / "sdks_npm"
_FILES = ("package.json", "package-lock.json")
_CACHE = Path(__file__).resolve().parent.parent.parent / ".cache" / "sdks"


def missing() -> str | None:
    """A sentence on what is missing to fetch and run the SDKs; None: nothing is."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "the SDKs are fetched by npm and run by node, which are not installed (apt-get install npm)"
    return None


def packages() -> Path:
    """The folder of the packages (24 MB), which is fetched unless it is there. Raises `StartError`."""
    text = b"".join((_SOURCE / name).read_bytes() for name in _FILES)
    folder = _CACHE / sha256(text).hexdigest()[:16]
    done = folder / "complete"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _fetch(folder)
            done.touch()
    return folder / "node_modules"


def _fetch(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in _FILES:
        shutil.copy(_SOURCE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    if done.returncode:
        raise StartError(f"npm could not fetch the SDKs:\n{done.stderr[-2_000:]}")
