"""The examples of docs/examples, as they stand: what comes twice is taken once, what is forged not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer
from standardwebhooks.webhooks import Webhook

from local.receivers import SECRET
from local.server_process import free_port
from local.servers import Kafka
from streams.kafka import admin
from streams.settings import Settings
from tests.support.in_memory_triggers import START, change

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.kafka
def test_the_consumer_takes_each_change_once(kafka: Kafka) -> None:
    """Repeats are dropped by their sequence, and a gap is told."""
    admin.create(Settings(brokers=kafka.address, partitions=1))  # the only test here that uses names without a prefix
    producer = KafkaProducer(bootstrap_servers=kafka.address)
    for sequence in (1, 2, 2, 1, 4):
        made = change("بهار", "abandoned_cart", "entered" if sequence % 2 else "exited", START, sequence)
        producer.send("segment-changes", key="بهار".encode(), value=msgspec.json.encode(made))
    producer.flush()
    producer.close()
    command = [sys.executable, str(EXAMPLES / "consumer.py"), kafka.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline().split()[:3] for _ in range(3)]
        process.terminate()
        errors = process.stderr.read()
    assert lines == [["بهار-1", "بهار", "entered"], ["بهار-2", "بهار", "exited"], ["بهار-4", "بهار", "exited"]]
    assert "a gap after 2 of بهار" in errors


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")
def test_the_receiver_takes_each_call_once() -> None:
    """Repeats are dropped by their id; a forged, an unsigned and an old call are refused."""
    port = free_port()
    command = ["node", str(EXAMPLES / "receiver.mjs"), str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"SECRET": SECRET, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "listening"
        made = msgspec.to_builtins(change("بهار", "abandoned_cart", "entered", START, 1))
        body = json.dumps({"type": "segment.entered", "data": {"change": made}})
        assert [_call(port, "a", body), _call(port, "a", body), _call(port, "b", body)] == [204, 204, 204]
        assert _call(port, "c", body, signature="v1,AAAA") == 401
        assert _call(port, "d", body, ago_s=600) == 401
        lines = [process.stdout.readline().split()[:3] for _ in range(2)]
        process.terminate()
        assert process.stdout.read() == ""
    assert lines == [["a", "segment.entered", "بهار"], ["b", "segment.entered", "بهار"]]


def _call(port: int, name: str, body: str, signature: str | None = None, ago_s: float = 0) -> int:
    at = time.time() - ago_s
    signed = signature or Webhook(SECRET).sign(name, datetime.fromtimestamp(at, UTC), body)
    headers = {"webhook-id": name, "webhook-timestamp": str(int(at)), "webhook-signature": signed}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
