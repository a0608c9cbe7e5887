"""`trunkline events rebuild`: makes again what events made of a service's database, and compares."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.asking import Asking, Credential, ask
from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import CommandError, settings

if TYPE_CHECKING:
    from trunkline.events.rebuilding.comparison import Difference, TableComparison
    from trunkline.events.rebuilding.places import Place
    from trunkline.events.rebuilding.rebuild import Comparison, Rebuild
    from trunkline.events.rebuilding.shadow import Derived

DIFFERENT = 1
"""Exit status where the live tables are not what events make of them."""
COLUMNS = ("table", "live", "rebuilt", "equal", "different", "missing", "extra")


def rebuild(
    service: Annotated[str, typer.Argument(help="Service whose tables are made again, such as report.")],
    package: Annotated[str, typer.Option(help="Its package; by default services.<service>.")] = "",
    database: Annotated[
        str, typer.Option(help="Its file, or postgresql://user@host:port/name; by default that of what runs here.")
    ] = "",
    swap: Annotated[bool, typer.Option("--swap", help="Put what was made in the place of what is there.")] = False,
    credential: Credential = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Apply all events again, in a shadow of a service's database, and compare it with the live one.

    Ends with 0 if they are equal or were swapped, with 1 if they differ. Without --swap nothing live is touched.
    """
    from trunkline.events.rebuilding.places import RebuildRefused

    package = package or f"services.{service}"
    derived = _derived(service, package)
    try:
        with _place(database or str(settings().var_dir / service / f"{service}.db")) as place:
            _require(package, place)
            told = ask(credential, lambda services: _rebuild(services, derived, place, swap=swap))
    except RebuildRefused as error:
        raise CommandError(str(error)) from None
    if as_json:
        print_json(told)
    else:
        _print(told)
    raise typer.Exit(0 if told["equal"] or told["swapped"] else DIFFERENT)


def _derived(service: str, package: str) -> Derived:
    from trunkline.cli.packages import module_of
    from trunkline.events.rebuilding.shadow import Derived

    tables = module_of(package, "storage.tables")
    rebuildable = getattr(tables, "REBUILDABLE", ())
    if not rebuildable:
        raise CommandError(f"{package} declares no tables that events make: {tables.__name__} has no REBUILDABLE")
    handlers = module_of(package, "consumers.handlers").HANDLERS
    return Derived(service, tables.METADATA, tables.PLATFORM, rebuildable, handlers)


@contextmanager
def _place(database: str) -> Iterator[Place]:
    from trunkline.events.rebuilding.places import FilePlace, ServerPlace

    if database.startswith("postgresql://"):
        yield ServerPlace(database)
        return
    live = Path(database)
    if not live.is_file():
        raise CommandError(f"there is no database {live}: name it with --database, or run `trunkline migrate`")
    with _scratch(live) as scratch:
        yield FilePlace(live, scratch)


def _require(package: str, place: Place) -> None:
    from trunkline.cli.packages import module_of, versions_of
    from trunkline.storage.revision import require

    versions = versions_of(package, module_of(package, "storage.tables"))
    with place.snapshot() as connection:
        require(connection, versions, place.name)


async def _rebuild(services: Asking, derived: Derived, place: Place, *, swap: bool) -> dict[str, Any]:
    from trunkline.events.publishing.published import PublishedLog
    from trunkline.events.rebuilding.rebuild import Rebuild
    from trunkline.events.topics import topic_of

    topics = {topic_of(message) for message in derived.handlers}
    log = PublishedLog({one.name: await services.log(one.publisher) for one in topics})
    with closing(Rebuild(derived, place, log, progress=_progress)) as one:
        await one.fill()
        found = await one.compare()
        if swap:
            await one.swap()
        return _told(one, found, derived.group, swapped=swap)


@contextmanager
def _scratch(live: Path) -> Iterator[Path]:
    """A folder for the shadow, beside the live database, so that what is in it stays on the same disk."""
    folder = live.with_name(f"{live.name}.rebuild")
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"{live} is being rebuilt already") from None
        for left in folder.iterdir():
            left.unlink()  # by a rebuild that was killed
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    finally:
        os.close(handle)


def _progress(topic: str, read: int) -> None:
    print(f"{topic}: {read} events", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def _told(one: Rebuild, found: Comparison, service: str, *, swapped: bool) -> dict[str, Any]:
    counts = one.shadow.counts
    return {
        "service": service,
        "applied": counts.applied,
        "missing": counts.missing,
        "failed": counts.failed,
        "failures": counts.failures,
        "behind": found.behind,
        "equal": found.same,
        "swapped": swapped,
        "tables": [_table(table) for table in found.tables],
    }


def _table(table: TableComparison) -> dict[str, Any]:
    figures = {name: getattr(table, name) for name in COLUMNS}
    return figures | {"differences": [_difference(one) for one in table.differences]}


def _difference(one: Difference) -> dict[str, Any]:
    row, live, rebuilt = (_plain(values) for values in (one.row, one.live, one.rebuilt))
    return {"row": row, "live": live, "rebuilt": rebuilt}


def _plain(values: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


def _print(told: dict[str, Any]) -> None:
    print_table(COLUMNS, told["tables"])
    for table in told["tables"]:
        for one in table["differences"]:
            print(f"{table['table']} {_text(one['row'])}: {_side(one['live'])}, and should be {_side(one['rebuilt'])}")
    for failure in told["failures"]:
        print(f"cannot be applied: {failure}")
    if told["missing"]:
        print(f"{told['missing']} events are not in their publishers' logs")
    if told["behind"]:
        print(f"the live database has yet to apply {told['behind']} events")
    verdict = "equal" if told["equal"] else "different"
    print(f"{verdict}; swapped" if told["swapped"] else verdict)


def _side(values: dict[str, Any] | None) -> str:
    return "no row" if values is None else _text(values)


def _text(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
