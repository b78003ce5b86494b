"""The demo: real shop events of one night, shifted so that they end a minute from now, decided live.

Nothing is simulated: the events are those of the data set, the broker, Redis and worker are real processes on this
machine, and every figure of the summary was measured in this run.
"""

import argparse
import contextlib
import json
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer
from rich.console import RenderableType
from rich.table import Table

from demos import shop
from demos import triggers as demo_triggers
from load import rees46
from local import servers
from local.environment import export_lines
from local.processes import Worker
from rules.engine import Engine
from rules.times import DAY_MS, format_instant, parse_instant
from streams.cli import terminal
from streams.cli.publish import LinePublisher
from streams.cli.tail import line
from streams.kafka import admin
from streams.offline.replay import Replay, read
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.wire import changes
from streams.wire.topics import CHANGES, DEAD_LETTERS

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "data" / "rees46-2019-10-01.csv.gz"
DEFINITIONS = ROOT / "rules" / "demo.yaml"
TRUE_WINDOWS = ROOT / "scripts" / "load" / "four_segments.yaml"
LIVE_MS = 60_000
SHOWN_OF_HISTORY = 12
LAST_CHANGES_S = 4.0

console = terminal.console()


def say(shown: RenderableType) -> None:
    """Print for people: a terminal gets lines that fit, anything else gets each line whole."""
    console.print(shown, soft_wrap=not console.is_terminal)


def say_command(command: str) -> None:
    """Print a line that a reader pastes, which is never broken."""
    console.print(f"  {command}", soft_wrap=True, markup=False)


def events() -> list[dict[str, Any]]:
    with rees46.open_csv(str(DATA)) as lines:
        return rees46.events(lines)


def time_of(event: dict[str, Any]) -> int:
    time_ms = parse_instant(event["timestamp"])
    assert time_ms is not None
    return time_ms


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def embedded() -> Iterator[dict[str, Any]]:
    """Run the embedded broker and a Redis; both are removed afterwards."""
    with servers.Tansu() as broker, servers.Redis(aof=True) as redis:
        say(f"broker     {broker.address} (Tansu, Kafka-compatible, in memory)")
        say(f"Redis      {redis.address}")
        yield {"brokers": broker.address, "redis": redis.url, "broker": "tansu", "session_timeout_s": 2}


@contextlib.contextmanager
def compose(keep: bool) -> Iterator[dict[str, Any]]:
    """Run Kafka and Redis of docker-compose.yml, without its worker: this one prints its log here."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        sys.exit("demo: no Docker engine answers; start one, or run scripts/demo without --docker")
    subprocess.run(["docker", "compose", "up", "--detach", "--wait", "kafka", "redis"], cwd=ROOT, check=True)
    run = f"demo{now_ms()}"
    try:
        yield {
            "brokers": "127.0.0.1:9092",
            "redis": "redis://127.0.0.1:6379/0",
            "topic_prefix": f"{run}-",
            "redis_prefix": f"{run}:",
            "group": run,
        }
    finally:
        if not keep:
            subprocess.run(["docker", "compose", "stop", "kafka", "redis"], cwd=ROOT, check=False)


class Watch(threading.Thread):
    """Reads the outputs as any consumer does, shows each change, and collects values for the summary."""

    def __init__(self, settings: Settings, live_from: int, *, every: bool) -> None:
        super().__init__(daemon=True)
        self._topics = [settings.topic_prefix + name for name in (CHANGES, DEAD_LETTERS)]
        self._brokers = settings.brokers
        self._grace_ms = settings.grace_ms
        self._live_from = live_from
        self._every = every
        self._hidden = 0
        self.measured_from = now_ms() + DAY_MS  # set once the worker is ready, as its start is no delay
        self.done = threading.Event()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.dead_letters = 0
        self.delays: list[float] = []
        self.lateness: list[float] = []

    def run(self) -> None:
        consumer: Any = KafkaConsumer(
            *self._topics, bootstrap_servers=self._brokers, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        while not self.done.is_set():
            for batch in consumer.poll(timeout_ms=100).values():
                now = time.time() * 1000
                for record in batch:
                    self._take(record, now)
        consumer.close()

    def _take(self, record: Any, now: float) -> None:
        if record.topic == self._topics[1]:
            self.dead_letters += 1
            return
        change = changes.decode(record.value)
        self.counts[change.segment, change.change] += 1
        occurred = parse_instant(change.occurred_at) or 0
        if occurred >= self.measured_from and change.cause.kind == "event":
            self.delays.append(now - occurred)
        elif occurred >= self.measured_from:
            self.lateness.append(now - occurred - self._grace_ms)
        self._show(change, live=occurred >= self._live_from)

    def _show(self, change: changes.SegmentChange, *, live: bool) -> None:
        if live or self._every or sum(self.counts.values()) <= SHOWN_OF_HISTORY:
            if self._hidden and live:
                say(f"[dim]… and {self._hidden} more of the three hours before now (--all shows them)[/]")
                self._hidden = 0
            say(line(change))
        else:
            self._hidden += 1


def send_live(publisher: LinePublisher, waiting: Sequence[dict[str, Any]]) -> None:
    """Send each event at its own timestamp."""
    for event in waiting:
        time.sleep(max(0.0, (time_of(event) - now_ms()) / 1000))
        publisher.send(json.dumps(event, ensure_ascii=False).encode())


def year_later(original: Sequence[dict[str, Any]]) -> Table:
    """Replay the same events and segments under the library's windows, to a year after them."""
    lines = [json.dumps(event).encode() for event in original]
    replay = Replay(Engine(load(TRUE_WINDOWS))).run(read(lines, print), time_of(original[-1]) + 365 * DAY_MS)
    counts = Counter((change.segment, str(change.kind)) for change in replay)
    return table(
        "the same four under their true windows (scripts/load/four_segments.yaml), replayed to a year later", counts
    )


def table(title: str, counts: Counter[tuple[str, str]]) -> Table:
    shown = Table(title=title, title_justify="left", title_style="bold")
    for column in ("segment", "entered", "exited"):
        shown.add_column(column, justify="left" if column == "segment" else "right")
    for segment in sorted({segment for segment, _ in counts}):
        shown.add_row(segment, str(counts[segment, "entered"]), str(counts[segment, "exited"]))
    return shown


def percentiles(delays: Sequence[float]) -> str:
    if not delays:
        return "none in this minute"
    ordered = sorted(delays)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(ordered)} changes"


def run(parts: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Publish the history, then the last minute at its own pace. The worker starts in between and has to catch up."""
    say("[bold]rules/demo.yaml: four segments of the library with short windows[/], as the data covers three hours")
    say("idle 5m, until 20m · gap 5m, returning 15m · recently 10m · repeat 15m")
    settings = Settings(**parts, definitions=DEFINITIONS)
    admin.create(settings)
    original = events()
    shift = now_ms() + LIVE_MS - time_of(original[-1])
    moved = [{**event, "timestamp": format_instant(time_of(event) + shift)} for event in original]
    live_from = now_ms()
    before = [event for event in moved if time_of(event) <= live_from]
    publisher = LinePublisher(settings)
    addresses = list(demo_triggers.identifies(moved)) if arguments.triggers else []
    for event in (*addresses, *before):
        publisher.send(json.dumps(event, ensure_ascii=False).encode())
    say(f"published  {len(before):,} events of the three hours before now")
    watch = Watch(settings, live_from, every=arguments.all)
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(Worker(settings.model_dump(exclude_none=True)))
        messages = stack.enter_context(demo_triggers.running(settings, say)) if arguments.triggers else None
        watch.start()
        sender = threading.Thread(target=send_live, args=(publisher, moved[len(before) :]), daemon=True)
        sender.start()
        worker.wait_ready()
        watch.measured_from = now_ms()
        say(f"worker     pid {worker.pid}, log {worker.log}\n")
        while sender.is_alive():
            sender.join(0.5)
            if worker.exit_code is not None:
                sys.exit(f"demo: the worker ended:\n{worker.tail()}")
        publisher.close()
        time.sleep(LAST_CHANGES_S)
        summary(watch, original)
        if messages is not None:
            say(messages.summary())
        hints(settings, arguments.keep)
        if arguments.keep:
            threading.Event().wait()
        watch.done.set()


def summary(watch: Watch, original: Sequence[dict[str, Any]]) -> None:
    say("")
    say(table("this demo, under short windows", watch.counts))
    say(year_later(original))
    say(f"events             {len(original):,} published, {watch.dead_letters} dead letters")
    say(f"event → change     {percentiles(watch.delays)}")
    say(f"due time → change  {percentiles(watch.lateness)} (beyond the grace of 1 s)")


def hints(settings: Settings, keep: bool) -> None:
    """Print commands for the next steps. Another shell needs the settings of this run to find the same servers."""
    if keep:
        say("\n[bold]left running; Ctrl-C ends it. In another terminal:[/]")
        names = ("brokers", "broker", "redis", "redis_password", "topic_prefix", "redis_prefix", "group", "definitions")
        for command in (
            f"cd {shlex.quote(str(ROOT))}",
            *export_lines(settings, names),
            ".venv/bin/segmenter tail --from-beginning --count 20",
            ".venv/bin/segmenter explain 550121407",
        ):
            say_command(command)
    else:
        say("\n[bold]try next[/]")
        say_command("scripts/demo --keep  # and then: segmenter tail, explain, publish")
        say_command(".venv/bin/segmenter check rules/segments.yaml")
        say_command(
            ".venv/bin/python scripts/load/rees46.py data/rees46-2019-10-01.csv.gz | .venv/bin/segmenter replay -"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Real shop events, segment changes live, in about 70 seconds.")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--all", action="store_true", help="show every change of the history too")
    parser.add_argument("--triggers", action="store_true", help="and the messages that they start, received here")
    parser.add_argument("--shop", action="store_true", help="a shop to click through, until Ctrl-C")
    parser.add_argument("--docker", action="store_true", help="Kafka and Redis from docker-compose.yml")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with compose(arguments.keep) if arguments.docker else embedded() as parts:
            if arguments.shop:
                shop.show(parts, say, say_command)
            else:
                run(parts, arguments)
    except KeyboardInterrupt:
        say("ended")
    except servers.StartError as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
