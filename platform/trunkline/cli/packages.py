"""Code of services, for commands that need what it says: found as `python -m` finds it, in the folder one stands in."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from trunkline.cli.running import CommandError


def module_of(package: str, name: str) -> ModuleType:
    """A module of a service's package, such as `storage.tables` of `services.item`.

    Raises:
        CommandError: there is none.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        what = name.rpartition(".")[2]
        raise CommandError(f"{package} is no service with {what}: there is no module {error.name}") from None


def versions_of(package: str, tables: ModuleType) -> Path:
    """The folder of a service's migrations.

    Raises:
        CommandError: there is none.
    """
    versions = Path(str(tables.__file__)).with_name("versions")
    if not versions.is_dir():
        raise CommandError(f"{package} has no migrations: there is no folder {versions}")
    return versions
