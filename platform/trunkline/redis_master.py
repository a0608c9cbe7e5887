"""Where the Redis is that takes writes now: at the address that was given, or where Sentinels say.

An address of Sentinels is `redis+sentinel://user:password@host:26379,other:26379/mymaster/0`: they are asked for the
master `mymaster` whenever a connection is made anew. User, password, database and options are those of the master.
"""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from trunkline.given import SENTINEL_SCHEME, sentinels_of

ANSWER_S = 1.0
"""Seconds that one of them may take."""
# What servers of 6.2 know: a connection does not say which client made it (CLIENT SETINFO, since 7.2).
_PLAIN: dict[str, Any] = {"protocol": 2, "driver_info": None}


async def master_url(url: str) -> str:
    """The address of the server that takes writes now; a plain address is that already.

    Raises:
        RedisConnectionError: no Sentinel answers, or none knows the master.
    """
    if not url.startswith(SENTINEL_SCHEME):
        return url
    parts = urlsplit(url)
    name, _, database = parts.path.strip("/").partition("/")
    for host, port in sentinels_of(url):
        found = await _ask(host, port, name)
        if found is not None:
            user, at, _ = parts.netloc.rpartition("@")
            place = f"[{found[0]}]" if ":" in found[0] else found[0]
            netloc = f"{user}{at}{place}:{found[1]}"
            return urlunsplit(parts._replace(scheme="redis", netloc=netloc, path=f"/{database or 0}"))
    raise RedisConnectionError(f"no Sentinel says where {name} is")


def pool_at_master(url: str, **options: Any) -> Any:
    """A pool of connections, each of which is made to the server that takes writes when it is made.

    Args:
        url: Of a server, or of Sentinels.
        options: As BlockingConnectionPool takes them.
    """
    options = {**_PLAIN, **options}
    if not url.startswith(SENTINEL_SCHEME):
        return BlockingConnectionPool.from_url(url, **options)
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    # Host and port are those of the moment: every connection asks for them.
    nobody = parts._replace(
        scheme="redis", netloc=f"{user}{at}master", path=f"/{parts.path.strip('/').partition('/')[2]}"
    )
    return BlockingConnectionPool.from_url(urlunsplit(nobody), connection_class=_ToMaster, sentinels=url, **options)


class _ToMaster(Connection):
    """A connection that asks Sentinels for the master whenever it is opened."""

    def __init__(self, *, sentinels: str, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**options)

    async def _connect(self) -> None:
        found = urlsplit(await master_url(self._sentinels))
        self.host, self.port = str(found.hostname), found.port or 0
        await super()._connect()  # type: ignore[no-untyped-call]


async def _ask(host: str, port: int, name: str) -> tuple[str, int] | None:
    limits: dict[str, Any] = {"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S}
    client: Any = Redis(host=host, port=port, decode_responses=True, retry=Retry(NoBackoff(), 0), **limits, **_PLAIN)
    try:
        answer = await client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", name)
    except (RedisError, OSError):
        return None  # the next one may know
    finally:
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()
    return (str(answer[0]), int(answer[1])) if answer else None
