"""Passwords and certificates: in settings and files, and to a Redis that asks for them.

The one rule: the servers are real, and a secret of these tests stands in no output, however much is logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from streams.errors import StoreFailed
from streams.settings import Settings
from streams.state.redis import RedisStore
from tests.support.secure_servers import (
    PASSWORD,
    USER,
    WRONG,
    Certificates,
    SecureRedis,
    assert_reveals_no_secret,
    certificates,
)

__all__ = ["certificates"]  # the fixture


@pytest.fixture(scope="module")
def secure_redis(certificates: Certificates) -> Iterator[SecureRedis]:
    server = SecureRedis(certificates)
    with server.running():
        yield server


@pytest.fixture(scope="module")
def asking_redis(certificates: Certificates) -> Iterator[SecureRedis]:
    """A Redis which requires a certificate, too."""
    server = SecureRedis(certificates, client_certificates=True)
    with server.running():
        yield server


# --- Redis -------------------------------------------------------------------------------------


def redis_settings(server: SecureRedis, certificates: Certificates, **changed: Any) -> Settings:
    given: dict[str, Any] = {"redis": f"rediss://{USER}@{server.address}/0", "redis_password": PASSWORD}
    return Settings(**{**given, "redis_ca_file": certificates.ca, **changed})


async def failure(settings: Settings) -> str:
    """The sentence with which a first call fails; it must come within a few round trips, without retries."""
    store = RedisStore.of(settings)
    began = time.monotonic()
    with pytest.raises(StoreFailed) as failed:
        await store.meta(0, ["clock"])
    await store.close()
    assert time.monotonic() - began < 3
    assert_reveals_no_secret(str(failed.value), repr(failed.value))
    return str(failed.value)


async def test_redis_with_a_password_over_tls(secure_redis: SecureRedis, certificates: Certificates) -> None:
    """A password apart, or encoded in the URL, lets the store in, and all its calls are allowed."""
    encoded = f"rediss://{USER}:{quote(PASSWORD, safe='')}@{secure_redis.address}/0"
    for changed in ({}, {"redis": encoded, "redis_password": None}):
        store = RedisStore.of(redis_settings(secure_redis, certificates, **changed))
        await store.verify(lambda: int(time.time() * 1000))
        assert await store.meta(0, ["clock"]) == {}
        await store.close()


async def test_redis_that_asks_for_a_certificate(asking_redis: SecureRedis, certificates: Certificates) -> None:
    """With a certificate the store is let in, without it not."""
    shown = {"redis_certificate_file": certificates.client, "redis_key_file": certificates.key}
    store = RedisStore.of(redis_settings(asking_redis, certificates, **shown))
    assert await store.meta(0, ["clock"]) == {}
    await store.close()
    without = RedisStore.of(redis_settings(asking_redis, certificates))
    with pytest.raises((StoreFailed, TimeoutError)):
        await asyncio.wait_for(without.meta(0, ["clock"]), 1)
    await without.close()


async def test_redis_that_refuses_us(secure_redis: SecureRedis, certificates: Certificates) -> None:
    """A wrong password or user, and a call that the user may not make, are named at once."""
    for changed in ({"redis_password": WRONG}, {"redis": f"rediss://nobody@{secure_redis.address}/0"}):
        sentence = await failure(redis_settings(secure_redis, certificates, **changed))
        assert "invalid username-password pair" in sentence
        assert "see SEGMENTER_REDIS_PASSWORD" in sentence
    sentence = await failure(redis_settings(secure_redis, certificates, redis_prefix="other:"))
    assert "does not allow this user keys ~other:{p* (" in sentence


async def test_redis_that_we_must_not_trust(secure_redis: SecureRedis, certificates: Certificates) -> None:
    """No password is sent to a server whose certificate a stranger or an unknown authority signed."""
    for ca in (certificates.stranger, None):
        sentence = await failure(redis_settings(secure_redis, certificates, redis_ca_file=ca))
        assert "CERTIFICATE_VERIFY_FAILED" in sentence
        assert "see SEGMENTER_REDIS_CA_FILE" in sentence
