"""The arguments of each command.

The one rule: what is wrong with them is said in one line, and nothing was begun by then.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from rules.sentences import LANGUAGES
from rules.times import parse_instant

EXIT_USAGE = 2
_AFTER_DASHES = "an id; behind -- if it begins with a dash"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line. After ``--`` every text is an argument, also one that is ``--`` itself."""

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if arg_strings == ["--"] and not action.option_strings:  # which argparse drops before Python 3.13
            return "--"
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _instant(text: str) -> int:
    found = parse_instant(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-01-01T00:00:00Z")
    return found


def _customer(text: str) -> str:
    """An id as it stands; bytes that are no UTF-8 are in no record, and have no place."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("an id is text in UTF-8") from None
    return text


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is less than {least}")
    return number


def _positive(text: str) -> int:
    return _at_least(1, text)


def _count(text: str) -> int:
    return _at_least(0, text)


def _bands(text: str) -> int:
    number = int(text)
    if not 2 <= number <= 9:
        raise argparse.ArgumentTypeError(f"{number} is not from 2 to 9")
    return number


def parser() -> argparse.ArgumentParser:
    """Of the whole command line."""
    root = _Parser(prog="segmenter", description="Real-time customer segments on Kafka and Redis.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_processes, _of_topics, _of_rules, _of_customers):
        add(commands)
    return root


def _processes(commands: Any) -> None:
    """That run until they are ended."""
    worker = commands.add_parser("worker", help="run a worker; further arguments go to Faust's own worker")
    worker.add_argument(
        "--rebuild", action="store_true", help="make everybody again from all events, beside what Redis holds"
    )

    triggers = commands.add_parser("triggers", help="send messages on segment changes; Faust's own arguments follow")
    triggers.add_argument("--file", metavar="F", help="triggers file (default: SEGMENTER_TRIGGERS)")
    triggers.add_argument(
        "--rebuild", action="store_true", help="where Redis holds nothing of triggers, read all topics from their start"
    )

    commands.add_parser("ops", help="serve the operations page and its API, on this machine")

    tail = commands.add_parser("tail", help="print segment changes as they come")
    tail.add_argument("--from-beginning", action="store_true", help="all that the topic holds first")
    tail.add_argument("--count", type=_positive, metavar="N", help="end after N changes")
    tail.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the reasons (default: en)")
    for shown in ("worker", "triggers", "ops"):
        commands.choices[shown].add_argument(
            "--log-format", choices=["text", "json"], help="of the log (default: SEGMENTER_LOG_FORMAT, or text)"
        )


def _of_topics(commands: Any) -> None:
    """On topics, and the events on them."""
    topics = commands.add_parser("topics", help="create, verify or copy the topics")
    topics.add_argument("action", choices=["create", "verify", "copy"])
    topics.add_argument("--triggers", action="store_true", help="and those of triggers")
    topics.add_argument("--to", metavar="PREFIX", help="copy: the prefix of the new topics, which are created")

    publish = commands.add_parser("publish", help="send JSON lines of Segment Spec events to their topics")
    publish.add_argument("file", metavar="FILE|-")

    redeliver = commands.add_parser("redeliver", help="try messages again that failed for good")
    redeliver.add_argument("--trigger", metavar="KEY", help="of this trigger alone")
    redeliver.add_argument("--since", type=_instant, default=0, metavar="TIME", help="RFC 3339; that failed since")

    verify = commands.add_parser("verify", help="recompute everybody from Kafka; compare with Redis and the changes")
    verify.add_argument("--first", type=_positive, default=20, metavar="N", help="differences to print (default: 20)")


def _of_rules(commands: Any) -> None:
    """On definitions, with recorded events."""
    check = commands.add_parser("check", help="check a segments file")
    check.add_argument("file", nargs="?", metavar="F")
    check.add_argument("--explain", action="store_true", help="each segment as a sentence, with what it costs")
    check.add_argument("--against", metavar="OLD", type=Path, help="and what of it a worker that ran OLD does not know")
    check.add_argument("--triggers", metavar="FILE", help="and this triggers file beside it")
    check.add_argument("--events", metavar="FILE|-", help="recorded events: how many customers each segment holds")
    check.add_argument("--minimum", type=_positive, default=1, metavar="N", help="warn of fewer customers (default: 1)")

    replay = commands.add_parser("replay", help="decide recorded events offline; changes on stdout")
    replay.add_argument("file", metavar="FILE|-")
    replay.add_argument("--definitions", metavar="F", help="segments file (default: SEGMENTER_DEFINITIONS)")
    replay.add_argument("--until", metavar="TIME", help="RFC 3339; fire due times up to it (default: the last event)")

    diff = commands.add_parser("diff", help="what another segments file would do: recorded events under both")
    diff.add_argument("old", metavar="OLD", type=Path)
    diff.add_argument("new", metavar="NEW", type=Path)
    events = diff.add_mutually_exclusive_group(required=True)
    events.add_argument("file", nargs="?", metavar="FILE|-", help="of recorded events")
    events.add_argument("--topics", action="store_true", help="all that the input topics hold, up to now")
    diff.add_argument("--until", type=_instant, metavar="TIME", help="RFC 3339; decide time up to it")
    diff.add_argument("--json", action="store_true", help="as JSON, with every difference")
    diff.add_argument("--examples", type=_count, default=3, metavar="N", help="reasons told of each kind (default: 3)")

    distribution = commands.add_parser("distribution", help="how a total is spread over customers; suggests cut-offs")
    distribution.add_argument(
        "--of", required=True, metavar="TOTAL", help="a segment's key, or a total such as '{agg: sum, of: total, …}'"
    )
    distribution.add_argument("--events", metavar="FILE|-", help="recorded events (default: the customers in Redis)")
    distribution.add_argument(
        "--bands", type=_bands, default=3, metavar="N", help="how many bands (2 to 9, default: 3)"
    )


def _of_customers(commands: Any) -> None:
    """On one customer."""
    explain = commands.add_parser("explain", help="a customer's segments, and why")
    explain.add_argument("customer", type=_customer, help=_AFTER_DASHES)
    explain.add_argument("--json", action="store_true", help="as JSON")
    explain.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the reasons (default: en)")

    export = commands.add_parser("export", help="everything that is held of a customer, as JSON")
    export.add_argument("customer", type=_customer, help=_AFTER_DASHES)

    erase = commands.add_parser("erase", help="forget a customer; shows what is gone, and what only time takes")
    erase.add_argument("customer", type=_customer, help=_AFTER_DASHES)
    erase.add_argument("--wait", type=float, default=60.0, metavar="S", help="for it to be done (default: 60)")

    unlink = commands.add_parser("unlink", help="part two ids that are not one person")
    unlink.add_argument("customer", metavar="A", type=_customer, help=_AFTER_DASHES)
    unlink.add_argument("other", metavar="B", type=_customer)
    unlink.add_argument("--wait", type=float, default=60.0, metavar="S", help="for it to be done (default: 60)")
