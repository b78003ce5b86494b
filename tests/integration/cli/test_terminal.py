"""How the commands print: wrapped and coloured for a terminal, and for programs as it is.

The terminal is a real one, and the command asks for its size.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping
from typing import Any

import pytest

from streams.cli.terminal import wrapped
from tests.support.commands import command, environment, event, lines, segmenter


def on_a_terminal(columns: int, *arguments: str, more: Mapping[str, str] | None = None, **settings: object) -> str:
    """What a command prints on a terminal of so many columns."""
    screen, stdout = pty.openpty()
    fcntl.ioctl(stdout, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {name: value for name, value in environment(settings).items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        command(*arguments), stdin=subprocess.DEVNULL, stdout=stdout, env={**clean, "TERM": "xterm", **(more or {})}
    )
    os.close(stdout)
    printed = b""
    try:
        while chunk := os.read(screen, 65_536):
            printed += chunk
    except OSError:  # the error of Linux when no process writes any more
        pass
    finally:
        os.close(screen)
        process.wait(60)
    return printed.decode().replace("\r\n", "\n")


def test_sentences_are_wrapped() -> None:
    """Sentences are wrapped to the terminal or to 120 columns, behind their indentation, with nothing left out."""
    piped = segmenter("check", "--explain").out
    shown = on_a_terminal(60, "check", "--explain")
    assert max(map(len, piped.splitlines())) <= 120
    assert max(map(len, shown.splitlines())) <= 60
    assert piped.split() == shown.split()
    assert len(shown.splitlines()) > len(piped.splitlines())
    assert max(map(len, on_a_terminal(60, "--help").splitlines())) <= 60


def test_what_programs_read_is_not_wrapped() -> None:
    """JSON is printed one document a line, on a terminal as well."""
    events = lines(*(event("u1", number, "Product Viewed", number, product_id="p1") for number in range(5)))
    out = segmenter("replay", "-", stdin=events).out.splitlines()
    assert max(map(len, out)) > 120
    assert all(json.loads(line)["customer_id"] == "u1" for line in out)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short", ["short"]),
        ("  because " + "word " * 30, ["  because " + "word " * 21 + "word", "    " + "word " * 7 + "word"]),
        ("decided    " + "word " * 24, ["decided    " + "word " * 21 + "word", " " * 11 + "word word"]),
        ("x" * 130, ["x" * 130]),
    ],
)
def test_where_a_line_is_broken(line: str, expected: list[str]) -> None:
    """Lines are broken behind the indentation or the label; a word is never broken."""
    assert wrapped(line) == expected


def test_colours_are_for_terminals() -> None:
    """Colours, bold and dim are printed on terminals alone, and not where NO_COLOR is set."""
    given: dict[str, Any] = {"partitions": 0}  # a setting that cannot be read: nothing is connected
    assert "\x1b[" in on_a_terminal(80, "doctor", **given)
    assert "\x1b" not in on_a_terminal(80, "doctor", more={"NO_COLOR": "1"}, **given)
    done = segmenter("doctor", **given)
    assert done.code == 1
    assert "\x1b" not in done.out + done.err
