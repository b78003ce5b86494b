"""``segmenter doctor``: checks whether a process can run here, and reports what is wrong and what to do.

The one rule: it writes nothing that stays, and needs no right beyond those of the process that it checks. What cannot
be reached costs a few seconds, and the other checks go on.

See also: `streams.cli.doctor_kafka` and `streams.cli.doctor_redis` (the checks), and `streams.cli.findings` (their
results).
"""

from __future__ import annotations

import difflib
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from rules.definitions.segments_file import Definitions, DefinitionsError
from streams.cli import doctor_kafka, doctor_redis
from streams.cli.findings import Finding, ok, problem, report, warning
from streams.rights.process_rights import NEEDS, TRIGGERS_PROCESS, Needs
from streams.settings import Settings, definitions_file, of_triggers, unknown_variables

PYTHON_LEAST, PYTHON_NEWEST = (3, 11), (3, 13)


class Process(msgspec.Struct, frozen=True):
    """A process to check. ``settings``: as they were given, before those of the process itself are applied."""

    name: str
    settings: Settings

    @property
    def own(self) -> Settings:
        """The settings with the consumer group and the Redis keys of the process itself."""
        return of_triggers(self.settings) if self.name == TRIGGERS_PROCESS else self.settings

    @property
    def needs(self) -> Needs:
        """The rights that the process needs on Kafka and Redis."""
        return NEEDS[self.name]


def run(settings: Settings, process: str) -> int:
    """Print a line for each finding. Exit code 1 when there is a problem."""
    return report(_findings(Process(process, settings)))


def unreadable(sentences: Sequence[str]) -> int:
    """Report settings that cannot be read; what they name cannot be checked then. Exit code 1."""
    return report([_python(sys.version_info[:2]), *(problem("settings", sentence) for sentence in sentences)])


def _findings(process: Process) -> Iterator[Finding]:
    yield _python(sys.version_info[:2])
    yield from _settings(process.settings)
    definitions, finding = _segments(process.settings.definitions)
    yield finding
    if process.name == TRIGGERS_PROCESS and definitions is not None:
        yield _triggers(process.settings.triggers, definitions)
    findings, topics = doctor_kafka.look(process.own, process.needs.topics)
    yield from findings
    yield from doctor_redis.findings(process.settings, process.own, process.needs, topics)


def _python(version: tuple[int, int]) -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if version < PYTHON_LEAST:
        return problem("Python", f"{text} is too old: install Python {_dotted(PYTHON_LEAST)} or later")
    if version > PYTHON_NEWEST:
        return warning("Python", f"{text} is newer than {_dotted(PYTHON_NEWEST)}, the newest that is tested")
    return ok("Python", text)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _settings(settings: Settings) -> Iterator[Finding]:
    names = [f"SEGMENTER_{name.upper()}" for name in type(settings).model_fields]
    for name in unknown_variables():
        near = difflib.get_close_matches(name.upper(), names, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        yield warning("settings", f"{name} is no setting, so it has no effect{meant}")
    chosen = sum(name in os.environ for name in names)
    yield ok("settings", f"{chosen} of {len(names)} by variables" if chosen else "all at their defaults")


def _segments(path: Path | None) -> tuple[Definitions | None, Finding]:
    name = "the built-in segments" if path is None else str(path)
    try:
        definitions = definitions_file.load(path)
    except DefinitionsError as error:
        return None, problem("segments file", f"{error}\ncorrect it, then run `segmenter check {name}`")
    except OSError as error:
        return None, problem("segments file", f"{name} cannot be read ({error.strerror}); see SEGMENTER_DEFINITIONS")
    return definitions, ok("segments file", f"{name}: {len(definitions.segments)} segments")


def _triggers(path: Path | None, definitions: Definitions) -> Finding:
    from streams.triggers import config_file  # noqa: PLC0415  # brings the clients of channels with it

    if path is None:
        return problem("triggers file", "there is none; name one with SEGMENTER_TRIGGERS")
    try:
        file = config_file.load(path, definitions)
    except DefinitionsError as error:
        return problem("triggers file", f"{error}\ncorrect it, then run `segmenter check --triggers {path}`")
    except OSError as error:
        return problem("triggers file", f"{path} cannot be read ({error.strerror}); see SEGMENTER_TRIGGERS")
    return ok("triggers file", f"{path}: {len(file.triggers)} triggers, {len(file.channels)} channels")
