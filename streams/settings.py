"""Settings of every process, read once from the environment (``SEGMENTER_…``).

The one rule: a setting has its unit in its name and its default beside it; nothing else in the
project reads the environment (but for fail points, which are for tests).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[^\s,:\[\]]+):\d{1,5}"


class Settings(BaseSettings):
    """All settings; see each line. Environment: the name in capitals after ``SEGMENTER_``."""

    # An empty variable is no value: files of variables write a setting that is left alone so.
    model_config = SettingsConfigDict(env_prefix="SEGMENTER_", frozen=True, extra="ignore", env_ignore_empty=True)

    brokers: str = Field(
        "127.0.0.1:9092",
        description="Kafka bootstrap servers, host:port,host:port",
        pattern=rf"^{_ADDRESS}(,{_ADDRESS})*$",
    )
    redis: str = Field("redis://127.0.0.1:6379/0", description="Redis URL", pattern=r"^(rediss?|unix)://")
    redis_prefix: str = Field("segmenter:", description="before every Redis key", pattern=r"^[^{}]*$")
    definitions: Path | None = Field(None, description="segments file; none: the built-in segments")
    topic_prefix: str = Field("", description="before every topic name")
    group: str = Field("segmenter", description="Kafka consumer group; part of what the state belongs to")
    partitions: int = Field(4, ge=1, le=10_000, description="partitions of every topic that `topics` creates")
    replication: int = Field(1, ge=1, le=15, description="replicas of every topic that `topics` creates")

    batch_max: int = Field(1_000, ge=1, le=10_000, description="records of one step and one save")
    in_hand_max: int = Field(4_000, ge=1, description="records of one input in memory before it is paused")
    due_slice: int = Field(500, ge=1, le=10_000, description="customers whose due times fire in one step")
    fetch_wait_ms: int = Field(100, ge=1, le=5_000, description="how long the broker may hold an empty fetch")
    languages: str = Field(
        "en,fa",
        description="languages of the sentence in each change: en, fa, en,fa or none (15 µs each)",
        pattern=r"^(none|(en|fa)(,(en|fa))*)$",
    )
    grace_ms: int = Field(1_000, ge=0, description="the clock stays so far behind the wall clock")
    session_timeout_s: float = Field(10.0, gt=0, description="Kafka drops a silent worker after it")
    instance_id: str | None = Field(None, description="static group membership (KIP-345)")

    dead_letter_share: float = Field(0.5, gt=0, le=1, description="stop above this share of dead letters")
    dead_letter_window: int = Field(10_000, ge=1, description="records over which the share is taken")
    partitioner: Literal["murmur2", "none"] = Field("murmur2", description="check keys against Kafka's default")
    broker: Literal["kafka", "tansu"] = Field(
        "kafka",
        description="tansu, for trying out: no idempotent producer, and its end offsets are not exact, so that "
        "a topic created anew goes unnoticed",
    )
    processing_guarantee: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="exactly_once: changes are published in transactions, for consumers that read_committed",
    )
    stuck_s: float = Field(30.0, gt=0, description="stop when the event loop has not turned for so long")
    unread_s: float = Field(60.0, gt=0, description="stop when unread records are not fetched for so long")

    @field_validator("processing_guarantee")
    @classmethod
    def _needs_transactions(cls, guarantee: str, info: ValidationInfo) -> str:
        if guarantee == "exactly_once" and info.data.get("broker") == "tansu":
            raise ValueError("tansu has no transactions; use Apache Kafka, or at_least_once")
        return guarantee
