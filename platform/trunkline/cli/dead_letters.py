"""`trunkline events dead`: events that could not be applied, listed, shown and sent again."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.asking import AsJson, Asking, Credential, ask, of_each, tell_silent, told_by
from trunkline.cli.event_looks import shown
from trunkline.cli.event_words import BY, letter_filter, letter_name, reason_name, time_of, to_second
from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import CommandError

if TYPE_CHECKING:
    from trunk.event.v1 import consumer_service_pb2 as pb
    from trunk.event.v1 import consumer_service_pb2_grpc

app = typer.Typer(help="Dead letters: events that could not be applied.", no_args_is_help=True)
COLUMNS = ("letter", "topic", "key", "number", "reason", "attempts", "last_time", "error")
"""What is told of each."""
PAGE = 500
"""Letters asked for, and sent again, at once."""
HOUR = 13
"""Characters of an instant that name its hour."""
By = Annotated[
    list[str] | None,
    typer.Option(
        help="reason=APPLY_FAILED, key=KEY, or time=FROM/TO (2026-03-01T10:00:00Z, or 90min, 2h, 3d ago);"
        " without a value letters are counted by it."
    ),
]
Topic = Annotated[str, typer.Option(help="Only of this topic.")]
Group = Annotated[str, typer.Option(help="Only of this group.")]
Tenant = Annotated[str, typer.Option(help="Only of this tenant.")]


@app.command("list")
def list_letters(
    by: By = None,
    group: Group = "",
    topic: Topic = "",
    tenant: Tenant = "",
    closed: Annotated[bool, typer.Option("--closed", help="Those that were applied since, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most letters to show.")] = 50,
    as_json: AsJson = False,
    credential: Credential = None,
) -> None:
    """List dead letters, the youngest of each group first."""
    filter_, counted = letter_filter(by or [], topic, tenant)

    async def of(services: Asking, one: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        async for letter in _letters(services, one, filter_, with_closed=closed):
            rows.append(_row(one, letter))
            if len(rows) > limit and not counted:
                break
        return rows

    rows, silent = ask(credential, lambda services: of_each(services.groups(group, topic), partial(of, services)))
    if counted:
        _print_counts(rows, counted, as_json=as_json)
    else:
        _print_rows(rows[:limit], as_json=as_json)
        if len(rows) > limit:
            print(f"there are more than {limit}: give --limit, or say which with --by", file=sys.stderr)
    tell_silent(silent)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="Such as report/3.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    credential: Credential = None,
) -> None:
    """Show a dead letter: why it is one, since when, and the event in it."""
    from google.protobuf.message import DecodeError
    from trunk.event.v1 import consumer_service_pb2 as pb
    from trunk.event.v1.envelope_pb2 import Envelope

    group, number = letter_name(letter)

    async def look(services: Asking) -> dict[str, Any]:
        stub = await services.consumer(services.groups(group)[0])
        found = (await told_by(letter, stub.GetDeadLetter(pb.GetDeadLetterRequest(id=number)))).letter
        event: dict[str, Any] | None = None
        if found.key:
            try:
                event = shown(Envelope.FromString(found.envelope), services.contracts)
            except DecodeError:
                event = None
        return {**_row(group, found), "bytes": found.envelope.hex(), "event": event}

    told = ask(credential, look)
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        if name not in {"bytes", "event"} and value != "":
            print(f"{name:16} {value}")
    event = told["event"]
    print(f"{'event':16} ", end="")
    print_json(event) if event is not None else print(f"no envelope: {told['bytes'] or 'no bytes'}")
    if not told["closed_time"] and told["key"]:
        print(f"Sent again by: trunkline events dead redrive {letter}")


@app.command()
def redrive(
    letters: Annotated[list[str] | None, typer.Argument(help="Such as report/3; or say which by options.")] = None,
    by: By = None,
    group: Group = "",
    topic: Topic = "",
    tenant: Tenant = "",
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell which they are.")] = False,
    as_json: AsJson = False,
    credential: Credential = None,
) -> None:
    """Have dead letters tried again, oldest first. A letter stays until its event has had its effect, once."""
    filter_, counted = letter_filter(by or [], topic, tenant)
    if counted and not dry_run:
        raise CommandError(f"--by {counted} only counts: give --dry-run, or say which, as in --by {counted}=…")
    if letters and (everything or group or by or filter_.ListFields()):
        raise CommandError("name letters, or say which by options; not both")
    if not (letters or everything or dry_run or any((filter_.ListFields(), group))):
        ways = f"by name, by --by {'|'.join(BY)}, --group, --topic or --tenant, or --all"
        raise CommandError(f"say which letters: {ways}")
    named: dict[str, list[int]] = defaultdict(list)
    for one in letters or ():
        name, number = letter_name(one)
        named[name].append(number)

    async def of(services: Asking, one: str) -> list[tuple[list[dict[str, Any]], int]]:
        if counted:
            return [([_row(one, letter) async for letter in _letters(services, one, filter_) if letter.key], 0)]
        stub = await services.consumer(services.groups(one)[0])
        tried, more = await _redriven(stub, named.get(one, []), filter_, dry_run=dry_run)
        return [([_row(one, letter) for letter in tried], more)]

    def asked(services: Asking) -> Sequence[str]:
        return sorted(named) or services.groups(group, topic)

    parts, silent = ask(credential, lambda services: of_each(asked(services), partial(of, services)))
    rows, left = [row for part, _ in parts for row in part], sum(more for _, more in parts)
    if counted:
        _print_counts(rows, counted, as_json=as_json)
    else:
        _print_rows(rows, as_json=as_json)
        print(f"letters that {'would be' if dry_run else 'are'} tried again: {len(rows) + left}", file=sys.stderr)
    tell_silent(silent)
    not_taken = set(letters or ()) - {row["letter"] for row in rows}
    if not_taken:
        why = "closed, or no envelope: see `trunkline events dead show`"
        raise CommandError(f"not tried again: {', '.join(sorted(not_taken))} ({why})")


async def _letters(
    services: Asking, group: str, filter_: pb.DeadLetterFilter, *, with_closed: bool = False
) -> AsyncIterator[pb.DeadLetter]:
    from trunk.event.v1 import consumer_service_pb2 as pb

    stub = await services.consumer(group)
    request = pb.ListDeadLettersRequest(filter=filter_, with_closed=with_closed, page_size=PAGE)
    while True:
        answer = await stub.ListDeadLetters(request)
        for letter in answer.letters:
            yield letter
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


async def _redriven(
    stub: consumer_service_pb2_grpc.ConsumerServiceAsyncStub,
    ids: Sequence[int],
    filter_: pb.DeadLetterFilter,
    *,
    dry_run: bool,
) -> tuple[list[pb.DeadLetter], int]:
    """Letters that are tried again, or would be; and how many more would be, which a dry run does not show."""
    from trunk.event.v1 import consumer_service_pb2 as pb

    letters: list[pb.DeadLetter] = []
    for start in range(0, len(ids) or 1, PAGE):
        request = pb.RedriveDeadLettersRequest(ids=ids[start : start + PAGE], filter=filter_, dry_run=dry_run)
        while True:
            answer = await stub.RedriveDeadLetters(request)
            letters += answer.letters
            if dry_run:
                return letters, answer.remaining
            if not answer.remaining or not answer.letters:
                break
    return letters, 0


def _row(group: str, letter: pb.DeadLetter) -> dict[str, Any]:
    return {
        "letter": f"{group}/{letter.id}",
        "topic": letter.topic,
        "key": letter.key,
        "number": letter.number,
        "type": letter.type,
        "tenant_id": letter.tenant_id,
        "event_id": letter.event_id,
        "reason": reason_name(letter.reason),
        "error": letter.error,
        "attempts": letter.attempts,
        "first_time": time_of(letter, "first_time"),
        "last_time": time_of(letter, "last_time"),
        "closed_time": time_of(letter, "closed_time"),
        "consumer_version": letter.consumer_version,
        "traceparent": letter.traceparent,
        "entry": letter.entry,
    }


def _print_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(COLUMNS, [{**row, "last_time": to_second(row["last_time"])} for row in rows])


def _print_counts(rows: Sequence[dict[str, Any]], by: str, *, as_json: bool) -> None:
    """Prints how many letters there are of each group, by reason, key or hour."""
    field = {"time": "last_time"}.get(by, by)
    cut = HOUR if by == "time" else None
    counts = Counter((row["letter"].rpartition("/")[0], row[field][:cut]) for row in rows)
    found = [{"group": group, by: value, "letters": count} for (group, value), count in sorted(counts.items())]
    if as_json:
        for one in found:
            print_json(one)
    else:
        print_table(("group", by, "letters"), found)
