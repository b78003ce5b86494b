"""The commands by what they are for, each with its sentence, and examples: the second half of ``segmenter --help``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from streams.cli.terminal import width, wrapped

GROUPS: Mapping[str, Mapping[str, str]] = {
    "run a process": {
        "worker": "run a worker, which segments customers; further arguments go to Faust's worker",
        "triggers": "send messages when segments change; further arguments go to Faust's worker",
        "ops": "serve the operations page and its API",
        "gateway": "take events of browsers, apps and servers over HTTP",
        "sink": "write changes, memberships and decisions to PostgreSQL",
    },
    "look": {
        "tail": "print segment changes as they are published",
        "explain": "print the segments of a customer, the reasons, and when they may change",
        "preview": "write a trigger's message to a customer into files, and say what is against it; sends nothing",
        "export": "print all stored data of a customer as JSON",
        "lift": "compare what triggers brought about with their hold-out",
        "distribution": "print how a total is distributed over customers, and suggest cut-offs",
    },
    "change": {
        "topics": "create, verify or copy the topics",
        "publish": "send events (Segment Spec, JSON lines) to their topics",
        "redeliver": "retry dead-lettered messages",
        "erase": "erase a customer; lists what was deleted and what only expires with retention",
        "unlink": "separate two ids that were linked as one person",
    },
    "check": {
        "doctor": "check Python, settings, files, Kafka, Redis, rights, clocks and topics; prints what to do",
        "check": "check a segments file",
        "replay": "evaluate recorded events without Kafka and Redis; prints the segment changes",
        "diff": "compare two segments files on the same events",
        "verify": "recompute all customers from Kafka; compare with Redis and the published changes",
    },
}
EXAMPLES: Mapping[str, str] = {
    "segmenter check segments.yaml --explain": "what does each segment ask?",
    "segmenter doctor": "can a worker run here?",
    "segmenter explain u1": "why is customer u1 in its segments?",
}
SENTENCES: Mapping[str, str] = {name: sentence for group in GROUPS.values() for name, sentence in group.items()}
_NAME_WIDTH = max(map(len, SENTENCES))
_EXAMPLE_WIDTH = max(map(len, EXAMPLES))


def overview() -> str:
    """All commands in their groups, then the examples."""
    lines: list[str] = []
    for group, sentences in GROUPS.items():
        lines += ["", f"{group}:"]
        for name, sentence in sentences.items():
            lines += _in_columns(f"    {name:<{_NAME_WIDTH}}  ", sentence)
    lines += ["", "examples:"]
    for example, sentence in EXAMPLES.items():
        lines += _in_columns(f"    {example:<{_EXAMPLE_WIDTH}}  ", f"# {sentence}")
    lines += ["", *wrapped("`segmenter COMMAND --help` prints the arguments of a command.")]
    return "\n".join(lines) + "\n"


def _in_columns(first: str, sentence: str) -> list[str]:
    """The sentence behind its name, wrapped below itself."""
    return textwrap.wrap(sentence, width(), initial_indent=first, subsequent_indent=" " * len(first))
