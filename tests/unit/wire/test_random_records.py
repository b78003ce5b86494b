"""Random records come out as an obvious reading of the contract says, and any bytes as an event or a dead letter.

`judged` reads the contract a second time, from the text of the JSON and without the product's decoder.
"""

import json
import random
import re
import unicodedata
from collections import Counter
from fractions import Fraction
from typing import NoReturn, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.events import Event, Item
from rules.profile.short_ids import short_id
from streams.wire.dead_letters import REASONS
from tests.oracle import oracle
from tests.support.input_records import BASE, MIB, NOON, TIMES, outcome, record

# --- the contract, read a second time ----------------------------------------------------------

SHOP = oracle.BROWSE | oracle.CARTS | oracle.PURCHASES
AMOUNT_FIELDS = ("quantity", "price", "total", "revenue", "subtotal", "value", "tax", "shipping", "discount")
NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)
TIMES_READ = dict(TIMES)


class Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class WrongError(Exception):
    """The reason why a record is a dead letter."""


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
    ids = [fields.get("userId"), fields.get("anonymousId")]
    require(any(candidate not in (None, "") for candidate in ids), "no_customer")
    require(all(candidate is None or is_text(candidate) for candidate in ids), "bad_id")
    customer = str(ids[0] or ids[1])
    require(len(customer.encode()) <= 256, "bad_id")
    require(all(unicodedata.category(letter) != "Cc" for letter in customer), "bad_id")
    require(fields.get("messageId") != "" and is_text(fields.get("messageId")), "no_message_id")
    require(is_text(fields.get("timestamp")), "no_timestamp")
    time = TIMES_READ[str(fields["timestamp"])]
    require(time is not None, "absurd_timestamp")
    name = named(fields)
    properties = fields.get("properties")
    read_documents = ("properties", "traits") if name == "identify" else ("properties",)
    require(all(fields.get(field) is None or isinstance(fields[field], dict) for field in read_documents), "bad_value")
    used = shop_fields(name, dict(oracle.mapping(properties))) if name in SHOP else (None, None, None)
    return customer, name, time, fields["messageId"], *used


def named(fields: dict[str, object]) -> str:
    kind = fields.get("type")
    require(is_text(kind), "bad_type")
    require(kind in ("page", "screen", "track", "identify", "alias", "group"), "bad_type")
    if kind == "track":
        require(is_text(fields.get("event")) and fields["event"] != "", "bad_value")
        return oracle.current_name(fields["event"])
    return "page" if kind == "screen" else str(kind)


def shop_fields(name: str, properties: dict[str, object]) -> tuple[object, object, object]:
    amounts = {field: millionths(properties.get(field)) for field in AMOUNT_FIELDS}
    only = item(properties)
    require(properties.get("currency") is None or is_text(properties["currency"]), "bad_value")
    items: tuple[Item, ...] | None = None
    if name in oracle.ADDING | oracle.REMOVING:
        items = (only,)
    elif name in oracle.REPLACING and properties.get("products") is not None:
        items = tuple(map(item, listed(properties["products"])))
    if name not in oracle.PURCHASES:
        return items, None, None
    paid = amounts["revenue"] if amounts["total"] is None else amounts["total"]
    return items, identity(properties.get("order_id")), paid


def listed(products: object) -> list[dict[str, object]]:
    require(isinstance(products, list), "bad_value")
    members = list(cast("list[object]", products))
    require(all(isinstance(product, dict) for product in members), "bad_value")
    return cast("list[dict[str, object]]", members)


def item(properties: dict[str, object]) -> Item:
    ids = [identity(properties.get(field)) for field in ("product_id", "sku", "name")]
    product_id = short_id(next(filter(None, ids), ""))  # what a long id becomes is told in test_profile
    return Item(product_id, millionths(properties.get("quantity")), millionths(properties.get("price")))


def identity(value: object) -> str | None:
    require(value is None or is_text(value) or (isinstance(value, Number) and value.lstrip("-").isdigit()), "bad_value")
    return None if value in (None, "") else str(value)


def millionths(value: object) -> int | None:
    """The amount, exact for any exponent: only one that leaves the range is not computed with."""
    if value is None:
        return None
    match = NUMBER.fullmatch(value) if isinstance(value, str) else None
    require(match and (match[2] == "0" or match[2][0] != "0"), "bad_value")
    assert match is not None
    digits = (match[2] + (match[3] or "")).lstrip("0")
    if not digits:
        return 0
    exponent = int(match[4] or 0) - len(match[3] or "")
    size = len(digits) + exponent  # digits before the point
    require(not match[1] and size <= 12, "bad_value")
    return int(int(digits) * Fraction(10) ** (exponent + 6)) if size > -7 else 0


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
    )


# What is put in place of a field, most of it wrong in most places.
TEXTS = [
    "null", "true", "5", "-1", "0", "1.5", "1e3", "-0.0", "0.0000019", "1000000000000", '"5"', '"1.50"', '"01"', '""',
    '"x"', '"چای"', "[]", "{}", "[{}]", "[null]", '[{"product_id":7,"quantity":2},{"sku":3,"price":"x"}]',
    '[{"product_id":7,"quantity":"2"},{"name":"n"}]', '{"product_id":"p","quantity":3}', '"999999999999.9999999"',
]  # fmt: skip
RARE_TEXTS = ["NaN", "1e999", "01", '"\\ud800"', "1" * 5_000, '"\\u0000"']
PROPERTY_FIELDS = (*AMOUNT_FIELDS, "product_id", "sku", "name", "order_id", "currency", "products", "color")
ENVELOPE = ("type", "event", "messageId", "userId", "anonymousId", "timestamp", "properties", "context", "traits")
NAMES = [*sorted(SHOP), *sorted(oracle.OLD_NAMES), "Signed Up", "Cart Viewed", "Checkout Started", "Order Completed"]


def drawn(rng: random.Random) -> bytes:
    """A record with a few random properties, and often something in the envelope replaced."""
    properties = {rng.choice(PROPERTY_FIELDS): text_of(rng) for _ in range(rng.randint(0, 2))}
    fields: dict[str, str | None] = {
        "type": rng.choice(('"track"',) * 8 + ('"page"', '"screen"', '"identify"', '"alias"', '"group"')),
        "event": json.dumps(rng.choice(NAMES)),
        "timestamp": json.dumps(rng.choice(TIMES)[0] if rng.random() < 0.1 else NOON),
        "properties": "{" + ",".join(f'"{field}":{text}' for field, text in properties.items()) + "}",
    }
    for _ in range(rng.choice((0, 0, 1, 2))):
        field = rng.choice(ENVELOPE)
        long = [f'"{"u" * 257}"'] if field in ("userId", "anonymousId") else []
        fields[field] = rng.choice((None, text_of(rng), *long))
    if (fields["timestamp"] or "").startswith('"') and json.loads(str(fields["timestamp"])) not in TIMES_READ:
        fields["timestamp"] = '"now"'
    names = list({**BASE, **fields})
    rng.shuffle(names)
    return record(**dict.fromkeys(BASE) | {name: {**BASE, **fields}[name] for name in names})


def text_of(rng: random.Random) -> str:
    return rng.choice(RARE_TEXTS if rng.random() < 0.05 else TEXTS)


def test_random_records_as_the_contract_reads() -> None:
    """Whatever is wrong with a record, in whichever fields and of whichever types: the event or the reason is the
    one that an obvious reading of the contract gives; and each reason comes up often."""
    rng = random.Random(20260303)
    counts: Counter[str] = Counter()
    for _ in range(20_000):
        value = drawn(rng)
        expected = judged(value)
        assert as_judged(outcome(value)) == expected, value[:2_000].decode()
        counts[expected if isinstance(expected, str) else "event"] += 1
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
