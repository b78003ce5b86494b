"""The commands that show the product: the demo and the benchmark, as a reader of README runs them.

The commands run whole, on real parts; the tests check that something was measured, but not the figures.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from urllib.parse import quote

import pytest
import redis as redis_client
from rich.console import Console

from demos import main as demo
from demos.main import hints
from local.environment import export_lines
from local.servers import Redis, Tansu
from streams.settings import Settings
from tests.support.commands import environment, segmenter, shop_on


def run(module: str, *arguments: str) -> str:
    """Run a script, which must end well; gives what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_demo() -> None:
    """All is published and decided, time alone changes something, messages come, and nothing is a dead letter."""
    output = run("demos.main", "--triggers")
    assert "17,420 published, 0 dead letters" in output
    for text in ("event → change", "due time → change", "by time:", "✉ shopper-", "☎ chatbot", "0 forged", "try next"):
        assert text in output
    changes = re.findall(r"│ (?:abandoned_cart|repeat_buyer) +│ +(\d+) │", output)
    assert len(changes) == 4
    assert "0" not in changes


def in_another_terminal(pasted: str, stdin: str = "") -> str:
    """What a shell without any setting of ours prints for these lines."""
    ended = subprocess.run(
        ["bash", "-euc", pasted], input=stdin, env=environment({}), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_lines_for_another_terminal(tansu: Tansu, redis_server: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    """What the demo prints at its end leads to its servers, pasted as it is; Redis has no password to hide."""
    given = shop_on(tansu, "other terminal", redis_server.url)
    assert segmenter("topics", "create", **given).code == 0
    hints(Settings(**given), True)
    folder, export, *commands = capsys.readouterr().out.strip().splitlines()[1:]
    assert [command.split()[:2] for command in commands] == [
        [".venv/bin/segmenter", "tail"],
        [".venv/bin/segmenter", "explain"],
    ]
    assert f"SEGMENTER_REDIS={redis_server.url} " in export
    shop = given["topic_prefix"]
    output = in_another_terminal(f"{folder}\n{export}\n{sys.executable} -m streams topics verify")
    assert f"{shop}segment-changes: {given['partitions']} partitions" in output


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_what_is_pasted_is_never_wrapped(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets lines that fit, but commands stay whole; a file gets each line whole."""
    screen = io.StringIO()
    narrow = Console(file=screen, force_terminal=is_terminal, width=60, color_system=None, highlight=False)
    monkeypatch.setattr(demo, "console", narrow)
    demo.say("12:00:00.000Z  + abandoned_cart  u1  " + "because " * 14)
    assert len(screen.getvalue().splitlines()) == (3 if is_terminal else 1)
    for keep in (True, False):
        hints(Settings(), keep)
    pasted = [line.strip() for line in screen.getvalue().splitlines() if line.startswith("  ")]
    assert any(line.endswith("segmenter replay -") and len(line) > 60 for line in pasted)
    assert all(line.startswith(("cd ", "export ", ".venv/bin/", "scripts/demo ")) for line in pasted)


def test_the_lines_hold_no_password(tansu: Tansu) -> None:
    """A password in the URL or beside it is asked for by the shell, and then lets the command in."""
    password = "p ä'#/%"
    with Redis() as redis:
        redis_client.Redis.from_url(redis.url).config_set("requirepass", password)
        given = shop_on(tansu, "secret", redis.url)
        assert segmenter("topics", "create", **given).code == 0
        in_url = redis.url.replace("://", f"://:{quote(password, safe='')}@")
        for changed in ({"redis": in_url}, {"redis_password": password}):
            settings = Settings(**{**given, **changed})
            shown = list(export_lines(settings, tuple(Settings.model_fields)))
            assert quote(password, safe="") not in "".join(shown)
            assert password not in "".join(shown)
            pasted = "\n".join([*shown, f"{sys.executable} -m streams explain u1 || test $? = 75"])
            ended = in_another_terminal(f"({pasted}) 2>&1", f"{password}\n")
            assert "Redis holds no state of the segmenter" in ended, ended


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(
    "peers",
    [
        pytest.param(("one",), marks=pytest.mark.nightly),
        pytest.param(("streams-exactly-once", "streams", "two", "quix", "obvious"), marks=pytest.mark.nightly),
    ],
    ids=["the segmenter", "its peers"],
)
def test_the_benchmark_of_a_backlog(peers: tuple[str, ...]) -> None:
    """Each system drains the whole backlog, and has the memberships that the rules give."""
    few = ("--events", "5000", "--customers", "500", "--hot-every", "10")
    output = run("benchmarks.main", "--only", "throughput", *few, "--peers", "bare", *peers)
    assert "memberships of all are as the rules give them" in output
    assert len(re.findall(r"^round 1 of 1", output, re.MULTILINE)) == 1 + len(peers)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.nightly
def test_the_benchmark_of_a_steady_load() -> None:
    """All of the paced load came through."""
    output = run("benchmarks.main", "--only", "latency", "--rates", "200", "--seconds", "2")
    assert "segmenter: 100 of 100 changes came" in output


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.nightly
def test_the_benchmark_of_due_times_and_sizes() -> None:
    """Each due time fires, alone and with those of all customers at once; a worker goes on from its stored state."""
    few = ("--rates", "200", "--seconds", "2", "--crowd", "1000", "--sizes", "200")
    output = run("benchmarks.main", "--only", "due", "crowd", "scale", *few)
    assert "100 of 100 changes came" in output
    assert "1,000 customers due at one instant, among 200 events/s: 1,000 changes" in output
    assert re.search("after SIGTERM.*[0-9] s\n.*after kill -9", output)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.nightly
def test_the_benchmark_of_kafka_streams_under_a_steady_load() -> None:
    """The changes of Kafka Streams are those of the segmenter, and all come."""
    paced = ("--rates", "200", "--seconds", "2", "--commits", "100")
    output = run("benchmarks.main", "--only", "latency", *paced)
    assert "Kafka Streams, exactly_once_v2, commit 100 ms: 100 of 100 changes came" in output
