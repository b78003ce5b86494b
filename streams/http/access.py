"""Access to an HTTP server: by the token of a request, with a rate limit for the addresses that wrong tokens come from.

A right token is accepted before anything is counted, so that wrong tokens of others cannot lock its holder out, not
even from the same address. Wrong tokens are counted by address, logged, and answered slowly once there are many.

See also: `streams.http.bearer_tokens` (comparing tokens), `streams.http.client_addresses` (the client's address
behind proxies).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from time import monotonic

from aiohttp import web

from streams.http import bearer_tokens
from streams.http.client_addresses import client_address, counted_as
from streams.settings.addresses import Network

log = logging.getLogger(__name__)

# Wrong tokens from one address that are answered at once: a burst, then so many per second. Others wait for SLOWED_S.
_WRONG_BURST = 10
_WRONG_PER_S = 1.0
SLOWED_S = 1.0
_ADDRESSES_MAX = 10_000
# One log line for all wrong tokens of this time, so that an attacker cannot fill the disk.
_LOG_EVERY_S = 1.0


class RateLimit:
    """Token buckets by address: ``burst`` at once, then ``per_s``."""

    def __init__(self, per_s: float, burst: float, now: Callable[[], float] = monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}

    def has_left(self, address: str) -> bool:
        """Whether the address may do it once more; it does not count."""
        return self._left_of(address, self._now()) >= 1

    def _left_of(self, address: str, now: float) -> float:
        left, counted_at = self._left.get(address, (self._burst, now))
        return min(self._burst, left + (now - counted_at) * self._per_s)

    def take(self, address: str, count: int = 1) -> bool:
        """Whether the address may do it once more; if so, it counts ``count`` times, also beyond what is left."""
        now = self._now()
        left = self._left_of(address, now)
        self._left.pop(address, None)
        if len(self._left) >= _ADDRESSES_MAX:
            del self._left[next(iter(self._left))]  # the address that was quiet for the longest time
        is_allowed = left >= 1
        self._left[address] = left - count * is_allowed, now
        return is_allowed


class TokenGate:
    """Accepts requests with the token, and answers all others.

    ``proxies``: networks whose X-Forwarded-For is believed. ``refused``: called with the reason of each refusal.
    """

    def __init__(self, token: str, refused: Callable[[str], None], proxies: Sequence[Network] = ()) -> None:
        self._token = token
        self._refused = refused
        self._proxies = proxies
        self._wrong = RateLimit(_WRONG_PER_S, _WRONG_BURST)
        self._unlogged = 0
        self._logged_at = -_LOG_EVERY_S

    def is_right(self, request: web.Request) -> bool:
        """Whether the request carries the token."""
        return bearer_tokens.is_right(request.headers.get("Authorization", ""), self._token)

    def address(self, request: web.Request) -> str:
        """The client's address, under which it is counted."""
        forwarded = request.headers.getall("X-Forwarded-For", [])
        return counted_as(client_address(request.remote or "", forwarded, self._proxies))

    async def refuse(self, request: web.Request) -> web.Response:
        """Answer a request without the right token; slowly after many wrong ones from its address."""
        if "Authorization" not in request.headers:
            self._refused("no_token")
            return refusal(HTTPStatus.UNAUTHORIZED, "the token is missing")
        address = self.address(request)
        self._refused("wrong_token")
        self._log_wrong_token(address)
        if self._wrong.take(address):
            return refusal(HTTPStatus.UNAUTHORIZED, "the token is wrong")
        await asyncio.sleep(SLOWED_S)
        return refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; try again in a second")

    def _log_wrong_token(self, address: str) -> None:
        """Log a wrong token, or count it for the next line."""
        self._unlogged += 1
        if monotonic() - self._logged_at >= _LOG_EVERY_S:
            log.warning("a wrong token was refused", extra={"address": address, "since_last_line": self._unlogged})
            self._unlogged, self._logged_at = 0, monotonic()


def refusal(status: HTTPStatus, sentence: str) -> web.Response:
    """A response with this status, and the sentence as its error."""
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = "1"
    return web.json_response({"error": sentence}, status=status, headers=headers)
