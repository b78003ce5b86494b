"""The connection to PostgreSQL, and which of its errors come from a record, or cannot pass by themselves."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from streams.settings import Settings, credentials
from streams.stop import Stop

_CONNECT_S, _SILENT_MS = 10, 30_000
# Classes of SQLSTATE: those in which a record is at fault (data, integrity, a limit of the program), and those that
# last until the operator changes something (a missing table, right or feature, the name of a schema).
# See https://www.postgresql.org/docs/current/errcodes-appendix.html
_OF_DATA = frozenset({"21", "22", "23", "54"})
_LASTING = frozenset({"0A", "3D", "3F", "42"})


def connect(settings: Settings) -> psycopg.Connection[TupleRow]:
    """Connect. Raises `Stop` for a setting that cannot be read, and what psycopg raises."""
    try:
        return psycopg.connect(
            credentials.postgres(settings), autocommit=True, connect_timeout=_CONNECT_S,
            application_name="segmenter sink", tcp_user_timeout=_SILENT_MS, client_encoding="utf8",
            prepare_threshold=None,  # a pooler may give the next transaction to a connection without the statement
        )  # fmt: skip
    except psycopg.ProgrammingError:  # its text repeats the setting
        raise Stop("SEGMENTER_POSTGRES cannot be read; write postgresql://USER@HOST/DATABASE") from None


def is_of_data(error: psycopg.Error) -> bool:
    """Whether a record is at fault."""
    # Some are found on this side, and have no SQLSTATE.
    return isinstance(error, psycopg.DataError) or (error.sqlstate or "")[:2] in _OF_DATA


def is_lasting(error: psycopg.Error) -> bool:
    """Whether no later attempt can succeed before the operator changes something."""
    return (error.sqlstate or "")[:2] in _LASTING


def reason(error: psycopg.Error) -> str:
    """The error in one line. One that a record caused is named by its kind alone: its text may repeat a value."""
    if error.sqlstate is None:
        return next(iter(str(error).splitlines()), type(error).__name__)
    kind = f"{type(error).__name__}, SQLSTATE {error.sqlstate}"
    return kind if is_of_data(error) else f"{error.diag.message_primary} ({kind})"
