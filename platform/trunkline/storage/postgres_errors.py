"""What a failure of PostgreSQL means: run it again, tell the caller to come again, or a mistake of the program."""

from __future__ import annotations

import re

import grpc
import sqlalchemy as sa

from trunkline.errors import ServiceError, platform_error

_REPEATABLE = {
    "40001": "serialization",  # others were faster
    "40P01": "deadlock",
    "23505": "unique",  # somebody else wrote the row that was looked for in vain
    "53300": "connections",  # the server has as many as it may
}
_NO_CONNECTION_LEFT = re.compile(r"too many (clients|connections)|connection slots are reserved")
"""A server that lets nobody in tells why in words only."""
_FULL = {"53100", "53200"}
_AWAY = ("08", "57", "53", "58", "XX")
"""Classes of what is wrong with the server or the way to it: connection, shutdown and timeouts, resources, system."""
_BUSY = {"55P03", "25006"}
"""lock_not_available, read_only_sql_transaction."""


def cause_of_repeat(error: BaseException) -> str:
    """Why the same work may pass if it is run again, in a word; empty where it would not."""
    cause = _REPEATABLE.get(_state(error), "")
    if not cause and _is_lost(error) and _NO_CONNECTION_LEFT.search(str(error)):
        return "connections"
    return cause


def translate(error: BaseException) -> BaseException:
    """A failure of the database as callers shall see it; every other failure as it is."""
    state = _state(error)
    if state in _FULL:
        return _refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk of the database is full", error)
    if cause_of_repeat(error) == "connections":
        return _refusal(grpc.StatusCode.UNAVAILABLE, "the database has no connection left", error)
    if state == "57014":
        return _refusal(grpc.StatusCode.UNAVAILABLE, "a statement took too long", error)
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
