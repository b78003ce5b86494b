"""Links in messages that lead to the gateway: to unsubscribe, and to what a customer clicked on.

    https://events.shop.example/u/TOKEN    the token names the customer and the message
    https://events.shop.example/c/TOKEN    and the address to which it leads

The one rule: a link leads only where the shop's own template has it lead, as the address is part of what is signed.

See also: `streams.triggers.templates` (which writes them), and `streams.gateway.links` (which follows them).
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from streams.http.signed_tokens import PURPOSE, claims_of, signed

UNSUBSCRIBE, CLICK = "unsubscribe", "click"
# The events of a customer who followed one; the property ``trigger`` is the key of the message.
UNSUBSCRIBED, MESSAGE_CLICKED = "Unsubscribed", "Message Clicked"
_PATHS = {UNSUBSCRIBE: "u", CLICK: "c"}
# Mail programs and browsers take at least so long an address.
ADDRESS_MAX_CHARS = 2_000
_TOKEN_MAX_CHARS = 8_000


class FollowedLink(NamedTuple):
    """What a link says: the customer, the key of the message, its variant, and where a click leads."""

    customer: str
    trigger: str
    variant: str
    address: str


class MessageLinks:
    """Makes links. ``base``: the address of the gateway; ``secret``: shared with it."""

    def __init__(self, base: str, secret: str) -> None:
        self._base = base.rstrip("/")
        self._secret = secret

    def unsubscribe(self, customer: str, trigger: str, variant: str) -> str:
        """The link by which a customer asks for no more messages."""
        return self._link(UNSUBSCRIBE, customer, trigger, variant)

    def click(self, customer: str, trigger: str, variant: str, address: str) -> str:
        """The link that leads to an address. Raises `ValueError` for what is no web address."""
        if len(address) > ADDRESS_MAX_CHARS or not is_web_address(address):
            raise ValueError("click leads to a web address alone, which has up to 2,000 characters")
        return self._link(CLICK, customer, trigger, variant, to=address)

    def _link(self, purpose: str, customer: str, trigger: str, variant: str, **claims: str) -> str:
        of = {"variant": variant} if variant else {}
        token = signed(customer, self._secret, None, **{PURPOSE: purpose, "trigger": trigger}, **of, **claims)
        return f"{self._base}/{_PATHS[purpose]}/{token}"


def followed(token: str, secret: str, purpose: str) -> FollowedLink | None:
    """What the token of a link says; ``None``: it is not valid, or of another purpose."""
    claims = claims_of(token, secret) if len(token) <= _TOKEN_MAX_CHARS else None
    if claims is None or claims.get(PURPOSE) != purpose:
        return None
    link = FollowedLink(
        claims["sub"], str(claims.get("trigger", "")), str(claims.get("variant", "")), str(claims.get("to", ""))
    )
    return link if purpose == UNSUBSCRIBE or is_web_address(link.address) else None


def is_web_address(text: str) -> bool:
    """Whether a text is an absolute http or https address, in printable ASCII without spaces."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
