"""How far groups are behind, by the events' own numbers, as a person or a program at a prompt asks for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.local.settings import ROOT
from tests.shop.books import published
from tests.shop.healed import healed
from tests.shop.running import RunningShop
from tests.shop.streams import client

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
CONSUMED = {
    ("cashlog", "journal"), ("cashlog", "report"), ("opencloselog", "journal"), ("opencloselog", "report"),
    ("reportlog", "journal"), ("tranlog", "journal"), ("tranlog", "report"), ("tranlog", "stock"),
}  # fmt: skip
BOUND_S = 60.0


async def test_lag_is_watched_and_survives_trimming(shop: RunningShop):
    """Twice in a row every group of every topic is told to have all that was published, though streams are trimmed."""
    await healed(shop)
    with client(shop.system.redis_url) as redis:
        for stream in redis.scan_iter("{*:*}", _type="stream"):
            redis.xtrim(stream, maxlen=0, approximate=False)
    counts = Counter(one.place[0] for one in published(shop.var_dir))
    watching = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("trunkline")), "events", "lag", "--watch", "--json",
        cwd=ROOT, env=shop.environment, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watching.stdout is not None
    try:
        for _ in range(2):
            async with asyncio.timeout(BOUND_S):
                rows: list[dict[str, Any]] = [json.loads(await watching.stdout.readline()) for _ in CONSUMED]
            assert {(row["topic"], row["group"]) for row in rows} == CONSUMED
            for row in rows:
                assert (row["published"], row["lag"]) == (counts[row["topic"]], 0), row
                assert (row["parked"], row["holes"], row["dead"], row["note"]) == (0, 0, 0, "")
                assert len(row["owners"]) == 8
                assert all(row["owners"])
    finally:
        watching.terminate()
        await watching.communicate()
    await healed(shop)
