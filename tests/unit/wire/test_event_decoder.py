"""Records into events: each reason of the closed list, their order, and the edges of every field of the envelope.

Long because it is one table per field. Beside it: test_shop and test_amounts (properties of a shop's events),
test_event_times, and test_random_records.
"""

import json
import random
from datetime import timedelta
from itertools import combinations

import pytest

from rules.events import Event, Origin
from rules.identity.events import Misaddressed
from streams.wire.dead_letters import REASONS
from streams.wire.event_decoder import Rejected, decode
from tests.oracle import oracle
from tests.strategies import histories
from tests.strategies.histories import MINUTE, SECOND
from tests.support.input_records import BASE, MIB, NOON_MS, TIMES, Fields, accepted, outcome, record

ORIGIN = Origin("carts", 3, 42)


def backwards(**fields: str | None) -> bytes:
    """A record with its fields in the opposite order."""
    together = {**BASE, **fields}
    names = reversed(together)
    return ("{" + ",".join(f'"{name}":{together[name]}' for name in names if together[name] is not None) + "}").encode()


# --- the reasons and their order ---------------------------------------------------------------

WRONG: list[tuple[str, Fields]] = [
    ("too_large", {"context": f'"{"x" * MIB}"'}),
    ("not_json", {"context": "NaN"}),
    ("not_json", {"context": '"open'}),
    ("no_customer", {"userId": None, "anonymousId": None}),
    ("no_customer", {"userId": '""', "anonymousId": "null"}),
    ("no_customer", {"userId": '" "'}),
    ("bad_id", {"userId": "1.5"}),
    ("bad_id", {"userId": None, "anonymousId": '["a"]'}),
    ("bad_id", {"userId": '"a\\u0000"'}),
    ("no_message_id", {"messageId": None}),
    ("no_message_id", {"messageId": '""'}),
    ("no_message_id", {"messageId": "[]"}),
    ("no_timestamp", {"timestamp": None}),
    ("no_timestamp", {"timestamp": '""'}),
    ("no_timestamp", {"timestamp": "1772366400000"}),
    ("absurd_timestamp", {"timestamp": '"yesterday"'}),
    ("absurd_timestamp", {"timestamp": '"1999-12-31T23:59:59Z"'}),
    ("bad_type", {"type": None}),
    ("bad_type", {"type": '"purchase"'}),
    ("bad_type", {"type": "{}"}),
    ("bad_value", {"event": None}),
    ("bad_value", {"event": '""'}),
    ("bad_value", {"event": '" "'}),
    ("bad_value", {"event": "5"}),
    ("bad_value", {"event": "[]"}),
]


def described(case: tuple[str, Fields]) -> str:
    return f"{case[0]} {' '.join(case[1])}"


@pytest.mark.parametrize("case", WRONG, ids=described)
def test_one_fault(case: tuple[str, Fields]) -> None:
    """A record with one fault names it."""
    code, fields = case
    assert outcome(record(**fields)) == code


@pytest.mark.parametrize(
    "pair", [pair for pair in combinations(WRONG, 2) if not pair[0][1].keys() & pair[1][1].keys()],
    ids=lambda pair: " + ".join(map(described, pair)),
)  # fmt: skip
def test_of_two_faults_the_first_of_the_list_is_named(pair: tuple[tuple[str, Fields], tuple[str, Fields]]) -> None:
    """The order is that of the reasons, whatever the order of the fields in the record."""
    (first, fields), (second, others) = pair
    assert REASONS.index(first) <= REASONS.index(second)
    assert outcome(record(**fields, **others)) == first
    assert outcome(backwards(**fields, **others)) == first


NO_REASONS: list[Fields] = [
    {"properties": "[]"}, {"properties": "5"}, {"properties": '{"quantity":-1}'}, {"properties": '{"price":[]}'},
    {"properties": '{"products":5,"currency":1e999}'}, {"traits": "[]"}, {"context": '"x"'}, {"sentAt": "5"},
    {"receivedAt": "[]"}, {"originalTimestamp": "true"}, {"previousId": "{}"}, {"anonymousId": "false"},
]  # fmt: skip


@pytest.mark.parametrize("fields", NO_REASONS, ids=str)
def test_no_value_refuses_an_event(fields: Fields) -> None:
    """A field that cannot be read beside those that an event needs leaves an event."""
    for event in ('"Product Added"', '"Order Completed"', '"Order Refunded"', '"Cart Viewed"', '"Signed Up"'):
        usable = accepted(record(event=event, **fields))
        assert (usable.customer, usable.id, usable.time) == ("u1", "m1", NOON_MS)


def test_every_reason_is_told() -> None:
    """The list is closed, and a decoder gives all but the partition's and what is found while working."""
    reasons = {code for code, _ in WRONG} | {"not_object", "wrong_key", "wrong_partition"}
    assert reasons == set(REASONS[:12])
    assert REASONS[12:] == ("too_large_to_forward", "poison")


@pytest.mark.parametrize("value", [b"[]", b"null", b"5", b'"text"', b"true", b' [{"userId":"u"}] '])
def test_json_that_is_no_object(value: bytes) -> None:
    """Any other JSON is `not_object`, and nothing inside it is looked at."""
    assert outcome(value) == "not_object"


def test_an_object_comes_after_json_and_size() -> None:
    """An array with a NaN is no JSON; a large one is too large, whatever it is."""
    assert outcome(b"[NaN]") == "not_json"
    assert outcome(b"[" + b" " * MIB + b"]") == "too_large"
    assert outcome(b"x" * (MIB + 1)) == "too_large"


@pytest.mark.parametrize("key", [None, b"", b"u2", b"U1", b"u1 ", "u۱".encode()])
def test_a_key_that_is_not_the_customer(key: bytes | None) -> None:
    """The key is checked last: every other fault comes before it."""
    with pytest.raises(Rejected, match=r"^wrong_key \(key\)$"):
        decode(record(), key, NOON_MS, ORIGIN)
    for code, fields in WRONG:
        with pytest.raises(Rejected, match=rf"^{code}( |$)"):
            decode(record(**fields), key, None, ORIGIN)


def test_the_key_is_the_customer_in_utf_8() -> None:
    """`userId`, else `anonymousId`; the event says where it was read."""
    assert decode(record(), b"u1", NOON_MS, ORIGIN).origin == ORIGIN
    persian = record(userId='"مشتری"', anonymousId='"a"')
    assert decode(persian, "مشتری".encode(), NOON_MS, ORIGIN).customer == "مشتری"
    assert decode(record(userId="null", anonymousId='"a"'), b"a", NOON_MS, ORIGIN).customer == "a"


# The key, the ids of the record, and its customer.
OTHER_SPELLINGS: list[tuple[bytes, Fields, str]] = [
    (b"1001.0", {"userId": "1001.0"}, "1001"),
    (b"1001.00", {"userId": '"1001"'}, "1001"),
    (b"a", {"userId": '"u1"', "anonymousId": '"a"'}, "u1"),
    (b"7.0", {"userId": '"u1"', "anonymousId": "7"}, "u1"),
    (b"undefined", {"userId": '"undefined"', "anonymousId": '"a"'}, "a"),
    (b"Guest", {"userId": '"Guest"', "anonymousId": '"a"'}, "a"),
]


@pytest.mark.parametrize(("key", "fields", "customer"), OTHER_SPELLINGS)
def test_a_key_that_is_another_spelling_of_an_id(key: bytes, fields: Fields, customer: str) -> None:
    """A key that the record itself names is no fault: the event is addressed to its customer from there."""
    event = decode(record(**fields), key, NOON_MS, ORIGIN)
    assert isinstance(event, Misaddressed)
    assert (event.customer, event.key) == (customer, key.decode())
    with pytest.raises(Rejected, match=r"^wrong_key \(key\)$"):
        decode(record(**fields), b"another", NOON_MS, ORIGIN)


# --- whether an event names a user -------------------------------------------------------------

BOTH: Fields = {"userId": '"a"', "anonymousId": '"a"'}
PAGE: Fields = {"type": '"page"', "event": None, "properties": None}
IDENTIFY: Fields = {"type": '"identify"', "event": None, "properties": None}
ORDER: Fields = {"event": '"Order Completed"', "properties": '{"order_id":"o1"}'}
# The topic (None: a line of a file), the fields, and whether the event names its customer as a user.
NAMES_USER: list[tuple[str | None, Fields, bool]] = [
    ("visits", {**PAGE, "userId": '"a"'}, True),
    ("visits", {**PAGE, "userId": '"a"', "anonymousId": '"b"'}, True),
    ("visits", {**PAGE, "userId": '"a"', "anonymousId": '"undefined"'}, True),
    ("visits", {**PAGE, "userId": None, "anonymousId": '"a"'}, False),
    ("visits", {**PAGE, **BOTH}, False),
    ("shop.visits", {**PAGE, **BOTH}, False),
    ("visits", {**ORDER, **BOTH}, False),
    ("visits", {**BOTH}, False),
    ("carts", {**BOTH}, True),
    ("shop.carts", {**BOTH}, True),
    ("purchases", {**ORDER, **BOTH}, True),
    ("carts", {**PAGE, **BOTH}, True),
    ("profiles", {**IDENTIFY, **BOTH}, True),
    ("visits", {**IDENTIFY, **BOTH}, False),
    ("visits", {**IDENTIFY, **BOTH, "traits": "null"}, False),
    ("visits", {**IDENTIFY, **BOTH, "traits": "{}"}, False),
    ("visits", {**IDENTIFY, **BOTH, "traits": "{ \n }"}, False),
    ("visits", {**IDENTIFY, **BOTH, "traits": '{"plan":"gold"}'}, True),
    ("visits", {**PAGE, **BOTH, "traits": '{"plan":"gold"}'}, False),
    ("visits", {**IDENTIFY, "userId": None, "anonymousId": '"a"', "traits": '{"plan":"gold"}'}, False),
    (None, {**PAGE, **BOTH}, False),
    (None, {**ORDER, **BOTH}, True),
    (None, {**IDENTIFY, **BOTH}, True),
    (None, {**PAGE, "userId": '"a"', "anonymousId": '"b"'}, True),
]


@pytest.mark.parametrize(("topic", "fields", "is_named"), NAMES_USER)
def test_whether_an_event_names_a_user(topic: str | None, fields: Fields, is_named: bool) -> None:
    """One text as both ids names a user in an identify with traits, and on any topic but that of browsers."""
    value = record(**fields)
    event = accepted(value) if topic is None else decode(value, b"a", NOON_MS, Origin(topic, 0, 1))
    assert (event.customer, event.identifies) == ("a", is_named)


# --- size and JSON -----------------------------------------------------------------------------


def test_a_mebibyte_is_allowed() -> None:
    """At 1 MiB a record is read, a byte more is too large; a record without a value is no JSON."""
    filler = MIB - len(record(context='""'))
    assert isinstance(outcome(record(context=f'"{"x" * filler}"')), Event)
    assert outcome(record(context=f'"{"x" * (filler + 1)}"')) == "too_large"
    assert outcome(None) == "not_json"


BROKEN_TEXTS = [
    "", "nul", "tru", "NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "-", "1e", "0x1", "'x'", '"a', '"a\nb"',
    '"a\x00b"', '"\\x"', '"\\u12"', "[1", "[1,]", "{1:2}", '{"a"}', '{"a":1,}', "1 2", "//", '"\\ud800"', '"\\udc00x"',
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN_TEXTS)
def test_broken_json_anywhere(text: str) -> None:
    """Broken JSON is refused also in fields that are not read, and inside properties of any name."""
    for field in ("context", "traits", "userId", "messageId", "properties", "unknown"):
        assert outcome(record(**{field: text})) == "not_json", field
    inside = f'{{"color":{text}}}'
    assert outcome(record(properties=inside)) == "not_json"
    assert outcome(record(event='"Signed Up"', properties=inside)) == "not_json"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf8\x88\x80\x80\x80"])
def test_broken_utf_8_anywhere(bad: bytes) -> None:
    """Bytes that are no UTF-8 make no JSON, even in a field that is not read."""
    for field in ("context", "userId", "event", "traits"):
        assert outcome(record(**{field: '"X"'}).replace(b"X", bad)) == "not_json", field
    assert outcome(record(properties='{"product_id":"X"}').replace(b"X", bad)) == "not_json"


@pytest.mark.parametrize("around", [(b"", b" x"), (b"", b"{}"), (b"\xef\xbb\xbf", b""), (b"", b"\x00")])
def test_one_json_text_alone(around: tuple[bytes, bytes]) -> None:
    """Nothing may stand before or after it, but blanks."""
    assert outcome(around[0] + record() + around[1]) == "not_json"
    assert isinstance(outcome(b" \t\n" + record() + b"\r\n "), Event)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" * 500, "1" * 5_000, "0." + "1" * 5_000, "1e" + "9" * 40])
def test_numbers_that_nobody_reads_may_be_huge(text: str) -> None:
    """Huge numbers are JSON: alone they do no harm, and beside another fault that fault is named."""
    assert isinstance(outcome(record(context=text)), Event)
    assert isinstance(outcome(record(properties=f'{{"color":{text}}}')), Event)
    assert outcome(record(context=text, messageId="[]")) == "no_message_id"
    assert outcome(record(traits=text, type="5")) == "bad_type"
    assert outcome(record(properties=f'{{"color":{text}}}', userId="1.5")) == "bad_id"


# --- customers ---------------------------------------------------------------------------------

LRM, RLO, ZWNJ = "\u200e", "\u202e", "\u200c"


@pytest.mark.parametrize(
    "name",
    [
        "7",
        " a ",
        "a" * 256,
        "م" * 128,
        "م" * 127 + "ab",
        "😀" * 64,
        f"می{ZWNJ}روم",
        f"{RLO}abc{LRM}",
        "é",
        "a@b.c",
        "{p1}",
    ],
)
def test_customers_that_are_accepted(name: str) -> None:
    """An id has up to 256 bytes of UTF-8 without control characters; direction marks are allowed, escapes are equal."""
    assert accepted(record(userId=json.dumps(name))).customer == name
    assert accepted(record(userId=json.dumps(name, ensure_ascii=False))).customer == name
    assert accepted(record(userId='""', anonymousId=json.dumps(name))).customer == name


CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


@pytest.mark.parametrize("name", ["a" * 257, "م" * 128 + "a", "😀" * 64 + "a", *CONTROLS])
def test_customers_that_are_not(name: str) -> None:
    """An id of 257 bytes is refused, and one with a control character anywhere."""
    for customer in {name, f"a{name}", f"م{name}م"}:
        reason = "no_customer" if customer.isspace() else "bad_id"
        assert outcome(record(userId=json.dumps(customer))) == reason
        assert outcome(record(userId=None, anonymousId=json.dumps(customer))) == reason
        assert accepted(record(anonymousId=json.dumps(customer))).customer == "u1"
        assert accepted(record(userId=json.dumps(customer), anonymousId='"a"')).customer == "a"


@pytest.mark.parametrize("text", ["1.5", "true", "[5]", '["u"]', '{"id":"u"}', "1e-1", "5.01"])
def test_an_id_that_is_neither_text_nor_an_integer(text: str) -> None:
    """An id of another type is refused where it stands alone, and ignored beside one that can be used."""
    assert outcome(record(userId=text)) == "bad_id"
    assert outcome(record(userId=None, anonymousId=text)) == "bad_id"
    assert outcome(record(userId=text, anonymousId=text)) == "bad_id"
    assert accepted(record(anonymousId=text)).customer == "u1"
    assert accepted(record(anonymousId=text)).link is None
    assert accepted(record(userId=text, anonymousId='"a"')).customer == "a"


DIGITS = [
    ("5", "5"), ("5.0", "5"), ("1001.000", "1001"), ("-7", "-7"), ("98765432109876543210", "98765432109876543210"),
    ("98765432109876543210.0", "98765432109876543210"), ('"5"', "5"), ('"05"', "05"), ('"5.0"', "5.0"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "digits"), DIGITS)
def test_an_id_may_be_an_integer(text: str, digits: str) -> None:
    """An integer, also written as a float, is its digits in each id of the envelope; a text is as it stands."""
    assert accepted(record(userId=text)).customer == digits
    assert accepted(record(userId=None, anonymousId=text)).customer == digits
    assert accepted(record(messageId=text)).id == digits
    assert accepted(record(anonymousId=text)).link == digits
    assert accepted(record(type='"alias"', previousId=text)).link == digits


@pytest.mark.parametrize("text", ["1.5", "true", "false", "[]", "{}", '["m"]', '{"id":1}', "null", '""'])
def test_a_message_id_that_is_none(text: str) -> None:
    """A message id is text or an integer."""
    assert outcome(record(messageId=text)) == "no_message_id"


PLACEHOLDERS = ['"undefined"', '"NULL"', '" guest "', '"0"', "0", "0.0", "-1", '"[object Object]"', '"n/a"']


@pytest.mark.parametrize("nobody", [None, "null", '""', '" "', *PLACEHOLDERS])
@pytest.mark.parametrize("nor", [None, "null", '""', '" \\t"', *PLACEHOLDERS])
def test_no_customer(nobody: str | None, nor: str | None) -> None:
    """Absent, null, empty, spaces and a placeholder are the same; `anonymousId` stands in for such a `userId`."""
    assert outcome(record(userId=nobody, anonymousId=nor)) == "no_customer"
    assert accepted(record(userId=nobody, anonymousId='"a"')).customer == "a"
    assert accepted(record(userId='"u"', anonymousId=nor)).customer == "u"


# --- times -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "time"), TIMES)
def test_timestamps(text: str, time: int | None) -> None:
    """RFC 3339 with an offset, cut to milliseconds; other text, and what is before 2000, is absurd."""
    accepted(record())  # the same minute was read just before: what is remembered of it changes nothing
    event_or_reason = outcome(record(timestamp=json.dumps(text)))
    reason = "absurd_timestamp" if text else "no_timestamp"
    assert (event_or_reason.time if isinstance(event_or_reason, Event) else event_or_reason) == (
        reason if time is None else time
    )


def test_one_minute_in_several_hands() -> None:
    """Equal digits under another offset or letter are read by themselves, whichever came first."""
    utc = oracle.milliseconds("2031-05-06T07:08:00.500Z")
    hands = {"Z": utc, "+03:30": utc - 210 * MINUTE, "-05:00": utc + 300 * MINUTE, "z": utc}
    for order in (list(hands), list(hands)[::-1]):
        for offset in order:
            text = f'"2031-05-06T07:08:00.500{offset}"'
            assert accepted(record(timestamp=text)).time == hands[offset], order


def test_random_timestamps() -> None:
    """Any instant in any offset and number of digits is read exactly, also when its minute was read before."""
    rng = random.Random(20260301)
    for _ in range(5_000):
        since = rng.choice((rng.randrange(10**12), rng.randrange(3 * MINUTE)))
        clock = rng.choice(("Z", "+03:30", "-05:00", "micros", "nanos"))
        text = histories.written(histories.START + timedelta(milliseconds=since), clock)
        assert accepted(record(timestamp=f'"{text}"')).time == oracle.milliseconds(histories.START) + since, text


def test_event_time_is_the_earlier_of_timestamp_and_record_time() -> None:
    """A clock up to five minutes ahead moves no event; a millisecond more is absurd."""
    ahead = 5 * MINUTE
    for record_time, expected in (
        (NOON_MS + SECOND, NOON_MS),
        (NOON_MS, NOON_MS),
        (NOON_MS - 1, NOON_MS - 1),
        (NOON_MS - ahead, NOON_MS - ahead),
        (NOON_MS - ahead - 1, "absurd_timestamp"),
        (NOON_MS + 10**11, NOON_MS),
    ):
        event = outcome(record(), record_time)
        assert (event.time if isinstance(event, Event) else event) == expected


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "name"),
    [("page", "page"), ("screen", "page"), ("identify", "identify"), ("alias", "alias"), ("group", "group")],
)
def test_types_without_a_name(type_: str, name: str) -> None:
    """A screen is a page; `event` is not looked at, whatever it is, nor are properties."""
    for event in (None, '"Product Added"', "5", "[]", "null"):
        properties = '{"quantity":-1,"products":5,"total":"x"}'
        assert accepted(record(type=f'"{type_}"', event=event, properties=properties)).name == name


@pytest.mark.parametrize("text", ["null", '""', '"Page"', '"track "', '"purchase"', "5", "[]", "true"])
def test_types_that_are_none(text: str) -> None:
    """There are six types, written as they are."""
    assert outcome(record(type=text)) == "bad_type"


@pytest.mark.parametrize(("old", "new"), list(oracle.OLD_NAMES.items()))
def test_old_names(old: str, new: str) -> None:
    """A name of the first version of the spec is the same event."""
    assert accepted(record(event=json.dumps(old))) == accepted(record(event=json.dumps(new)))
    assert accepted(record(event=json.dumps(old))).name == new


ANYTHING = '{"quantity":"many","total":-1,"products":5,"currency":[],"order_id":{},"price":1e999,"product_id":1.5}'
CUSTOM = ["Signed Up", "NPS Submitted", "product ad", "Product Added!", "ثبت نام", "page", "identify"]


@pytest.mark.parametrize("name", CUSTOM)
def test_names_of_ones_own_carry_anything(name: str) -> None:
    """Of an event of one's own name no property is read: it has no items, order or amount, and nothing is unread."""
    event = accepted(record(event=json.dumps(name), properties=ANYTHING))
    assert (event.name, event.items, event.order, event.amount, event.unread) == (name, None, None, None, ())


@pytest.mark.parametrize("name", sorted(oracle.BROWSE | oracle.CARTS | oracle.PURCHASES | {"Order Updated"}))
def test_names_of_the_shop_carry_anything(name: str) -> None:
    """Money and quantities that are none refuse no event, and beside them the others are read."""
    for field in ("quantity", "total", "revenue", "subtotal", "value", "price", "tax", "shipping", "discount"):
        for text in ("-1", '"-0.01"', '"x"', "[]", "true", "1e12", "{}", "1e999"):
            event = accepted(record(event=f'"{name}"', properties=f'{{"order_id":"o","cart_id":"c","{field}":{text}}}'))
            assert (event.name, set(event.unread) <= {field}) == (name, True), (field, text)
            assert event.cart == (None if name in oracle.BROWSE else "c")
            assert event.order == ("o" if name.startswith("Order ") else None)
    assert accepted(record(event=f'"{name}"', properties=ANYTHING)).name == name
    assert accepted(record(event=f'"{name}"', properties='{"color":-1,"discount":null,"tax":"0"}')).unread == ()


@pytest.mark.parametrize(
    "spelling", ["product added", "Product Added ", "PRODUCT_ADDED", "product-added", "ProductAdded"]
)
def test_other_spellings_of_a_name(spelling: str) -> None:
    """A reserved name in another spelling is the same event, with what it holds."""
    assert accepted(record(event=json.dumps(spelling))) == accepted(record())


def test_a_track_called_like_a_type_is_taken_for_it() -> None:
    """Names are one namespace: a track named screen is a page view, as a rule that names it reads."""
    assert accepted(record(event='"screen"')).name == "page"
