"""The one table from failures of the domain to failures on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import grpc
from trunkline.errors import ServiceError

from services.kernel.failure import AlreadyExists, Conflict, DomainFailure, InvalidInput, NotFound, Refused, WrongState
from services.wire.domains import SHARED, SHARED_REASONS

CODES: dict[type[DomainFailure], grpc.StatusCode] = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    Refused: grpc.StatusCode.FAILED_PRECONDITION,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    Conflict: grpc.StatusCode.ABORTED,
}
"""Status of each kind of failure."""

P = ParamSpec("P")
R = TypeVar("R")


def to_error(failure: DomainFailure) -> ServiceError:
    """The failure as callers see it."""
    code = next(code for kind, code in CODES.items() if isinstance(failure, kind))
    shared = SHARED if failure.reason in SHARED_REASONS else ""
    return ServiceError(code, failure.reason, failure.message, failure.metadata, domain=shared)


def refusals(handler: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Decorates a servicer's method: what the domain refuses leaves it as a ServiceError."""

    @wraps(handler)
    async def handled(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await handler(*args, **kwargs)
        except DomainFailure as failure:
            raise to_error(failure) from failure

    return handled
