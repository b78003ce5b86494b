"""Lift on real parts: the arms, the orders of each, and a person who has two ids."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import msgspec
import pytest

from local.processes import Worker
from local.receivers import Hook, Mailbox, now_ms
from rules.times import format_instant
from streams.offline.lift import Lift
from streams.ops.saved_lift import saved_lifts
from tests.support.patience import eventually
from tests.support.trigger_processes import Sender, buy, decided, environment, leave_a_cart, say, write

pytestmark = pytest.mark.kafka

CUSTOMERS = 40


def check_refusals(parts: dict[str, Any], command: list[str], environment: dict[str, str]) -> None:
    """A trigger that is not there, a file without a goal, and a path that cannot be written are named."""

    def refused(*arguments: str) -> str:
        whole = [*command, *arguments]
        done = subprocess.run(whole, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        return done.stderr

    assert "there is no trigger cal in " in refused("--trigger", "cal")
    assert "/none/lift.json cannot be written (it is a folder" in refused("--save", "/none/lift.json")
    path = parts["triggers"].with_name("full.json")
    path.with_name("full.json.part").mkdir()
    assert "full.json could not be written (Is a directory); see whether" in refused("--save", str(path))
    file = json.loads(parts["triggers"].read_text())
    del file["triggers"]["call"]["goal"]
    other = parts["triggers"].with_name("without.yaml")
    other.write_text(json.dumps(file))
    assert "no trigger here has a goal; write goal: {event: Order Completed" in refused("--file", str(other))


def test_lift_counts_both_arms_from_one_point(parts: dict[str, Any]) -> None:
    """Everything is sent twice, and every decision is read as often as it lies on the topic."""
    with Hook() as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="1s")
        file = json.loads(parts["triggers"].read_text())
        file["channels"]["bot"]["caps"] = {"per_day": 1}
        file["triggers"] = {
            "call": {
                "segment": "abandoned_cart", "channel": "bot", "delay": "1s", "hold_out": {"percent": 50},
                "goal": {"event": "Order Completed", "within": "15s"}, "variants": {"a": {}, "b": {}},
            },
        }  # fmt: skip
        parts["triggers"].write_text(json.dumps(file))
        names = [f"c{number}" for number in range(CUSTOMERS)]
        with Worker(parts) as worker, environment(parts) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to, began = Sender(parts), now_ms()
            for _ in range(2):
                for name in names:
                    leave_a_cart(to, name, began)
            to.flush()
            finals: dict[str, Any] = {}

            def all_decided() -> bool:
                finals.update({each.customer_id: each for each in decided(parts) if each.is_final})
                return len(finals) == CUSTOMERS

            eventually(all_decided, 40, triggers.tail(40))
            at = now_ms()
            for name in names[::3]:
                buy(to, name, at)
                buy(to, name, at)
                say(to, name, "Message Clicked", at, properties={"trigger": "call"})
                say(to, name, "Message Clicked", at, properties={"trigger": "another"})
            # c38 becomes c39, and buys under the former id, too.
            say(to, "c39", "identify", at)
            alias = {"type": "alias", "messageId": "a", "userId": "c39", "previousId": "c38"}
            to.send("profiles", b"c39", json.dumps(alias | {"timestamp": format_instant(at)}).encode())
            to.flush()
            saved = parts["triggers"].with_name("lift.json")
            command = [sys.executable, "-m", "streams", "lift", "--json", "--save", str(saved)]

            check_refusals(parts, command, triggers.environment)

            def read_lift() -> dict[str, Any]:
                done = subprocess.run(command, env=triggers.environment, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                return dict(json.loads(done.stdout)[0])

            time.sleep(max(0.0, (at + 16_000 - now_ms()) / 1000))
            eventually(lambda: read_lift()["exposed"] < CUSTOMERS, 30, worker.tail(40))  # the two ids are one person
            lift = read_lift()
    assert saved_lifts(saved).lifts == [msgspec.convert(lift, Lift)]
    assert [path.name for path in saved.parent.glob("lift.json*")] == ["lift.json"]
    is_mixed = finals["c38"].arm != finals["c39"].arm
    persons = {name: finals[name].arm for name in names if name != "c38" and not (is_mixed and name == "c39")}
    assert lift["mixed"] == is_mixed
    assert (lift["exposed"], lift["waiting"]) == (len(persons), 0)
    for arm in ("treated", "control"):
        own = [name for name, arm_of in persons.items() if arm_of == arm]
        buyers = [name for name in own if name in names[::3]]
        figures = lift["all"][arm]
        assert (figures["customers"], figures["conversions"], figures["revenue"]) == (
            len(own), len(buyers), 10.0 * len(buyers),
        )  # fmt: skip
        assert figures["clicked"] == len(buyers)
    by_variant = {name: comparison["treated"]["customers"] for name, comparison in lift["variants"].items()}
    assert sum(by_variant.values()) == lift["all"]["treated"]["customers"]
    assert len(hook.calls) == sum(each.arm == "treated" for each in finals.values())
