"""What a message is about (`data`): as of the last look before the attempt, whole for each template, and safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.definitions.change_data import NO_DATA
from rules.definitions.segments_file import build
from rules.times import SECOND_MS
from streams.triggers import config
from streams.triggers.channels.webhook import change_of
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.triggers.templates import EXAMPLE, MessageSubject, MessageTemplates
from tests.support.in_memory_triggers import START, World, cart, enters
from tests.support.in_memory_triggers import world as started_world

TEA: dict[str, object] = {"cart": [{"name": "Tea", "price": 3.5}], "cart_lines": 1}
FILE = build(
    {
        "version": 1,
        "currency": "EUR",
        "hosts": ["shop.example"],
        "segments": {
            "cart": {
                "title": "Cart",
                "when": {"cart": {}},
                "include": {
                    "cart": ["name", "price", "quantity", "url"],
                    "traits": ["first_name"],
                    "last": {"event": "Product Viewed", "of": ["name"]},
                    "totals": {"spent": {"agg": "sum", "of": "total", "event": "Order Completed"}},
                },
            },
        },
    },
    "f",
)


# --- as of the last look ---------------------------------------------------------------------------


async def test_a_message_has_the_data_of_the_last_look() -> None:
    """Not of the change: what was taken out of the cart meanwhile is not in the message."""
    world = await started_world(cart(delay="1h"))
    world.shop.included["u1"] = {"cart": [{"name": "Tea"}, {"name": "Mug"}], "cart_lines": 2}
    await enters(world)
    world.shop.included["u1"] = TEA
    await world.until(START + 3_600 * SECOND_MS)
    assert [message.data for _, message, _ in world.attempts()] == [TEA]


class Slow:
    """A channel that takes so long to connect that the cart changes, and then takes its own last look."""

    def __init__(self, world: World, after: dict[str, object]) -> None:
        self._world = world
        self._after = after
        self.given: list[tuple[Message, str | None]] = []

    async def send(self, message: Message) -> AttemptResult:
        self._world.shop.included["u1"] = self._after
        against = await message.against()
        self.given.append((message, against))
        return AttemptResult(Outcome.SENT if against is None else Outcome.GIVEN_BACK, against or "")

    async def close(self) -> None:
        pass


async def test_a_message_whose_data_change_during_the_attempt_is_given_back() -> None:
    """An e-mail is composed before its last look; with another cart it is composed anew."""
    world = await started_world(cart())
    slow = Slow(world, TEA)
    world.channels = dict.fromkeys(world.channels, slow)  # type: ignore[arg-type]
    await world.claim()
    world.shop.included["u1"] = {"cart": [{"name": "Tea"}, {"name": "Mug"}], "cart_lines": 2}
    await enters(world)
    for seconds in range(1, 120):
        await world.until(START + seconds * SECOND_MS)
    assert [against for _, against in slow.given] == ["what the message is about has changed", None]
    assert slow.given[-1][0].data == TEA
    assert [decision.decision for decision in world.decisions()] == ["deferred", "sent"]


def test_a_webhook_has_the_change_and_the_data_of_now() -> None:
    """The change is that which was published; `current` is what it would carry now."""
    raw = msgspec.json.encode(EXAMPLE | {"data": {"cart": [], "cart_lines": 0}})
    body = msgspec.json.decode(msgspec.json.encode(change_of(Message("k", "t", "u", raw, {}, 0, TEA), None)))
    assert body["data"]["change"]["data"]["cart_lines"] == 0
    assert body["data"]["current"] == TEA
    assert "current" not in change_of(Message("k", "t", "u", raw, {}, 0), None)["data"]


# --- in templates ----------------------------------------------------------------------------------


def rendered(template: str, data: dict[str, object] = TEA, part: str = "text", **about: Any) -> str:
    subject = MessageSubject(FILE.segments[0].include, currency=FILE.currency, **about)
    words = MessageTemplates(config.Template(**{part: template}), Path(), frozenset({"timezone"}), None, subject)
    contact = {"timezone": "Asia/Tehran"}
    message = words.say(Message("k", "t", "u", msgspec.json.encode(EXAMPLE), contact, 0, data))[0]
    text = getattr(message, part)
    assert isinstance(text, str)
    return text


def test_a_template_lists_the_items() -> None:
    """Each line has every column of `include`, and one whose text is unknown is empty."""
    template = "{% for item in data.cart %}{{ item.name }} {{ item.price | money }} [{{ item.url }}] {% endfor %}"
    assert rendered(template) == "Tea €3.50 [] "
    assert rendered("{{ data.traits.first_name or 'you' }}: {{ data.last.name }}") == "you: "
    assert rendered("{{ data.totals.spent | money }}", {"totals": {"spent": 12}}) == "€12.00"


def test_html_is_escaped() -> None:
    """A product's name cannot become markup."""
    template = "{% for item in data.cart %}<b>{{ item.name }}</b>{% endfor %}"
    data: dict[str, object] = {"cart": [{"name": "<script>x</script>"}], "cart_lines": 1}
    assert rendered(template, data, "html") == "<b>&lt;script&gt;x&lt;/script&gt;</b>"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ 1234.5 | money }}", "€1,234.50"),
        ("{{ 1234.5 | money('IRR', 'fa_IR') }}", "\u200eریال\xa0۱٬۲۳۴"),
        ("{{ 1234.5 | money(locale='de_DE') }}", "1.234,50\xa0€"),
        ("{{ 1234.5 | number(locale='fa') }}", "۱٬۲۳۴٫۵"),
        ("{{ '2026-11-01T22:00:00.000Z' | date }}", "Nov 2, 2026"),  # of the customer, in Tehran
        ("{{ '2026-11-01T10:00:00.000Z' | date('long', 'de_DE') }}", "1. November 2026"),
        # what is none stays as it is, and nothing grows
        ("{{ '' | money }}", ""),
        ("{{ 'x' | money }}", "x"),
        ("{{ 'NaN' | number }}", "NaN"),
        ("{{ '1e999999999' | money }}", "1e999999999"),
        ("{{ '1e-999999999' | number }}", "1e-999999999"),
        ("{{ ('9' * 1000) | number | length }}", "1000"),
        ("{{ true | number }}", "True"),
        ("{{ 'yesterday' | date }}", "yesterday"),
        ("{{ 5 | date }}", "5"),
    ],
)
def test_amounts_and_dates_by_locale(template: str, expected: str) -> None:
    """Amounts have the currency of the file, dates are days of the customer."""
    assert rendered(template) == expected


def test_the_locale_of_the_file_counts() -> None:
    """Where a template names none."""
    assert rendered("{{ 1234.5 | money }}", locale="de_DE") == "1.234,50\xa0€"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ data.last.url }}", "the lines of the cart (name, price, quantity, url)"),
        ("{{ data.cart[0].image_url }}", "data has what `include` of the segment asks for"),
        ("{{ 1 | money(locale='xx_YY') }}", "xx_YY"),
    ],
)
def test_a_name_that_is_not_included_is_refused_at_the_start(template: str, problem: str) -> None:
    """A template cannot ask for what the segment does not include."""
    with pytest.raises(ValueError, match="text: ") as raised:
        rendered(template)
    assert problem in str(raised.value)


def test_a_segment_that_includes_nothing_has_all_parts() -> None:
    """A loop over the cart of such a segment is empty."""
    words = MessageTemplates(config.Template(text="{{ data.cart | length }}"), Path(), frozenset())
    text = words.say(Message("k", "t", "u", msgspec.json.encode(EXAMPLE), {}, 0))[0].text
    assert text == "0"
    assert NO_DATA["cart"] == []
