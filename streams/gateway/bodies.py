"""Reads the body of a request within bounds of size and time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from streams.gateway.answers import LATER, Answer

# A body that has not come by then is a client which holds a place without using it.
_BODY_MAX_S = 15.0


async def read_body(request: web.Request, most: int) -> bytes:
    """The body, decompressed. Raises `Answer`, as soon as it is larger than ``most`` bytes."""
    if request.content.is_eof() and request.content.total_bytes <= most:
        return request.content.read_nowait(-1)  # the body came with the headers, as most do
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_MAX_S):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise Answer(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        {"error": f"the body may have {most} bytes"},
                        Connection="close",
                    )
                parts.append(part)
    except TimeoutError:
        # Not 408: an SDK drops what is answered 4xx, and a browser repeats it at once.
        error = {"error": f"the body did not come within {_BODY_MAX_S:.0f} s"}
        raise Answer(HTTPStatus.SERVICE_UNAVAILABLE, error, Connection="close", **LATER) from None
    except web.RequestPayloadError:
        raise Answer(HTTPStatus.BAD_REQUEST, {"error": "the body is not what its headers say"}) from None
    return b"".join(parts)
