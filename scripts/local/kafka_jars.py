"""Apache Kafka as jars: fetched by Maven, formatted and started by Java.

A folder of jars is either complete or absent, also when several processes fetch it at the same time.
"""

import base64
import fcntl
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from local.server_process import HOST, StartError

__all__ = ["FOLDER", "fetch", "format_storage", "java", "missing", "run", "server_properties"]

VERSION = "4.1.0"
LOG4J_VERSION = "2.24.3"  # the version of Kafka's own; without its slf4j binding the broker logs nothing
JAVA_OLDEST = 17  # Kafka 4 brokers: KIP-1013
FETCH_S = 600.0  # 54 MB; ten seconds on a good line
FETCH_TRIES = 3
FORMAT_S = 60.0
FOLDER = Path(__file__).resolve().parent.parent.parent / ".cache" / "kafka" / "lib"


def _dependency(group: str, artifact: str, version: str) -> str:
    names = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
    return f"<dependency>{names}</dependency>"


POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    {_dependency("org.apache.kafka", "kafka_2.13", VERSION)}
    {_dependency("org.apache.kafka", "kafka-tools", VERSION)}
    {_dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION)}
  </dependencies>
</project>
"""


def missing(jars: Path = FOLDER) -> str | None:
    """A sentence on what is missing to start Kafka; None: it can start."""
    if (version := _java_version()) is None:
        return f"Apache Kafka needs Java {JAVA_OLDEST} or later (apt-get install default-jre-headless)"
    if version < JAVA_OLDEST:
        return f"Apache Kafka {VERSION} needs Java {JAVA_OLDEST} or later; this one is {version}"
    if not _complete(jars) and shutil.which("mvn") is None:
        return "Apache Kafka's jars are fetched by Maven, which is not installed (apt-get install maven)"
    return None


def fetch(jars: Path = FOLDER) -> None:
    """Fetch Kafka's jars (54 MB) into `jars` by Maven, unless they are there."""
    if _complete(jars):
        return
    if reason := missing(jars):
        raise StartError(reason)
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(jars):
            _fetch(jars)


def _fetch(jars: Path) -> None:
    """Fetch into a folder beside, and rename it at the end: a folder of that name is always complete."""
    print(f"fetching Apache Kafka {VERSION} with Maven (54 MB, once) …", file=sys.stderr, flush=True)
    pom, incoming = jars.parent / "pom.xml", jars.with_name(jars.name + ".incoming")
    pom.write_text(POM)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={incoming}", "-DincludeScope=runtime"]
    for stale in (incoming, jars):
        shutil.rmtree(stale, ignore_errors=True)
    for left in reversed(range(FETCH_TRIES)):
        try:
            run(["mvn", "-q", "-B", "--strict-checksums", "-f", str(pom), *goal], FETCH_S)
            break
        except StartError as error:
            if not left:
                raise
            print(f"{error}\nonce more …", file=sys.stderr, flush=True)
    (incoming / "pom.xml").write_text(POM)
    incoming.rename(jars)


def java(jars: Path, *words: str) -> Sequence[str]:
    """The command that runs one of Kafka's main classes, with the options that Kafka's own scripts take too."""
    quiet = ("-XX:-UsePerfData", "-Djava.awt.headless=true", "-Dlog4j2.level=WARN")
    options = os.environ.get("KAFKA_JVM_PERFORMANCE_OPTS", "").split()
    return ["java", *quiet, *options, "-cp", f"{jars}/*", *words]


def format_storage(jars: Path, config: Path) -> None:
    """Write the cluster id into an empty data folder, as KRaft requires before the first start."""
    # 22 characters of base64, of which the first is "L", since "-" would look like an option.
    cluster_id = "L" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
    tool = java(jars, "-Xmx128m", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool")
    run([*tool, "format", f"--cluster-id={cluster_id}", "-c", str(config)], FORMAT_S)


def server_properties(
    port: int, controller_port: int, data: Path, proxied: tuple[int, int] | None = None
) -> dict[str, str]:
    """The properties of one node on loopback, which starts and rebalances fast and keeps records of any timestamp.

    ``proxied``: another port to listen on, and that of the proxy to which its clients are sent.
    """
    behind, proxy = proxied or (0, 0)
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}"
        + (f",PROXIED://{HOST}:{behind}" if proxied else ""),
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}" + (f",PROXIED://{HOST}:{proxy}" if proxied else ""),
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",  # event times may be years old, and retention depends on them
        "broker.session.timeout.ms": "3000",  # the successor of a killed broker waits for this time
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
    }


def _complete(jars: Path) -> bool:
    pom = jars / "pom.xml"
    return pom.exists() and pom.read_text() == POM


def _java_version() -> int | None:
    if (command := shutil.which("java")) is None:
        return None
    output = subprocess.run([command, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    return int(number[1]) if (number := re.search(r'version "(\d+)', output)) else None


def run(command: Sequence[str], timeout_s: float) -> None:
    """Run a tool whose output matters only when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s, env=os.environ)
    except subprocess.TimeoutExpired as error:
        raise StartError(f"{command[0]} took longer than {timeout_s:g} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise StartError(f"{command[0]} failed with exit code {done.returncode}:\n{tail}")


if __name__ == "__main__":  # run before the tests, so that the download does not count as their time
    if reason := missing():
        print(f"note: {reason}", file=sys.stderr)
    else:
        fetch()
