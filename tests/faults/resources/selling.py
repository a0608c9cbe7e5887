"""Tills on the machine of a shop, `python -m tests.faults.resources.selling SALES SEED`: a day, as of `make day`.

A token that is refused while the clock is set is no refusal of the sale: the till repeats the call under its key, as
after an outage. Prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc
from trunkline.registry.system import read_system
from trunkline.telemetry.quiet import quieten_logs

from deploy.local import calls
from deploy.local.day import trade_day
from deploy.local.settings import read_settings


async def main(sales: int, seed: int) -> None:
    """Trades the day."""
    calls.REPEATED = calls.REPEATED | {grpc.StatusCode.UNAUTHENTICATED}
    settings, _ = read_settings()
    system = read_system(settings.var_dir)
    assert system is not None
    sold_s: list[float] = []
    result = await trade_day(system, settings, sales=sales, seed=seed, sold=lambda: sold_s.append(time.monotonic()))
    told = {"sales": result.sales, "date": str(result.business_date), "sold_s": sold_s}
    print(json.dumps({**told, "wrong": [str(row) for row in result.rows if not row.equal]}))


if __name__ == "__main__":
    quieten_logs()
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
