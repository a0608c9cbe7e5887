"""`trunkline migrate`: brings a service's database to the tables its release needs, before the service starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def migrate(
    package: Annotated[str, typer.Argument(help="Package of the service, such as services.item.")],
    database: Annotated[Path, typer.Argument(help="Its database file; made if it is not there.")],
) -> None:
    """Bring a database to the newest migration of its service, which must not run."""
    from trunkline.cli.packages import module_of, versions_of
    from trunkline.storage.migrate import upgrade

    tables = module_of(package, "storage.tables")
    revision = upgrade(database, tables.METADATA, versions_of(package, tables))
    print(f"{database} is at migration {revision or 'none'}")
