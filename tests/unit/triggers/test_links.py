"""Links of messages: what a template may write, and what the gateway reads of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.definitions.segments_file import DefinitionsError, built_in
from streams.http.message_links import CLICK, UNSUBSCRIBE, FollowedLink, MessageLinks, followed, is_web_address
from streams.http.signed_tokens import subject_of
from streams.triggers import config_file
from streams.triggers.channels import factory
from streams.triggers.messages import Message, wording
from streams.triggers.templates import EXAMPLE

BASE, SECRET = "https://events.shop.example", "a-link-secret-of-32-characters-or-more"
LINKS = MessageLinks(BASE, SECRET)
TARGET = "https://shop.example/cart?a=1&b=2"


def token(link: str) -> str:
    return link.rsplit("/", 1)[1]


@pytest.mark.parametrize("variant", ["", "b"])
@pytest.mark.parametrize("customer", ["u1", "بهار", "a/b?c#d", "x" * 256])
def test_a_link_says_what_it_was_made_of(customer: str, variant: str) -> None:
    """Of a customer with any id, under the secret alone that both sides share."""
    link = LINKS.unsubscribe(customer, "cart", variant)
    assert link.startswith(f"{BASE}/u/")
    assert followed(token(link), SECRET, UNSUBSCRIBE) == FollowedLink(customer, "cart", variant, "")
    link = LINKS.click(customer, "cart", variant, TARGET)
    assert link.startswith(f"{BASE}/c/")
    assert followed(token(link), SECRET, CLICK) == FollowedLink(customer, "cart", variant, TARGET)
    assert followed(token(link), SECRET, UNSUBSCRIBE) is None
    assert followed(token(link), "x" * 40, CLICK) is None
    assert followed("x" * 10_000, SECRET, CLICK) is None


def test_a_link_proves_nothing_of_its_reader() -> None:
    """A token of a link is no token of a visitor, also under one secret."""
    assert subject_of(token(LINKS.unsubscribe("u1", "cart", "")), SECRET) is None
    assert subject_of(token(LINKS.click("u1", "cart", "", TARGET)), SECRET) is None


@pytest.mark.parametrize(
    "address",
    ["", "javascript:alert(1)", "//evil.example", "/cart", "https://", "https://a b", "https://a\n", "mailto:a@b.c",
     "data:text/html,x", "https://[", "https://ä.example", "x" * 10, "https://a/" + "x" * 2_000],
)  # fmt: skip
def test_a_click_leads_to_a_web_address_alone(address: str) -> None:
    """What a customer's trait holds cannot become a link to elsewhere than the web."""
    with pytest.raises(ValueError, match="a web address alone"):
        LINKS.click("u1", "cart", "", address)
    assert is_web_address(TARGET)


def file_of(**more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "contact": {"email": "email"},
        "channels": {"mail": {"kind": "email", "host": "mail.example.com", "from": "shop@example.com"}},
        "links": {"base": BASE, "secret": {"env": "LINK_SECRET"}},
        "triggers": {
            "cart": {
                "segment": "abandoned_cart", "channel": "mail",
                "template": {
                    "subject": "s", "text": "{{ unsubscribe_url }}",
                    "html": '<a href="{{ click("https://shop.example/cart?a=1&b=2") }}">Cart</a> {{ unsubscribe }}',
                },
            }
        },
        **more,
    }  # fmt: skip


def problems(folder: Path, document: dict[str, Any], environment: dict[str, str]) -> list[str]:
    path = folder / "triggers.yaml"
    path.write_text(json.dumps(document))
    try:
        file = config_file.load(path, built_in())
        factory.channels(file, path, built_in(), environment, None)  # type: ignore[arg-type]
    except DefinitionsError as error:
        return error.lines
    return []


def test_a_template_writes_links(tmp_path: Path) -> None:
    """In text, in HTML, and in the header by which a mail program unsubscribes."""
    path = tmp_path / "triggers.yaml"
    path.write_text(json.dumps(file_of()))
    file = config_file.load(path, built_in())
    templates_of, complaints = factory.words(file, path, built_in(), LINKS)
    assert complaints == []
    message = Message("key", "cart", "u1", msgspec.json.encode(EXAMPLE), {"email": "a@example.com"}, 0)
    rendered, unsubscribe = templates_of[wording("cart", "")].say(message)
    assert rendered.text is not None
    assert rendered.html is not None
    assert followed(token(rendered.text), SECRET, UNSUBSCRIBE) == FollowedLink("u1", "cart", "", "")
    assert unsubscribe == rendered.text
    clicked = rendered.html.split('"')[1]
    assert followed(token(clicked), SECRET, CLICK) == FollowedLink("u1", "cart", "", TARGET)


def test_what_is_wrong_with_links_is_told(tmp_path: Path) -> None:
    """No secret, no links, an address without a scheme, a click that leads nowhere."""
    right = {"LINK_SECRET": SECRET}
    assert problems(tmp_path, file_of(), right) == []
    assert any(
        "links.secret: the variable LINK_SECRET is not set" in line for line in problems(tmp_path, file_of(), {})
    )
    without = file_of()
    del without["links"]
    assert any("'unsubscribe_url' is undefined" in line for line in problems(tmp_path, without, right))
    wrong = file_of(links={"base": "events.shop.example", "secret": {"env": "LINK_SECRET"}})
    assert any(line.startswith("links.base: expected text of the form") for line in problems(tmp_path, wrong, right))
    nowhere = file_of()
    nowhere["triggers"]["cart"]["template"]["text"] = "{{ click('cart') }}"
    assert any("click leads to a web address alone" in line for line in problems(tmp_path, nowhere, right))
