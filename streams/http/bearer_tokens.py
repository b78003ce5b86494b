"""Bearer tokens: whether a request has the right one, compared in constant time.

See also: `streams.settings.tokens`, whether a token is too weak to be set.
"""

from __future__ import annotations

from hmac import compare_digest


def is_right(authorization: str, token: str) -> bool:
    """Whether an Authorization header has the token; its scheme may be written in any case."""
    scheme, _, credentials = authorization.partition(" ")
    is_equal = compare_digest(credentials.strip().encode(errors="replace"), token.encode())
    return scheme.lower() == "bearer" and is_equal
