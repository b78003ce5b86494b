"""The log: one line for each thing that happened, with its partition and generation as fields.

The one rule: a message is a constant text, and what varies is in fields (``extra``), so that lines can be searched by
either. Nothing that a customer sent is among them (`streams.defects`).
"""

from __future__ import annotations

import logging.config
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from streams import credentials, defects

Format = Literal["text", "json"]
# Client libraries, which log each connection at level INFO.
_CLIENTS = ("aiohttp", "aiokafka", "faust", "kafka", "mode", "redis")


def config(form: Format) -> dict[str, Any]:
    """For `logging.config.dictConfig`, to be merged into the one that sets the level, as Faust does it."""
    told: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_texts,
    ]
    rendered: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return {
        "merge": True,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": told,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendered],
            }
        },
        "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["default"]},
    }


def _without_texts(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Of an exception that somebody logs, a library too, the frames and types: its text may be a customer's."""
    found = line.pop("exc_info", None)
    if isinstance(found, tuple) and found[1] is not None:
        line["trace"] = defects.trace(found[1])
    return line


def set_up(form: Format) -> None:
    """For a process that Faust does not run: from level INFO on, to stderr; of client libraries from WARNING on."""
    chosen = config(form)
    del chosen["merge"]
    chosen["root"]["level"] = "INFO"
    chosen["loggers"] = {name: {"level": "WARNING"} for name in (*_CLIENTS, *credentials.WIRE_LOGGERS)}
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **chosen})
