"""The routes of the API as a table.

The table is complete. A handler without a route is not served, and a route without a handler fails at the start.

See also: `streams.ops.api`, the handlers; `doc_tools.openapi`, which draws the OpenAPI document from the table.
"""

from __future__ import annotations

from typing import NamedTuple

from rules.sentences.reason_sentence import LANGUAGES
from streams.ops import responses


class Parameter(NamedTuple):
    """A parameter of the path if that has ``{name}`` in it, else of the query."""

    name: str
    about: str
    required: bool = True


class Route(NamedTuple):
    """A path with its parameters and the type of its answer; without ``answer``, it answers a stream or a text."""

    path: str
    name: str
    about: str
    answer: type | None = None
    parameters: tuple[Parameter, ...] = ()
    content_type: str = "application/json"


_CUSTOMER = Parameter("id", "customer id")
_LANGUAGE = Parameter("lang", f"language of the reasons: {' or '.join(LANGUAGES)} (default: en)", required=False)
ROUTES = (
    Route("/api/status", "status", "the state of everything", responses.Status),
    Route("/api/segments", "segments", "sizes, rates and freshness of all segments", responses.Segments),
    Route(
        "/api/customers/{id}", "customer", "a customer's membership, since when, why, and the last changes",
        responses.CustomerState, (_CUSTOMER, _LANGUAGE),
    ),
    Route(
        "/api/customers/{id}/at", "past", "membership at a past time, from published changes", responses.Past,
        (_CUSTOMER, Parameter("time", "RFC 3339")),
    ),
    Route(
        "/api/changes", "changes", "segment changes as they come: events `change` and `dropped`",
        content_type="text/event-stream",
    ),
    Route(
        "/api/customer", "customer_of_query", "the same for an id that no path can have, such as `.` and `..`",
        responses.CustomerState, (_CUSTOMER, _LANGUAGE),
    ),
    Route(
        "/api/customer/at", "past_of_query", "the same for an id that no path can have", responses.Past,
        (_CUSTOMER, Parameter("time", "RFC 3339")),
    ),
    Route("/api/dead-letters", "letters", "the newest dead letters", responses.Letters),
    Route(
        "/api/dead-letters/{partition}/{offset}", "letter", "the bytes of a dead letter", responses.LetterBytes,
        (Parameter("partition", "of `dead-letters`"), Parameter("offset", "in it")),
    ),
    Route("/api/lift", "lift", "what the messages of triggers brought about", responses.Lifts),
    Route("/metrics", "metrics", "metrics of this process, for Prometheus", content_type="text/plain"),
    Route("/health", "health", "200 while this process lives; without token"),
)  # fmt: skip
