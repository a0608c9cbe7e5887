"""`trunkline migrate`: brings a service's database to the tables its release needs, before the service starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.running import CommandError


def migrate(
    package: Annotated[str, typer.Argument(help="Package of the service, such as services.item.")],
    database: Annotated[Path, typer.Argument(help="Its database file; made if it is not there.")],
) -> None:
    """Bring a database to the newest migration of its service, which must not run."""
    import importlib
    import sys

    from trunkline.storage.migrate import upgrade

    # As `python -m` does: a service is found in the folder one stands in.
    sys.path.insert(0, str(Path.cwd()))
    try:
        tables = importlib.import_module(f"{package}.storage.tables")
    except ModuleNotFoundError as error:
        raise CommandError(f"{package} is no service with tables: there is no module {error.name}") from None
    versions = Path(str(tables.__file__)).with_name("versions")
    if not versions.is_dir():
        raise CommandError(f"{package} has no migrations: there is no folder {versions}")
    revision = upgrade(database, tables.METADATA, versions)
    print(f"{database} is at migration {revision or 'none'}")
