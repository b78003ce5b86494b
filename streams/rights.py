"""The rights that each process and command needs of Kafka and of Redis, and the users that have them.

The one rule: this is the only list. Commands check the topics that it names (`streams.kafka.admin.verify`),
``docs/operations/rights.md`` is generated from it, and tests run every command as its user, which has no other right.

    python -m streams.rights        prints the page for the prefixes and the group of the settings

Each right is here because something fails without it. Rights that Kafka implies are not repeated: READ and WRITE of a
topic imply DESCRIBE, WRITE of any topic implies the idempotent producer, and WRITE of a transactional id implies
DESCRIBE. Long because it is one list, with the page that is generated from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce

import msgspec

from rules.events import INPUTS
from streams.kafka import transactional_ids
from streams.kafka.admin import TopicUse
from streams.settings import Settings, of_triggers
from streams.wire.topics import (
    ALL,
    CHANGES,
    DEAD_LETTERS,
    MERGES,
    OUTPUTS,
    READ,
    TRIGGER_DEAD_LETTERS,
    TRIGGER_OUTPUTS,
    TRIGGER_REPLAYS,
    WRITTEN,
)

_PROFILES = INPUTS[0]


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """The needs of a process or command.

    ``owns``: as which owner of partitions it runs, worker or triggers: that takes a Kafka group, transactions, and
    Redis keys to write. ``looks_at``: the owners whose Redis keys it reads. ``commands``: the Redis commands that it
    calls, within scripts and outside.
    """

    topics: TopicUse = TopicUse()
    owns: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()
    commands: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        """The needs of both together."""
        fields = TopicUse.__struct_fields__
        return Needs(
            topics=TopicUse(
                **{name: _union(getattr(self.topics, name), getattr(other.topics, name)) for name in fields}
            ),
            owns=_union(self.owns, other.owns),
            looks_at=_union(self.looks_at, other.looks_at),
            commands=self.commands | other.commands,
        )


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


WORKER, TRIGGERS_PROCESS = "worker", "triggers"

_SNAPSHOT = frozenset({"multi", "exec", "hgetall", "hmget", "zmscore"})
_STORED = _SNAPSHOT | {"lrange", "hget"}
# The commands of scripts, and of a process from its start to its end.
_OWNER = frozenset(
    {
        "evalsha", "script|load", "info", "time", "ping", "hget", "hgetall", "hmget", "hkeys", "hlen",
        "hset", "hsetnx", "hdel", "zadd", "zrem", "zrange", "zrangebyscore", "rpush", "lrange", "ltrim",
    }
)  # fmt: skip

NEEDS: Mapping[str, Needs] = {
    WORKER: Needs(
        topics=TopicUse(read=(*READ, CHANGES, DEAD_LETTERS), written=(MERGES, *OUTPUTS), limited=(MERGES, *OUTPUTS)),
        owns=(WORKER,),
        commands=_OWNER | {"hexists", "hscan"},
    ),
    TRIGGERS_PROCESS: Needs(
        topics=TopicUse(
            read=(_PROFILES, CHANGES, TRIGGER_REPLAYS, *TRIGGER_OUTPUTS),
            written=TRIGGER_OUTPUTS,
            limited=TRIGGER_OUTPUTS,
        ),
        owns=(TRIGGERS_PROCESS,),
        looks_at=(WORKER,),
        commands=_OWNER | {"multi", "exec", "zmscore", "llen"},
    ),
    "ops": Needs(
        topics=TopicUse(read=(CHANGES, DEAD_LETTERS)),
        looks_at=(WORKER,),
        commands=frozenset({"info", "ping", "multi", "exec", "hgetall", "hmget", "hscan"}),
    ),
    "tail": Needs(topics=TopicUse(read=(CHANGES,))),
    "explain": Needs(looks_at=(WORKER,), commands=_SNAPSHOT),
    "distribution": Needs(looks_at=(WORKER,), commands=frozenset({"multi", "exec", "hgetall", "hmget", "hscan"})),
    "verify": Needs(
        topics=TopicUse(read=(*READ, CHANGES)), looks_at=(WORKER,), commands=_SNAPSHOT | {"hscan", "lrange"}
    ),
    "diff": Needs(topics=TopicUse(read=INPUTS)),
    "export": Needs(topics=TopicUse(read=ALL), looks_at=(WORKER, TRIGGERS_PROCESS), commands=_STORED),
    "erase": Needs(
        topics=TopicUse(read=ALL, written=(_PROFILES,), limited=ALL),
        looks_at=(WORKER, TRIGGERS_PROCESS),
        commands=_STORED,
    ),
    "unlink": Needs(topics=TopicUse(written=(_PROFILES,)), looks_at=(WORKER,), commands=_STORED),
    "redeliver": Needs(topics=TopicUse(read=(TRIGGER_DEAD_LETTERS,), written=(TRIGGER_REPLAYS,))),
    "publish": Needs(topics=TopicUse(written=INPUTS)),
    "topics": Needs(topics=TopicUse(described=ALL, limited=tuple(n for n in ALL if n in WRITTEN), created=ALL)),
}
# Commands that use neither Kafka nor Redis; nor does `diff FILE`. `worker --rebuild` has the needs of a worker.
NEITHER = ("check", "replay")
# `doctor` runs as the user of the process that it checks, and needs nothing beyond the rights of that process.
AS_PROCESS = ("doctor",)


class User(msgspec.Struct, frozen=True):
    """A user with the same name in Kafka and in Redis; ``runs``: the commands that run as this user."""

    name: str
    runs: tuple[str, ...]
    about: str

    @property
    def needs(self) -> Needs:
        """The needs of all its commands together."""
        return reduce(Needs.__or__, (NEEDS[name] for name in self.runs))


USERS = (
    User("segmenter-worker", (WORKER,), "workers, with `--rebuild` and without"),
    User("segmenter-triggers", (TRIGGERS_PROCESS,), "triggers"),
    User("segmenter-ops", ("ops",), "the operations page, which writes nothing"),
    User(
        "segmenter-reader",
        ("tail", "explain", "distribution", "verify", "diff", "export"),
        "commands that write nothing",
    ),
    User(
        "segmenter-support",
        ("erase", "unlink", "redeliver"),
        "commands that ask a worker or triggers for something: they write to topics, and nothing to Redis",
    ),
    User("segmenter-publisher", ("publish",), "`publish`, or another producer of events that vouches for `profiles`"),
    User("segmenter-setup", ("topics",), "`topics create` and `topics verify`"),
)


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


# --- lines to be pasted ------------------------------------------------------------------------


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


# --- the page ----------------------------------------------------------------------------------

_HEAD = """<!-- Drawn from the code: python -m doc_tools.schemas -->

# Rights

Each process runs as a user of its own, of Kafka and of Redis, that may do what it needs and nothing else. The lines
are for the default names; `python -m streams.rights` prints this page for the prefixes and the group of your settings
(`SEGMENTER_TOPIC_PREFIX`, `SEGMENTER_GROUP`, `SEGMENTER_REDIS_PREFIX`). What a user lacks stops its process with
a sentence that names the right, and loses no event: give the right, then start it again.
"""
_COMMANDS = """
## What each needs

Whoever wants a user for each command finds here what it takes.

| command | user | reads | writes | Redis keys of |
|---|---|---|---|---|
"""
_COPY = """
`topics copy` reads the topics of one prefix and creates and writes those of another: run it as who administers Kafka.
`doctor` checks a process, so it runs as the user of that process and needs no further right.
"""
_REDIS = """
## Redis

For `redis-cli`, with a password in the place of PASSWORD; `segmenter-publisher` and `segmenter-setup` need no Redis.
Redis 6.2 knows no `%R~`: write `~` there. It tells users apart by commands alone then, so that triggers could write
what they only read; all others that read have no command that writes.
"""
_REDIS_AFTER = """
Of a Redis Cluster each user needs `{cluster}`, too, and of another database than 0 `+select`. `ACL SAVE` or
`CONFIG REWRITE` keeps users over a restart.
"""
_KAFKA = """
## Kafka

For Kafka's own `kafka-acls`; add `--bootstrap-server` and `--command-config`. They are for users of SASL; of
certificates the principal is what `ssl.principal.mapping.rules` makes of them. READ and WRITE imply DESCRIBE, and
WRITE of a topic the idempotent producer (Kafka 2.8 or later); where an authorizer of another kind implies nothing,
give DESCRIBE with each, and IDEMPOTENT_WRITE of the cluster to all who write.
"""
# Commands that the client of a Redis Cluster sends to each node, in addition to the others.
CLUSTER = ("cluster|slots", "command")


def page(settings: Settings) -> str:
    """The text of ``docs/operations/rights.md``."""
    users = [f"| `{user.name}` | {user.about} |" for user in USERS]
    redis = [acl_line(user, settings) for user in USERS if user.needs.commands]
    kafka = [line for user in USERS for line in kafka_lines(user, settings)]
    cluster = " ".join(f"+{command}" for command in CLUSTER)
    return (
        f"{_HEAD}\n| user | for |\n|---|---|\n"
        + _lines(users)
        + _COMMANDS
        + _lines(_row(user, name) for user in USERS for name in user.runs)
        + f"| {', '.join(f'`{name}`' for name in NEITHER)}, `diff FILE` | – | – | – | – |\n"
        + _COPY
        + f"{_REDIS}\n```\n{_lines(redis)}```\n{_REDIS_AFTER.format(cluster=cluster)}"
        + f"{_KAFKA}\n```\n{_lines(kafka)}```\n"
    )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _row(user: User, name: str) -> str:
    needs = NEEDS[name]
    keys = [*needs.owns, *(f"{owner} (reads)" for owner in needs.looks_at)]
    cells = (
        f"`{name}`",
        f"`{user.name}`",
        _cell(needs.topics.read),
        _cell(needs.topics.written),
        ", ".join(keys) or "–",
    )
    return f"| {' | '.join(cells)} |"


def _cell(names: tuple[str, ...]) -> str:
    if set(names) == set(ALL):
        return "all topics"
    return ", ".join(f"`{name}`" for name in names) or "–"


if __name__ == "__main__":
    sys.stdout.write(page(Settings()))
