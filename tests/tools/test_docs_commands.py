"""Every command in an ``sh`` block of README and docs is run, on real servers, as the user that the rights name for it.

A command is run as it stands on its page. A process that does not end by itself must get ready, and end with code 0
when it is stopped.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import Postgres
from local.processes import Gateway, Ops, Triggers, Worker
from local.server_process import HOST
from streams.rights.process_rights import NEITHER
from tests.support.commands import event, lines, moved_to_now
from tests.support.patience import eventually
from tests.support.servers_with_rights import TOKEN, Done, Servers, granted_servers, run, user_of
from tests.support.sink_process import SinkProcess

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"])
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = ("sh", "bash", "console")
NOT_RUN = {
    "scripts/demo": "takes 70 s: tests/tools/test_demo_and_bench.py runs it",
    "scripts/check && scripts/test": "would run this test again",
    "scripts/bench": "measures for minutes to hours: tests/tools/test_demo_and_bench.py runs it small",
    "docker compose up --build": "needs a container engine: tests/tools/test_container.py reads its file",
    ".venv/bin/python docs/conformance/run.py": "takes minutes: tests/tools/test_conformance.py runs a part of it",
}
PROCESSES: dict[str, type[Worker]] = {
    "worker": Worker, "triggers": Triggers, "ops": Ops, "gateway": Gateway, "sink": SinkProcess,
}  # fmt: skip
# What an operations process gets beside its user's.
MORE: dict[str, dict[str, Any]] = {
    "ops": {"ops_http": "127.0.0.1:0", "ops_token": TOKEN},
    "gateway": {
        "gateway": ROOT / "docs" / "examples" / "gateway.yaml",
        "http": "127.0.0.1:0",
        "gateway_http": "127.0.0.1:0",
    },
}  # fmt: skip
NO_LOGIN = {"kafka_user": "", "kafka_password": ""}
# The customers that the pages name.
CUSTOMERS = ("CUSTOMER", "A", "B", "-x")


def blocks(page: Path, *languages: str) -> list[str]:
    """The text of each fenced block in one of these languages."""
    return [text for language, text in BLOCK.findall(page.read_text("utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    """The commands in a page's shell blocks, one a line, without comments."""
    lines = [line.split(" #")[0].rstrip() for text in blocks(page, *SHELLS) for line in text.splitlines()]
    return [line for line in lines if line]


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


class Reader:
    """A reader that tries the pages, in a folder with the project's files and those that the pages name."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._servers = servers
        self._folder = folder
        self._running: dict[str, Worker] = {}
        self._arguments: dict[str, tuple[str, ...]] = {}
        self._count = 0

    def run(self, command: str) -> Done:
        words = shlex.split(command)
        settings = {}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            settings[name.removeprefix("SEGMENTER_").lower()] = value
        if words[0] != "segmenter":
            return self._shell(command)
        if words[1:3] == ["triggers", "preview"]:
            words.pop(1)  # a command that reads, and no process
        if words[1] in PROCESSES:
            return self._start(words[1], *words[2:])
        return run(words[1:], self._settings(words[1:], settings))

    def _settings(self, arguments: list[str], more: dict[str, str]) -> dict[str, Any]:
        """The settings of the command's user; none where it needs no server, an administrator's to copy."""
        if arguments[0] in NEITHER:
            return more
        settings = self._servers.settings(user_of(arguments), **more)
        if arguments[:2] != ["topics", "copy"]:
            return settings
        return settings | {"brokers": self._servers.kafka.address, "kafka_protocol": "PLAINTEXT"} | NO_LOGIN

    def _start(self, name: str, *arguments: str) -> Done:
        """Start a process in the place of a former one; the same command is started once."""
        if name in self._running and self._arguments[name] == arguments:
            return Done(0, "", "")
        self.stop(name)
        self._count += 1
        process = self._servers.process(
            PROCESSES[name], user_of((name,)), f"{name}-{self._count}", *arguments, **MORE.get(name, {})
        )
        self._running[name], self._arguments[name] = process.start().wait_ready(), arguments
        return Done(0, "", "")

    def stop(self, name: str) -> None:
        """Stop the process as an operator does."""
        if process := self._running.pop(name, None):
            assert process.stop() == 0, process.tail()

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def _shell(self, command: str) -> Done:
        """Run a command that is not the segmenter's."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, timeout=120, check=False,
            env=os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}, cwd=self._folder,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


def history() -> list[dict[str, Any]]:
    """Views, carts and orders of each customer."""
    events = []
    for number, name in enumerate(CUSTOMERS):
        events += [
            event(name, 1, "Product Viewed", 0, product_id="p1", category="tea"),
            event(name, 2, "Product Added", 1, product_id="p1", price=number + 5),
            event(name, 3, "Order Completed", 2, order_id=f"o-{name}", total=number + 10, currency="USD"),
        ]
    return moved_to_now(*events)


def write_files(folder: Path) -> None:
    """Write what the pages use: events, the segments file of the page, and a former one."""
    for name in ("docs", "scripts", "data", ".venv", "pyproject.toml", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "events.jsonl").write_bytes(lines(*history()))
    (mine,) = (text for text in blocks(ROOT / "docs/guide/segments.md", "yaml") if "version: 1" in text)
    for name in ("my.yaml", "new.yaml"):
        (folder / name).write_text(mine)
    (folder / "old.yaml").write_text((ROOT / "scripts/load/four_segments.yaml").read_text())


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with topics, a worker, and customers that it has decided."""
    folder = tmp_path_factory.mktemp("pages")
    write_files(folder)
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.chdir(folder)
        patch.setenv("SHOP_KEY", "a-key-of-the-shop")
        patch.setenv("BOT_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        servers = stack.enter_context(granted_servers(folder))
        database = stack.enter_context(Postgres())
        patch.setenv("PGHOST", HOST)
        patch.setenv("PGPORT", str(database.port))
        patch.setenv("PGUSER", "postgres")
        assert servers.run("topics", "create", "--triggers").code == 0
        person = Reader(servers, folder)
        stack.callback(person.stop_all)
        assert servers.run("publish", "events.jsonl").code == 0
        person.run("segmenter worker")
        eventually(lambda: servers.run("verify").code == 0, 60)
        yield person


# One that rebuilds comes last, so that the worker of the others is started once.
TRIED = sorted(
    (page for page in PAGES if any(map(is_run, commands(page)))),
    key=lambda page: "segmenter worker --rebuild" in commands(page),
)


@pytest.mark.parametrize("page", TRIED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run(page: Path, reader: Reader) -> None:
    """The commands of a page run one after the other, as they stand."""
    for command in filter(is_run, commands(page)):
        done = reader.run(command)
        assert done.code == 0, f"{command}\n{done.out}\n{done.err}"
    for name in ("triggers", "ops"):
        reader.stop(name)


def test_what_is_not_run_is_on_a_page() -> None:
    """At most five programs are left out, and each for a reason."""
    left_out = {command for page in PAGES for command in commands(page) if not is_run(command)}
    assert len(NOT_RUN) <= 5
    assert {start for start in NOT_RUN if any(command.startswith(start) for command in left_out)} == set(NOT_RUN)


def test_commands_are_in_marked_blocks() -> None:
    """A block without a language is no command, or no test would run it."""
    unmarked = [
        f"{page.relative_to(ROOT)}: {line}"
        for page in PAGES
        for text in blocks(page, "")
        for line in text.splitlines()
        if line.startswith(("segmenter ", "scripts/", "docker ", ".venv/"))
    ]
    assert unmarked == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_segments_files_are_right(page: Path, tmp_path: Path) -> None:
    """The segments files that a page shows whole are valid."""
    for text in blocks(page, "yaml"):
        if "version: 1" in text:
            (tmp_path / "page.yaml").write_text(text)
            done = run(["check", str(tmp_path / "page.yaml")], {})
            assert done.code == 0, done


def test_the_mistake_on_the_page_is_reported_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page on segments shows what `segmenter check` says of a wrong duration."""
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("version: 1\nsegments: {quiet: {title: Quiet, when: {cart: {idle_for: 30x}}}}\n")
    done = run(["check", "my.yaml"], {})
    assert done.code == 1
    assert done.err + done.out in blocks(ROOT / "docs/guide/segments.md", "text")
