"""The command line without servers: wrong arguments and settings, `check`, and `replay` of files.

A run is judged by its streams and its exit code alone.
"""

from __future__ import annotations

import gzip
import json
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import main
from streams.cli.parser import parser
from tests.oracle import oracle
from tests.oracle.oracle import OracleChange, milliseconds
from tests.support import library_stories, live
from tests.support.commands import (
    DEMO,
    PAGE,
    Done,
    assert_one_line,
    command,
    environment,
    event,
    line,
    lines,
    segmenter,
)

DAY_MS = 86_400_000


# --- wrong arguments and settings --------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("", "COMMAND"),
        ("drain", "'drain'"),
        ("topics", "action"),
        ("topics drop", "'drop'"),
        ("publish", "FILE|-"),
        ("replay - --until", "--until"),
        ("check a.yaml b.yaml", "b.yaml"),
        ("tail --count some", "'some'"),
        ("explain", "customer"),
        ("unlink a", "B"),
        ("unlink a b c", "c"),
        ("unlink a b --wait soon", "'soon'"),
        ("replay - --until 2026-02-30T00:00:00Z", "2026-02-30T00:00:00Z"),
        ("replay - --until 2026-01-01T00:00:00", "2026-01-01T00:00:00"),
    ],
)
def test_wrong_arguments(arguments: str, named: str) -> None:
    """Wrong arguments end with exit code 2 and one line on stderr that names what is wrong."""
    done = segmenter(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert_one_line(done.err)
    assert done.err.startswith("segmenter")
    assert named in done.err


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("check", "partitions", "0"),
        ("check", "partitions", "four"),
        ("check", "dead_letter_share", "1.5"),
        ("check", "session_timeout_s", "90.5"),
        ("check", "redis_prefix", "{p1}"),
        ("check", "broker", "pulsar"),
        ("topics verify", "brokers", "127.0.0.1:kafka"),
        ("explain u1", "redis", "127.0.0.1"),
    ],
)
def test_a_wrong_setting_is_named(arguments: str, name: str, value: Any) -> None:
    """The command ends with exit code 2 and one line with the environment variable and its value."""
    done = segmenter(*arguments.split(), **{name: value})
    assert (done.code, done.out) == (2, ""), done.err
    assert_one_line(done.err)
    assert f"SEGMENTER_{name.upper()}" in done.err
    assert value in done.err


def test_every_wrong_setting_is_named() -> None:
    """Two wrong settings give two lines."""
    done = segmenter("check", partitions=0, grace_ms=-1)
    assert done.code == 2
    assert sorted(re.findall(r"SEGMENTER_\w+", done.err)) == ["SEGMENTER_GRACE_MS", "SEGMENTER_PARTITIONS"]


def test_help_names_every_command_by_what_it_is_for() -> None:
    """Help is a result: stdout, exit 0. Each command stands once, with a sentence; three examples follow."""
    done = segmenter("--help")
    assert (done.code, done.err) == (0, "")
    *groups, examples = re.findall(r"^([a-z ]+):\n((?:    .*\n)+)", done.out, re.MULTILINE)
    assert [name for name, _ in groups] == ["run a process", "look", "change", "check"]
    named = re.findall(r"^    (\w+)  +\w", "".join(listed for _, listed in groups), re.MULTILINE)
    assert sorted(named) == sorted(set(named)) == sorted(main._COMMANDS)
    assert examples[0] == "examples"
    shown = re.findall(r"^    segmenter (.*?)  +# \w", examples[1], re.MULTILINE)
    assert len(shown) == 3
    for example in shown:
        parser().parse_args(shlex.split(example))


@pytest.mark.parametrize("name", main._COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command has its sentence, and one for each of its arguments."""
    root = parser()
    with pytest.raises(SystemExit) as ended:
        root.parse_args([name, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: segmenter {name} ")
    assert max(map(len, out.splitlines())) <= 120
    (commands,) = (action for action in root._actions if isinstance(action.choices, dict))
    assert isinstance(commands.choices, dict)
    assert [action for action in commands.choices[name]._actions if not action.help] == []


# --- check -------------------------------------------------------------------------------------


WRONG = """
version: 2
segments:
  Buyers: {title: Buyers, when: {cart: {}}}
  loyal: {title: Loyal, when: {performed: {event: Order Completed, count: {at_leest: 2}}}}
  idle: {title: Idle, when: {cart: {idle_for: 30 minutes}}}
"""


def test_check_of_a_right_file() -> None:
    """`check` ends with exit code 0 and prints each segment with title and fingerprint, by default and by name."""
    library = library_stories.library()["segments"]
    titles = {story.segment: library.get(story.segment, {}).get("title") for story in library_stories.stories()}
    for name in ("low", "medium", "high"):
        titles[f"customer_value_{name}"] = f"Customer value: {name}"
    four = {key: titles[key] for key in oracle.conditions_of(oracle.BUILT_IN)}
    for arguments, wanted in (("check", titles), (f"check {DEMO}", four), (f"check {live.FOUR}", four)):
        done = segmenter(*arguments.split())
        assert (done.code, done.err) == (0, "")
        listed = re.findall(r"^  (\w+)  (\S.*)  \([0-9a-f]{12}\)$", done.out, re.MULTILINE)
        assert dict(listed) == wanted
        assert [key for key, _ in listed] == sorted(wanted)
        assert done.out.startswith(arguments.partition(" ")[2] or "rules/segments.yaml (built in)")


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


def test_check_of_a_wrong_file(wrong: Path) -> None:
    """`check` ends with exit code 1 and a line for each problem, with the file and the path inside it."""
    done = segmenter("check", str(wrong))
    assert (done.code, done.out) == (1, "")
    problems = [problem.removeprefix(f"{wrong}: ").split(": ")[0] for problem in done.err.splitlines()]
    assert sorted(problems) == [
        "segments.Buyers", "segments.idle.when.cart.idle_for", "segments.loyal.when.performed.count", "version",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", ["check", "worker", "replay -", "explain u1"])
def test_nothing_starts_on_a_wrong_file(arguments: str, wrong: Path) -> None:
    """The file named in the environment is checked before anything else is looked at."""
    done = segmenter(*arguments.split(), definitions=wrong, timeout_s=20)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"{wrong}: ")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "where"),
    [(b"version: 1\nsegments: [a\n", "line "), (b"", ""), (b"version: 1\nsegments: {\xff: 1}\n", "")],
    ids=["no YAML", "empty", "no UTF-8"],
)
def test_check_of_what_is_no_yaml(content: bytes, where: str, tmp_path: Path) -> None:
    """`check` ends with exit code 1 and a line that names the file, without a traceback."""
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    done = segmenter("check", str(path))
    assert (done.code, done.out) == (1, "")
    assert_one_line(done.err)
    assert f"{path}: {where}" in done.err


@pytest.mark.parametrize("arguments", ["check {}", "replay {}", "replay - --definitions {}"])
def test_a_missing_file_is_named(arguments: str, tmp_path: Path) -> None:
    path = str(tmp_path / "nothing")
    done = segmenter(*arguments.format(path).split())
    assert (done.code, done.out) == (1, "")
    assert_one_line(done.err)
    assert path in done.err


# --- replay ------------------------------------------------------------------------------------


CART = event("u1", 1, "Product Added", 0, product_id="p1")
ORDER = event("u1", 3, "Order Completed", 50, order_id="o1", total=20)
STORY = lines(CART, PAGE, ORDER)


def printed_changes(done: Done) -> list[tuple[str, str, str]]:
    """The changes that a replay printed, without the seconds."""
    bodies = [json.loads(text) for text in done.out.splitlines()]
    return [(body["change"], body["segment"], body["occurred_at"][11:16]) for body in bodies]


def replayed(*arguments: str, stdin: bytes = b"") -> Done:
    """A replay under the four segments of the contract."""
    return segmenter("replay", *arguments, stdin=stdin, definitions=live.FOUR)


STORY_CHANGES = [
    ("entered", "abandoned_cart", "10:30"),
    ("entered", "returning_visitor", "10:40"),
    ("exited", "abandoned_cart", "10:50"),
    ("entered", "recently_purchased", "10:50"),
]


def test_replay_of_a_file_of_standard_input_and_of_gzip(tmp_path: Path) -> None:
    """All three print the same changes, byte for byte, with exit code 0 and an empty stderr."""
    plain, packed = tmp_path / "events.jsonl", tmp_path / "events.jsonl.gz"
    plain.write_bytes(STORY)
    packed.write_bytes(gzip.compress(STORY))
    file = replayed(str(plain))
    assert (file.code, file.err) == (0, "")
    assert printed_changes(file) == STORY_CHANGES
    assert replayed("-", stdin=STORY) == file
    assert replayed(str(packed)) == file


MEMBERS = b"[\n" + b",\n".join(json.dumps(json.loads(line), indent=2).encode() for line in STORY.split(b"\n") if line)
FORMS = {
    "gzip without its suffix": gzip.compress(STORY),
    "a byte order mark": b"\xef\xbb\xbf" + STORY,
    "an array": MEMBERS + b"\n]\n",
    "an array behind white space, packed": gzip.compress(b" \n" + MEMBERS + b"]"),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_replay_of_other_forms_of_a_file(content: bytes, tmp_path: Path) -> None:
    """What programs write in place of lines is read, from a file and from standard input."""
    path = tmp_path / "events"
    path.write_bytes(content)
    for done in (replayed(str(path)), replayed("-", stdin=content)):
        assert done.code == 0, done.err
        assert printed_changes(done) == STORY_CHANGES


def test_a_file_that_only_begins_like_an_array() -> None:
    """Each line stands for itself."""
    done = replayed("-", stdin=b"[1]\n" + STORY)
    assert done.code == 1
    assert printed_changes(done) == STORY_CHANGES
    assert done.err.startswith("line 1: not_object")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_replay_of_another_encoding(encoding: str) -> None:
    """The encoding is named, with what to do."""
    done = replayed("-", stdin=("\ufeff" + STORY.decode()).encode(encoding))
    assert done.code == 1
    assert done.err == "segmenter: standard input is in UTF-16; write it in UTF-8\n"


def test_replay_of_a_broken_gzip(tmp_path: Path) -> None:
    """The replay ends with exit code 1 and a line that says so, without a traceback."""
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(STORY)[:-9])
    done = replayed(str(path))
    assert done.code == 1
    assert_one_line(done.err)
    assert done.err.startswith("segmenter")


@pytest.mark.parametrize(
    ("until", "changes"),
    [
        ("2026-03-01T10:29:59.999Z", 0),
        ("2026-03-01T10:30:00Z", 1),
        ("2026-03-01T14:20:00+03:30", 4),
        ("2026-03-31T10:49:59.999Z", 5),  # the session of 10:00 left its 30 days at 10:00
        ("2026-03-31T10:50:00Z", 6),
    ],
)
def test_replay_until(until: str, changes: int) -> None:
    """Due times fire up to and including that instant, and events after it are not read; any offset is accepted."""
    done = replayed("-", "--until", until, stdin=STORY)
    assert (done.code, done.err) == (0, "")
    later = [("exited", "returning_visitor", "10:00"), ("exited", "recently_purchased", "10:50")]
    assert printed_changes(done) == [*STORY_CHANGES, *later][:changes]


def test_replay_with_other_definitions(tmp_path: Path) -> None:
    """--definitions goes before SEGMENTER_DEFINITIONS, which goes before the built-in file."""
    quick, slow = tmp_path / "quick.yaml", tmp_path / "slow.yaml"
    text = "version: 1\nsegments: {{quiet: {{title: Quiet, when: {{cart: {{idle_for: {}}}}}}}}}\n"
    quick.write_text(text.format("5m"))
    slow.write_text(text.format("45m"))
    named = segmenter("replay", "-", "--definitions", str(quick), stdin=STORY, definitions=slow)
    assert printed_changes(named) == [("entered", "quiet", "10:05"), ("exited", "quiet", "10:50")]
    assert printed_changes(segmenter("replay", "-", stdin=STORY, definitions=slow))[0] == ("entered", "quiet", "10:45")
    library = printed_changes(segmenter("replay", "-", stdin=STORY))
    assert ("entered", "abandoned_cart", "10:30") in library
    assert ("entered", "new_customer", "10:50") in library


def test_replay_names_dead_letters_by_line(tmp_path: Path) -> None:
    """Stderr has their line numbers, blank lines counted, and reasons; the rest is decided; exit code 1."""
    bad = {**PAGE, "messageId": ""}
    content = b"\n".join([line(CART), b"", b"{", line(PAGE), line(bad), b"[]", line(ORDER)])
    done = replayed("-", stdin=content)
    assert done.code == 1
    assert printed_changes(done) == STORY_CHANGES
    assert re.findall(r"^line (\d+): ([^:]+): (.*)$", done.err, re.MULTILINE) == [
        ("3", "not_json", "{"),
        ("5", "no_message_id (messageId)", line(bad).decode()[:200]),
        ("6", "not_object", "[]"),
    ]


def keys(value: object) -> set[str]:
    """All names in a JSON value, however deep."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()


def test_replay_says_nothing_of_when_and_where() -> None:
    """Two runs give the same bytes, ids included, and no field that only a live change can have."""
    first, second = (replayed("-", stdin=STORY) for _ in range(2))
    assert first == second
    changes = [json.loads(text) for text in first.out.splitlines()]
    assert not {"emitted_at", "topic", "partition", "offset"} & keys(changes)
    causes = [{"kind": "time", "event_id": None}, {"kind": "event", "event_id": "u1-2"}]
    assert [change["cause"] for change in changes[:2]] == causes
    assert [change["sequence"] for change in changes] == [1, 2, 3, 4]
    assert len({change["change_id"] for change in changes}) == 4


def test_replay_ends_with_its_reader() -> None:
    """`| head -1` ends the replay without a message."""
    many = lines(*(event(f"u{number}", 1, "Order Completed", 0, order_id="o") for number in range(5_000)))
    pipe = f"{shlex.join(command('replay', '-'))} | head -1"
    done = subprocess.run(["sh", "-c", pipe], input=many, env=environment({}), capture_output=True, check=False)
    assert (done.stdout.count(b"\n"), done.stderr) == (1, b"")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The real events of one night, as a file and as objects."""
    events = live.real_events()
    path = tmp_path_factory.mktemp("real") / "events.jsonl"
    path.write_bytes(lines(*events))
    return path, events


@pytest.mark.parametrize(
    ("definitions", "days"),
    [
        (live.FOUR, None),
        pytest.param(live.FOUR, 365, marks=pytest.mark.nightly),
        pytest.param(DEMO, 365, marks=pytest.mark.nightly),
    ],
)
def test_replay_of_the_real_data_agrees_with_the_oracle(
    definitions: Path, days: int | None, real: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Each customer has the same changes in the same order: at the last event, and a year later."""
    path, events = real
    rules = oracle.BUILT_IN if definitions == live.FOUR else yaml.safe_load(DEMO.read_text())
    until = None if days is None else oracle.latest(events) + days * DAY_MS
    arguments = ["--definitions", str(definitions)]
    if until is not None:
        arguments += ["--until", datetime.fromtimestamp(until / 1000, UTC).isoformat()]
    done = segmenter("replay", str(path), *arguments)
    assert done.code == 0, done.err
    bodies = map(json.loads, done.out.splitlines())
    changes = [OracleChange(*(body[name] for name in OracleChange._fields)) for body in bodies]
    changes = [change._replace(occurred_at=milliseconds(change.occurred_at)) for change in changes]
    wanted = oracle.changes(events, rules, until)
    assert len(wanted) > 200
    assert not any(change.late for change in wanted)
    assert live.per_customer(changes) == live.per_customer(wanted)
