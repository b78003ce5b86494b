"""Signed tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA256, made by a shop's server in any language.

    {"sub": "u1", "exp": 1796300000}

The one rule: only HS256 is accepted, whatever a token says of itself, and a token that is not valid names no customer.
"""

from __future__ import annotations

from typing import Any

import jwt

_ALGORITHM = "HS256"
# A secret is as long as the hash with which tokens are signed (RFC 7518, 3.2).
SECRET_MIN_CHARS = 32
# The claim of a token that is part of a link in a message: it names a customer, and proves nothing about who has it.
PURPOSE = "use"
# A longer text is no token of an id with up to 256 bytes.
_TOKEN_MAX_CHARS = 2_048


def subject_of(token: str, secret: str, *, must_expire: bool = False) -> str | None:
    """The customer that a valid token of a visitor names; see `visitor_claims`."""
    claims = visitor_claims(token, secret, must_expire=must_expire)
    return None if claims is None else str(claims["sub"])


def visitor_claims(token: str, secret: str, *, must_expire: bool = False) -> dict[str, Any] | None:
    """What a valid token of a visitor says: ``sub``, and ``exp`` (seconds since 1970) if it expires.

    ``None``: it is not valid, or was made for another purpose. ``must_expire``: a token without ``exp`` is not valid.
    """
    if len(token) > _TOKEN_MAX_CHARS:
        return None
    claims = claims_of(token, secret)
    if claims is None or PURPOSE in claims or (must_expire and "exp" not in claims):
        return None
    return claims


def claims_of(token: str, secret: str) -> dict[str, Any] | None:
    """What a valid token says, with the customer as ``sub``; ``None``: it is not valid."""
    options: Any = {"require": ["sub"], "verify_aud": False}
    try:
        claims: dict[str, Any] = jwt.decode(token, secret, algorithms=[_ALGORITHM], options=options)
    except (jwt.InvalidTokenError, UnicodeError):
        return None
    return claims if isinstance(claims["sub"], str) else None


def signed(subject: str, secret: str, expires_s: int | None = None, **claims: object) -> str:
    """A token that names a customer, with further claims; ``expires_s``: seconds since 1970."""
    expiry = {} if expires_s is None else {"exp": expires_s}
    return jwt.encode({"sub": subject, **claims, **expiry}, secret, algorithm=_ALGORITHM)
