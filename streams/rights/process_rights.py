"""The rights that each process and command needs of Kafka and of Redis, and the users that have them.

The one rule: this is the only list. Commands check the topics that it names (`streams.kafka.admin.verify`),
``docs/operations/rights.md`` is generated from it, and tests run every command as its user, which has no other right.

Each right is here because something fails without it. Rights that Kafka implies are not repeated: READ and WRITE of a
topic imply DESCRIBE, WRITE of any topic implies the idempotent producer, and WRITE of a transactional id implies
DESCRIBE.

See also `streams.rights.acl_lines` for the lines that give a user these rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import msgspec

from rules.event_names import INPUTS
from streams.kafka.admin import TopicUse
from streams.wire.topics import (
    ALL,
    CHANGES,
    DEAD_LETTERS,
    MEMBERSHIPS,
    MERGES,
    OUTPUTS,
    READ,
    TRIGGER_DEAD_LETTERS,
    TRIGGER_DECISIONS,
    TRIGGER_OUTPUTS,
    TRIGGER_REPLAYS,
    VISITS,
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
            written=(*TRIGGER_OUTPUTS, VISITS),  # `events: true` in a triggers file
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
    "gateway": Needs(
        topics=TopicUse(read=(CHANGES,), written=INPUTS), looks_at=(WORKER,), commands=_SNAPSHOT | {"ping"}
    ),
    "sink": Needs(topics=TopicUse(read=(CHANGES, MEMBERSHIPS, TRIGGER_DECISIONS))),
    "tail": Needs(topics=TopicUse(read=(CHANGES,))),
    "explain": Needs(looks_at=(WORKER,), commands=_SNAPSHOT),
    "lift": Needs(
        topics=TopicUse(read=(*INPUTS, TRIGGER_DECISIONS)), looks_at=(WORKER,), commands=_SNAPSHOT | {"hmget"}
    ),
    "preview": Needs(looks_at=(WORKER, TRIGGERS_PROCESS), commands=_STORED),
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
    User("segmenter-gateway", ("gateway",), "gateways, which write events, and read memberships and changes"),
    User("segmenter-sink", ("sink",), "the sink, which writes to PostgreSQL alone"),
    User(
        "segmenter-reader",
        ("tail", "explain", "preview", "lift", "distribution", "verify", "diff", "export"),
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
