"""The arguments of each command.

Wrong arguments are reported in one line, before a command begins anything.

See also: `streams.cli.main`, which runs the command.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rules.sentences.reason_sentence import LANGUAGES
from rules.times import parse_instant
from streams.cli.command_list import SENTENCES, overview
from streams.cli.terminal import width

EXIT_USAGE = 2
_AFTER_DASHES = "customer id; write -- before an id that begins with a dash"
_WAIT = "seconds to wait for completion (default: 60)"


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, and wraps its help to the terminal.

    After ``--`` every text is an argument, also one that is ``--`` itself.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=partial(argparse.HelpFormatter, width=width()))

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if arg_strings == ["--"] and not action.option_strings:  # argparse drops it before Python 3.13
            return "--"
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def format_help(self) -> str:
        """The help. That of the whole command line ends with the commands in groups; a command's is argparse's."""
        return super().format_help() + ("" if " " in self.prog else overview())


def _instant(text: str) -> int:
    instant = parse_instant(text)
    if instant is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-01-01T00:00:00Z")
    return instant


def _customer(text: str) -> str:
    """Accept an id as it is. Bytes that are no UTF-8 are refused: no record and no partition can have them."""
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
    """The parser of the whole command line."""
    root = _Parser(
        prog="segmenter",
        usage="%(prog)s [-h] COMMAND ...",
        description="Real-time customer segments on Kafka and Redis.",
    )
    # argparse would list the commands in one group: `overview` lists them.
    commands = root.add_subparsers(
        prog=root.prog, dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS
    )
    for add in (
        _add_processes,
        _add_of_topics,
        _add_doctor,
        _add_check,
        _add_replay,
        _add_diff,
        _add_distribution,
        _add_of_customers,
    ):
        add(commands)
    return root


def _add(commands: Any, name: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, description=f"{_sentence(name)}.")
    return command


def _sentence(name: str) -> str:
    return SENTENCES[name][0].upper() + SENTENCES[name][1:]


def _add_processes(commands: Any) -> None:
    """Add the commands that run until they are ended."""
    worker = _add(commands, "worker")
    worker.add_argument(
        "--rebuild",
        action="store_true",
        help="rebuild every customer from all retained events while the worker runs",
    )

    triggers = _add(commands, "triggers")
    triggers.add_argument("--file", metavar="F", help="triggers file (default: SEGMENTER_TRIGGERS)")
    triggers.add_argument(
        "--rebuild", action="store_true", help="if Redis holds no state of triggers, read all topics from their start"
    )

    _add(commands, "ops")
    _add(commands, "gateway")

    sink = _add(commands, "sink")
    sink.add_argument("--once", action="store_true", help="end once everything is written that the topics hold now")

    tail = _add(commands, "tail")
    tail.add_argument("--from-beginning", action="store_true", help="print all retained changes first")
    tail.add_argument("--count", type=_positive, metavar="N", help="end after N changes")
    tail.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the reasons (default: en)")
    for name in ("worker", "triggers", "ops", "gateway", "sink"):
        commands.choices[name].add_argument(
            "--log-format", choices=["text", "json"], help="log format (default: SEGMENTER_LOG_FORMAT, or text)"
        )


def _add_of_topics(commands: Any) -> None:
    """Add the commands on topics and the events on them."""
    topics = _add(commands, "topics")
    topics.add_argument("action", choices=["create", "verify", "copy"], help="what to do")
    topics.add_argument("--triggers", action="store_true", help="include the topics of triggers")
    topics.add_argument("--to", metavar="PREFIX", help="for copy: prefix of the new topics, which are created")

    publish = _add(commands, "publish")
    publish.add_argument("file", metavar="FILE|-", help="file of events, one JSON object a line; - for standard input")
    publish.add_argument(
        "--dry-run", action="store_true", help="send nothing; print what is wrong with the events, and what to correct"
    )

    redeliver = _add(commands, "redeliver")
    redeliver.add_argument("--trigger", metavar="KEY", help="only messages of this trigger")
    redeliver.add_argument(
        "--since", type=_instant, default=0, metavar="TIME", help="only messages that failed since TIME (RFC 3339)"
    )

    verify = _add(commands, "verify")
    verify.add_argument("--first", type=_positive, default=20, metavar="N", help="differences to print (default: 20)")


def _add_doctor(commands: Any) -> None:
    doctor = _add(commands, "doctor")
    doctor.add_argument(
        "process",
        nargs="?",
        choices=["worker", "triggers"],
        default="worker",
        help="for which process (default: worker)",
    )


def _add_check(commands: Any) -> None:
    check = _add(commands, "check")
    check.add_argument("file", nargs="?", metavar="F", help="segments file (default: SEGMENTER_DEFINITIONS)")
    check.add_argument("--explain", action="store_true", help="print each segment as a sentence, with its cost")
    check.add_argument(
        "--data-schema", action="store_true", help="print the JSON Schema of what changes carry, by segment, and end"
    )
    check.add_argument(
        "--against", metavar="OLD", type=Path, help="print what a worker that ran OLD lacks for these segments"
    )
    check.add_argument("--triggers", metavar="FILE", help="triggers file to check as well")
    check.add_argument(
        "--events",
        metavar="FILE|-",
        help="file of recorded events: print what is wrong with them, and the size of each segment",
    )
    check.add_argument(
        "--minimum", type=_positive, default=1, metavar="N", help="warn of fewer customers than N (default: 1)"
    )


def _add_replay(commands: Any) -> None:
    replay = _add(commands, "replay")
    replay.add_argument("file", metavar="FILE|-", help="file of recorded events; - for standard input")
    replay.add_argument("--definitions", metavar="F", help="segments file (default: SEGMENTER_DEFINITIONS)")
    replay.add_argument(
        "--until", metavar="TIME", help="apply changes by time up to TIME (RFC 3339; default: the last event)"
    )


def _add_diff(commands: Any) -> None:
    diff = _add(commands, "diff")
    diff.add_argument("old", metavar="OLD", type=Path, help="segments file")
    diff.add_argument("new", metavar="NEW", type=Path, help="segments file")
    events = diff.add_mutually_exclusive_group(required=True)
    events.add_argument("file", nargs="?", metavar="FILE|-", help="file of recorded events; - for standard input")
    events.add_argument("--topics", action="store_true", help="use all retained events of the input topics")
    diff.add_argument("--until", type=_instant, metavar="TIME", help="apply changes by time up to TIME (RFC 3339)")
    diff.add_argument("--json", action="store_true", help="print JSON, with every difference")
    diff.add_argument(
        "--examples", type=_count, default=3, metavar="N", help="reasons to print for each kind (default: 3)"
    )


def _add_distribution(commands: Any) -> None:
    distribution = _add(commands, "distribution")
    distribution.add_argument(
        "--of", required=True, metavar="TOTAL", help="a segment's key, or a total such as '{agg: sum, of: total, …}'"
    )
    distribution.add_argument(
        "--events", metavar="FILE|-", help="file of recorded events (default: the customers in Redis)"
    )
    distribution.add_argument(
        "--bands", type=_bands, default=3, metavar="N", help="number of bands (2 to 9, default: 3)"
    )


def _add_of_customers(commands: Any) -> None:
    """Add the commands on one customer."""
    explain = _add(commands, "explain")
    explain.add_argument("customer", type=_customer, help=_AFTER_DASHES)
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the reasons (default: en)")

    preview = _add(commands, "preview")
    preview.add_argument("message", metavar="TRIGGER", help="key of the trigger; TRIGGER-2 for its second message")
    preview.add_argument("--customer", type=_customer, required=True, metavar="ID", help="to whom")
    preview.add_argument("--file", metavar="F", help="triggers file (default: SEGMENTER_TRIGGERS)")
    preview.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="folder for the files (default: here)")

    lift = _add(commands, "lift")
    lift.add_argument("--trigger", metavar="KEY", help="only this trigger (default: each that has a goal)")
    lift.add_argument("--file", metavar="F", help="triggers file (default: SEGMENTER_TRIGGERS)")
    lift.add_argument("--json", action="store_true", help="print JSON")
    lift.add_argument("--save", metavar="PATH", help="save the JSON here, too; see SEGMENTER_OPS_LIFT")

    export = _add(commands, "export")
    export.add_argument("customer", type=_customer, help=_AFTER_DASHES)

    erase = _add(commands, "erase")
    erase.add_argument("customer", type=_customer, help=_AFTER_DASHES)
    erase.add_argument("--wait", type=float, default=60.0, metavar="S", help=_WAIT)

    unlink = _add(commands, "unlink")
    unlink.add_argument("customer", metavar="A", type=_customer, help=_AFTER_DASHES)
    unlink.add_argument("other", metavar="B", type=_customer, help="the other id")
    unlink.add_argument("--wait", type=float, default=60.0, metavar="S", help=_WAIT)
