"""`trunkline events parked` and `replay`: what waits, and what is read again at its publisher."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated, Any

import typer

from trunkline.cli.asking import AsJson, Asking, Credential, ask, of_each, tell_silent, told_by
from trunkline.cli.event_words import bounds, time_of, to_second
from trunkline.cli.output import print_json, print_table

PARKED = ("group", "topic", "key", "number", "settled", "attempts", "park_time", "retry_time", "error")
"""What is told of a parked event."""
REPLAYED = ("topic", "read", "handed_on", "duplicates")
"""What is told of a topic that was replayed."""


def parked(
    group: Annotated[str, typer.Option(help="Only of this group.")] = "",
    topic: Annotated[str, typer.Option(help="Only of this topic.")] = "",
    key: Annotated[str, typer.Option(help="Only of this key.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most events to show.")] = 50,
    as_json: AsJson = False,
    credential: Credential = None,
) -> None:
    """List events that wait in a consumer: for those before them, or for their next attempt."""
    from trunk.event.v1 import consumer_service_pb2 as pb

    async def of(services: Asking, one: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        stub = await services.consumer(one)
        request = pb.ListParkedEventsRequest(topic=topic, key=key, page_size=min(limit + 1, 500))
        while len(rows) <= limit:
            answer = await stub.ListParkedEvents(request)
            rows += [_row(one, event) for event in answer.events]
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        return rows

    rows, silent = ask(credential, lambda services: of_each(services.groups(group, topic), partial(of, services)))
    if as_json:
        for row in rows[:limit]:
            print_json(row)
    else:
        print_table(PARKED, [{name: to_second(str(row[name])) for name in PARKED} for row in rows[:limit]])
    if len(rows) > limit:
        print(f"there are more than {limit}: give --limit, or say which with --group, --topic, --key", file=sys.stderr)
    tell_silent(silent)


def replay(
    group: Annotated[str, typer.Option(help="Service that applies them again, such as report.")],
    from_: Annotated[
        str, typer.Option("--from", help="Committed then or later: 2026-03-01T10:00:00Z, or 2h ago.")
    ] = "",
    to: Annotated[str, typer.Option(help="Committed before.")] = "",
    topic: Annotated[str, typer.Option(help="Only of this topic; by default of all that the group consumes.")] = "",
    key: Annotated[str, typer.Option(help="Only of this key.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell how many would be applied.")] = False,
    as_json: AsJson = False,
    credential: Credential = None,
) -> None:
    """Have a service apply what publishers have kept and it has not applied. What it has applied changes nothing."""
    from trunk.event.v1 import consumer_service_pb2 as pb

    times = bounds(from_, to)

    async def work(services: Asking) -> list[dict[str, Any]]:
        services.groups(group, topic)
        stub, rows = await services.consumer(group), []
        for one in [topic] if topic else services.topics_of(group):
            request = pb.ReplayEventsRequest(topic=one, key=key, dry_run=dry_run)
            for name, time in times.items():
                getattr(request, name).FromDatetime(time)
            row: dict[str, Any] = {"topic": one, **dict.fromkeys(REPLAYED[1:], 0)}
            while True:
                answer = await told_by(group, stub.ReplayEvents(request))
                row |= {name: row[name] + getattr(answer, name) for name in REPLAYED[1:]}
                print(f"{one}: {row['read']} read", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr)
                request.page_token = answer.next_page_token
                if not request.page_token:
                    break
            rows.append(row)
        return rows

    rows = ask(credential, work)
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(REPLAYED, rows)


def _row(group: str, event: Any) -> dict[str, Any]:
    plain = {name: getattr(event, name) for name in ("topic", "key", "number", "tenant_id", "event_id", "settled")}
    times = {name: time_of(event, name) for name in ("park_time", "retry_time")}
    return {"group": group, **plain, "attempts": event.attempts, "error": event.error, **times}
