"""Puts the account service together."""

from __future__ import annotations

from trunkline.auth.keys import PublicKeys
from trunkline.auth.verifier import TokenVerifier
from trunkline.node import Node, Storage
from trunkline.policies.rate import RateLimit
from trunkline.service import Service

from services.account.domain.grant import ROOT_ID
from services.account.handlers.account_service import AccountServicer
from services.account.handlers.identity_service import IdentityServicer
from services.account.handlers.password_check import PasswordCheck
from services.account.handlers.throttle import RefusalThrottle
from services.account.handlers.user_service import UserServicer
from services.account.settings import AccountSettings
from services.account.storage import revocations
from services.account.storage.root_credential import root_secret_hash
from services.account.storage.signing_keys import SigningKeys
from services.account.storage.tables import METADATA, PLATFORM, VERSIONS
from services.wire.slow_hashes import SlowHashes

BURST_S = 5.0
"""Refused credentials that may come at once, in seconds of the rate that is allowed."""


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
    issuer, settings, clock, database = node.platform.token_issuer, node.settings, node.clock, storage.database
    keys = SigningKeys(node.directory / "signing-keys", issuer, clock, listed_first_s=settings.listed_first_s)
    root_hash = root_secret_hash(node.directory / "root.credential", ROOT_ID)
    limits = _limit(settings.refusals_per_s), _limit(settings.refusals_per_s_each)
    passwords = PasswordCheck(database, SlowHashes("passwords"), RefusalThrottle(*limits, clock), clock)
    throttle = RefusalThrottle(*limits, clock)

    async def revoked() -> list[str]:
        now = clock.now()
        return [one for one, _ in await database.read(lambda connection: revocations.listed(connection, now))]

    # It verifies with its own keys and revocations, and asks nobody.
    public_keys = PublicKeys(keys.listed, None, clock)
    verifier = TokenVerifier(public_keys, issuer, issuer, clock, revocations=node.revocations(revoked))
    return node.service(
        storage,
        servicers=[
            AccountServicer(database, storage.unit),
            UserServicer(database, storage.unit, passwords, clock),
            IdentityServicer(database, keys, passwords, throttle, clock, root_hash=root_hash, audience=issuer),
        ],
        verifier=verifier,
    )


def _limit(per_s: float) -> RateLimit:
    return RateLimit(per_s, max(1, round(per_s * BURST_S)))
