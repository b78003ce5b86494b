"""Checks the pinned packages for known vulnerabilities with pip-audit; part of scripts/check.

The one rule: a check without data is never reported as passed. A vulnerability fails unless pyproject.toml allows it
with a reason (`[tool.audit.allowed]`); if there are no data, one line says so.
"""

import json
import re
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["findings", "main"]

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".cache" / "audit"
TOOL = "pip-audit>=2.9,<3"
PINS = ROOT / "constraints.txt"
INSTALL_S, PROBE_S, AUDIT_S = 120.0, 30.0, 300.0
AGAIN_S = 86_400.0  # the same pins are queried once a day


class NoData(Exception):
    """There are no data; the text says why."""


def main() -> int:
    """Run the check. Exit code 1 if it finds a vulnerability."""
    stamp, pins = FOLDER / "nothing-found", PINS.read_text()
    if stamp.exists() and stamp.read_text() == pins and time.time() - stamp.stat().st_mtime < AGAIN_S:
        return 0
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text()).get("tool", {}).get("audit", {}).get("allowed", {})
    try:
        problems = list(findings(query(pins), allowed))
    except NoData as reason:
        print(f"vulnerabilities: left out, since {reason}")
        return 0
    for line in problems:
        print(line)
    if not problems:
        stamp.write_text(pins)
    return 1 if problems else 0


def query(pins: str) -> Mapping[str, Any]:
    """The report of pip-audit on all pins. Raises `NoData`."""
    tool = _tool()
    # One package first: if there are no data about it, the others need no query.
    first = re.search(r"^[a-z][\w.-]*==[\w.]+", pins, re.MULTILINE)
    assert first is not None, "constraints.txt holds pins"
    probe = FOLDER / "probe.txt"
    probe.write_text(first[0] + "\n")
    if not _answered(_audit(tool, probe, PROBE_S)):
        raise NoData("the package index of this machine has no data about vulnerabilities")
    return _audit(tool, PINS, AUDIT_S)


def _tool() -> Path:
    """The path of pip-audit, in an environment of its own, as it is no part of the tested packages."""
    tool = FOLDER / "bin" / "pip-audit"
    if not tool.exists():
        venv.create(FOLDER, with_pip=True)
        install = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", TOOL]
        _run(install, INSTALL_S, "pip-audit cannot be installed here")
    return tool


def _audit(tool: Path, requirements: Path, timeout_s: float) -> Mapping[str, Any]:
    words = ["--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json"]
    output = _run([str(tool), *words, "--requirement", str(requirements)], timeout_s, "its data cannot be reached here")
    report: Mapping[str, Any] = json.loads(output)
    return report


def _run(command: Sequence[str], timeout_s: float, otherwise: str) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except (OSError, subprocess.TimeoutExpired):
        raise NoData(otherwise) from None
    # pip-audit exits with 1 and a report if it has found something, and with 1 and no report if it has failed.
    if done.returncode != 0 and not done.stdout.startswith("{"):
        raise NoData(otherwise)
    return done.stdout


def _answered(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [dependency for dependency in report["dependencies"] if "skip_reason" not in dependency]


def findings(report: Mapping[str, Any], allowed: Mapping[str, str]) -> list[str]:
    """The findings, a line each; ``allowed``: the reasons by id (any name that a vulnerability has)."""
    problems = [
        f"pyproject.toml: {vulnerability} is allowed without a reason"
        for vulnerability, reason in allowed.items()
        if not reason.strip()
    ]
    used: set[str] = set()
    for package in report["dependencies"]:
        if "skip_reason" in package:
            problems.append(f"{package['name']}: not known whether it is vulnerable ({package['skip_reason']})")
        for vulnerability in package.get("vulns", ()):
            ids = {vulnerability["id"], *vulnerability.get("aliases", ())}
            if ids & allowed.keys():
                used |= ids
                continue
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            problems.append(
                f"{package['name']} {package['version']}: {vulnerability['id']}, right in {fixed}; raise it with "
                "scripts/pin, or allow it with a reason in [tool.audit.allowed]"
            )
    problems += [
        f"pyproject.toml: {vulnerability} is allowed and no longer found; take it out"
        for vulnerability in allowed
        if vulnerability not in used
    ]
    return problems


if __name__ == "__main__":
    sys.exit(main())
