"""Every setting, with its default, its bounds and its description.

A setting has its unit in its name and its default beside it. A secret is a `SecretStr`: it is never
shown, and `streams.settings.credentials` alone opens it.

See also: `streams.settings.conflicts` (what two settings must not be together), `streams.settings.model` (where the
values come from).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import DirectoryPath, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.settings.addresses import networks
from streams.settings.redis_urls import is_redis_url, redis_urls

PREFIX = "SEGMENTER_"
# Where Docker and Compose put the secrets of a container.
SECRETS_DIR = Path("/run/secrets")
_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[^\s,:\[\]]+):\d{1,5}"


class SettingFields(BaseSettings):
    """The fields of `Settings`, each checked by itself."""

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
        None, description=f"folder with one file per secret; default: {SECRETS_DIR}, if it exists"
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
    ops_lift: Path | None = Field(
        None, description="file of `segmenter lift --save` which the page of `ops` shows; default: none"
    )
    gateway: Path | None = Field(None, description="gateway file, for `gateway`: its write keys")
    gateway_http: str = Field(
        "127.0.0.1:8080", description="address where `gateway` takes events", pattern=rf"^{_ADDRESS}$"
    )
    gateway_proxies: str = Field(
        "",
        description="trusted proxies of `gateway`, addresses or networks separated by commas: their "
        "X-Forwarded-For is used",
    )
    gateway_countries: Path | None = Field(
        None, description="database of addresses (MMDB), by which `gateway` adds the country; default: none"
    )
    postgres: SecretStr | None = Field(
        None,
        description="PostgreSQL of `sink`, as a URL or key=value pairs; default: libpq's own variables, such as PGHOST "
        "and PGPASSFILE (secret)",
    )
    postgres_schema: str = Field(
        "segmenter", description="schema of the tables that `sink` creates", pattern=r"^[a-z_][a-z0-9_]{0,62}$"
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

    @field_validator("ops_proxies", "gateway_proxies")
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
        if not all(map(is_redis_url, redis_urls(redis))):
            raise ValueError(
                "should be a URL such as redis://127.0.0.1:6379/0 or rediss://user@host:6379/0; "
                "in a password / ? # @ % are written %2F %3F %23 %40 %25"
            )
        return redis
