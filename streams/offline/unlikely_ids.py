"""Ids that look as if their sender had none. They count as ids, since an id may be any text; a person has to decide.

See also: `rules.placeholders`, the texts that count as none.
"""

from __future__ import annotations

import re

from rules.placeholders import fold

# Texts that a template leaves where it had no value: {{ customer.id }}, ${id}, %USER_ID%, <user id>, *|ID|*.
_UNFILLED = re.compile(r"\{\{|\$\{|%%?[A-Za-z_]+%|<[^>]*>|\*\|")
_NOBODY = frozenset({
    "noid", "nouser", "notset", "notloggedin", "notavailable", "loggedout", "visitor", "customer", "client", "dummy",
    "example", "sample", "missing", "empty", "xxx", "tbd", "todo", "void", "nobody", "noname", "guestuser",
    "anonymoususer", "unknownuser", "testuser", "undefinedundefined", "nullnull",
})  # fmt: skip
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def is_unlikely_id(text: str) -> bool:
    """Whether an id looks as if its sender had none: an unfilled template, or a word for no one."""
    return _UNFILLED.search(text) is not None or _NOT_ALPHANUMERIC.sub("", fold(text)) in _NOBODY
