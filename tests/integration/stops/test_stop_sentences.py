"""Every sentence with which something stops is tried: what it advises works, and nothing is lost.

The one rule: the source is read for its sentences (`tests.support.stop_sentences`), and each stands in exactly one
entry: of `tests.support.stop_trials.TRIED`, `TRIED_BY`, `DEFECTS` or `NOT_TRIED`, by parts of its text in their order.
So one that is new, or that advises something else, fails until it is tried. A trial follows the sentence with
real parts, and sees that it works.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from local.servers import Kafka, Redis
from tests.support import stop_sentences
from tests.support.stop_trials import TRIED, World

# Sentences that name a defect: nothing is advised but to report it.
DEFECTS = [("a defect ended", "please report it"), ("does not fit into an empty batch; this is a defect",)]
# Sentences that no test could bring about yet, and why.
NOT_TRIED = {
    ("cannot be read", "see Kafka's log"): "aiokafka 0.14 knows one lasting refusal of a "
    "fetch by Kafka 0.11 or later, that of a right, which has a sentence of its own",
}
# What of a sentence whose other advice is tried only people can do, and why.
BY_PEOPLE = {
    "see what it wrote, and whether there is memory for all customers of a partition": "memory is bought",
    "give topics a longer retention before more of them go": "what is gone stays gone; what comes later Kafka keeps",
    "and a longer retention": "as above; that what is left is gone on with is tried",
}
# By the test of another module that tries them.
TRIED_BY: dict[str, list[tuple[str, ...]]] = {
    "integration/stops/test_stops::test_more_dead_letters_than_the_ceiling": [
        ("are dead letters; correct the producer, or raise SEGMENTER_DEAD_LETTER_SHARE",),
    ],
    "integration/cli/test_distribution::test_a_state_that_is_not_there_or_of_other_definitions": [
        ("Redis was written under other definitions: name their file", "or read recorded events"),
    ],
    "integration/cli/test_commands::test_explain_of_a_state_that_is_not_there": [
        ("Redis was written under other definitions; name their file",),
        ("Redis holds no state of the segmenter; see SEGMENTER_REDIS and SEGMENTER_REDIS_PREFIX",),
    ],
    "integration/cli/test_commands::test_what_is_not_there_is_named": [
        ("Redis does not answer", "see SEGMENTER_REDIS"),
        ("Kafka at {} does not answer", "see"),
    ],
    "integration/stops/test_stop_advice::test_verify_waits_for_changed_definitions": [
        ("changed and the backfill is still running; run verify again once",),
    ],
    "integration/stops/test_stop_advice::test_kafka_answers_again": [
        ("Kafka kept no transaction within", "replication.factor is at most the number of its brokers"),
        ("could not be sent", "when Kafka answers, publish from line"),
        ("did not take a record", "when Kafka answers, delete the new topics, and copy again"),
        ("nothing was claimed for", "see that Kafka is up, and start again"),
    ],
    "integration/sink/test_sink::test_what_stops_it": [
        ("PostgreSQL does not answer ({}); see SEGMENTER_POSTGRES",),
        ("SEGMENTER_POSTGRES cannot be read; write postgresql://USER@HOST/DATABASE",),
        ("PostgreSQL refuses what the sink does: {}; see docs/guide/analysis.md",),
        ("were already written; the topic was deleted and recreated", "give SEGMENTER_POSTGRES_SCHEMA another name"),
    ],
    "integration/sink/test_tables::test_two_sinks_do_not_both_write": [
        ("another sink writes to the schema {}, too; end one of them",),
    ],
    "integration/gateway/test_gateway_stops::test_what_keeps_a_gateway_from_its_start": [
        ("a gateway needs a file with its write keys; name it in SEGMENTER_GATEWAY",),
        ("{} of the gateway file: {}",),
        ("{} of the gateway file has {} characters; write at least {}",),
        ("two keys of the gateway file are the same text; give each its own",),
        ("{} is no database of addresses ({}); see SEGMENTER_GATEWAY_COUNTRIES",),
        ("nothing can be served on {} ({}); see SEGMENTER_GATEWAY_HTTP",),
    ],
    "integration/gateway/test_gateway_stops::test_a_gateway_with_other_definitions_says_so": [
        ("Redis was written under other definitions; give gateway and worker the same file",),
    ],
    "integration/sink/test_tables::test_a_database_of_another_encoding_is_refused": [
        ("the database of SEGMENTER_POSTGRES cannot hold every text; create one with ENCODING 'UTF8'",),
    ],
    "integration/sink/test_tables::test_another_cluster_is_refused": [
        ("read from another Kafka cluster, or with another topic prefix; give SEGMENTER_POSTGRES_SCHEMA another name",),
    ],
    "unit/cli/test_sink::test_without_psycopg": [
        ("the package psycopg is missing; install it with pip install 'psycopg[binary]'",),
    ],
    "integration/triggers/test_lift::test_lift_counts_both_arms_from_one_point": [
        ("there is no trigger {} in {}; it has",),
        ("no trigger here has a goal; write goal",),
        ("{} cannot be written (it is a folder, or its folder does not exist)",),
        ("{} could not be written ({}); see whether there is room",),
    ],
    "integration/triggers/test_triggers::test_a_message_is_previewed_without_being_sent": [
        ("there is no message {} in {}; it has",),
        ("the message cannot be written for this customer",),
    ],
    "integration/cli/test_redeliver::test_kafka_falls_silent_while_letters_are_sent": [
        ("not all messages could be redelivered", "when Kafka answers, redeliver them again"),
    ],
    "integration/cli/test_topic_copy::test_a_record_that_kafka_refuses_for_good": [
        ("Kafka refuses to write a record to", "max.message.bytes", "delete the new topics, and copy again"),
    ],
    "integration/stops/test_stops::test_redis_dies_under_the_worker_and_comes_back": [
        ("Redis failed", "when it is back, start the worker again"),
    ],
    "integration/worker/test_partition_counts::test_topics_differ_in_their_number": [
        ("topics differ in their number", "where those with fewer hold nothing yet, add partitions to them; else"),
    ],
    "integration/worker/test_partition_counts::test_partitions_are_added": [
        ("belong to other partitions", "segmenter topics copy"),
        ("the number of partitions changed", "segmenter topics copy"),
    ],
    "integration/worker/test_partition_counts::test_partitions_are_added_under_a_running_worker": [
        ("the topics now have more than", "segmenter topics copy"),
    ],
    "integration/worker/test_partition_counts::test_a_copy_that_is_refused": [
        ("topics are missing: {}; see SEGMENTER_TOPIC_PREFIX",),
        ("topics are there already", "delete them, or copy to another prefix"),
    ],
    "integration/worker/test_partition_counts::test_topics_of_ones_own_partitioner": [
        ("only your partitioner knows a key's partition", "with a tool that uses it"),
    ],
    "integration/stops/test_stops::test_retention_has_passed_the_position": [
        ("were removed by retention before they were read", "and a longer retention"),
    ],
    "integration/worker/test_rebuild::test_events_that_are_gone": [
        ("without --rebuild it goes on as it is",),
        ("all records are needed, and those before are gone; give topics a longer retention",),
    ],
    "integration/stops/test_stop_advice::test_the_worker_is_started_again": [
        ("a claim was lost while it was made", "start the worker again"),
        ("has a newer owner but the group did not say so", "start the worker again"),
        ("claiming was broken off by Kafka's client; start the worker again",),
        ("was changed by someone else or Redis lost its last writes", "start the worker again"),
        ("claiming took over", "see that Redis and Kafka answer"),
        ("the event loop stood still", "start the worker again"),
        ("claiming took over", "published records are still being read back: start the worker again"),
        ("has records that were not fetched", "start again"),
        ("or could not renew its fence", "longer than Kafka remembers it; start the worker again"),
        ("the process that read its events has ended", "then start the worker again"),
    ],
    "integration/stops/test_stops::test_a_topic_that_takes_no_more": [
        ("does not take a batch of", "set max.message.bytes of the topic"),
        ("topics take only smaller batches than are published: max.message.bytes is",),
    ],
    "integration/security/test_process_rights::test_a_worker_without_a_right": [
        ("Kafka does not allow this user {} ({})", "then start again"),
    ],
    "integration/security/test_process_rights::test_what_kafka_does_not_allow_is_named": [
        ("Kafka does not allow this user {}: see", "then start again"),
    ],
    "integration/kafka/test_fence::test_a_process_that_stands_still_while_it_claims": [
        ("Kafka fenced this process's producer: ", "start the worker again"),
        ("Kafka has forgotten this producer", "then start the worker again"),
    ],
    "integration/security/test_process_rights::test_what_redis_does_not_allow_is_named": [
        ("Redis does not allow this user", "then start again"),
    ],
    "integration/security/test_secured_path::test_kafka_does_not_take_the_password": [
        ("refuses the login", "see"),
    ],
    "integration/security/test_secured_path::test_topics_that_a_user_may_not_create_or_see": [
        ("or create it as another user",),
    ],
    "integration/security/test_secured_path::test_a_file_that_cannot_be_used": [
        ("_CA_FILE cannot be used",),
        ("_CERTIFICATE_FILE, its key or the key's password cannot be used",),
    ],
    "integration/stops/test_stop_advice::test_more_of_them_are_started": [
        ("but can own at most", "processes at the same time"),
    ],
    "integration/stops/test_stop_advice::test_a_group_that_cannot_be_joined": [
        ("the group cannot be joined", "see SEGMENTER_GROUP and SEGMENTER_SESSION_TIMEOUT_S"),
    ],
}
ELSEWHERE = [parts for entries in TRIED_BY.values() for parts in entries]

# Texts around the sentence of another entry.
FRAMES = {"{}; {}", "publishing failed: {}", "{} stored {}, here {}: {}"}
# The trials of each time; the others run at night.
DAILY = {"recreated_input", "redis_out_of_memory"}


def holds(text: str, parts: tuple[str, ...]) -> bool:
    """Whether the parts stand in the text, in their order."""
    place = 0
    for part in parts:
        at = text.find(part, place)
        if at < 0:
            return False
        place = at + len(part)
    return True


def test_each_sentence_is_tried_in_one_place() -> None:
    """A sentence that stands in no entry, or an entry without a sentence, fails."""
    entries = [*TRIED, *ELSEWHERE, *DEFECTS, *NOT_TRIED]
    sentences = stop_sentences.sentence_files()
    assert stop_sentences.not_understood() == set()
    tried = {text: [parts for parts in entries if holds(text, parts)] for text in sentences.keys() - FRAMES}
    assert {text: matches for text, matches in tried.items() if len(matches) != 1} == {}
    assert [parts for parts in entries if not any(holds(text, parts) for text in sentences)] == []
    assert [advice for advice in BY_PEOPLE if not any(advice in text for text in sentences)] == []


@pytest.mark.parametrize("place", TRIED_BY)
def test_what_is_tried_elsewhere_is_there(place: str) -> None:
    """Each place of `TRIED_BY` is a test of that name."""
    module, _, name = place.partition("::")
    tree = ast.parse((Path(__file__).parents[2] / f"{module}.py").read_text("utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_a_new_sentence_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence is found however it is written; a text that cannot be analysed is reported."""
    (tmp_path / "new.py").write_text(
        "def f(x):\n    if x:\n        raise Stop('a' + f'b {x}; do c' if x else 'd')\n"
        "    stop(x.why())\n    lost(x.right() or 'e')\n"
    )
    monkeypatch.setattr(stop_sentences, "SOURCE", tmp_path)
    assert stop_sentences.sentence_files() == {"ab {}; do c": "new.py", "d": "new.py", "e": "new.py"}
    assert stop_sentences.not_understood() == {"x.why()"}


@pytest.mark.kafka
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(parts, id=trial.__name__, marks=() if trial.__name__ in DAILY else pytest.mark.nightly)
        for parts, trial in TRIED.items()
    ],
)
def test_what_a_stop_advises_works(parts: tuple[str, ...], kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """The stop is brought about, what it says is done, and nothing is lost."""
    stop_sentence = TRIED[parts](World(kafka, redis_server, tmp_path))
    assert holds(stop_sentence, tuple(piece for part in parts for piece in part.split("{}"))), stop_sentence
