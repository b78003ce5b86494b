"""The page of the rights, ``docs/operations/rights.md``.

See also: `streams.rights.process_rights` (the rights of each process), `streams.rights.acl_lines` (the lines that grant
them).
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.rights.acl_lines import CLUSTER, acl_line, kafka_lines
from streams.rights.process_rights import NEEDS, NEITHER, USERS, User
from streams.settings import Settings
from streams.wire.topics import ALL

_HEAD = """<!-- Drawn from the code: python -m doc_tools.schemas -->

# Rights

Each process runs as a user of its own, of Kafka and of Redis, that may do what it needs and nothing else. The lines
are for the default names; `python -m streams.rights` prints this page for the prefixes and the group of your settings
(`SEGMENTER_TOPIC_PREFIX`, `SEGMENTER_GROUP`, `SEGMENTER_REDIS_PREFIX`). A missing right stops the process with
a sentence that names it, and no event is lost: give the right, then start the process again.
"""
_COMMANDS = """
## What each needs

The rights of each command, for a user per command.

| command | user | reads | writes | Redis keys of |
|---|---|---|---|---|
"""
_COPY = """
`topics copy` reads the topics of one prefix and creates and writes those of another: run it as Kafka's
administrator. `doctor` checks a process, so it runs as the user of that process and needs no further right.
"""
_REDIS = """
## Redis

For `redis-cli`, with a password in the place of PASSWORD; `segmenter-publisher` and `segmenter-setup` need no Redis.
Redis 6.2 has no `%R~`: write `~` there. It limits the commands of a user, but not reading against writing of a key, so
triggers could write the keys that they only read; all other users that read have no command that writes.
"""
_REDIS_AFTER = """
On a Redis Cluster, each user also needs `{cluster}`; with a database other than 0, also `+select`.
`ACL SAVE` or `CONFIG REWRITE` keeps users over a restart.
"""
_KAFKA = """
## Kafka

For Kafka's own `kafka-acls`; add `--bootstrap-server` and `--command-config`. The lines are for users of SASL; the
principal of a certificate is what `ssl.principal.mapping.rules` makes of it. READ and WRITE imply DESCRIBE, and WRITE
of a topic implies the idempotent producer (Kafka 2.8 or later). Where an authorizer of another kind implies nothing,
give DESCRIBE with each, and IDEMPOTENT_WRITE of the cluster to every user that writes.
"""


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
