"""`trunkline events topics`, `lag` and `show`: how far events have come, and what became of one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.asking import (
    INCOMPLETE,
    AsJson,
    Asking,
    Credential,
    answer_of,
    ask,
    contracts_here,
    silence,
    tell_silent,
)
from trunkline.cli.event_words import event_place, reason_name, time_of, to_second
from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import CommandError

if TYPE_CHECKING:
    from trunk.event.v1 import consumer_service_pb2 as pb
    from trunk.event.v1 import event_log_service_pb2 as log_pb
    from trunk.event.v1.envelope_pb2 import Envelope

    from trunkline.cli.contracts import Contracts

TOPIC_FIGURES = ("shards", "published", "unsent", "unconfirmed", "oldest_pending_time", "relay")
"""What a publisher tells of a topic."""
LAG = ("topic", "group", "published", "settled", "lag", "parked", "holes", "dead", "oldest_parked_time", "note")
"""What is told of a group."""
DELIVERY_MORE = ("attempts", "reason", "error", "dead_letter")
"""What is told of a delivery beside its state, where it is known."""
WATCH_S = 2.0
"""Seconds between two looks."""


def topics(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
    credential: Credential = None,
) -> None:
    """List the topics: who publishes each, who consumes it, what it carries, and how far its publisher has sent it."""
    contracts = list(contracts_here().topics())
    try:
        states, silent = ask(credential, _topic_states)
    except CommandError as error:
        # The contracts say the rest.
        print(f"trunkline: publishers are not asked: {error}", file=sys.stderr)
        states, silent = {}, {}
    rows = []
    for one in contracts:
        row = {"topic": one.name, "publisher": one.publisher, "groups": list(one.groups), "message": one.message}
        rows.append({**row, **states.get(one.name, dict.fromkeys(TOPIC_FIGURES))})
    if as_json:
        print_json(rows)
    else:
        columns = ("topic", "publisher", "groups", "message", *TOPIC_FIGURES)
        print_table(columns, [_plain({**row, "groups": ", ".join(row["groups"])}) for row in rows])
    tell_silent(silent)
    if not states:
        raise typer.Exit(INCOMPLETE)


def lag(
    topic: Annotated[str, typer.Option(help="Only of this topic.")] = "",
    group: Annotated[str, typer.Option(help="Only of this group.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
    credential: Credential = None,
) -> None:
    """Tell how far each group is behind each topic, by the events' own numbers."""

    async def look(services: Asking) -> bool:
        groups = services.groups(group, topic)
        while True:
            rows = [row for row in await _lags(services) if row["group"] in groups and topic in ("", row["topic"])]
            if as_json:
                for row in rows:
                    print_json(row)
            else:
                print_table(LAG, [_plain(row) for row in rows])
            if not watch:
                return all(not row["note"] for row in rows)
            await asyncio.sleep(WATCH_S)
            if not as_json:
                print(f"\n{time.strftime('%H:%M:%S')}")

    if not ask(credential, look):
        raise typer.Exit(INCOMPLETE)


def show(
    event: Annotated[str, typer.Argument(metavar="ID", help="Its id; or KEY#NUMBER, as tail shows it.")],
    topic: Annotated[str, typer.Option(help="With KEY#NUMBER: its topic, where several have that key.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    credential: Credential = None,
) -> None:
    """Show an event, how far its publisher has sent it, and what became of it in each group."""
    from trunk.event.v1.envelope_pb2 import Envelope

    async def look(services: Asking) -> dict[str, Any]:
        logged = await _find(services, event, topic)
        envelope = Envelope.FromString(logged.envelope)
        groups = await asyncio.gather(*(_delivery(services, one, envelope) for one in _groups(services, envelope)))
        return {
            "event": shown(envelope, services.contracts),
            "publisher": {
                "service": envelope.source,
                "state": _state_name(logged),
                "shard": logged.shard if logged.stream_id else None,
                "entry": logged.stream_id,
            },
            "groups": groups,
        }

    found = ask(credential, look)
    if as_json:
        print_json(found)
    else:
        _print_event(found)
    if any(one["state"] is None for one in found["groups"]):
        raise typer.Exit(INCOMPLETE)


def shown(envelope: Envelope, contracts: Contracts) -> dict[str, Any]:
    """An event as JSON; a payload that cannot be decoded is null, and `undecoded` says why."""
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    found = json_format.MessageToDict(envelope, preserving_proto_field_name=True)
    try:
        return {**found, "payload": contracts.decode(envelope.type, envelope.payload)}
    except (CommandError, DecodeError) as error:
        return {**found, "payload": None, "undecoded": str(error)}


async def _topic_states(services: Asking) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Of each topic what its publisher tells; and of the publishers that do not, why."""
    publishers = sorted({one.publisher for one in services.contracts.topics()})
    found: dict[str, dict[str, Any]] = {}
    answers = await asyncio.gather(*(answer_of(_log_state(services, one)) for one in publishers))
    silent = {name: answer for name, answer in zip(publishers, answers, strict=True) if isinstance(answer, str)}
    for answer in answers:
        for state in answer.topics if not isinstance(answer, str) else ():
            row = {name: getattr(state, name) for name in TOPIC_FIGURES if name != "oldest_pending_time"}
            found[state.topic] = {**row, "oldest_pending_time": time_of(state, "oldest_pending_time")}
    return found, silent


async def _log_state(services: Asking, publisher: str) -> log_pb.GetEventLogStateResponse:
    from trunk.event.v1 import event_log_service_pb2 as log_pb

    return await (await services.log(publisher)).GetEventLogState(log_pb.GetEventLogStateRequest())


async def _consumer_state(services: Asking, group: str) -> pb.GetConsumerStateResponse:
    from trunk.event.v1 import consumer_service_pb2 as pb

    return await (await services.consumer(group)).GetConsumerState(pb.GetConsumerStateRequest())


async def _lags(services: Asking) -> list[dict[str, Any]]:
    groups = services.groups()
    # Consumers first: what is published between the two looks counts as lag, and never less than nothing is behind.
    told = await asyncio.gather(*(answer_of(_consumer_state(services, one)) for one in groups))
    published, silent = await _topic_states(services)
    rows: list[dict[str, Any]] = []
    for group, answer in zip(groups, told, strict=True):
        states = {} if isinstance(answer, str) else {state.topic: state for state in answer.topics}
        for topic in services.topics_of(group):
            count = published.get(topic, {}).get("published")
            publisher = services.publisher_of(topic)
            why = silence(publisher, silent.get(publisher, "it knows no such topic"))
            note = answer if isinstance(answer, str) else "" if count is not None else why
            rows.append({"topic": topic, "group": group, **_lag(states.get(topic), count), "note": note})
    return sorted(rows, key=lambda row: (row["topic"], row["group"]))


def _lag(state: pb.ConsumerTopicState | None, published: int | None) -> dict[str, Any]:
    if state is None:
        return {**dict.fromkeys(LAG[2:-1]), "published": published}
    behind = max(0, published - state.settled) if published is not None else None
    return {
        "published": published,
        "settled": state.settled,
        "lag": behind,
        "parked": state.parked,
        "holes": state.open_holes,
        "dead": state.open_dead_letters,
        "oldest_parked_time": time_of(state, "oldest_parked_time"),
        "last_apply_time": time_of(state, "last_apply_time"),
        "owners": list(state.owners),
    }


async def _find(services: Asking, event: str, topic: str) -> log_pb.LoggedEvent:
    key, number = event_place(event)
    places = {one.name: one.publisher for one in services.contracts.topics()}
    if topic:
        places = {topic: services.publisher_of(topic)}
    if number:
        calls = [_at_place(services, publisher, name, key, number) for name, publisher in places.items()]
    else:
        calls = [_by_id(services, publisher, event) for publisher in sorted(set(places.values()))]
    answers = await asyncio.gather(*map(answer_of, calls))
    found = [answer for answer in answers if answer is not None and not isinstance(answer, str)]
    if len(found) > 1:
        names = ", ".join(name for name, answer in zip(places, answers, strict=True) if answer in found)
        raise CommandError(f"{event} is an event of {names}: say of which with --topic")
    if found:
        return found[0]
    silent = sorted({one for one in answers if isinstance(one, str) and not one.startswith("NOT_FOUND")})
    raise CommandError(f"no log of a publisher holds the event {event}" + "".join(f"; {one}" for one in silent))


async def _by_id(services: Asking, publisher: str, event_id: str) -> log_pb.LoggedEvent | None:
    from trunk.event.v1 import event_log_service_pb2 as log_pb

    return (await (await services.log(publisher)).GetEvent(log_pb.GetEventRequest(event_id=event_id))).event


async def _at_place(services: Asking, publisher: str, topic: str, key: str, number: int) -> log_pb.LoggedEvent | None:
    from trunk.event.v1 import event_log_service_pb2 as log_pb

    request = log_pb.ListEventsRequest(topic=topic, key=key, from_number=number, to_number=number)
    found = (await (await services.log(publisher)).ListEvents(request)).events
    return found[0] if found else None


def _groups(services: Asking, envelope: Envelope) -> list[str]:
    topics = (one for one in services.contracts.topics() if one.name == envelope.topic)
    return sorted({group for one in topics for group in one.groups})


async def _delivery(services: Asking, group: str, envelope: Envelope) -> dict[str, Any]:
    from trunk.event.v1 import consumer_service_pb2 as pb

    async def told() -> pb.GetDeliveryStateResponse:
        request = pb.GetDeliveryStateRequest(topic=envelope.topic, key=envelope.key, number=envelope.number)
        return await (await services.consumer(group)).GetDeliveryState(request)

    answer = await answer_of(told())
    if isinstance(answer, str):
        return {"group": group, "state": None, "note": answer}
    return {
        "group": group,
        "state": pb.DeliveryState.Name(answer.state).removeprefix("DELIVERY_STATE_"),
        "attempts": answer.attempts,
        "reason": reason_name(answer.reason),
        "error": answer.error,
        "retry_time": time_of(answer, "retry_time"),
        "dead_letter": f"{group}/{answer.dead_letter_id}" if answer.dead_letter_id else "",
    }


def _state_name(logged: log_pb.LoggedEvent) -> str:
    from trunk.event.v1 import event_log_service_pb2 as log_pb

    return log_pb.LoggedEvent.State.Name(logged.state).removeprefix("STATE_")


def _print_event(found: Mapping[str, Any]) -> None:
    event, publisher = found["event"], found["publisher"]
    for name in ("id", "topic", "key", "number", "type", "subject", "time", "tenant_id", "request_id", "traceparent"):
        print(f"{name:12} {event.get(name, '')}")
    print(f"{'payload':12} ", end="")
    print_json(event["payload"]) if event["payload"] is not None else print(event["undecoded"])
    entry = f", entry {publisher['shard']}:{publisher['entry']}" if publisher["entry"] else ""
    print(f"{'publisher':12} {publisher['service']}: {publisher['state']}{entry}")
    for one in found["groups"]:
        more = [f"{name} {one[name]}" for name in DELIVERY_MORE if one.get(name)]
        print(
            f"{one['group']:12} " + (", ".join([one["state"], *more]) if one["state"] else f"not known: {one['note']}")
        )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for people."""
    told = {name: to_second(value) if name.endswith("_time") and value else value for name, value in row.items()}
    return {name: "-" if value is None else value for name, value in told.items()}
