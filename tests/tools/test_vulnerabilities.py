"""The audit of the pinned packages: what fails it, what is allowed, and its report if there are no data.

Also tested: the warning of setup about an interpreter with a hole that matters here.

Reports have pip-audit's own form; the tool in these tests is a small program that writes one.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from quality import vulnerabilities

ROOT = Path(__file__).parents[2]
CLEAN = {"name": "redis", "version": "8.1.0", "vulns": []}
SKIPPED = {"name": "msgspec", "skip_reason": "Dependency not found"}
VULNERABLE = {
    "name": "aiohttp", "version": "3.0.0",
    "vulns": [{"id": "PYSEC-2024-1", "fix_versions": ["3.9.2", "3.10"], "aliases": ["CVE-2024-1", "GHSA-1"]}],
}  # fmt: skip


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


def test_what_is_found_is_named_with_what_to_do() -> None:
    """A finding has package, version, id, and the versions in which it is fixed."""
    (line,) = vulnerabilities.findings(report(CLEAN, VULNERABLE), {})
    assert line.startswith("aiohttp 3.0.0: PYSEC-2024-1, right in 3.9.2, 3.10; ")
    unfixed = {**VULNERABLE, "vulns": [{"id": "X", "fix_versions": []}]}
    assert "right in no version yet" in vulnerabilities.findings(report(unfixed), {})[0]
    assert vulnerabilities.findings(report(CLEAN), {}) == []


@pytest.mark.parametrize("vulnerability", ["PYSEC-2024-1", "CVE-2024-1", "GHSA-1"])
def test_what_is_allowed_needs_a_reason(vulnerability: str) -> None:
    """A vulnerability is allowed by any of its ids, with a reason, and as long as it is found."""
    assert vulnerabilities.findings(report(VULNERABLE), {vulnerability: "the server of aiohttp is not used"}) == []
    assert vulnerabilities.findings(report(VULNERABLE), {vulnerability: " "}) == [
        f"pyproject.toml: {vulnerability} is allowed without a reason"
    ]
    assert vulnerabilities.findings(report(CLEAN), {vulnerability: "why"}) == [
        f"pyproject.toml: {vulnerability} is allowed and no longer found; take it out"
    ]


def test_what_is_not_known_is_not_called_safe() -> None:
    """A package without data is reported, beside others which have some."""
    (line,) = vulnerabilities.findings(report(CLEAN, SKIPPED), {})
    assert line == "msgspec: not known whether it is vulnerable (Dependency not found)"


# --- with a tool -------------------------------------------------------------------------------


class Machine:
    """A machine with a pip-audit that answers so; each call is noted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vulnerabilities, "FOLDER", folder)
        self._folder = folder
        self.tool = folder / "bin" / "pip-audit"
        self.tool.parent.mkdir()

    def answers(self, text: str, code: int = 0) -> None:
        calls = self._folder / "calls"
        self.tool.write_text(
            f"#!{sys.executable}\nimport sys\nopen({str(calls)!r}, 'a').write('call ')\n"
            f"print({text!r})\nsys.exit({code})\n"
        )
        self.tool.chmod(self.tool.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> int:
        calls = self._folder / "calls"
        return len(calls.read_text().split()) if calls.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_vulnerability_fails(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """A vulnerability exits 1, at each run again."""
    machine.answers(json.dumps(report(VULNERABLE)), code=1)
    assert (vulnerabilities.main(), vulnerabilities.main()) == (1, 1)
    assert capsys.readouterr().out.count("PYSEC-2024-1") == 2


def test_nothing_found_is_asked_for_once_a_day(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """The tool runs for one package, then for all, and not again that day for the same pins."""
    machine.answers(json.dumps(report(CLEAN)))
    assert (vulnerabilities.main(), vulnerabilities.main()) == (0, 0)
    assert machine.calls == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        (json.dumps(report(SKIPPED)), 0, "the package index of this machine has no data about vulnerabilities"),
        ("no such host", 1, "its data cannot be reached here"),
    ],
)
def test_without_data_one_line_says_so(
    text: str, code: int, reason: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check goes on after one call; the tool is called again the next time."""
    machine.answers(text, code)
    assert vulnerabilities.main() == 0
    assert machine.calls == 1
    assert capsys.readouterr().out == f"vulnerabilities: left out, since {reason}\n"
    assert vulnerabilities.main() == 0
    assert machine.calls == 2


def test_a_tool_that_hangs_is_given_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that hangs is stopped within its time."""
    monkeypatch.setattr(vulnerabilities, "PROBE_S", 0.2)
    machine.answers("")
    machine.tool.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    assert vulnerabilities.main() == 0


FAKE_PYTHON = """#!/usr/bin/env bash
case "$2" in
    *version_info*) echo "3.11.7 True" ;;
    *EmailMessage*) {probe} ;;
    *) exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("probe", "is_named"),
    [("echo True", True), ("echo False", False), ('exec "{python}" "$@"', None)],
)  # fmt: skip
def test_setup_names_an_interpreter_with_a_hole_in_its_email_package(
    tmp_path: Path, probe: str, is_named: bool | None
) -> None:
    """Setup names the interpreter if it has the hole and goes on, here up to a venv that cannot be made."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    fake = tmp_path / "python"
    fake.write_text(FAKE_PYTHON.format(probe=probe.format(python=sys.executable)))
    fake.chmod(0o755)
    ended = subprocess.run(
        [tmp_path / "scripts" / "setup"], env={**os.environ, "PYTHON": str(fake)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    sentence = (
        "setup: Python 3.11.7 has a hole in its e-mail package (CVE-2024-6923) that 3.11.10, 3.12.5 and 3.13 close"
    )
    mail = EmailMessage()
    mail["Subject"] = "=?utf-8?q?a=0d=0aX-Hole=3A_open?="
    has_hole = "X-Hole" in message_from_bytes(mail.as_bytes())
    assert (sentence in ended.stderr) is (has_hole if is_named is None else is_named)
    assert "cannot make a venv" in ended.stderr
    assert ended.returncode == 1
