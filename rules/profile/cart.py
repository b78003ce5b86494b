"""The cart: what cart events say of it, as stored; `rules.profile.open_cart` folds them with the orders that end carts.

A shop may name carts (`cart_id`). Events that name none belong to a cart of their own, and keep every open cart busy.

The one rule: item events are kept behind the order that ended their cart, as a message about that order may come late
and change when it was. So what is stored is a function of the set of cart events alone.

Bounds: item events more than 90 days before the newest cart event, and those before the newest 256 items of all events,
do not count. An event that states the whole cart and names none makes all item events void that come before it and name
none. A price stands in the item event that states it; of item events that are stored no longer, the 256 newest prices
are kept for those 90 days, one for each product. Of an event that lists products, the first 256 count. The 16 carts
that were touched last are told apart; of any other, events count as if they named none.

See also: `rules.facts.carts` (the fact that needs it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rules.profile import deduplication
from rules.profile.order_fold import UNREAD
from rules.times import DAY_MS

LINES_AGE_MS = 90 * DAY_MS
PRICES_MAX = 256
ITEMS_MAX = 256
NAMED_MAX = 16

ADDED, REMOVED, REPLACED = 0, 1, 2
UNNAMED_CART = 0

Price = tuple[int, str, int]  # an item event's time, message id and price (10⁻⁶)
CartTimes = tuple[int, int, int]  # the newest event of a cart, the newest of a checkout (0: never), and the first event


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item event: its kind, its products (`rules.profile.products.product_key`), and their quantities (10⁻⁶).

    A quantity is ``None`` where none is stated. ``cart``: the hash of the cart that the event names. ``prices``: of the
    items, in 10⁻⁶: ``None`` where none is stated, `UNREAD` where it cannot be read; empty if no item has one, or no
    definition asks for prices.
    """

    time: int
    id: str
    kind: int
    items: tuple[tuple[str, int | None], ...]
    cart: int = UNNAMED_CART
    prices: tuple[int | None, ...] = ()


class Cart(msgspec.Struct, array_like=True, gc=False):
    """The cart events of a customer; instants are 0 for never.

    ``touched``: the newest cart event that names no cart; ``checkout``: the newest of those that belong to a checkout.
    ``named``: both, by the hash of each named cart. Of item events that are stored no longer, ``prices`` has by line
    (`line_key`) the newest one that states a price, and the price (10⁻⁶), and ``unpriced`` the time of the newest one
    whose price cannot be read. ``bought``: up to when a former version of the program ended all carts.
    """

    bought: int = 0
    touched: int = 0
    lines: list[Line] = []
    checkout: int = 0
    prices: dict[str, Price] = {}
    named: dict[int, CartTimes] = {}
    unpriced: dict[str, int] = {}

    @property
    def newest(self) -> int:
        """The time (ms) of the newest cart event."""
        if not self.named:
            return self.touched
        return max(self.touched, *[times[0] for times in self.named.values()])


def line_key(product: str, named: int) -> str:
    """The key of a line: its product, and the cart that it is in, where one is named."""
    return f"{product}\x1e{named:x}" if named else product


def touch(cart: Cart, time: int, named: int = UNNAMED_CART, *, in_checkout: bool = False) -> bool:
    """Note a cart event; whether it is the newest of its cart, or the first of a checkout."""
    if time <= cart.bought:
        return False
    before = cart.named.get(named, (0, 0, time)) if named else (cart.touched, cart.checkout, time)
    after = max(before[0], time), max(before[1], time) if in_checkout else before[1], min(before[2], time)
    if after == before:
        return False
    if named:
        is_new = named not in cart.named
        cart.named[named] = after
        if is_new:
            _bound_named(cart)
    else:
        cart.touched, cart.checkout = after[:2]
    return True


def change(cart: Cart, line: Line) -> bool:
    """Insert an item event by (time, message id); whether it is new and counts."""
    return line.time > cart.bought and deduplication.insert(cart.lines, line, _key)


def _keep_prices(cart: Cart, dropped: Iterable[Line]) -> None:
    """Keep the prices of item events that are dropped; each line has the newest one."""
    prices: dict[str, Price] = {}
    for line in dropped:
        for (product, _), price in zip(line.items, line.prices, strict=False):
            if price is None:
                continue
            key = line_key(product, line.cart)
            if price == UNREAD:
                cart.unpriced[key] = max(line.time, cart.unpriced.get(key, 0))
            elif key not in prices or prices[key][:2] <= (line.time, line.id):
                prices[key] = line.time, line.id, price
    if prices:
        _add_prices(cart, prices)


def _add_prices(cart: Cart, others: Mapping[str, Price]) -> None:
    """Add the prices that are newer than those there are: of one event, those of its last items were kept first."""
    prices = cart.prices
    for key, other in others.items():
        if other[0] > cart.bought and other[:2] > prices.get(key, (0, ""))[:2]:
            prices[key] = other
    cart.prices = {key: prices[key] for key in sorted(prices, key=lambda item: _priced(prices, item))}


def _priced(prices: Mapping[str, Price], product: str) -> tuple[int, str, str]:
    """The sort key of stored prices, so that equal carts are stored alike."""
    time, message_id, _ = prices[product]
    return time, message_id, product


def merge(mine: Cart | None, theirs: Cart | None) -> Cart | None:
    """Merge two carts: the result is that of all events of both."""
    if mine is None and theirs is None:
        return None
    mine, theirs = mine or Cart(), theirs or Cart()
    bought = max(mine.bought, theirs.bought)
    named = dict(mine.named)
    for cart, times in theirs.named.items():
        before = named.get(cart, times)
        named[cart] = max(before[0], times[0]), max(before[1], times[1]), min(before[2], times[2])
    merged = Cart(
        bought,
        max(mine.touched, theirs.touched),
        deduplication.merged((line for line in (*mine.lines, *theirs.lines) if line.time > bought), _key),
        max(mine.checkout, theirs.checkout),
        named=named,
    )
    _bound_named(merged)
    _add_prices(merged, mine.prices)
    _add_prices(merged, theirs.prices)
    for unpriced in (mine.unpriced, theirs.unpriced):
        for product, time in unpriced.items():
            merged.unpriced[product] = max(time, merged.unpriced.get(product, 0))
    bound(merged)
    return merged


def _key(line: Line) -> tuple[int, str]:
    return line.time, line.id


def _bound_named(cart: Cart) -> None:
    """Keep the named carts that were touched last, in the order of their hashes: equal carts are stored alike."""
    newest = sorted(cart.named, key=lambda named: (cart.named[named][0], named))[-NAMED_MAX:]
    cart.named = {named: cart.named[named] for named in sorted(newest)}


def bound(cart: Cart) -> None:
    """Drop the lines and prices beyond the bounds, as is due once all of an event is noted."""
    frontier = cart.newest - LINES_AGE_MS
    if cart.lines:
        _bound_lines(cart, frontier)
    prices = cart.prices
    if prices and (len(prices) > PRICES_MAX or next(iter(prices.values()))[0] < frontier):
        newest = sorted(prices, key=lambda product: _priced(prices, product))[-PRICES_MAX:]
        cart.prices = {product: prices[product] for product in newest if prices[product][0] >= frontier}
    unpriced = cart.unpriced
    if unpriced:
        latest = sorted(unpriced, key=lambda product: (unpriced[product], product))[-PRICES_MAX:]
        cart.unpriced = {product: unpriced[product] for product in latest if unpriced[product] >= frontier}


def _bound_lines(cart: Cart, frontier: int) -> None:
    lines = cart.lines
    if lines[0].time >= frontier and not _is_beyond(lines):
        return
    dropped: list[Line] = []
    newest = next((i for i in range(len(lines) - 1, -1, -1) if lines[i].kind == REPLACED and not lines[i].cart), 0)
    if newest:
        dropped += [line for line in lines[:newest] if not line.cart]
        lines[:newest] = [line for line in lines[:newest] if line.cart]
    # Lines are ordered by time, so that dropping a line drops all lines before it.
    start, left = len(lines), ITEMS_MAX
    while start and left > 0 and lines[start - 1].time >= frontier:
        start -= 1
        line = lines[start]
        if len(line.items) > left:
            dropped.append(msgspec.structs.replace(line, items=line.items[left:], prices=line.prices[left:]))
            lines[start] = msgspec.structs.replace(line, items=line.items[:left], prices=line.prices[:left])
        left -= max(1, len(line.items))
    dropped += lines[:start]
    del lines[:start]
    _keep_prices(cart, dropped)


def _is_beyond(lines: Sequence[Line]) -> bool:
    """Whether lines may have more items than are kept, or are void by one that states the whole cart."""
    items = 0
    for line in lines:
        items += len(line.items) or 1
        if line.kind == REPLACED and not line.cart and len(lines) > 1:
            return True
    return items > ITEMS_MAX
