"""The command line: ``segmenter COMMAND``.

The one rule: results go to stdout, everything else to stderr. Exit codes: 0 done, 1 something in
the input was wrong, 2 wrong arguments, 75 stopped for safety.

Long because each command says here what its arguments are, and what it hands them over to.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from rules.definitions import DefinitionsError
from rules.sentences import LANGUAGES
from rules.times import parse_instant
from streams.settings import Settings, complaints
from streams.stop import EXIT_STOPPED, Stop

EXIT_WRONG_INPUT = 1
EXIT_USAGE = 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _instant(text: str) -> int:
    found = parse_instant(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-01-01T00:00:00Z")
    return found


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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="segmenter", description="Real-time customer segments on Kafka and Redis.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    worker = commands.add_parser("worker", help="run a worker; further arguments go to Faust's own worker")
    worker.add_argument("--rebuild", action="store_true", help="on an empty Redis, read from the earliest offset")

    commands.add_parser("ops", help="serve the operations page and its API, on this machine")

    topics = commands.add_parser("topics", help="create or verify the topics")
    topics.add_argument("action", choices=["create", "verify"])
    topics.add_argument("--triggers", action="store_true", help="and those of triggers")

    publish = commands.add_parser("publish", help="send JSON lines of Segment Spec events to their topics")
    publish.add_argument("file", metavar="FILE|-")

    replay = commands.add_parser("replay", help="decide recorded events offline; changes on stdout")
    replay.add_argument("file", metavar="FILE|-")
    replay.add_argument("--definitions", metavar="F", help="segments file (default: SEGMENTER_DEFINITIONS)")
    replay.add_argument("--until", metavar="TIME", help="RFC 3339; fire due times up to it (default: the last event)")

    triggers = commands.add_parser("triggers", help="send messages on segment changes; Faust's own arguments follow")
    triggers.add_argument("--file", metavar="F", help="triggers file (default: SEGMENTER_TRIGGERS)")

    redeliver = commands.add_parser("redeliver", help="try messages again that failed for good")
    redeliver.add_argument("--trigger", metavar="KEY", help="of this trigger alone")
    redeliver.add_argument("--since", type=_instant, default=0, metavar="TIME", help="RFC 3339; that failed since")

    check = commands.add_parser("check", help="check a segments file")
    check.add_argument("file", nargs="?", metavar="F")
    check.add_argument("--explain", action="store_true", help="each segment as a sentence, with what it costs")
    check.add_argument("--triggers", metavar="FILE", help="and this triggers file beside it")
    check.add_argument("--events", metavar="FILE|-", help="recorded events: how many customers each segment holds")
    check.add_argument("--minimum", type=_positive, default=1, metavar="N", help="warn of fewer customers (default: 1)")

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

    explain = commands.add_parser("explain", help="a customer's segments, and why")
    explain.add_argument("customer")
    explain.add_argument("--json", action="store_true", help="as JSON")
    explain.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the reasons (default: en)")

    verify = commands.add_parser("verify", help="recompute everybody from Kafka; compare with Redis and the changes")
    verify.add_argument("--first", type=_positive, default=20, metavar="N", help="differences to print (default: 20)")

    tail = commands.add_parser("tail", help="print segment changes as they come")
    tail.add_argument("--from-beginning", action="store_true", help="all that the topic holds first")
    tail.add_argument("--count", type=_positive, metavar="N", help="end after N changes")
    tail.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the reasons (default: en)")
    for shown in ("worker", "triggers", "ops"):
        commands.choices[shown].add_argument(
            "--log-format", choices=["text", "json"], help="of the log (default: SEGMENTER_LOG_FORMAT, or text)"
        )
    return parser


def _set_loop(settings: Settings) -> None:
    """The kind of both loops, ours and that of Kafka's client.

    With uvloop p99 at 1,000 events/s was 38 to 61 ms, and 55 to 96 ms without, in turns. It is a choice and not the
    rule, as it fails otherwise where a connection is cut: it raises where asyncio drops what is written.
    """
    if settings.loop == "uvloop":
        import uvloop  # noqa: PLC0415  # as below

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _of_faust(settings: Settings, arguments: argparse.Namespace) -> list[str]:
    """Its command line; where programs read the log, without its picture of the settings."""
    quiet = ["--quiet"] if settings.log_format == "json" else []
    return ["segmenter", *quiet, "worker", "--without-web", *arguments.rest]


def _worker(settings: Settings, arguments: argparse.Namespace) -> NoReturn:
    from streams.app import build  # noqa: PLC0415  # Faust takes 0.5 s to import; other commands go without

    _set_loop(settings)
    app = build(settings, rebuild=arguments.rebuild)
    sys.argv = _of_faust(settings, arguments)
    app.main()


def _triggers(settings: Settings, arguments: argparse.Namespace) -> NoReturn:
    from streams.triggers.app import build  # noqa: PLC0415  # as above

    path = Path(arguments.file) if arguments.file else settings.triggers
    if path is None:
        raise Stop("there is no triggers file; name one with --file or SEGMENTER_TRIGGERS")
    _set_loop(settings)
    app = build(settings, path)
    sys.argv = _of_faust(settings, arguments)
    app.main()


def _ops(settings: Settings, _: argparse.Namespace) -> int:
    from streams.ops.app import run as serve  # noqa: PLC0415  # as above

    _set_loop(settings)
    return serve(settings)


def _redeliver(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import redeliver  # noqa: PLC0415  # as above

    return redeliver.run(settings, arguments.trigger, arguments.since)


def _topics(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams import topics  # noqa: PLC0415  # as above

    names = (*topics.WORKERS, *topics.TRIGGERS) if arguments.triggers else topics.WORKERS
    if arguments.action == "create":
        for name in topics.create(settings, names):
            print(f"created {name}")
    found = topics.verify(settings, names)
    for name, count in sorted(found.partitions.items()):
        print(f"{settings.topic_prefix}{name}: {count} partitions")
    return 0


def _publish(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import publish  # noqa: PLC0415  # as above

    return publish.run(settings, arguments.file)


def _replay(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import replay  # noqa: PLC0415  # as above

    return replay.run(settings, arguments.file, arguments.definitions, arguments.until)


def _check(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import check  # noqa: PLC0415  # as above

    return check.run(
        settings,
        arguments.file,
        explain=arguments.explain,
        events=arguments.events,
        minimum=arguments.minimum,
        triggers=arguments.triggers,
    )


def _diff(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import diff  # noqa: PLC0415  # as above

    return diff.run(
        settings,
        arguments.old,
        arguments.new,
        arguments.file,
        until=arguments.until,
        as_json=arguments.json,
        examples=arguments.examples,
    )


def _distribution(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import distribution  # noqa: PLC0415  # as above

    return distribution.run(settings, arguments.of, arguments.events, arguments.bands)


def _explain(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import explain  # noqa: PLC0415  # as above

    return explain.run(settings, arguments.customer, as_json=arguments.json, language=arguments.lang)


def _tail(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import tail  # noqa: PLC0415  # as above

    return tail.run(settings, from_beginning=arguments.from_beginning, count=arguments.count, language=arguments.lang)


def _verify(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.commands import verify  # noqa: PLC0415  # as above

    return verify.run(settings, arguments.first)


_COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "worker": _worker,
    "triggers": _triggers,
    "ops": _ops,
    "redeliver": _redeliver,
    "topics": _topics,
    "publish": _publish,
    "replay": _replay,
    "check": _check,
    "diff": _diff,
    "distribution": _distribution,
    "explain": _explain,
    "verify": _verify,
    "tail": _tail,
}


def _settings(arguments: argparse.Namespace) -> Settings:
    """Of the environment, but for what is given by an argument."""
    settings = Settings()
    form = getattr(arguments, "log_format", None)
    return settings if form is None else settings.model_copy(update={"log_format": form})


def run(argv: Sequence[str]) -> int:
    """Run one command; its exit code."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command not in ("worker", "triggers"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return _COMMANDS[arguments.command](_settings(arguments), arguments)
    except ValidationError as error:
        for sentence in complaints(error):
            print(f"segmenter: {sentence}", file=sys.stderr)
        return EXIT_USAGE
    except DefinitionsError as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG_INPUT
    except Stop as error:
        print(f"segmenter stopped: {error}", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        print(f"segmenter: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT


def main() -> NoReturn:
    """The console script."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader has gone; what is left in the buffer has nowhere to go, and no complaint to make.
        code = EXIT_WRONG_INPUT
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)
