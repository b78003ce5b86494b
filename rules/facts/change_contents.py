"""Facts that no condition needs: what the changes of a segment carry of its customers (`include` in a file).

They decide nothing, so no event that changes them makes a decision necessary.

See also: `rules.definitions.include` (the form), and `rules.profile.newest_texts` (the data and its bounds).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeGuard

import msgspec

from rules.event_names import CART_NAMES, PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED
from rules.events import Event
from rules.facts.base import Carry, Former, Key, Names, SlottedFact, including
from rules.facts.registry import FactRegistry
from rules.included_texts import carried_text, is_address_name
from rules.profile import newest_texts
from rules.profile.newest_texts import NewestValues
from rules.profile.profile import Profile
from rules.profile.short_ids import short_id
from rules.values import Json, Path, Real, path_of, read_property, resolve_path

_ONE_PRODUCT = frozenset({PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED})
_IDS = ("product_id", "id", "sku")
_TEXT_BYTES = 60
_ENTRY_BYTES = 24


class ProductTextsFact(msgspec.Struct, frozen=True):
    """The newest text of some fields of each product in cart events; a profile has one such fact.

    ``own_hosts``: those to which addresses may lead.
    """

    fields: tuple[str, ...]
    own_hosts: frozenset[str]

    @staticmethod
    def require(facts: FactRegistry, field: str, own_hosts: frozenset[str]) -> int:
        """Require the texts of a field. Returns its place among the texts of a profile."""
        return facts.require(ProductTextsFact((field,), own_hosts)).fields.index(field)

    @property
    def key(self) -> Key:
        return (ProductTextsFact,)

    @property
    def names(self) -> Names:
        return CART_NAMES

    @property
    def bytes_most(self) -> int:
        return len(self.fields) * newest_texts.PRODUCTS_MAX * (_ENTRY_BYTES + _TEXT_BYTES)

    def placed(self, slot: int) -> ProductTextsFact:  # noqa: ARG002 (a profile has one)
        return self

    def widened(self, wish: ProductTextsFact) -> ProductTextsFact:
        return ProductTextsFact(including(self.fields, wish.fields), self.own_hosts)

    def make_room(self, profile: Profile) -> None:
        profile.product_texts += [{} for _ in self.fields]

    def apply(self, profile: Profile, event: Event) -> bool:
        if event.items is None:
            return False
        columns = _columns(self.fields)
        for item, fields in zip(event.items, _products(event), strict=False):
            for place, field, path, is_address in columns:
                value = fields.get(field) if path is None else resolve_path(fields, path)
                if value is None:
                    continue
                text = carried_text(value, self.own_hosts, is_address=is_address)
                if text is not None:
                    newest_texts.note_text(profile.product_texts[place], item.product, (event.time, text))
        return False

    def merge(self, profile: Profile, other: Profile) -> None:
        for mine, theirs in zip(profile.product_texts, other.product_texts, strict=True):
            newest_texts.note_texts(mine, theirs)

    def carrying(self, former: Former) -> Carry | None:
        was = former.get(self.key)
        if not isinstance(was, ProductTextsFact):
            return None
        places = [(was.fields.index(field), self.fields.index(field)) for field in self.fields if field in was.fields]

        def carry(old: Profile, new: Profile) -> None:
            for source, target in places:
                new.product_texts[target] = {
                    product: (time, text)
                    for product, (time, text) in old.product_texts[source].items()
                    if _may_stay(text, self.fields[target], self.own_hosts)
                }

        return carry

    def missing_history(self, former: Former) -> bool:  # noqa: ARG002 (no membership depends on it)
        return False


@lru_cache(maxsize=64)
def _columns(fields: tuple[str, ...]) -> tuple[tuple[int, str, Path | None, bool], ...]:
    """The place of each field, its name, its path where it is within others, and whether it holds addresses."""
    return tuple(
        (place, field, path_of(field) if "." in field else None, is_address_name(field))
        for place, field in enumerate(fields)
    )


class NewestValuesFact(SlottedFact, frozen=True):
    """Values of the newest event of some names; of a trait, of the newest identify that sets it or takes it back.

    ``paths``: those of the values; ``of_trait``: whether they are of traits, of which one fact has one.
    """

    names: Names
    paths: tuple[Path, ...]
    own_hosts: frozenset[str]
    of_trait: bool = False

    @property
    def key(self) -> Key:
        return NewestValuesFact, self.of_trait, self.names, self.paths

    @property
    def bytes_most(self) -> int:
        return _ENTRY_BYTES + len(self.paths) * _TEXT_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[NewestValues | None]:
        return profile.newest_values

    @staticmethod
    def empty() -> None:
        return None

    def apply(self, profile: Profile, event: Event) -> bool:
        fields = event.traits.fields if self.of_trait else event.properties.fields
        if self.of_trait and self.paths[0][0] not in fields:
            return False
        read = resolve_path if self.of_trait else read_property
        values = tuple(
            carried_text(read(fields, path), self.own_hosts, is_address=is_address_name(path[-1]))
            for path in self.paths
        )
        newest = event.time, short_id(event.id), values
        profile.newest_values[self.slot] = newest_texts.newer_values(profile.newest_values[self.slot], newest)
        return False

    def merge(self, profile: Profile, other: Profile) -> None:
        mine, theirs = profile.newest_values[self.slot], other.newest_values[self.slot]
        profile.newest_values[self.slot] = newest_texts.newer_values(mine, theirs)

    def carrying(self, former: Former) -> Carry | None:
        """Carry over the values that the former fact had of the same events; the others come with the next event."""
        of_same = (fact for fact in former.values() if self._is_of_same_events(fact))
        best = max(of_same, key=lambda fact: len(set(fact.paths) & set(self.paths)), default=None)
        if best is None or not set(best.paths) & set(self.paths):
            return None
        source, target = best.slot, self.slot
        places = [best.paths.index(path) if path in best.paths else None for path in self.paths]

        def carry(old: Profile, new: Profile) -> None:
            stored = old.newest_values[source]
            if stored is not None:
                values = tuple(None if place is None else stored[2][place] for place in places)
                new.newest_values[target] = *stored[:2], tuple(map(self._staying, values, self.paths))

        return carry

    def _is_of_same_events(self, fact: object) -> TypeGuard[NewestValuesFact]:
        return isinstance(fact, NewestValuesFact) and (fact.of_trait, fact.names) == (self.of_trait, self.names)

    def _staying(self, text: str | None, path: Path) -> str | None:
        return text if text is not None and _may_stay(text, path[-1], self.own_hosts) else None

    def missing_history(self, former: Former) -> bool:  # noqa: ARG002 (no membership depends on it)
        return False


def _may_stay(text: str, field: str, own_hosts: frozenset[str]) -> bool:
    """Whether a text that a former file stored may be carried by the next one, which may have other hosts."""
    return carried_text(text, own_hosts, is_address=is_address_name(field)) is not None


def _products(event: Event) -> list[dict[str, Json]]:
    """The fields of each product of an event, in the order of its items (`streams.wire.shop` makes those)."""
    fields = event.properties.fields
    products = fields.get("products")
    if products is None:
        return [fields] if event.name in _ONE_PRODUCT else []
    members = [product for product in products if isinstance(product, dict)] if isinstance(products, list) else []
    if isinstance(products, dict):
        members = [products]
    is_alone = event.name in _ONE_PRODUCT and (not members or any(_is_id(fields.get(name)) for name in _IDS))
    return [fields] if is_alone else members


def _is_id(value: Json) -> bool:
    """Whether a value is an id: text that is not blank, or an integer, also where it is written as 1001.0."""
    if isinstance(value, Real):
        whole, _, part = value.partition(".")
        return whole.lstrip("-").isdigit() and bool(part) and not part.strip("0")
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    return isinstance(value, int) and not isinstance(value, bool)
