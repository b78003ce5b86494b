"""Switch off one guard after the other, and see that the simulation or a test turns red.

The one rule: a guard that nothing misses is not tested. Each mutant is one change of the source,
made in a copy of the tree; one that survives is exit code 1. Long because the mutants are a list.

    scripts/mutants [--seeds N] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

__all__ = ["BY_SIMULATION", "BY_TESTS", "Killed", "Mutant", "main", "tried"]

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("rules", "streams", "tests", "scripts", "pyproject.toml", "data", "docs")
SEEDS = 500
LIMIT_S = 280


class Mutant(NamedTuple):
    """A guard, where it is, and what stands there without it. ``tests``: what must turn red, else the simulation."""

    guard: str
    path: str
    right: str
    wrong: str
    tests: str = ""


BY_SIMULATION = (
    Mutant(
        "save number",
        "streams/memory_store.py",
        "if save.number != held.save_number + 1:",
        "if False:",
    ),
    Mutant(
        "a save that is sent twice is known",
        "streams/memory_store.py",
        "if save.number == held.save_number and save.digest == held.digest:",
        "if False:",
    ),
    Mutant(
        "claim token of a save",
        "streams/memory_store.py",
        "held.claim is None or held.claim.token != save.token",
        "held.claim is None",
    ),
    Mutant(
        "a lower generation must prove itself",
        "streams/memory_store.py",
        "if claim.generation < stored and claim.proven_over != held.claim.token:",
        "if False:",
    ),
    Mutant(
        "a proof is of one claim, not of its number",
        "streams/memory_store.py",
        "claim.proven_over != held.claim.token",
        "not claim.proven_over",
        "tests/test_store.py",
    ),
    Mutant(
        "a batch that does not follow on what was fetched",
        "streams/input_buffer.py",
        "if batch.start > awaited:",
        "if False:",
    ),
    Mutant(
        "records that were received are skipped",
        "streams/fetch_queue.py",
        " if record.offset >= awaited)",
        ")",
    ),
    Mutant(
        "merge by event time",
        "streams/merge.py",
        "        ready.sort()\n",
        "",
    ),
    Mutant(
        "an unread input stops the merge",
        "streams/merge.py",
        "until = min(until, at)",
        "pass",
    ),
    Mutant(
        "nothing is taken behind what may be unread",
        "streams/merge.py",
        "elif at < newest:",
        "elif False:",
    ),
    Mutant(
        "freshness of the end offset",
        "streams/shard.py",
        "+ self._pace.told_s",
        "+ 1e9",
    ),
    Mutant(
        "the clock waits for what is in hand",
        "streams/shard.py",
        "and not self.merge.in_hand(topic) and answer.end",
        "and answer.end",
    ),
    Mutant(
        "the clock waits for what was not fetched",
        "streams/shard.py",
        " and answer.end == self.merge.fetched(topic)",
        "",
    ),
    Mutant(
        "grace of the clock",
        "streams/shard.py",
        "return answer.asked_ms - self._pace.grace_ms",
        "return answer.asked_ms",
    ),
    Mutant(
        "batches that were lost are read again",
        "streams/watchdog.py",
        "if count < LOST_AFTER_ANSWERS:",
        "if True:",
    ),
    Mutant(
        "a trim rests on a save that is there",
        "streams/memory_store.py",
        "held.claim.token != token or held.save_number < number:",
        "held.claim.token != token:",
    ),
    Mutant(
        "an outbox that is found is published",
        "streams/recovery.py",
        "await part.publish_rest()",
        "pass",
    ),
    Mutant(
        "what is on the topics is not published again",
        "streams/recovery.py",
        "entry.unseen -= seen",
        "pass",
    ),
    Mutant(
        "published changes that are unknown are noted",
        "streams/recovery.py",
        "known = await self._claimed.segmenter.note(told, self._now_ms())",
        "known = await self._claimed.segmenter.known(list(told))",
    ),
    Mutant(
        "of a customer that is ahead nothing is published",
        "streams/segmenter.py",
        "if customer.ahead is None:\n                return self._engine.apply(",
        "if True:\n                return self._engine.apply(",
    ),
    Mutant(
        "dead letters that are on their topic are not published again",
        "streams/segmenter.py",
        " if _place(one[0]) not in self._letters]",
        "]",
    ),
    Mutant(
        "published before it is trimmed",
        "streams/outbox.py",
        "        positions = await self._publisher.publish(self._partition, records) if records else {}\n"
        '        reach("after_publish")\n'
        "        await self.trim(len(entries), positions)\n",
        "        await self.trim(len(entries), {})\n        await self._publisher.publish(self._partition, records)\n",
    ),
    Mutant(
        "one event per message id",
        "rules/repeats.py",
        "if found[1] == ident:\n            del known[near]",
        "if False:\n            del known[near]",
    ),
)
BY_TESTS = (
    Mutant(
        "topics that got more partitions are refused",
        "streams/claiming.py",
        "if unread := self.unread - plan.placed:",
        "if unread := set[int]():",
        "tests/test_ownership.py::test_topics_that_got_more_partitions",
    ),
    Mutant(
        "a worker that has a new partition alone looks at the others, too",
        "streams/placement.py",
        "if await _check(outputs, unread, belongs) and others:",
        "if await _check(outputs, unread, belongs) and False:",
        "tests/test_ownership.py::test_a_worker_that_has_a_new_partition_alone",
    ),
    Mutant(
        "first records are looked at once by a process",
        "streams/claiming.py",
        "plan.placed.update(await placement.check(self._outputs, unread, others, plan.belongs))",
        "await placement.check(self._outputs, unread, others, plan.belongs)",
        "tests/test_ownership.py::test_first_records_are_looked_at_once",
    ),
    Mutant(
        "a partition of which nothing came yet is waited for",
        "streams/placement.py",
        "not (is_late and head.count)",
        "not is_late",
        "tests/test_partitions_live.py::test_first_records_that_come_late_are_waited_for",
    ),
    Mutant(
        "how long more of a partition is waited for counts from what came first",
        "streams/placement.py",
        'until = float("inf")',
        "until = time.monotonic() + READ_MAX_S",
        "tests/test_partitions_live.py::test_more_of_a_partition_is_not_waited_for_long",
    ),
    Mutant(
        "more of a partition is not waited for long",
        "streams/placement.py",
        "is_late = time.monotonic() > until",
        "is_late = False",
        "tests/test_partitions_live.py::test_more_of_a_partition_is_not_waited_for_long",
    ),
    Mutant(
        "first records of an open transaction are judged",
        "streams/output_topics.py",
        'isolation_level="read_uncommitted"',
        'isolation_level="read_committed"',
        "tests/test_partitions_live.py::test_records_of_an_open_transaction_are_judged",
    ),
    Mutant(
        "customers of another number of partitions are seen",
        "streams/placement.py",
        "if misplaced >= MISPLACED_MIN and misplaced * ONE_IN > count:",
        "if False:",
        "tests/test_partitions_live.py::test_customers_of_another_number_are_seen",
    ),
    Mutant(
        "strangers among customers keep nobody from starting",
        "streams/placement.py",
        " and misplaced * ONE_IN > count:",
        ":",
        "tests/test_partitions_live.py::test_strangers_among_customers_are_no_sign",
    ),
    Mutant(
        "a sentence of a stop is found in the source",
        "tests/stop_sentences.py",
        "isinstance(node, ast.Call) and node.args and _name(node.func) in _CALLED:",
        "isinstance(node, ast.Call) and node.args and _name(node.func) in _CALLED - {'Stop'}:",
        "tests/test_stop_sentences.py::test_a_new_sentence_is_found",
    ),
    Mutant(
        "what was not acknowledged is published again",
        "streams/commands/publish.py",
        "min([number, *(failed for failed, _ in publisher.failed)])",
        "number",
        "tests/test_commands_fail.py",
    ),
    Mutant(
        "a breaker is told open while it is tried whether it may close",
        "streams/triggers/endpoints.py",
        "return self._failed >= BREAKS_AFTER",
        "return False",
        "tests/test_triggers_metrics.py::test_a_breaker_is_told_open_until_an_attempt_succeeds",
    ),
    Mutant(
        "an identified customer becomes nobody's former id by an anonymousId",
        "rules/links.py",
        "if not event.vouched and customer.identified:",
        "if False:",
        "tests/test_takeover.py",
    ),
    Mutant(
        "a link ends where its id turns out to be a user's",
        "rules/links.py",
        "return [end_link(event, customer)]",
        "return []",
        "tests/test_takeover.py",
    ),
    Mutant(
        "whoever vouches for a link vouches for the person",
        "streams/wire/decode.py",
        "identifies = vouched or (",
        "identifies = (",
        "tests/test_takeover.py",
    ),
    Mutant(
        "an alias is vouched for on profiles alone",
        "streams/wire/decode.py",
        "vouched = previous is not None and (origin is None or origin.topic.endswith(_PROFILES))",
        "vouched = previous is not None",
        "tests/test_takeover.py",
    ),
    Mutant(
        "a redirect that is vouched for is not overridden",
        "rules/links.py",
        "if vouched and not event.vouched:",
        "if False:",
        "tests/test_takeover.py",
    ),
    Mutant(
        "new ids of a person are bounded",
        "rules/links.py",
        "if len(recent) >= NEW_LINKS_MAX:",
        "if False:",
        "tests/test_takeover.py",
    ),
    Mutant(
        "two ids that were parted stay so",
        "rules/links.py",
        "if parted is not None and (not event.vouched or event.time <= parted):",
        "if False:",
        "tests/test_takeover.py",
    ),
    Mutant(
        "an erasure along asks whether the link was allowed",
        "rules/people.py",
        "if refused := refusal_of(link, customer, linkage):",
        "if False:",
        "tests/test_takeover.py",
    ),
    Mutant(
        "a profile that comes twice counts once",
        "rules/people.py",
        "if event.move in linkage.taken:",
        "if False:",
        "tests/test_moves.py",
    ),
    Mutant(
        "what a person took in travels with its profile",
        "rules/people.py",
        "{**whole.taken, event.move: event.linked}",
        "{event.move: event.linked}",
        "tests/test_moves.py",
    ),
    Mutant(
        "nothing is decided by half of a profile",
        "rules/profile_moves.py",
        "if len(arriving.chunks) < arriving.count:",
        "if len(arriving.chunks) < 1:",
        "tests/test_moves.py",
    ),
    Mutant(
        "an event that fits into no record is not sent on",
        "streams/segmenter.py",
        "if merges.fits(event):",
        "if True:",
        "tests/test_moves.py",
    ),
    Mutant(
        "an erasure along is found by its notice alone",
        "streams/erasures.py",
        'elif b"notice" in value[:_KIND_WITHIN_BYTES]:\n            event = merges.read(value, record.key)\n'
        "            if isinstance(event, ErasureNotice):",
        "else:\n            event = merges.read(value, record.key)\n            if isinstance(event, Erased):",
        "tests/test_erasure.py",
    ),
    Mutant(
        "a repeated order ends no minimum stay",
        "rules/engine.py",
        "return -1 if is_known else event.time",
        "return event.time",
        "tests/test_minimum_stay.py",
    ),
    Mutant(
        "an order that is older than the entry ends no minimum stay",
        "rules/engine.py",
        "and entered is not None and ordered_ms < entered:",
        "and entered is not None and ordered_ms < 0:",
        "tests/test_minimum_stay.py",
    ),
    Mutant(
        "a claim is ended when partitions are taken back",
        "streams/ownership.py",
        "        if making is not None:",
        "        if False:",
        "tests/test_ownership.py",
    ),
    Mutant(
        "a fetch that fails takes the last answer back",
        "streams/fetched.py",
        "self._heard[tp] = Heard(None, self.of(tp).at)",
        "pass",
        "tests/test_transport.py",
    ),
    Mutant(
        "batches of a former generation are dropped",
        "streams/ownership.py",
        "holding is None or batch.generation != self._generation",
        "holding is None",
        "tests/test_ownership.py",
    ),
    Mutant(
        "claim token of a trim",
        "streams/memory_store.py",
        "held.claim.token != token or held.save_number < number",
        "held.save_number < number",
        "tests/test_store.py",
    ),
    Mutant(
        "a claim that Redis lost is not held",
        "streams/claiming.py",
        "if not await self._store.begin(claim, by_topic, self._files_of(partition, state), state.save_number):",
        "await self._store.begin(claim, by_topic, self._files_of(partition, state), state.save_number)\n"
        "        if False:",
        "tests/test_ownership.py",
    ),
    Mutant(
        "what was heard before a claim is forgotten",
        "streams/fetched.py",
        "self._heard[tp] = Heard(None, self._now())",
        "pass",
        "tests/test_ownership.py",
    ),
    Mutant(
        "position check",
        "streams/memory_store.py",
        "or any(held.positions.get(name) != start for name, start in save.starts.items()):",
        ":",
        "tests/test_store.py",
    ),
    Mutant(
        "seek on assignment",
        "streams/transport.py",
        "await self.seek_now(positions)",
        "pass",
        "tests/test_transport.py",
    ),
    Mutant(
        "position check in Redis",
        "streams/lua/save.lua",
        "~= ARGV[at + 2 + 3 * i] then",
        "== '' then",
        "tests/test_store.py",
    ),
    Mutant(
        "save number in Redis",
        "streams/lua/save.lua",
        "if tonumber(ARGV[2]) ~= number + 1 then",
        "if false then",
        "tests/test_store.py",
    ),
    Mutant(
        "a save that is sent twice is known in Redis",
        "streams/lua/save.lua",
        "if tonumber(ARGV[2]) == number and held[3] == ARGV[3] then",
        "if false then",
        "tests/test_store.py",
    ),
    Mutant(
        "claim token of a save in Redis",
        "streams/lua/save.lua",
        "if held[1] ~= ARGV[1] then",
        "if false then",
        "tests/test_store.py",
    ),
    Mutant(
        "the clock goes no further than Redis agrees",
        "streams/lua/save.lua",
        "tonumber(now[2]) / 1000 + 1000 then",
        "tonumber(now[2]) / 1000 + 1e12 then",
        "tests/test_redis_store.py",
    ),
    Mutant(
        "claim token of a trim in Redis",
        "streams/lua/trim.lua",
        "if held[1] ~= ARGV[1] or",
        "if",
        "tests/test_store.py",
    ),
    Mutant(
        "a trim rests on a save that is there in Redis",
        "streams/lua/trim.lua",
        " or tonumber(held[3] or '0') < tonumber(ARGV[3]) then",
        " then",
        "tests/test_store.py",
    ),
    Mutant(
        "files change over saves that are there in Redis",
        "streams/lua/begin.lua",
        " or tonumber(held[2] or '0') < tonumber(ARGV[2]) then",
        " then",
        "tests/test_store.py",
    ),
    Mutant(
        "a save that may not write due times writes nothing",
        "streams/lua/save.lua",
        "redis.call('ZADD', due, 'XX', 0, '')\n",
        "",
        "tests/test_rights.py",
    ),
    Mutant(
        "a save that may not erase writes nothing",
        "streams/lua/save.lua",
        "redis.call('HDEL', customers, '')\n",
        "",
        "tests/test_rights.py",
    ),
    Mutant(
        "nothing of a save counts before its outbox is there",
        "streams/lua/save.lua",
        "redis.call('HSET', meta, 'digest', ARGV[3])",
        "redis.call('HSET', meta, 'save', ARGV[2], 'digest', ARGV[3])",
        "tests/test_rights.py",
    ),
    Mutant(
        "a trim that may not drop counts nothing as dropped",
        "streams/lua/trim.lua",
        "  redis.call('LTRIM', outbox, 0, -1)\n",
        "",
        "tests/test_rights.py",
    ),
    Mutant(
        "a transaction that may not end names the right",
        "streams/redis_client.py",
        ": NOPERM |^EXEC without MULTI|",
        "",
        "tests/test_rights.py",
    ),
    Mutant(
        "redis-py asks for nothing beyond the rights",
        "streams/redis_client.py",
        '        "driver_info": None,\n',
        "",
        "tests/test_rights.py",
    ),
    Mutant(
        "what is only looked at is only read",
        "streams/rights.py",
        'read = "%R~" if tells_reading else "~"',
        'read = "~"',
        "tests/test_rights.py",
    ),
    Mutant(
        "rights that Kafka does not give are named at once",
        "streams/topics.py",
        "    if lacking:\n",
        "    if False:\n",
        "tests/test_rights_live.py::test_what_kafka_does_not_allow_is_named",
    ),
    Mutant(
        "a process asks for its own topics alone",
        "streams/commands/publish.py",
        'verify(settings, rights.NEEDS["publish"].topics)',
        'verify(settings, rights.NEEDS["export"].topics)',
        "tests/test_rights_live.py::test_everything_runs_as_its_user",
    ),
    Mutant(
        "the cluster's id needs no right over the cluster",
        "streams/topics.py",
        'str(admin._manager.cluster.cluster_id or "")',
        'str(admin.describe_cluster().get("cluster_id") or "")',
        "tests/test_rights_live.py::test_everything_runs_as_its_user",
    ),
    Mutant(
        "a transactional id without its right is named",
        "streams/ownership.py",
        'if sentence := missing_right(error, "READ and WRITE"):',
        "if sentence := None:",
        "tests/test_rights_live.py::test_a_worker_without_a_right",
    ),
    Mutant(
        "the page stops where it may not see Redis",
        "streams/ops/looking.py",
        "_ms = self._now_ms()\n            except RightMissing as missing:\n                stop(str(missing))",
        "_ms = self._now_ms()",
        "tests/test_rights_live.py::test_what_redis_does_not_allow_is_named[segmenter-ops-info]",
    ),
    Mutant(
        "the page stops where it may not count members",
        "streams/ops/looking.py",
        "await self._count()\n            except RightMissing as missing:\n                stop(str(missing))",
        "await self._count()",
        "tests/test_rights_live.py::test_what_redis_does_not_allow_is_named[segmenter-ops-hscan]",
    ),
    Mutant(
        "the page stops where it may not follow the changes",
        "streams/ops/feed.py",
        'if sentence := missing_right(error, "READ"):',
        "if sentence := None:",
        "tests/test_rights_live.py::test_the_page_loses_a_right",
    ),
    Mutant(
        "a refusal of Redis is read by its code",
        "streams/redis_client.py",
        "if isinstance(cause, ResponseError) and (refusal",
        "if False and (refusal",
        "tests/test_redis_store.py",
    ),
    Mutant(
        "what the user may not do in a script of Redis",
        "streams/redis_client.py",
        " or _NOT_ALLOWED.search(str(cause)):",
        ":",
        "tests/test_redis_store.py",
    ),
    Mutant(
        "a Redis that refuses a partition's writes is no Redis that is away",
        "streams/holding.py",
        "except (Stop, StoreRefused, ClaimRefused) as",
        "except (Stop, ClaimRefused) as",
        "tests/test_holding.py",
    ),
    Mutant(
        "a Redis that refuses is no Redis that is away",
        "streams/ownership.py",
        "except (Stop, ClaimRefused, StoreRefused) as",
        "except (Stop, ClaimRefused) as",
        "tests/test_ownership.py",
    ),
    Mutant(
        "a repeat sets no row back",
        "streams/recovery.py",
        "if newest.sequence < customer.sequence and not customer.is_gone:",
        "if False:",
        "tests/test_recovery.py",
    ),
    Mutant(
        "what goes again sets no row back",
        "streams/recovery.py",
        "or one.key in unseen or is_newest(one)",
        "or True",
        "tests/test_recovery.py",
    ),
    Mutant(
        "of whom Redis lost the changes go on in number",
        "streams/loading.py",
        "        customer.sequence = said.sequence\n        return said",
        "        return said",
        "tests/test_rebuild.py",
    ),
    Mutant(
        "a late link erases nobody who was erased since",
        "rules/people.py",
        "return event.linked > erased and",
        "return",
        "tests/test_people.py",
    ),
    Mutant(
        "a lower generation must prove itself in Redis",
        "streams/lua/claim.lua",
        "  if ARGV[3] ~= token then",
        "  if false then",
        "tests/test_store.py",
    ),
    Mutant(
        "triggers wait for what is due and not decided",
        "streams/triggers/standings.py",
        "if self.waits_for is not None:",
        "if False:",
        "tests/test_triggers_acting.py",
    ),
    Mutant(
        "a change that Redis lost is no exit",
        "streams/triggers/standings.py",
        "if self.sequence < sequence:",
        "if False:",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "what stays of an erased customer says which change was the last",
        "streams/redis_store.py",
        "stored = [value if value is not None else stays for",
        "stored = [value for",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "a last look follows the save of the intent",
        "streams/triggers/acting.py",
        "            against = self._against(begun, look)",
        "            against = None",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a last look that fails gives back",
        "streams/triggers/acting.py",
        "if look is None:",
        "if False:",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "an e-mail is looked at right before DATA",
        "streams/triggers/channels/smtp.py",
        "                if against is not None:",
        "                if False:",
        "tests/test_triggers_channels.py",
    ),
    Mutant(
        "an attempt that is given back does not count",
        "streams/triggers/deciding.py",
        "known.gives_back(action, before)",
        "pass",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "undecided customers are passed over",
        "streams/triggers/deciding.py",
        "self.parked[customer] = until",
        "pass",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "past undecided customers more are looked at",
        "streams/triggers/acting.py",
        "min(limit, free + self._held_up)",
        "min(limit, free)",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "what is never decided expires",
        "streams/triggers/deciding.py",
        "return Wait(waiting) if over is None else policy.Skip(over)",
        "return Wait(waiting)",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "waiting is published once for each reason",
        "streams/triggers/deciding.py",
        "if reason == action.waits_for:",
        "if False:",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "what is decided up to long ago is not of now",
        "streams/triggers/deciding.py",
        "return self.now_ms() - time > self._fresh_ms",
        "return False",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a segmenter that went back decides nothing",
        "streams/triggers/acting.py",
        "return reached if reached >= before else 0",
        "return reached",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "attempts under way are not crowded out",
        "streams/triggers/arriving.py",
        "waiting = [one for one in person.actions if not one.attempting]",
        "waiting = list(person.actions)",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a lower priority waits until the higher one is sent or not",
        "streams/triggers/policy.py",
        "            return _behind(other, action, now)",
        '            return Skip(f"{other.trigger} goes before it")',
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a lower priority is dropped once the higher one is sent",
        "streams/triggers/policy.py",
        "if is_ended and (sent := person.sent_as(action.behind)) is not None:",
        "if False:",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a higher priority that is tried again is not sent yet",
        "streams/triggers/policy.py",
        "is_ended = all(other.key != action.behind for other in person.actions)",
        "is_ended = True",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "nothing is dropped for an attempt that is under way",
        "streams/triggers/policy.py",
        "return verdict if isinstance(without, Skip) else Occupied()",
        "return verdict",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "an attempt that failed for certain does not count",
        "streams/triggers/deciding.py",
        'if kind in ("retried", "skipped", "failed"):',
        'if kind in ("skipped", "failed"):',
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "what waits for a segmenter that stands still says so and expires",
        "streams/triggers/acting.py",
        "if stands_still and not self._deciding.is_old(self.next_due):",
        "if stands_still:",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "nothing is sent while the segmenter stands still",
        "streams/triggers/acting.py",
        "undecided(clock, ready) if stands_still else await self._look(ready)",
        "await self._look(ready)",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a last look takes nothing of the mail server's time",
        "streams/triggers/channels/smtp.py",
        "    bound.reschedule(None)",
        "    bound.reschedule(bound.when())",
        "tests/test_triggers_channels.py",
    ),
    Mutant(
        "the end of an erased customer's message says that an attempt may have arrived",
        "streams/triggers/decisions.py",
        'return "unknown, not sent" if action.uncertain else "skipped"',
        'return "skipped"',
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a message that is read back counts once",
        "streams/triggers/deciding.py",
        "others = [sent for sent in known.sent if sent.key != decision.key]",
        "others = known.sent",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "a linked id in a partition that lags holds the message",
        "streams/triggers/standings.py",
        "return Waiting.LINKED_ID if self.reached < due else None",
        "return None",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "what a linked id sends on must have been read",
        "streams/triggers/linked_ids.py",
        " if now + CLOCK_SKEW_MAX_MS <= read)",
        ")",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "what a linked id sends on must have been published",
        "streams/triggers/linked_ids.py",
        "if not found.outbox:",
        "if True:",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "marks of linked ids start anew after a loss",
        "streams/triggers/linked_ids.py",
        "if trimmed < self._trimmed:",
        "if False:",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "each step of linked ids takes the time of a partition",
        "streams/triggers/linked_ids.py",
        "for _ in range(closure.steps):",
        "for _ in range(1):",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "an id that was linked since the last look is waited for",
        "streams/triggers/linked_ids.py",
        "if closure is None or not direct <= closure.partitions:",
        "if closure is None:",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "the last look at who has linked ids is the customer's own",
        "streams/triggers/standings.py",
        "            found, decoded = await self._look(partition, ids)  # nothing",
        "            pass  # nothing",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "a stop of triggers names their own rebuild",
        "streams/triggers/app.py",
        '.replace("segmenter worker --rebuild", "segmenter triggers --rebuild")',
        "",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "triggers wait until everything is read",
        "streams/triggers/standings.py",
        'return min(int(meta.get("clock", 0)), int(meta.get("caught_up", 0)))',
        'return int(meta.get("clock", 0))',
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "an attempt counts for caps before it is made",
        "streams/triggers/deciding.py",
        "known.sends(action, self._deciding.arriving.channel_of(action), now)",
        "pass",
        "tests/test_triggers_policy.py",
    ),
    Mutant(
        "an attempt that began is saved before it is made",
        "streams/triggers/deciding.py",
        "action.attempting = True",
        "pass",
        "tests/test_triggers_acting.py",
    ),
    Mutant(
        "the page's API takes ids with braces",
        "streams/ops/api.py",
        'route.path.replace("{id}", "{id:[^/]+}")',
        "route.path",
        "tests/test_ids.py::test_the_page_finds_every_id",
    ),
    Mutant(
        "a command line takes an id that is two dashes",
        "streams/arguments.py",
        'if arg_strings == ["--"] and not action.option_strings:',
        "if False:",
        "tests/test_ids.py::test_a_command_line_takes_every_id",
    ),
    Mutant(
        "a command line takes no id that is no text",
        "streams/arguments.py",
        "        text.encode()\n",
        "        pass\n",
        "tests/test_ids.py::test_bytes_that_are_no_text_are_no_id",
    ),
    Mutant(
        "explain prints an id without what turns a line around",
        "streams/commands/explain.py",
        'f"customer   {visible(found.customer_id)}"',
        'f"customer   {found.customer_id}"',
        "tests/test_ids.py::test_explain_prints_what_turns_no_line_around",
    ),
    Mutant(
        "dead letters are searched for each spelling of an id",
        "streams/commands/held.py",
        "for is_ascii in (True, False)}",
        "for is_ascii in (True,)}",
        "tests/test_ids.py::test_dead_letters_of_a_customer_are_those_that_name_it",
    ),
    Mutant(
        "a YAML document is measured before anything is built of it",
        "rules/yaml_text.py",
        "if self._nodes > NODES_MAX or self._characters > TEXT_MAX_BYTES:",
        "if False:",
        "tests/test_yaml_bounds.py::test_what_is_too_large_is_refused",
    ),
    Mutant(
        "an alias counts for all that it repeats",
        "rules/yaml_text.py",
        "self._grow(*self._anchored.get(str(event.anchor), (1, 0)))",
        "self._grow(1, 0)",
        "tests/test_yaml_bounds.py::test_what_is_too_large_is_refused",
    ),
    Mutant(
        "texts that aliases repeat are measured",
        "rules/yaml_text.py",
        "if self._nodes > NODES_MAX or self._characters > TEXT_MAX_BYTES:",
        "if self._nodes > NODES_MAX:",
        "tests/test_yaml_bounds.py::test_what_is_too_large_is_refused",
    ),
    Mutant(
        "a YAML document nests so deep",
        "rules/yaml_text.py",
        "if len(self._open) > NESTED_MAX:",
        "if False:",
        "tests/test_yaml_bounds.py::test_nested_as_deep_as_is_allowed",
    ),
    Mutant(
        "a number in YAML has so many characters",
        "rules/yaml_text.py",
        'if kind == "number" and len(node.value) > NUMBER_MAX_CHARS:',
        "if False:",
        "tests/test_yaml_bounds.py::test_the_longest_number",
    ),
    Mutant(
        "a YAML file is read as far as it may be large",
        "streams/definitions_file.py",
        "if len(encoded) > TEXT_MAX_BYTES:",
        "if False:",
        "tests/test_yaml_bounds.py::test_a_file_without_end_is_read_as_far_as_it_may_be_large",
    ),
    Mutant(
        "so many problems of a file are shown",
        "rules/definitions.py",
        "lines = problems[:SHOWN_MAX]",
        "lines = problems",
        "tests/test_yaml_bounds.py::test_many_problems_are_counted",
    ),
    Mutant(
        "a document is written with the list of files",
        "streams/lua/begin.lua",
        "redis.call('HSET', files, ARGV[i], ARGV[i + 1])",
        "",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "a former file goes once everybody is brought over",
        "streams/lua/save.lua",
        "redis.call('HDEL', files, file)",
        "",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "former files stay while somebody was decided by one of them",
        "streams/epochs.py",
        "        if self.is_settled:\n            self._drop_former()",
        "        self._drop_former()",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "so many former files stay",
        "streams/epochs.py",
        "while first and len(self.known) - first < KEPT_MAX:",
        "while first:",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "former files stay up to so many bytes",
        "streams/epochs.py",
        "if document is None or len(document) > room:",
        "if document is None:",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "documents in the list of the version before are moved",
        "streams/epochs.py",
        "documents = {**former, **stored}",
        "documents = dict(stored)",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "a partition that was let go of sends nothing more",
        "streams/triggers/acting.py",
        "if self.is_released else",
        "if False else",
        "tests/test_triggers_waiting.py",
    ),
    Mutant(
        "marks of linked ids outlast the longest wait",
        "streams/triggers/linked_ids.py",
        "MARKS_KEPT_MS = 180_000",
        "MARKS_KEPT_MS = 60_000",
        "tests/test_triggers_standings.py",
    ),
    Mutant(
        "triggers read fields of a partition, and no list of files",
        "streams/redis_store.py",
        'pipe.hmget(self._key(partition, "meta"), list(LOOK_FIELDS))',
        'pipe.hgetall(self._key(partition, "meta"))',
        "tests/test_definition_files.py",
    ),
    Mutant(
        "a segment that is short is listed once",
        "rules/changed.py",
        "elif until > since:",
        "elif until:",
        "tests/test_definition_files.py",
    ),
    Mutant(
        "a repeat of a change starts nothing",
        "streams/triggers/arriving.py",
        "if change.sequence <= person.sequence:",
        "if False:",
        "tests/test_triggers_acting.py",
    ),
    Mutant(
        "a header text with an encoded word is encoded",
        "streams/triggers/channels/mime.py",
        'is_plain = len(text) <= _PLAIN_MAX_CHARS and "=?" not in text and _PLAIN',
        "is_plain = len(text) <= _PLAIN_MAX_CHARS and _PLAIN",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "a header text of more than plain ASCII is encoded",
        "streams/triggers/channels/mime.py",
        "return text if is_plain or not text else _words(text)",
        "return text",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "a header text has no controls",
        "streams/triggers/channels/mime.py",
        'visible = _CONTROLS.sub(" ", _EMBEDDINGS.sub("", _whole(text)))',
        'visible = _EMBEDDINGS.sub("", _whole(text))',
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "halves of pairs are replaced",
        "streams/triggers/channels/mime.py",
        'return _SURROGATES.sub("\\ufffd", text)',
        "return text",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "an encoded word is short",
        "streams/triggers/channels/mime.py",
        "if len(piece) + len(encoded) > _WORD_MAX_BYTES:",
        "if len(piece) > _WORD_MAX_BYTES:",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "a body has one kind of line break",
        "streams/triggers/channels/mime.py",
        "lines = _whole(text).splitlines()",
        'lines = _whole(text).split("\\n")',
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "an address holds nothing that steers",
        "streams/triggers/channels/mime.py",
        "return _is_literal(text) and _ADDRESS.fullmatch(text) is not None",
        "return _ADDRESS.fullmatch(text) is not None",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "bytes are looked through for other line breaks and controls",
        "streams/triggers/channels/mime.py",
        "if _UNSAFE_BYTES.search(raw):",
        "if False:",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "headers are read back",
        "streams/triggers/channels/mime.py",
        "if headers[: len(own)] != own:",
        "if False:",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "texts of headers are decoded again",
        "streams/triggers/channels/mime.py",
        "if any(field.text not in (None, _decoded(field.written)) for field in mail.fields):",
        "if False:",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "parts are read back",
        "streams/triggers/channels/mime.py",
        "if not _has_parts(message, [name for name, _ in headers[len(own) :]], mail):",
        "if False:",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "a message is verified before it is sent",
        "streams/triggers/channels/smtp.py",
        "mime.verify(content, meant)",
        "pass",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "expressions in an address are url-encoded",
        "streams/triggers/templates.py",
        'return value if isinstance(value, UrlText) else quote(str(value), safe="", errors="replace")',
        "return str(value)",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "what is url-encoded is not encoded again",
        "streams/triggers/templates.py",
        "return value if isinstance(value, UrlText) else quote(",
        "return quote(",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "a URI holds no encoded word",
        "streams/triggers/templates.py",
        'address = address.replace("=?", "=%3F")',
        "pass",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "a value does not turn around a subject",
        "streams/triggers/templates.py",
        'return value if isinstance(value, Sentence) else _BIDI.sub("", str(value))',
        "return str(value)",
        "tests/test_mail_headers.py",
    ),
    Mutant(
        "what reads back is handed out by bytes",
        "streams/record_batches.py",
        "    fetcher.FetchResult.getall = drain\n",
        "",
        "tests/test_poison_live.py::test_what_is_read_back_comes_in_bounded_pieces",
    ),
    Mutant(
        "what is read again is unpacked in pieces",
        "streams/log_batches.py",
        "    fetcher.MemoryRecords = BoundedLogRecords\n",
        "",
        "tests/test_record_batches.py::test_kafka_pythons_fetcher_unpacks_what_it_hands_out",
    ),
    Mutant(
        "few records are read again at once",
        "streams/commands/recomputed.py",
        "_POLL_RECORDS = 50",
        "_POLL_RECORDS = 5_000",
        "tests/test_poison_live.py::test_a_small_batch_of_many_megabytes",
    ),
    Mutant(
        "reading back lets the loop turn",
        "streams/output_topics.py",
        "await asyncio.sleep(0)",
        "pass",
        "tests/test_poison_live.py::test_what_is_read_back_comes_in_bounded_pieces",
    ),
    Mutant(
        "a product in a template is bounded",
        "streams/triggers/sandbox.py",
        "and len(sequence) * times > TEXT_MAX_CHARS:",
        "and False:",
        "tests/test_templates.py",
    ),
    Mutant(
        "a power in a template is bounded",
        "streams/triggers/sandbox.py",
        "and base.bit_length() * exponent > _POWER_MAX_BITS:",
        "and False:",
        "tests/test_templates.py",
    ),
    Mutant(
        "fields of percent formats in a template are bounded",
        "streams/triggers/sandbox.py",
        "    if isinstance(text, str) and _WIDE_PERCENT.search(text):",
        "    if False:",
        "tests/test_templates.py",
    ),
    Mutant(
        "fields of formats in a template are bounded",
        "streams/triggers/sandbox.py",
        "if wrapped is not None and _WIDE_FIELD.search(value.__self__):",
        "if False:",
        "tests/test_templates.py",
    ),
    Mutant(
        "the filter format is checked",
        "streams/triggers/sandbox.py",
        'self.filters["format"] = _checked(self.filters["format"], _check_percent)',
        "pass",
        "tests/test_templates.py",
    ),
    Mutant(
        "widths of filters in a template are bounded",
        "streams/triggers/sandbox.py",
        "self.filters[name] = _checked(self.filters[name], _check_widths)",
        "pass",
        "tests/test_templates.py",
    ),
    Mutant(
        "widths of methods in a template are bounded",
        "streams/triggers/sandbox.py",
        "_check_widths(text, *arguments, **named)",
        "pass",
        "tests/test_templates.py",
    ),
    Mutant(
        "replacements by a method in a template are bounded",
        "streams/triggers/sandbox.py",
        "            _check_replacement(text, *arguments)\n",
        "            pass\n",
        "tests/test_templates.py",
    ),
    Mutant(
        "replacements by a filter in a template are bounded",
        "streams/triggers/sandbox.py",
        'self.filters["replace"] = _checked(self.filters["replace"], _check_replace_filter)',
        "pass",
        "tests/test_templates.py",
    ),
    Mutant(
        "a template makes no text of its own",
        "streams/triggers/sandbox.py",
        'del self.globals["lipsum"]',
        "pass",
        "tests/test_templates.py",
    ),
    Mutant(
        "ranges of a template are counted together",
        "streams/triggers/sandbox.py",
        "self._left -= len(numbers)",
        "self._left = STEPS_MAX - len(numbers)",
        "tests/test_templates.py",
    ),
    Mutant(
        "whatever a template raises is its failure",
        "streams/triggers/templates.py",
        "    except Exception as error:  # a template divides",
        "    except (TooLong, ValueError) as error:  # a template divides",
        "tests/test_templates.py",
    ),
    Mutant(
        "whatever compiling a template raises is a problem of the file",
        "streams/triggers/templates.py",
        "    except Exception as error:  # noqa: BLE001  # Python compiles",
        "    except OSError as error:  # noqa: BLE001  # Python compiles",
        "tests/test_templates.py",
    ),
    Mutant(
        "a reason that is too large is cut",
        "streams/wire/changes.py",
        "reason=reason_limits.bounded(change.reason)",
        "reason=change.reason",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "names of events that are too many are cut",
        "rules/reason_limits.py",
        "if isinstance(value, list | tuple):",
        "if isinstance(value, list):",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "what a reason lacks is marked",
        "rules/reason_limits.py",
        "        marks[place] = len(value) - len(fields)",
        "        pass",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "a long sentence is cut",
        "rules/sentences/__init__.py",
        "return shortened(tell(_LANGUAGES[language], reason), SENTENCE_MAX_CHARS)",
        "return tell(_LANGUAGES[language], reason)",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "a sentence that is cut ends its isolates",
        "rules/sentences/foreign.py",
        "return head + PDI * (sum(map(head.count, _ISOLATES)) - head.count(PDI)) + ELLIPSIS",
        "return head + ELLIPSIS",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "of a large group only the beginning is told",
        "rules/sentences/walker.py",
        "if chars > _GROUP_MAX_CHARS:",
        "if False:",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "a change of a former version is cut before it is published",
        "streams/recovery.py",
        "[bounded(record) for record in decode(entry)]",
        "decode(entry)",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "a change that triggers take in is bounded",
        "streams/triggers/reading.py",
        "value = changes.bounded(value)",
        "pass",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "a condition that adds too much to a change is refused",
        "rules/definition_limits.py",
        "if size > CONDITION_MAX_BYTES:",
        "if False:",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "a text that adds too much to a change is refused",
        "rules/definition_limits.py",
        "        if len(node) > TEXT_MAX_CHARS:",
        "        if False:",
        "tests/test_output_bounds.py",
    ),
    Mutant(
        "changes before an erasure are not claimed",
        "streams/commands/compared.py",
        "counted = claimed and not right.erased",
        "counted = claimed",
        "tests/test_verify.py::test_a_customer_who_was_erased_before_the_first_start",
    ),
    Mutant(
        "a customer that was erased may be gone",
        "streams/commands/verify.py",
        "if not known.erased}",
        "if not known.is_erased}",
        "tests/test_verify.py::test_an_erasure_that_takes_newer_events_along",
    ),
    Mutant(
        "of an id that was erased along no segment is claimed",
        "streams/commands/compared.py",
        "unclaimed = self._keys if is_unsure else",
        "unclaimed =",
        "tests/test_verify.py::test_an_erasure_that_takes_newer_events_along",
    ),
    Mutant(
        "topics that take smaller batches are refused",
        "streams/topics.py",
        "if limit is not None and int(limit) < batch_size_needed(name)",
        "if False",
        "tests/test_outputs.py",
    ),
    Mutant(
        "a topic of single large records must take them",
        "streams/outbox.py",
        "return merges.BATCH_MAX_BYTES if topic == merges.MERGES else BATCH_MAX_BYTES",
        "return BATCH_MAX_BYTES",
        "tests/test_outputs.py",
    ),
    Mutant(
        "a topic that refuses a batch is named with the size of the largest",
        "streams/out_batches.py",
        "    most = max(size, needed)",
        "    most = max(size, BATCH_MAX_BYTES)",
        "tests/test_outputs.py",
    ),
    Mutant(
        "a batch that is too large is named",
        "streams/out_batches.py",
        "if isinstance(error, _TOO_LARGE):",
        "if False:",
        "tests/test_outputs.py",
    ),
    Mutant(
        "leaders hear of a claim's epoch before it publishes",
        "streams/publisher.py",
        "for _ in range(_EMPTY_TRANSACTIONS):",
        "for _ in range(0):",
        "tests/test_outputs.py",
    ),
    Mutant(
        "an owner that could not renew its fence publishes nothing",
        "streams/publisher.py",
        "if fence.made.age_s() > self._fence_max_s:",
        "if False:",
        "tests/test_outputs.py",
    ),
    Mutant(
        "whoever has fenced sees whether its claim still stands",
        "streams/claiming.py",
        "        if not await self._store.trim(claim.partition, claim.token, state.trimmed, {}, state.save_number):",
        "        if False:",
        "tests/test_ownership.py",
    ),
    Mutant(
        "whoever has renewed its fence sees whether its claim still stands",
        "streams/outbox.py",
        "        await self._publisher.renew(self._partition)\n        await self.trim(0, {})",
        "        await self._publisher.renew(self._partition)",
        "tests/test_shard.py",
    ),
    Mutant(
        "a fence is renewed",
        "streams/outbox.py",
        "            if renew_at is not None and loop.time() >= renew_at:",
        "            if False:",
        "tests/test_shard.py",
    ),
    Mutant(
        "a record that no batch takes ends the publishing",
        "streams/out_batches.py",
        "        if not _append(batch, record):\n            raise",
        "        _append(batch, record)\n        if False:\n            raise",
        "tests/test_outputs.py",
    ),
    Mutant(
        "brackets stay open in the next slice",
        "streams/wire/depth.py",
        "if depth + int(depths.max()) > limit:",
        "if int(depths.max()) > limit:",
        "tests/test_depth.py",
    ),
    Mutant(
        "a text goes on in the next slice",
        "streams/wire/depth.py",
        "        texts[0] ^= in_text\n",
        "",
        "tests/test_depth.py",
    ),
    Mutant(
        "decoding lets the loop turn",
        "streams/input_buffer.py",
        "if cost >= SLICE_MAX_COST:",
        "if False:",
        "tests/test_shard.py",
    ),
    Mutant(
        "what waits to be decoded is in hand",
        "streams/input_buffer.py",
        " + self._queue.size(topic)",
        "",
        "tests/test_shard.py",
    ),
    Mutant(
        "what is drained is bounded by bytes",
        "streams/record_batches.py",
        "if size >= DRAIN_MAX_BYTES or len(records) == limit:",
        "if len(records) == limit:",
        "tests/test_transport.py",
    ),
    Mutant(
        "batches are unpacked in pieces",
        "streams/record_batches.py",
        "frames.read(PIECE_BYTES)",
        "frames.read()",
        "tests/test_record_batches.py",
    ),
    Mutant(
        "a record far too large is not held",
        "streams/record_batches.py",
        "elif length > RECORD_MAX_BYTES:",
        "elif False:",
        "tests/test_record_batches.py",
    ),
    Mutant(
        "deaths count at one position",
        "streams/trials.py",
        "former.deaths + 1 if former.positions == positions else 1",
        "former.deaths + 1",
        "tests/test_trials.py",
    ),
    Mutant(
        "what was saved is no suspect",
        "streams/trials.py",
        "if offset < positions.get(topic, 0):",
        "if False:",
        "tests/test_trials.py",
    ),
    Mutant(
        "deaths are of one record in a row",
        "streams/trials.py",
        "self.suspect_deaths if place == self.suspect else 0",
        "self.suspect_deaths",
        "tests/test_trials.py",
    ),
    Mutant(
        "an exit that says why is no death of a record",
        "streams/trials.py",
        "except (Stop, StoreFailed, Fenced, asyncio.CancelledError):",
        "except ZeroDivisionError:",
        "tests/test_trials.py",
    ),
    Mutant(
        "only who holds a partition tries its records",
        "streams/trials.py",
        "            raise Fenced\n",
        "            pass\n",
        "tests/test_trials.py",
    ),
    Mutant(
        "one trial at a time in a process",
        "streams/shard.py",
        "            async with self._care.alone:\n                moved = await self._moved()\n",
        "            moved = await self._moved()\n",
        "tests/test_trials.py",
    ),
    Mutant(
        "poison is not looked at again",
        "streams/input_buffer.py",
        "reading = self._reading if self._poison is None else self._read_but_poison",
        "reading = self._reading",
        "tests/test_trials.py",
    ),
    Mutant(
        "with care one record is applied at a time",
        "streams/shard.py",
        "taken = self.merge.take(1, self._read_until)",
        "taken = self.merge.take(9, self._read_until)",
        "tests/test_trials.py",
    ),
    Mutant(
        "what ended in order is no death",
        "streams/holding.py",
        'await self._store.set_attempt(self._claim.partition, self._claim.token, b"")',
        "pass",
        "tests/test_ownership.py",
    ),
    Mutant(
        "claim token of an attempt in Redis",
        "streams/lua/attempt.lua",
        "if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then",
        "if false then",
        "tests/test_store.py",
    ),
    Mutant(
        "unlink is done when the owners of both ids have noted it",
        "streams/commands/unlink.py",
        "        and _is_parted(_customer(settings, other_id, count), sent.customer_id)\n",
        "",
        "tests/test_unlink.py",
    ),
    Mutant(
        "unlink is not done while one id is known as the other",
        "streams/commands/unlink.py",
        "return customer.into is None or customer.into[0] != other_id",
        "return True",
        "tests/test_unlink.py",
    ),
    Mutant(
        "unlink is not done before it is read",
        "streams/commands/unlink.py",
        "request.is_read(settings, sent, count)",
        "True",
        "tests/test_unlink.py",
    ),
    Mutant(
        "unlink looks whether two ids are one person over a third",
        "streams/commands/unlink.py",
        "if persons[0] == persons[1]:",
        "if False:",
        "tests/test_unlink_live.py::test_two_ids_that_are_one_person_over_a_third",
    ),
    Mutant(
        "unlink refuses where no ids are linked",
        "streams/commands/unlink.py",
        'if settings.partitioner == "none":',
        "if False:",
        "tests/test_unlink.py",
    ),
    Mutant(
        "a request under a placeholder of the file is refused",
        "streams/commands/request.py",
        "decode_line(event_of(kind, customer_id, **fields)[0], placeholders=placeholders)",
        "decode_line(event_of(kind, customer_id, **fields)[0])",
        "tests/test_unlink.py",
    ),
    Mutant(
        "of an id that was parted nothing is explained before an event comes",
        "streams/explaining.py",
        " or customer.is_blank else",
        " else",
        "tests/test_unlink.py",
    ),
    Mutant(
        "the first event after a redirect ended decides what holds for everybody",
        "rules/engine.py",
        "if before > customer.linkage.left:",
        "if customer.instant > customer.linkage.left:",
        "tests/test_unlink.py",
    ),
    Mutant(
        "publish knows the placeholders of the file",
        "streams/commands/publish.py",
        "decode_line(line, int(time.time() * 1000), placeholders=self._placeholders)",
        "decode_line(line, int(time.time() * 1000))",
        "tests/test_commands.py::test_publish_knows_the_placeholders_of_the_file",
    ),
    Mutant(
        "a worker knows the placeholders of the file",
        "streams/input_buffer.py",
        "return read(record.value, record.key, record.timestamp, origin, placeholders)",
        "return read(record.value, record.key, record.timestamp, origin)",
        "tests/test_placeholders.py",
    ),
    Mutant(
        "what was sent on is read with the placeholders of the file",
        "streams/input_buffer.py",
        "return merges.read(record.value, record.key, placeholders)",
        "return merges.read(record.value, record.key)",
        "tests/test_placeholders.py",
    ),
    Mutant(
        "triggers know the placeholders of the file",
        "streams/triggers/reading.py",
        "event = read(record.value, record.key, record.timestamp, origin, placeholders)",
        "event = read(record.value, record.key, record.timestamp, origin)",
        "tests/test_placeholders.py",
    ),
    Mutant(
        "placeholders are part of what decides",
        "rules/definitions.py",
        '"segments": fingerprints, **added})',
        '"segments": fingerprints})',
        "tests/test_placeholders.py",
    ),
    Mutant(
        "connections to a process's port are bounded",
        "streams/http_server.py",
        "if len(self._open) < self._limits.connections:",
        "if True:",
        "tests/test_http_server.py::test_connections_are_few_however_many_come",
    ),
    Mutant(
        "who opens many connections loses its own",
        "streams/http_server.py",
        "max(others, key=lambda connection: counts[connection.peer]).abort()",
        "others[0].abort()",
        "tests/test_http_server.py::test_who_opens_many_connections_loses_its_own",
    ),
    Mutant(
        "a connection with the right token keeps its place",
        "streams/http_server.py",
        "if not connection.is_admitted]",
        "]",
        "tests/test_http_server.py::test_a_connection_with_the_right_token_stays",
    ),
    Mutant(
        "a connection without an answer ends",
        "streams/http_server.py",
        "now - connection.since > self._limits.idle_s",
        "False",
        "tests/test_http_server.py::test_a_connection_without_an_answer_ends",
    ),
    Mutant(
        "an answer that nobody reads is let go",
        "streams/http_server.py",
        "self.transport.abort()",
        "self.transport.close()",
        "tests/test_http_server.py::test_an_answer_that_is_not_read_is_let_go",
    ),
    Mutant(
        "a connection to the metrics port has one request",
        "streams/http_server.py",
        "                response.force_close()\n",
        "                pass\n",
        "tests/test_http_server.py::test_a_connection_has_one_request",
    ),
    Mutant(
        "a connection ends after a wrong path",
        "streams/http_server.py",
        "error.force_close()",
        "pass",
        "tests/test_http_server.py::test_a_connection_has_one_request",
    ),
    Mutant(
        "connections are accepted slowly",
        "streams/http_server.py",
        "await asyncio.sleep(self._limits.pause_s)",
        "await asyncio.sleep(0)",
        "tests/test_http_server.py::test_connections_are_accepted_slowly",
    ),
    Mutant(
        "a process without descriptors waits for them",
        "streams/http_server.py",
        "await asyncio.sleep(_TRY_AGAIN_S)\n                continue",
        "raise",
        "tests/test_http_server.py::test_a_process_without_descriptors_waits",
    ),
    Mutant(
        "want of descriptors is logged once",
        "streams/http_server.py",
        "if monotonic() - self._logged_at >= _LOG_EVERY_S:",
        "if True:",
        "tests/test_http_server.py::test_a_process_without_descriptors_waits",
    ),
    Mutant(
        "requests that cannot be read are not logged",
        "streams/http_server.py",
        "_request_log.addFilter(_is_no_bad_request)",
        "",
        "tests/test_http_server.py::test_requests_that_cannot_be_read_are_not_logged",
    ),
    Mutant(
        "few headers are read",
        "streams/http_server.py",
        "            max_headers=_HEADERS_MAX,\n",
        "",
        "tests/test_http_server.py::test_requests_that_cannot_be_read_are_not_logged",
    ),
    Mutant(
        "a TLS handshake has its time",
        "streams/http_server.py",
        "ssl_handshake_timeout=_HANDSHAKE_S if self._tls else None",
        "ssl_handshake_timeout=None",
        "tests/test_http_server.py::test_tls_is_spoken_or_the_connection_ends",
    ),
    Mutant(
        "connections in a TLS handshake are among those that lose their places",
        "streams/http_server.py",
        "self.entering.cancel()",
        "pass",
        "tests/test_http_server.py::test_connections_that_are_silent_before_tls_are_bounded",
    ),
    Mutant(
        "an address that cannot be served is an OSError",
        "streams/listeners.py",
        "except (OverflowError, UnicodeError) as error:",
        "except ZeroDivisionError as error:",
        "tests/test_http_server.py::test_an_address_that_cannot_be_is_an_oserror",
    ),
    Mutant(
        "the right token is looked at before what is counted",
        "streams/ops/guard.py",
        "if gate.is_right(request):",
        "if limit.take(gate.address(request)) and gate.is_right(request):",
        "tests/test_http_access.py::test_the_right_token_always_passes",
    ),
    Mutant(
        "requests without the token are limited",
        "streams/ops/guard.py",
        "elif not limit.take(gate.address(request)):",
        "elif False:",
        "tests/test_http_access.py::test_requests_without_the_token_are_limited_by_address",
    ),
    Mutant(
        "many wrong tokens are refused",
        "streams/http_access.py",
        "if self._wrong.take(address):",
        "if True:",
        "tests/test_http_access.py::test_wrong_tokens_are_slowed",
    ),
    Mutant(
        "wrong tokens are answered slowly",
        "streams/http_access.py",
        "await asyncio.sleep(SLOWED_S)",
        "await asyncio.sleep(0)",
        "tests/test_http_access.py::test_wrong_tokens_are_slowed",
    ),
    Mutant(
        "wrong tokens are counted",
        "streams/http_access.py",
        'self._refused("wrong_token")',
        "pass",
        "tests/test_http_access.py::test_wrong_tokens_are_logged_and_counted",
    ),
    Mutant(
        "wrong tokens are logged in few lines",
        "streams/http_access.py",
        "if monotonic() - self._logged_at >= _LOG_EVERY_S:",
        "if True:",
        "tests/test_http_access.py::test_wrong_tokens_are_logged_and_counted",
    ),
    Mutant(
        "the longest quiet address is forgotten first",
        "streams/http_access.py",
        "self._left.pop(address, (self._burst, now))",
        "self._left.get(address, (self._burst, now))",
        "tests/test_http_access.py::test_of_many_addresses_the_longest_quiet_one_is_forgotten",
    ),
    Mutant(
        "X-Forwarded-For is believed of trusted proxies alone",
        "streams/addresses.py",
        "if parsed is None or not any(parsed in network for network in proxies):",
        "if parsed is None:",
        "tests/test_http_access.py",
    ),
    Mutant(
        "the newest hop of X-Forwarded-For counts",
        "streams/addresses.py",
        'reversed([hop for header in forwarded for hop in header.split(",")])',
        '[hop for header in forwarded for hop in header.split(",")]',
        "tests/test_http_access.py::test_the_client_is_the_newest_address_that_no_proxy_has",
    ),
    Mutant(
        "an IPv6 host is counted as its network",
        "streams/addresses.py",
        "if isinstance(parsed, IPv6Address):",
        "if False:",
        "tests/test_http_access.py::test_an_ipv6_host_is_counted_as_its_network",
    ),
    Mutant(
        "IPv4 within IPv6 is IPv4",
        "streams/addresses.py",
        'return getattr(address, "ipv4_mapped", None) or address',
        "return address",
        "tests/test_http_access.py",
    ),
    Mutant(
        "a token of repetitions is weak",
        "streams/tokens.py",
        "text = _without_repetition(text)",
        "pass",
        "tests/test_http_access.py::test_tokens_that_can_be_guessed_are_weak",
    ),
    Mutant(
        "a token that counts upwards is weak",
        "streams/tokens.py",
        "> 1 for before",
        "> 0 for before",
        "tests/test_http_access.py",
    ),
    Mutant(
        "a short token is weak",
        "streams/tokens.py",
        "len(token) < LENGTH_MIN or ",
        "",
        "tests/test_http_access.py::test_tokens_that_can_be_guessed_are_weak",
    ),
    Mutant(
        "a token of common words is weak",
        "streams/tokens.py",
        'text = text.replace(word, "")',
        "pass",
        "tests/test_http_access.py::test_tokens_that_can_be_guessed_are_weak",
    ),
    Mutant(
        "a weak token is refused off the loopback",
        "streams/settings.py",
        "(is_exposed and tokens.is_weak(",
        "(False and tokens.is_weak(",
        "tests/test_http_access.py::test_what_lets_anybody_in_is_no_setting",
    ),
    Mutant(
        "a weak token is refused behind a proxy",
        "streams/settings.py",
        " or bool(settings.ops_proxies)",
        "",
        "tests/test_http_access.py::test_what_lets_anybody_in_is_no_setting",
    ),
    Mutant(
        "an empty token is refused",
        "streams/settings.py",
        '(not _given(token), f"{name}: is empty',
        '(False, f"{name}: is empty',
        "tests/test_http_access.py::test_what_lets_anybody_in_is_no_setting",
    ),
    Mutant(
        "not everybody is a trusted proxy",
        "streams/settings.py",
        "any(network.prefixlen == 0 for network in networks(proxies))",
        "networks(proxies) is None",
        "tests/test_http_access.py::test_what_lets_anybody_in_is_no_setting",
    ),
    Mutant(
        "metrics need the token",
        "streams/serving.py",
        "if gate is not None and not gate.is_right(request):\n            return",
        "if False:\n            return",
        "tests/test_metrics_port.py::test_metrics_need_the_token_and_come_over_tls",
    ),
    Mutant(
        "reasons need the token",
        "streams/serving.py",
        "answer = Ready(answer.ready, [])",
        "pass",
        "tests/test_metrics_port.py::test_reasons_need_the_token",
    ),
    Mutant(
        "a wrong token is not tried at /ready",
        "streams/serving.py",
        'if "Authorization" in request.headers:',
        "if False:",
        "tests/test_metrics_port.py::test_reasons_need_the_token",
    ),
    Mutant(
        "a reader of the stream that takes nothing is let go",
        "streams/ops/api.py",
        "asyncio.timeout(_TAKEN_WITHIN_S)",
        "asyncio.timeout(None)",
        "tests/test_ops.py::test_a_reader_that_takes_nothing_is_let_go",
    ),
    Mutant(
        "a web page whose name was turned here reads nothing",
        "streams/serving.py",
        "if is_local and gate is None and not",
        "if False and not",
        "tests/test_metrics_port.py::test_a_web_page_whose_name_was_turned_here_reads_nothing",
    ),
    Mutant(
        "the metrics port has TLS where it has a certificate",
        "streams/serving.py",
        "LIMITS, inside.metrics.refused, tls)",
        "LIMITS, inside.metrics.refused)",
        "tests/test_metrics_port.py::test_metrics_need_the_token_and_come_over_tls",
    ),
    Mutant(
        "rendering metrics takes a tenth of the time",
        "streams/serving.py",
        "if began >= self._fresh_until:",
        "if True:",
        "tests/test_metrics_port.py::test_rendering_takes_a_tenth_of_the_time",
    ),
    Mutant(
        "the metrics port takes few descriptors",
        "streams/serving.py",
        "Limits(connections=32,",
        "Limits(connections=3_200,",
        "tests/test_metrics_port.py::test_thousands_of_connections_do_not_stop_a_worker",
    ),
    Mutant(
        "a port that cannot be served stops no worker",
        "streams/app.py",
        "except Exception as error:  # noqa: BLE001  # that nobody can look",
        "except ZeroDivisionError as error:  # that nobody can look",
        "tests/test_metrics_port.py::test_a_port_that_cannot_be_served_stops_no_worker",
    ),
    Mutant(
        "ops follows no worker elsewhere",
        "streams/ops/workers.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "tests/test_metrics_port.py::test_a_liar_in_a_workers_place_is_no_worker",
    ),
    Mutant(
        "ops reads no answer without end",
        "streams/ops/workers.py",
        "if size > _ANSWER_MAX_BYTES:",
        "if False:",
        "tests/test_metrics_port.py::test_a_liar_in_a_workers_place_is_no_worker",
    ),
    Mutant(
        "ops checks a worker's certificate for its host",
        "streams/ops/workers.py",
        "server_hostname=None if self._tls is None else host",
        'server_hostname="localhost"',
        "tests/test_metrics_port.py::test_a_workers_certificate_is_for_the_host_it_was_named_by",
    ),
    Mutant(
        "ops sends the workers' token",
        "streams/ops/workers.py",
        '{"Authorization": f"Bearer {self._token}"}',
        "{}",
        "tests/test_metrics_port.py::test_ops_asks_with_the_token_over_tls",
    ),
    Mutant(
        "the host of a webhook is read as the client reads it",
        "streams/triggers/channels/guard.py",
        'host, port = read.raw_host or "", read.port or 0',
        'host, port = url.partition("://")[2].rpartition(":")[0], read.port or 0',
        "tests/test_triggers_ssrf.py::test_a_host_inside_is_refused_however_it_is_written",
    ),
    Mutant(
        "a webhook's host is no odd number",
        "streams/triggers/channels/guard.py",
        "if _ENDS_IN_NUMBER.fullmatch(host) and not _is_literal(host):",
        "if False:",
        "tests/test_triggers_ssrf.py",
    ),
    Mutant(
        "a webhook's URL has no user",
        "streams/triggers/channels/guard.py",
        "if read.raw_user is not None or read.raw_password is not None:",
        "if False:",
        "tests/test_triggers_ssrf.py",
    ),
    Mutant(
        "each address of a webhook is looked at before it is connected to",
        "streams/triggers/channels/guard.py",
        "if not is_public(str(address[0])):",
        "if False:",
        "tests/test_triggers_ssrf.py::test_the_address_that_is_connected_to_is_looked_at",
    ),
    Mutant(
        "the peer of a webhook is looked at",
        "streams/triggers/channels/guard.py",
        "if not peer or not is_public(str(peer[0])):",
        "if not peer:",
        "tests/test_triggers_ssrf.py::test_the_peer_of_a_connection_is_looked_at",
    ),
    Mutant(
        "IPv6 is public in one part alone",
        "streams/triggers/channels/guard.py",
        "if found.version == 6 and found not in _GLOBAL_UNICAST:",
        "if False:",
        "tests/test_triggers_ssrf.py::test_no_form_of_an_address_inside_is_public",
    ),
    Mutant(
        "special addresses are not public",
        "streams/triggers/channels/guard.py",
        "any(found in network for network in _SPECIAL)",
        "False",
        "tests/test_triggers_ssrf.py::test_no_form_of_an_address_inside_is_public",
    ),
    Mutant(
        "ISATAP carries an address",
        "streams/triggers/channels/guard.py",
        " or int(address) >> 32 & 0xFFFFFFFF in _ISATAP",
        "",
        "tests/test_triggers_ssrf.py::test_no_form_of_an_address_inside_is_public",
    ),
    Mutant(
        "a webhook is not redirected",
        "streams/triggers/channels/webhook.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "tests/test_triggers_ssrf.py::test_a_redirect_is_not_followed",
    ),
    Mutant(
        "no proxy of the environment takes a webhook",
        "streams/triggers/channels/webhook.py",
        "trust_env=False",
        "trust_env=True",
        "tests/test_triggers_ssrf.py::test_the_environment_turns_nothing",
    ),
    Mutant(
        "a webhook's answer is not unpacked",
        "streams/triggers/channels/webhook.py",
        "auto_decompress=False",
        "auto_decompress=True",
        "tests/test_triggers_ssrf.py::test_an_answer_is_not_unpacked",
    ),
)


class Killed(NamedTuple):
    """What turned red, and after how many seeds; `None` where it was a test."""

    by: str
    seeds: int | None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the simulation, for each mutant")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the guards whose names hold this")
    parsed = parser.parse_args(arguments)
    wanted = [
        one for one in (*BY_SIMULATION, *BY_TESTS) if not parsed.names or any(n in one.guard for n in parsed.names)
    ]
    for tests in sorted({one.tests for one in wanted} - {""}):
        if _run(ROOT, "-m", "pytest", "-q", "-x", tests)[0]:
            print(f"{tests} fails with every guard in its place; mend that first")
            return 1
    survived = 0
    for mutant, killed, seconds in tried(wanted, parsed.seeds):
        survived += killed is None
        print(f"{mutant.guard:52} {told(killed):60} {seconds:5.1f} s", flush=True)
    print(f"{len(wanted)} guards switched off, {survived} not missed")
    return 1 if survived else 0


def told(killed: Killed | None) -> str:
    if killed is None:
        return "SURVIVED"
    return killed.by if killed.seeds is None else f"{killed.by} (seed {killed.seeds})"


def tried(mutants: Sequence[Mutant], seeds: int) -> Iterator[tuple[Mutant, Killed | None, float]]:
    """Each mutant, what turned red, and how long it took; as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda mutant: _timed(mutant, seeds), mutants)


def _timed(mutant: Mutant, seeds: int) -> tuple[Mutant, Killed | None, float]:
    began = time.monotonic()
    return mutant, _try(mutant, seeds), time.monotonic() - began


def _try(mutant: Mutant, seeds: int) -> Killed | None:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        _copy(tree)
        path = tree / mutant.path
        source = path.read_text()
        assert source.count(mutant.right) == 1, f"{mutant.guard}: {mutant.right!r} is not once in {mutant.path}"
        path.write_text(source.replace(mutant.right, mutant.wrong))
        return _tested(mutant, tree) if mutant.tests else _simulated(tree, seeds)


def _copy(tree: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.gz")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tree / name)


def _simulated(tree: Path, seeds: int) -> Killed | None:
    code, output = _run(tree, "-m", "tests.world", "--seeds", f"0-{seeds - 1}", "--first")
    if code == 0:
        return None
    found = re.search(r"^seed (\d+) .*\n([^:\n]{1,50})", output, re.MULTILINE)
    assert found, f"the simulation did not say what failed: {output[-2000:]}"
    return Killed(found[2].strip(), int(found[1]))


def _tested(mutant: Mutant, tree: Path) -> Killed | None:
    code, output = _run(tree, "-m", "pytest", "-q", "-x", mutant.tests)
    if code == 0:
        return None
    found = re.search(r"^FAILED (\S+)", output, re.MULTILINE)
    assert found, f"the tests did not say what failed: {output[-2000:]}"
    return Killed(found[1], None)


def _run(tree: Path, *arguments: str) -> tuple[int, str]:
    """Python on the copied tree, whatever is installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tree), str(tree / "scripts")))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
