"""Brings the databases of all services to the tables of this release: a step of its own, before anything serves."""

from __future__ import annotations

import importlib
from pathlib import Path

from trunkline.launcher.system import LaunchError
from trunkline.storage import DatabaseRefused
from trunkline.storage.migrate import upgrade

from deploy.local.system import SERVICES


def migrate_all(var_dir: Path) -> dict[str, str]:
    """Migrates all databases; gives service → migration it is at.

    Raises:
        LaunchError: a database is in use, or newer than this release.
    """
    return {name: _migrate(name, var_dir) for name in SERVICES}


def _migrate(name: str, var_dir: Path) -> str:
    tables = importlib.import_module(f"services.{name}.storage.tables")
    try:
        return upgrade(var_dir / name / f"{name}.db", tables.METADATA, tables.VERSIONS)
    except DatabaseRefused as error:
        raise LaunchError(str(error)) from error
