"""Random records come out as an obvious reading of the contract says, and any bytes as an event or a dead letter.

`judged` reads the contract a second time, from the text of the JSON and without the product's decoder.
"""

import json
import random
import re
import unicodedata
from collections import Counter
from fractions import Fraction
from typing import NamedTuple, NoReturn

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.currencies import UNREADABLE
from rules.events import Event, Item
from rules.profile.products import product_key
from rules.profile.short_ids import short_id
from streams.wire.dead_letters import REASONS
from tests.oracle import oracle
from tests.support.input_records import BASE, MIB, NOON, NOON_MS, TIMES, YEAR_2000_MS, outcome, record

EARLIER, LATER = "2026-03-01T11:59:00Z", "2026-03-01T15:40:00+0330"

# --- the contract, read a second time ----------------------------------------------------------

ORDERS = oracle.PURCHASES | {"Order Updated"}
SHOP = oracle.BROWSE | oracle.CARTS | ORDERS
TIMES_READ = {**dict(TIMES), EARLIER: NOON_MS - 60_000, LATER: NOON_MS + 600_000}
# The verbs and objects of the first version; a name of two words is the same the other way round.
FORMER = {
    "Viewed Product Category": "Product List Viewed", "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed", "Entered Payment Info": "Payment Info Entered",
    "Filtered Product List": "Product List Filtered", "Order Canceled": "Order Cancelled",
    "Canceled Order": "Order Cancelled",
}  # fmt: skip
TURNED = {" ".join(reversed(name.split())): name for name in SHOP if len(name.split()) == 2}
NAMES_READ = [
    (re.compile(r"\s*" + "[ _-]?".join(spelling.split()) + r"\s*", re.IGNORECASE), name)
    for spelling, name in [*((name, name) for name in SHOP), *FORMER.items(), *TURNED.items()]
]
PLACEHOLDERS = {
    "undefined", "null", "nil", "none", "nan", "n/a", "na", "anonymous", "anon", "guest", "unknown", "user", "userid",
    "user_id", "default", "test", "0", "-1", "true", "false", "[objectobject]", "{}", "[]",
    "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
CODES = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "﷼": "IRR"}
DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
NUMBER = re.compile(r"(\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)
MONEY = re.compile(r"([+-]?)\s*([€£¥₹₺﷼$]|[A-Za-z]{3})?\s*([\d.,٫٬ eE+-]*[\d])\s*([€£¥₹₺﷼$]|[A-Za-z]{3})?", re.ASCII)
END = 10**12


class Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class WrongError(Exception):
    """The reason why a record is a dead letter."""


class Money(NamedTuple):
    """An amount in 10⁻⁶, and the currency that its text names; without an amount it is absent, or unknown."""

    amount: int | None = None
    currency: str = ""
    is_unknown: bool = False


def judged(value: bytes) -> tuple[object, ...] | str:
    """What `decode_line` must make of it: the event's fields, or the reason."""
    try:
        return read(parsed(value))
    except WrongError as wrong:
        return str(wrong)


def require(holds: object, code: str) -> None:
    if not holds:
        raise WrongError(code)


def refuse(_: str) -> NoReturn:
    raise ValueError


def parsed(value: bytes) -> dict[str, object]:
    require(len(value) <= MIB, "too_large")
    try:
        document = json.loads(value.decode(), parse_int=Number, parse_float=Number, parse_constant=refuse)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except ValueError:
        raise WrongError("not_json") from None
    require(isinstance(document, dict), "not_object")
    return dict(document)


def is_text(value: object) -> bool:
    return type(value) is str


def read(fields: dict[str, object]) -> tuple[object, ...]:
    candidates = [value for field in ("userId", "anonymousId") if not is_nobody(value := fields.get(field))]
    require(candidates, "no_customer")
    customers = [text for value in candidates if (text := identity(value)) and is_usable(text)]
    require(customers, "bad_id")
    message = identity(fields.get("messageId"))
    require(message, "no_message_id")
    time = moment(fields)
    name = named(fields)
    properties = fields.get("properties")
    used = shop_fields(name, dict(oracle.mapping(properties))) if name in SHOP else NOT_OF_SHOP
    return customers[0], name, time, short_id(message or "") if len(message or "") > 256 else message, *used


def is_nobody(value: object) -> bool:
    """Whether a customer's id is absent: nothing, or a placeholder."""
    text = identity(value)
    return value is None or (text is not None and re.sub(r"\s", "", text).casefold() in PLACEHOLDERS | {""})


def is_usable(text: str) -> bool:
    return len(text.encode()) <= 256 and all(unicodedata.category(letter) != "Cc" for letter in text)


def identity(value: object) -> str | None:
    """An id: text, or the digits of an integer; None for any other type."""
    if isinstance(value, Number):
        whole, _, part = value.partition(".")
        return whole if whole.lstrip("-").isdigit() and not part.strip("0") else None
    return str(value) if is_text(value) else None


def moment(fields: dict[str, object]) -> int:
    """The time of the event, its clock corrected where no server did."""
    times = [fields.get(field) for field in ("timestamp", "originalTimestamp")]
    texts = [text for text in times if is_text(text) and text]
    require(texts, "no_timestamp")
    time = TIMES_READ.get(str(texts[0]))
    if time is None:
        raise WrongError("absurd_timestamp")
    sent, received = (TIMES_READ.get(str(fields.get(field))) for field in ("sentAt", "receivedAt"))
    if len(texts) == 1 and sent is not None and received is not None and abs(received - sent) > 60_000:
        time += received - sent
    require(time >= YEAR_2000_MS, "absurd_timestamp")
    return time


def named(fields: dict[str, object]) -> str:
    kind = fields.get("type")
    require(is_text(kind), "bad_type")
    require(kind in ("page", "screen", "track", "identify", "alias", "group"), "bad_type")
    if kind == "track":
        event = fields.get("event")
        require(is_text(event) and str(event).strip(), "bad_value")
        return next((name for spelling, name in NAMES_READ if spelling.fullmatch(str(event))), str(event))
    return "page" if kind == "screen" else str(kind)


NOT_OF_SHOP = (None, None, None, False, "", None)


def shop_fields(name: str, properties: dict[str, object]) -> tuple[object, ...]:
    """The items, order, amount, whether that is unknown, its currency, and the cart."""
    if name in oracle.BROWSE:
        return NOT_OF_SHOP
    currency = currency_of(properties.get("currency"))
    cart = first_id(properties, "cart_id", "cartId") or None
    items = products(properties.get("products"), currency)
    if name in oracle.ADDING | oracle.REMOVING:
        own = (item(properties, currency),)
        return own if first_id(properties, "product_id", "id", "sku") else items or own, None, None, False, "", cart
    if name in oracle.REPLACING:
        return items, None, None, False, "", cart
    if name not in ORDERS:
        return None, None, None, False, "", cart
    order = first_id(properties, "order_id", "orderId", "id") or None
    is_refund = name == "Order Refunded"
    value = money(properties.get("total"), is_refund=is_refund)
    if value == Money():
        value = money(properties.get("revenue"), is_refund=is_refund)
    if value == Money() and is_refund and not items and properties.get("products") not in (None, "", []):
        value = Money(is_unknown=True)
    if name == "Order Cancelled":
        items = None
    return items, order, value.amount, value.is_unknown, nearest(value.currency, currency), cart


def products(value: object, currency: str) -> tuple[Item, ...] | None:
    """The products of a list, or of one object that stands for it; None where there is no list."""
    members = [value] if isinstance(value, dict) else value
    if not isinstance(members, list):
        return None
    return tuple(item(member, currency) for member in members if isinstance(member, dict))


def item(properties: dict[str, object], currency: str) -> Item:
    named_by = first_id(properties, "product_id", "id")
    sku, variant = (first_id(properties, field) for field in ("sku", "variant"))
    key = product_key(named_by or sku or first_id(properties, "name"), sku if named_by else "", variant)
    price, quantity = money(properties.get("price")), money(properties.get("quantity"))
    return Item(key, quantity.amount, price.amount, nearest(price.currency, currency), price.is_unknown)


def first_id(properties: dict[str, object], *fields: str) -> str:
    return next((text for field in fields if (text := identity(properties.get(field)))), "")


def currency_of(value: object) -> str:
    if value is not None and not is_text(value):
        return UNREADABLE
    return "" if value is None else re.sub(r"\s", "", str(value)).upper()


def nearest(named_beside: str, of_event: str) -> str:
    """The currency of money: that of its own text before the event's; a dollar of the event is the one of its sign."""
    if named_beside == "$" and of_event in ("USD", "CAD"):
        return of_event
    return named_beside or of_event


def money(value: object, *, is_refund: bool = False) -> Money:
    """Money or a quantity: below zero, which a refund may be, or from 10¹² on it is unknown."""
    if value is None or (is_text(value) and not str(value).strip()):
        return Money()
    match = MONEY.fullmatch(str(value).strip().translate(DIGITS)) if isinstance(value, str) else None
    size = ungrouped(match[3]) if match else None
    if match is None or size is None or (match[2] and match[4]):
        return Money(is_unknown=True)
    if size >= END or (match[1] == "-" and size > 0 and not is_refund):
        return Money(is_unknown=True)
    sign = match[2] or match[4] or ""
    return Money(int(size * 1_000_000), CODES.get(sign, sign.upper()))


def ungrouped(text: str) -> Fraction | None:
    """The number of digits with separators; None where it cannot be told."""
    text = text.replace("٬", "'").replace("٫", "d")
    marks = [mark for mark in text if mark in "., 'd"]
    if marks and (marks[-1] == "d" or (marks[-1] in ".," and marks.count(marks[-1]) == 1)):
        whole, _, part = text.rpartition(marks[-1])
        if marks == [","] and re.fullmatch(r"\d{3}", part):
            return None
        return exact(f"{without_groups(whole)}.{part}")
    return exact(without_groups(text))


def without_groups(text: str) -> str:
    """The digits of groups of three between marks of one kind; no number where they are none."""
    if re.fullmatch(r"\d{1,3}(?:([., '])\d{3})(?:\1\d{3})*", text, re.ASCII):
        return re.sub(r"[., ']", "", text)
    return text


def exact(text: str) -> Fraction | None:
    """The number, exact for any exponent: one that leaves the range is not computed with."""
    match = NUMBER.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return None
    digits = (match[1] + (match[2] or "")).lstrip("0")
    exponent = int(match[3] or 0) - len(match[2] or "")
    size = len(digits) + exponent  # digits before the point
    if not digits or size < -6:
        return Fraction(0)
    return Fraction(END) if size > 12 else int(digits) * Fraction(10) ** exponent


def as_judged(event_or_reason: Event | str) -> tuple[object, ...] | str:
    if isinstance(event_or_reason, str):
        return event_or_reason
    return (
        event_or_reason.customer,
        event_or_reason.name,
        event_or_reason.time,
        event_or_reason.id,
        event_or_reason.items,
        event_or_reason.order,
        event_or_reason.amount,
        event_or_reason.is_unvalued,
        event_or_reason.currency,
        event_or_reason.cart,
    )


# What is put in place of a field, most of it wrong in most places.
TEXTS = [
    "null", "true", "5", "-1", "0", "1.5", "1e3", "-0.0", "7.0", "0.0000019", "1000000000000", '"5"', '"1.50"', '"01"',
    '""', '" "', '"x"', '"چای"', "[]", "{}", "[{}]", "[null]", '[{"product_id":7,"quantity":2},{"sku":3,"price":"x"}]',
    '[{"product_id":7,"quantity":"2"},{"name":"n"}]', '{"product_id":"p","quantity":3}', '"999999999999.9999999"',
    '[5,{"id":7,"price":"€5"},"x"]', '"guest"', '"Undefined"',
]  # fmt: skip
NUMBER_TEXTS = [
    '"1,049.90"', '"1.049,90"', '"1,049"', '"1.049"', '"1,60"', '"۱۲٫۵"', '"۱٬۰۴۹"', '"€5"', '"5 usd"', '"+.99"',
    '"$5"', '" 5 "', '"1 049,90"', '"-5"', '"-€5"', '"1.2.3"', '"1,049,900"', "-5.5",
    '"5e1"', '"12,34"', '"free"', '"-1,5"',
]  # fmt: skip
CURRENCY_TEXTS = ['"EUR"', '"usd"', '" Cad "', '"$"', "null", "5", '""']
RARE_TEXTS = ["NaN", "1e999", "01", '"\\ud800"', "1" * 5_000, '"\\u0000"']
AMOUNT_FIELDS = ("quantity", "price", "total", "revenue", "subtotal", "value", "tax", "shipping", "discount")
IDS = ("messageId", "userId", "anonymousId", "product_id", "sku", "variant", "name", "order_id", "orderId", "id")
PROPERTY_FIELDS = (
    *AMOUNT_FIELDS,
    *IDS[3:],
    "cart_id",
    "cartId",
    "currency",
    "products",
    "color",
    *("total", "revenue", "price", "quantity", "currency", "products") * 2,
)
ENVELOPE = ("type", "event", "messageId", "userId", "anonymousId", "timestamp", "properties", "context", "traits",
            "originalTimestamp", "sentAt", "receivedAt")  # fmt: skip
TIME_TEXTS = ("null", '""', *(json.dumps(text) for text in (NOON, EARLIER, LATER)))
OFTEN = ("Cart Viewed", "Product Added", "Product Removed", "Order Completed", "Order Updated", "Order Refunded")
NAMES = [*sorted(SHOP), *sorted(FORMER), *sorted(TURNED), "Signed Up", *OFTEN * 10]
# What the contract leaves open, by field: no record is drawn with it.
OPEN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*IDS, "cart_id", "cartId"), ("1e3", "-0.0", '" "')),
    **dict.fromkeys(AMOUNT_FIELDS, ("[]",)),
    **dict.fromkeys(("timestamp", "originalTimestamp", "products"), ('" "',)),
    "currency": ("[]", "{}"),
}


def drawn(rng: random.Random) -> bytes:
    """A record with a few random properties, and often something in the envelope replaced."""
    properties = {field: text_of(rng, field) for field in rng.choices(PROPERTY_FIELDS, k=rng.randint(0, 5))}
    fields: dict[str, str | None] = {
        "type": rng.choice(('"track"',) * 8 + ('"page"', '"screen"', '"identify"', '"alias"', '"group"')),
        "event": json.dumps(spelled(rng)),
        "timestamp": json.dumps(rng.choice(TIMES)[0] if rng.random() < 0.1 else NOON),
        "properties": "{" + ",".join(f'"{field}":{text}' for field, text in properties.items()) + "}",
    }
    for _ in range(rng.choice((0, 0, 1, 2))):
        field = rng.choice(ENVELOPE)
        long = [f'"{"u" * 257}"'] if field in ("userId", "anonymousId") else []
        fields[field] = rng.choice((None, text_of(rng, field), *long))
    if rng.random() < 0.1:
        fields |= {field: rng.choice(TIME_TEXTS) for field in ENVELOPE[-3:]}
    names = list({**BASE, **fields})
    rng.shuffle(names)
    return record(**dict.fromkeys(BASE) | {name: {**BASE, **fields}[name] for name in names})


def spelled(rng: random.Random) -> str:
    """A name, now and then in another spelling."""
    words = rng.choice(NAMES).split()
    if rng.random() < 0.8:
        return " ".join(words)
    return rng.choice((str.lower, str.upper, str.title))(rng.choice(" _-|").join(words).replace("|", ""))


def text_of(rng: random.Random, field: str) -> str:
    texts = RARE_TEXTS if rng.random() < 0.05 else TEXTS
    if field in AMOUNT_FIELDS and rng.random() < 0.6:
        texts = NUMBER_TEXTS
    if field == "currency" and rng.random() < 0.8:
        texts = CURRENCY_TEXTS
    if field == "originalTimestamp":
        texts = list(TIME_TEXTS)
    return rng.choice([text for text in texts if text not in OPEN.get(field, ())])


def test_random_records_as_the_contract_reads() -> None:
    """Whatever is wrong with a record, in whichever fields and of whichever types: the event or the reason is the
    one that an obvious reading of the contract gives; and each reason comes up often."""
    rng = random.Random(20260303)
    counts: Counter[str] = Counter()
    filled: Counter[str] = Counter()
    for _ in range(20_000):
        value = drawn(rng)
        expected = judged(value)
        assert as_judged(outcome(value)) == expected, value[:2_000].decode()
        counts[expected if isinstance(expected, str) else "event"] += 1
        if isinstance(expected, tuple):
            with_items, with_amount, of_unknown_value = expected[4] is not None, expected[6] is not None, expected[7]
            filled.update(items=with_items, amount=with_amount, unknown=bool(of_unknown_value))
    assert min(filled.values()) > 150, filled
    assert counts.keys() == {"event", *REASONS[:12]} - {"too_large", "not_object", "wrong_key", "wrong_partition"}
    assert min(counts.values()) > 150, counts


# --- bytes of any kind -------------------------------------------------------------------------

FUZZ = settings(max_examples=300, deadline=None, derandomize=True, database=None)
ANY_KEY = st.text() | st.sampled_from(ENVELOPE)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_KEY, inner, max_size=6),
    max_leaves=20,
)


@FUZZ
@given(st.binary(max_size=200) | ANY_JSON.map(lambda document: json.dumps(document).encode()))
def test_any_bytes_are_an_event_or_a_dead_letter(value: bytes) -> None:
    """No other reason than those of the list comes out."""
    event_or_reason = outcome(value)
    assert isinstance(event_or_reason, Event) or event_or_reason in REASONS


@FUZZ
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ENVELOPE, ANY_JSON)))
def test_any_fields_are_an_event_or_a_dead_letter(fields: dict[str, object]) -> None:
    """Any JSON object is an event or a dead letter, also one that has our fields with any types."""
    event_or_reason = outcome(record(**{name: json.dumps(value) for name, value in fields.items()}))
    assert isinstance(event_or_reason, Event) or event_or_reason in REASONS


def test_damaged_records_are_an_event_or_a_dead_letter() -> None:
    """The records have bytes changed, dropped, doubled or cut off."""
    rng = random.Random(20260304)
    counts: Counter[object] = Counter()
    for _ in range(20_000):
        value = bytearray(drawn(rng))
        for _ in range(rng.randint(1, 3)):
            index = rng.randrange(len(value))
            how = rng.randrange(4)
            if how == 0:
                value[index] = rng.choice(b'"{}[]:,0159eE+-.\\u\x00\xff ')
            elif how == 1:
                value[index : index + rng.randint(1, 4)] = b""
            elif how == 2:
                value[index:index] = value[index : index + rng.randint(1, 20)]
            else:
                del value[rng.randint(max(1, index), len(value)) :]
            value = value or bytearray(b" ")
        event_or_reason = outcome(bytes(value))
        assert isinstance(event_or_reason, Event) or event_or_reason in REASONS, bytes(value)
        counts[type(event_or_reason).__name__ if isinstance(event_or_reason, Event) else event_or_reason] += 1
    assert counts["Event"] > 500
    assert counts["not_json"] > 5_000
