"""Signed tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA256, made by a shop's server in any language.

    {"sub": "u1", "exp": 1796300000}

The one rule: only HS256 is accepted, whatever a token says of itself, and a token that is not valid names no customer.
"""

from __future__ import annotations

import jwt

_ALGORITHM = "HS256"
# A longer text is no token of an id with up to 256 bytes.
_TOKEN_MAX_CHARS = 2_048


def subject_of(token: str, secret: str, *, must_expire: bool = False) -> str | None:
    """The customer that a valid token names; ``None``: it is not valid.

    ``must_expire``: a token without ``exp`` is not valid.
    """
    if len(token) > _TOKEN_MAX_CHARS:
        return None
    required = ["sub", "exp"] if must_expire else ["sub"]
    try:
        claims = jwt.decode(token, secret, algorithms=[_ALGORITHM], options={"require": required, "verify_aud": False})
    except jwt.InvalidTokenError:
        return None
    subject = claims["sub"]
    return subject if isinstance(subject, str) else None


def signed(subject: str, secret: str, expires_s: int | None = None) -> str:
    """A token that names a customer; ``expires_s``: seconds since 1970."""
    claims: dict[str, object] = {"sub": subject}
    if expires_s is not None:
        claims["exp"] = expires_s
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)
