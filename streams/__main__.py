"""``python -m streams`` is ``segmenter``."""

from streams.cli.main import main

main()
