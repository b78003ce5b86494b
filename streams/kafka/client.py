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

from streams import credentials
from streams.settings import Settings
from streams.stop import Stop


def connect(
    settings: Settings, make: Callable[..., Any], *arguments: Any, tries: int | None = None, **options: Any
) -> Any:
    """A client of kafka-python, connected. Raises `Stop`. ``tries``: of `TRY_MS` each; by default `TRIES`.

    It would try a wrong password again and again until its time is up, so its time is short and it is made again
    only where the next try may end otherwise.
    """
    options |= credentials.kafka(settings)
    sasl = "sasl_mechanism" in options
    with answering(settings), credentials.causes("kafka.net", but=KafkaTimeoutError) as causes:
        for left in reversed(range(tries or TRIES)):
            try:
                return make(*arguments, **options, bootstrap_timeout_ms=TRY_MS)
            except KafkaError:
                if not left or (sasl and _refusal(causes.seen)):
                    raise
    raise AssertionError("the last try returns or raises")


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """What Kafka's client raises here, at the start or later, is a `Stop` that names the setting."""
    with credentials.causes("kafka.net", but=KafkaTimeoutError) as causes:
        try:
            yield
        except KafkaError as error:
            raise Stop(_why(settings, [error, *causes.seen])) from None


def _why(settings: Settings, errors: Sequence[Exception]) -> str:
    """The first is what was raised, which says less than its causes."""
    sasl = settings.kafka_protocol.startswith("SASL")
    see = "SEGMENTER_KAFKA_PROTOCOL, SEGMENTER_KAFKA_MECHANISM, SEGMENTER_KAFKA_USER and SEGMENTER_KAFKA_PASSWORD"
    if (refusal := _refusal(errors)) is not None and sasl:
        return f"Kafka at {settings.brokers} does not let us in ({refusal}); see {see}"
    see = "SEGMENTER_BROKERS"
    if settings.kafka_protocol != "PLAINTEXT":
        see += ", SEGMENTER_KAFKA_PROTOCOL and the certificates"
    # What somebody answered says more than that nobody was there.
    told = next((error for error in reversed(errors[1:]) if _NOBODY not in str(error)), errors[-1])
    return f"Kafka at {settings.brokers} does not answer ({told}); see {see}"


def _refusal(errors: Sequence[Exception]) -> Exception | None:
    """The newest that says that the password is wrong; others may follow from it.

    Kafka says so and hangs up, and over TLS kafka-python 3.0 may see no more than that.
    """
    said = [error for error in errors if isinstance(error, _REFUSALS)]
    hung_up = [error for error in errors if isinstance(error, KafkaConnectionError) and _HUNG_UP in str(error)]
    return next(reversed(said or hung_up), None)


# Kafka is waited for so often for so long.
TRIES, TRY_MS = 5, 2_000
_NOBODY = "ECONNREFUSED"
_HUNG_UP = "socket disconnected"
_REFUSALS = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError)
