"""`trunkline migrate`: brings a service's database to the tables its release needs, before the service starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def migrate(
    package: Annotated[str, typer.Argument(help="Package of the service, such as services.item.")],
    database: Annotated[
        str, typer.Argument(help="Its database file, made if it is not there; or postgresql://user@host:port/name.")
    ],
) -> None:
    """Bring a database to the newest migration of its service, which must not run on a file."""
    from trunkline.cli.packages import module_of, versions_of
    from trunkline.redaction import redacted
    from trunkline.storage.migrate import upgrade, upgrade_postgres

    tables = module_of(package, "storage.tables")
    versions = versions_of(package, tables)
    if database.startswith("postgresql://"):
        revision = upgrade_postgres(database, tables.METADATA, versions)
    else:
        revision = upgrade(Path(database), tables.METADATA, versions)
    print(f"{redacted(database)} is at migration {revision or 'none'}")
