"""The same call over HTTP: FastAPI under uvicorn[standard], asked by httpx.

The token is verified as in our own chain: once with its signature, and known afterwards. uvicorn parses with
httptools, as `uvicorn[standard]` does by default; the event loop is that of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from trunkline.auth.verifier import TokenVerifier
from trunkline.call import Principal
from trunkline.errors import ServiceError

from bench.paths.bare import Call
from bench.paths.bearer import DEADLINE_S, SCOPE, Bearer
from bench.paths.retrying import retrying

TRANSIENT = {429, 502, 503, 504}
"""Statuses after which a call is repeated."""
START_S = 10.0
"""Seconds in which uvicorn must have started."""


class Counter(BaseModel):
    """The answer: what `ReadResponse` holds."""

    value: int
    """The counter."""


def application(verifier: TokenVerifier) -> FastAPI:
    """One route, for callers whose token has the scope."""
    app = FastAPI(openapi_url=None)

    async def caller(authorization: Annotated[str, Header()] = "") -> Principal:
        try:
            principal = await verifier.verify(authorization.removeprefix("Bearer "))
        except ServiceError as error:
            raise HTTPException(401, error.message) from error
        if SCOPE not in principal.scopes:
            raise HTTPException(403, "the caller may not do this")
        return principal

    # Not as annotations: those are looked for among the module's names, where `caller` is not.
    @app.get("/v1/counter", dependencies=[Depends(caller)])
    async def read() -> Counter:
        return Counter(value=1)

    return app


class QuietServer(uvicorn.Server):
    """Leaves signals to the program it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


@asynccontextmanager
async def rest(bearer: Bearer) -> AsyncIterator[Call]:
    """A call of httpx with retries, a deadline and the token."""
    headers = {"authorization": f"Bearer {bearer.token}"}
    async with _served(bearer) as url, httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as client:
        yield retrying(is_transient).wraps(_call(client, headers))


@asynccontextmanager
async def _served(bearer: Bearer) -> AsyncIterator[str]:
    # uvicorn must bind by itself: connections of a socket made elsewhere may wait 40 ms for an ACK (Nagle).
    config = uvicorn.Config(
        application(bearer.verifier()), port=0, http="httptools", lifespan="off", access_log=False, log_config=None
    )
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(START_S):
            while not server.started:  # noqa: ASYNC110 - it tells nobody when it has started
                await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving


def _call(client: httpx.AsyncClient, headers: dict[str, str]) -> Any:
    async def call() -> Counter:
        response = await client.get("/v1/counter", headers=headers)
        response.raise_for_status()
        return Counter.model_validate_json(response.content)

    return call


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may help."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in TRANSIENT
    return isinstance(error, httpx.TransportError)
