"""Configuration of the log: one line per event, with fields such as its partition and generation.

The one rule: a message is a constant text, and what varies is in fields (``extra``), so that lines can be searched by
either. No field contains what a customer sent (`streams.defects`).
"""

from __future__ import annotations

import logging.config
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from streams import defects
from streams.settings import credentials

Format = Literal["text", "json"]
# Client libraries, which log each connection at level INFO.
_CLIENTS = ("aiohttp", "aiokafka", "faust", "kafka", "mode", "redis")


def config(form: Format) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`, which Faust merges into its own."""
    processors: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_texts,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return {
        "merge": True,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": processors,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["default"]},
    }


def _without_texts(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace a logged exception, also a library's, by its frames and types: its text may contain a customer's data."""
    exc_info = line.pop("exc_info", None)
    if isinstance(exc_info, tuple) and exc_info[1] is not None:
        line["trace"] = defects.trace(exc_info[1])
    return line


def set_up(form: Format) -> None:
    """Configure the log of a process without Faust: to stderr, from INFO on; client libraries from WARNING on."""
    chosen = config(form)
    del chosen["merge"]
    chosen["root"]["level"] = "INFO"
    chosen["loggers"] = {name: {"level": "WARNING"} for name in (*_CLIENTS, *credentials.WIRE_LOGGERS)}
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **chosen})
