"""The command line: ``segmenter COMMAND``.

The one rule: results go to stdout, everything else to stderr. Exit codes: 0 done, 1 something in
the input was wrong, 2 wrong arguments, 75 stopped for safety.

See also: `streams.cli.parser` (the arguments), and `streams.cli.command_list` (the list of commands).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from rules.definitions.segments_file import DefinitionsError
from streams.cli.parser import EXIT_USAGE, parser
from streams.settings import Settings, complaints
from streams.stop import EXIT_STOPPED, Stop
from streams.wire.topics import ALL, WORKERS

EXIT_WRONG_INPUT = 1


def _set_loop(settings: Settings) -> None:
    """Set the kind of both event loops, that of the worker and that of Kafka's client.

    With uvloop p99 at 1,000 events/s was 38 to 61 ms, and 55 to 96 ms without, in alternating runs. It is a setting and
    not the default, as it behaves differently where a connection is cut: it raises where asyncio drops what is written.
    """
    if settings.loop == "uvloop":
        import uvloop  # noqa: PLC0415  # as below

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _of_faust(settings: Settings, arguments: argparse.Namespace) -> list[str]:
    """The command line for Faust. Without its table of settings if programs read the log."""
    quiet = ["--quiet"] if settings.log_format == "json" else []
    return ["segmenter", *quiet, "worker", "--without-web", *arguments.rest]


def _worker(settings: Settings, arguments: argparse.Namespace) -> NoReturn:
    from streams.worker.app import build  # noqa: PLC0415  # Faust takes 0.5 s to import; other commands go without

    _set_loop(settings)
    app = build(settings, rebuild=arguments.rebuild)
    sys.argv = _of_faust(settings, arguments)
    app.main()


def _triggers_file(settings: Settings, arguments: argparse.Namespace) -> Path:
    path = Path(arguments.file) if arguments.file else settings.triggers
    if path is None:
        raise Stop("there is no triggers file; name one with --file or SEGMENTER_TRIGGERS")
    return path


def _triggers(settings: Settings, arguments: argparse.Namespace) -> NoReturn:
    from streams.triggers.app import build  # noqa: PLC0415  # as above

    path = _triggers_file(settings, arguments)
    _set_loop(settings)
    app = build(settings, path, rebuild=arguments.rebuild)
    sys.argv = _of_faust(settings, arguments)
    app.main()


def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run a process that serves HTTP."""
    _set_loop(settings)
    return int(import_module(f"streams.{arguments.command}.app").run(settings))  # as above


def _sink(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import sink  # noqa: PLC0415  # as above

    return sink.run(settings, once=arguments.once)


def _preview(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import message_preview  # noqa: PLC0415  # as above

    return message_preview.run(settings, _triggers_file(settings, arguments), arguments.message, arguments.customer,
                               arguments.to)  # fmt: skip


def _lift(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import lift  # noqa: PLC0415  # as above

    file, save = _triggers_file(settings, arguments), None if arguments.save is None else Path(arguments.save)
    return lift.run(settings, file, arguments.trigger, as_json=arguments.json, save=save)


def _redeliver(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import redeliver  # noqa: PLC0415  # as above

    return redeliver.run(settings, arguments.trigger, arguments.since)


def _topics(settings: Settings, arguments: argparse.Namespace) -> int:
    """Create, copy or check topics. `create` ends with the check, as it leaves a topic that exists as it is."""
    from streams.kafka import admin  # noqa: PLC0415  # as above
    from streams.rights.process_rights import NEEDS  # noqa: PLC0415  # as above

    if arguments.action == "copy":
        from streams.cli import topic_copy  # noqa: PLC0415  # as above

        return topic_copy.run(settings, arguments.to)
    names = ALL if arguments.triggers else WORKERS
    if arguments.action == "create":
        for name in admin.create(settings, names):
            print(f"created {name}")
    cluster_topics = admin.verify(settings, NEEDS["topics"].topics.of(names))
    for name, count in sorted(cluster_topics.partitions.items()):
        print(f"{settings.topic_prefix}{name}: {count} partitions")
    return 0


def _publish(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import publish  # noqa: PLC0415  # as above

    run_on = publish.survey if arguments.dry_run else publish.run
    return run_on(settings, arguments.file)


def _replay(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import replay  # noqa: PLC0415  # as above

    return replay.run(settings, arguments.file, arguments.definitions, arguments.until)


def _doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import doctor  # noqa: PLC0415  # as above

    return doctor.run(settings, arguments.process)


def _unreadable(sentences: Sequence[str], arguments: argparse.Namespace) -> int:
    """Report settings that cannot be read: `doctor` prints them as a finding, any other command ends."""
    if arguments.command == "doctor":
        from streams.cli import doctor  # noqa: PLC0415  # as above

        return doctor.unreadable(sentences)
    for sentence in sentences:
        print(f"segmenter: {sentence}", file=sys.stderr)
    return EXIT_USAGE


def _check(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import check  # noqa: PLC0415  # as above

    return check.run(
        settings,
        arguments.file,
        explain=arguments.explain,
        data_schema=arguments.data_schema,
        events=arguments.events,
        minimum=arguments.minimum,
        triggers=arguments.triggers,
        against=arguments.against,
    )


def _diff(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import diff  # noqa: PLC0415  # as above

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
    from streams.cli import distribution  # noqa: PLC0415  # as above

    return distribution.run(settings, arguments.of, arguments.events, arguments.bands)


def _explain(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import explain  # noqa: PLC0415  # as above

    return explain.run(settings, arguments.customer, as_json=arguments.json, language=arguments.lang)


def _tail(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import tail  # noqa: PLC0415  # as above

    return tail.run(settings, from_beginning=arguments.from_beginning, count=arguments.count, language=arguments.lang)


def _verify(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import verify  # noqa: PLC0415  # as above

    return verify.run(settings, arguments.first)


def _erase(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import erase  # noqa: PLC0415  # as above

    return erase.run(settings, arguments.customer, arguments.wait)


def _unlink(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import unlink  # noqa: PLC0415  # as above

    return unlink.run(settings, arguments.customer, arguments.other, arguments.wait)


def _export(settings: Settings, arguments: argparse.Namespace) -> int:
    from streams.cli import export  # noqa: PLC0415  # as above

    return export.run(settings, arguments.customer)


_COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "worker": _worker,
    "triggers": _triggers,
    "ops": _serve,
    "gateway": _serve,
    "sink": _sink,
    "preview": _preview,
    "lift": _lift,
    "redeliver": _redeliver,
    "topics": _topics,
    "publish": _publish,
    "replay": _replay,
    "doctor": _doctor,
    "check": _check,
    "diff": _diff,
    "distribution": _distribution,
    "explain": _explain,
    "verify": _verify,
    "erase": _erase,
    "unlink": _unlink,
    "export": _export,
    "tail": _tail,
}


def _settings(arguments: argparse.Namespace) -> Settings:
    """The settings of the environment, with those that arguments replace."""
    settings = Settings()
    form = getattr(arguments, "log_format", None)
    return settings if form is None else settings.model_copy(update={"log_format": form})


def run(argv: Sequence[str]) -> int:
    """Run one command, and return its exit code."""
    commands = parser()
    if tuple(argv[:2]) == ("triggers", "preview"):
        argv = argv[1:]  # the command of triggers that runs none
    arguments, rest = commands.parse_known_args(argv)
    if rest and arguments.command not in ("worker", "triggers"):
        commands.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.command == "topics" and (arguments.action == "copy") != bool(arguments.to):
        commands.error("topics copy needs --to PREFIX, which goes with nothing else")
    arguments.rest = rest
    try:
        return _COMMANDS[arguments.command](_settings(arguments), arguments)
    except ValidationError as error:
        return _unreadable(complaints(error), arguments)
    except DefinitionsError as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG_INPUT
    except Stop as error:
        print(f"segmenter stopped: {error}", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:
        raise  # an OSError, but no wrong input: see `main`
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
        # The reader of the pipe has gone; without this, flushing the buffer at exit would print an error.
        code = EXIT_WRONG_INPUT
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)
