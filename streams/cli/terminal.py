"""Output for people: as wide as the terminal, and with colours only where a terminal shows them.

The one rule: output for programs is never wrapped, neither JSON nor lines of which each is a record.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 120  # where no terminal says how wide it is
_LEAST = 40  # in fewer columns a wrapped sentence cannot be read
_LABEL_MAX = 24
# The blanks at the begin, and a word that labels the rest of the line, as in a column.
_LABEL = re.compile(r" *(?:\S+ {2,})?")


def width() -> int:
    """The columns of the terminal on standard output, or 120."""
    columns = shutil.get_terminal_size((_WIDTH, 0)).columns if sys.stdout.isatty() else _WIDTH
    return max(_LEAST, columns)


def console() -> Console:
    """A console for coloured lines on standard output; plain if that is no terminal, or NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415  # every command would take longer to start, and few have colours

    chosen = Console(highlight=False, soft_wrap=True)
    # rich leaves out the colours alone, and would still write what is bold or dim.
    return Console(highlight=False, soft_wrap=True, color_system=None) if chosen.no_color else chosen


def show(lines: Iterable[str]) -> None:
    """Print sentences, each wrapped behind its label."""
    for line in lines:
        print("\n".join(wrapped(line)))


def wrapped(line: str) -> list[str]:
    """Wrap a line to lines which fit; words are never broken."""
    if len(line) <= width():
        return [line]
    label = _LABEL.match(line)
    blanks = len(line) - len(line.lstrip())
    indent = len(label[0]) if label and blanks < len(label[0]) <= _LABEL_MAX else blanks + 2
    return textwrap.wrap(
        line,
        width(),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
