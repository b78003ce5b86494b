"""Sets the wall clock of a Python process off: on its path, this module is loaded before any other.

Only the results of ``time.time`` and ``time.time_ns`` are changed, by the seconds in the file that ``SKEW_FILE`` names,
which may change while the process runs.
"""

import os
import time
from pathlib import Path

_file = Path(os.environ["SKEW_FILE"])
_time_ns = time.time_ns


def _skewed_ns() -> int:
    return _time_ns() + int(_file.read_text()) * 1_000_000_000


time.time_ns = _skewed_ns
time.time = lambda: _skewed_ns() / 1e9
