"""The alternative programs of the benchmark: built or installed once, started, read, and ended.

However this process ends, none of these programs stays.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local import kafka_jars
from local.reaper import Reaper

SOURCES = Path(__file__).parent / "peer_sources"
ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache"
JAVA_PEER = SOURCES / "kafka-streams"
QUIX_PIN = "quixstreams==3.28.1"
SILENT_MAX_S = 300.0

_reaper = Reaper()


@contextmanager
def running(command: Callable[[str], list[str]]) -> Iterator[subprocess.Popen[str]]:
    """Run a peer's process with a folder of its own; both are gone afterwards, however this process ends."""
    folder = tempfile.mkdtemp(prefix="segmenter-peer-")
    process = subprocess.Popen(
        command(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    _reaper.watch(process.pid, Path(folder))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        _reaper.forget(process.pid)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def java_running(broker: str, arguments: Sequence[str], *prefixes: str) -> Iterator[subprocess.Popen[str]]:
    """Run the Java program; ``arguments``: guarantee, threads, commit interval (ms)."""
    heap = ("-Xmx2g", "-Xms2g", "-XX:+UseParallelGC")
    java = ["java", *heap, "-Dlog4j2.level=WARN", "-cp", f"{java_peer()}/*", "peer.Peer", broker]
    with running(lambda folder: [*java, folder, *arguments, *prefixes]) as process:
        yield process


def await_line(process: subprocess.Popen[str], awaited: str) -> str:
    """Wait for a line that begins with ``awaited``. A peer that prints nothing for too long is ended."""
    assert process.stdout is not None
    late = threading.Timer(SILENT_MAX_S, process.kill)
    late.start()
    try:
        for line in process.stdout:
            if line.startswith(awaited):
                return line
    finally:
        late.cancel()
    raise RuntimeError(f"the peer ended, or was ended after {SILENT_MAX_S:g} s, before it said {awaited!r}")


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def java_peer() -> Path:
    """The folder of the Java program's jars, built by Maven if its sources are newer."""
    built = CACHE / "kafka-streams"
    jars = built / "jars"
    sources = sorted(path for path in JAVA_PEER.rglob("*") if path.is_file())
    stamp, wanted = built / "stamp", "".join(path.read_text() for path in sources)
    if not stamp.exists() or stamp.read_text() != wanted:
        print("building the Kafka Streams program with Maven (70 MB, once) …", file=sys.stderr, flush=True)
        shutil.rmtree(built, ignore_errors=True)
        shutil.copytree(JAVA_PEER, built)
        goals = ["package", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
        kafka_jars.run(["mvn", "-q", "-B", "--strict-checksums", "-f", str(built / "pom.xml"), *goals], 600.0)
        shutil.copy(built / "target" / "peer.jar", jars)
        stamp.write_text(wanted)
    return jars


def quix_python() -> Path:
    """The interpreter of an environment with Quix Streams, which is made if it does not exist."""
    venv = CACHE / "quix"
    python = venv / "bin" / "python"
    if not (venv / QUIX_PIN).exists():
        print(f"installing {QUIX_PIN} into {venv.relative_to(ROOT)} …", file=sys.stderr, flush=True)
        kafka_jars.run([sys.executable, "-m", "venv", "--clear", str(venv)], 120.0)
        kafka_jars.run([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", QUIX_PIN], 600.0)
        (venv / QUIX_PIN).touch()
    return python
