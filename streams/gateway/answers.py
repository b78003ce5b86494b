"""Answers to requests that cannot be served."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

# SDKs read a whole number of seconds; those that read none repeat by a plan of their own.
LATER = {"Retry-After": "2"}


class Answer(Exception):
    """The answer to a request that cannot be served."""

    def __init__(self, status: HTTPStatus, document: object, **headers: str) -> None:
        super().__init__(status)
        self.response = web.Response(
            status=status, body=msgspec.json.encode(document), content_type="application/json", headers=headers
        )
