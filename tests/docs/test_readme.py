"""What the README shows is so."""

from __future__ import annotations

import asyncio
import json
import re

import grpc
import pytest
from google.protobuf import descriptor_pb2
from trunk.policy.v1 import policy_pb2

from tests.docs.blocks import ROOT, blocks
from tests.docs.programs import BIN, BOUND_S, finished, looking_at, there
from tests.shop.healed import healed
from tests.shop.running import RunningShop
from tests.shop.streams import client
from tests.shop.waiting import until
from tests.trunkline.reflected import files_of, services

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]

ACTIVATE, *LOOKS = blocks("README.md", "sh")[0].lines
TAIL, TRADE = blocks("README.md", "sh")[1].lines
EVENTS = blocks("README.md", "sh")[2].lines
GRPCURL = [line for block in blocks("README.md", "") for line in block.lines if line.startswith("grpcurl ")]
EXPECTED = {
    "examples/ask.py": r"^NOT_FOUND pos\.item ITEM_NOT_FOUND {'item_code': 'no-such-item'}\n$",
    "trunkline ps": r"(?s)item +127\.0\.0\.1:\d+ +SERVING.*stock +127\.0\.0\.1:\d+ +SERVING",
    "trunkline explain pos.cart.v1.CartService/FinalizeCart": r"(?s)deadline +5 s +contract.*max attempts +3 +default",
    "trunkline explain --live pos.terminal.v1.TerminalService/GetTerminal": r"live cart breaker +closed, 0 of ",
    "trunkline doctor": r"(?s)the system on .*severe +reflection +reflection is open: account, item.*1 of them severe",
    "trunkline events topics": r"tranlog +cart +report, journal, stock +pos\.event\.v1\.TransactionLog",
    "--list-methods": r"(?m)^pos\.item\.v1\.ItemService/GetItem$",
    "ItemService/GetItem": r'"minorUnits": "168"',
}
"""Part of a command → what it prints."""
OF_EVENTS = {
    "topics": r"tranlog +cart +report, journal, stock +pos\.event\.v1\.TransactionLog +8 +\d+ ",
    "lag": r"(?m)^tranlog +report +\d+ +\d+ +\d+ +0 +0 ",
    "show": r"(?s)key +demo/0001/1\n.*publisher +cart: CONFIRMED.*\nreport +DELIVERED\n",
    "dead list": r"letter +topic +key +number +reason",
    "dead redrive": r"group +reason +letters",
    "replay": r"(?m)^tranlog +\d+ +0 +\d+ *$",
}
"""Command of events → what it prints."""
EVENT = re.compile(rb"tranlog demo/0001/\d#\d+ .*transaction_no=\d+")


def test_the_example_is_the_file():
    """The program in the README is the one in examples/, and its output is told as it is."""
    (program,) = blocks("README.md", "python")
    assert program.text == (ROOT / "examples" / "ask.py").read_text()
    assert "`NOT_FOUND pos.item ITEM_NOT_FOUND {'item_code': 'no-such-item'}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("command", LOOKS)
async def test_a_look_inside_shows_what_it_should(command: str, shop: RunningShop):
    """Every command that looks into a running system ends well and shows it."""
    (pattern,) = [pattern for part, pattern in EXPECTED.items() if part in command]
    printed = await finished("bash", "-c", there(command, shop), cwd=ROOT, env=looking_at(shop))
    assert re.search(pattern, printed), printed


@pytest.mark.parametrize("command", EVENTS)
async def test_a_look_at_events_shows_what_it_should(command: str, shop: RunningShop):
    """Every command about events ends well on a shop that has traded a day, and shows it."""
    (pattern,) = [pattern for part, pattern in OF_EVENTS.items() if f"trunkline events {part}" in command]
    await healed(shop)
    printed = await finished("bash", "-c", command, cwd=ROOT, env=looking_at(shop))
    assert re.search(pattern, printed), printed


def test_every_command_is_expected_to_show_something():
    """No expectation is left of a command that is gone; the first line only makes the tools reachable."""
    assert ACTIVATE == ". .venv/bin/activate"
    assert all(any(part in command for command in LOOKS) for part in EXPECTED)


async def test_sales_pass_by(shop: RunningShop):
    """While a day is traded as the README says, the tail of the topic shows its sales."""
    assert (TAIL[-2:], TRADE) == (" &", "make day SALES=20")
    tail = await asyncio.create_subprocess_exec(
        "bash", "-c", TAIL[:-2], cwd=ROOT, env=looking_at(shop), stdout=asyncio.subprocess.PIPE
    )
    assert tail.stdout is not None
    try:
        with client(shop.system.redis_url) as redis:
            await until(lambda: dict(redis.pubsub_numsub("tranlog"))[b"tranlog"], "somebody tails")
        # Whoever reads this has set up; make must not do it again, in whatever environment this runs.
        as_set_up = TRADE.replace("make", f"make -o .venv/.ready BIN={BIN}")
        await finished("bash", "-c", as_set_up, cwd=ROOT, env=looking_at(shop))
        async with asyncio.timeout(BOUND_S):
            assert EVENT.search(await tail.stdout.readline())
    finally:
        tail.terminate()
        await tail.communicate()


async def test_grpcurl_is_told_what_it_asks_for(shop: RunningShop):
    """What the three grpcurl lines ask for is answered: by reflection, policies included, and by the call."""
    listed, described, called = (there(line, shop).split() for line in GRPCURL)
    assert (listed[3:], described[3]) == (["list"], "describe")
    async with grpc.aio.insecure_channel(listed[2]) as channel:
        assert "pos.item.v1.ItemService" in await services(channel)
        found = await files_of(channel, described[4])
    assert "trunk/policy/v1/policy.proto" in found
    methods = found["pos/item/v1/item_service.proto"].service[0].method
    (options,) = [one.options for one in methods if one.name == described[4].rpartition(".")[2]]
    policy = options.Extensions[policy_pb2.call]
    assert options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    assert (policy.deadline.seconds, policy.access) == (2, policy_pb2.CallPolicy.ACCESS_AUTHENTICATED)
    *_, address, method = called
    same = GRPCURL[2].replace("grpcurl -plaintext", "buf curl --protocol grpc --http2-prior-knowledge")
    same = there(same, shop).replace(f"{address} {method}", f"http://{address}/{method}")
    printed = await finished("bash", "-c", same, cwd=ROOT, env=looking_at(shop))
    assert json.loads(printed)["item"]["itemCode"] == "4901"
