"""`trunkline ps`: who serves what, where, since when, and how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import CommandError, running_system, settings

if TYPE_CHECKING:
    from trunkline.launcher.supervisor import ProcessState
    from trunkline.registry.instance import Instance
    from trunkline.settings import PlatformSettings

COLUMNS = ("name", "address", "health", "since", "pid", "host", "state")
"""What is told of each server and program."""

Row = dict[str, object]
"""One of them."""


def ps(as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False) -> None:
    """List who serves what, since when and how healthy: what runs here, and what is in the registry."""
    told = settings()
    try:
        system = running_system()
        addresses, registry_url, local = dict(system.services), system.redis_url, True
    except CommandError:
        if not told.registry_url:
            raise
        addresses, registry_url, local = {}, "", False
    rows = asyncio.run(_rows(told, addresses, told.registry_url or registry_url, local=local))
    if as_json:
        print_json(rows)
    else:
        print_table(COLUMNS, [row | {"since": _ago(str(row["since"]), datetime.now(UTC))} for row in rows])


async def _rows(told: PlatformSettings, addresses: Mapping[str, str], registry_url: str, *, local: bool) -> list[Row]:
    states = await asyncio.to_thread(_states) if local else {}
    instances = await _instances(registry_url)
    places = list(
        {**dict.fromkeys(addresses.items()), **dict.fromkeys((one.service, one.address) for one in instances)}
    )
    health = dict(zip(places, await asyncio.gather(*(_health(*place, told) for place in places)), strict=True))
    return rows_of(health, {(name, addresses.get(name, "")): one for name, one in states.items()}, instances)


def rows_of(
    health: Mapping[tuple[str, str], str],
    states: Mapping[tuple[str, str], ProcessState],
    instances: Sequence[Instance],
) -> list[Row]:
    """What is told, a row for each server and for each program that is none.

    Args:
        health: of each (service, address).
        states: of the programs that supervisord runs here, each by its name and where it serves, if it does.
        instances: who is registered.
    """
    registered = {(one.service, one.address): one for one in instances}
    rows: list[Row] = []
    for (name, address), how in health.items():
        instance, program = registered.get((name, address)), states.get((name, address))
        row: Row = {"name": name, "address": address, "health": how, "since": "", "pid": 0, "host": "", "state": ""}
        if program is not None:
            row |= {"pid": program.pid, "state": program.state}
        if instance is not None:
            since = datetime.fromtimestamp(instance.start_time, UTC).isoformat(timespec="seconds")
            row |= {"since": since, "pid": instance.pid, "host": instance.host}
            if program is None or instance.state != "serving":
                row["state"] = instance.state
        rows.append(row)
    for (name, address), program in states.items():
        if (name, address) not in health:
            row = {"name": name, "address": "", "health": "", "since": "", "pid": program.pid, "host": ""}
            rows.append(row | {"state": f"{program.state} {program.description}"})
    return rows


def _ago(since: str, now: datetime) -> str:
    """How long ago, for people."""
    if not since:
        return ""
    seconds = int((now - datetime.fromisoformat(since)).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def _states() -> dict[str, ProcessState]:
    from trunkline.launcher.supervisor import Supervisor
    from trunkline.launcher.system import LaunchError

    try:
        return {one.name: one for one in Supervisor(settings().var_dir).states()}
    except LaunchError:
        # Health is told all the same.
        return {}


async def _instances(registry_url: str) -> list[Instance]:
    from trunkline.registry.redis import RedisRegistry
    from trunkline.registry.registry import RegistryUnavailable

    if not registry_url:
        return []
    registry = RedisRegistry(registry_url)
    try:
        found = await registry.read(await registry.services())
    except RegistryUnavailable as error:
        typer.echo(f"trunkline: the registry does not answer ({error}); this is what runs here", err=True)
        return []
    finally:
        await registry.close()
    return [one for instances in found.values() for one in instances]


async def _health(name: str, address: str, told: PlatformSettings) -> str:
    from trunkline.launcher.readiness import is_serving

    return "SERVING" if await is_serving(address, name, told.tls_files()) else "NOT_SERVING"
