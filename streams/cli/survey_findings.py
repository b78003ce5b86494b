"""The findings of a survey of events, in words: what is not read, what may be a mistake, and what to do.

See also: `streams.offline.input_survey`, which counts, and `streams.cli.findings`, which prints.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from rules.currencies import UNREADABLE, counts_in
from rules.definitions.segments_file import Definitions
from rules.event_names import KNOWN_NAMES
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, format_instant, words
from streams.cli.findings import Finding, ok, problem, warning
from streams.cli.input_files import visible
from streams.offline.example_counts import DIFFERENT_MAX, EXAMPLE_CHARS, CountsWithExamples, CountWithExample
from streams.offline.input_survey import InputSurvey

K = TypeVar("K", bound=Hashable)

# The most findings of one kind, and the most names in a sentence.
SHOWN_MAX = 10
# An id with this share of many events is probably no customer's.
_DOMINANT = 0.05
_MANY = 1_000
_TYPES = "page, screen, track, identify, alias, group, erase, unlink"
_TIME = "RFC 3339 with an offset is read, such as 2026-11-01T10:00:00Z"
# By reason and detail: what is wrong with the line.
_REASONS = {
    ("too_large", ""): "is larger than 1 MiB",
    ("not_json", ""): "is no JSON",
    ("not_object", ""): "is no JSON object",
    ("no_customer", ""): "has neither a userId nor an anonymousId that is an id; placeholders are none",
    ("bad_id", ""): "has an id that cannot be one: text of at most 256 bytes without control characters, or an integer",
    ("no_message_id", ""): "has no messageId, so a repeat of it could not be recognised",
    ("no_timestamp", ""): "has no time",
    ("absurd_timestamp", ""): f"has a time that cannot be read; {_TIME}",
    ("absurd_timestamp", "past"): "has a time before 2000",
    ("absurd_timestamp", "future"): "has a time in the future",
    ("bad_type", ""): f"has a type that is none of {_TYPES}",
    ("bad_type", "absent"): f"has no type; it is one of {_TYPES}",
    ("bad_value", ""): "is a track without the name of its event",
}


def findings(survey: InputSurvey, definitions: Definitions) -> Iterator[Finding]:
    """The findings, from the most to the least serious of each subject."""
    yield _overview(survey)
    yield from _refused(survey)
    yield from _names(survey)
    yield from _fields(survey)
    yield from _ids(survey)
    if not survey.events:
        return
    yield from _values(survey)
    yield _unused(survey, definitions)
    yield from _times(survey)
    yield _identities(survey)
    yield from _currencies(survey, definitions.currency)


def _overview(survey: InputSurvey) -> Finding:
    if not survey.events:
        return problem("events", f"none in {survey.lines:,} lines")
    from_to = f"from {format_instant(survey.oldest)} to {format_instant(survey.newest)}"
    return ok("events", f"{survey.events:,} in {survey.lines:,} lines, of {len(survey.customers):,} ids, {from_to}")


def _refused(survey: InputSurvey) -> Iterator[Finding]:
    if not survey.rejected:
        yield ok("lines", "the worker accepts each of them")
    for (reason, field, detail), count in _first(survey.rejected):
        named = f"{reason} ({field})" if field else reason
        example = visible(count.example)
        text = f"{named}, {_times_in(count)}: the line {_REASONS[reason, detail]}; as in {example}"
        yield problem("refused lines", text + _hint(reason, count.example.strip()))
    yield from _more("refused lines", survey.rejected, problem)
    for name, count in _first(survey.batches):
        yield problem(
            "refused lines",
            f"a batch of events under {name}, {_times_in(count)}: `jq -c '.{name}[]'` writes each on a line of its own",
        )


def _hint(reason: str, example: str) -> str:
    """What to do about a line that is no JSON."""
    if reason != "not_json":
        return ""
    if example in ("{", "[", "}", "]", "},") or example[:1] == '"':
        return ". Each event stands on a line of its own: `jq -c .` writes JSON so"
    if example[:1] not in "{[" and any(separator in example for separator in ",;\t"):
        return ". It looks like a table (CSV): each line has to be a JSON object"
    return ""


def _names(survey: InputSurvey) -> Iterator[Finding]:
    near = list(survey.near_events())
    for name, other, count in near[:SHOWN_MAX]:
        yield warning(
            "event names",
            f"{_quoted(name)}, {_times_in(count)}, probably means {_quoted(other)}; as it is written, it counts as an "
            "event of the shop's own",
        )
    if len(near) > SHOWN_MAX:
        yield warning("event names", f"{len(near) - SHOWN_MAX:,} more like these")
    if survey.names.uncounted:
        yield warning(
            "event names",
            f"there are over {DIFFERENT_MAX:,}; {survey.names.uncounted:,} events of further names are not listed: a "
            "name says what happened, and properties say to what",
        )


def _fields(survey: InputSurvey) -> Iterator[Finding]:
    for (name, field), count in _first(survey.near_fields):
        yield warning(
            "field names", f"{visible(name)}, {_times_in(count)}, is not read; {field} is, which these lines lack"
        )
    yield from _more("field names", survey.near_fields)
    for (name, field), count in _first(survey.lacking):
        lacks = f"{_quoted(name)} lacks {field}, {_times_in(count)}"
        yield warning("missing fields", f"{lacks}: {_CONSEQUENCES[field]}")
    yield from _more("missing fields", survey.lacking)


_CONSEQUENCES = {
    "timestamp": "such an event counts at the time at which it is published",
    "order_id": "each such message counts as an order of its own",
    "total": "the value of the order is unknown",
    "product_id": "all such products count as one",
}


def _values(survey: InputSurvey) -> Iterator[Finding]:
    for (name, field), count in _first(survey.unread):
        text = f"{_quoted(name)}: {field} cannot be read, {_times_in(count)}, as in {visible(count.example)}"
        yield warning("values", text + _UNREAD_CONSEQUENCES.get(field, "; it counts as unknown"))
    yield from _more("values", survey.unread)
    if not survey.unread:
        yield ok("values", "each amount, quantity, id and currency that stands in a cart or an order can be read")


_UNREAD_CONSEQUENCES = {
    "timestamp": f"; such an event counts at the time at which it is published; {_TIME}",
    "originalTimestamp": f"; such an event counts at the time at which it is published; {_TIME}",
    "sentAt": f"; a wrong clock is not corrected; {_TIME}",
    "receivedAt": f"; a wrong clock is not corrected; {_TIME}",
    "quantity": "; it counts as 1",
}


def _unused(survey: InputSurvey, definitions: Definitions) -> Finding:
    unused = survey.unused()
    if not unused:
        text = f"each event concerns one of the {len(definitions.segments)} segments"
    elif survey.is_any_looked_at:
        text = f"only segments on events of any name look at {_list(unused)}"
    else:
        text = f"no segment looks at {_list(unused)}"
    names = {name for name, _ in survey.names}
    missing = sorted(name for name in survey.looked_at - names if name not in KNOWN_NAMES)
    also = f"; no event came of {_list(missing)}, which segments name" if missing else ""
    return ok("segments", text + also)


def _ids(survey: InputSurvey) -> Iterator[Finding]:
    for (field, text), count in _first(survey.placeholders):
        yield warning("ids", f"{field} is {_quoted(text)}, {_times_in(count)}: a placeholder, which counts as absent")
    yield from _more("ids", survey.placeholders)
    for field, count in _first(survey.unusable_ids):
        yield warning(
            "ids",
            f"{field} cannot be an id, {_times_in(count)}, as in {visible(count.example)}: it counts as absent; an id "
            "is text of at most 256 bytes without control characters, or an integer",
        )
    for (field, text), count in _first(survey.unlikely_ids):
        yield warning(
            "ids",
            f"{field} is {_quoted(text)}, {_times_in(count)}, and looks like a placeholder: these events are of one "
            "customer; name it under `placeholders` in the segments file, or correct the sender",
        )
    yield from _more("ids", survey.unlikely_ids)
    shared = survey.shared_devices()
    if shared:
        text, users = shared[0]
        yield warning(
            "ids",
            f"{len(shared):,} anonymous ids came with many user ids; {_quoted(text)} with {users:,}: a shared device, "
            "a server, or an id that the sender never renews",
        )
    if survey.events >= _MANY:
        ((text, events),) = survey.customers.most_common(1)
        if events >= _DOMINANT * survey.events:
            yield warning("ids", f"{_quoted(text)} has {events / survey.events:.0%} of all events: is it one customer?")
    if survey.repeats.number:
        yield ok("ids", f"a messageId repeats another of its customer {_times_in(survey.repeats)}: it changes nothing")


def _times(survey: InputSurvey) -> Iterator[Finding]:
    if survey.skew.number:
        way = "behind" if survey.skew_most > 0 else "ahead of"
        yield warning(
            "clocks",
            f"sentAt and receivedAt differ by over a minute {_times_in(survey.skew)}: the sender's clock is up to "
            f"{_about(abs(survey.skew_most))} {way} the receiver's; such times are corrected",
        )
    if survey.ahead.number:
        yield warning(
            "clocks",
            f"timestamp is over a minute after receivedAt {_times_in(survey.ahead)}: the sender's clock is wrong",
        )
    if survey.late.number:
        late = f"older than an event before it {_times_in(survey.late)}, by up to {_about(survey.late_most)}"
        yield ok("order", late)


def _identities(survey: InputSurvey) -> Finding:
    both, user, anonymous = (survey.identities[key] for key in ("userId+anonymousId", "userId", "anonymousId"))
    total = max(1, both + user + anonymous)
    text = f"{anonymous / total:.0%} of events name an anonymousId alone, {user / total:.0%} a userId alone, "
    text += f"{both / total:.0%} both"
    if anonymous and not both:
        return warning("identity", f"{text}: no event links a visitor to a user")
    return ok("identity", text)


def _currencies(survey: InputSurvey, of_file: str | None) -> Iterator[Finding]:
    if not survey.currencies:
        return
    parts = [f"{count.number:,} {code or 'without one'}" for code, count in _first(survey.currencies)]
    further = len(survey.currencies) - len(parts)
    text = f"orders by currency: {', '.join(visible(part) for part in parts)}"
    text += f", and {further:,} currencies more" if further else ""
    codes = [code for code, _ in survey.currencies]
    other = [code for code in codes if code != UNREADABLE and not counts_in(code, of_file)]
    if of_file is None and len([code for code in codes if code]) > 1:
        yield warning("currencies", f"{text}; the segments file names no currency, so all count as plain numbers")
    elif other:
        yield warning(
            "currencies", f"{text}; amounts in {_list(other)} count as unknown: the segments file names {of_file}"
        )
    else:
        yield ok("currencies", text)


def _first(occurring: CountsWithExamples[K]) -> Iterator[tuple[K, CountWithExample]]:
    return islice(occurring, SHOWN_MAX)


def _more(
    subject: str, occurring: CountsWithExamples[K], finding: Callable[[str, str], Finding] = warning
) -> Iterator[Finding]:
    """A finding about the number of those that are not shown."""
    more = len(occurring) - SHOWN_MAX
    if more > 0:
        yield finding(subject, f"{'over ' if occurring.uncounted else ''}{more:,} more like these")


def _times_in(count: CountWithExample) -> str:
    return f"in line {count.line}" if count.number == 1 else f"{count.number:,} times (first in line {count.line})"


def _about(ms: int) -> str:
    """A duration, rounded down to the largest unit of which it has at least two."""
    for unit in (DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS):
        if ms >= 2 * unit:
            return words(ms - ms % unit)
    return words(ms)


def _quoted(text: str) -> str:
    return f'"{_short(text)}"'


def _short(text: str) -> str:
    return visible(text[:EXAMPLE_CHARS])


def _list(names: Iterable[str]) -> str:
    listed = [_short(name) for name in names]
    more = f" and {len(listed) - SHOWN_MAX} more" if len(listed) > SHOWN_MAX else ""
    return ", ".join(listed[:SHOWN_MAX]) + more
