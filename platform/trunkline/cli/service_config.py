"""`trunkline service-config`: the gRPC service config of contracts, for callers in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.running import CommandError


def service_config(
    descriptors: Annotated[
        Path | None,
        typer.Argument(help="File made by protoc --descriptor_set_out --include_imports; by default what runs here."),
    ] = None,
    without_timeouts: Annotated[
        bool, typer.Option("--without-timeouts", help="Retries only: for C++, Python, Ruby and PHP.")
    ] = False,
) -> None:
    """Print the gRPC service config of contracts: deadlines and retries for Go, Java, C++."""
    from trunkline.cli.descriptors import find_file, read_files
    from trunkline.service_config import as_json
    from trunkline.service_config import service_config as config_of

    found = find_file(descriptors)
    if found is None:
        raise CommandError("no contracts are here: name a file made by protoc --descriptor_set_out --include_imports")
    print(as_json(config_of(read_files(found.path), timeouts=not without_timeouts)), end="")
