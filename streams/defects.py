"""Reports of defects in the log, without customers' data: exceptions by type and frames, customers by pseudonyms.

The one rule: nothing that a customer sent is logged. The text of an exception may contain such data (a missing
key, a refused value), so a report has the type and the frames of an exception, and the notes that this project
adds to it, but never its text.
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
    """Pseudonyms of customers for the log: always the same for a customer, and meaningless without the key.

    Without a configured key a random one is drawn at each start; then pseudonyms compare within one process only.
    """

    def __init__(self, key: SecretStr | None = None) -> None:
        given = "" if key is None else key.get_secret_value()
        # A digest of the key, as BLAKE2 takes keys of up to 64 bytes only.
        self._key = blake2b(given.encode() or secrets.token_bytes()).digest()

    def __call__(self, customer_id: str) -> str:
        return "customer-" + blake2b(customer_id.encode(), digest_size=_PSEUDONYM_BYTES, key=self._key).hexdigest()


def no_pseudonym(customer_id: str) -> str:  # noqa: ARG001  # the interface of `Pseudonyms`
    """A stand-in for `Pseudonyms`, which gives the same words for every customer."""
    return "a customer"


def report(activity: str, error: Exception) -> str:
    """Log the defect that ended ``activity``, and give a sentence about it for the operator."""
    log.error("%s\n%s", activity, trace(error))  # without the error itself, whose text must not be logged
    return f"a defect ended {activity} ({kind(error)}); please report it with the log above"


def kind(error: BaseException) -> str:
    """The type of an exception, and the file and line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def trace(error: BaseException) -> str:
    """The frames, types and notes of an exception and its causes, without their texts."""
    sections = []
    current: BaseException | None = error
    while current is not None:
        frames = traceback.format_tb(current.__traceback__)
        notes = [f"\n  {note}" for note in getattr(current, "__notes__", ())]
        sections.append("".join([*frames, type(current).__name__, *notes]))
        current = current.__cause__ or current.__context__
    return "\nfrom\n".join(sections)
