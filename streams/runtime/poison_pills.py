"""Poison pills: a record which kills the process again and again is found by trials, and becomes a dead letter.

    start 1   position 40; a thousand records are in hand when the process is killed
    start 2   position 40; killed again
    start 3   two deaths at one position: with care. "Trying visits, 57" is written, then 57 is decoded; killed
    start 4   the records before 57 are saved, so 57 is tried first; killed
    start 5   two deaths in a row with 57 alone under trial: it is a dead letter `poison`, and 58 is tried

*Care* is processing record by record, after deaths at one position; a *trial* is the marked processing of one record. A
record is under trial while it is decoded, and again while it is applied and saved. With care there is one trial at a
time in the whole process, and no other work of any partition beside it: so a death during a trial was caused by the
record, or from outside. An exit with a known cause (`Stop`, a Redis or Kafka that fails, a newer owner) ends the trial
before the process ends; a defect does not, as the record has caused it. Publishing needs no trial: it sends bytes.

A record that cannot be decoded kills nothing: `streams.wire.event_decoder` gives its reason, and
`streams.worker.segmenter` makes it a dead letter.

See also: `streams.runtime.partition_task`, which tries records, and `streams.runtime.assignment`, which judges deaths
at a claim.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import msgspec

from streams.errors import Fenced, StoreFailed
from streams.state.contract import Store
from streams.stop import Stop
from streams.wire.records import InputRecord

log = logging.getLogger(__name__)

# Deaths in a row: at one position before processing continues with care; of one record's trial before it is poison.
DEATHS_MAX = 2
# Care ends after this time, as an input that cannot be read would make it last for ever.
CARE_MAX_S = 300.0
# How long an exit with a known cause waits until the end of the trial is stored.
EXCUSE_MAX_S = 2.0

InputOffset = tuple[str, int]  # the topic and offset of an input


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The positions from which an owner works, and the deaths of former owners at them.

    ``deaths``: how many owners in a row died at these positions; ``suspect``: the record that was tried last;
    ``suspect_deaths``: how many former owners in a row died during its trial; ``is_trying``: whether its trial goes on.
    """

    positions: Mapping[str, int]
    deaths: int = 0
    suspect: InputOffset | None = None
    suspect_deaths: int = 0
    is_trying: bool = False

    @property
    def needs_care(self) -> bool:
        """Whether to process record by record."""
        return self.deaths >= DEATHS_MAX or self.suspect_deaths > 0

    def trying(self, place: InputOffset) -> Attempt:
        """Return this attempt while a record is under trial."""
        deaths = self.suspect_deaths if place == self.suspect else 0
        return msgspec.structs.replace(self, suspect=place, suspect_deaths=deaths, is_trying=True)


def encode(attempt: Attempt) -> bytes:
    """Encode an attempt for the store; as JSON, so that an operator can read it in Redis."""
    return msgspec.json.encode(attempt)


def judge(stored: bytes, positions: Mapping[str, int]) -> Attempt:
    """The attempt of a new owner. ``stored``: that of the former owner; empty if it ended in order."""
    try:
        former = msgspec.json.decode(stored, type=Attempt) if stored else None
    except msgspec.DecodeError:
        former = None
    if former is None:
        return Attempt(positions)
    deaths = former.deaths + 1 if former.positions == positions else 1
    topic, offset = former.suspect or ("", -1)
    if offset < positions.get(topic, 0):  # the record was saved meanwhile, so it is no suspect
        return Attempt(positions, deaths)
    return Attempt(positions, deaths, former.suspect, former.suspect_deaths + former.is_trying)


class Care:
    """Whether a process works record by record: for all of its partitions, or for none.

    ``partitions``: those that need care. ``records``: how many records of each are saved before care ends.
    """

    def __init__(
        self, partitions: Iterable[int] = (), records: int = 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._left = dict.fromkeys(partitions, records)
        self._monotonic = monotonic
        self._until = monotonic() + CARE_MAX_S
        self.alone = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        """Whether some partition still needs care."""
        return bool(self._left) and self._monotonic() < self._until

    def passed(self, partition: int) -> None:
        """Note that one more record of a partition is saved."""
        if partition in self._left:
            self._left[partition] -= 1
            if self._left[partition] <= 0:
                self.ended(partition)

    def ended(self, partition: int) -> None:
        """End the care for a partition."""
        self._left.pop(partition, None)


class Trials:
    """The trials of one partition under one claim."""

    def __init__(
        self,
        store: Store,
        partition: int,
        fencing_token: str,
        attempt: Attempt,
        care: Care,
        deaths_max: int = DEATHS_MAX,
    ) -> None:
        """``deaths_max``: how many deaths in a row during a record's trial make it `poison`."""
        self._store = store
        self._partition = partition
        self._fencing_token = fencing_token
        self._attempt = attempt
        self._care = care
        self.poison = attempt.suspect if attempt.suspect_deaths >= deaths_max else None
        if self.poison is not None:
            log.error(
                "a record killed the process each time it was processed; it becomes a dead letter",
                extra={"topic": self.poison[0], "partition": partition, "offset": self.poison[1]},
            )

    @property
    def is_on(self) -> bool:
        """Whether each record is to be tried by itself."""
        return self._care.is_on

    @property
    def alone(self) -> asyncio.Lock:
        """The lock that any work with care holds, so that no other work of the process runs beside it."""
        return self._care.alone

    def passed(self) -> None:
        """Note that a record is saved."""
        self._care.passed(self._partition)

    def ended(self) -> None:
        """Note that all records which were there are read, so care may end."""
        self._care.ended(self._partition)

    @contextlib.asynccontextmanager
    async def of(self, record: InputRecord) -> AsyncIterator[None]:
        """Run the trial of a record: a death before the end of the context counts against it. Raises `Fenced`."""
        try:
            await self._write(self._attempt.trying((record.topic, record.offset)))
            yield
        except (Stop, StoreFailed, Fenced, asyncio.CancelledError):
            with contextlib.suppress(TimeoutError, StoreFailed, Fenced):
                async with asyncio.timeout(EXCUSE_MAX_S):
                    await self._write(self._attempt)
            raise
        await self._write(self._attempt)

    async def _write(self, attempt: Attempt) -> None:
        if not await self._store.set_attempt(self._partition, self._fencing_token, encode(attempt)):
            raise Fenced
