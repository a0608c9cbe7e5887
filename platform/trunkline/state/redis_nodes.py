"""Connections to one Redis, or to the nodes of a cluster, whichever stands at the address."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, ReadOnlyError, ResponseError

from trunkline.given import SENTINEL_SCHEME
from trunkline.redis_master import master_url, pool_at_master
from trunkline.state.addresses import node_url

CONNECTIONS = 16
"""Connections to a node; more commands at once wait for one."""
MOVES = 5
"""A command is sent on to another node so often, and then given up."""
Node = tuple[str, int] | None
"""Host and port; None: what stands at the address that was given."""


@dataclass(slots=True)
class Step:
    """How far an exchange has come."""

    sent: bool = False
    """The command may have been executed."""


class RedisNodes:
    """Sends each command once to whoever has its key; a node that sends it on has not executed it."""

    def __init__(self, url: str, answer_s: float) -> None:
        """Connects to nothing yet.

        Args:
            url: Of a server, or of any node of a cluster; the others are reached with the same user and password.
            answer_s: Seconds that an exchange may take.
        """
        self._url = url
        self._answer_s = answer_s
        self._pools: dict[Node, Any] = {}
        self._owners: dict[int, Node] = {}

    async def exchange(self, key: str, command: Sequence[Any], step: Step) -> Any:
        """What is said to a command about a key."""
        node, asking = self._owner(key), False
        try:
            async with asyncio.timeout(self._answer_s):
                for _ in range(MOVES):
                    try:
                        return await self._said(node, command, step, asking=asking)
                    except AskError as told:  # or MovedError, which is one
                        step.sent = False
                        node, asking = (told.host, told.port), not isinstance(told, MovedError)
                        if not asking:
                            self._owners[told.slot_id] = node
        except ReadOnlyError:
            await self._forget_master()
            raise
        except ResponseError:
            raise
        except Exception:
            # Perhaps another node has taken over: the next one asks at the address that was given.
            self._owners.clear()
            await self._forget_master()
            raise
        raise ResponseError("nodes of the cluster send the command to each other")

    async def close(self) -> None:
        """Closes all connections."""
        for pool in self._pools.values():
            await pool.disconnect()

    def _owner(self, key: str) -> Node:
        # Where nothing was ever moved there is no cluster.
        return self._owners.get(key_slot(key.encode())) if self._owners else None

    async def _forget_master(self) -> None:
        """Has Sentinels asked again, where the address is one of theirs."""
        if self._url.startswith(SENTINEL_SCHEME) and (pool := self._pools.pop(None, None)) is not None:
            await pool.disconnect(inuse_connections=False)

    async def _said(self, node: Node, command: Sequence[Any], step: Step, *, asking: bool) -> Any:
        pool = self._pool(node, await master_url(self._url) if node not in self._pools else "")
        connection = await pool.get_connection()
        try:
            if asking:
                await connection.send_command("ASKING")
                await connection.read_response()
            step.sent = True
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await pool.release(connection)

    def _pool(self, node: Node, url: str) -> Any:
        if node not in self._pools:
            self._pools[node] = pool_at_master(
                url if node is None else node_url(url, *node),
                max_connections=CONNECTIONS,
                timeout=self._answer_s,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=self._answer_s,
                socket_connect_timeout=self._answer_s,
                socket_keepalive=True,
                client_name="trunkline-state",
            )
        return self._pools[node]
