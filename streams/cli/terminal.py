"""How wide lines may be where people read them."""

from __future__ import annotations

import shutil
import sys

_WIDTH = 120  # where no terminal says how wide it is
_LEAST = 40  # below it a wrapped sentence is not read either


def width() -> int:
    """The columns of the terminal on standard output, or 120."""
    fallback = (_WIDTH, 24)
    columns = shutil.get_terminal_size(fallback).columns if sys.stdout.isatty() else _WIDTH
    return max(_LEAST, columns)
