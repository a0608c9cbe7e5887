"""`trunkline ps`: what runs, where it listens and how it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import running_system, settings

if TYPE_CHECKING:
    from trunkline.launcher.supervisor import ProcessState

COLUMNS = ("name", "address", "health", "pid", "state")
"""What is told of each program."""


def ps(as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False) -> None:
    """List the services of the system that runs here."""
    system = running_system()
    addresses = dict(system.services)
    rows = asyncio.run(_rows(addresses))
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, rows)


async def _rows(addresses: dict[str, str]) -> list[dict[str, object]]:
    states = await asyncio.to_thread(_states)
    health = await asyncio.gather(*(_health(address) for address in addresses.values()))
    told = dict(zip(addresses, health, strict=True))
    return [_row(name, addresses.get(name, ""), told.get(name, ""), states) for name in {**addresses, **states}]


def _row(name: str, address: str, health: str, states: dict[str, ProcessState]) -> dict[str, object]:
    state = states.get(name)
    pid, description = (state.pid, f"{state.state} {state.description}") if state else (0, "")
    return {"name": name, "address": address, "health": health, "pid": pid, "state": description}


def _states() -> dict[str, ProcessState]:
    from trunkline.launcher.supervisor import Supervisor
    from trunkline.launcher.system import LaunchError

    try:
        return {one.name: one for one in Supervisor(settings().var_dir).states()}
    except LaunchError:
        # Health is told all the same.
        return {}


async def _health(address: str) -> str:
    from trunkline.launcher.readiness import is_serving

    return "SERVING" if await is_serving(address) else "NOT_SERVING"
