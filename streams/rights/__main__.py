"""Prints the page of the rights for the prefixes and the group of the settings: ``python -m streams.rights``."""

import sys

from streams.rights.page import page
from streams.settings import Settings

if __name__ == "__main__":
    sys.stdout.write(page(Settings()))
