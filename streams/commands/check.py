"""``segmenter check``: is a segments file right, and if not, where."""

from __future__ import annotations

from streams.definitions_file import load
from streams.settings import Settings


def run(settings: Settings, file: str | None) -> int:
    """Raises `rules.definitions.DefinitionsError`, whose text is the answer."""
    path = file or settings.definitions
    definitions = load(path)
    name = "rules/segments.yaml (built in)" if path is None else str(path)
    print(f"{name}: {len(definitions.segments)} segments, fingerprint {definitions.fingerprint}")
    for segment in definitions.segments:
        print(f"  {segment.key}  {segment.title}  ({segment.fingerprint})")
    return 0
