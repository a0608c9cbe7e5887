"""Who calls, in tests: tokens that are names, and a verifier that knows them."""

from __future__ import annotations

import grpc

from trunkline.call import Principal
from trunkline.errors import platform_error

EVERYBODY = {
    name: Principal(token=name, credential_id=f"cred-{name}", **fields)
    for name, fields in {
        "user": {"kind": "user", "subject": "ada", "tenant_id": "acme"},
        "reader": {"kind": "user", "subject": "bob", "tenant_id": "acme", "scopes": frozenset({"bench.read"})},
        "rival": {"kind": "user", "subject": "eve", "tenant_id": "rival", "scopes": frozenset({"bench.read"})},
        "till": {"kind": "terminal", "subject": "t1", "tenant_id": "acme", "store_code": "1", "terminal_no": 1},
        "cart": {"kind": "service", "subject": "cart"},
        "auditor": {"kind": "service", "subject": "auditor", "scopes": frozenset({"bench.read"})},
    }.items()
}


class Verifier:
    """Knows everybody by name."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def verify(self, token: str) -> Principal:
        """Whoever has that name."""
        self.asked.append(token)
        if token not in EVERYBODY:
            raise platform_error(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", "the token is not valid here")
        return EVERYBODY[token]


class Named:
    """A credential whose token is a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def token(self) -> str:
        """The name."""
        return self.name
