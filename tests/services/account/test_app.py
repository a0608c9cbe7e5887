"""The account service as a whole."""

from __future__ import annotations

import stat

import pytest
from pos.account.v1 import account_service_pb2 as pb
from trunkline.node import Node
from trunkline.settings import PlatformSettings
from trunkline.storage import DatabaseRefused
from trunkline.storage.autogenerate import differences
from trunkline.storage.migrate import upgrade

from services.account.app import build
from services.account.settings import AccountSettings
from services.account.storage.tables import METADATA, VERSIONS
from tests.services.account.account_system import running


async def test_restart_finds_tenants_keys_and_credentials(tmp_path):
    """After a restart old tokens, old credentials and the root credential are good."""
    async with running(tmp_path) as system:
        credential = await system.tenant("acme")
        token, root = await system.exchange(credential), system.root_credential
    async with running(tmp_path) as system:
        assert system.root_credential == root
        for bearer in (token, await system.exchange(credential)):
            found = await (await system.account(bearer)).GetTenant(pb.GetTenantRequest())
            assert found.tenant.tenant_id == "acme"


async def test_private_files_are_closed_to_others(tmp_path):
    """Signing keys, root credential and answers' secret have mode 0600 from the first start."""
    async with running(tmp_path) as system:
        await system.tenant("acme")
        files = [*system.directory.glob("signing-keys/*"), *system.directory.glob("*.credential")]
        files += [*system.directory.glob("*.secret"), *system.directory.glob("*.db")]
        assert len(files) == 4
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_service_that_cannot_start_lets_go_of_its_database(tmp_path):
    """A refused key file ends the start; put right, the next start succeeds in the same process."""
    settings = PlatformSettings(profile="test", var_dir=tmp_path)
    node = Node(name="account", platform=settings, settings=AccountSettings())
    bad = node.directory / "signing-keys" / "bad.pem"
    bad.parent.mkdir(parents=True)
    bad.touch(0o600)
    upgrade(node.database_file, METADATA, VERSIONS)
    with pytest.raises(DatabaseRefused, match=r"bad\.pem"):
        await build(node)
    bad.unlink()
    async with running(tmp_path) as system:
        assert await system.exchange(system.root_credential)


def test_migrations_make_the_tables():
    """A migrated database is the one the tables describe."""
    assert differences(METADATA, VERSIONS) == []
