"""The image and the compose file: no process is root, no port is open, and each started command exists.

Errors of building and starting are found here, as far as files show them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import parser as arguments
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
BUILT_SERVICES = [name for name, service in SERVICES.items() if service.get("build")]
# An instruction with its continued lines.
DOCKERFILE = [
    line.replace("\\\n", " ")
    for line in re.findall(r"^(?!#)\S(?:.*\\\n)*.*$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in DOCKERFILE if line.startswith(name + " ")]


def test_all_is_found() -> None:
    """The services are Kafka, Redis, the topics, a worker, and on demand what else there is."""
    assert set(SERVICES) - set(BUILT_SERVICES) == {"kafka", "redis", "postgres", "prometheus", "grafana"}
    assert BUILT_SERVICES == ["topics", "worker", "trigger-topics", "triggers", "ops", "gateway", "sink"]
    profiles = {name: SERVICES[name]["profiles"] for name in SERVICES if "profiles" in SERVICES[name]}
    assert [name for name, of in profiles.items() if of == ["triggers"]] == ["trigger-topics", "triggers"]
    assert [name for name, of in profiles.items() if of == ["monitoring"]] == ["ops", "prometheus", "grafana"]
    assert [name for name, of in profiles.items() if of == ["analysis"]] == ["sink", "postgres"]


def test_what_is_mounted_is_there() -> None:
    """Each file that a service mounts is in the checkout."""
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume[0] == "."]
    assert len(mounted) == 6
    for volume in mounted:
        assert (ROOT / volume.split(":")[0]).exists(), volume
        assert volume.endswith(":ro")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_the_least(name: str) -> None:
    """Services have no capability, gain none, have bounded processes, and are open to this machine alone."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 500
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not any("/var/run/docker.sock" in volume for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", [*BUILT_SERVICES, "redis"])
def test_what_needs_no_files_has_none_that_it_could_change(name: str) -> None:
    """Only temporary folders and Redis's data can be written."""
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name].get("tmpfs", []) == ([] if name == "redis" else ["/tmp"])


def test_nobody_is_root() -> None:
    """The image's last user is a number, which Kubernetes can see to be none of root's; Redis is told its own."""
    assert instructions("USER") == ["10001"]
    assert DOCKERFILE.index("USER 10001") > max(
        index for index, line in enumerate(DOCKERFILE) if line.startswith("FROM")
    )
    assert SERVICES["redis"]["user"] == "redis"
    assert not any("user" in SERVICES[name] for name in BUILT_SERVICES)


def test_every_image_is_one_version() -> None:
    """An image has an exact tag: `latest` and no tag are another image tomorrow."""
    named = [line.split()[0] for line in instructions("FROM")]
    named += [service["image"] for name, service in SERVICES.items() if name not in BUILT_SERVICES]
    assert len(named) == 7
    for image in named:
        # A version of PostgreSQL has two numbers.
        assert re.fullmatch(r"(postgres:\d+|[a-z/]+:v?\d+\.\d+)\.\d+[\w.-]*", image), image
    assert len({image for image in named if image.startswith("python:")}) == 1


def test_the_last_stage_has_no_tools() -> None:
    """What was fetched, built and checked is copied from the stage before; nothing is installed in the last."""
    last = DOCKERFILE[max(index for index, line in enumerate(DOCKERFILE) if line.startswith("FROM")) :]
    assert not any("pip" in line or "apt-get" in line for line in last)
    assert [line for line in last if line.startswith(("COPY", "ADD"))] == [
        "COPY --from=build /opt/segmenter /opt/segmenter"
    ]
    assert any("--require-hashes" in line for line in instructions("RUN"))


def test_what_is_copied_is_there_and_is_sent() -> None:
    """Each source of a COPY is in the repository and let through by .dockerignore; secrets and caches are not."""
    sources = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert sources
    sent = (ROOT / ".dockerignore").read_text().split()
    assert sent[1] == "*" or "*" in sent
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in sent, source


@pytest.mark.parametrize("name", BUILT_SERVICES)
def test_what_is_started_is_a_command(name: str) -> None:
    """The command line takes each service's words, and its variables are settings."""
    arguments.parser().parse_args(SERVICES[name]["command"].split())
    given = SERVICES[name]["environment"]
    Settings(**{variable.removeprefix("SEGMENTER_").lower(): value for variable, value in given.items()})
    # BOT_SECRET is a variable of the example file.
    variables = {f"SEGMENTER_{field.upper()}" for field in Settings.model_fields} | {"BOT_SECRET", "SHOP_KEY"}
    assert set(given) <= variables
    assert not any("PASSWORD" in variable for variable in given)
    assert instructions("ENTRYPOINT") == ['["segmenter"]']


def test_redis_forgets_nobody() -> None:
    """Redis does not evict, which a worker would refuse, and keeps its data on disk."""
    words = SERVICES["redis"]["command"]
    assert "--maxmemory-policy noeviction" in words
    assert "--appendonly yes" in words
