"""Events that a service cannot apply: found, explained and sent again at the prompt, while the shop trades on."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pos.cart.v1.transaction_service_pb2 import GetDeliveryRequest
from trunk.event.v1.consumer_service_pb2 import DeliveryState

from deploy.local.settings import ROOT
from tests.shop.books import select
from tests.shop.company import Counter, company
from tests.shop.effects import wrong_effects
from tests.shop.running import RunningShop
from tests.shop.waiting import until, until_none

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.timeout(300)]
STORE = "dead"
KEY = f"acme/{STORE}/1"
DEAD = {"journal": "DELIVERED", "report": "DEAD", "stock": "DELIVERED"}
"""What became of an event that report cannot apply."""
BOUND_S = 60.0


async def trunkline(shop: RunningShop, *arguments: str) -> str:
    """What `trunkline events …` prints."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("trunkline")), "events", *arguments,
        cwd=ROOT, env=shop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(BOUND_S):
        said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return said.decode()


async def told(shop: RunningShop, *arguments: str) -> list[dict[str, Any]]:
    """The objects that `trunkline events … --json` prints."""
    return [json.loads(line) for line in (await trunkline(shop, *arguments, "--json")).splitlines()]


async def delivery(counter: Counter, transaction_no: int) -> dict[str, str]:
    """What cart tells of a transaction's event."""
    request = GetDeliveryRequest(store_code=STORE, terminal_no=1, transaction_no=transaction_no)
    answer = await counter.transactions.GetDelivery(request)
    assert not any(one.unreachable for one in answer.deliveries)
    return {one.group: DeliveryState.Name(one.state).removeprefix("DELIVERY_STATE_") for one in answer.deliveries}


@pytest.fixture
def own_shop(tmp_path: Path) -> Iterator[RunningShop]:
    """A shop of its own: events that were passed over and came after all stand in no order in its books."""
    with RunningShop(tmp_path / "var") as running:
        yield running


@contextmanager
def broken(shop: RunningShop) -> Iterator[None]:
    """Inside the block report cannot keep a transaction of the store: its database refuses the row."""
    with closing(sqlite3.connect(shop.var_dir / "report" / "report.db", timeout=10.0, isolation_level=None)) as report:
        report.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON received_transaction "
            f"WHEN NEW.store_code = '{STORE}' BEGIN SELECT RAISE(ABORT, 'broken by a test'); END"
        )
        try:
            yield
        finally:
            report.execute("DROP TRIGGER broken")


def received(shop: RunningShop) -> list[int]:
    """Numbers of the store's transactions that report has kept."""
    kept = f"SELECT transaction_no FROM received_transaction WHERE store_code = '{STORE}' ORDER BY transaction_no"
    return [row[0] for row in select(shop.var_dir, "report", kept)]


async def test_a_dead_letter_is_found_explained_and_sent_again(own_shop: RunningShop):
    """One service fails over two events: the others have them, it goes on, and each has its effect there once."""
    shop = own_shop
    async with company(shop, "acme") as acme:
        counter = await acme.counter(STORE)
        await counter.open()
        first = (await counter.sell()).transaction_no
        await until(lambda: received(shop) == [first], "report has the first sale")
        with broken(shop):
            redriven, replayed = [(await counter.sell()).transaction_no for _ in range(2)]
            await until(lambda: _all_dead(counter, redriven, replayed), "both are dead letters")
            await _explained(shop, redriven)
        # The cause is gone, the letters stay until somebody has them tried again.
        third = (await counter.sell()).transaction_no
        await until(lambda: received(shop) == [first, third], "the key went on")
        letter = await _found(shop, redriven)
        assert [one["letter"] for one in await told(shop, "dead", "redrive", letter["letter"])] == [letter["letter"]]
        await until(lambda: received(shop) == [first, redriven, third], "the letter had its effect")
        assert set((await delivery(counter, redriven)).values()) == {"DELIVERED"}
        await _replayed(shop, replayed)
        assert set((await delivery(counter, replayed)).values()) == {"DELIVERED"}
        assert received(shop) == [first, redriven, replayed, third]
        assert not await told(shop, "dead", "list")
        assert [bool(one["closed_time"]) for one in await told(shop, "dead", "list", "--closed")] == [True, True]
        await counter.till.close(0)
    assert "an event is a dead letter" in shop.new_log()
    await until_none(lambda: asyncio.to_thread(wrong_effects, shop.var_dir))


async def _all_dead(counter: Counter, *numbers: int) -> bool:
    return all([await delivery(counter, number) == DEAD for number in numbers])


async def _found(shop: RunningShop, number: int) -> dict[str, Any]:
    """The letter of an event of the store."""
    letters = await told(shop, "dead", "list", "--by", f"key={KEY}", "--group", "report")
    (found,) = [letter for letter in letters if letter["number"] == number]
    return found


async def _explained(shop: RunningShop, number: int) -> None:
    """What is told of a letter, and of its event; a dry run changes nothing."""
    letter = await _found(shop, number)
    assert (letter["reason"], letter["attempts"], letter["tenant_id"]) == ("APPLY_FAILED", 5, "acme")
    (shown,) = await told(shop, "dead", "show", letter["letter"])
    assert "IntegrityError" in shown["error"]
    assert shown["event"]["payload"]["transaction_no"] == str(number)
    assert shown["consumer_version"]
    (event,) = await told(shop, "show", letter["event_id"])
    states = {one["group"]: one["state"] for one in event["groups"]}
    assert states == DEAD
    assert [one["dead_letter"] for one in event["groups"] if one["group"] == "report"] == [letter["letter"]]
    assert (await told(shop, "show", f"{KEY}#{number}", "--topic", "tranlog"))[0]["event"]["id"] == letter["event_id"]
    by = ("--by", "reason=APPLY_FAILED", "--by", f"key={KEY}", "--by", "time=1h/")
    assert letter in await told(shop, "dead", "redrive", "--dry-run", *by)
    (counted,) = await told(shop, "dead", "redrive", "--dry-run", "--by", "reason", "--by", f"key={KEY}")
    assert counted == {"group": "report", "reason": "APPLY_FAILED", "letters": 2}
    (lag,) = await told(shop, "lag", "--topic", "tranlog", "--group", "report")
    assert (lag["lag"], lag["parked"]) == (0, 0)
    assert lag["dead"] >= 2
    assert await _found(shop, number) == letter


async def _replayed(shop: RunningShop, number: int) -> None:
    """What was dead has its effect by a replay; a second one finds nothing to do."""
    of_key = ("replay", "--group", "report", "--topic", "tranlog", "--key", KEY, "--from", "1h")
    (dry,) = await told(shop, *of_key, "--dry-run")
    assert (dry["read"], dry["handed_on"], dry["duplicates"]) == (4, 1, 3)
    assert number not in received(shop)
    (once,) = await told(shop, *of_key)
    assert once == dry
    await until(lambda: number in received(shop), "it had its effect")
    (twice,) = await told(shop, *of_key)
    assert (twice["read"], twice["handed_on"], twice["duplicates"]) == (4, 0, 4)
    whole = {row["topic"]: row["handed_on"] for row in await told(shop, "replay", "--group", "report")}
    assert whole == {"cashlog": 0, "opencloselog": 0, "tranlog": 0}
