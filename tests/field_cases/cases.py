"""The cases: a customer of an input, an instant, and the segments that the customer is in then.

m01  a purchase with an odd value in a field that no decision needs
m02  a refund of one of two products, told by ``products`` without an amount
m03  traits of an identify in ``context.traits``, as RudderStack sends them
m04  ``$direct`` as referrer, as Jitsu and RudderStack send it
m05  tests of a property of the products of an order
m06  a reserved name in another spelling
m07  two sizes of one product in a cart
m08  an order that was cancelled for want of payment, then paid under the same number
m09  a repeated confirmation of an old order, after a new cart was begun
m10  ``undefined`` as the user id of two people
m11  ``[]`` for an empty object, as PHP sends it
m12  a refund in another currency, ``eur``, and a cart in another currency
m13  Product Added with a list of products
m14  the names of the first version of the Segment Spec
m15  one price in another currency among several products
"""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
SEGMENTS = FOLDER / "segments.yaml"
END = "2026-03-08T10:00:00Z"


class FieldCase(NamedTuple):
    """The segments of a customer at an instant, after the events of an input up to then."""

    events: str
    customer: str
    segments: frozenset[str]
    at: str = END

    @property
    def lines(self) -> list[bytes]:
        """The events, one per line."""
        return (FOLDER / f"{self.events}.jsonl").read_bytes().splitlines()


def _case(events: str, customer: str, *segments: str, at: str = END) -> FieldCase:
    return FieldCase(events, customer, frozenset(segments), at)


CASES = (
    _case("m01", "u", "buyer"),
    _case("m02", "u", "buyer", "spent_50"),
    _case("m03", "u", "gender_female"),
    _case("m04", "u", "direct_visitor"),
    _case("m05", "u", "buyer", "bought_tea_is", "bought_tea_in", "bought_item_100"),
    _case("m06", "u", "buyer"),
    _case("m07", "u", "abandoned_cart"),
    _case("m08", "u", "buyer", "spent_50"),
    _case("m09", "u", "buyer", "abandoned_cart"),
    _case("m10", "a", "abandoned_cart"),
    _case("m10", "b", "buyer"),
    _case("m11", "u", "buyer"),
    _case("m12", "u", "buyer", "spent_50"),
    _case("m12", "low", "buyer", "spent_50"),
    _case("m12", "yen", "abandoned_cart"),
    _case("m13", "u", "valuable_cart", at="2026-03-02T09:00:00Z"),  # two products, worth 210
    _case("m13", "u", at="2026-03-02T09:05:00Z"),
    _case("m13", "u"),
    _case("m14", "cart", "abandoned_cart"),
    _case("m14", "twice", "buyer", "spent_50"),
    _case("m14", "back"),
    _case("m15", "u", "abandoned_cart"),
)
