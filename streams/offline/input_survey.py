"""Surveys the events of a shop: what of them is not read, and what about them may be a mistake of their sender.

The one rule: what a line is taken for is decided by the decoder of the worker; the survey only counts.
All counts of names and texts are bounded, and each keeps one example.

See also: `streams.cli.survey_findings`, which says it in words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

import msgspec

from rules.definitions.segments_file import Definitions
from rules.event_names import (
    CART_NAMES,
    KNOWN_NAMES,
    ORDER_COMPLETED,
    ORDER_NAMES,
    PRODUCT_ADDED,
    SHOP_NAMES,
)
from rules.events import Event
from rules.placeholders import fold
from streams.offline.near_names import ENVELOPE, OF_CART, PRODUCT, PROPERTIES, near_event, near_fields
from streams.wire.customer_ids import present
from streams.wire.envelope import read_envelope
from streams.wire.event_decoder import Rejected, decode_line
from streams.wire.event_times import SKEW_MIN_MS, clock_skew, instant_of
from streams.wire.segment_spec import NOTHING, Envelope
from streams.wire.shop import LISTED_MAX, shop_fields

K = TypeVar("K", bound=Hashable)
# The fields of a JSON object, each as it is written.
Fields: TypeAlias = dict[str, msgspec.Raw]
# Is told the number of a line, the line, and why it is no event.
LineRejected = Callable[[int, bytes, str], None]

# The most different names, fields and texts of which each is counted; any more are not.
DIFFERENT_MAX = 1_000
# The most ids that are remembered, to recognise repeats and ids that many share.
IDS_MAX = 1_000_000
# One anonymous id with so many user ids is probably no visitor's.
USERS_OF_A_DEVICE = 5
EXAMPLE_CHARS = 80
# A longer name of an event is cut: it is none that a segments file has.
NAME_CHARS = 256
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])
# Texts that a template leaves where it had no value: {{ customer.id }}, ${id}, %USER_ID%, <user id>, *|ID|*.
_UNFILLED = re.compile(r"\{\{|\$\{|%%?[A-Za-z_]+%|<[^>]*>|\*\|")
_NOBODY = frozenset({
    "noid", "nouser", "notset", "notloggedin", "notavailable", "loggedout", "visitor", "customer", "client", "dummy",
    "example", "sample", "missing", "empty", "xxx", "tbd", "todo", "void", "nobody", "noname", "guestuser",
    "anonymoususer", "unknownuser", "testuser", "undefinedundefined", "nullnull",
})  # fmt: skip
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


class CountWithExample(msgspec.Struct):
    """How often something occurs, the line in which it first does, and an example of it there."""

    number: int = 0
    line: int = 0
    example: str = ""

    def add(self, line: int, example: str = "") -> None:
        """Count one more, in this line."""
        if not self.number:
            self.line, self.example = line, example[:EXAMPLE_CHARS]
        self.number += 1


class CountsWithExamples(Generic[K]):
    """Counts by key, of the first `DIFFERENT_MAX` keys."""

    def __init__(self) -> None:
        self._by_key: dict[K, CountWithExample] = {}

    def add(self, key: K, line: int, example: str = "") -> None:
        """Count one more of a key, in this line."""
        if key in self._by_key or len(self._by_key) < DIFFERENT_MAX:
            self._by_key.setdefault(key, CountWithExample()).add(line, example)

    def __iter__(self) -> Iterator[tuple[K, CountWithExample]]:
        """The keys with their counts, the most frequent first."""
        return iter(sorted(self._by_key.items(), key=lambda entry: (-entry[1].number, entry[1].line)))

    def __len__(self) -> int:
        return len(self._by_key)


class InputSurvey:
    """Counts over lines of events. All times are in ms."""

    def __init__(self, definitions: Definitions, rejected: LineRejected, now_ms: int | None = None) -> None:
        """``rejected``: is told of each line that is no event.

        ``now_ms``: the time of a line that states none, and the bound of the others; without it such a line fails.
        """
        self._definitions = definitions
        self._tell_rejected = rejected
        self._now_ms = now_ms
        names, self.is_any_looked_at = _looked_at(definitions)
        self.looked_at = frozenset(names)
        self._own_names = self.looked_at - KNOWN_NAMES
        self.lines = self.events = 0
        self.rejected = CountsWithExamples[tuple[str, str]]()
        self.unread = CountsWithExamples[tuple[str, str]]()
        self.names = CountsWithExamples[str]()
        self.near_fields = CountsWithExamples[tuple[str, str]]()
        self.placeholders = CountsWithExamples[tuple[str, str]]()
        self.unlikely_ids = CountsWithExamples[tuple[str, str]]()
        self.lacking = CountsWithExamples[tuple[str, str]]()
        self.currencies = CountsWithExamples[str]()
        self.identities: Counter[str] = Counter()
        self.skew = CountWithExample()
        self.skew_most = 0
        self.ahead = CountWithExample()
        self.late = CountWithExample()
        self.late_most = 0
        self.oldest = self.newest = 0
        self.repeats = CountWithExample()
        self.customers: Counter[str] = Counter()
        self._message_ids: set[int] = set()
        self._users_of: dict[str, set[str]] = {}

    def read(self, lines: Iterable[bytes]) -> Iterator[Event]:
        """Count the lines, of which blank ones are skipped, and give their events."""
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text and (event := self.add(number, text)) is not None:
                yield event

    def add(self, number: int, line: bytes) -> Event | None:
        """Count a line, called ``number``; gives its event if it is one."""
        self.lines += 1
        document = _fields(line)
        try:
            event = decode_line(line, self._now_ms, placeholders=self._definitions.placeholders)
        except Rejected as rejected:
            self._tell_rejected(number, line, str(rejected))
            self.rejected.add((rejected.reason, rejected.field), number, _example(line, document, rejected.field))
            self._look_at_names(number, document, None)
            return None
        self.events += 1
        fields = read_envelope(line)
        self.names.add((event.name or str(fields.type))[:NAME_CHARS], number)
        self._look_at_names(number, document, event)
        self._look_at_ids(number, fields, event)
        self._look_at_times(number, document, fields, event)
        self._look_at_values(number, fields, event)
        return event

    def near_events(self) -> Iterator[tuple[str, str, CountWithExample]]:
        """The names of a shop's own that were probably to be others: name, the other, and its count."""
        for name, count in self.names:
            if name not in KNOWN_NAMES and (near := self._near_event(name)) is not None:
                yield name, near, count

    def _near_event(self, name: str) -> str | None:
        """The name that a name of the shop's own was probably to be."""
        return near_event(name[:NAME_CHARS], self._own_names)

    def shared_devices(self) -> list[tuple[str, int]]:
        """Anonymous ids that came with at least `USERS_OF_A_DEVICE` user ids, with their number, most first."""
        shared = [(text, len(users)) for text, users in self._users_of.items() if len(users) >= USERS_OF_A_DEVICE]
        return sorted(shared, key=lambda entry: (-entry[1], entry[0]))

    def _look_at_names(self, number: int, document: Fields, event: Event | None) -> None:
        for name, field in near_fields(document, ENVELOPE).items():
            self.near_fields.add((name, field), number)
        if event is None:
            return
        meant = event.name if event.name in KNOWN_NAMES else self._near_event(event.name)
        if meant not in SHOP_NAMES:
            return
        wanted = PROPERTIES if meant in ORDER_NAMES else OF_CART if meant in CART_NAMES else PRODUCT
        properties = _fields(document.get("properties", NOTHING))
        for name, field in near_fields(properties, wanted).items():
            self.near_fields.add((f"properties.{name}", f"properties.{field}"), number)
        for product in _members(properties.get("products", NOTHING))[:LISTED_MAX]:
            for name, field in near_fields(_fields(product), PRODUCT).items():
                self.near_fields.add((f"properties.products.{name}", f"properties.products.{field}"), number)

    def _look_at_ids(self, number: int, fields: Envelope, event: Event) -> None:
        ids = {}
        for field in ("userId", "anonymousId"):
            text = getattr(fields, field)
            if not isinstance(text, str) or not text.strip():
                continue
            if present(text, self._definitions.placeholders) is None:
                self.placeholders.add((field, text[:EXAMPLE_CHARS]), number)
                continue
            ids[field] = text
            if is_unlikely_id(text):
                self.unlikely_ids.add((field, text[:EXAMPLE_CHARS]), number)
        self.identities["+".join(ids)] += 1
        if len(self.customers) < IDS_MAX or event.customer in self.customers:
            self.customers[event.customer] += 1
        device = ids.get("anonymousId")
        if len(ids) == 2 and device is not None and (device in self._users_of or len(self._users_of) < IDS_MAX):
            users = self._users_of.setdefault(device, set())
            if len(users) < DIFFERENT_MAX:
                users.add(ids["userId"])
        key = hash((event.customer, event.id))
        if key in self._message_ids:
            self.repeats.add(number)
        elif len(self._message_ids) < IDS_MAX:
            self._message_ids.add(key)

    def _look_at_times(self, number: int, document: Fields, fields: Envelope, event: Event) -> None:
        if skew := clock_skew(fields):
            self.skew.add(number)
            self.skew_most = max(self.skew_most, skew, key=abs)
        received = instant_of(fields.receivedAt)
        own = instant_of(fields.timestamp) or instant_of(fields.originalTimestamp)
        if own is None and (fields.timestamp or fields.originalTimestamp):
            self.unread.add((str(fields.type), "timestamp"), number, _written(document.get("timestamp", NOTHING)))
        elif own is None:
            self.lacking.add((str(fields.type), "timestamp"), number)
        elif received is not None and own > received + SKEW_MIN_MS:
            self.ahead.add(number)
        if event.time < self.newest:
            self.late.add(number)
            self.late_most = max(self.late_most, self.newest - event.time)
        self.newest = max(self.newest, event.time)
        self.oldest = min(self.oldest or event.time, event.time)

    def _look_at_values(self, number: int, fields: Envelope, event: Event) -> None:
        for field in event.unread:
            self.unread.add((event.name, field), number, _unread_example(event.name, field, fields))
        if event.name in ORDER_NAMES:
            if event.order is None:
                self.lacking.add((event.name, "order_id"), number)
            if event.amount is None and not event.unread and event.name == ORDER_COMPLETED:
                self.lacking.add((event.name, "total"), number)
            if event.amount is not None:
                self.currencies.add(event.currency, number)
        if any(not item.product for item in event.items or ()):
            self.lacking.add((event.name, "product_id"), number)


def _looked_at(definitions: Definitions) -> tuple[set[str], bool]:
    """The names of events that change a fact, and whether some fact counts all events."""
    names: set[str] = set()
    is_any = False
    for fact, _ in definitions.facts.with_segments():
        if fact.names is None:
            is_any = True
        else:
            names |= fact.names
    return names, is_any


def is_unlikely_id(text: str) -> bool:
    """Whether an id looks as if its sender had none: an unfilled template, or a word for no one."""
    return _UNFILLED.search(text) is not None or _NOT_ALPHANUMERIC.sub("", fold(text)) in _NOBODY


def _fields(raw: bytes | msgspec.Raw) -> Fields:
    """The fields of a JSON object, each as it is written; none of anything else."""
    try:
        return _objects.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _members(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The members of a JSON list, each as it is written; none of anything else."""
    try:
        return _lists.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return []


def _written(raw: bytes | msgspec.Raw) -> str:
    return bytes(raw)[: 4 * EXAMPLE_CHARS].decode(errors="replace")


def _example(line: bytes, document: Fields, field: str) -> str:
    """The value of a field, or the begin of the line."""
    return _written(document.get(field, line))


def _unread_example(name: str, field: str, fields: Envelope) -> str:
    """The first value of a field which cannot be read, at the event itself or in one of its products."""
    properties = _fields(fields.properties)
    products = properties.get("products", NOTHING)
    for place in (properties, *map(_fields, _members(products) or [products])):
        if field not in place:
            continue
        alone = msgspec.Raw(b'{"%s":%s}' % (field.encode(), place[field]))
        if field in shop_fields(name, alone).unread or field in shop_fields(PRODUCT_ADDED, alone).unread:
            return _written(place[field])
    return ""
