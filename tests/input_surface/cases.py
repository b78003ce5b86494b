"""All cases of the input surface."""

from collections.abc import Iterator
from typing import Final

from tests.input_surface import attributes, carts, contexts, ids, names, numbers, orders, surface, times
from tests.input_surface.model import Case

MODULES: Final = (numbers, orders, carts, names, surface, ids, times, attributes, contexts)


def all_cases() -> Iterator[Case]:
    """Every case, each with a name of its own."""
    for module in MODULES:
        yield from module.cases()
