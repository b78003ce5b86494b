"""Who we are to Kafka and to Redis: TLS and passwords, as their clients take them.

The one rule: a secret is opened here alone, on its way into the client that shows it. What goes
wrong is said by the name of a setting, never by its value.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from streams.settings import Settings
from streams.stop import Stop

_CAUSES_MAX = 32
# At level DEBUG these write out what goes over the wire: the password of PLAIN, and whole records.
WIRE_LOGGERS = ("kafka", "aiokafka.conn", "aiokafka.producer.producer")


class _Unshown(str):
    """A text that a client may use, and that does not show where options are written out whole."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def kafka(settings: Settings) -> dict[str, Any]:
    """Options that kafka-python and aiokafka have in common. Raises `Stop` for a file that cannot be used."""
    for name in WIRE_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))
    options: dict[str, Any] = {
        "bootstrap_servers": settings.brokers.split(","),
        "security_protocol": settings.kafka_protocol,
    }
    if settings.kafka_protocol.endswith("SSL"):
        options["ssl_context"] = _context(
            "KAFKA",
            settings.kafka_ca_file,
            settings.kafka_certificate_file,
            settings.kafka_key_file,
            settings.kafka_key_password,
        )
    if settings.kafka_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_mechanism
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = _opened(settings.kafka_password)
    return options


def redis(settings: Settings) -> dict[str, Any]:
    """Options of redis-py beside its URL. Raises `Stop` for a file that cannot be used."""
    options: dict[str, Any] = {}
    if settings.redis_password is not None:
        options["password"] = _opened(settings.redis_password)
    files = settings.redis_ca_file, settings.redis_certificate_file, settings.redis_key_file
    if any(files):
        _context("REDIS", *files, None)  # to see that they can be used: the client makes its own
        names = "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"
        options |= {name: str(file) for name, file in zip(names, files, strict=True) if file is not None}
    return options


def http_token(settings: Settings) -> str | None:
    """The token of the workers' port, for the process that serves it and for `ops`, which sends it."""
    return None if settings.http_token is None else settings.http_token.get_secret_value()


def ops_token(settings: Settings) -> str | None:
    """The token of `ops`, where one is set."""
    return None if settings.ops_token is None else settings.ops_token.get_secret_value()


def http_server(settings: Settings) -> ssl.SSLContext | None:
    """TLS of a worker's port, where it has a certificate. Raises `Stop` for a file that cannot be used."""
    if settings.http_certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load("HTTP", context, settings.http_certificate_file, settings.http_key_file, None)
    return context


def http_client(settings: Settings) -> ssl.SSLContext | None:
    """TLS with which `ops` asks workers, where it is set. Raises `Stop` for a file that cannot be used."""
    if settings.http_ca_file is None:
        return None
    return _context("HTTP", settings.http_ca_file, None, None, None)


def _opened(secret: SecretStr | None) -> _Unshown:
    return _Unshown("" if secret is None else secret.get_secret_value())


def _context(
    name: str, ca: Path | None, certificate: Path | None, key: Path | None, password: SecretStr | None
) -> ssl.SSLContext:
    """Names of hosts are checked, TLS 1.2 is the least: Python's defaults."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise Stop(f"SEGMENTER_{name}_CA_FILE cannot be used: {ca} ({_why(error)})") from None
    if certificate is not None:
        _load(name, context, certificate, key, password)
    return context


def _load(name: str, context: ssl.SSLContext, certificate: Path, key: Path | None, password: SecretStr | None) -> None:
    """Load our own certificate. Raises `Stop` for a file that cannot be used."""
    try:
        # Always with a password: without one OpenSSL would ask for it at the terminal.
        context.load_cert_chain(certificate, key, lambda: _opened(password))
    except (OSError, ValueError) as error:
        raise Stop(
            f"SEGMENTER_{name}_CERTIFICATE_FILE, its key or the key's password cannot be used: "
            f"{certificate}{f', {key}' if key else ''} ({_why(error)})"
        ) from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


class Causes(logging.Handler):
    """The newest exceptions that a logger was given, the newest last, but for those of one kind."""

    def __init__(self, but: type[Exception]) -> None:
        super().__init__(logging.WARNING)
        self._but = but
        self.seen: deque[Exception] = deque(maxlen=_CAUSES_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        told = record.args if isinstance(record.args, tuple) else ()
        self.seen += (one for one in told if isinstance(one, Exception) and not isinstance(one, self._but))


@contextmanager
def causes(logger: str, but: type[Exception]) -> Iterator[Causes]:
    """What a client's logger is told meanwhile: kafka-python raises that it waited in vain, and logs for what."""
    kept = Causes(but)
    logging.getLogger(logger).addHandler(kept)
    try:
        yield kept
    finally:
        logging.getLogger(logger).removeHandler(kept)
