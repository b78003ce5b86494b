"""Access to the operations page: every request but those for the page's own files, which hold no data, needs the token.

The one rule: a request with the right token passes whatever others do. Only requests without it are limited, by
address.

See also: `streams.http.access`, the gate and the limit themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams.http.access import RateLimit, TokenGate, refusal
from streams.http.server import ADMITTED

_OPEN = ("/static/", "/health")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def guard(gate: TokenGate, per_s: float, refused: Callable[[str], None]) -> Middleware:
    """Make the middleware; ``per_s``: the limit of requests from one address without the right token."""
    limit = RateLimit(per_s, 2 * per_s)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await answer(request, handler)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The right token is never limited, so a flood from an address cannot lock its operator out.
        if gate.is_right(request):
            request[ADMITTED] = True
        elif not limit.take(gate.address(request)):
            refused("too_many_requests")
            response = refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; try again in a second")
            response.force_close()
            return response
        elif request.path != "/" and not request.path.startswith(_OPEN):
            return await gate.refuse(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refusal(HTTPStatus(error.status), error.reason)

    return guarded
