"""The lines that give a user its rights, for Redis and for `kafka-acls`, by the prefixes and the group of the settings.

See also `streams.rights.process_rights` for the list from which they are made.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.kafka import transactional_ids
from streams.rights.process_rights import TRIGGERS_PROCESS, Needs, User
from streams.settings import Settings, of_triggers

# Commands that the client of a Redis Cluster sends to each node, in addition to the others.
CLUSTER = ("cluster|slots", "command")


class KafkaRight(msgspec.Struct, frozen=True):
    """Operations on resources of a kind, as ``kafka-acls`` names them; ``is_prefix``: the names are prefixes."""

    kind: str
    names: tuple[str, ...]
    operations: tuple[str, ...]
    is_prefix: bool = False


def of_kafka(needs: Needs, settings: Settings) -> Iterator[KafkaRight]:
    """The rights in Kafka: topics, grouped by their operations, then the groups and their transactional ids."""
    together: dict[tuple[str, ...], list[str]] = {}
    by_topic: dict[str, list[str]] = {}
    for operation, names in needs.topics.rights().items():
        for name in names:
            by_topic.setdefault(settings.topic_prefix + name, []).append(operation)
    for topic, operations in by_topic.items():
        together.setdefault(tuple(operations), []).append(topic)
    for operations_of_all, topics in together.items():
        yield KafkaRight("topic", tuple(topics), operations_of_all)
    for owner in needs.owns:
        group = _of_owner(settings, owner).group
        yield KafkaRight("group", (group,), ("READ",))
        transactions = transactional_ids.beginning(group, settings.topic_prefix)
        yield KafkaRight("transactional-id", (transactions,), ("WRITE",), is_prefix=True)


def of_redis(needs: Needs, settings: Settings, *, tells_reading: bool = True) -> list[str]:
    """The rules of ``ACL SETUSER``, keys first. ``tells_reading`` is false for Redis 6.2, which has no ``%R~``."""
    read = "%R~" if tells_reading else "~"
    keys = [f"~{_keys(settings, owner)}" for owner in needs.owns]
    keys += [f"{read}{_keys(settings, owner)}" for owner in needs.looks_at]
    return [*keys, *(f"+{command}" for command in sorted(needs.commands))]


def _of_owner(settings: Settings, owner: str) -> Settings:
    return of_triggers(settings) if owner == TRIGGERS_PROCESS else settings


def _keys(settings: Settings, owner: str) -> str:
    """The pattern of an owner's keys; each of them has the hash tag of a partition."""
    prefix = _of_owner(settings, owner).redis_prefix
    escaped = "".join(f"\\{character}" if character in "*?[]\\" else character for character in prefix)
    return f"{escaped}{{p*"


def acl_line(user: User, settings: Settings, *, tells_reading: bool = True) -> str:
    """The line for ``redis-cli`` that creates the user."""
    rules = of_redis(user.needs, settings, tells_reading=tells_reading)
    return f"ACL SETUSER {user.name} reset on >PASSWORD {' '.join(rules)}"


def kafka_lines(user: User, settings: Settings) -> Iterator[str]:
    """The commands of ``kafka-acls`` that give the user its rights."""
    for right in of_kafka(user.needs, settings):
        operations = " ".join(f"--operation {_named(operation)}" for operation in right.operations)
        names = " ".join(f"--{right.kind} {name}" for name in right.names)
        prefixed = " --resource-pattern-type prefixed" if right.is_prefix else ""
        yield f"kafka-acls --add --allow-principal User:{user.name} {operations} {names}{prefixed}"


def _named(operation: str) -> str:
    """The name of an operation in ``kafka-acls``: DescribeConfigs for DESCRIBE_CONFIGS."""
    return operation.title().replace("_", "")
