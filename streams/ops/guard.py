"""Who may ask, and how often.

The one rule: everything but the page's own files, which hold no data, needs the token, compared in constant time.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from http import HTTPStatus
from time import monotonic

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_OPEN = ("/static/", "/health")
_BEARER = "Bearer "
# Wrong tokens from one address: so many at once, then one a second.
_WRONG_BURST = 10
_ADDRESSES_MAX = 10_000
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Limit:
    """Token buckets by address: ``burst`` at once, then ``per_s``."""

    def __init__(self, per_s: float, burst: float, now: Callable[[], float] = monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, address: str) -> bool:
        """Whether one more is allowed; it counts if so."""
        left = self._of(address)
        if left < 1:
            return False
        if len(self._left) >= _ADDRESSES_MAX:
            self._left.clear()  # everybody begins anew: memory is bounded, and a flood of addresses is not ours to stop
        self._left[address] = left - 1, self._now()
        return True

    def is_empty(self, address: str) -> bool:
        """Whether nothing is left."""
        return self._of(address) < 1

    def _of(self, address: str) -> float:
        left, at = self._left.get(address, (self._burst, self._now()))
        return min(self._burst, left + (self._now() - at) * self._per_s)


def guard(token: str, per_s: float) -> Middleware:
    """The middleware; ``per_s``: requests from one address."""
    asked, wrong = Limit(per_s, 2 * per_s), Limit(1, _WRONG_BURST)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await answer(request, handler)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        address = request.remote or ""
        if not asked.take(address):
            return refused(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; try again in a second")
        if request.path != "/" and not request.path.startswith(_OPEN):
            if wrong.is_empty(address):
                return refused(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; try again in a second")
            given = request.headers.get("Authorization", "")
            if not compare_digest(given.encode(errors="replace"), (_BEARER + token).encode()):
                wrong.take(address)
                return refused(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refused(HTTPStatus(error.status), error.reason)

    return guarded


def refused(status: HTTPStatus, sentence: str) -> web.Response:
    """An answer that says why there is none."""
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return web.json_response({"error": sentence}, status=status, headers=headers)
