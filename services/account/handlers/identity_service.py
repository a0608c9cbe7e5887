"""IdentityService on the wire: the library's contract for tokens, as this system implements it."""

from __future__ import annotations

import hashlib
import hmac

from trunk.identity.v1 import identity_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2_grpc as pb_grpc
from trunkline.auth.tokens import SignedToken
from trunkline.call import current_call
from trunkline.clock import Clock
from trunkline.server import Context
from trunkline.storage import Database

from services.account.domain.grant import ROOT, ROOT_ID, Grant, grant_of
from services.account.domain.user import grant_of_user
from services.account.handlers.convert import to_claims, to_principal
from services.account.handlers.password_check import PasswordCheck
from services.account.handlers.refusal import credential_invalid
from services.account.handlers.throttle import RefusalThrottle
from services.account.storage import api_keys, revocations
from services.account.storage.signing_keys import SigningKeys
from services.wire.dates import to_timestamp

_NO_HASH = bytes(32)


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Exchanges credentials for tokens, and lists what verifies tokens and what makes them void."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        passwords: PasswordCheck,
        throttle: RefusalThrottle,
        clock: Clock,
        *,
        root_hash: bytes,
        audience: str,
    ) -> None:
        self._database = database
        self._keys = keys
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock
        self._root_hash = root_hash
        self._audience = audience

    async def ExchangeCredential(
        self, request: pb.ExchangeCredentialRequest, context: Context
    ) -> pb.ExchangeCredentialResponse:
        """Gives a token for a credential."""
        credential_id, _, secret = request.credential.partition(".")
        given = hashlib.sha256(secret.encode()).digest()
        self._throttle.check(credential_id, given)
        expected, grant = await self._look_up(credential_id)
        # Compared even where there is nothing to compare with: the time must not tell which ids exist.
        if not hmac.compare_digest(expected, given) or grant is None:
            self._throttle.refused(credential_id, given)
            raise credential_invalid(_why(credential_id, grant, known=expected is not _NO_HASH))
        self._throttle.good(credential_id, given)
        token, expire_time = self._sign(grant)
        return pb.ExchangeCredentialResponse(token=token, expire_time=to_timestamp(expire_time))

    async def SignIn(self, request: pb.SignInRequest, context: Context) -> pb.SignInResponse:
        """Gives a token for a name and a password."""
        asked = request.tenant_id, request.user_name, request.password
        found = await self._passwords.user(*asked, credential_invalid)
        token, expire_time = self._sign(grant_of_user(found.user, found.currency_code))
        return pb.SignInResponse(token=token, expire_time=to_timestamp(expire_time))

    async def ListRevocations(self, request: pb.ListRevocationsRequest, context: Context) -> pb.ListRevocationsResponse:
        """Lists the credentials whose tokens are void and may be about still."""
        now = self._clock.now()
        found = await self._database.read(lambda connection: revocations.listed(connection, now))
        listed = [pb.Revocation(credential_id=one, revoke_time=to_timestamp(time)) for one, time in found]
        return pb.ListRevocationsResponse(revocations=listed)

    async def ListPublicKeys(self, request: pb.ListPublicKeysRequest, context: Context) -> pb.ListPublicKeysResponse:
        """Lists the keys, newest first."""
        listed = [
            pb.PublicKey(key_id=key.key_id, algorithm=key.algorithm, public_key=key.public_key)
            for key in await self._keys.listed()
        ]
        return pb.ListPublicKeysResponse(keys=listed)

    def _sign(self, grant: Grant) -> SignedToken:
        """A token; who gets it is from here on the caller, for the logs and traces of a call that has no token."""
        call, signed = current_call(), self._keys.signer().sign(to_claims(grant), audience=self._audience)
        if call is not None and call.caller is None:
            call.caller, call.tenant_id = to_principal(grant), grant.tenant_id
        return signed

    async def _look_up(self, credential_id: str) -> tuple[bytes, Grant | None]:
        if credential_id == ROOT_ID:
            return self._root_hash, ROOT
        stored = await self._database.read(lambda connection: api_keys.find_stored(connection, credential_id))
        if stored is None:
            return _NO_HASH, None
        valid = stored.key.revoke_time is None
        return stored.secret_hash, grant_of(stored.key, stored.currency_code) if valid else None


def _why(credential_id: str, grant: Grant | None, *, known: bool) -> str:
    if not known:
        return "unknown key"
    return f"{'wrong secret' if grant is not None else 'revoked key'}: {credential_id}"
