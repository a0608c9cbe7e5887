"""What the second migration makes of a database of the first."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from trunkline.storage.migrate import upgrade

from services.account.domain.api_key import ApiKey, ApiKeyKind
from services.account.storage import api_keys
from services.account.storage.tables import METADATA, REVOCATION, VERSIONS

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_keys_revoked_before_are_listed_afterwards(tmp_path: Path):
    """The tokens of a key that an earlier release revoked become void when this one starts; other keys' do not."""
    path, first = tmp_path / "account.db", tmp_path / "versions"
    first.mkdir()
    shutil.copy(VERSIONS / "0001_first.py", first)
    upgrade(path, METADATA, first)
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for name, revoke_time in (("k_1", NOW), ("k_2", None)):
            key = ApiKey(
                api_key_id=name,
                kind=ApiKeyKind.ADMIN,
                tenant_id="acme",
                create_time=NOW,
                revoke_time=revoke_time,
            )
            api_keys.add(connection, key, bytes(32))
    upgrade(path, METADATA, VERSIONS)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(REVOCATION)).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [("acme", "k_1", NOW)]
