"""All cases of the input surface."""

from collections.abc import Iterator
from typing import Final

from tests.input_surface import carts, numbers, orders
from tests.input_surface.model import Case

MODULES: Final = (numbers, orders, carts)


def all_cases() -> Iterator[Case]:
    """Every case, each with a name of its own."""
    for module in MODULES:
        yield from module.cases()
