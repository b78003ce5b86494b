"""Records into events: each reason of the closed list, their order, and the edges of every field.

Long because it is one table per field; test_random_records has random records.
"""

import json
import random
from datetime import timedelta
from fractions import Fraction
from itertools import combinations

import pytest

from rules.events import Event, Item, Origin
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


def ordered(**properties: str) -> bytes:
    """An Order Completed with these properties, as JSON texts."""
    parts = (f'"{name}":{text}' for name, text in properties.items())
    return record(event='"Order Completed"', properties="{" + ",".join(parts) + "}")


# --- the reasons and their order ---------------------------------------------------------------

WRONG: list[tuple[str, Fields]] = [
    ("too_large", {"context": f'"{"x" * MIB}"'}),
    ("not_json", {"context": "NaN"}),
    ("not_json", {"context": '"open'}),
    ("no_customer", {"userId": None, "anonymousId": None}),
    ("no_customer", {"userId": '""', "anonymousId": "null"}),
    ("bad_id", {"userId": "5"}),
    ("bad_id", {"anonymousId": "false"}),
    ("bad_id", {"userId": '"a\\u0000"'}),
    ("no_message_id", {"messageId": None}),
    ("no_message_id", {"messageId": '""'}),
    ("no_message_id", {"messageId": "[]"}),
    ("no_timestamp", {"timestamp": None}),
    ("no_timestamp", {"timestamp": "1772366400000"}),
    ("absurd_timestamp", {"timestamp": '"yesterday"'}),
    ("absurd_timestamp", {"timestamp": '"1999-12-31T23:59:59Z"'}),
    ("bad_type", {"type": None}),
    ("bad_type", {"type": '"purchase"'}),
    ("bad_type", {"type": "{}"}),
    ("bad_value", {"event": None}),
    ("bad_value", {"event": '""'}),
    ("bad_value", {"event": "5"}),
    ("bad_value", {"properties": "[]"}),
    ("bad_value", {"properties": '{"quantity":-1}'}),
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
    with pytest.raises(Rejected, match=r"^wrong_key$"):
        decode(record(), key, NOON_MS, ORIGIN)
    for code, fields in WRONG:
        with pytest.raises(Rejected, match=rf"^{code}$"):
            decode(record(**fields), key, NOON_MS, ORIGIN)


def test_the_key_is_the_customer_in_utf_8() -> None:
    """`userId`, else `anonymousId`; the event says where it was read."""
    assert decode(record(), b"u1", NOON_MS, ORIGIN).origin == ORIGIN
    persian = record(userId='"مشتری"', anonymousId='"a"')
    assert decode(persian, "مشتری".encode(), NOON_MS, ORIGIN).customer == "مشتری"
    assert decode(record(userId="null", anonymousId='"a"'), b"a", NOON_MS, ORIGIN).customer == "a"


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
    assert outcome(record(context=text, messageId="5")) == "no_message_id"
    assert outcome(record(traits=text, type="5")) == "bad_type"
    assert outcome(record(properties=f'{{"color":{text}}}', userId="5")) == "bad_id"


# --- customers ---------------------------------------------------------------------------------

LRM, RLO, ZWNJ = "\u200e", "\u202e", "\u200c"


@pytest.mark.parametrize(
    "name",
    [
        "7",
        " ",
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
        assert outcome(record(userId=json.dumps(customer))) == "bad_id"
        assert outcome(record(userId=None, anonymousId=json.dumps(customer))) == "bad_id"


@pytest.mark.parametrize("text", ["5", "0", "1.5", "true", "false", "[]", '["u"]', "{}"])
def test_an_id_that_is_not_text(text: str) -> None:
    """An id that is no text is refused, whichever of the two would count."""
    assert outcome(record(userId=text)) == "bad_id"
    assert outcome(record(userId=text, anonymousId='"a"')) == "bad_id"
    assert outcome(record(anonymousId=text)) == "bad_id"
    assert outcome(record(userId=None, anonymousId=text)) == "bad_id"


@pytest.mark.parametrize("nobody", [None, "null", '""'])
@pytest.mark.parametrize("nor", [None, "null", '""'])
def test_no_customer(nobody: str | None, nor: str | None) -> None:
    """Absent, null and empty are the same; `anonymousId` stands in for an empty `userId`."""
    assert outcome(record(userId=nobody, anonymousId=nor)) == "no_customer"
    assert accepted(record(userId=nobody, anonymousId='"a"')).customer == "a"
    assert accepted(record(userId='"u"', anonymousId=nor)).customer == "u"


# --- times -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "time"), TIMES)
def test_timestamps(text: str, time: int | None) -> None:
    """RFC 3339 with an offset, cut to milliseconds; all else, and what is before 2000, is absurd."""
    accepted(record())  # the same minute was read just before: what is remembered of it changes nothing
    event_or_reason = outcome(record(timestamp=json.dumps(text)))
    assert (event_or_reason.time if isinstance(event_or_reason, Event) else event_or_reason) == (
        "absurd_timestamp" if time is None else time
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
CUSTOM = ["Signed Up", "NPS Submitted", "product added", "Product Added ", "ثبت نام", "page", "identify"]


@pytest.mark.parametrize("name", CUSTOM)
def test_names_of_ones_own_carry_anything(name: str) -> None:
    """What is not a name of the shop is not checked: no `bad_value`, and no items, order or amount."""
    event = accepted(record(event=json.dumps(name), properties=ANYTHING))
    assert (event.name, event.items, event.order, event.amount) == (name, None, None, None)


@pytest.mark.parametrize("name", sorted(oracle.BROWSE | oracle.CARTS | oracle.PURCHASES))
def test_names_of_the_shop_are_checked(name: str) -> None:
    """Money and quantities that are none are `bad_value` on each of its names."""
    for field in ("quantity", "total", "revenue", "subtotal", "value", "price", "tax", "shipping", "discount"):
        for text in ("-1", '"-0.01"', '"x"', "[]", "true", "1e12"):
            properties = f'{{"{field}":{text}}}'
            assert outcome(record(event=f'"{name}"', properties=properties)) == "bad_value", properties
    assert accepted(record(event=f'"{name}"', properties='{"color":-1,"discount":null,"tax":"0"}')).name == name


def test_a_track_called_like_a_type_is_taken_for_it() -> None:
    """Names are one namespace: a track named screen is a page view, as a rule that names it reads."""
    assert accepted(record(event='"screen"')).name == "page"


# --- money and quantities ----------------------------------------------------------------------

MICRO = 1_000_000
WHOLE = 999_999_999_999 * MICRO
AMOUNTS: list[tuple[str, int | None]] = [
    ("0", 0), ("1", MICRO), ("100", 100 * MICRO), ("0.1", 100_000), ("19.99", 19_990_000), ("0.000001", 1),
    ("0.0000019", 1), ("0.0000009", 0), ("1e-7", 0), ("1e-400", 0), ("0e999", 0), ("-0", 0), ("-0.0", 0),
    ("1e3", 1_000 * MICRO), ("1E+3", 1_000 * MICRO), ("1.5e1", 15 * MICRO), ("0.30000000000000004", 300_000),
    ("999999999999", WHOLE), ("9.99999999999e11", WHOLE), ("999999999999.999999", WHOLE + 999_999),
    ("999999999999.9999999", WHOLE + 999_999), ("999999999999." + "9" * 60, WHOLE + 999_999), ("1e11", 10**17),
    ("1000000000000", None), ("1000000000000.0", None), ("1e12", None), ("1e999", None), ("1" * 399, None),
    ("-1", None), ("-0.0000001", None), ("-1e-400", None),
    ("123456789012.123456" + "9" * 40, 123_456_789_012_123_456), ("0.000000" + "9" * 40, 0),
    ("0." + "3" * 300, 333_333),
    ("1e99999999999999999999", None), ("1e-99999999999999999999", 0), ("0e99999999999999999999", 0),
    ("1" + "0" * 100 + "e-100", MICRO),
]  # fmt: skip


@pytest.mark.parametrize(("text", "amount"), AMOUNTS, ids=[text[:40] for text, _ in AMOUNTS])
def test_amounts(text: str, amount: int | None) -> None:
    """Amounts are integers of 10⁻⁶, exact, cut beyond; negative or 10¹² and more is `bad_value`; as text the same."""
    for written in (text, f'"{text}"'):
        event_or_reason = outcome(ordered(total=written))
        assert (event_or_reason.amount if isinstance(event_or_reason, Event) else event_or_reason) == (
            "bad_value" if amount is None else amount
        )


NO_NUMBERS = [
    "", " ", "01", "-01", "+1", " 1", "1 ", "1\\n", ".5", "5.", "1e", "e1", "1e1.5", "0x10", "1_000", "1,5", "1.5.2",
    "--1", "1-", "NaN", "Infinity", "-Infinity", "inf", "null", "true", "١", "۱۲", "１", "²", "1\\u0000", "½", "€5",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_texts_that_are_no_numbers(text: str) -> None:
    """A numeric string follows JSON's syntax of numbers and nothing else."""
    assert outcome(ordered(total=f'"{text}"')) == "bad_value"
    assert outcome(record(properties=f'{{"quantity":"{text}"}}')) == "bad_value"


@pytest.mark.parametrize("text", ["true", "false", "[]", "[1]", "{}"])
def test_values_that_are_no_numbers(text: str) -> None:
    """A value that is no number, no text and not null is `bad_value`."""
    assert outcome(ordered(total=text)) == "bad_value"


def test_escapes_in_a_numeric_string_are_its_characters() -> None:
    """Some encoders write + as an escape; the text is the same."""
    assert accepted(ordered(total='"1e\\u002B3"')).amount == 1_000 * MICRO
    assert accepted(ordered(total='"\\u0031.50"')).amount == 1_500_000


def test_random_amounts_are_exact() -> None:
    """Amounts agree with fractions: any digits, any small exponent, as number and as text."""
    rng = random.Random(20260302)
    refused = 0
    for _ in range(5_000):
        whole = str(rng.randrange(10 ** rng.randint(1, 13)))
        part = "".join(rng.choices("0123456789", k=rng.choice((0, 1, 2, 6, 7, 20, 60))))
        part = part[: rng.randint(0, len(part))] + "9" * rng.choice((0, 0, 30)) if part else part
        exponent = rng.choice(("", "", "", "e0", "E2", "e-3", "e+1", "e-8"))
        text = whole + ("." + part if part else "") + exponent
        exact = Fraction(text)
        expected = None if exact >= 10**12 else int(exact * MICRO)
        refused += expected is None
        for written in (text, f'"{text}"'):
            event_or_reason = outcome(ordered(total=written))
            assert (event_or_reason if isinstance(event_or_reason, str) else event_or_reason.amount) == (
                "bad_value" if expected is None else expected
            ), text
    assert 100 < refused < 2_000


def test_more_than_400_characters_are_no_amount() -> None:
    """The bound is documented: no shop writes such amounts."""
    assert accepted(ordered(total="0." + "1" * 398)).amount == 111_111
    assert outcome(ordered(total="0." + "1" * 399)) == "bad_value"


@pytest.mark.parametrize("name", ["Product Added", "Product Removed", "Wishlist Product Added to Cart"])
def test_the_price_of_a_product(name: str) -> None:
    """A price is as exact as any amount; null is none, 0 is a price."""
    for text, price in (("19.99", 19_990_000), ('"0.1"', 100_000), ("0", 0), ("null", None)):
        event = accepted(record(event=f'"{name}"', properties=f'{{"product_id":"p","price":{text}}}'))
        assert event.items == (Item("p", None, price),)
    assert accepted(record(event=f'"{name}"')).items == (Item("p1"),)


def test_the_value_of_an_order() -> None:
    """The value of an order is `total`, else `revenue`; null is absent, 0 is a value."""
    assert accepted(ordered(total="5", revenue="7")).amount == 5 * MICRO
    assert accepted(ordered(total="null", revenue='"7"')).amount == 7 * MICRO
    assert accepted(ordered(total="0", revenue="7")).amount == 0
    assert accepted(ordered()).amount is None
    assert outcome(ordered(total="5", revenue="-1")) == "bad_value"


def test_currency_is_text() -> None:
    """A currency is text or null."""
    for text in ('"EUR"', "null", '""'):
        assert accepted(ordered(currency=text)).amount is None
    for text in ("5", "[]", "{}", "true", '["EUR"]'):
        assert outcome(ordered(currency=text)) == "bad_value"


# --- ids inside properties ---------------------------------------------------------------------

IDS: list[tuple[str, str | None]] = [
    ('"p1"', "p1"), ('"7"', "7"), ("7", "7"), ("0", "0"), ("-7", "-7"),
    ("12345678901234567890123", "12345678901234567890123"),
    ("null", None), ('""', None), ('" "', " "), ('"چای سبز"', "چای سبز"), ('"\\u0686\\u0627\\u06cc"', "چای"),
    ('"a\\"b\\\\"', 'a"b\\'), ('"\\ud83d\\ude00"', "😀"), ('"07"', "07"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), IDS)
def test_ids(text: str, name: str | None) -> None:
    """An id is text, or an integer as its digits; null and "" are absent."""
    assert accepted(ordered(order_id=text)).order == name
    for field in ("product_id", "sku", "name"):
        event = accepted(record(properties=f'{{"{field}":{text}}}'))
        assert event.items == (Item(name or ""),)


@pytest.mark.parametrize("text", ["1.5", "1.0", "1e3", "true", "false", "[]", "{}", '["p"]'])
def test_ids_that_are_none(text: str) -> None:
    """Any other type is `bad_value`, also of an id that would not have counted."""
    assert outcome(ordered(order_id=text)) == "bad_value"
    for field in ("product_id", "sku", "name"):
        assert outcome(record(properties=f'{{"{field}":{text}}}')) == "bad_value"
    assert outcome(record(properties=f'{{"product_id":"p","sku":{text}}}')) == "bad_value"


def test_a_product_is_its_id_else_its_sku_else_its_name() -> None:
    """The first of them that is there counts; without any it is the one unnamed product."""
    for properties, product in (
        ('{"product_id":"p","sku":"s","name":"n"}', "p"),
        ('{"product_id":"","sku":5,"name":"n"}', "5"),
        ('{"product_id":null,"sku":"","name":"n"}', "n"),
        ("{}", ""),
        ("null", ""),
    ):
        assert accepted(record(properties=properties)).items == (Item(product),)
    assert accepted(record(properties=None)).items == (Item(""),)


def test_whole_carts() -> None:
    """Cart Viewed and Checkout Started say the whole cart; absent and null say nothing, [] an empty one."""
    cart_text = '[{"product_id":7,"quantity":"2"},{"sku":"s","price":5},{}]'
    items = (Item("7", 2 * MICRO), Item("s", price=5 * MICRO), Item(""))
    for name in ("Cart Viewed", "Checkout Started"):
        for products, expected in ((cart_text, items), ("[]", ()), ("null", None)):
            assert accepted(record(event=f'"{name}"', properties=f'{{"products":{products}}}')).items == expected
        assert accepted(record(event=f'"{name}"', properties=None)).items is None
        for wrong in (
            "5",
            '"x"',
            "{}",
            "[null]",
            "[5]",
            "[[]]",
            '[{"quantity":-1}]',
            '[{"price":"x"}]',
            '[{"sku":1.5}]',
        ):
            assert outcome(record(event=f'"{name}"', properties=f'{{"products":{wrong}}}')) == "bad_value", wrong
