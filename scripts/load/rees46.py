"""Converts REES46 shop data (CSV) to Segment Spec events (JSON lines).

The one rule: an event has the data of its rows and no made-up data. A row's number in the file is its messageId, so
one file always gives the same events and sending it twice changes nothing. A row that cannot be read stops
the conversion with its line number; only a last line that was cut short is left out, with a warning.

    python scripts/load/rees46.py data/rees46-2019-10-01.csv.gz > events.jsonl

    view      track "Product Viewed"
    cart      track "Product Added", cart_id = the session
    purchase  one "Order Completed" for all purchase rows of one customer and session, dated by the last of
              them; order_id = the session, total = the exact sum of the prices
"""

import argparse
import csv
import gzip
import json
import logging
import re
import signal
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

__all__ = ["JsonEvent", "RowError", "events", "open_csv"]

JsonEvent = dict[str, Any]  # a JSON object; Any, because `properties` holds text, numbers and lists

NAMES = {"view": "Product Viewed", "cart": "Product Added", "purchase": "Order Completed"}
TOPIC_ORDER = list(NAMES.values())  # the order of one instant: visits before carts before purchases
COLUMNS = (
    "event_time", "event_type", "product_id", "category_code", "brand", "price", "user_id", "user_session",
)  # fmt: skip
PRICE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")  # thousands of such prices add up exactly in a JSON number
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


class RowError(ValueError):
    """A line is no REES46 row. The message names the line: correct it or remove it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One data row; `number` counts from 1 and leaves the header out."""

    number: int
    time_ms: int
    kind: str
    product_id: str
    category: str
    brand: str
    price: Decimal
    user_id: str
    session: str


def events(lines: Iterable[str], shift_ms: int = 0) -> list[JsonEvent]:
    """All events of a CSV file, sorted by (time, visits < carts < purchases, row), moved by `shift_ms`.

    Raises RowError at the first line that cannot be read.
    """
    dated: list[tuple[int, int, int, JsonEvent]] = []
    orders: defaultdict[tuple[str, str | int], list[Row]] = defaultdict(list)
    for row in _rows(lines, shift_ms):
        if row.kind == "purchase":
            orders[row.user_id, row.session or row.number].append(row)
        else:
            dated.append(_dated(row, _product(row)))
    dated += (_dated(max(rows, key=lambda row: (row.time_ms, row.number)), _order(rows)) for rows in orders.values())
    return [event for *_, event in sorted(dated, key=itemgetter(0, 1, 2))]


def open_csv(path: str) -> TextIO:
    """Open FILE.csv, FILE.csv.gz or, for "-", standard input."""
    if path == "-":
        return sys.stdin
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return Path(path).open(encoding="utf-8", newline="")


def _rows(lines: Iterable[str], shift_ms: int) -> Iterator[Row]:
    reader = csv.reader(lines)
    line = 1
    try:
        header = _header(reader)
        for number, values in enumerate(reader, 1):
            line = reader.line_num
            if len(values) < len(header) and next(reader, None) is None:
                log.warning("line %d: the file ends in the middle of this row; it is left out", line)
                return
            yield _row(number, header, values, shift_ms)
    except ValueError as error:
        raise RowError(f"line {line}: {error}") from None
    except csv.Error as error:
        raise RowError(f"line {reader.line_num}: {error}") from None


def _header(reader: Iterator[list[str]]) -> list[str]:
    header = next(reader, [])
    if missing := [column for column in COLUMNS if column not in header]:
        raise ValueError(f"the header has no column {', '.join(missing)}")
    return header


def _row(number: int, header: Sequence[str], values: Sequence[str], shift_ms: int) -> Row:
    """A line of the file. Raises `ValueError` with the first thing in it that is wrong; nothing is guessed."""
    if len(values) != len(header):
        raise ValueError(f"{len(values)} columns, the header has {len(header)}")
    fields = dict(zip(header, values, strict=True))
    if fields["event_type"] not in NAMES:
        raise ValueError(f"event_type {fields['event_type']!r} is none of {', '.join(NAMES)}")
    if not PRICE.fullmatch(fields["price"]):
        raise ValueError(f"price {fields['price']!r} is no amount like 35.79")
    for column in ("product_id", "user_id"):
        if not fields[column]:
            raise ValueError(f"{column} is empty")
    time = datetime.strptime(fields["event_time"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    return Row(
        number=number,
        time_ms=(time - EPOCH) // timedelta(milliseconds=1) + shift_ms,
        kind=fields["event_type"],
        product_id=fields["product_id"],
        category=fields["category_code"],
        brand=fields["brand"],
        price=Decimal(fields["price"]),
        user_id=fields["user_id"],
        session=fields["user_session"],
    )


def _dated(row: Row, properties: JsonEvent) -> tuple[int, int, int, JsonEvent]:
    """An event with its sort key."""
    name = NAMES[row.kind]
    event = {
        "type": "track",
        "event": name,
        "messageId": str(row.number),
        "userId": row.user_id,
        "timestamp": _rfc3339(row.time_ms),
        "properties": properties,
    }
    return row.time_ms, TOPIC_ORDER.index(name), row.number, event


def _product(row: Row) -> JsonEvent:
    properties = {"product_id": row.product_id, "category": row.category, "brand": row.brand}
    if row.kind == "cart":
        properties = {"cart_id": row.session, **properties}
    return {name: text for name, text in properties.items() if text} | {"price": float(row.price)}


def _order(rows: Sequence[Row]) -> JsonEvent:
    """Make one order; without a session it has no order_id, and its messageId replaces that."""
    session = rows[0].session
    products = [{"product_id": row.product_id, "price": float(row.price), "quantity": 1} for row in rows]
    total = sum((row.price for row in rows), Decimal())
    order: JsonEvent = {"total": float(total), "currency": "USD", "products": products}
    return {"order_id": session, **order} if session else order


def _rfc3339(time_ms: int) -> str:
    time = EPOCH + timedelta(milliseconds=time_ms)
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print events to standard output. Exit code 1 and a line on standard error for a wrong file."""
    parser = argparse.ArgumentParser(description="REES46 shop data as Segment Spec events, one a line.")
    parser.add_argument("file", metavar="FILE.csv[.gz]|-")
    parser.add_argument("--shift-ms", type=int, default=0, help="move all times by this many milliseconds")
    options = parser.parse_args(arguments)
    try:
        with open_csv(options.file) as lines:
            converted = events(lines, options.shift_ms)
    except (RowError, OSError, EOFError, zlib.error) as error:  # the last two are those of a broken .gz
        print(f"{options.file}: {error}", file=sys.stderr)
        return 1
    for event in converted:
        print(json.dumps(event, separators=(",", ":")))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so that `| head` ends it without an error
    sys.exit(main())
