"""Which pages may call the gateway: cross-origin requests as browsers make them.

A browser asks before it sends JSON or basic authentication to another origin. That request has no key, so it is
allowed for each origin of any browser key; the request after it is allowed by the origins of its own key.

See also: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from aiohttp import web

_METHODS = "GET, POST, OPTIONS"
# What SDKs of Segment and RudderStack send.
_HEADERS = "authorization, content-type, content-encoding, anonymousid, x-segment-retry-count, x-retry-count"
_REMEMBERED_S = 86_400


def preflight(request: web.Request, *, is_allowed: bool) -> web.Response:
    """The answer to a browser's question whether a page may send a request."""
    response = web.Response(status=204)
    if is_allowed:
        response.headers.update({
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", _HEADERS),
            "Access-Control-Max-Age": str(_REMEMBERED_S),
        })  # fmt: skip
        allow(request, response)
    return response


def allow(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page that sent a request read its answer."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.isascii():
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"  # as sendBeacon asks for them
        # analytics.js waits as long as it is asked to, where it may read how long.
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        response.headers["Vary"] = "Origin"
