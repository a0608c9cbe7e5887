"""The link of the server chain that counts, traces and logs."""

from __future__ import annotations

import asyncio
import logging
import re
import time

import structlog

from trunkline import headers
from trunkline.call import became_current
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Method
from trunkline.telemetry.metrics import METRICS

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,128}")
_log = structlog.get_logger("trunkline.server")


def telemetry(method: Method, host: Host) -> ServerPolicy:
    """Makes the call the current one; counts it, and tells of its outcome in one line."""
    # What went well is told at debug only, unless the contract wants it audited: a line a call costs a tenth of it.
    verbose = method.audit or (_log.is_enabled_for(logging.DEBUG) and method.service not in EXEMPT_SERVICES)
    told, timer = METRICS.server(method.path), time.perf_counter

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        _name(call)
        became_current(call.inbound)
        told.started()
        host.running += 1
        started = timer()
        code = "OK"
        try:
            return await proceed(call)
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except BaseException:
            code = call.error.code.name if call.error else "INTERNAL"
            raise
        finally:
            seconds = timer() - started
            host.running -= 1
            told.ended(code, seconds)
            if verbose or code != "OK":
                _tell(call, code, seconds)

    return policy


def _name(call: ServerCall) -> None:
    """Gives the call its request id: the one that was sent, else the id of its trace."""
    sent = call.metadata.get(headers.REQUEST_ID)
    if isinstance(sent, str) and _VISIBLE_ASCII.fullmatch(sent):
        call.inbound.request_id = sent


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
