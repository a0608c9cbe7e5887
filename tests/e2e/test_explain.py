"""What running services say of their calls, as a person at a prompt asks for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from deploy.local.settings import ROOT
from tests.shop.running import RunningShop

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.usefixtures("books")]


async def explained(shop: RunningShop, *arguments: str) -> dict[str, Any]:
    """What `trunkline explain --json` prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from trunkline.cli.app import main; main()", "explain", "--json", *arguments),
        cwd=ROOT,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    found: dict[str, Any] = json.loads(said)
    return found


async def test_a_running_system_tells_of_a_call(shop: RunningShop):
    """Who makes the call, how its breaker and budget stand there, and what its server runs and may run."""
    told = await explained(shop, "--live", "pos.terminal.v1.TerminalService/GetTerminal")
    live = {row["name"]: row["value"] for row in told["values"] if row["name"].startswith("live ")}
    assert live["live cart to terminal"].startswith("READY, ")
    assert live["live cart breaker"].startswith("closed, 0 of ")
    assert "of 256 calls of all methods" in live["live terminal serves"]


async def test_what_stands_in_the_contract_needs_no_service(shop: RunningShop):
    """Without --live nobody is asked, and the address is the running system's."""
    told = await explained(shop, "pos.cart.v1.CartService/FinalizeCart")
    values = {row["name"]: (row["value"], row["source"]) for row in told["values"]}
    assert values["deadline_s"] == (5.0, "contract")
    assert values["address"][0] == f"dns:///{shop.system.services['cart']}"
    assert not [name for name in values if name.startswith("live")]
