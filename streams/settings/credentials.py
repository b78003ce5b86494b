"""Credentials for Kafka, Redis and HTTP: TLS contexts, passwords and tokens, as the clients take them.

The one rule: a secret is opened here alone, on its way into the client that uses it. An error names
the setting, never its value.

See also: `streams.settings` (the settings), ``docs/operations/rights.md`` (what each user needs).
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
# At level DEBUG these log the bytes on the wire: the password of PLAIN, and whole records.
WIRE_LOGGERS = ("kafka", "aiokafka.conn", "aiokafka.producer.producer")


class _Unshown(str):
    """A text that a client can use, but that is not shown where a client's options are logged."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def kafka(settings: Settings) -> dict[str, Any]:
    """The options that kafka-python and aiokafka have in common. Raises `Stop` for a file that cannot be used."""
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
    """The options of redis-py in addition to its URL. Raises `Stop` for a file that cannot be used."""
    options: dict[str, Any] = {}
    if settings.redis_password is not None:
        options["password"] = _opened(settings.redis_password)
    files = settings.redis_ca_file, settings.redis_certificate_file, settings.redis_key_file
    if any(files):
        _context("REDIS", *files, None)  # checks that the files can be used; the client makes a context of its own
        names = "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"
        options |= {name: str(file) for name, file in zip(names, files, strict=True) if file is not None}
    return options


def postgres(settings: Settings) -> str:
    """The connection string of `sink`; empty where libpq's own variables say all."""
    return _opened(settings.postgres)


def http_token(settings: Settings) -> str | None:
    """The token of the workers' port, for the process that serves it and for `ops`, which sends it."""
    return None if settings.http_token is None else settings.http_token.get_secret_value()


def ops_token(settings: Settings) -> str | None:
    """The token of `ops`; ``None`` if it is not set."""
    return None if settings.ops_token is None else settings.ops_token.get_secret_value()


def http_server(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context of a worker's port; ``None`` without a certificate. Raises `Stop` for a file that is no use."""
    if settings.http_certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load("HTTP", context, settings.http_certificate_file, settings.http_key_file, None)
    return context


def http_client(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context with which `ops` connects to workers; ``None`` for plain HTTP. Raises `Stop` as `http_server`."""
    if settings.http_ca_file is None:
        return None
    return _context("HTTP", settings.http_ca_file, None, None, None)


def _opened(secret: SecretStr | None) -> _Unshown:
    return _Unshown("" if secret is None else secret.get_secret_value())


def _context(
    name: str, ca: Path | None, certificate: Path | None, key: Path | None, password: SecretStr | None
) -> ssl.SSLContext:
    """A context of a client. By Python's defaults it checks host names, and needs TLS 1.2 at least."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise Stop(f"SEGMENTER_{name}_CA_FILE cannot be used: {ca} ({_why(error)})") from None
    if certificate is not None:
        _load(name, context, certificate, key, password)
    return context


def _load(name: str, context: ssl.SSLContext, certificate: Path, key: Path | None, password: SecretStr | None) -> None:
    """Load this process's own certificate. Raises `Stop` for a file that cannot be used."""
    try:
        # Always with a password: without one OpenSSL would prompt for it at the terminal.
        context.load_cert_chain(certificate, key, lambda: _opened(password))
    except (OSError, ValueError) as error:
        raise Stop(
            f"SEGMENTER_{name}_CERTIFICATE_FILE, its key or the key's password cannot be used: "
            f"{certificate}{f', {key}' if key else ''} ({_why(error)})"
        ) from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


class Causes(logging.Handler):
    """A log handler that collects exceptions from the arguments of messages, the newest last; not those of one class.

    ``but``: that class.
    """

    def __init__(self, but: type[Exception]) -> None:
        super().__init__(logging.WARNING)
        self._but = but
        self.errors: deque[Exception] = deque(maxlen=_CAUSES_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(record.args, tuple):
            return
        for argument in record.args:
            if isinstance(argument, Exception) and not isinstance(argument, self._but):
                self.errors.append(argument)


@contextmanager
def causes(logger: str, but: type[Exception]) -> Iterator[Causes]:
    """Collect the exceptions that a client logs meanwhile.

    kafka-python raises only that its time is up, and logs the cause.
    """
    handler = Causes(but)
    logging.getLogger(logger).addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger(logger).removeHandler(handler)
