"""`segmenter unlink` on real Kafka and Redis, with a worker.

The customer of an event is read afterwards from the topic of changes, and from the output of other commands.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from local.processes import Worker
from local.servers import Kafka, Redis
from tests.support.commands import event
from tests.support.erasure_shop import Shop, timestamp_of_now
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

PERSON, PHONE = "زهرا-۷f3", "phone-1"


@pytest.fixture
def shop(kafka: Kafka, redis_server: Redis) -> Iterator[Shop]:
    shop = Shop(kafka, redis_server)
    yield shop
    shop.forget_everything()


def of_now(name: str, number: int, /, **ids: str) -> dict[str, Any]:
    """An event of this moment with these ids."""
    made = {**event("x", number, name, 0, order_id=f"o{number}", total=10), "timestamp": timestamp_of_now()}
    del made["userId"]
    return made | ids


def alias(number: int, customer_id: str, former: str) -> dict[str, Any]:
    own = {"type": "alias", "userId": customer_id, "previousId": former, "messageId": f"alias-{number}"}
    return own | {"timestamp": timestamp_of_now()}


def refusals(worker: Worker) -> float:
    """The number of refused links between parted ids, as a worker counts them."""
    with urllib.request.urlopen(f"http://{worker.http}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    (line,) = (
        line for line in text.splitlines() if line.startswith('segmenter_link_refusals_total{reason="unlinked"}')
    )
    return float(line.split()[-1])


def known_as(shop: Shop, customer_id: str) -> object:
    done = shop.run("explain", customer_id, "--json")
    return json.loads(done.out)["known_as"] if done.code == 0 else None


def test_two_ids_are_parted_until_a_newer_alias(shop: Shop) -> None:
    """Two ids are parted, in either order of naming; what comes under the former id is its own again."""
    shop.publish(of_now("page", 1, anonymousId=PHONE), of_now("page", 2, userId=PERSON, anonymousId=PHONE))
    with Worker(shop.settings) as worker:
        worker.wait_ready()
        eventually(lambda: known_as(shop, PHONE) == PERSON, 60)
        done = shop.run("unlink", PHONE, PERSON)
        assert (done.code, done.err) == (0, ""), done
        assert f"requested unlink {PHONE} and {PERSON}, effective " in done.out
        assert f"parted    {PHONE} and {PERSON} are two persons from here on" in done.out
        assert known_as(shop, PHONE) is None
        for customer_id, other_id in ((PHONE, PERSON), (PERSON, PHONE)):
            stored = json.loads(shop.run("export", customer_id).out)["redis"][0]
            assert (list(stored["parted_from"]), stored["other_ids"]) == ([other_id], {})

        # Such a visit linked them before. It is refused now, so the order belongs to the former id alone.
        shop.publish(of_now("page", 3, userId=PERSON, anonymousId=PHONE))
        eventually(lambda: refusals(worker) == 1, 60)
        shop.publish(of_now("Order Completed", 4, anonymousId=PHONE))
        eventually(lambda: "recently_purchased" in {change["segment"] for change in shop.changes(PHONE)}, 60)
        assert shop.changes(PERSON) == []

        shop.publish(alias(5, PERSON, PHONE))
        eventually(lambda: known_as(shop, PHONE) == PERSON, 60)
        eventually(lambda: "recently_purchased" in {change["segment"] for change in shop.changes(PERSON)}, 60)
        done = shop.run("unlink", PERSON, PHONE)
        assert done.code == 0, done
        assert known_as(shop, PHONE) is None
        # What had moved stays where it is, as the command says.
        assert "stays     data merged before the unlink are not moved back" in done.out
        assert [change["change"] for change in shop.changes(PERSON)] == ["entered"]
        eventually(lambda: shop.run("verify").code == 0, 30)
        assert worker.exit_code is None


def test_two_ids_that_are_one_person_over_a_third(shop: Shop) -> None:
    """Parting two ids leaves both linked to a third, and the command does not call them two persons."""
    shop.publish(*(of_now("page", number, userId=PERSON, anonymousId=f"device-{number}") for number in (1, 2)))
    with Worker(shop.settings) as worker:
        worker.wait_ready()
        eventually(lambda: [known_as(shop, f"device-{number}") for number in (1, 2)] == [PERSON] * 2, 60)
        done = shop.run("unlink", "device-1", "device-2")
        assert done.code == 1
        assert f"still     device-1 and device-2 are one person, {PERSON}, by links of other ids" in done.out
        assert "parted" not in done.out
        done = shop.run("unlink", "device-1", "never-seen")
        assert done.code == 0
        assert f"beside    device-1 is linked to {PERSON}, which has all its data" in done.out


def test_nobody_reads_the_request(shop: Shop) -> None:
    """Without a worker, one line says that the request is on the topic, and nothing is reported as parted."""
    done = shop.run("unlink", PERSON, PHONE, "--wait", "1")
    assert done.code == 1
    assert "segmenter unlink: not done within 1 s; the request stays on profiles" in done.err
    assert "requested unlink" in done.out
    assert done.out.count("\n") == 1
