"""Generates the contract as files: JSON Schema and AsyncAPI, from the code that reads and writes.

Nothing that the code states is stated again here. Types come from the structs, names, topics and limits from their
constants; only constraints that a type cannot express are added.

    python -m doc_tools.schemas            writes docs/
    python -m doc_tools.schemas --check    exit 1 and a sentence for each file that is not current

Each kind of document has a module of its own in this folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from doc_tools import (
    asyncapi,
    benchmark_tables,
    event_schema,
    fault_run_figures,
    gateway_openapi,
    generated_blocks,
    metrics_reference,
    openapi,
    output_schemas,
    reference,
    segments_schema,
    settings_reference,
    triggers_schema,
)
from doc_tools.generated_blocks import BlockError
from rules.forms.json_schema import Schema
from streams.gateway.config import GatewayFile
from streams.rights.page import page
from streams.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent


def files() -> dict[str, str]:
    """The text of each file, by its path in the project."""
    documents = {
        "docs/reference/schemas/event.json": event_schema.event(),
        "docs/reference/schemas/strict-event.json": event_schema.strict_event(),
        "docs/reference/schemas/segment-change.json": output_schemas.segment_change(),
        "docs/reference/schemas/membership.json": output_schemas.membership(),
        "docs/reference/schemas/reason.json": output_schemas.reason(),
        "docs/reference/schemas/dead-letter.json": output_schemas.dead_letter(),
        "docs/reference/schemas/segments.json": segments_schema.schema(),
        "docs/reference/schemas/triggers.json": triggers_schema.triggers(),
        "docs/reference/schemas/trigger-decision.json": triggers_schema.decision(),
        "docs/reference/asyncapi.json": asyncapi.document(),
        "docs/reference/openapi.json": openapi.document(),
        "docs/reference/gateway.json": gateway_openapi.document(),
        "docs/reference/schemas/gateway.json": GatewayFile.model_json_schema(by_alias=True),
    }
    options: Schema = {"indent": 2, "sort_keys": True, "ensure_ascii": False}
    texts = {name: json.dumps(document, **options) + "\n" for name, document in documents.items()}
    drawn = {"docs/reference/conditions.md": reference.conditions(), "docs/reference/library.md": reference.library()}
    drawn |= {
        "docs/operations/metrics.md": metrics_reference.metrics(),
        "docs/operations/rights.md": page(Settings.model_construct()),
    }
    return texts | drawn


def pages(root: Path) -> dict[str, str]:
    """The text of each page of a tree with generated blocks, by its path. Raises `BlockError`."""
    texts = {page.relative_to(root).as_posix(): page.read_text("utf-8") for page in generated_blocks.pages(root)}
    with_blocks = {name: text for name, text in texts.items() if generated_blocks.has_blocks(text)}
    blocks: dict[str, str] = {}
    if with_blocks:
        blocks |= benchmark_tables.blocks(root)
        blocks |= {"settings": settings_reference.tables(), "fault-runs": fault_run_figures.figures(root)}
    drawn: dict[str, str] = {}
    for name, text in with_blocks.items():
        try:
            drawn[name] = generated_blocks.redrawn(text, blocks)
        except BlockError as error:
            raise BlockError(f"{name}:{error}") from None
    return drawn


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the files that are not current, or with ``--check`` report them. Returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m doc_tools.schemas [--check]\n")
        return 2
    try:
        texts = pages(root) | files()
    except BlockError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = {name: text for name, text in texts.items() if not _is(root / name, text)}
    for name, text in stale.items():
        if arguments:
            sys.stderr.write(f"{name} is not what the code says: run python -m doc_tools.schemas\n")
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
    return 1 if arguments and stale else 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
