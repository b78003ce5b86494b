"""The form of a segment's key, by which its file, its changes and other segments name it."""

from __future__ import annotations

import re

KEY = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
KEY_PATTERN = f"^{KEY.pattern}$"  # for a JSON Schema
