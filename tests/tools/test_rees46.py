"""The REES46 converter, on the real file and on small ones: every row counts once, and to the cent."""

import csv
import gzip
import io
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from load import rees46
from load.rees46 import JsonEvent, RowError, events, open_csv

FILE = Path(__file__).parents[2] / "data" / "rees46-2019-10-01.csv.gz"
HEADER = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
RANK = {"Product Viewed": 0, "Product Added": 1, "Order Completed": 2}


def line(kind: str, second: int = 0, price: str = "10.00", user: str = "u", session: str = "s") -> str:
    return f"2019-10-01 00:00:{second:02} UTC,{kind},p1,9,a.b,acme,{price},{user},{session}"


def events_of(*lines: str, shift_ms: int = 0) -> list[JsonEvent]:
    return events([HEADER, *lines], shift_ms)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """The complete rows of the real file, read without the converter."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["user_session"] is not None]


@pytest.fixture(scope="module")
def real() -> list[JsonEvent]:
    with open_csv(str(FILE)) as lines:
        return events(lines)


def named(history: list[JsonEvent], name: str) -> list[JsonEvent]:
    return [event for event in history if event["event"] == name]


def test_real_counts(real: list[JsonEvent], rows: list[dict[str, str]]) -> None:
    """Each view and cart addition is an event, each session with purchases an order; the torn last row is nothing."""
    assert len(rows) == 17_434
    assert Counter(event["event"] for event in real) == {
        "Product Viewed": 17_055,
        "Product Added": 165,
        "Order Completed": 200,
    }
    assert len({event["userId"] for event in real}) == 4_504
    assert "52040330" not in {event["userId"] for event in real}


def test_real_order_totals_are_exact(real: list[JsonEvent], rows: list[dict[str, str]]) -> None:
    """Each total, as written in the JSON, is the decimal sum of the session's purchase rows."""
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row["event_type"] == "purchase":
            expected[row["user_session"]] += Decimal(row["price"])
    written = json.loads(json.dumps(named(real, "Order Completed")), parse_float=Decimal)
    assert {order["properties"]["order_id"]: order["properties"]["total"] for order in written} == expected
    assert sum(order["properties"]["total"] for order in written) == Decimal("59442.63")
    for order in written:
        products = order["properties"]["products"]
        assert sum(product["price"] for product in products) == order["properties"]["total"]
        assert {product["quantity"] for product in products} == {1}
    assert sum(len(order["properties"]["products"]) for order in written) == 214


def test_real_order_is_dated_by_its_last_row(real: list[JsonEvent], rows: list[dict[str, str]]) -> None:
    """The order of a session with three purchase rows has the time and messageId of the third."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        if row["event_type"] == "purchase":
            numbers[row["user_session"]].append(number)
    for order in named(real, "Order Completed"):
        last = max(numbers[order["properties"]["order_id"]])
        assert order["messageId"] == str(last)
        assert order["timestamp"][:19].replace("T", " ") + " UTC" == rows[last - 1]["event_time"]


def test_real_is_sorted(real: list[JsonEvent]) -> None:
    """Events are sorted by (time, visits < carts < purchases, row)."""
    keys = [(event["timestamp"], RANK[event["event"]], int(event["messageId"])) for event in real]
    assert keys == sorted(keys)


def test_real_rows_tell_what_they_told(real: list[JsonEvent], rows: list[dict[str, str]]) -> None:
    """The row that a messageId names has the event's customer, product, price, category and brand."""
    assert len({event["messageId"] for event in real}) == len(real)
    for event in real:
        row = rows[int(event["messageId"]) - 1]
        assert event["userId"] == row["user_id"]
        if event["event"] != "Order Completed":
            properties = cast("JsonEvent", event["properties"])
            assert properties["product_id"] == row["product_id"]
            assert Decimal(repr(properties["price"])) == Decimal(row["price"])
            assert properties.get("category", "") == row["category_code"]
            assert properties.get("brand", "") == row["brand"]
            assert properties.get("cart_id") == (row["user_session"] if event["event"] == "Product Added" else None)


def test_one_line_of_each() -> None:
    """The three kinds of event have exactly this shape."""
    view, cart, order = events_of(line("view"), line("cart", 1), line("purchase", 2, "19.90"))
    product = {"product_id": "p1", "category": "a.b", "brand": "acme"}
    common = {"type": "track", "userId": "u"}
    assert view == common | {
        "event": "Product Viewed",
        "messageId": "1",
        "timestamp": "2019-10-01T00:00:00.000Z",
        "properties": {**product, "price": 10.0},
    }
    assert cart == common | {
        "event": "Product Added",
        "messageId": "2",
        "timestamp": "2019-10-01T00:00:01.000Z",
        "properties": {"cart_id": "s", **product, "price": 10.0},
    }
    assert order == common | {
        "event": "Order Completed",
        "messageId": "3",
        "timestamp": "2019-10-01T00:00:02.000Z",
        "properties": {
            "order_id": "s",
            "total": 19.9,
            "currency": "USD",
            "products": [{"product_id": "p1", "price": 19.9, "quantity": 1}],
        },
    }


def test_ties_are_in_reading_order() -> None:
    """Rows of one second become visits, carts, purchases, in any order of the rows."""
    history = events_of(line("purchase"), line("cart"), line("view"), line("view"))
    assert [event["messageId"] for event in history] == ["3", "4", "2", "1"]


def test_an_order_waits_for_its_last_row() -> None:
    """An event between two purchase rows comes before the order; cents add up without binary dust."""
    history = events_of(line("purchase", 0, "0.10"), line("view", 3), line("purchase", 5, "0.20"))
    assert [event["messageId"] for event in history] == ["2", "3"]
    assert history[1]["properties"]["total"] == 0.3  # 0.1 + 0.2 as floats is not


def test_the_last_row_is_the_latest() -> None:
    """In a file out of order the latest row dates the order, and of equal ones the lower in the file."""
    history = events_of(line("purchase", 5), line("purchase", 0))
    assert [event["messageId"] for event in history] == ["1"]
    assert history[0]["timestamp"] == "2019-10-01T00:00:05.000Z"
    assert events_of(line("purchase"), line("purchase"))[0]["messageId"] == "2"


def test_a_session_of_two_customers_is_two_orders() -> None:
    """A session of two customers is an order of each, with its own total."""
    history = events_of(line("purchase", user="a"), line("purchase", 1, user="b"))
    assert [(event["userId"], event["properties"]["total"]) for event in history] == [("a", 10.0), ("b", 10.0)]


def test_without_a_session() -> None:
    """Without a session there is no cart id and no order id, and each purchase row is an order of its own."""
    history = events_of(line("cart", session=""), line("purchase", 1, session=""), line("purchase", 2, session=""))
    assert [event["event"] for event in history] == ["Product Added", "Order Completed", "Order Completed"]
    assert not any({"cart_id", "order_id"} & event["properties"].keys() for event in history)


def test_columns_are_found_by_name() -> None:
    """Another order of the columns, and columns unknown to us, change nothing."""
    header = "more,user_session,user_id,price,brand,category_code,product_id,event_type,event_time"
    history = events([header, "x,s,u,10.00,acme,a.b,p1,view,2019-10-01 00:00:00 UTC"])
    assert history == events_of(line("view"))


def test_shift_moves_every_time_alike() -> None:
    """A shift moves all times by milliseconds, forward and back, orders too; nothing else changes."""
    lines = (line("view"), line("purchase", 1))
    moved = events_of(*lines, shift_ms=86_400_001)
    assert [event["timestamp"] for event in moved] == ["2019-10-02T00:00:00.001Z", "2019-10-02T00:00:01.001Z"]
    assert [event | {"timestamp": ""} for event in moved] == [event | {"timestamp": ""} for event in events_of(*lines)]
    assert events_of(line("view"), shift_ms=-1)[0]["timestamp"] == "2019-09-30T23:59:59.999Z"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (line("remove"), "event_type 'remove'"),
        (line("view", price="-1"), "price '-1'"),
        (line("view", price=""), "price ''"),
        (line("view", price="NaN"), "price 'NaN'"),
        (line("view", price="1e3"), "price '1e3'"),
        (line("view", price="1.234"), "price '1.234'"),
        (line("view", user=""), "user_id is empty"),
        (line("view").replace("p1", ""), "product_id is empty"),
        (line("view").replace(" UTC", ""), "time data '2019-10-01 00:00:00'"),
        (line("view") + ",more", "10 columns, the header has 9"),
        ("2019-10-01 00:00:00 UTC,view", "2 columns, the header has 9"),
        ("", "0 columns, the header has 9"),
    ],
)
def test_a_bad_row_is_named(bad: str, why: str) -> None:
    """A bad third line is named by its number, though more rows follow."""
    with pytest.raises(RowError, match=r"^line 3: ") as caught:
        events_of(line("view"), bad, line("view"))
    assert why in str(caught.value)


def test_a_quoted_line_break_counts_as_a_line() -> None:
    """The number is that of the line in the file, not of the row."""
    with pytest.raises(RowError, match=r"^line 4: "):
        events(io.StringIO("\n".join([HEADER, line("view").replace("acme", '"ac\nme"'), line("remove")])))


@pytest.mark.parametrize("lines", [[], ["event_time,price"], ["\n"]])
def test_a_wrong_header_is_named(lines: list[str]) -> None:
    with pytest.raises(RowError, match=r"^line 1: the header has no column .*user_id"):
        events(lines)


def test_a_torn_last_line_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A file cut short in its last row gives the rows before, and a warning with the line."""
    assert events_of(line("view"), line("view")[:50]) == events_of(line("view"))
    assert "line 3: the file ends in the middle" in caplog.text


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], real: list[JsonEvent]) -> None:
    """The command prints one JSON object a line; the same from .csv and .csv.gz."""
    assert rees46.main([str(FILE)]) == 0
    written = capsys.readouterr().out
    assert [json.loads(text) for text in written.splitlines()] == real
    plain = tmp_path / "events.csv"
    plain.write_bytes(gzip.decompress(FILE.read_bytes()))
    assert rees46.main([str(plain)]) == 0
    assert capsys.readouterr().out == written


def test_command_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"{HEADER}\n{line('view')}\n")
    with path.open() as lines:
        monkeypatch.setattr("sys.stdin", lines)
        assert rees46.main(["-", "--shift-ms", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["timestamp"] == "2019-10-01T00:00:00.005Z"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", f"{HEADER}\n{line('remove')}\n".encode()),
        ("binary.csv", HEADER.encode() + b"\n\xff\xfe\n"),
        ("torn.csv.gz", gzip.compress(HEADER.encode())[:-9]),
        ("plain.csv.gz", HEADER.encode()),
    ],
    ids=["wrong row", "binary", "cut short", "not packed"],
)
def test_command_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    """The command exits 1 with one line that names the file, and prints no event."""
    (tmp_path / name).write_bytes(content)
    assert rees46.main([str(tmp_path / name)]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(str(tmp_path / name) + ": ")
    assert err.count("\n") == 1
