"""Settings of every process, read once from the environment (``SEGMENTER_…``) or from files of secrets.

The one rule: a setting has its unit in its name and its default beside it; no other module reads the
environment (but for fail points, which are for tests). A secret is a `SecretStr`: it is never shown, and
`streams.credentials` alone opens it. Long because every setting stands here, with its description.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import DirectoryPath, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from streams.http import tokens
from streams.http.addresses import is_loopback, networks

PREFIX = "SEGMENTER_"
_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[^\s,:\[\]]+):\d{1,5}"
# Variables which `streams.failpoints` and the tests read.
_OF_TESTS = {f"{PREFIX}FAIL_POINT", f"{PREFIX}TEST_REDIS"}
# Where Docker and Compose put the secrets of a container.
_SECRETS_DIR = Path("/run/secrets")


class Settings(BaseSettings):
    """All settings; see each line. Environment: the name in capitals after ``SEGMENTER_``.

    A file in the secrets folder gives the setting with the file's name (``segmenter_kafka_password``);
    the environment takes precedence over it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        # An empty variable counts as absent: in files of variables a setting without a value is written so.
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    brokers: str = Field(
        "127.0.0.1:9092",
        description="Kafka bootstrap servers, host:port,host:port",
        pattern=rf"^{_ADDRESS}(,{_ADDRESS})*$",
    )
    redis: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis URL; rediss:// for TLS; for a cluster host:port,host:port of any of its nodes",
    )
    redis_cluster: bool = Field(False, description="Redis is a Redis Cluster")
    redis_prefix: str = Field("segmenter:", description="prefix of every Redis key", pattern=r"^[^{}]*$")
    definitions: Path | None = Field(None, description="segments file; default: the built-in segments")
    triggers: Path | None = Field(None, description="triggers file, for `triggers`")
    topic_prefix: str = Field("", description="prefix of every topic name")
    group: str = Field("segmenter", description="Kafka consumer group; part of what the state belongs to")
    partitions: int = Field(4, ge=1, le=10_000, description="partitions of every topic that `topics` creates")
    replication: int = Field(1, ge=1, le=15, description="replicas of every topic that `topics` creates")

    secrets_dir: DirectoryPath | None = Field(
        None, description=f"folder with one file per secret; default: {_SECRETS_DIR}, if it exists"
    )
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka's security.protocol"
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="Kafka's sasl.mechanism"
    )
    kafka_user: str | None = Field(None, description="SASL user name")
    kafka_password: SecretStr | None = Field(None, description="SASL password (secret)")
    kafka_ca_file: Path | None = Field(
        None, description="PEM file of the CA that signs the brokers' certificates; default: the system's CAs"
    )
    kafka_certificate_file: Path | None = Field(
        None, description="PEM file of the client certificate, for brokers that require one"
    )
    kafka_key_file: Path | None = Field(
        None, description="PEM file of the client certificate's key; default: the key is in the certificate's file"
    )
    kafka_key_password: SecretStr | None = Field(None, description="password of an encrypted key (secret)")
    redis_password: SecretStr | None = Field(None, description="Redis password, if the Redis URL has none (secret)")
    redis_ca_file: Path | None = Field(
        None, description="PEM file of the CA that signs the certificate of Redis; default: the system's CAs"
    )
    redis_certificate_file: Path | None = Field(
        None, description="PEM file of the client certificate, for a Redis that requires one"
    )
    redis_key_file: Path | None = Field(
        None, description="PEM file of its key, not encrypted; default: the key is in the certificate's file"
    )

    log_key: SecretStr | None = Field(
        None,
        description="key of the pseudonyms which customers have in the log; default: a random one at each "
        "start (secret)",
    )

    batch_max: int = Field(1_000, ge=1, le=10_000, description="maximum records of one step, which is saved at once")
    in_hand_max: int = Field(
        1_000, ge=1, description="maximum records of one input in memory; at more the input is paused"
    )
    due_slice: int = Field(100, ge=1, le=10_000, description="maximum customers whose due times fire in one step")
    fetch_wait_ms: int = Field(
        100, ge=1, le=5_000, description="maximum time a broker waits before it answers a fetch with no records"
    )
    languages: str = Field(
        "en,fa",
        description="languages of the sentence in each change: en, fa, en,fa or none",
        pattern=r"^(none|(en|fa)(,(en|fa))*)$",
    )
    grace_ms: int = Field(1_000, ge=0, description="how far the clock of a partition stays behind the wall clock")
    # At most 90, as Faust itself waits for a response for 90 s.
    session_timeout_s: float = Field(
        10.0, gt=0, le=90, description="Kafka removes a worker that is silent for so long from the group; 90 at most"
    )
    instance_id: str | None = Field(None, description="static group membership (KIP-345)")

    dead_letter_share: float = Field(
        0.5, gt=0, le=1, description="maximum share of dead letters; above it the worker stops"
    )
    dead_letter_window: int = Field(10_000, ge=1, description="number of records over which the share is computed")
    partitioner: Literal["murmur2", "none"] = Field(
        "murmur2", description="check that keys are partitioned by Kafka's default partitioner; none: no check"
    )
    broker: Literal["kafka", "tansu"] = Field(
        "kafka",
        description="tansu is for trials: it has no idempotent producer and no exact end offsets, so a topic "
        "that was deleted and created again is not noticed",
    )
    processing_guarantee: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="no effect on Apache Kafka, where every change is published exactly once with either value; "
        "tansu cannot do so and refuses exactly_once",
    )
    loop: Literal["asyncio", "uvloop"] = Field(
        "asyncio",
        description="event loop; uvloop has a lower latency under a steady load, its failures are less well known",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="log format: a line for each event, for people (text) or programs (json)"
    )
    http: str = Field(
        "127.0.0.1:9101",
        description="address where a worker serves /metrics, /health and /ready; if the port is taken, "
        "the next free one; port 0: any free port; none: no metrics",
        pattern=rf"^(none|{_ADDRESS})$",
    )
    http_token: SecretStr | None = Field(
        None,
        description="token for a worker's /metrics and the details of /ready; `ops` sends it; "
        "default: no token is needed (secret)",
    )
    http_certificate_file: Path | None = Field(
        None, description="PEM file of a worker's certificate, for TLS on that port; default: plain HTTP"
    )
    http_key_file: Path | None = Field(
        None, description="PEM file of its key, not encrypted; default: the key is in the certificate's file"
    )
    http_ca_file: Path | None = Field(
        None, description="PEM file of the CA that signs workers' certificates, so `ops` uses TLS; default: plain HTTP"
    )
    ready_behind_s: float = Field(10.0, gt=0, description="/ready returns 503 while any partition is further behind")
    ops_http: str = Field(
        "127.0.0.1:8090", description="address where `ops` serves the page and the API", pattern=rf"^{_ADDRESS}$"
    )
    ops_token: SecretStr | None = Field(
        None,
        description="token for the page and the API of `ops`; default, on a loopback address only: "
        "a random one at each start (secret)",
    )
    ops_workers: str = Field(
        "127.0.0.1:9101-9109",
        description="addresses of the workers for `ops`: host:port,host:port, or a range of ports",
        pattern=rf"^{_ADDRESS}(-\d{{1,5}})?(,{_ADDRESS}(-\d{{1,5}})?)*$",
    )
    ops_requests: float = Field(
        500.0, gt=0, description="maximum requests per second without the token which `ops` accepts from one address"
    )
    ops_proxies: str = Field(
        "",
        description="trusted proxies of `ops`, addresses or networks separated by commas: their "
        "X-Forwarded-For is used",
    )
    stuck_s: float = Field(30.0, gt=0, description="stop when the event loop is blocked for so long")
    unread_s: float = Field(
        60.0,
        gt=0,
        description="stop when unread records are not fetched for so long; warn when Kafka does not answer for so long",
    )

    @field_validator("processing_guarantee")
    @classmethod
    def _needs_transactions(cls, guarantee: str, info: ValidationInfo) -> str:
        if guarantee == "exactly_once" and info.data.get("broker") == "tansu":
            raise ValueError("tansu has no transactions; use Apache Kafka, or at_least_once")
        return guarantee

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # one of our own, as its folder is a setting
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = Path(os.environ.get(f"{PREFIX}SECRETS_DIR") or _SECRETS_DIR)
        # A folder that was named and does not exist is reported by the check of its own field.
        secrets = (SecretsSettingsSource(settings_cls, folder),) if folder.is_dir() else ()
        return (init_settings, env_settings, *secrets)

    @field_validator("ops_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        try:
            is_wrong = any(network.prefixlen == 0 for network in networks(proxies))  # a network of all addresses
        except ValueError:
            is_wrong = True
        if is_wrong:
            raise ValueError("should be addresses or networks of proxies, such as 10.0.0.7,10.1.0.0/16")
        return proxies

    @field_validator("redis")
    @classmethod
    def _is_url(cls, redis: SecretStr) -> SecretStr:
        if not all(map(_is_redis_url, redis_urls(redis))):
            raise ValueError(
                "should be a URL such as redis://127.0.0.1:6379/0 or rediss://user@host:6379/0; "
                "in a password / ? # @ % are written %2F %3F %23 %40 %25"
            )
        return redis

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = next((sentence for is_wrong, sentence in _misfits(self) if is_wrong), None)
        if wrong is not None:
            raise ValueError(wrong)
        return self


def redis_urls(redis: SecretStr) -> list[str]:
    """The URLs of the hosts that a Redis URL lists, with the same user, password and path."""
    scheme, separator, rest = redis.get_secret_value().partition("://")
    authority, slash, path = rest.partition("/")
    user, user_sign, hosts = authority.rpartition("@")
    return [f"{scheme}{separator}{user}{user_sign}{host}{slash}{path}" for host in hosts.split(",")]


def _is_redis_url(text: str) -> bool:
    """Whether a text is a Redis URL, and no unescaped character of a password has cut it short.

    The rest of such a password would be taken for a part of the address, and shown in errors.
    """
    try:
        url = urlsplit(text)
        if url.scheme == "unix":
            return True
        named = url.scheme in ("redis", "rediss") and bool(url.hostname) and url.port != 0
    except ValueError:  # the error is not shown, as its text may contain a part of a password
        return False
    return named and not url.fragment and "@" not in url.query and re.fullmatch(r"(/\d*)?", url.path) is not None


def _misfits(settings: Settings) -> list[tuple[bool, str]]:
    """Combinations of settings that would silently have no effect, or fail later with a less clear error.

    Each with whether it is the case, and the sentence about it.
    """
    return [*_of_kafka(settings), *_of_redis(settings), *_of_http(settings)]


def _of_kafka(settings: Settings) -> list[tuple[bool, str]]:
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


def _of_redis(settings: Settings) -> list[tuple[bool, str]]:
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


def _of_http(settings: Settings) -> list[tuple[bool, str]]:
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


def host_of(address: str) -> str:
    """The host of HOST:PORT, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")


def _given(secret: SecretStr | None) -> bool:
    return secret is not None and bool(secret.get_secret_value())


def of_triggers(settings: Settings) -> Settings:
    """The settings of the triggers process, which has a group and Redis keys of its own."""
    return settings.model_copy(
        update={"group": f"{settings.group}-triggers", "redis_prefix": f"{settings.redis_prefix}triggers:"}
    )


def unknown_variables() -> list[str]:
    """Variables of the environment that look like settings and are none: they have no effect."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _OF_TESTS
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in names)


def complaints(error: ValidationError) -> list[str]:
    """A sentence for each setting that is wrong; a value that is or may contain a secret is not repeated."""
    sentences = []
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:  # of a combination of settings, which begins with the name itself
            sentences.append(f"{PREFIX}{message}")
            continue
        name, given = str(problem["loc"][0]), problem["input"]
        field = Settings.model_fields.get(name)
        is_secret = field is None or "SecretStr" in str(field.annotation) or "@" in str(given)
        value = "" if is_secret else f", here is {given!r}"
        sentences.append(f"{PREFIX}{name.upper()}: {message}{value}")
    return sentences
