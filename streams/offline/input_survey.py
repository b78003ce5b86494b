"""Surveys the events of a shop: what of them is not read, and what about them may be a mistake of their sender.

The one rule: what a line is taken for is decided by the decoder of the worker; the survey only counts.
All counts of names and texts are bounded, and each keeps one example.

See also: `streams.cli.survey_findings`, which says it in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from rules.definitions.segments_file import Definitions
from rules.event_names import (
    IDENTIFY,
    KNOWN_NAMES,
    ORDER_COMPLETED,
    ORDER_NAMES,
    PRODUCT_ADDED,
    UNNAMED,
    WITHOUT_EFFECT,
)
from rules.events import Event
from streams.offline.example_counts import DIFFERENT_MAX, EXAMPLE_CHARS, CountsWithExamples, CountWithExample
from streams.offline.near_names import near_event, near_fields_of_message
from streams.offline.raw_fields import Fields, fields_of, members_of, text_of, written
from streams.offline.unlikely_ids import is_unlikely_id
from streams.wire.customer_ids import is_id, present
from streams.wire.envelope import RECORD_MAX_BYTES, read_envelope
from streams.wire.event_decoder import Rejected, decode_line
from streams.wire.event_times import OLDEST_MS, SKEW_MIN_MS, clock_skew, instant_of
from streams.wire.segment_spec import NOTHING, Envelope
from streams.wire.shop import shop_fields
from streams.wire.values import identity

# Is told the number of a line, the line, and why it is no event.
LineRejected = Callable[[int, bytes, str], None]

# The most ids that are remembered, to recognise repeats and ids that many share.
IDS_MAX = 1_000_000
# One anonymous id with so many user ids is probably no visitor's.
USERS_OF_A_DEVICE = 5
# A longer name of an event is cut: it is none that a segments file has.
NAME_CHARS = 256
# The names under which a batch of a tracking API, or a page of another one, has its events.
_BATCHES = ("batch", "events", "data", "records", "messages", "results", "items")
# What people are made of: needed by every segment, named by none.
_IDENTITIES = frozenset({*WITHOUT_EFFECT, IDENTIFY, UNNAMED, "erase", "unlink"})


class InputSurvey:
    """Counts over lines of events. All times are in ms."""

    def __init__(
        self,
        definitions: Definitions,
        rejected: LineRejected,
        now_ms: int | None = None,
        *,
        is_history: bool = False,
    ) -> None:
        """``rejected``: is told of each line that is no event.

        ``now_ms``: the time of a line that states none, and the bound of the others; without it such a line fails, and
        there is no bound. ``is_history``: a line that states no time fails in any case, as it has no place in one.
        """
        self._definitions = definitions
        self._tell_rejected = rejected
        self._now_ms = now_ms
        self._is_history = is_history
        names, self.is_any_looked_at = _looked_at(definitions)
        self.looked_at = frozenset(names)
        self._own_names = self.looked_at - KNOWN_NAMES
        self.lines = self.events = 0
        # By reason and field, and what more there is to say of the first (`_detail`).
        self.rejected = CountsWithExamples[tuple[str, str, str]]()
        self.batches = CountsWithExamples[str]()
        self.unread = CountsWithExamples[tuple[str, str]]()
        self.names = CountsWithExamples[str](self.looked_at)
        self.near_fields = CountsWithExamples[tuple[str, str]]()
        self.unusable_ids = CountsWithExamples[str]()
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
        document = fields_of(line) if len(line) <= RECORD_MAX_BYTES else {}
        try:
            event = self._decode(line)
        except Rejected as rejected:
            self._tell_rejected(number, line, str(rejected))
            key = rejected.reason, rejected.field, _detail(rejected, document)
            self.rejected.add(key, number, _example(line, document, rejected.field))
            self._look_at_rejected(number, document, rejected.reason)
            return None
        self.events += 1
        fields = read_envelope(line)
        self.names.add((event.name or str(fields.type))[:NAME_CHARS], number)
        self._look_at_names(number, document, event)
        self._look_at_ids(number, document, event)
        self._look_at_repeats(number, event)
        self._look_at_times(number, document, fields, event)
        self._look_at_values(number, fields, event)
        return event

    def _decode(self, line: bytes) -> Event:
        """The event that the worker makes of a line. Raises `Rejected`."""
        placeholders = self._definitions.placeholders
        if self._is_history or self._now_ms is None:
            event = decode_line(line, placeholders=placeholders)
            if self._now_ms is None:
                return event
        return decode_line(line, self._now_ms, placeholders=placeholders)

    def unused(self) -> list[str]:
        """The names of events that no segment names; identities count whether a segment names them or not."""
        return [name for name, _ in self.names if name not in self.looked_at and name not in _IDENTITIES]

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

    def _look_at_rejected(self, number: int, document: Fields, reason: str) -> None:
        """Look for what may be wrong with a line that is no event: a batch, a name of a field, a placeholder."""
        if not document.keys() & {"userId", "anonymousId", "messageId", "event"}:
            for name in _BATCHES:
                members = members_of(document.get(name, NOTHING))
                if members and fields_of(members[0]):
                    self.batches.add(name, number)
                    return
        self._look_at_names(number, document, None)
        if reason == "no_customer":
            self._ids_of(number, document)

    def _look_at_names(self, number: int, document: Fields, event: Event | None) -> None:
        meant = None if event is None else event.name if event.name in KNOWN_NAMES else self._near_event(event.name)
        for name, field in near_fields_of_message(document, meant):
            self.near_fields.add((name, field), number)

    def _ids_of(self, number: int, document: Fields) -> dict[str, str]:
        """The ids of a line that count, by field; the others are counted as what they are."""
        ids = {}
        for field in ("userId", "anonymousId"):
            raw = document.get(field, NOTHING)
            text = identity(raw)
            if not text:
                if written(raw)[:1] not in ("n", '"'):
                    self.unusable_ids.add(field, number, written(raw))
                continue
            if present(text, self._definitions.placeholders) is None:
                if text.strip():
                    self.placeholders.add((field, text[:EXAMPLE_CHARS]), number)
                continue
            if not is_id(text):
                self.unusable_ids.add(field, number, written(raw))
                continue
            ids[field] = text
            if is_unlikely_id(text):
                self.unlikely_ids.add((field, text[:EXAMPLE_CHARS]), number)
        return ids

    def _look_at_ids(self, number: int, document: Fields, event: Event) -> None:
        ids = self._ids_of(number, document)
        self.identities["+".join(ids)] += 1
        if len(self.customers) < IDS_MAX or event.customer in self.customers:
            self.customers[event.customer] += 1
        device = ids.get("anonymousId")
        if len(ids) == 2 and device is not None and (device in self._users_of or len(self._users_of) < IDS_MAX):
            users = self._users_of.setdefault(device, set())
            if len(users) < DIFFERENT_MAX:
                users.add(ids["userId"])

    def _look_at_repeats(self, number: int, event: Event) -> None:
        key = hash((event.customer, event.id))
        if key in self._message_ids:
            self.repeats.add(number)
        elif len(self._message_ids) < IDS_MAX:
            self._message_ids.add(key)

    def _look_at_times(self, number: int, document: Fields, fields: Envelope, event: Event) -> None:
        is_corrected = instant_of(fields.timestamp) is None or instant_of(fields.originalTimestamp) is None
        if is_corrected and (skew := clock_skew(fields)):
            self.skew.add(number)
            self.skew_most = max(self.skew_most, skew, key=abs)
        for field in ("sentAt", "receivedAt"):
            text = getattr(fields, field)
            if text and instant_of(text) is None:
                self.unread.add((str(fields.type), field), number, written(document.get(field, NOTHING)))
        received = instant_of(fields.receivedAt)
        own = instant_of(fields.timestamp) or instant_of(fields.originalTimestamp)
        if own is None and (fields.timestamp or fields.originalTimestamp):
            self.unread.add((str(fields.type), "timestamp"), number, written(document.get("timestamp", NOTHING)))
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
            if event.order is None and "order_id" not in event.unread:
                self.lacking.add((event.name, "order_id"), number)
            if event.amount is None and not event.unread and event.name == ORDER_COMPLETED:
                self.lacking.add((event.name, "total"), number)
            if event.amount is not None:
                self.currencies.add(event.currency, number)
        if "product_id" not in event.unread and any(not item.product for item in event.items or ()):
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


def _detail(rejected: Rejected, document: Fields) -> str:
    """What more there is to say of the reason for which a line is no event: a key of the words for it."""
    raw = document.get(rejected.field, NOTHING)
    if rejected.reason == "bad_type" and rejected.field == "type":
        return "" if text_of(raw) else "absent"
    if rejected.reason == "absurd_timestamp":
        instant = instant_of(text_of(raw))
        return "" if instant is None else "past" if instant < OLDEST_MS else "future"
    return ""


def _example(line: bytes, document: Fields, field: str) -> str:
    """The value of a field, or the beginning of the line."""
    return written(document.get(field, line))


def _unread_example(name: str, field: str, fields: Envelope) -> str:
    """The first value of a field which cannot be read, at the event itself or in one of its products."""
    properties = fields_of(fields.properties)
    products = properties.get("products", NOTHING)
    for place in (properties, *map(fields_of, members_of(products) or [products])):
        if field not in place:
            continue
        alone = msgspec.Raw(b'{"%s":%s}' % (field.encode(), place[field]))
        if field in shop_fields(name, alone).unread or field in shop_fields(PRODUCT_ADDED, alone).unread:
            return written(place[field])
    return ""
