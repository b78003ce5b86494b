"""Known vulnerabilities of the pinned packages, as pip-audit knows them; part of scripts/check.

The one rule: what is not known is not called safe. A vulnerability fails unless pyproject.toml allows it with a reason
(`[tool.audit.allowed]`); where the data cannot be had, one line says so.
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
AGAIN_S = 86_400.0  # the same pins are asked about once a day


class NoData(Exception):
    """Nothing can be said here; the text says why."""


def main() -> int:
    """Exit code 1 when something is found."""
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
    """What pip-audit says of all pins. Raises `NoData`."""
    tool = _tool()
    # One package first: where nothing is known of it, the others need not be asked for.
    first = re.search(r"^[a-z][\w.-]*==[\w.]+", pins, re.MULTILINE)
    assert first is not None, "constraints.txt holds pins"
    probe = FOLDER / "probe.txt"
    probe.write_text(first[0] + "\n")
    if not _answered(_audit(tool, probe, PROBE_S)):
        raise NoData("the package index of this machine has no data about vulnerabilities")
    return _audit(tool, PINS, AUDIT_S)


def _tool() -> Path:
    """pip-audit in an environment of its own: it is no part of the tested set."""
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
    # pip-audit: 1 with a report when it has found something, 1 without one when it has failed.
    if done.returncode != 0 and not done.stdout.startswith("{"):
        raise NoData(otherwise)
    return done.stdout


def _answered(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [dependency for dependency in report["dependencies"] if "skip_reason" not in dependency]


def findings(report: Mapping[str, Any], allowed: Mapping[str, str]) -> list[str]:
    """What is wrong, a line each; ``allowed``: the reason by id (of any name that a vulnerability has)."""
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
