"""The checks of ``segmenter doctor`` on Redis: whether it answers, rights, and whether it keeps its data.

See also: `streams.cli.doctor`, and `streams.state.redis_probe`, which asks Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from streams.cli.findings import Finding, ok, problem, warning
from streams.errors import ClaimRefused, StoreFailed
from streams.kafka.admin import ClusterTopics
from streams.rights.process_rights import Needs
from streams.settings import Settings, redis_urls
from streams.state import redis_probe
from streams.state.contract import Identity, check_identity
from streams.state.redis import CLOCK_SKEW_MAX_MS
from streams.state.redis_probe import RedisReport, RedisServer
from streams.stop import RIGHTS, Stop

_LEAST = (6, 2)
_SLOW_MS = 20
_FULL = 0.9


def findings(given: Settings, own: Settings, needs: Needs, topics: ClusterTopics | None) -> Iterator[Finding]:
    """The findings on Redis. ``own``: settings with the keys of the process itself; ``given``: with the worker's."""
    where = _address(own)
    reads = given.redis_prefix if needs.looks_at else None
    try:
        report = asyncio.run(redis_probe.examine(own, needs.commands, Identity.__struct_fields__, reads))
    except StoreFailed as error:
        see = "" if "see SEGMENTER_" in str(error) else "; see SEGMENTER_REDIS"
        yield problem("Redis", f"Redis at {where} cannot be used: {error}{see}")
        return
    except Stop as error:
        yield problem("Redis", str(error))
        return
    for server in report.servers:
        yield from _server(own, server, where)
    yield from _rights(report)
    yield from _identity(own, report, topics)


def _address(settings: Settings) -> str:
    """The host and port, or the path of a socket, without user and password."""
    urls = [urlsplit(url) for url in redis_urls(settings.redis)]
    return ",".join(url.path if url.scheme == "unix" else f"{url.hostname}:{url.port or 6379}" for url in urls)


def _server(settings: Settings, server: RedisServer, where: str) -> Iterator[Finding]:
    """Findings about one server. Of its kind and speed only the first problem is shown, as it explains the others."""
    info = server.info
    product = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version"))
    text = f"{product} {version} at {where}, {server.latency_ms:.1f} ms"
    if tuple(map(int, version.split(".")[:2])) < _LEAST:
        yield problem("Redis", f"{text}; it is too old: use Redis 6.2 or later, or Valkey")
    elif info.get("cluster_enabled") and not settings.redis_cluster:
        yield problem("Redis", f"{text}; it is a Redis Cluster: set SEGMENTER_REDIS_CLUSTER=true")
    elif info.get("role") == "slave":
        yield problem("Redis", f"{text}; it is a replica, which takes no writes: name its primary in SEGMENTER_REDIS")
    elif server.latency_ms > _SLOW_MS:
        yield warning("Redis", f"{text}; each step of a worker waits for it: run Redis nearer to the workers")
    else:
        yield ok("Redis", text)
    yield from _persistence(info)
    yield from _memory(info)
    yield _clock(server)


def _persistence(info: Any) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield warning(
            "Redis data", "after a crash Redis has lost its newest writes: set appendonly yes and appendfsync everysec"
        )
    elif info.get("aof_last_write_status") != "ok":
        yield problem("Redis data", "Redis cannot write its append-only file: see its log and the space on its disk")
    else:
        yield ok("Redis data", "appendonly is yes")


def _memory(info: Any) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if policy != "noeviction":
        yield problem("Redis memory", f"Redis may evict customers ({policy}): set maxmemory-policy noeviction")
    elif limit and used > _FULL * limit:
        share = f"{used / limit:.0%} of maxmemory ({limit:,} bytes) are used"
        yield warning("Redis memory", f"{share}; at 100% the worker stops: raise maxmemory")
    else:
        yield ok("Redis memory", f"maxmemory-policy is noeviction, {used:,} bytes are used, {limit or 'no'} limit")


def _clock(server: RedisServer) -> Finding:
    skew_ms = abs(server.skew_ms)
    if skew_ms > CLOCK_SKEW_MAX_MS:
        side = "behind" if server.skew_ms > 0 else "ahead of"
        return problem(
            "clocks",
            f"the clock of this machine is {skew_ms:,} ms {side} that of Redis, {CLOCK_SKEW_MAX_MS:,} ms is the most: "
            "set both by NTP",
        )
    return ok("clocks", f"this machine and Redis differ by {skew_ms} ms at least (Kafka does not tell its time)")


def _rights(report: RedisReport) -> Iterator[Finding]:
    if report.refusal is not None:
        yield problem("Redis", report.refusal)
    if report.missing:
        missing = ", ".join(report.missing)
        yield problem("Redis rights", f"Redis does not allow this user {missing}: give it, see {RIGHTS}")
    else:
        yield ok("Redis rights", "all that the process needs")


def _identity(settings: Settings, report: RedisReport, topics: ClusterTopics | None) -> Iterator[Finding]:
    """Whether what is stored belongs to these topics; definitions may have changed."""
    if topics is None or not report.identity:
        return
    stored = report.identity
    identity = topics.identity(settings, stored.get("definitions", ""))
    belongs = Identity(
        cluster=stored.get("cluster", ""),
        group=stored.get("group", ""),
        partitions=int(stored.get("partitions", 0)),
        definitions=identity.definitions,  # another segments file is no problem: a worker migrates to it
        topics=stored.get("topics", ""),
    )
    try:
        check_identity(belongs, identity)
    except ClaimRefused as error:
        yield problem("stored state", str(error))
    else:
        yield ok("stored state", "belongs to this cluster, group and these topics")
