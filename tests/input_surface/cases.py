"""All cases of the input surface."""

from collections.abc import Iterator
from typing import Final

from tests.input_surface import carts, names, numbers, orders, surface
from tests.input_surface.model import Case

MODULES: Final = (numbers, orders, carts, names, surface)


def all_cases() -> Iterator[Case]:
    """Every case, each with a name of its own."""
    for module in MODULES:
        yield from module.cases()
