"""The log in both forms: a line each, fields as they were given, and of an exception nothing that a customer sent."""

from __future__ import annotations

import json
import subprocess
import sys

CLIENTS = ("aiohttp.access", "aiokafka.conn", "faust.app", "kafka.net.manager", "mode.worker", "redis.retry")
QUIET = """
import logging, sys
from streams import logs
from streams.settings import credentials
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
log = logging.getLogger("streams.runtime.rebalance_listener")
log.info("claimed partitions", extra={"partitions": [0, 3], "generation": 7})
log.debug("not told")
customer = "bahar" + "@example.com"  # Python 3.13 shows the line of source, too
try:
    {}[customer]
except KeyError:
    logging.getLogger("a.library").exception("it failed")
"""


def lines(form: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_json_is_a_document_a_line() -> None:
    """Each line has level, logger and time, and the fields by their names."""
    claimed, failed = map(json.loads, lines("json"))
    assert claimed["event"] == "claimed partitions"
    assert (claimed["partitions"], claimed["generation"], claimed["level"]) == ([0, 3], 7, "info")
    assert claimed["timestamp"].endswith("Z")
    assert failed["event"] == "it failed"
    assert failed["trace"].endswith("KeyError")
    assert "@" not in json.dumps(failed)


def test_text_reads_the_same() -> None:
    """Fields stand behind the message, without colours, which a file would keep as they are."""
    output_lines = lines("text")
    assert "claimed partitions" in output_lines[0]
    assert "generation=7" in output_lines[0]
    assert "partitions=[0, 3]" in output_lines[0]
    assert "\x1b" not in "".join(output_lines)
    assert "@" not in "".join(output_lines)


def test_client_libraries_are_quiet() -> None:
    """What they log at each connection is left out; their warnings are not."""
    ran = subprocess.run(
        [sys.executable, "-c", QUIET, *CLIENTS], capture_output=True, text=True, check=True, timeout=60
    )
    output_lines = ran.stderr.splitlines()
    assert len(output_lines) == len(CLIENTS)
    for name, line in zip(CLIENTS, output_lines, strict=True):
        assert f"lost by {name}" in line
        assert "warning" in line
