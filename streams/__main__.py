"""``python -m streams`` is ``segmenter``."""

from streams.cli import main

main()
