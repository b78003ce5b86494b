"""What changes carry of a customer (`include`): as a recomputation from all events has it, bounded, and safe.

The write key of a shop's pages is public, so each test of a text is one of what a liar may send.
"""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import msgspec
import pytest

from rules.changes import Change
from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.definition_migration import DefinitionMigration, history_gaps
from rules.definitions.change_data import DATA_MAX_BYTES, LINES_MAX
from rules.definitions.segments_file import Definitions, build
from rules.engine import Engine
from rules.facts.change_contents import NewestValuesFact, ProductTextsFact
from rules.identity.profile_merge import PART_MAX_BYTES
from rules.included_texts import ADDRESS_MAX_CHARS, TEXT_MAX_CHARS, carried_text
from rules.profile.newest_texts import PRODUCTS_MAX
from rules.times import format_instant
from streams.cli.check import data_schema_of
from streams.wire import changes
from streams.wire.event_decoder import decode_line

HOSTS = ["shop.example", "cdn.example"]
SECOND_MS = 1_000
START_MS = 1_790_000_000_000
INCLUDE: dict[str, Any] = {
    "cart": ["product_id", "name", "image_url", "price", "quantity"],
    "last": {"event": "Product Viewed", "of": ["name", "url"]},
    "traits": ["first_name"],
    "totals": {"spent": {"agg": "sum", "of": "total", "event": "Order Completed"}},
}
CART = {"title": "Cart", "when": {"cart": {}}}


def file(include: dict[str, Any] | None = None, hosts: list[str] | None = None, **more: Any) -> Definitions:
    segment = CART if include is None else CART | {"include": include}
    return build({"version": 1, "currency": "EUR", "hosts": hosts or HOSTS, "segments": {"cart": segment} | more}, "f")


class Shop:
    """One customer under a file, whose events are given by name, second and properties."""

    def __init__(self, definitions: Definitions) -> None:
        self.engine = Engine(definitions)
        self.customer: Customer = self.engine.new()
        self.changes: list[Change] = []

    def send(self, line: bytes) -> None:
        self.changes += self.engine.apply("u", self.customer, decode_line(line))

    @property
    def data(self) -> dict[str, Any]:
        """The data of the newest change, as a consumer reads it."""
        return dict(json.loads(changes.encode(changes.of(self.changes[-1])))["data"])


def line(event: str, second: int, number: int, **fields: Any) -> bytes:
    at = format_instant(START_MS + second * SECOND_MS)
    message = {"messageId": f"m{number}", "userId": "u", "timestamp": at}
    if event == "identify":
        return json.dumps(message | {"type": "identify", "traits": fields}).encode()
    return json.dumps(message | {"type": "track", "event": event, "properties": fields}).encode()


def test_a_change_says_what_it_is_about() -> None:
    """The lines of the cart with their texts, the newest event, the traits, and the totals."""
    shop = Shop(file(INCLUDE))
    shop.send(line("identify", 0, 0, first_name="Kim"))
    shop.send(line("Order Completed", 1, 1, order_id="o", total="12.50"))
    shop.send(line("Product Viewed", 2, 2, name="Mug", url="https://shop.example/mug"))
    shop.send(line("Product Added", 3, 3, product_id="t", name="Tea", price=3.5, quantity=2,
                   image_url="https://img.cdn.example/tea.png"))  # fmt: skip
    assert shop.data == {
        "totals": {"spent": 12.5},
        "traits": {"first_name": "Kim"},
        "last": {"name": "Mug", "url": "https://shop.example/mug"},
        "cart": [{
            "product_id": "t", "name": "Tea", "image_url": "https://img.cdn.example/tea.png",
            "price": 3.5, "quantity": 2,
        }],
        "cart_lines": 1,
    }  # fmt: skip


def test_a_dotted_name_reaches_into_a_product() -> None:
    """As everywhere else in a segments file."""
    shop = Shop(file({"cart": ["maker.name", "quantity"]}))
    shop.send(line("Product Added", 1, 1, product_id="t", maker={"name": "Kim & Co"}))
    assert shop.data["cart"] == [{"maker.name": "Kim & Co", "quantity": 1}]


def test_an_exit_says_what_is_left() -> None:
    """The exit by an order carries the empty cart, and the sum with that order in it."""
    shop = Shop(file(INCLUDE))
    shop.send(line("Product Added", 1, 1, product_id="t", name="Tea", price=3))
    shop.send(line("Order Completed", 2, 2, order_id="o", total=3))
    assert shop.data == {"totals": {"spent": 3}, "cart": [], "cart_lines": 0}


def test_an_erasure_carries_nothing() -> None:
    """Nothing that a change carried is stored after an erasure, nor does the exit carry it."""
    shop = Shop(file(INCLUDE))
    shop.send(line("identify", 0, 0, first_name="Kim"))
    shop.send(line("Product Added", 1, 1, product_id="t", name="Tea"))
    erasure = {"type": "erase", "userId": "u", "messageId": "e", "timestamp": format_instant(START_MS + 9 * SECOND_MS)}
    shop.send(json.dumps(erasure).encode())
    assert shop.changes[-1].cause == "erasure"
    assert shop.changes[-1].data is None
    assert b"Kim" not in msgspec.msgpack.encode(shop.customer)
    assert b"Tea" not in msgspec.msgpack.encode(shop.customer)


# --- texts of a liar -------------------------------------------------------------------------------

TEXTS: list[tuple[Any, bool, str | None]] = [
    # a text
    ("Tea", False, "Tea"),
    ("  Green \n\t Tea ", False, "Green Tea"),
    ("چای سبز", False, "چای سبز"),
    (3.5, False, "3.5"),
    (True, False, "true"),
    (["red", "blue"], False, "red, blue"),
    ({"a": 1}, False, None),
    ("", False, None),
    (None, False, None),
    ("a\u202eb", False, "a<U+202E>b"),
    ("a\x00b\x1bc", False, "a<U+0000>b<U+001B>c"),
    ("x" * 500, False, "x" * (TEXT_MAX_CHARS - 1) + "…"),
    ("\u202e" * 150, False, ("<U+202E>" * 150)[: TEXT_MAX_CHARS - 1] + "…"),
    ("<b>Tea</b>", False, "<b>Tea</b>"),  # data is no markup; a template of HTML escapes it
    # an address, under whatever name
    ("https://shop.example/tea", True, "https://shop.example/tea"),
    ("HTTPS://Shop.Example/tea?a=1#b", True, "HTTPS://Shop.Example/tea?a=1#b"),
    ("https://www.shop.example:8443", True, "https://www.shop.example:8443"),
    ("  https://shop.example/tea ", True, "https://shop.example/tea"),
    ("https://shop.example/tea", False, "https://shop.example/tea"),
    ("https://evil.example/tea", True, None),
    ("https://evil.example/tea", False, None),
    ("Win! http://evil.example", False, None),
    ("Win! www.evil.example", False, None),
    ("//evil.example/x", False, None),
    ("/tea", True, None),
    ("Tea", True, None),
    ("javascript:alert(1)", True, None),
    ("javascript:alert(1)", False, None),
    ("data:text/html,x", False, None),
    ("https://shop.example@evil.example/", True, None),
    ("https://shop.example:pw@evil.example/", True, None),
    ("https://evil.example\\@shop.example/", True, None),
    ("https://evil.example#@shop.example/", True, None),
    ("https://evil.example?shop.example", True, None),
    ("https://shop.example.evil.example/", True, None),
    ("https://notshop.example/", True, None),
    ("https://shop.example/\" onerror=\"x", True, None),
    ("https://shop.example/a b", True, None),
    ("https://shop.example/a\u2028b", True, None),
    ("https:/shop.example/a", True, None),
    ("https:shop.example/a", True, None),
    ("ftp://shop.example/a", True, None),
    ("https://shop.example:443443443/", True, None),
    ("https://shop.example/" + "a" * ADDRESS_MAX_CHARS, True, None),
    ("https://[::1]/", True, None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "is_address", "expected"), TEXTS)
def test_what_may_stand_in_a_text(value: Any, is_address: bool, expected: str | None) -> None:
    """A text is one short line; an address leads to the shop, whatever the name of its field."""
    assert carried_text(value, frozenset(HOSTS), is_address=is_address) == expected


@pytest.mark.parametrize(("value", "is_address", "expected"), TEXTS)
def test_a_text_that_is_carried_may_be_carried_again(value: Any, is_address: bool, expected: str | None) -> None:
    """What a former file stored is taken over by asking again."""
    if expected is not None and len(expected) < TEXT_MAX_CHARS:
        assert carried_text(expected, frozenset(HOSTS), is_address=is_address) == expected


def test_the_size_has_a_bound() -> None:
    """However much a liar sends, the data has at most 2 KiB, says so, and is no longer than 32 lines."""
    shop = Shop(file(INCLUDE | {"traits": [f"t{n}" for n in range(12)]}))
    shop.send(line("identify", 0, 0, **{f"t{n}": "é" * 10_000 for n in range(12)}))
    for number in range(300):
        shop.send(line("Product Added", number, number + 1, product_id=f"p{number}", name="é" * 5_000))
    shop.send(line("Order Completed", 400, 400, order_id="o", cart_id="c"))
    shop.send(line("Product Added", 401, 401, product_id="p", name="é" * 5_000))
    assert len(json.dumps(shop.data, ensure_ascii=False, separators=(",", ":")).encode()) <= DATA_MAX_BYTES + 100
    assert shop.data["cut"] is True
    small = Shop(file({"cart": ["quantity"]}))
    products = [{"product_id": f"p{number}"} for number in range(40)]
    small.send(line("Cart Viewed", 0, 0, products=products))
    assert (len(small.data["cart"]), small.data["cart_lines"], small.data["cut"]) == (LINES_MAX, 40, True)


def test_what_is_stored_has_a_bound() -> None:
    """Of each field the texts of 32 products are stored."""
    shop = Shop(file(INCLUDE))
    for number in range(100):
        products = [{"product_id": f"p{number}-{index}", "name": "é" * 5_000} for index in range(20)]
        shop.send(line("Cart Viewed", number, number, products=products))
    assert [len(texts) for texts in shop.customer.profile.product_texts] == [PRODUCTS_MAX, 0]
    assert len(msgspec.msgpack.encode(shop.customer.profile)) < PART_MAX_BYTES / 10


# --- a recomputation from all events ---------------------------------------------------------------


NAMES: list[dict[str, Any]] = [{"first_name": "Kim"}, {"first_name": None}, {"x": 1}]


def drawn(rng: random.Random, number: int) -> bytes:
    """An event with odd spellings and values, at one of few instants, so that many are of the same time."""
    second = rng.randrange(40) * (1 if rng.random() < 0.9 else 300_000)
    product = {
        "product_id": rng.choice(["a", "b", "c", 7, "7.0", None]),
        "name": rng.choice(["Tea", "Mug", "", None, 5, "www.evil.example", "é" * 300]),
        "image_url": rng.choice(["https://cdn.example/1", "https://cdn.example/2", "https://evil.example", None]),
        "sku": rng.choice([None, "s"]),
    }
    kind = rng.randrange(6)
    if kind == 0:
        return line("identify", second, number, **rng.choice(NAMES))
    if kind == 1:
        return line("Product Viewed", second, number, **product, url="https://shop.example/")
    if kind == 2:
        other = {"product_id": "d", "name": f"D{number}"}
        return line("Product Added", second, number, **product, products=rng.choice([[other], {}, None, "x"]))
    if kind == 3:
        return line("Product Removed", second, number, **product)
    listed = [product, {"product_id": f"d{rng.randrange(60)}", "name": f"N{rng.randrange(9)}"}, "x"]
    return line("Cart Viewed", second, number, products=rng.choice([listed, product, None]))


def recomputed(lines: list[bytes]) -> dict[str, Any]:
    """The texts of products by name, the newest view and trait, from all events at once, as the contract has them."""
    texts: dict[str, dict[str, tuple[int, str]]] = {"name": {}, "image_url": {}}
    viewed: list[tuple[int, str, Any]] = []
    named: list[tuple[int, str, Any]] = []
    for text in lines:
        event = decode_line(text)
        message = json.loads(text)
        if message["type"] == "identify":
            if "first_name" in message["traits"]:
                named.append((event.time, event.id, message["traits"]["first_name"]))
            continue
        fields = message["properties"]
        if event.name == "Product Viewed":
            viewed.append((event.time, event.id, fields["name"]))
            continue
        listed = fields.get("products")
        products = [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
        products = [listed] if isinstance(listed, dict) else products
        if event.name != "Cart Viewed" and (not products or fields["product_id"] is not None or fields["sku"]):
            products = [fields]
        for item, product in zip(event.items or (), products, strict=True):
            for field, by_product in texts.items():
                words = carried_text(product.get(field), frozenset(HOSTS), is_address=field != "name")
                if words is not None:
                    by_product[item.product] = max(by_product.get(item.product, (0, "")), (event.time, words))
    for field, by_product in texts.items():
        newest = sorted(by_product.items(), key=lambda entry: (entry[1], entry[0]))[-PRODUCTS_MAX:]
        since = max((time for time, _ in by_product.values()), default=0) - 90 * 86_400_000
        texts[field] = {product: entry for product, entry in newest if entry[0] >= since}
    return {"texts": list(texts.values()), "viewed": max(viewed, default=None), "named": max(named, default=None)}


def stored(customer: Customer) -> dict[str, Any]:
    profile = customer.profile
    return {"texts": profile.product_texts, "newest": profile.newest_values}


RECOMPUTED = {
    "cart": ["name", "image_url"],
    "last": {"event": "Product Viewed", "of": ["name"]},
    "traits": ["first_name"],
}


@pytest.mark.parametrize("seed", range(60))
def test_what_is_stored_is_that_of_all_events(seed: int) -> None:
    """In any order, delivered twice, and merged of two customers, it is what all events say together."""
    rng = random.Random(seed)
    lines = [drawn(rng, number) for number in range(rng.choice([5, 30, 150]))]
    shop, halves = Shop(file(RECOMPUTED)), (Shop(file(RECOMPUTED)), Shop(file(RECOMPUTED)))
    twice = lines + rng.sample(lines, len(lines) // 2)
    rng.shuffle(twice)
    for text in twice:
        shop.send(text)
        rng.choice(halves).send(text)
    right = recomputed(lines)
    assert stored(shop.customer)["texts"] == right["texts"]
    for place, newest in (("named", 0), ("viewed", 1)):
        was = stored(shop.customer)["newest"][newest]
        if right[place] is None:
            assert was is None
            continue
        time, _, value = right[place]
        assert was[0] == time
        assert was[2] == (carried_text(value, frozenset(HOSTS), is_address=False),)
    first, second = halves
    for fact, _ in first.engine.definitions.facts.with_segments():
        fact.merge(first.customer.profile, second.customer.profile)
    assert stored(first.customer) == stored(shop.customer)


def test_the_schema_says_what_data_is() -> None:
    """The schema by segment accepts the data of each change, and nothing that the file does not include."""
    definitions = file(INCLUDE, other=CART)
    validator = jsonschema.Draft202012Validator(data_schema_of(definitions))
    shop = Shop(definitions)
    rng = random.Random(1)
    for number in range(300):
        shop.send(drawn(rng, number))
    shop.send(line("Order Completed", 10**7, 999, order_id="o", total=7))
    carried = [json.loads(changes.encode(changes.of(change))) for change in shop.changes]
    assert {"data" in change for change in carried} == {True, False}
    assert [list(validator.iter_errors(change)) for change in carried] == [[]] * len(carried)
    others: list[dict[str, Any]] = [
        {"orders": []},
        {"cart": [{"colour": 1}]},
        {"cart_lines": -1},
        {"totals": {"spent": "7"}},
    ]
    for wrong in others:
        assert list(validator.iter_errors({"segment": "cart", "data": wrong}))
    assert list(validator.iter_errors({"segment": "other", "data": {}}))


# --- what it costs, and what it leaves as it is ------------------------------------------------------


def facts_of(definitions: Definitions) -> list[type]:
    return [type(fact) for fact, _ in definitions.facts.with_segments()]


def test_a_file_that_includes_nothing_has_no_more_facts() -> None:
    """The facts of `include` are required by the files alone that have it, and decide nothing."""
    plain, included = file(), file(INCLUDE)
    assert not {ProductTextsFact, NewestValuesFact} & set(facts_of(plain))
    assert facts_of(included).count(ProductTextsFact) == 1
    assert facts_of(included).count(NewestValuesFact) == 2
    event = decode_line(line("Product Added", 1, 1, product_id="t", name="Tea"))
    profile = included.facts.empty()
    for fact, _ in included.facts.with_segments():
        if isinstance(fact, ProductTextsFact | NewestValuesFact):
            assert fact.apply(profile, event) is False


def test_what_is_included_is_no_part_of_the_decision() -> None:
    """The fingerprint of the segment and the ids of its changes stay; the fingerprint of the file is another."""
    plain, included = file(), file(INCLUDE)
    assert plain.segments[0].fingerprint == included.segments[0].fingerprint
    assert plain.fingerprint != included.fingerprint
    assert history_gaps(plain, included) == []
    shops = Shop(plain), Shop(included)
    for shop in shops:
        shop.send(line("Product Added", 1, 1, product_id="t", name="Tea"))
        shop.send(line("Order Completed", 2, 2, order_id="o"))
    assert [change.id for change in shops[0].changes] == [change.id for change in shops[1].changes]
    assert [change.data for change in shops[0].changes] == [None, None]
    assert b'"data"' not in changes.encode(changes.of(shops[0].changes[0]))


def test_a_new_file_takes_over_what_it_may_carry() -> None:
    """Texts of a former file stay where the next one asks for them, but no address of a host that it does not name."""
    shop = Shop(file(INCLUDE))
    shop.send(line("identify", 0, 0, first_name="Kim"))
    shop.send(line("Product Viewed", 1, 1, name="Mug", url="https://shop.example/mug"))
    shop.send(line("Product Added", 2, 2, product_id="t", name="Tea", image_url="https://cdn.example/t"))
    include = {"cart": ["image_url", "brand", "name"], "traits": ["first_name"],
               "last": {"event": "Product Viewed", "of": ["url", "price", "name"]}}  # fmt: skip
    after = Engine(file(include, ["shop.example"], other=CART))
    migrated = DefinitionMigration(shop.engine.definitions, after).migrate("u", shop.customer, START_MS + 9_000)
    assert [change.segment for change in migrated] == ["other"]
    (segment,) = (segment for segment in after.definitions.segments if segment.include is not None)
    assert segment.include is not None
    assert segment.include.data(CustomerView("u", shop.customer.profile, shop.customer.since), START_MS + 9_000) == {
        "traits": {"first_name": "Kim"},
        "last": {"url": "https://shop.example/mug", "name": "Mug"},
        "cart": [{"name": "Tea"}],
        "cart_lines": 1,
    }
