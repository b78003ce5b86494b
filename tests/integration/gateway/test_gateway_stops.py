"""What keeps a gateway from its start: each sentence names what to change, and with that changed it serves."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from local import servers
from local.processes import Gateway, Worker
from tests.support import live
from tests.support.commands import assert_stopped, segmenter
from tests.support.gateways import ENVIRONMENT, FILE, SHOP_KEY, GatewayParts, running, send
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka


def serves(parts: GatewayParts, tmp_path: Path, **settings: Any) -> None:
    """A gateway with these settings starts, and takes an event."""
    with Gateway({**parts.settings, **settings}, log=tmp_path / "log") as gateway:
        gateway.wait_ready()
        address = gateway.address
        assert send(address, "/v1/track", {"event": "Tea", "userId": "u1"}, SHOP_KEY).status == 200


def test_what_keeps_a_gateway_from_its_start(
    kafka: servers.Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file, a secret that is missing, short or used twice, a database of nothing, an address that is taken."""
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(FILE))
    for name, secret in ENVIRONMENT.items():
        monkeypatch.setenv(name, secret)
    with running(kafka) as parts:
        settings = {**parts.settings, "gateway": path}
        assert_stopped(
            segmenter("gateway", **{**settings, "gateway": ""}), "a gateway needs a file with its write keys"
        )
        for secret, words in (
            ("", "keys.shop.key of the gateway file: the variable SHOP_KEY is not set"),
            ("short", "keys.shop.key of the gateway file has 5 characters; write at least 12"),
            (FILE["keys"]["web"]["key"], "two keys of the gateway file are the same text; give each its own"),
        ):
            monkeypatch.setenv("SHOP_KEY", secret)
            assert_stopped(segmenter("gateway", **settings), words)
        monkeypatch.setenv("SHOP_KEY", SHOP_KEY)
        done = segmenter("gateway", **settings, gateway_countries=path)
        assert_stopped(done, "is no database of addresses", "see SEGMENTER_GATEWAY_COUNTRIES")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = f"127.0.0.1:{taken.getsockname()[1]}"
            done = segmenter("gateway", **{**settings, "gateway_http": busy})
            assert done.code == 75
            assert f"nothing can be served on {busy} (Address already in use" in done.err
            assert "see SEGMENTER_GATEWAY_HTTP" in done.err
            assert "Unclosed" not in done.err
        serves(parts, tmp_path, gateway=path)


def same_file(parts: GatewayParts, tmp_path: Path) -> Gateway:
    other = Gateway({**parts.settings, "definitions": live.FOUR}, log=tmp_path / "log")
    other.environment |= ENVIRONMENT
    return other


def test_a_gateway_with_other_definitions_says_so(kafka: servers.Kafka, tmp_path: Path) -> None:
    """What it would answer is not what the worker decided; it still takes events."""
    with (
        servers.Redis() as redis,
        running(kafka, {"redis": redis.url}) as parts,
        Worker({**parts.settings, "definitions": live.FOUR, "fetch_wait_ms": 50}) as worker,
    ):
        worker.wait_ready()
        assert parts.post("/v1/track", {"event": "Order Completed", "userId": "u1"}, SHOP_KEY).status == 200

        def status_and_body(address: str) -> tuple[int, Any]:
            answer = send(address, "/v1/customers/u1", key=SHOP_KEY)
            return answer.status, answer.body

        eventually(lambda: status_and_body(parts.address)[0] == 503, 15)
        error = status_and_body(parts.address)[1]["error"]
        assert error == "Redis was written under other definitions; give gateway and worker the same file"
        with same_file(parts, tmp_path) as other:
            other.wait_ready()
            address = other.address
            assert status_and_body(address)[0] == 200
