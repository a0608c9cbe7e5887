"""IdentityService on the wire: the library's contract for tokens, as this system implements it."""

from __future__ import annotations

import hashlib
import hmac

from trunk.identity.v1 import identity_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2_grpc as pb_grpc
from trunkline.errors import unauthenticated
from trunkline.server import Context
from trunkline.storage import Database

from services.account.domain.grant import ROOT, ROOT_ID, Grant, grant_of
from services.account.handlers.convert import to_claims
from services.account.storage import api_keys
from services.account.storage.signing_keys import SigningKeys
from services.wire.dates import to_timestamp

_NO_HASH = bytes(32)


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Exchanges credentials for tokens, and lists the keys that verify them."""

    def __init__(self, database: Database, keys: SigningKeys, root_hash: bytes, audience: str) -> None:
        self._database = database
        self._keys = keys
        self._root_hash = root_hash
        self._audience = audience

    async def ExchangeCredential(
        self, request: pb.ExchangeCredentialRequest, context: Context
    ) -> pb.ExchangeCredentialResponse:
        """Gives a token for a credential."""
        credential_id, _, secret = request.credential.partition(".")
        expected, grant = await self._look_up(credential_id)
        given = hashlib.sha256(secret.encode()).digest()
        # Compared even where there is nothing to compare with: the time must not tell which ids exist.
        if not hmac.compare_digest(expected, given) or grant is None:
            raise unauthenticated("CREDENTIAL_INVALID", "the credential is not valid")
        token, expire_time = self._keys.signer().sign(to_claims(grant), audience=self._audience)
        return pb.ExchangeCredentialResponse(token=token, expire_time=to_timestamp(expire_time))

    async def ListPublicKeys(self, request: pb.ListPublicKeysRequest, context: Context) -> pb.ListPublicKeysResponse:
        """Lists the keys, newest first."""
        listed = [
            pb.PublicKey(key_id=key.key_id, algorithm=key.algorithm, public_key=key.public_key)
            for key in await self._keys.listed()
        ]
        return pb.ListPublicKeysResponse(keys=listed)

    async def _look_up(self, credential_id: str) -> tuple[bytes, Grant | None]:
        if credential_id == ROOT_ID:
            return self._root_hash, ROOT
        stored = await self._database.read(lambda connection: api_keys.find_stored(connection, credential_id))
        if stored is None:
            return _NO_HASH, None
        valid = stored.key.revoke_time is None
        return stored.secret_hash, grant_of(stored.key, stored.currency_code) if valid else None
