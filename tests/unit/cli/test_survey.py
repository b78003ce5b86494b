"""What `segmenter publish --dry-run` and `segmenter check --events` say about the events of a shop.

Each fault that a sender may have is in one file; what is said of it is compared word for word. A right file has no
warning, and no line stops the survey.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rules.definitions.segments_file import Definitions, parse
from streams.cli.survey_findings import SHOWN_MAX, findings
from streams.offline.input_survey import DIFFERENT_MAX, InputSurvey
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


def shop(name: str, number: int, **fields: Any) -> dict[str, Any]:
    """A track of a customer with nothing wrong about it."""
    right = {"type": "track", "event": name, "messageId": f"m{number}", "userId": f"u{number}", "anonymousId": "a1"}
    return right | {"timestamp": AT} | fields


ORDER = {"order_id": "o1", "total": 12.5, "currency": "EUR", "products": [{"product_id": "p", "price": 12.5}]}


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
        ('dead letters: absurd_timestamp (timestamp), in line 1: the line has a time that cannot be (RFC 3339 with an '
        'offset, from 2000 on, not in the future); as in "2026-11-01 10:00:00"'),
    ),
    "an event over several lines": (
        [b"{"],
        ("dead letters: not_json, in line 1: the line is no JSON; as in {. Each event stands on a line of its own: "
        "`jq -c` writes JSON so"),
    ),
    "a body of a tracking API": (
        [{"batch": [shop("Quiz Finished", 1)]}],
        ". It is a batch: `jq -c '.batch[]'` writes each of its events on a line of its own",
    ),
    "a time as a number": (
        [shop("Quiz Finished", 1), shop("Quiz Finished", 2, timestamp=1764000000)],
        'values: "track": timestamp cannot be read, in line 2, as in 1764000000',
    ),
    "no time": (
        [shop("Quiz Finished", 1), shop("Quiz Finished", 2, timestamp=None)],
        'missing fields: "track" lacks timestamp, in line 2: such an event counts at the time at which it is published',
    ),
    "no id of the message": (
        [shop("Quiz Finished", 1, messageId=None)] * 2,
        ("dead letters: no_message_id (messageId), 2 times (first in line 1): the line has no messageId, so that a "
        "repeat could not be recognised; as in null"),
    ),
    "a misspelt name": (
        [shop("Order Complete", 1, properties=ORDER)],
        ('event names: "Order Complete", in line 1, is probably to be "Order Completed"; it counts as an event of its '
        "own"),
    ),
    "a name of another product": (
        [shop("add_to_cart", 1)],
        'event names: "add_to_cart", in line 1, is probably to be "Product Added"; it counts as an event of its own',
    ),
    "another spelling of a name in the file": (
        [shop("quiz_finished", 1)],
        'event names: "quiz_finished", in line 1, is probably to be "Quiz Finished"; it counts as an event of its own',
    ),
    "a name of the file with a letter less": (
        [shop("Quiz Finishd", 1)],
        'event names: "Quiz Finishd", in line 1, is probably to be "Quiz Finished"; it counts as an event of its own',
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
        "dead letters: not_json, in line 1: the line is no JSON; as in {",
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
        "currencies: orders by currency: EUR 1, USD 1; amounts in USD are unknown to a file in EUR",
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
        survey.add(number, json.dumps(shop(f"Quiz Finished{number}", number)).encode())
    assert len(survey.names) == DIFFERENT_MAX
    printed = [finding for finding in findings(survey, definitions()) if finding.subject == "event names"]
    assert len(printed) == SHOWN_MAX + 1


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
    assert [complaint.split(":")[0] for complaint in complaints(b"{")] == ["events", "dead letters"]
    assert complaints() == ["events: none in 0 lines"]


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
    assert wrong.out.splitlines()[-1] == "1 problem, 1 warning"


def test_check_says_what_is_wrong_with_events(segments: Path) -> None:
    """The findings stand before the sizes of segments, which are those of the usable lines; the exit code stays 0."""
    stdin = lines(shop("Quiz Finished", 1), shop("Order Complete", 2)) + b"{\n"
    done = segmenter("check", str(segments), "--events", "-", stdin=stdin)
    assert done.code == 0
    assert done.err.startswith("line 3: not_json: {")
    words = " ".join(done.out.split())
    assert '"Order Complete", in line 2, is probably to be "Order Completed"' in words
    assert words.index("Order Complete") < words.index("1 quiz_taker")
