"""Commands and the operations page on real servers: nothing that client libraries log at INFO is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.processes import Ops
from local.servers import Redis, Tansu
from tests.support.commands import event, segmenter, shop_on
from tests.support.commands import lines as json_lines
from tests.support.patience import eventually


def test_the_page_says_where_it_is_and_nothing_else(redis_server: Redis, tmp_path: Path) -> None:
    """The page prints its address alone; once Kafka is gone, the client's own complaint comes."""
    with Tansu() as tansu:
        given = shop_on(tansu, "quiet", redis_server.url, ops_http="127.0.0.1:0")
        assert segmenter("topics", "create", **given).code == 0
        with Ops(given, log=tmp_path / "ops.log") as ops:
            ops.wait_ready()
            eventually(lambda: f"127.0.0.1:{tansu.port}" in connections(ops.pid), 20)
            (line,) = ops.log.read_text().splitlines()
            assert line.startswith("segmenter ops: http://")
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
    """The stderr of commands on real servers is empty or holds a line of their own."""
    given = shop_on(tansu, "quiet", redis_server.url)
    assert segmenter("topics", "create", "--triggers", **given).err == ""
    published = json_lines(event("u1", 1, "Product Viewed", 0))
    assert segmenter("publish", "-", stdin=published, **given).code == 0
    done = segmenter(*arguments.split(), stdin=published, **given)
    assert done.code == 0, done.err
    assert done.err.count("\n") <= 1
    assert "kafka" not in done.err.lower()
