"""`trunkline explain`: what happens to a call, value by value, and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.live import live
from trunkline.cli.output import PIPED_WIDTH, print_json
from trunkline.cli.running import CommandError, settings

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, MethodDescriptor

    from trunkline.explanation import Explained, Value
    from trunkline.settings import PlatformSettings

COLUMNS = ("what", "value", "from")
"""What is told of each value."""


def explain(
    method: Annotated[str, typer.Argument(help="Full name, such as pos.cart.v1.CartService/FinalizeCart.")],
    target: Annotated[str, typer.Option(help="Service that is called; by default what its package says.")] = "",
    descriptors: Annotated[Path | None, typer.Option(help="File with contracts; by default what runs here.")] = None,
    as_live: Annotated[bool, typer.Option("--live", help="Ask the services that run here, too.")] = False,
    credential: Annotated[Path | None, typer.Option(help="With --live: file with the credential to ask with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Tell what happens to a call and why: every value that holds for it, and where it comes from."""
    from trunkline.explanation import Explained, explained
    from trunkline.method import read_method
    from trunkline.overrides import home_of

    platform = settings()
    path = method.removeprefix("/")
    contracts, rpcs = _contracts(descriptors, path)
    if path not in rpcs:
        raise CommandError(_unknown(path, rpcs))
    contract = read_method(rpcs[path])
    called = target or home_of(contract.service)
    if not called:
        raise CommandError(f"{contract.service} has no package to tell its target by: give --target")
    rows = [
        Explained("target", called, "--target" if target else f"package of {contract.service}"),
        _address(called, platform),
        contracts,
        *explained(contract, platform.calls, platform, target=called),
        Explained("validation", _constrained(rpcs[path].input_type), "contract"),
        *(live(path, called, credential, platform) if as_live else []),
    ]
    unknown = platform.calls.unknown(rpcs, _targets(rpcs, called, platform))
    if as_json:
        values = [asdict(row) for row in rows]
        print_json({"method": path, "target": called, "unknown_keys": unknown, "values": values})
    else:
        _print_table([*rows, *([Explained("unknown keys", unknown, "setting TRUNKLINE_CALLS")] if unknown else [])])


def _contracts(given: Path | None, path: str) -> tuple[Explained, dict[str, MethodDescriptor]]:
    """The rpcs of all contracts that are found, and which contracts these are."""
    from trunkline.cli.descriptors import find_file, installed, read_files
    from trunkline.explanation import Explained
    from trunkline.service_config import rpcs

    found = find_file(given)
    if found is not None:
        return Explained("contracts", str(found.path), found.source), rpcs(read_files(found.path))
    package = path.partition("/")[0].rpartition(".")[0]
    packages = ["trunk"] if package.startswith("trunk.") else ["trunk", package]
    return Explained("contracts", packages, "installed packages"), rpcs(installed(packages))


def _unknown(path: str, rpcs: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = list(rpcs)
    asked = path.replace(".", "/").rpartition("/")[2]
    near = get_close_matches(path, names, 3) or [one for one in names if one.rpartition("/")[2] == asked][:3]
    return f"no contract has {path or 'that'}" + (f"; there is {', '.join(near)}" if near else "")


def _targets(rpcs: Iterable[str], called: str, platform: PlatformSettings) -> set[str]:
    from trunkline.overrides import home_of
    from trunkline.registry.system import read_system

    system = read_system(platform.var_dir)
    return {called, *(home_of(path.partition("/")[0]) for path in rpcs), *(system.services if system else ())}


def _address(target: str, platform: PlatformSettings) -> Explained:
    """Where a target is, found as connect() finds it in the development profile."""
    from trunkline.explanation import Explained
    from trunkline.registry.system import running_target, system_file
    from trunkline.registry.targets import UnknownTarget, target_of
    from trunkline.settings import environment

    prefix = f"{target.upper().replace('-', '_')}_SERVICE_"
    try:
        found = target_of(target, environment())
    except UnknownTarget as error:
        running = running_target(target, platform.var_dir)
        if running is None:
            return Explained("address", "nowhere", str(error))
        return Explained("address", running, f"running system, {system_file(platform.var_dir)}")
    given = environment().get(f"{prefix}TARGET")
    return Explained("address", found, f"setting {prefix}TARGET" if given else f"setting {prefix}HOST, {prefix}PORT")


def _constrained(request: Descriptor) -> list[str]:
    """Paths of the request's fields that its contract constrains; `(message)` for a rule over several."""
    return list(dict.fromkeys(_rules(request, "", frozenset())))


def _rules(message: Descriptor, prefix: str, above: frozenset[str]) -> Iterator[str]:
    from buf.validate import validate_pb2

    if message.full_name in above:
        return
    if message.GetOptions().HasExtension(validate_pb2.message):
        yield f"{prefix}(message)"
    for field in message.fields:
        if field.GetOptions().HasExtension(validate_pb2.field):
            yield f"{prefix}{field.name}"
        if field.message_type is not None:
            yield from _rules(field.message_type, f"{prefix}{field.name}.", above | {message.full_name})


def _print_table(rows: Iterable[Explained]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_plain(row.name), _text(row.name, row.value), row.source))
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, highlight=False)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _plain(name: str) -> str:
    return name.removesuffix("_per_s").removesuffix("_s").replace("_", " ")


def _text(name: str, value: Value) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(value) or "none"
        case int() | float() if name.endswith("_per_s"):
            return f"{value:g} a second"
        case int() | float() if name.endswith("_s"):
            return f"{value:g} s" if value else "off"
        case _:
            return str(value)
