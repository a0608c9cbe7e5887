"""`trunkline doctor`: what is weak in the system that runs here, or in the settings of this shell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.output import print_json

if TYPE_CHECKING:
    from trunkline.cli.findings import Finding

COLUMNS = ("severity", "check", "what", "mend")
"""What is told of each finding."""
WEAK_IN_PRODUCTION = 1
"""Exit status when something severe is found and the profile is production."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    production: Annotated[bool, typer.Option("--production", help="Judge as if the profile were production.")] = False,
) -> None:
    """Look for what is weak: one finding a line, with what to do. Ends with 1 if one is severe, in production."""
    import asyncio

    from trunkline.cli.examination import examine
    from trunkline.cli.findings import findings, unchecked
    from trunkline.settings import PlatformSettings, load
    from trunkline.telemetry.quiet import quieten_logs

    quieten_logs()
    examined = asyncio.run(examine(load(PlatformSettings)[0]))
    found, open_ = findings(examined.facts), unchecked(examined.facts)
    profile = examined.facts.settings.profile
    if as_json:
        print_json(
            {
                "subject": examined.subject,
                "profile": profile,
                "findings": [asdict(one) for one in found],
                "unchecked": open_,
            }
        )
    else:
        print(f"Looked at {examined.subject}.")
        _print_table(found)
        for check, why in open_.items():
            print(f"not checked: {check}, {why}")
        severe = sum(one.severity == "severe" for one in found)
        print(f"{len(found)} findings, {severe} of them severe; the profile is {profile}.")
    if any(one.severity == "severe" for one in found) and (production or profile == "production"):
        raise typer.Exit(WEAK_IN_PRODUCTION)


def _print_table(found: Sequence[Finding]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    from trunkline.cli.output import PIPED_WIDTH

    if not found:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in COLUMNS[:2])
    for one in found:
        table.add_row(one.severity, one.check, one.what, one.mend)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, highlight=False)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))
