"""Settings that do not fit together, although each of them is valid by itself.

They would silently have no effect, or fail later with an error that is less clear.

See also: `streams.settings.model`, which reports them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

from streams.settings import tokens
from streams.settings.addresses import host_of, is_loopback
from streams.settings.fields import SettingFields
from streams.settings.redis_urls import redis_urls


def conflict(settings: SettingFields) -> str | None:
    """A sentence about the first conflict, which begins with a setting's name; ``None`` if all settings fit."""
    return next((sentence for is_wrong, sentence in _conflicts(settings) if is_wrong), None)


def _conflicts(settings: SettingFields) -> list[tuple[bool, str]]:
    """Every possible conflict: whether it is the case, and the sentence about it."""
    return [*_of_kafka(settings), *_of_redis(settings), *_of_http(settings)]


def _of_kafka(settings: SettingFields) -> list[tuple[bool, str]]:
    sasl, tls = settings.kafka_protocol.startswith("SASL"), settings.kafka_protocol.endswith("SSL")
    files = (settings.kafka_ca_file, settings.kafka_certificate_file, settings.kafka_key_file)
    no_login = not settings.kafka_user or not _given(settings.kafka_password)
    return [
        (sasl and no_login, "KAFKA_PROTOCOL: SASL needs SEGMENTER_KAFKA_USER and SEGMENTER_KAFKA_PASSWORD"),
        (not sasl and not no_login, "KAFKA_PASSWORD: needs SEGMENTER_KAFKA_PROTOCOL SASL_SSL (or SASL_PLAINTEXT)"),
        (not tls and any(files), "KAFKA_…_FILE: needs SEGMENTER_KAFKA_PROTOCOL SSL or SASL_SSL"),
        (
            bool(settings.kafka_key_file and not settings.kafka_certificate_file),
            "KAFKA_KEY_FILE: needs SEGMENTER_KAFKA_CERTIFICATE_FILE",
        ),
    ]


def _of_redis(settings: SettingFields) -> list[tuple[bool, str]]:
    # A cluster has several hosts, and database 0 alone; a socket of this machine is no cluster.
    urls = redis_urls(settings.redis)
    url = urlsplit(urls[0])
    files = (settings.redis_ca_file, settings.redis_certificate_file, settings.redis_key_file)
    one_place = url.scheme != "unix" and url.path in ("", "/", "/0") and "db=" not in url.query
    return [
        (url.scheme != "rediss" and any(files), "REDIS_…_FILE: needs a rediss:// URL in SEGMENTER_REDIS"),
        (
            bool(settings.redis_key_file and not settings.redis_certificate_file),
            "REDIS_KEY_FILE: needs SEGMENTER_REDIS_CERTIFICATE_FILE",
        ),
        (
            url.password is not None and _given(settings.redis_password),
            "REDIS_PASSWORD: the URL in SEGMENTER_REDIS has a password, too",
        ),
        (len(urls) > 1 and not settings.redis_cluster, "REDIS: several hosts need SEGMENTER_REDIS_CLUSTER=true"),
        (settings.redis_cluster and not one_place, "REDIS: a cluster is named by hosts, and has database 0 alone"),
    ]


def _of_http(settings: SettingFields) -> list[tuple[bool, str]]:
    is_ops_exposed = not _is_local(settings.ops_http) or bool(settings.ops_proxies)
    return [
        (
            bool(settings.http_key_file and not settings.http_certificate_file),
            "HTTP_KEY_FILE: needs SEGMENTER_HTTP_CERTIFICATE_FILE",
        ),
        *_of_token("HTTP_TOKEN", settings.http_token, is_exposed=not _is_local(settings.http)),
        *_of_token("OPS_TOKEN", settings.ops_token, is_exposed=is_ops_exposed),
    ]


def _of_token(name: str, token: SecretStr | None, *, is_exposed: bool) -> list[tuple[bool, str]]:
    if token is None:
        return []
    advice = "others than this machine reach the port; draw one: head -c 24 /dev/urandom | base64"
    return [
        (not _given(token), f"{name}: is empty; leave it out, or set one"),
        (is_exposed and tokens.is_weak(token.get_secret_value()), f"{name}: can be guessed, and {advice}"),
    ]


def _is_local(address: str) -> bool:
    return address == "none" or is_loopback(host_of(address))


def _given(secret: SecretStr | None) -> bool:
    return secret is not None and bool(secret.get_secret_value())
