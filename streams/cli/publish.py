"""``segmenter publish``: sends JSON lines to the input topics on which they belong, with the customer id as key.

The one rule: a line that the worker would not accept is not sent. It is reported by its number; the others are sent.

See also: `streams.wire.event_decoder`, which accepts a line or not; `streams.cli.delivery`, which sends it.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing

from kafka.errors import KafkaError

from rules.event_names import input_of
from streams.cli.delivery import Sender
from streams.cli.findings import report
from streams.cli.input_files import Rejections, opened, with_progress
from streams.cli.survey_findings import SHOWN_MAX, findings
from streams.kafka.admin import verify
from streams.kafka.client import answering
from streams.offline.input_survey import InputSurvey
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.stop import Stop
from streams.wire.event_decoder import Rejected, decode_line


class LinePublisher:
    """Validates lines and sends them to Kafka."""

    def __init__(self, settings: Settings) -> None:
        verify(settings, NEEDS["publish"].topics)
        self._placeholders = load(settings.definitions).placeholders
        self._prefix = settings.topic_prefix
        self.sender = Sender(settings)

    def send(self, line: bytes, number: int = 0) -> None:
        """Send a line, called ``number``. Raises `Rejected` if the worker would not accept it, and `KafkaError`."""
        event = decode_line(line, int(time.time() * 1000), placeholders=self._placeholders)
        topic = self._prefix + input_of(event.name)
        self.sender.send(number, topic, key=event.customer.encode(), value=line)

    def close(self) -> None:
        """Wait until all lines are acknowledged. Raises `KafkaError` if one is not in time."""
        self.sender.close()


def survey(settings: Settings, file: str) -> int:
    """Print what the worker would make of the lines of a file; exit code 1 if it would not accept one, or has none.

    Nothing is sent, and no server is asked.
    """
    definitions = load(settings.definitions)
    counts = InputSurvey(definitions, Rejections(SHOWN_MAX), int(time.time() * 1000))
    with opened(file) as lines:
        for _ in counts.read(with_progress(lines, "read")):
            pass  # nothing is sent
    report(findings(counts, definitions))
    return 1 if counts.rejected or not counts.events else 0


def run(settings: Settings, file: str) -> int:
    """Publish the lines of a file; exit code 1 if one is refused, here or by Kafka.

    Raises `Stop` when Kafka takes no more.
    """
    bad = 0
    silence: KafkaError | None = None
    with opened(file) as lines, answering(settings):
        publisher = LinePublisher(settings)
        sender = publisher.sender
        try:
            with closing(publisher):
                for number, line in enumerate(with_progress(lines, "sent"), 1):
                    bad += _is_refused(publisher, number, line.strip())
        except KafkaError as error:
            silence = error
        finally:
            print(f"{sender.acknowledged} events published, {bad} lines refused", file=sys.stderr)
            for number, refusal in sender.refused.items():
                print(f"line {number}: not acknowledged: {refusal}", file=sys.stderr)
    if silence is not None:
        first = min(sender.unanswered)
        raise Stop(f"line {first} could not be sent ({silence}); when Kafka answers, publish from line {first} on")
    return 1 if bad or sender.refused else 0


def _is_refused(publisher: LinePublisher, number: int, line: bytes) -> bool:
    """Send a line; whether the worker would not accept it, in which case it is reported instead."""
    try:
        if line:
            publisher.send(line, number)
    except Rejected as reason:
        print(f"line {number}: {reason}", file=sys.stderr)
        return True
    return False
