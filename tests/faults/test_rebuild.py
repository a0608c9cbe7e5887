"""Rebuild: what events made of report and journal is made again from the publishers' logs, and is the same."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from trunkline.storage.migrate import upgrade, upgrade_postgres
from trunkline.testing.postgres import NoPostgres, PostgresServer

from deploy.local.settings import ROOT
from services.journal.storage import tables as journal_tables
from services.report.storage import tables as report_tables
from tests.shop.books import select
from tests.shop.healed import healed
from tests.shop.running import RunningShop
from tests.shop.trading import trading_day

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
TABLES = {
    "report": [table.name for table in report_tables.REBUILDABLE],
    "journal": [table.name for table in journal_tables.REBUILDABLE],
}
KEY = tuple(column.name for column in report_tables.FIGURE.primary_key)
BOUND_S = 60.0


async def trunkline(shop: RunningShop, *arguments: str) -> tuple[int, str]:
    """`trunkline events rebuild …`: how it ended, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("trunkline")), "events", "rebuild", *arguments,
        cwd=ROOT, env=shop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(BOUND_S):
        said, complained = await process.communicate()
    assert process.returncode in {0, 1}, complained.decode()
    return process.returncode, said.decode()


async def rebuild(shop: RunningShop, service: str, *options: str) -> tuple[int, dict[str, Any]]:
    """The same with `--json`, read."""
    status, said = await trunkline(shop, service, "--json", *options)
    return status, json.loads(said)


def dump(shop: RunningShop, service: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that events made of a service's database."""
    return {
        name: sorted((tuple(row) for row in select(shop.var_dir, service, f"SELECT * FROM {name}")), key=repr)
        for name in TABLES[service]
    }


def spoil(shop: RunningShop, service: str, *statements: str) -> None:
    """Does something to a live database that no service does."""
    path = shop.var_dir / service / f"{service}.db"
    with closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def counts(told: dict[str, Any], *names: str) -> dict[str, Sequence[int]]:
    """Figures of each table."""
    return {table["table"]: [table[name] for name in names] for table in told["tables"]}


@pytest.mark.parametrize("service", ["report", "journal"])
async def test_a_rebuild_equals_what_is_there(shop: RunningShop, service: str):
    """E19: after a day, every row that its events make again is the row that is there; nothing was touched."""
    await healed(shop)
    before = dump(shop, service)
    status, told = await rebuild(shop, service)
    assert (status, told["equal"], told["swapped"]) == (0, True, False), told
    assert (told["missing"], told["failed"], told["behind"]) == (0, 0, 0)
    assert told["applied"] == len(select(shop.var_dir, service, "SELECT * FROM inbox"))
    assert counts(told, "live", "rebuilt", "equal") == {name: [len(rows)] * 3 for name, rows in before.items()}
    assert sum(map(len, before.values())) > 20
    assert dump(shop, service) == before


async def test_a_damaged_figure_is_named_and_mended(shop: RunningShop):
    """E19: one figure is a yen off: table and row are told, with both figures; a swap mends it, beside the service."""
    await healed(shop)
    before = dump(shop, "report")
    (first, *_) = select(shop.var_dir, "report", "SELECT rowid, * FROM figure WHERE name = 'GROSS' ORDER BY rowid")
    spoil(shop, "report", f"UPDATE figure SET amount = amount + 1 WHERE rowid = {first['rowid']}")
    status, text = await trunkline(shop, "report")
    row = " ".join(f"{name}={first[name]}" for name in KEY)
    assert f"figure {row}: amount={first['amount'] + 1}, and should be amount={first['amount']}" in text.splitlines()
    assert (status, text.splitlines()[-1]) == (1, "different")
    status, told = await rebuild(shop, "report")
    assert (status, told["equal"]) == (1, False)
    assert counts(told, "different", "missing", "extra") == {
        name: [1 if name == "figure" else 0, 0, 0] for name in before
    }
    (figure,) = [table for table in told["tables"] if table["table"] == "figure"]
    (difference,) = figure["differences"]
    assert difference == {
        "row": {name: first[name] for name in KEY},
        "live": {"amount": first["amount"] + 1},
        "rebuilt": {"amount": first["amount"]},
    }
    assert (await rebuild(shop, "report", "--swap"))[0] == 0
    assert dump(shop, "report") == before
    assert (await trunkline(shop, "report"))[1].splitlines()[-1] == "equal"
    status, told = await rebuild(shop, "report")
    assert (status, told["equal"]) == (0, True)
    await healed(shop)


async def test_a_swap_while_the_shop_trades_costs_nothing(shop: RunningShop):
    """E19: sales go on while report and journal are swapped twice: at the end of the day, all figures agree."""
    async with trading_day(shop, sales=40, seed=5) as day:
        for sold in (10, 25):
            await day.sold(sold)
            for service in TABLES:
                assert (await rebuild(shop, service, "--swap"))[1]["swapped"]
    for service in TABLES:
        assert (await rebuild(shop, service))[1]["equal"]


def lose(shop: RunningShop, service: str) -> None:
    """Report has numbers and events of its own, and loses what events made; journal loses its whole file."""
    if service == "report":
        gone = [*TABLES["report"], "inbox", "consumer_position"]
        spoil(shop, "report", *(f"DELETE FROM {name}" for name in gone))
        return
    journal = shop.var_dir / "journal" / "journal.db"
    for path in journal.parent.glob("journal.db*"):
        path.unlink()
    upgrade(journal, journal_tables.METADATA, journal_tables.VERSIONS)


@pytest.mark.parametrize("service", ["report", "journal"])
async def test_what_was_dropped_comes_back_to_the_yen(shop: RunningShop, service: str):
    """E19: while it is stopped, a service loses its tables: rebuilt, they are what they were, and it goes on."""
    await healed(shop)
    before = dump(shop, service)
    shop.supervisor.stop(service)
    lose(shop, service)
    assert dump(shop, service) != before
    status, told = await rebuild(shop, service, "--swap")
    assert (status, told["swapped"]) == (0, True)
    assert told["behind"] == told["applied"] > 0
    assert dump(shop, service) == before
    shop.supervisor.start(service)
    await healed(shop)


async def test_a_service_moves_to_a_server(shop: RunningShop):
    """E19: an empty database on PostgreSQL gets, from the publishers' logs, every row that report's file has."""
    await healed(shop)
    before = dump(shop, "report")
    try:
        server = await asyncio.to_thread(PostgresServer().__enter__)
    except NoPostgres as error:
        pytest.skip(str(error))
    try:
        upgrade_postgres(server.url, report_tables.METADATA, report_tables.VERSIONS)
        status, told = await rebuild(shop, "report", "--database", server.url, "--swap")
        assert (status, told["swapped"]) == (0, True)
        rows = {name: len(found) for name, found in before.items()}
        assert sum(rows.values()) > 20
        assert counts(told, "live", "rebuilt", "missing") == {name: [0, count, count] for name, count in rows.items()}
        status, told = await rebuild(shop, "report", "--database", server.url)
        assert (status, told["equal"]) == (0, True)
        assert counts(told, "live", "equal") == {name: [count, count] for name, count in rows.items()}
    finally:
        await asyncio.to_thread(server.__exit__)
