"""Connections of kafka-python, which commands and the checks at start use.

What the client raises becomes a `streams.stop.Stop` whose sentence names the setting to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from streams.settings import Settings, credentials
from streams.stop import Stop


def connect(
    settings: Settings, make: Callable[..., Any], *arguments: Any, tries: int | None = None, **options: Any
) -> Any:
    """Make a connected client of kafka-python. Raises `Stop`. ``tries``: of `TRY_MS` each; by default `TRIES`.

    The client repeats a wrong password until its timeout. So each attempt has a short timeout, and another one follows
    only if it may end differently.
    """
    options |= credentials.kafka(settings)
    sasl = "sasl_mechanism" in options
    with answering(settings), credentials.causes("kafka.net", but=KafkaTimeoutError) as causes:
        for left in reversed(range(tries or TRIES)):
            try:
                return make(*arguments, **options, bootstrap_timeout_ms=TRY_MS)
            except KafkaError:
                if not left or (sasl and _refusal(causes.errors)):
                    raise
    raise AssertionError("the last try returns or raises")


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn an error of Kafka's client, at the start or later, into a `Stop` that names the setting."""
    with credentials.causes("kafka.net", but=KafkaTimeoutError) as causes:
        try:
            yield
        except KafkaError as error:
            raise Stop(_why(settings, [error, *causes.errors])) from None


def _why(settings: Settings, errors: Sequence[Exception]) -> str:
    """The sentence for these errors: the first was raised, the others were logged as its causes and say more."""
    sasl = settings.kafka_protocol.startswith("SASL")
    see = "SEGMENTER_KAFKA_PROTOCOL, SEGMENTER_KAFKA_MECHANISM, SEGMENTER_KAFKA_USER and SEGMENTER_KAFKA_PASSWORD"
    refusal = _refusal(errors)
    if refusal is not None and sasl:
        return f"Kafka at {settings.brokers} refuses the login ({refusal}); see {see}"
    see = "SEGMENTER_BROKERS"
    if settings.kafka_protocol != "PLAINTEXT":
        see += ", SEGMENTER_KAFKA_PROTOCOL and the certificates"
    # The newest error with an answer in it says more than that a port refused the connection.
    cause = next((error for error in reversed(errors[1:]) if _REFUSED_PORT not in str(error)), errors[-1])
    return f"Kafka at {settings.brokers} does not answer ({cause}); see {see}"


def _refusal(errors: Sequence[Exception]) -> Exception | None:
    """The newest error by which Kafka refused the login; ``None``: it did not.

    After a refusal Kafka closes the connection, and over TLS kafka-python 3.0 may report only the closing.
    """
    refused = [error for error in errors if isinstance(error, _REFUSALS)]
    hung_up = [error for error in errors if isinstance(error, KafkaConnectionError) and _HUNG_UP in str(error)]
    return next(reversed(refused or hung_up), None)


# Attempts to connect, and how long each may take.
TRIES, TRY_MS = 5, 2_000
_REFUSED_PORT = "ECONNREFUSED"
_HUNG_UP = "socket disconnected"
_REFUSALS = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError)
