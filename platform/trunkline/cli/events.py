"""`trunkline events`: events as they happen, and everything else that is asked and done about them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli import dead_letters, event_looks, event_work
from trunkline.cli.asking import contracts_here
from trunkline.cli.event_looks import shown
from trunkline.cli.output import print_json
from trunkline.cli.running import CommandError, running_system

if TYPE_CHECKING:
    from trunk.event.v1.envelope_pb2 import Envelope

    from trunkline.cli.contracts import Contracts

app = typer.Typer(help="Events: how far they are, what became of them, and what to do about it.", no_args_is_help=True)
_JSON = typer.Option("--json", help="JSON instead of text.")


app.command()(event_looks.topics)
app.command()(event_looks.lag)
app.command()(event_looks.show)
app.command()(event_work.parked)
app.command()(event_work.replay)
app.add_typer(dead_letters.app, name="dead")


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="Topic to watch, such as tranlog.")],
    as_json: Annotated[bool, _JSON] = False,
    tenant: Annotated[str, typer.Option(help="Only events of this tenant; by default those of all.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Only of this type, such as pos.event.v1.CashLog.")] = "",
) -> None:
    """Show events of a topic as they happen, until Ctrl-C."""
    import asyncio

    contracts = contracts_here()
    known = sorted({one.name for one in contracts.topics()})
    if topic not in known:
        raise CommandError(f"there is no topic {topic}; there are {', '.join(known)}")
    doubt = doubt_of(topic, type_, contracts)
    if doubt:
        print(f"trunkline: {doubt}", file=sys.stderr)
    asyncio.run(_tail(running_system().redis_url, topic, tenant, type_, contracts, as_json=as_json))


async def _tail(redis_url: str, topic: str, tenant: str, type_: str, contracts: Contracts, *, as_json: bool) -> None:
    from trunkline.events.streams.tail import tail as events_of
    from trunkline.telemetry.quiet import quieten_logs

    quieten_logs()
    watch = Watch(topic)
    async for envelope in events_of(redis_url, topic, listening=watch.listening, away=watch.away):
        if tenant in ("", envelope.tenant_id) and is_of(envelope.type, type_):
            event = shown(envelope, contracts)
            if as_json:
                print_json(event)
            else:
                print(line(event), flush=True)


class Watch:
    """Says, beside the events, when they cannot come, and when they can again. Once each, not with every try."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._is_away = False

    def away(self, error: Exception) -> None:
        """Redis does not answer."""
        if not self._is_away:
            print(f"trunkline: Redis does not answer, and is tried until it does: {error}", file=sys.stderr)
        self._is_away = True

    def listening(self) -> None:
        """It does."""
        if self._is_away:
            print(f"trunkline: {self._topic} is watched again; what was published before is missed", file=sys.stderr)
        self._is_away = False


def is_of(name: str, type_: str) -> bool:
    """Whether a type is the one that is meant; its package may be left out."""
    return not type_ or f".{name}".endswith(f".{type_}")


def doubt_of(topic: str, type_: str, contracts: Contracts) -> str:
    """That a topic carries no such type by the contracts here; a later release may publish it all the same."""
    carried = [one.message for one in contracts.topics() if one.name == topic]
    known = any(is_of(name, type_) for name in carried)
    return "" if known else f"by its contract {topic} carries {', '.join(carried)}, no {type_}"


def readable(envelope: Envelope, contracts: Contracts) -> dict[str, Any]:
    """An event as JSON, its payload decoded."""
    from google.protobuf import json_format

    found = json_format.MessageToDict(envelope, preserving_proto_field_name=True)
    return {**found, "payload": contracts.decode(envelope.type, envelope.payload)}


def line(event: dict[str, Any]) -> str:
    """An event in one line: when, where in its order, and what stands directly in its payload."""
    payload = event["payload"] if event["payload"] is not None else {"undecoded": event["undecoded"]}
    plain = {name: value for name, value in payload.items() if not isinstance(value, dict | list)}
    fields = " ".join(f"{name}={value}" for name, value in plain.items())
    return f"{event.get('time', '')} {event['topic']} {event['key']}#{event['number']} {fields}"
