"""The clock of a partition: the time up to which its due times have fired, and up to which all is read. In Flink: the
watermark.

    12:00:05  Kafka is asked for records of every input, and answers that there are no more
    12:00:06  all fetched records are taken: the clock is 12:00:05 less the grace, and due times up to then fire
    12:00:09  the topic of visits does not answer: the clock stays, whatever is read from the other inputs

The one rule: the clock never passes a record that may be unread, as that record may change what is due after it. The
clock never goes back, and never passes the wall clock less the grace.

An event from behind the clock still counts, as late.

See also: `rules.engine` (late events), `streams.runtime.timers` (fires due times on this clock),
`streams.runtime.input_merge` (takes a record once no unread record of another input can be older).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from streams.kafka.fetch import FetchStatus
from streams.runtime.checkpoint import Checkpointer
from streams.runtime.input_merge import Merge


class PartitionClock:
    """Computes the clock of a partition from the state of its inputs.

    ``fetch_status``: how an input, by its topic, is being fetched. ``grace_ms``: how far the clock stays behind the
    wall clock. ``answer_s`` (s): for how long an input that answered to be at its end is taken to be there.
    """

    def __init__(
        self,
        merge: Merge,
        saved: Checkpointer,
        fetch_status: Callable[[str], FetchStatus],
        now_ms: Callable[[], int],
        grace_ms: int,
        answer_s: float,
    ) -> None:
        self._merge = merge
        self._saved = saved
        self._fetch_status = fetch_status
        self._now_ms = now_ms
        self._grace_ms = grace_ms
        self._answer_s = answer_s

    def clock(self) -> int:
        """The partition's clock (ms)."""
        unread = min(self._unread_from(topic) for topic in self._saved.positions)
        return max(self._saved.clock, min(unread, self._now_ms() - self._grace_ms))

    def caught_up_until(self) -> int:
        """The moment (ms) up to which everything appended to any input is read; 0 while some input is behind.

        The clock alone does not show it: while an input is behind, the clock is the time of the last record taken, and
        an older record may follow.
        """
        if not all(self._is_at_its_end(topic) for topic in self._saved.positions):
            return 0
        return min(self._unread_from(topic) for topic in self._saved.positions)

    def read_until(self, topic: str) -> float:
        """The time (monotonic, s) up to which other inputs' records are known to follow this input's; see `Merge.take`.

        Kafka's last answer shows whether an input is at its end. Not all inputs are requested together (an input with
        records in the fetcher is left out), so a record that another input gave later than ``answer_s`` after that
        answer's request waits for the next answer.
        """
        answer = self._fetch_status(topic).answer
        if answer is None or answer.high_watermark != self._merge.fetched(topic):
            return -math.inf
        return answer.requested_monotonic + self._answer_s

    def _is_at_its_end(self, topic: str) -> bool:
        answer = self._fetch_status(topic).answer
        return (
            answer is not None
            and not self._merge.in_hand(topic)
            and answer.high_watermark == self._merge.fetched(topic)
        )

    def _unread_from(self, topic: str) -> int:
        """The moment (ms) up to which everything of an input is read.

        If the last fetch found no more records and all former ones are taken, it is the time of that request, less the
        grace: all records appended before it are read. This is true for an old answer, too, so an input that does not
        answer stops the clock, whatever is read from the others.
        """
        answer = self._fetch_status(topic).answer
        if answer is None or not self._is_at_its_end(topic):
            return self._merge.unread_from(topic)
        return answer.requested_ms - self._grace_ms
