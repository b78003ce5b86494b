"""The schema by which Faust passes whole batches to an agent, undecoded.

See also `streams.kafka.faust_transport`, which gives the batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust
from faust.types import Message


class BatchPassthroughSchema(faust.Schema[Any, Any]):
    """A schema that passes a batch through undecoded, so that Faust's ordinary agents receive it."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """Pass the batch, in place of decoding key and value."""

        async def decode(message: Message, *, propagate: bool = False) -> Any:  # noqa: ARG001  # Faust passes it
            return app.create_event(None, message.value, None, message)

        return decode
