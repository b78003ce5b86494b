"""What `segmenter publish --dry-run` and `segmenter check --events` say about the events of a shop.

Each fault that a sender may have is in one file; what is said of it is compared word for word. A right file has no
warning, and no line stops the survey.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import re
from pathlib import Path
from typing import Any

import pytest

from rules.definitions.segments_file import Definitions, parse
from streams.cli.input_files import LINE_MAX_BYTES, opened
from streams.cli.survey_findings import SHOWN_MAX, findings
from streams.offline.example_counts import DIFFERENT_MAX
from streams.offline.input_survey import InputSurvey
from streams.wire.event_decoder import Rejected, decode_line
from tests.support.commands import Done, lines, segmenter
from tests.support.mutated_payloads import mutate, payloads

FILE = """
version: 1
currency: EUR
segments:
  quiz_taker: {title: Quiz taker, when: {performed: {event: Quiz Finished, within: 7d}}}
  buyer: {title: Buyer, when: {performed: {event: Order Completed, within: 7d}}}
"""
NOW_MS = 1_793_700_000_000  # in November 2026
AT = "2026-11-01T10:00:00Z"
LATER = "2026-11-01T11:00:00Z"


def shop(name: str, number: int, **fields: Any) -> dict[str, Any]:
    """A track of a customer with nothing wrong about it."""
    right = {"type": "track", "event": name, "messageId": f"m{number}", "userId": f"u{number}", "anonymousId": "a1"}
    return right | {"timestamp": AT} | fields


ORDER = {"order_id": "o1", "total": 12.5, "currency": "EUR", "products": [{"product_id": "p", "price": 12.5}]}


# Names near to one that is recognised or that the file has, which mean something else.
OWN_WORDS = ("Product Reviewed", "Product Unviewed", "Quiz 2 Finished", "Quiz Unfinished", "Order Recompleted")


def definitions() -> Definitions:
    return parse(FILE, "shop.yaml")


def complaints(*events: dict[str, Any] | bytes) -> list[str]:
    """The warnings and problems about these events, each with its subject."""
    survey = InputSurvey(definitions(), lambda _number, _line, _reason: None, NOW_MS)
    for number, event in enumerate(events, 1):
        survey.add(number, event if isinstance(event, bytes) else json.dumps(event).encode())
    return [
        f"{finding.subject}: {finding.text}" for finding in findings(survey, definitions()) if finding.state != "ok"
    ]


def test_nothing_is_said_of_right_events() -> None:
    """Events as the contract has them, names of the shop's own and other fields of the spec included."""
    other = {"subtotal": 10, "tax": 2.5, "shipping": "0", "affiliation": "web", "coupon": None, "checkout_id": "c"}
    assert (
        complaints(
            shop("Order Completed", 1, properties=ORDER | other, integrations={}, channel="browser", version="2"),
            shop("Product Added", 2, properties={"sku": "s", "price": "3", "name": "Tea", "category": "Tea"}),
            shop(
                "Checkout Started",
                6,
                anonymousId="a3",
                properties={"value": 9, "products": [{"sku": "s", "url": "/s", "brand": "b"}]},
            ),
            shop("Quiz Finished", 3, properties={"points": 3}),
            shop("Film Watched", 4, context={"library": {"name": "x"}}, groupId="g"),
            *(shop(name, 7, anonymousId="a7") for name in OWN_WORDS),
            shop(
                "Order Completed",
                8,
                anonymousId="a8",
                properties=ORDER | {"items": 3, "variants": [], "amount": "", "value": None},
            ),
            # sent again after an hour; the server has corrected the time itself
            shop(
                "Quiz Finished", 9, anonymousId="a9", originalTimestamp=AT, sentAt=AT, receivedAt="2026-11-01T11:00:00Z"
            ),
            {"type": "alias", "userId": "u1", "previousId": "a1", "messageId": "m9", "timestamp": AT},
            {"type": "page", "name": "Home", "messageId": "m5", "anonymousId": "a2", "timestamp": AT, "properties": {}},
        )
        == []
    )


TOTAL_OF_DIGITS = json.dumps(shop("Order Completed", 2, properties={"order_id": "o", "total": 0})).encode().replace(
    b'"total": 0', b'"total": ' + b"1" * 5_000
)  # fmt: skip
LONE_SURROGATE = json.dumps(shop("Quiz Finished", 1)).encode().replace(b'"userId"', b'"message_id\\ud800": 1, "userId"')
TOTALS: tuple[Any, ...] = ("1", "x", [])
FAULTS: dict[str, tuple[list[dict[str, Any] | bytes], str]] = {
    "a time without an offset": (
        [shop("Quiz Finished", 1, timestamp="2026-11-01 10:00:00")],
        ('refused lines: absurd_timestamp (timestamp), in line 1: the line has a time that cannot be read; RFC '
        '3339 with an offset is read, such as 2026-11-01T10:00:00Z; as in "2026-11-01 10:00:00"'),
    ),
    "an event over several lines": (
        [b"{"],
        ("refused lines: not_json, in line 1: the line is no JSON; as in {. Each event stands on a line of its own: "
        "`jq -c .` writes JSON so"),
    ),
    "a body of a tracking API": (
        [{"batch": [shop("Quiz Finished", 1)]}],
        "refused lines: a batch of events under batch, in line 1: `jq -c '.batch[]'` writes each on a line of its own",
    ),
    "a time as a number": (
        [shop("Quiz Finished", 1), shop("Quiz Finished", 2, timestamp=1764000000)],
        'values: "track": timestamp cannot be read, in line 2, as in 1764000000',
    ),
    "a time in the future": (
        [shop("Quiz Finished", 1, timestamp="2036-11-01T10:00:00Z")],
        "refused lines: absurd_timestamp (timestamp), in line 1: the line has a time in the future; as in",
    ),
    "a time before there were shops": (
        [shop("Quiz Finished", 1, timestamp="1970-01-01T00:00:00Z")],
        "refused lines: absurd_timestamp (timestamp), in line 1: the line has a time before 2000; as in",
    ),
    "no type": (
        [shop("Quiz Finished", 1, type=None)],
        ("refused lines: bad_type (type), in line 1: the line has no type; it is one of page, screen, track, identify, "
        "alias, group, erase, unlink; as in null"),
    ),
    "a type of another product": (
        [shop("Quiz Finished", 1, type="event")],
        ("refused lines: bad_type (type), in line 1: the line has a type that is none of page, screen, track, "
        'identify, alias, group, erase, unlink; as in "event"'),
    ),
    "a table": (
        [b"user_id,event,time"],
        "as in user_id,event,time. It looks like a table (CSV): each line has to be a JSON object",
    ),
    "a page of an API": (
        [{"next": "x", "data": [shop("Quiz Finished", 1)]}],
        "refused lines: a batch of events under data, in line 1: `jq -c '.data[]'` writes each on a line of its own",
    ),
    "an id that is no text beside one that is": (
        [shop("Quiz Finished", number, userId=text) for number, text in enumerate((1.5, True, {}, "x" * 300, "a\nb"))],
        ("ids: userId cannot be an id, 5 times (first in line 1), as in 1.5: it counts as absent; an id is text of at "
        "most 256 bytes without control characters, or an integer"),
    ),
    "a placeholder alone": (
        [shop("Quiz Finished", 1, userId="guest", anonymousId=None)],
        'ids: userId is "guest", in line 1: a placeholder, which counts as absent',
    ),
    "an order that stands beside its properties": (
        [shop("Order Completed", 1, order_id="o1", total=3)],
        "field names: order_id, in line 1, is not read; properties.order_id is, which these lines lack",
    ),
    "properties under another name": (
        [shop("Order Completed", 1, props=ORDER)],
        "field names: props, in line 1, is not read; properties is, which these lines lack",
    ),
    "the name of a track under another name": (
        [{key: value for key, value in (shop("x", 1) | {"name": "x"}).items() if key != "event"}],
        "field names: name, in line 1, is not read; event is, which these lines lack",
    ),
    "an id of a product beside its name": (
        [shop("Product Added", 1, properties={"name": "Tea", "productId": "p"})],
        "field names: properties.productId, in line 1, is not read; properties.product_id is, which these lines lack",
    ),
    "a clock as a number": (
        [shop("Quiz Finished", 1, sentAt=1793527200)],
        'values: "track": sentAt cannot be read, in line 1, as in 1793527200; a wrong clock is not corrected; ',
    ),
    "no time": (
        [shop("Quiz Finished", 1), shop("Quiz Finished", 2, timestamp=None)],
        'missing fields: "track" lacks timestamp, in line 2: such an event counts at the time at which it is published',
    ),
    "no id of the message": (
        [shop("Quiz Finished", 1, messageId=None)] * 2,
        ("refused lines: no_message_id (messageId), 2 times (first in line 1): the line has no messageId, so a repeat "
        "of it could not be recognised; as in null"),
    ),
    "a misspelt name": (
        [shop("Order Complete", 1, properties=ORDER)],
        ('event names: "Order Complete", in line 1, probably means "Order Completed"; as it is written, it counts as '
        "an event of the shop's own"),
    ),
    "a name of another product": (
        [shop("add_to_cart", 1)],
        ('event names: "add_to_cart", in line 1, probably means "Product Added"; as it is written, it counts as an '
        "event of the shop's own"),
    ),
    "another spelling of a name in the file": (
        [shop("quiz_finished", 1)],
        ('event names: "quiz_finished", in line 1, probably means "Quiz Finished"; as it is written, it counts as an '
        "event of the shop's own"),
    ),
    "a name of the file with a letter less": (
        [shop("Quiz Finishd", 1)],
        ('event names: "Quiz Finishd", in line 1, probably means "Quiz Finished"; as it is written, it counts as an '
        "event of the shop's own"),
    ),
    "a field of the message in another spelling": (
        [{key: value for key, value in shop("Quiz Finished", 1, user_id="u1").items() if key != "userId"}],
        "field names: user_id, in line 1, is not read; userId is",
    ),
    "a field of the message in another spelling, in every line": (
        [{"type": "page", "user_id": "u1", "messageId": "m1", "timestamp": AT}] * 2,
        "field names: user_id, 2 times (first in line 1), is not read; userId is",
    ),
    "a number of more digits than Python reads": (
        [shop("Order Completed", 1, properties=ORDER | {"total": 1}), TOTAL_OF_DIGITS],
        'values: "Order Completed": total cannot be read, in line 2, as in 1111',
    ),
    "a name that is no text": (
        [LONE_SURROGATE],
        "refused lines: not_json, in line 1: the line is no JSON; as in {",
    ),
    "a field of an order in another spelling": (
        [shop("Order Completed", 1, properties={"OrderId": "o1", "total": 1})],
        "field names: properties.OrderId, in line 1, is not read; properties.order_id is",
    ),
    "a field of an order as another product calls it": (
        [shop("Order Completed", 1, properties={"order_id": "o1", "value": 3})],
        "field names: properties.value, in line 1, is not read; properties.total is",
    ),
    "a field of a product": (
        [shop("Order Completed", 1, properties=ORDER | {"products": [{"product_id": "p", "qty": 2}] * 3})],
        "field names: properties.products.qty, 3 times (first in line 1), is not read; properties.products.quantity is",
    ),
    "no id of the order": (
        [shop("Order Completed", 1, properties={"total": 3})],
        'missing fields: "Order Completed" lacks order_id, in line 1: each such message counts as an order of its own',
    ),
    "no value of the order": (
        [shop("Order Completed", 1, properties={"order_id": "o1"})],
        'missing fields: "Order Completed" lacks total, in line 1: the value of the order is unknown',
    ),
    "no product": (
        [shop("Product Added", 1, properties={"price": 3})],
        'missing fields: "Product Added" lacks product_id, in line 1: all such products count as one',
    ),
    "a value that cannot be read": (
        [shop("Order Completed", 1, properties=ORDER | {"total": text}) for text in TOTALS],
        'values: "Order Completed": total cannot be read, 2 times (first in line 2), as in "x"',
    ),
    "a value of a product that cannot be read": (
        [shop("Cart Viewed", 1, properties={"products": [{"sku": "s"}, {"sku": "t", "price": {"amount": 1}}]})],
        'values: "Cart Viewed": price cannot be read, in line 1, as in {"amount": 1}',
    ),
    "a placeholder": (
        [shop("Quiz Finished", 1, userId="undefined")],
        'ids: userId is "undefined", in line 1: a placeholder, which counts as absent',
    ),
    "a template that was not filled": (
        [shop("Quiz Finished", 1, userId="{{ customer.id }}")],
        ('ids: userId is "{{ customer.id }}", in line 1, and looks like a placeholder: these events are of one '
        "customer; name it under `placeholders` in the segments file, or correct the sender"),
    ),
    "a word for no id": (
        [shop("Quiz Finished", 1, anonymousId="(not set)")],
        ('ids: anonymousId is "(not set)", in line 1, and looks like a placeholder: these events are of one '
        "customer; name it under `placeholders` in the segments file, or correct the sender"),
    ),
    "a device of many users": (
        [shop("Quiz Finished", number) for number in range(7)],
        ('ids: 1 anonymous ids came with many user ids; "a1" with 7: a shared device, a server, or an id that the '
        "sender never renews"),
    ),
    "a wrong clock": (
        [
            shop("Quiz Finished", 1, sentAt="2026-11-01T10:00:00Z", receivedAt="2026-11-01T12:00:30Z"),
            shop("Quiz Finished", 2, sentAt="2026-11-01T10:00:00Z", receivedAt="2026-11-01T10:00:59Z"),
        ],
        ("clocks: sentAt and receivedAt differ by over a minute in line 1: the sender's clock is up to 2 hours behind "
        "the receiver's; such times are corrected"),
    ),
    "a time after its message was received": (
        [shop("Quiz Finished", 1, timestamp="2026-11-01T11:00:00Z", receivedAt=AT)],
        "clocks: timestamp is over a minute after receivedAt in line 1: the sender's clock is wrong",
    ),
    "nobody is identified": (
        [{"type": "page", "messageId": "m1", "anonymousId": "a2", "timestamp": AT}],
        ("identity: 100% of events name an anonymousId alone, 0% a userId alone, 0% both: no event links a visitor "
        "to a user"),
    ),
    "money in another currency": (
        [shop("Order Completed", 1, properties=ORDER | {"currency": code}) for code in ("EUR", "USD")],
        "currencies: orders by currency: 1 EUR, 1 USD; amounts in USD count as unknown: the segments file names EUR",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("events", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_sender_is_named(events: list[dict[str, Any] | bytes], sentence: str) -> None:
    """The sentence names the field or name, how often, where first, and what it leads to."""
    assert any(sentence in complaint for complaint in complaints(*events))


def test_one_customer_with_most_of_the_events() -> None:
    """A customer is asked about from one in twenty of a thousand events on."""
    events = [shop("Quiz Finished", number, anonymousId=f"a{number}") for number in range(1_000)]
    assert complaints(*events) == []
    same = [event | {"userId": "cron"} for event in events[:60]]
    assert complaints(*same, *events[60:]) == ['ids: "cron" has 6% of all events: is it one customer?']


def test_names_without_end_are_bounded() -> None:
    """Of a sender that makes a name for each event, so many are counted, and fewer are printed."""
    survey = InputSurvey(definitions(), lambda _number, _line, _reason: None)
    for number in range(DIFFERENT_MAX + 50):
        survey.add(number, json.dumps(shop(f"Quiz Finished{chr(97 + number % 26)}", number)).encode())
        survey.add(number, json.dumps(shop(f"Step {number}", number)).encode())
    survey.add(DIFFERENT_MAX, json.dumps(shop("Quiz Finished", DIFFERENT_MAX)).encode())
    assert len(survey.names) == DIFFERENT_MAX + 1
    text_of = {finding.subject: finding.text for finding in findings(survey, definitions())}
    printed = [finding.text for finding in findings(survey, definitions()) if finding.subject == "event names"]
    assert len(printed) == SHOWN_MAX + 2
    assert printed[SHOWN_MAX] == "16 more like these"
    assert printed[-1].startswith(f"there are over {DIFFERENT_MAX:,}; 76 events of further names are not listed")
    assert "no event came" not in text_of["segments"]


def test_a_large_object_takes_no_time() -> None:
    """Of a megabyte of names in an object, the first are looked at."""
    many = {f"order_ix{number}": 1 for number in range(50_000)}
    line = json.dumps(shop("Order Completed", 1, properties=many)).encode()
    assert len(line) < 1 << 20
    assert any(finding.startswith("missing fields") for finding in complaints(line))


def test_each_line_is_taken_for_what_the_decoder_says() -> None:
    """Whatever stands in the lines, each is counted once, as an event or by the reason of its dead letter."""
    rng = random.Random(1)
    mutated = [json.dumps(mutate(rng, rng.choice(payloads()))).encode() for _ in range(2_000)]
    odd = [b"{", b"[]", b"1", b'"x"', b"\xff", b"null", b'{"type":1}', b'{"userId":"u","messageId":7}', b"[" * 500]
    cut = [line[: rng.randrange(1, len(line))] for line in mutated[:500]]
    reasons: list[str] = []
    survey = InputSurvey(definitions(), lambda _number, _line, reason: reasons.append(reason))
    right = []
    for number, line in enumerate([*mutated, *odd, *cut]):
        survey.add(number, line)
        try:
            decode_line(line, placeholders=definitions().placeholders)
        except Rejected as rejected:
            right.append(str(rejected))
    assert reasons == right
    assert survey.events + len(reasons) == survey.lines == 2_000 + len(odd) + 500
    assert sum(count.number for _, count in survey.rejected) == len(reasons)
    assert list(findings(survey, definitions()))


def test_a_name_as_long_as_a_record_is_cut() -> None:
    """What is printed of a name, and what is kept of it, is short."""
    survey = InputSurvey(definitions(), lambda _number, _line, _reason: None, NOW_MS)
    survey.add(1, json.dumps(shop("x" * 900_000, 1, properties={"y" * 90_000: 1})).encode())
    assert max(len(finding.text) for finding in findings(survey, definitions())) < 400
    assert [len(name) for name, _ in survey.names] == [256]


def test_of_a_file_without_events_nothing_more_is_said() -> None:
    """Where no line is an event, there is nothing to say of values and segments."""
    assert [complaint.split(":")[0] for complaint in complaints(b"{")] == ["events", "refused lines"]
    assert complaints() == ["events: none in 0 lines"]


def test_a_line_without_a_time_has_no_place_in_a_history() -> None:
    """What `publish` gives the time of its record, a history cannot place; both refuse a time in the future."""
    later = json.dumps(shop("Quiz Finished", 1, timestamp="2036-11-01T10:00:00Z")).encode()
    timeless = json.dumps(shop("Quiz Finished", 1, timestamp=None)).encode()
    reasons: list[str] = []
    history = InputSurvey(definitions(), lambda _number, _line, reason: reasons.append(reason), NOW_MS, is_history=True)
    assert history.add(1, timeless) is history.add(2, later) is None
    assert reasons == ["no_timestamp (timestamp)", "absurd_timestamp (timestamp)"]


# --- files -----------------------------------------------------------------------------------------

RIGHT = lines(shop("Quiz Finished", 1), shop("Quiz Finished", 2))
FOREIGN_FILES = {
    "UTF-16": (RIGHT.decode().encode("utf-16"), "is in UTF-16; write it in UTF-8"),
    "UTF-16 without a mark": (RIGHT.decode().encode("utf-16-le"), "is no text in UTF-8; write it so"),
    "UTF-32": (RIGHT.decode().encode("utf-32"), "is in UTF-32; write it in UTF-8"),
    "zip": (b"PK\x03\x04xxxx", "is a zip archive; unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfdxxxx", "is packed with zstd; unpack it, or pack it with gzip"),
    "xz": (lzma.compress(RIGHT), "is packed with xz; unpack it, or pack it with gzip"),
    "bzip2": (bz2.compress(RIGHT), "is packed with bzip2; unpack it, or pack it with gzip"),
    "lines that end with CR": (RIGHT.strip().replace(b"\n", b"\r"), "ends its lines with CR alone"),
    "gzip cut off": (gzip.compress(RIGHT)[:-9], "is packed with gzip, and damaged: "),
    "gzip of UTF-16": (gzip.compress(RIGHT.decode().encode("utf-16")), "is in UTF-16; write it in UTF-8"),
}


@pytest.mark.parametrize(("content", "sentence"), FOREIGN_FILES.values(), ids=FOREIGN_FILES)
def test_a_file_of_another_kind_is_named(content: bytes, sentence: str, tmp_path: Path) -> None:
    """The message names the file and what it is."""
    path = tmp_path / "events"
    path.write_bytes(content)
    with pytest.raises(OSError, match=re.escape(f"{path} {sentence}")), opened(str(path)) as read:
        list(read)


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_without_end_takes_no_memory(packed: bool, tmp_path: Path) -> None:
    """The rest of a line that is too long is dropped, and the next one has the next number."""
    path = tmp_path / "events"
    content = b'{"a":"' + b"x" * (3 * LINE_MAX_BYTES) + b'"}\n' + RIGHT + b"y" * (LINE_MAX_BYTES + 5)
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    with opened(str(path)) as read:
        first, *right, last = read
    assert len(first) == len(last) == LINE_MAX_BYTES
    assert b"".join(right) == RIGHT


def test_an_array_with_a_fault_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What begins like an array and is none is read line by line, after a message."""
    path = tmp_path / "events.json"
    path.write_bytes(b"[\n{},\n]")
    with opened(str(path)) as read:
        assert list(read) == [b"[\n", b"{},\n", b"]"]
    assert capsys.readouterr().err.startswith(f"{path} is no JSON array (")


# --- the commands ----------------------------------------------------------------------------------


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(FILE)
    return path


def dry_run(segments: Path, *events: dict[str, Any] | bytes) -> Done:
    """Let the command look at these events. No server runs at its address."""
    content = b"\n".join(event if isinstance(event, bytes) else lines(event).strip() for event in events)
    return segmenter(
        "publish", "--dry-run", "-", stdin=content, definitions=segments, brokers="127.0.0.1:1", redis_url="redis://127.0.0.1:1"
    )  # fmt: skip


def test_publish_may_only_look(segments: Path) -> None:
    """A dry run prints the findings and sends nothing; exit code 1 is for a line that the worker would not accept."""
    right = dry_run(segments, shop("Quiz Finished", 1))
    assert (right.code, right.err) == (0, "")
    assert right.out.splitlines()[-1] == "no problems, no warnings"
    long = shop("Quiz Finished", 3, userId="x" * 300, anonymousId=None)
    wrong = dry_run(segments, shop("Quiz Finished", 1), b"", shop("Quiz Finishd", 2), long)
    assert wrong.code == 1
    assert wrong.err.startswith("line 4: bad_id (userId): {")
    assert dry_run(segments).code == 1
    many = dry_run(segments, *[b"{"] * (SHOWN_MAX + 5))
    assert len(many.err.splitlines()) == SHOWN_MAX + 1
    assert wrong.out.splitlines()[-1] == "1 problem, 1 warning"


def test_check_says_what_is_wrong_with_events(segments: Path) -> None:
    """The findings stand before the sizes of segments, which are those of the usable lines.

    The exit code is 1 only where no line is usable.
    """
    stdin = lines(shop("Quiz Finished", 1), shop("Order Complete", 2)) + b"{\n"
    done = segmenter("check", str(segments), "--events", "-", stdin=stdin)
    assert done.code == 0
    assert done.err.startswith("line 3: not_json: {")
    assert segmenter("check", str(segments), "--events", "-", stdin=b"{\n").code == 1
    words = " ".join(done.out.split())
    assert '"Order Complete", in line 2, probably means "Order Completed"' in words
    assert words.index("Order Complete") < words.index("1 quiz_taker")
