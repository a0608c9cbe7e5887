"""The link of the server chain that counts, traces and logs."""

from __future__ import annotations

import asyncio
import logging
import re
import time

import structlog

from trunkline import headers
from trunkline.call import serving
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Method

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,128}")
_log = structlog.get_logger("trunkline.server")


def telemetry(method: Method, _: Host) -> ServerPolicy:
    """Makes the call the current one; counts it, and tells of its outcome in one line."""
    verbose = _log.is_enabled_for(logging.DEBUG) and method.service not in EXEMPT_SERVICES

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        request_id = call.metadata.get(headers.REQUEST_ID)
        if isinstance(request_id, str) and _VISIBLE_ASCII.fullmatch(request_id):
            call.inbound.request_id = request_id
        started = time.perf_counter()
        code = "OK"
        with serving(call.inbound):
            try:
                return await proceed(call)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except BaseException:
                code = call.error.code.name if call.error else "INTERNAL"
                raise
            finally:
                # What went well is told at debug only, unless the contract wants it audited: a line a call costs.
                if code != "OK" or verbose or method.audit:
                    _tell(call, code, time.perf_counter() - started)

    return policy


def _tell(call: ServerCall, code: str, seconds: float) -> None:
    principal = call.inbound.principal
    _log.log(
        logging.DEBUG if code == "OK" and not call.method.audit else logging.INFO,
        "served",
        code=code,
        reason=call.error.reason if call.error else None,
        ms=round(seconds * 1000, 2),
        caller=principal.subject if principal else None,
    )
