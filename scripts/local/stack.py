"""Starts and ends a local Kafka and Redis.

One process holds the servers, and a lock for as long as it lives. The process id in the state file is trusted only
while the lock is held; `down` ends that process and nothing else.

    eval "$(scripts/stack up)"      SEGMENTER_BROKERS and SEGMENTER_REDIS are set, what is up already stays
    scripts/stack status            the same two lines, exit 1 if it is down
    scripts/stack down              ends both; their data are gone
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypedDict

from local import kafka_jars
from local import servers as local
from local.server_process import Server, StartError

CACHE = Path(__file__).resolve().parent.parent.parent / ".cache" / "stack"
LOCK, STATE, LOG = CACHE / "lock", CACHE / "state.json", CACHE / "log"
UP_S = 120.0
DOWN_S = 30.0
LOCK_S = 2.0  # a check whether the lock is held takes it for a moment
POLL_S = 0.05


class StackState(TypedDict):
    """The state that the holding process wrote once both servers answered."""

    pid: int
    broker: str
    brokers: str
    redis: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/stack", description="A local Kafka and Redis.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up_parser = verbs.add_parser("up", help="start both, print the environment that finds them")
    up_parser.add_argument("--broker", choices=("tansu", "kafka"), help="default: tansu, up at once, memory only")
    up_parser.add_argument("--foreground", action="store_true", help="hold them here until Ctrl-C")
    verbs.add_parser("down", help="end both and drop their data")
    verbs.add_parser("status", help="print the environment, or exit 1")
    choice = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        if choice.verb == "up":
            return up(choice.broker, foreground=choice.foreground)
        return down() if choice.verb == "down" else status()
    except StartError as error:
        return complain(str(error))


def up(broker: str | None, *, foreground: bool) -> int:
    """Start the stack, or print the addresses of the one that is up."""
    if state := running():
        if broker not in {None, state["broker"]}:
            return complain(f"it is up with {state['broker']}; run `scripts/stack down` first")
        return show(state)
    broker = broker or "tansu"
    if broker == "kafka":
        kafka_jars.fetch()  # here, where its progress is visible
    return hold(broker) if foreground else start_holder(broker)


def down() -> int:
    """End the process that holds the servers; they end with it."""
    if not (state := running()):
        complain("it is not up")
        return 0
    os.kill(state["pid"], signal.SIGTERM)
    if wait_for(lambda: not is_up(), DOWN_S):
        return 0
    os.kill(state["pid"], signal.SIGKILL)  # its reaper ends the servers
    return complain(f"process {state['pid']} had to be killed")


def status() -> int:
    """Print the environment of the stack that is up."""
    if state := running():
        return show(state)
    return complain("it is not up")


def hold(broker: str) -> int:
    """Hold both servers until a signal comes or one of them ends."""
    if not wait_for(lambda: take_lock() is not None, LOCK_S):
        return complain("another one is coming up at this moment")
    STATE.unlink(missing_ok=True)  # the state of a holder that was killed
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    with local.Redis(aof=True) as redis, local.Tansu() if broker == "tansu" else local.Kafka() as kafka:
        servers: tuple[Server, ...] = (redis, kafka)
        state = StackState(pid=os.getpid(), broker=broker, brokers=kafka.address, redis=redis.url)
        write(state)
        show(state)
        try:
            while all(server.running for server in servers):
                time.sleep(POLL_S)
        finally:
            STATE.unlink(missing_ok=True)
        ended = next(server for server in servers if not server.running)
        return complain(f"{ended.name} ended by itself:\n{ended.log_tail()}")


def start_holder(broker: str) -> int:
    """Start `hold` as a process of its own, which outlives this one."""
    with LOG.open("wb") as log:
        holder = subprocess.Popen(
            [sys.executable, "-m", "local.stack", "up", "--foreground", "--broker", broker],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that a closed terminal does not end it
        )
    wait_for(lambda: running() is not None or holder.poll() is not None, UP_S)
    if state := running():
        return show(state)
    holder.terminate()
    return complain(f"it did not come up; the log says:\n{LOG.read_text(errors='replace')}")


def running() -> StackState | None:
    """The state of the stack that is up; None if there is none."""
    if not is_up() or not STATE.exists():
        return None
    state: StackState = json.loads(STATE.read_text())
    return state


def write(state: StackState) -> None:
    """Replace the state file in one step."""
    incoming = STATE.with_suffix(".incoming")
    incoming.write_text(json.dumps(state))
    incoming.rename(STATE)


def is_up() -> bool:
    """Whether the process that holds the stack lives."""
    if (lock := take_lock()) is None:
        return True
    os.close(lock)
    return False


def take_lock() -> int | None:
    """The lock as an open file, held until it is closed or this process ends; None if another has it."""
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def show(state: StackState) -> int:
    """Print the environment in which `segmenter` finds the stack."""
    print(f"export SEGMENTER_BROKERS={state['brokers']}")
    print(f"export SEGMENTER_BROKER={state['broker']}")
    print(f"export SEGMENTER_REDIS={state['redis']}", flush=True)
    return 0


def complain(sentence: str) -> int:
    print(f"stack: {sentence}", file=sys.stderr)
    return 1


def wait_for(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for a condition; whether it became true in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
