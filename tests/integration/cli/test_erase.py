"""`segmenter erase` and `segmenter export` on real Kafka and Redis, with a worker.

Data of a customer are searched for in the bytes of every key and every topic.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from local.processes import Worker
from local.servers import Kafka, Redis
from tests.support.commands import assert_one_line, event, moved_to_now
from tests.support.erasure_shop import Shop, timestamp_of_now
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

CUSTOMER = "زهرا-۷f3"


@pytest.fixture
def shop(kafka: Kafka, redis_server: Redis) -> Iterator[Shop]:
    shop = Shop(kafka, redis_server)
    yield shop
    shop.forget_everything()


def life(customer: str) -> list[dict[str, Any]]:
    """Events which make a profile with traits, a cart that ends in an order, and another cart."""
    mail = {"type": "identify", "traits": {"email": "zahra@example.com"}}
    events = [
        {**event(customer, 1, "page", 0), **mail},
        event(customer, 2, "Product Added", 1, product_id="p1"),
        event(customer, 3, "Order Completed", 2, order_id=f"o-{customer}", total=10),
        event(customer, 4, "Product Added", 90, product_id="p2"),
        event(customer, 5, "Order Completed", 91, order_id=f"o2-{customer}", total=10),
    ]
    return moved_to_now(*events)


def test_a_customer_is_erased_and_stays_so(shop: Shop) -> None:
    """A customer is shown, exported and erased, and a rebuild on an empty Redis does not bring it back."""
    keep_a_week(shop, "carts")
    shop.publish(*life(CUSTOMER), *life("other"))
    with Worker(shop.settings) as worker:
        worker.wait_ready()
        eventually(lambda: len(shop.changes(CUSTOMER)) >= 3, 60)
        exported = shop.run("export", CUSTOMER)
        exported_data = json.loads(exported.out)
        assert exported.code == 0
        assert exported_data["redis"][0]["sequence"] == len(shop.changes(CUSTOMER))
        traits = [record["value"]["traits"] for record in exported_data["topics"]["profiles"]]
        assert traits == [{"email": "zahra@example.com"}]
        assert {name: len(own) for name, own in exported_data["topics"].items() if name in ("carts", "purchases")} == {
            "carts": 2,
            "purchases": 2,
        }
        assert {
            membership["segment"] for membership in exported_data["segments"]["segments"] if membership["member"]
        } >= {"repeat_buyer"}

        done = shop.run("erase", CUSTOMER)
        assert done.code == 0, done
        assert "gone      Redis: no profile, no due times, no records to be published" in done.out
        assert "gone      segment-memberships: no row" in done.out
        unwrapped = re.sub(r"\n {10}", " ", done.out)
        line_of_topic = {line.split(":")[0].split()[1]: line for line in unwrapped.splitlines()}
        carts, purchases = line_of_topic["carts"], line_of_topic["purchases"]
        assert "2 records" in carts
        assert "retention (7d) removes the last one some time after" in carts
        assert "keeps records for ever: delete them there if they must go" in purchases
        changes = shop.changes(CUSTOMER)
        assert shop.keys_naming(CUSTOMER) == []
        assert {change["cause"]["kind"] for change in changes[-2:]} == {"erasure"}
        assert changes[-1]["segments"] == []
        assert [change["sequence"] for change in changes] == list(range(1, len(changes) + 1))
        assert shop.run("explain", CUSTOMER).code == 1
        assert json.loads(shop.run("export", CUSTOMER).out)["redis"][0]["erased"]
        eventually(lambda: shop.run("verify").code == 0, 30)

    shop.forget_everything()
    with Worker(shop.settings, "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: shop.run("explain", "other").code == 0, 60)
        eventually(lambda: "no profile" in shop.run("erase", "somebody").out, 60)  # which reads to the end
        assert worker.exit_code is None
    assert shop.changes(CUSTOMER) == changes
    assert shop.keys_naming(CUSTOMER) == []
    assert shop.keys_naming("other") != []


def test_who_comes_back_is_new(shop: Shop) -> None:
    """Sequence numbers go on after an erasure, and only what came since is known; the command says so."""
    shop.publish(*life(CUSTOMER))
    with Worker(shop.settings) as worker:
        worker.wait_ready()
        eventually(lambda: len(shop.changes(CUSTOMER)) >= 3, 60)
        assert shop.run("erase", CUSTOMER).code == 0
        before = shop.changes(CUSTOMER)
        time.sleep(0.01)
        order = event(CUSTOMER, 9, "Order Completed", 0, order_id="new", total=10)
        shop.publish({**order, "timestamp": timestamp_of_now()})
        eventually(lambda: len(shop.changes(CUSTOMER)) > len(before), 60)
        (back,) = shop.changes(CUSTOMER)[len(before) :]
        assert (back["segment"], back["sequence"]) == ("recently_purchased", len(before) + 1)
        assert shop.run("explain", CUSTOMER).code == 0


def test_nobody_reads_the_request(shop: Shop) -> None:
    """Without a worker, one line says that the request is on the topic, and what is stored is shown."""
    done = shop.run("erase", CUSTOMER, "--wait", "1")
    assert done.code == 1
    assert "not done within 1 s; the request stays on profiles" in done.err
    assert "remains   profiles: 1 records" in done.out


def test_what_is_no_id(shop: Shop) -> None:
    """No erasure is requested for a text that is no id."""
    done = shop.run("erase", "a\nb")
    assert (done.code, done.out) == (1, "")
    assert_one_line(done.err)
    assert "is no customer's id (bad_id)" in done.err
    nothing = shop.run("export", "nobody")
    assert (nothing.code, nothing.out) == (1, "")
    assert_one_line(nothing.err)


def keep_a_week(shop: Shop, name: str) -> None:
    admin: Any = KafkaAdminClient(bootstrap_servers=shop.settings["brokers"])
    week = {"retention.ms": str(7 * 24 * 3_600_000)}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, shop.prefix + name, week)])
    admin.close()


def test_a_person_is_erased_with_all_ids(shop: Shop) -> None:
    """Erasing one id requests the erasure of its linked ids, and nothing of either is left."""
    device = "گوشی-۹a1"
    first, *rest = life(CUSTOMER)
    browsed = {name: value for name, value in first.items() if name != "userId"}
    shop.publish({**browsed, "anonymousId": device, "messageId": "d"}, {**first, "anonymousId": device}, *rest)
    with Worker(shop.settings) as worker:
        worker.wait_ready()
        eventually(lambda: shop.run("explain", device).out.count("known as") == 1, 60)
        done = shop.run("erase", CUSTOMER)
        assert done.code == 0, done
        assert done.out.count("requested erase") == 2
        assert f"requested erase {device}" in done.out
        assert shop.keys_naming(CUSTOMER) + shop.keys_naming(device) == []
        assert "remains   merges" in done.out


def test_a_persons_former_id_stays_erased(shop: Shop) -> None:
    """The erase event alone, which names one id, also keeps the former id's changes from being published again."""
    former = "former-7f3"
    browsed = [{name: value for name, value in fields.items() if name != "userId"} for fields in life(former)[1:]]
    shop.publish(*({**fields, "anonymousId": former} for fields in browsed))
    with Worker(shop.settings) as worker:
        worker.wait_ready()
        eventually(lambda: len(shop.changes(former)) >= 3, 60)
        shop.publish({**moved_to_now(event(CUSTOMER, 6, "page", 92))[0], "anonymousId": former})
        eventually(lambda: any(change["cause"]["kind"] == "merge" for change in shop.changes(former)), 60)
        eventually(lambda: bool(shop.changes(CUSTOMER)), 60)
        shop.publish({"type": "erase", "userId": CUSTOMER, "messageId": "e", "timestamp": timestamp_of_now()})
        eventually(lambda: shop.keys_naming(CUSTOMER) == shop.keys_naming(former) == [], 60)
        eventually(lambda: shop.run("verify").code == 0, 30)
    published = shop.changes(CUSTOMER), shop.changes(former)

    shop.forget_everything()
    shop.publish(*life("other"))
    with Worker(shop.settings, "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: len(shop.changes("other")) >= 3, 60)
        eventually(lambda: shop.run("verify").code == 0, 30)
    assert (shop.changes(CUSTOMER), shop.changes(former)) == published
    assert shop.keys_naming(CUSTOMER) == shop.keys_naming(former) == []
