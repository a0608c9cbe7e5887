"""Puts the account service together."""

from __future__ import annotations

from trunkline.auth.keys import PublicKeys
from trunkline.auth.verifier import TokenVerifier
from trunkline.node import Node, Storage
from trunkline.server import Service

from services.account.domain.grant import ROOT_ID
from services.account.handlers.account_service import AccountServicer
from services.account.handlers.identity_service import IdentityServicer
from services.account.settings import AccountSettings
from services.account.storage.root_credential import root_secret_hash
from services.account.storage.signing_keys import SigningKeys
from services.account.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[AccountSettings]) -> Service:
    """The service, ready to be served."""
    # First of all: only one process may make the secret files.
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS)
    try:
        return _service(node, storage)
    except BaseException:
        await storage.database.close()
        raise


def _service(node: Node[AccountSettings], storage: Storage) -> Service:
    issuer = node.platform.token_issuer
    keys = SigningKeys(node.directory / "signing-keys", issuer, node.clock)
    root_hash = root_secret_hash(node.directory / "root.credential", ROOT_ID)
    # It verifies with its own keys, and asks nobody.
    verifier = TokenVerifier(PublicKeys(keys.listed, None, node.clock), issuer, issuer, node.clock)
    return node.service(
        storage,
        servicers=[
            AccountServicer(storage.database, storage.unit),
            IdentityServicer(storage.database, keys, root_hash, issuer),
        ],
        verifier=verifier,
    )
