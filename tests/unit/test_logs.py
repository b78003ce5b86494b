"""The log in both forms: a line each, fields as they were given, and of an exception nothing that a customer sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import Ops
from local.servers import Redis, Tansu
from tests.support.commands import event, segmenter, shop_on
from tests.support.commands import lines as json_lines
from tests.support.patience import eventually

CLIENTS = ("aiohttp.access", "aiokafka.conn", "faust.app", "kafka.net.manager", "mode.worker", "redis.retry")
QUIET = """
import logging, sys
from streams import credentials, logs
from streams.settings import Settings
logs.set_up("text")
credentials.kafka(Settings())
for name in sys.argv[1:]:
    logging.getLogger(name).info("connected")
    logging.getLogger(name).warning("lost by %s", name)
"""
PROGRAM = """
import logging, sys
from streams import logs
logs.set_up(sys.argv[1])
log = logging.getLogger("streams.runtime.ownership")
log.info("claimed partitions", extra={"partitions": [0, 3], "generation": 7})
log.debug("not told")
try:
    {}["bahar@example.com"]
except KeyError:
    logging.getLogger("a.library").exception("it failed")
"""


def lines(form: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_json_is_a_document_a_line() -> None:
    """With level, logger and time, and the fields by their names."""
    claimed, failed = map(json.loads, lines("json"))
    assert claimed["event"] == "claimed partitions"
    assert (claimed["partitions"], claimed["generation"], claimed["level"]) == ([0, 3], 7, "info")
    assert claimed["timestamp"].endswith("Z")
    assert failed["event"] == "it failed"
    assert failed["trace"].endswith("KeyError")
    assert "bahar" not in json.dumps(failed)


def test_text_reads_the_same() -> None:
    """Fields behind the message; no colours, which a file would keep as they are."""
    told = lines("text")
    assert "claimed partitions" in told[0]
    assert "generation=7" in told[0]
    assert "partitions=[0, 3]" in told[0]
    assert "\x1b" not in "".join(told)
    assert "bahar" not in "".join(told)


def test_client_libraries_are_quiet() -> None:
    """What they log at each connection does not come; their warnings do."""
    ran = subprocess.run(
        [sys.executable, "-c", QUIET, *CLIENTS], capture_output=True, text=True, check=True, timeout=60
    )
    told = ran.stderr.splitlines()
    assert len(told) == len(CLIENTS)
    for name, line in zip(CLIENTS, told, strict=True):
        assert f"lost by {name}" in line
        assert "warning" in line


def test_the_page_says_where_it_is_and_nothing_else(redis_server: Redis, tmp_path: Path) -> None:
    """On real servers; once Kafka is gone, the client's own complaint comes."""
    with Tansu() as tansu:
        given = shop_on(tansu, "quiet", redis_server.url, ops_http="127.0.0.1:0")
        assert segmenter("topics", "create", **given).code == 0
        with Ops(given, log=tmp_path / "ops.log") as ops:
            ops.wait_ready()
            eventually(lambda: f"127.0.0.1:{tansu.port}" in connections(ops.pid), 20)
            (told,) = ops.log.read_text().splitlines()
            assert told.startswith("segmenter ops: http://")
            tansu.kill9()
            eventually(lambda: "[aiokafka." in ops.log.read_text(), 30)
    assert not [line for line in ops.log.read_text().splitlines() if "[info" in line]


def connections(pid: int) -> list[str]:
    """The addresses which a process is connected to (state 01), of this machine."""
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    return [
        f"127.0.0.1:{int(row[2].partition(':')[2], 16)}"
        for row in rows
        if row[3] == "01" and f"socket:[{row[9]}]" in inodes
    ]


@pytest.mark.parametrize("arguments", ["topics verify", "publish -", "redeliver", "export u1"])
def test_commands_print_nothing_of_client_libraries(arguments: str, tansu: Tansu, redis_server: Redis) -> None:
    """On real servers, their stderr is empty or holds a line of their own."""
    given = shop_on(tansu, "quiet", redis_server.url)
    assert segmenter("topics", "create", "--triggers", **given).err == ""
    published = json_lines(event("u1", 1, "Product Viewed", 0))
    assert segmenter("publish", "-", stdin=published, **given).code == 0
    done = segmenter(*arguments.split(), stdin=published, **given)
    assert done.code == 0, done.err
    assert done.err.count("\n") <= 1
    assert "kafka" not in done.err.lower()
