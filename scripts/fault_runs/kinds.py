"""The interface of faults: a name, the action on a scene, and the permitted consequences.

The sentences with which workers may stop are listed with the fault that may cause them; a sentence that must come is
awaited by the fault itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fault_runs.scene import Scene

__all__ = ["KAFKA_AWAY", "KINDS", "REDIS_AWAY", "REDIS_FORGOT", "FaultKind", "kind"]

NEWER_OWNER = "newer owner"
REDIS_AWAY = (r"^Redis failed", r"^claiming failed", r"^claiming took over", NEWER_OWNER)
REDIS_FORGOT = (
    *REDIS_AWAY, "was changed by someone else or Redis lost its last writes", "Redis no longer knows the claim",
    "a claim was lost while it was made",
)  # fmt: skip
KAFKA_AWAY = (
    r"^publishing failed", r"^claiming failed", r"^claiming took over", "does not answer", "did not answer",
    "were not fetched", NEWER_OWNER, "^Kafka fenced this process's producer of partition", "^Kafka cannot be reached",
    "^nothing was claimed",
)  # fmt: skip


class FaultKind(NamedTuple):
    """A fault. ``quick``: part of CI. ``audited``: the run settles, and is audited afterwards."""

    name: str
    about: str
    act: Callable[[Scene], None]
    stops: tuple[str, ...] = (NEWER_OWNER,)
    through: str = ""
    redis: Mapping[str, Any] = {}
    settings: Mapping[str, object] = {}
    quick: bool = True
    audited: bool = True


KINDS: dict[str, FaultKind] = {}


def kind(name: str, about: str, **more: Any) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Add a fault to the catalogue."""

    def enter(act: Callable[[Scene], None]) -> Callable[[Scene], None]:
        KINDS[name] = FaultKind(name, about, act, **more)
        return act

    return enter
