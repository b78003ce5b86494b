"""The finished mails of docs/examples/mails.yaml: right for every customer, and safe with texts of a liar."""

from __future__ import annotations

import html.parser
import io
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demos.triggers import FILE as DEMO
from demos.triggers import cart_html
from rules.definitions.segments_file import Definitions, parse
from streams.triggers import config, config_file
from streams.triggers.channels import factory
from streams.triggers.channels.smtp import Smtp
from streams.triggers.messages import Message
from streams.triggers.templates import MessageSubject, MessageTemplates
from tests.support.in_memory_triggers import START, change

FILE = Path("docs/examples/mails.yaml")
SEGMENTS = Path("docs/examples/mail_segments.yaml")
EVIL = '<script>alert(1)</script>" onerror="x\' {{ 7*7 }}'
IMAGE = "https://shop.example/tea.png"

SOME: dict[str, object] = {
    "cart": [
        {"product_id": "t", "name": "چای سبز", "price": 3.5, "quantity": 2, "image_url": IMAGE, "url": IMAGE},
        {"product_id": "m", "name": EVIL, "price": 12, "quantity": 1},
        {"product_id": EVIL, "quantity": 1.5},
    ],
    "cart_lines": 40,
    "last": {"name": EVIL, "url": "https://shop.example/?a=1&b=2", "image_url": IMAGE},
    "totals": {"spent": 1234.5},
}
VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})


class Tags(html.parser.HTMLParser):
    """Counts what is open; a tag that ends another one is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.started: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def definitions() -> Definitions:
    return parse(SEGMENTS.read_text(), str(SEGMENTS))


def parts(trigger: str, segment: str, data: dict[str, object], **contact: str) -> tuple[str, str]:
    """The text and the HTML of a mail."""
    file = config_file.load(FILE, definitions())
    channel = factory.channels(file, FILE, definitions(), {}, io.StringIO())["mail"]
    assert isinstance(channel, Smtp)
    raw = msgspec.json.encode(change("kim", segment, "entered", START, 1))
    message = Message("k", trigger, "kim", raw, {"email": "kim@shop.example", **contact}, START, data)
    rendering, _ = channel._words[trigger].say(message)
    assert rendering.text is not None
    assert rendering.html is not None
    assert channel.compose(message, "kim@shop.example").content
    return rendering.text, rendering.html


MAILS = [
    ("cart", "abandoned_cart"),
    ("cart_fa", "abandoned_cart"),
    ("welcome_back", "returning_visitor"),
    ("win_back", "lapsed_buyer"),
]


@pytest.mark.parametrize(("trigger", "segment"), MAILS)
@pytest.mark.parametrize("data", [{}, SOME], ids=["nothing is known", "all is known"])
@pytest.mark.parametrize("contact", [{}, {"name": EVIL}], ids=["no name", "an evil name"])
def test_a_mail_is_whole_html(trigger: str, segment: str, data: dict[str, Any], contact: dict[str, str]) -> None:
    """Each tag is closed, no text of a customer is one, and links lead to the shop."""
    text, page = parts(trigger, segment, data, **contact)
    tags = Tags()
    tags.feed(page)
    assert (tags.open, tags.faults) == ([], [])
    assert "script" not in {tag for tag, _ in tags.started}
    assert not [attributes for _, attributes in tags.started if "onerror" in attributes]
    links = [attributes[name] for _, attributes in tags.started for name in ("href", "src") if name in attributes]
    assert links
    assert all(str(link).startswith("https://shop.example/") for link in links)
    assert "None" not in text + page
    assert "49" not in text.replace("1,249", "")
    assert 'name="color-scheme" content="light dark"' in page


def test_the_cart_is_listed_in_both_parts() -> None:
    """Each line has its name, quantity and price, and what is not shown is counted."""
    text, page = parts("cart", "abandoned_cart", SOME)
    for part in (text, page):
        assert "چای سبز" in part
        assert "€3.50" in part
        assert "and 37 more." in part
    assert "2 × چای سبز, €3.50\n  https://shop.example/tea.png\n" in text
    assert page.count("<img") == 1


def test_the_persian_cart_is_right_to_left_as_a_whole() -> None:
    """The page, its columns and its texts begin on the right, and numbers are written in Persian digits."""
    text, page = parts("cart_fa", "abandoned_cart", SOME)
    for part in (text, page):
        assert "و ۳۷ کالای دیگر." in part
        assert "۳٫۵۰" in part
    assert '<html lang="fa" dir="rtl"' in page
    assert not {"direction:ltr", "direction: ltr"} & set(re.findall(r"direction: ?\w+", page))
    lines = [style for style in re.findall(r"text-align:(\w+)", page) if style == "left"]
    assert len(lines) <= page.count("mj-column-per-100"), "only columns, whose direction is right to left"


def test_the_others_say_what_they_know() -> None:
    """The last product, and what was spent."""
    text, _ = parts("win_back", "lapsed_buyer", SOME)
    assert "€1,234.50 so far" in text
    text, page = parts("welcome_back", "returning_visitor", SOME)
    assert "https://shop.example/?a=1&b=2" in text
    assert 'href="https://shop.example/?a=1&amp;b=2"' in page


def test_the_demo_shows_the_finished_mail_with_what_its_data_have() -> None:
    """The data set has neither names of products nor addresses; the mail asks for what the segment includes."""
    html = cart_html()
    assert "item.brand" in html
    assert not any(name in html for name in ("item.name", "item.url", "item.image_url"))
    definitions = parse((Path("rules/demo.yaml")).read_text(), "demo")
    (include,) = (segment.include for segment in definitions.segments if segment.key == "abandoned_cart")
    assert include is not None
    template = config.Template(subject="s", text="t", html=html)
    MessageTemplates(template, Path(), frozenset(DEMO["contact"]), None, MessageSubject(include))
