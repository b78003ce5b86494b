"""Users with the rights that docs/operations/rights.md gives, on real servers.

The rights of a test are read from the page, line by line, as an operator pastes them.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from redis.exceptions import ResponseError

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "rights.md"
PASSWORD = "for-the-tests"
_KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}


def lines(program: str) -> list[str]:
    """The lines of the page that begin with this."""
    matches = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(program + " ")]
    assert matches
    return matches


# --- Redis -------------------------------------------------------------------------------------


def tells_reading_from_writing(client: Any) -> bool:
    """Whether this Redis knows keys that may only be read: Redis 7 and Valkey do."""
    try:
        client.execute_command("ACL", "SETUSER", "nobody", "off", "%R~a")
    except ResponseError:
        return False
    client.execute_command("ACL", "DELUSER", "nobody")
    return True


def redis_rules(client: Any) -> dict[str, list[str]]:
    """The words of each ``ACL SETUSER`` after it, for this Redis, by user."""
    separates_reads = tells_reading_from_writing(client)
    rules_by_user = {}
    for line in lines("ACL SETUSER"):
        name, *rules = line.removeprefix("ACL SETUSER ").replace(">PASSWORD", f">{PASSWORD}").split()
        rules_by_user[name] = rules if separates_reads else [rule.replace("%R~", "~") for rule in rules]
    return rules_by_user


def grant_redis(client: Any, *more: str) -> dict[str, list[str]]:
    """Make all users of Redis; ``more``: rules that each of them gets beside its own. Returns the rules of each."""
    rules = redis_rules(client)
    for name, own in rules.items():
        client.execute_command("ACL", "SETUSER", name, *own, *more)
    return rules


# --- Kafka -------------------------------------------------------------------------------------


class Granted(NamedTuple):
    """One right of one user of Kafka."""

    user: str
    operation: str
    kind: str
    name: str
    is_prefix: bool

    @property
    def acl(self) -> Any:
        """The right as the administration client takes it."""
        pattern = ACLResourcePatternType.PREFIXED if self.is_prefix else ACLResourcePatternType.LITERAL
        resource = ResourcePattern(_KINDS[self.kind], self.name, pattern)
        return ACL(f"User:{self.user}", "*", ACLOperation[self.operation], ACLPermissionType.ALLOW, resource)

    @property
    def filter(self) -> Any:
        """A filter that finds this right alone."""
        pattern = ACLResourcePatternType.PREFIXED if self.is_prefix else ACLResourcePatternType.LITERAL
        resource = ResourcePatternFilter(_KINDS[self.kind], self.name, pattern)
        return ACLFilter(f"User:{self.user}", "*", ACLOperation[self.operation], ACLPermissionType.ALLOW, resource)


def kafka_rights() -> list[Granted]:
    """All rights that the lines of ``kafka-acls`` grant."""
    return [right for line in lines("kafka-acls") for right in _of_line(line)]


def _of_line(line: str) -> Iterator[Granted]:
    """The rights of one line as ``kafka-acls`` reads it: each operation on each resource."""
    words = iter(shlex.split(line)[1:])
    given: dict[str, list[str]] = {}
    for word in words:
        if word != "--add":
            given.setdefault(word.removeprefix("--"), []).append(next(words))
    (principal,) = given.pop("allow-principal")
    operations, is_prefix = given.pop("operation"), given.pop("resource-pattern-type", []) == ["prefixed"]
    (kind,) = given
    for name in given[kind]:
        for operation in operations:
            yield Granted(principal.removeprefix("User:"), _upper(operation), kind, name, is_prefix)


def _upper(operation: str) -> str:
    """DescribeConfigs as DESCRIBE_CONFIGS."""
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in operation).lstrip("_").upper()


def grant_kafka(admin: Any, rights: Iterable[Granted]) -> None:
    """Grant these rights, and wait until they are in force."""
    expected = list(rights)
    admin.create_acls([right.acl for right in expected])
    _wait(lambda: all(admin.describe_acls(right.filter)[0] for right in expected[-1:]))


def withdraw_kafka(admin: Any, right: Granted) -> None:
    """Take a right back, and wait until it is no longer in force."""
    admin.delete_acls([right.filter])
    _wait(lambda: not admin.describe_acls(right.filter)[0])


def _wait(is_so: Any) -> None:
    until = time.monotonic() + 60  # they come by way of the metadata log
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)
