"""The migrations of the services."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from trunkline.storage.autogenerate import differences, unsuitable

SERVICES = sorted(path.parts[-3] for path in (Path(__file__).parents[2] / "services").glob("*/storage/tables.py"))


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_make_the_tables(service):
    """A database made by a service's migrations is the one its tables describe."""
    tables = import_module(f"services.{service}.storage.tables")
    assert differences(tables.METADATA, tables.VERSIONS) == []


@pytest.mark.parametrize("service", SERVICES)
def test_older_releases_can_go_on_where_a_migration_says_so(service):
    """Migrations with `oldest_release` add what a release that does not know it never runs into."""
    tables = import_module(f"services.{service}.storage.tables")
    assert unsuitable(tables.METADATA, tables.VERSIONS) == []
