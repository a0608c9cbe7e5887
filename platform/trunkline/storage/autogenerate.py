"""For developers: writes the next migration from the difference between a service's tables and its migrations."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext

from trunkline.storage import migrate, sqlite
from trunkline.storage.revision import FLOOR_TABLE, VERSION_TABLE, head
from trunkline.storage.types import Instant

T = TypeVar("T")

_HARMLESS = re.compile(r": column .*(nullable=True|default=(?!None))|: index .*unique=(0|False)")
"""Additions to a table that a release does not notice."""
_PACKAGE = '"""Migrations, oldest first; each is written once and never changed."""\n'
_TEMPLATE = '''"""{message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

{imports}

revision = "{revision}"
down_revision{annotation} = {down_revision}


def upgrade() -> None:
    """Applies it."""
    {body}
'''


def autogenerate(metadata: sa.MetaData, versions_dir: Path, message: str) -> Path | None:
    """Writes the migration that brings a database at the head of versions_dir to metadata; gives its path.

    None if there is nothing to do. What it writes is to be read before it is kept: a renamed column looks like one
    dropped and one added.
    """
    versions_dir.mkdir(parents=True, exist_ok=True)
    package = versions_dir / "__init__.py"
    if not package.exists():
        package.write_text(_PACKAGE, encoding="utf-8")
    imports: set[str] = set()
    body = _at_head(metadata, versions_dir, lambda connection: _draft(connection, metadata, imports))
    if body == "pass":
        return None
    before = head(versions_dir)
    revision = f"{int(before or 0) + 1:04}"
    path = versions_dir / f"{revision}_{re.sub('[^a-z0-9]+', '_', message.lower()).strip('_')}.py"
    text = _TEMPLATE.format(
        message=message[:1].upper() + message[1:],
        imports="\n".join(sorted(imports)),
        revision=revision,
        annotation="" if before else ": str | None",
        down_revision=f'"{before}"' if before else "None",
        body=body,
    )
    path.write_text(text, encoding="utf-8")
    _tidy(path)
    return path


def differences(metadata: sa.MetaData, versions_dir: Path) -> list[str]:
    """In what a database made by the migrations differs from one made from metadata; empty as it should be."""
    migrated = _at_head(metadata, versions_dir, _shape)
    wanted = _in_new_database(lambda connection: _shape_of(connection, metadata))
    lines = [f"only in the migrations: {part}" for part in sorted(migrated - wanted)]
    return lines + [f"only in the tables: {part}" for part in sorted(wanted - migrated)]


def unsuitable(metadata: sa.MetaData, versions_dir: Path) -> list[str]:
    """What migrations change that older releases, which they say they suit, could not work with; empty as it should be.

    Those releases write the columns they know, so there may be new tables, indexes that are not unique, and columns
    that may be null or have a default.
    """
    shapes, found = dict[str, set[str]](), list[str]()
    for path in sorted(versions_dir.glob("[0-9]*.py")):
        shapes[path.name] = _at_head_of(metadata, [versions_dir / name for name in (*shapes, path.name)])
        if "\noldest_release = " in path.read_text(encoding="utf-8"):
            before, after = list(shapes.values())[-2:]
            found += [f"{path.name}: {part}" for part in sorted((before - after) | _needed(after - before))]
    return found


def _at_head_of(metadata: sa.MetaData, scripts: Sequence[Path]) -> set[str]:
    with tempfile.TemporaryDirectory() as directory:
        for path in scripts:
            (Path(directory) / path.name).write_bytes(path.read_bytes())
        return _at_head(metadata, Path(directory), _shape)


def _needed(added: set[str]) -> set[str]:
    """Those of the additions that whoever does not know them runs into."""
    new = {part.removeprefix("table ") for part in added if part.startswith("table ")}
    old = {part for part in added if not part.startswith("table ") and part.partition(":")[0] not in new}
    return {part for part in old if not _HARMLESS.search(part)}


def _draft(connection: sa.Connection, metadata: sa.MetaData, imports: set[str]) -> str:
    options = {"compare_type": True, "render_as_batch": True, "include_name": _is_of_a_service}
    context = MigrationContext.configure(connection, opts=options)
    operations = produce_migrations(context, metadata).upgrade_ops
    assert operations is not None

    def render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
        if kind == "type" and isinstance(item, Instant):
            imports.add(f"from {Instant.__module__} import {Instant.__name__}")
            return f"{Instant.__name__}()"
        return False

    code = render_python_code(operations, render_as_batch=True, migration_context=context, render_item=render)
    return "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("# ###")).strip()


def _is_of_a_service(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name != FLOOR_TABLE


def _shape_of(connection: sa.Connection, metadata: sa.MetaData) -> set[str]:
    metadata.create_all(connection)
    return _shape(connection)


def _shape(connection: sa.Connection) -> set[str]:
    """Everything the database knows about its tables, a line each."""
    inspector = sa.inspect(connection)
    parts: set[str] = set()
    for table in set(inspector.get_table_names()) - {VERSION_TABLE, FLOOR_TABLE}:
        parts.add(f"table {table}")
        parts |= {f"{table}: column {_line(column)}" for column in inspector.get_columns(table)}
        parts.add(f"{table}: primary key {_line(inspector.get_pk_constraint(table))}")
        parts |= {f"{table}: index {_line(index)}" for index in inspector.get_indexes(table)}
        parts |= {f"{table}: unique {_line(unique)}" for unique in inspector.get_unique_constraints(table)}
        parts |= {f"{table}: foreign key {_line(key)}" for key in inspector.get_foreign_keys(table)}
        parts |= {f"{table}: check {_line(check)}" for check in inspector.get_check_constraints(table)}
    return parts


def _line(part: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_text(part[name])}" for name in sorted(part))


def _text(value: Any) -> str:
    return f"{{{_line(value)}}}" if isinstance(value, Mapping) else str(value)


def _at_head(metadata: sa.MetaData, versions_dir: Path, look: Callable[[sa.Connection], T]) -> T:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "migrated.db"
        migrate.upgrade(path, metadata, versions_dir)
        return _look(path, look)


def _in_new_database(look: Callable[[sa.Connection], T]) -> T:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "made.db"
        sqlite.create_file(path)
        return _look(path, look)


def _look(path: Path, look: Callable[[sa.Connection], T]) -> T:
    with sqlite.open_engine(path, busy_timeout_s=migrate.BUSY_TIMEOUT_S).connect() as connection:
        return look(connection)


def _tidy(path: Path) -> None:
    # Ruff is there wherever this runs: it is a tool of developers.
    for step in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *step, str(path)], check=True)  # noqa: S603
