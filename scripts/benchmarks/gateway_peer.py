"""The least that an HTTP endpoint in front of the same Kafka and Redis does, as the gateway's peer: a program.

It sends each body to the producer that the gateway has, or gets a customer's row, and answers. It validates nothing.

    python -m benchmarks.gateway_peer BROKERS REDIS PREFIX    prints its port
"""

import asyncio
import os
import sys
from typing import Any

import msgspec
from aiohttp import web
from redis.asyncio import Redis

from streams.kafka import producer as producers
from streams.state.redis_reader import key

_DONE = b'{"success":true}'


async def _serve(brokers: str, redis_url: str, prefix: str) -> None:
    options = {**producers.options({"bootstrap_servers": brokers}), "enable_idempotence": True}
    producer = await producers.start(options)
    redis: Any = Redis.from_url(redis_url)

    async def single(request: web.Request) -> web.Response:
        await (await producer.send("visits", await request.read(), b"u1"))
        return web.Response(body=_DONE, content_type="application/json")

    async def batch(request: web.Request) -> web.Response:
        messages = msgspec.json.decode(await request.read())["batch"]
        sent = [await producer.send("visits", msgspec.json.encode(message), b"u1") for message in messages]
        await asyncio.gather(*sent)
        return web.Response(body=_DONE, content_type="application/json")

    async def look(request: web.Request) -> web.Response:
        row = await redis.hget(key(prefix, 0, "customers"), request.match_info["id"])
        return web.Response(body=b'{"size":%d}' % len(row or b""), content_type="application/json")

    app = web.Application()
    app.add_routes([web.post("/v1/track", single), web.post("/v1/batch", batch), web.get("/v1/customers/{id}", look)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    if os.environ.get("SEGMENTER_LOOP") == "uvloop":
        import uvloop  # noqa: PLC0415  # where it is asked for

        uvloop.run(_serve(*sys.argv[1:]))
    else:
        asyncio.run(_serve(*sys.argv[1:]))


if __name__ == "__main__":
    main()
