"""The findings of ``segmenter doctor`` and their output: a state, a subject, and the fact or the remedy."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from rich.text import Text

from streams.cli.terminal import console, width

FindingState = Literal["ok", "warning", "problem"]
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_STATE_WIDTH = 9
_SUBJECT_WIDTH = 15


class Finding(NamedTuple):
    """One line of the report."""

    state: FindingState
    subject: str
    text: str


def ok(subject: str, text: str) -> Finding:
    return Finding("ok", subject, text)


def warning(subject: str, text: str) -> Finding:
    return Finding("warning", subject, text)


def problem(subject: str, text: str) -> Finding:
    return Finding("problem", subject, text)


def show(finding: Finding) -> None:
    """Print a finding, wrapped behind its subject."""
    indent = " " * (_STATE_WIDTH + _SUBJECT_WIDTH)
    lines = [
        line
        for paragraph in finding.text.splitlines()
        for line in textwrap.wrap(paragraph, max(width() - len(indent), len(indent)), break_on_hyphens=False)
    ]
    head = Text(f"{finding.state:<{_STATE_WIDTH}}", style=_STYLES[finding.state])
    head.append(f"{finding.subject:<{_SUBJECT_WIDTH}}", style="bold")
    head.append(f"\n{indent}".join(lines), style="not bold")
    console().print(head)


def report(findings: Iterable[Finding]) -> int:
    """Print findings as they come, and their summary. Returns 1 when there is a problem."""
    shown = []
    for finding in findings:
        show(finding)
        sys.stdout.flush()
        shown.append(finding)
    print(summary(shown))
    return int(any(finding.state == "problem" for finding in shown))


def summary(findings: Sequence[Finding]) -> str:
    """The numbers of problems and warnings, in words."""
    counts = {state: sum(finding.state == state for finding in findings) for state in ("problem", "warning")}
    words = [f"{count or 'no'} {state}{'' if count == 1 else 's'}" for state, count in counts.items()]
    return ", ".join(words)
