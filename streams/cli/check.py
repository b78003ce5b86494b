"""``segmenter check``: checks a segments file; explains its segments, compares it with another, and counts members.

See also: `rules.definitions.segments_file`, which builds and checks the definitions.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rules.customer import Customer
from rules.definition_migration import history_gaps
from rules.definitions import change_data, describe
from rules.definitions.segments_file import Definitions, Segment
from rules.engine import Engine
from rules.times import words
from streams.cli.findings import show as show_finding
from streams.cli.input_files import Rejections, opened, with_progress
from streams.cli.survey_findings import SHOWN_MAX, findings
from streams.cli.terminal import show
from streams.offline.input_survey import InputSurvey
from streams.offline.replay import Replay
from streams.settings import Settings
from streams.settings.definitions_file import load


def run(
    settings: Settings,
    file: str | None,
    *,
    explain: bool,
    data_schema: bool = False,
    events: str | None,
    minimum: int,
    triggers: str | None = None,
    against: Path | None = None,
) -> int:
    """Print what was asked for of a valid file. Raises `DefinitionsError`, whose text lists what is wrong."""
    path = file or settings.definitions
    definitions = load(path)
    if data_schema:
        print(json.dumps(data_schema_of(definitions), ensure_ascii=False, indent=2))
        return 0
    name = "rules/segments.yaml (built in)" if path is None else str(path)
    show([f"{name}: {len(definitions.segments)} segments, fingerprint {definitions.fingerprint}"])
    for segment in _sorted(definitions):
        show([f"  {segment.key}  {segment.title}  ({segment.fingerprint})"])
        if explain:
            show(f"      {line}" for line in explained(definitions, segment))
    if against is not None:
        show(compared(load(against), definitions, str(against)))
    if triggers is not None:
        _check_triggers(Path(triggers), definitions)
    return 0 if events is None else _warn_of_small(definitions, events, minimum)


def data_schema_of(definitions: Definitions) -> dict[str, object]:
    """The JSON Schema of a segment change whose `data` is typed by its segment, to use beside that of all changes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SegmentChangeData",
        "type": "object",
        "allOf": [
            {
                "if": {"properties": {"segment": {"const": segment.key}}},
                "then": {"properties": {"data": change_data.schema(segment.include)}},
            }
            for segment in _sorted(definitions)
        ],
    }


def explained(definitions: Definitions, segment: Segment) -> list[str]:
    """Describe a segment: its condition, its events and windows, what its changes carry, and what it stores."""
    carried = [] if segment.include is None else [f"changes carry: {change_data.describe(segment.include)}"]
    names = describe.events(segment, definitions)
    return [
        describe.sentence(segment),
        f"events: {', '.join(names) or 'none: time or chance alone'}",
        f"windows: {', '.join(describe.windows(segment)) or 'none'}",
        *carried,
        f"keeps of a customer: at most about {describe.bytes_most(segment, definitions):,} bytes",
    ]


def compared(old: Definitions, new: Definitions, name: str) -> list[str]:
    """Describe what becomes of each segment when a worker goes on from the definitions ``old``, called ``name``."""
    before = {segment.key: segment.fingerprint for segment in old.segments}
    missing = {gap.segment: gap.for_ms for gap in history_gaps(old, new)}
    lines = [f"for a worker that ran {name} until now; history which that did not store starts from now:"]
    for segment in _sorted(new):
        state = _state(before.get(segment.key), segment.fingerprint)
        lines.append(f"  {segment.key}: {state}, {_history(missing, segment.key)}")
    removed = before.keys() - {segment.key for segment in new.segments}
    lines += [f"  {key}: removed; its members exit" for key in sorted(removed)]
    return lines


def _sorted(definitions: Definitions) -> list[Segment]:
    return sorted(definitions.segments, key=lambda segment: segment.key)


def _state(fingerprint_before: str | None, fingerprint: str) -> str:
    if fingerprint_before is None:
        return "new"
    return "unchanged" if fingerprint_before == fingerprint else "changed"


def _history(missing: Mapping[str, int | None], key: str) -> str:
    """Whether the stored history of customers suffices for a segment; ``missing``: the time (ms) until it does."""
    if key not in missing:
        return "decided at once by the stored history"
    for_ms = missing[key]
    if for_ms is None:
        return "starts from now, complete for a customer once its value is sent again"
    return f"starts from now, complete after {words(for_ms)}"


def _check_triggers(path: Path, definitions: Definitions) -> None:
    """Check a triggers file against the definitions, and print its sentences. Raises `DefinitionsError`."""
    # Imported here, as these load the clients of all channels.
    from streams.triggers import config_file  # noqa: PLC0415
    from streams.triggers import describe as triggers_describe  # noqa: PLC0415

    triggers = config_file.load(path, definitions)
    print(f"{path}: {len(triggers.triggers)} triggers, {len(triggers.channels)} channels")
    show(f"  {line}" for line in triggers_describe.sentences(triggers))


def _customers(engine: Engine, file: str, survey: InputSurvey) -> Mapping[str, Customer]:
    """The customers at the end of a file, whose lines are surveyed on the way."""
    replay = Replay(engine)
    with opened(file) as lines:
        for _ in replay.run(survey.read(with_progress(lines, "read"))):
            pass  # the changes are not needed
    return replay.customers


def _warn_of_small(definitions: Definitions, events: str, minimum: int) -> int:
    """Print what is wrong with recorded events, and the size of each segment at their end.

    Warns of those below ``minimum``. Returns the exit code: 1 where no line is an event.
    """
    engine = Engine(definitions)
    survey = InputSurvey(definitions, Rejections(SHOWN_MAX), int(time.time() * 1000), is_history=True)
    customers = _customers(engine, events, survey)
    for finding in findings(survey, definitions):
        show_finding(finding)
    sizes = Counter(key for customer in customers.values() for key in engine.membership(customer))
    print(f"of {len(customers):,} customers at the end of {events}:")
    for segment in _sorted(definitions):
        print(f"  {sizes[segment.key]:>9,}  {segment.key}")
    for segment in _sorted(definitions):
        size = sizes[segment.key]
        if size < minimum:
            print(
                f"warning: {segment.key} would hold {size:,} customers, fewer than {minimum:,}",
                file=sys.stderr,
            )
    return 0 if survey.events else 1
