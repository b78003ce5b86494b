"""A case, the events that it is made of, and raw JSON where Python would write a value in another way."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MARK: Final = "§"  # begins every id of a case; replaced by a prefix of the case, so that cases share no customer
START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNTIL: Final = "2026-03-08T10:00:00Z"
USER: Final = f"{MARK}u"

Event = dict[str, Any]
RAW: Final = "\ue000"  # a private-use character: no case holds it


@dataclass(frozen=True)
class Case:
    """The lines of a few customers, and the segments that each of them is in at UNTIL."""

    name: str
    rules: tuple[str, ...]
    file: str
    lines: tuple[str, ...]
    right: Mapping[str, frozenset[str]]
    refused: Mapping[int, str] = field(default_factory=dict)  # line number -> reason
    undecided: frozenset[str] = frozenset()  # segments of which the contract does not say enough


class Absent:
    """The field is not there at all."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


def raw(text: str) -> str:
    """A value that stands in the JSON exactly as given."""
    return f"{RAW}{text}{RAW}"


def line(event: Event | str) -> str:
    """The event as one line of JSON; text is a line already."""
    if isinstance(event, str):
        return event
    text = json.dumps(event, ensure_ascii=False)
    return re.sub(f'"{RAW}(.*?){RAW}"', lambda hit: str(json.loads(f'"{hit.group(1)}"')), text)


def label(value: object) -> str:
    """A short name of a value for the name of a case."""
    if isinstance(value, Absent):
        return repr(value)
    text = line({"": value})[5:-1]
    return text if len(text) <= 40 else f"{text[:20]}…({len(text)} characters)"


def at(minutes: float) -> str:
    """The time so many minutes after START."""
    moment = START + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_absent(value: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without the names whose value is ABSENT."""
    return {name: inner for name, inner in value.items() if not isinstance(inner, Absent)}


def event(kind: str, message: str, minutes: float = 0, **fields: Any) -> Event:
    """An event of the usual customer; a field that is ABSENT is left out."""
    head = {"type": kind, "messageId": f"{MARK}{message}", "userId": USER, "timestamp": at(minutes)}
    return without_absent({**head, **fields})


def track(name: str, message: str, minutes: float = 0, /, **properties: Any) -> Event:
    """A track event of the usual customer with these properties."""
    return event("track", message, minutes, event=name, properties=without_absent(properties))


def make(
    name: str,
    rules: Sequence[str],
    file: str,
    events: Sequence[Event | str],
    right: Mapping[str, set[str]] | set[str],
    *,
    refused: Mapping[int, str] | None = None,
    undecided: set[str] | None = None,
) -> Case:
    """A case; a plain set is the right value of the usual customer."""
    per_customer = right if isinstance(right, Mapping) else {USER: right}
    return Case(
        name=name,
        rules=tuple(rules),
        file=file,
        lines=tuple(line(case) for case in events),
        right={customer: frozenset(keys) for customer, keys in per_customer.items()},
        refused=dict(refused or {}),
        undecided=frozenset(undecided or ()),
    )
