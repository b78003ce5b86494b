"""Which variant of a message a customer gets: drawn from the customer's id, so that it is the same each time.

The one rule: who changes is as few as can be. Each variant has a score of the customer's own, and the highest wins
(rendezvous hashing with weights, Thaler and Ravishankar 1998), so a variant that is added takes customers from each of
the others and moves none between them. The order of the file does not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import sha256


def drawn(weights: Mapping[str, int], salt: str, customer: str) -> str:
    """The variant of a customer, "" where there is none; each is drawn as often as its weight says."""
    return max(sorted(weights), key=lambda name: _score(weights[name], f"{salt}\0{name}\0{customer}"), default="")


def _score(weight: int, text: str) -> float:
    digest = sha256(text.encode()).digest()
    # Between 0 and 1, and neither of them.
    share = (int.from_bytes(digest[:8], "big") + 0.5) / 2**64
    return -weight / math.log(share)
