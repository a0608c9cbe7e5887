"""Who calls, in tests: tokens that are names, and a verifier that knows them."""

from __future__ import annotations

import grpc
from trunkline.call import Principal
from trunkline.errors import platform_error

READ = frozenset({"bench.read"})
_EVERYBODY = (
    Principal("user", "ada", "acme", token="user"),
    Principal("user", "bob", "acme", READ, token="reader"),
    Principal("user", "eve", "rival", READ, token="rival"),
    Principal("terminal", "t1", "acme", store_code="1", terminal_no=1, token="till"),
    Principal("terminal", "t2", "acme", store_code="1", terminal_no=2, token="other till"),
    Principal("service", "cart", token="cart"),
    Principal("service", "auditor", "", READ, token="auditor"),
)
EVERYBODY = {one.token: one for one in _EVERYBODY}


class Verifier:
    """Knows everybody by name."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def cached(self, token: str) -> Principal | None:
        """Remembers nobody."""
        return None

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
