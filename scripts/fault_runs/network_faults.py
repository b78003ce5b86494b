"""Faults of the network between the workers and Redis or Kafka, made by a proxy.

Bytes that pass are unchanged. A client that gets half an answer, none, or all of them late is not told.
"""

from collections.abc import Callable

from fault_runs.kinds import KAFKA_AWAY, KINDS, REDIS_AWAY, FaultKind, kind
from fault_runs.redis_faults import pause
from fault_runs.scene import Scene
from local.tcp_proxy import Proxy

AWAY = {"redis": REDIS_AWAY, "kafka": KAFKA_AWAY}
LATE_S = {"redis": 0.02, "kafka": 0.1}
AWAY_S = 3.0
QUICK = {"redis-lost-replies", "kafka-resets", "redis-shreds"}  # part of CI


def slow(scene: Scene, proxy: Proxy) -> None:
    """Delay all bytes for the rest of the run."""
    proxy.latency_s = LATE_S["redis" if proxy is scene.redis_proxy else "kafka"]
    pause(AWAY_S)


def shreds(scene: Scene, proxy: Proxy) -> None:  # noqa: ARG001  # all have one form
    """Pass bytes in small pieces for some seconds."""
    with proxy.shredding():
        pause(AWAY_S)


def down(scene: Scene, proxy: Proxy) -> None:
    """Refuse connections for some seconds."""
    with proxy.down():
        pause(scene.rng.uniform(0.5, AWAY_S))


def resets(scene: Scene, proxy: Proxy) -> None:
    """Cut connections again and again."""
    for _ in range(6):
        proxy.reset()
        pause(scene.rng.uniform(0.1, 0.8))


def lost_replies(scene: Scene, proxy: Proxy) -> None:
    """Lose replies, twice: requests arrive and are served, but their answers are lost."""
    for _ in range(2):
        with proxy.losing_replies():
            pause(scene.rng.uniform(0.2, AWAY_S))
        pause(0.5)


FAULTS: dict[str, Callable[[Scene, Proxy], None]] = {
    "slow": slow,
    "shreds": shreds,
    "down": down,
    "resets": resets,
    "lost-replies": lost_replies,
}


def between(server: str, name: str, fault: Callable[[Scene, Proxy], None]) -> FaultKind:
    """Make a fault in the middle of a history, between workers and this server."""

    def act(scene: Scene) -> None:
        scene.begin(2)
        scene.wait_applied(scene.rng.uniform(0.1, 0.6))
        proxy = scene.redis_proxy or scene.lane.proxy
        before = proxy.spoilt
        fault(scene, proxy)
        assert proxy.spoilt > before, "the fault met no connection"

    quick = f"{server}-{name}" in QUICK
    about = f"between workers and {server.capitalize()}: {(fault.__doc__ or '').rstrip('.').lower()}"
    return FaultKind(f"{server}-{name}", about, act, stops=AWAY[server], through=server, quick=quick)


for _server in AWAY:
    for _name, _fault in FAULTS.items():
        KINDS[f"{_server}-{_name}"] = between(_server, _name, _fault)


@kind(
    "kafka-resets-claims", "workers come and go while their connections to Kafka are cut", stops=KAFKA_AWAY,
    through="kafka", quick=False,
)  # fmt: skip
def resets_claims(scene: Scene) -> None:
    """Cut connections during claims, so that each step of a claim is cut sooner or later."""

    def cuts() -> None:
        for _ in range(10):
            pause(scene.rng.uniform(0.05, 0.8))
            scene.lane.proxy.reset()
            scene.crew.tend()

    scene.begin(2)
    scene.wait_applied(0.02)
    cuts()
    scene.crew.hire()
    cuts()
    scene.crew.end(scene.crew.members[0])
    cuts()
