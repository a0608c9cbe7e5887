"""What a failure of PostgreSQL means: run it again, tell the caller to come again, or a mistake of the program."""

from __future__ import annotations

import grpc
import sqlalchemy as sa

from trunkline.errors import ServiceError, platform_error

_REPEATABLE = {
    "40001",  # serialization_failure: others were faster
    "40P01",  # deadlock_detected
    "23505",  # unique_violation: somebody else wrote the row that was looked for in vain
}
_FULL = {"53100", "53200"}
_AWAY = ("08", "57", "53", "58", "XX")
"""Classes of what is wrong with the server or the way to it: connection, shutdown and timeouts, resources, system."""
_BUSY = {"55P03", "25006"}
"""lock_not_available, read_only_sql_transaction."""


def is_repeatable(error: BaseException) -> bool:
    """Whether the same work may pass if it is run again."""
    return _state(error) in _REPEATABLE


def translate(error: BaseException) -> BaseException:
    """A failure of the database as callers shall see it; every other failure as it is."""
    state = _state(error)
    if state in _FULL:
        return _refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk of the database is full", error)
    if state in {"40001", "40P01"}:
        return _refusal(grpc.StatusCode.UNAVAILABLE, "too many change the same rows", error)
    if state in _BUSY or state.startswith(_AWAY) or _is_lost(error):
        return _refusal(grpc.StatusCode.UNAVAILABLE, "the database does not answer", error)
    return error


def reason(error: BaseException) -> str:
    """A failure in one line, for the operator."""
    original = getattr(error, "orig", None) or error
    return str(original).splitlines()[0] if str(original) else type(original).__name__


def _state(error: BaseException) -> str:
    """SQLSTATE of a failure; empty where the server told none."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return str(getattr(original, "sqlstate", None) or "")


def _is_lost(error: BaseException) -> bool:
    """Whether the connection was lost, never made, or not to be had."""
    if isinstance(error, sa.exc.TimeoutError):
        return True  # all connections of the pool are busy
    return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) and not _state(error)


def _refusal(code: grpc.StatusCode, message: str, cause: BaseException) -> ServiceError:
    refusal = platform_error(code, "STORAGE_UNAVAILABLE", message)
    refusal.__cause__ = cause
    return refusal
