"""Defects of ours, as the log tells them: of which kind and where, and of whom under a name that is not theirs.

The one rule: nothing that a customer sent is logged. The text of an exception may hold it (a key that was not
found, a value that was refused), so a defect is told by its type and its frames; what is added to it is
written with that in mind.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from hashlib import blake2b
from pathlib import Path

from pydantic import SecretStr

log = logging.getLogger(__name__)

_PSEUDONYM_BYTES = 8


class Pseudonyms:
    """Names for customers in the log: the same for the same customer, and of no use without the key.

    Without a key of one's own it is drawn at each start, and names compare within one process only.
    """

    def __init__(self, key: SecretStr | None = None) -> None:
        given = "" if key is None else key.get_secret_value()
        # Of any length, as BLAKE2 takes keys of up to 64 bytes.
        self._key = blake2b(given.encode() or secrets.token_bytes()).digest()

    def __call__(self, customer_id: str) -> str:
        return "customer-" + blake2b(customer_id.encode(), digest_size=_PSEUDONYM_BYTES, key=self._key).hexdigest()


def no_pseudonym(customer_id: str) -> str:  # noqa: ARG001  # where nobody is to be told from another
    """In place of `Pseudonyms`."""
    return "a customer"


def report(what: str, error: Exception) -> str:
    """Log what ended ``what``; the sentence that says so."""
    log.error("%s\n%s", what, trace(error))  # its text is what must not be logged
    return f"a defect ended {what} ({kind(error)}); please report it with the log above"


def kind(error: BaseException) -> str:
    """The type of an exception, and the file and line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def trace(error: BaseException) -> str:
    """The frames and types of an exception and of those that it came from, with what was added to them; no values."""
    told = []
    seen: BaseException | None = error
    while seen is not None:
        lines = traceback.format_tb(seen.__traceback__)
        told.append("".join([*lines, type(seen).__name__, *(f"\n  {note}" for note in getattr(seen, "__notes__", ()))]))
        seen = seen.__cause__ or seen.__context__
    return "\nfrom\n".join(told)
