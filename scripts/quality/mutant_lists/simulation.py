"""Guards that the simulation must miss; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

MUTANTS = (
    Mutant(
        "save number",
        "streams/state/memory.py",
        "if save.number != state.save_number + 1:",
        "if False:",
    ),
    Mutant(
        "a save that is sent twice is applied once",
        "streams/state/memory.py",
        "if save.number == state.save_number and save.digest == state.digest:",
        "if False:",
    ),
    Mutant(
        "only the owner saves",
        "streams/state/memory.py",
        "state.claim is None or state.claim.fencing_token != save.fencing_token",
        "state.claim is None",
    ),
    Mutant(
        "a lower generation must prove itself",
        "streams/state/memory.py",
        "if claim.generation < generation and claim.proven_over != state.claim.fencing_token:",
        "if False:",
    ),
    Mutant(
        "a proof that a claim is over counts for that claim alone",
        "streams/state/memory.py",
        "claim.proven_over != state.claim.fencing_token",
        "not claim.proven_over",
        "tests/integration/state/test_store_contract.py",
    ),
    Mutant(
        "a batch after a gap is not received",
        "streams/runtime/input_buffer.py",
        "if batch.start > awaited:",
        "if False:",
    ),
    Mutant(
        "records that were received are skipped",
        "streams/kafka/fetch_queue.py",
        " if record.offset >= awaited)",
        ")",
    ),
    Mutant(
        "merge by event time",
        "streams/runtime/input_merge.py",
        "        ready.sort()\n",
        "",
    ),
    Mutant(
        "an unread input stops the merge",
        "streams/runtime/input_merge.py",
        "until = min(until, complete_until)",
        "pass",
    ),
    Mutant(
        "no record is taken while an earlier one may be unread",
        "streams/runtime/input_merge.py",
        "elif complete_until < newest:",
        "elif False:",
    ),
    Mutant(
        "an old end offset does not move the clock",
        "streams/runtime/partition_clock.py",
        "+ self._answer_s",
        "+ 1e9",
    ),
    Mutant(
        "the clock waits for records in hand",
        "streams/runtime/partition_clock.py",
        "            and not self._merge.in_hand(topic)\n",
        "",
    ),
    Mutant(
        "the clock waits for records that were not fetched",
        "streams/runtime/partition_clock.py",
        "            and answer.high_watermark == self._merge.fetched(topic)\n",
        "",
    ),
    Mutant(
        "the clock stays behind by the grace",
        "streams/runtime/partition_clock.py",
        "return answer.requested_ms - self._grace_ms",
        "return answer.requested_ms",
    ),
    Mutant(
        "batches that were lost are read again",
        "streams/runtime/watchdog.py",
        "if count < LOST_AFTER_ANSWERS:",
        "if True:",
    ),
    Mutant(
        "a trim is refused where its save was lost",
        "streams/state/memory.py",
        "state.claim.fencing_token != fencing_token or state.save_number < number:",
        "state.claim.fencing_token != fencing_token:",
    ),
    Mutant(
        "the outbox of a former owner is published",
        "streams/worker/output_recovery.py",
        "await recovery.publish_rest()",
        "pass",
    ),
    Mutant(
        "records on the topics are not published again",
        "streams/runtime/read_back.py",
        "entry.missing -= published",
        "pass",
    ),
    Mutant(
        "changes that only the topic has are stored",
        "streams/worker/output_recovery.py",
        "customers = await mark_published(self._part.loader, self._part.checkpointer, published, self._now_ms())",
        "customers = await load_customers(self._part.loader, list(published))",
    ),
    Mutant(
        "nothing is published of a customer that is ahead",
        "streams/worker/segmenter.py",
        "if customer.published_ahead is None:\n                return self._loader.engine.apply(",
        "if True:\n                return self._loader.engine.apply(",
    ),
    Mutant(
        "dead letters that are on their topic are not published again",
        "streams/worker/segmenter.py",
        "            if _place(record) not in self._published_dead_letters\n",
        "",
    ),
    Mutant(
        "the outbox is trimmed after it is published",
        "streams/runtime/outbox.py",
        "        positions = await self._publisher.publish(self._partition, records) if records else {}\n"
        '        reach("after_publish")\n'
        "        await self.trim(len(entries), positions)\n",
        "        await self.trim(len(entries), {})\n        await self._publisher.publish(self._partition, records)\n",
    ),
    Mutant(
        "one event per message id",
        "rules/profile/deduplication.py",
        "if other[1] == ident:\n            del entries[later]",
        "if False:\n            del entries[later]",
    ),
)
