"""`trunkline events`: which topics there are, and events as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import CommandError, running_system

if TYPE_CHECKING:
    from trunk.event.v1.envelope_pb2 import Envelope

    from trunkline.cli.contracts import Contracts

app = typer.Typer(help="Topics, and events as they happen.", no_args_is_help=True)
_JSON = typer.Option("--json", help="JSON instead of text.")


@app.command()
def topics(as_json: Annotated[bool, _JSON] = False) -> None:
    """List the topics: who publishes each, who consumes it, and what it carries."""
    found = [
        {"topic": one.name, "publisher": one.publisher, "groups": list(one.groups), "message": one.message}
        for one in _contracts().topics()
    ]
    if as_json:
        print_json(found)
    else:
        rows = [{**one, "groups": ", ".join(one["groups"])} for one in found]
        print_table(("topic", "publisher", "groups", "message"), rows)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="Topic to watch, such as tranlog.")],
    as_json: Annotated[bool, _JSON] = False,
    tenant: Annotated[str, typer.Option(help="Only events of this tenant; by default those of all.")] = "",
) -> None:
    """Show events of a topic as they happen, until Ctrl-C."""
    import asyncio

    contracts = _contracts()
    known = sorted({one.name for one in contracts.topics()})
    if topic not in known:
        raise CommandError(f"there is no topic {topic}; there are {', '.join(known)}")
    asyncio.run(_tail(running_system().redis_url, topic, tenant, contracts, as_json=as_json))


async def _tail(redis_url: str, topic: str, tenant: str, contracts: Contracts, *, as_json: bool) -> None:
    from trunkline.events.tail import tail as events_of
    from trunkline.telemetry.quiet import quieten_logs

    quieten_logs()
    async for envelope in events_of(redis_url, topic):
        if not tenant or envelope.tenant_id == tenant:
            event = readable(envelope, contracts)
            if as_json:
                print_json(event)
            else:
                print(line(event), flush=True)


def readable(envelope: Envelope, contracts: Contracts) -> dict[str, Any]:
    """An event as JSON, its payload decoded."""
    from google.protobuf import json_format

    found = json_format.MessageToDict(envelope, preserving_proto_field_name=True)
    return {**found, "payload": contracts.decode(envelope.type, envelope.payload)}


def line(event: dict[str, Any]) -> str:
    """An event in one line: when, where in its order, and what stands directly in its payload."""
    plain = {name: value for name, value in event["payload"].items() if not isinstance(value, dict | list)}
    fields = " ".join(f"{name}={value}" for name, value in plain.items())
    return f"{event.get('time', '')} {event['topic']} {event['key']}#{event['number']} {fields}"


def _contracts() -> Contracts:
    from pathlib import Path

    from trunkline.cli.contracts import Contracts

    found = running_system().descriptors
    if not found:
        raise CommandError("the system that runs here does not say where its contracts are")
    return Contracts(Path(found))
