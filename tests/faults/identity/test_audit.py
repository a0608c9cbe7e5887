"""What the audit log has: who was refused, and who made a call that is audited."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

import pytest
import structlog
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.interceptors import server_telemetry
from trunkline.telemetry import audit, throttle

from tests.faults.identity.stage import Stage, bearer, outcome, stage
from tests.trunkline.auth.identity_system import SERVICE, TERMINAL, USER
from tests.trunkline.interceptors.servicers import Policies, until

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = (headers.TRACEPARENT, f"00-{TRACE}-b7ad6b7169203331-00")
FLOOD = 200
TOGETHER = 20
"""Calls at once: a flood that the limits of a server let through."""


def captured(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[Any]:
    """What a module's logger writes."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    monkeypatch.setattr(module, "_log", structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper))
    return capture.entries


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the audit log gets."""
    return captured(monkeypatch, audit)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What else is told of calls."""
    return captured(monkeypatch, server_telemetry)


def read(on: Stage, *metadata: tuple[str, str]) -> Any:
    """A call that needs a scope."""
    return outcome(on.effect.Read(pb.ReadRequest(), metadata=metadata))


async def test_a_refusal_tells_who(records):
    """Caller, kind, tenant, credential, service that sends it, address, method, outcome, reason and trace; no token."""
    async with stage() as on:
        token, caller = on.system.token(SERVICE), on.system.token(TERMINAL)
        await read(on, *bearer(token, caller), TRACEPARENT)
    (record,) = records
    assert record.pop("ms") >= 0
    assert record.pop("peer").startswith("ipv4:127.0.0.1:")
    assert record == {
        "logger": "trunkline.audit",
        "event": "refused",
        "log_level": "info",
        "method": "/trunk.testing.v1.EffectService/Read",
        "code": "PERMISSION_DENIED",
        "reason": "ACCESS_DENIED",
        "caller": "t1",
        "kind": "terminal",
        "tenant": "acme",
        "credential_id": "c2",
        "sender": "cart",
        "sender_credential_id": "c3",
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(
    ("make", "reason", "why"),
    [
        (lambda _: (), "TOKEN_MISSING", "no token"),
        (lambda _: bearer("junk"), "TOKEN_INVALID", "DecodeError"),
        (lambda system: bearer(system.forge(exp=system.now - 60, iat=system.now - 120)), "TOKEN_INVALID", "expired"),
        (lambda system: bearer(system.forge({"kid": "k9"})), "TOKEN_INVALID", "no key of this id"),
        (lambda system: bearer(system.forge(iss="evil")), "TOKEN_INVALID", "InvalidIssuerError"),
    ],
)
async def test_a_refused_token_tells_what_was_wrong(records, make, reason, why):
    """The caller is told one text; whoever reads the log is told which rule, and nothing of the token."""
    async with stage() as on:
        metadata = make(on.system)
        await read(on, *metadata)
    (record,) = records
    assert (record["code"], record["reason"], record["why"]) == ("UNAUTHENTICATED", reason, why)
    assert not {"caller", "credential_id", "tenant"} & record.keys()
    assert all(value.removeprefix("Bearer ") not in str(record) for _, value in metadata)


async def test_an_audited_call_leaves_its_record_every_time(records):
    """Also where it went well, and however often: a record that is left out is no audit."""
    policies = Policies()
    async with stage(None, policies) as on:
        stub: Any = pb_grpc.PolicyServiceStub(on.channel)
        metadata = (*bearer(on.system.token(USER)), (headers.IDEMPOTENCY_KEY, "k"))
        for _ in range(20):
            assert await outcome(stub.Once(pb.OnceRequest(value="secret"), metadata=metadata)) is None
    assert [record["event"] for record in records] == ["called"] * 20
    assert {(record["code"], record["caller"], record["credential_id"]) for record in records} == {
        ("OK", "api-key", "c1")
    }
    assert "secret" not in str(records)


async def test_a_flood_of_refusals(records, served, monkeypatch):
    """P10: they leave one record a second for each method, reason and caller, and the count of the others."""
    monkeypatch.setattr(throttle, "INTERVAL_S", 0.2)
    async with stage() as on:
        user = bearer(on.system.token(USER))
        for _ in range(FLOOD // TOGETHER):
            await asyncio.gather(*(read(on, *metadata) for metadata in (user, bearer("junk")) for _ in range(TOGETHER)))
        await until(lambda: sum(record.get("left_out", 1) for record in records) == 2 * FLOOD)
    kinds = {(record["reason"], record.get("caller")) for record in records}
    assert kinds == {("ACCESS_DENIED", "api-key"), ("TOKEN_INVALID", None)}
    assert len(records) < FLOOD
    assert not served, "a refusal is told in the audit log, and once"


async def test_a_flood_of_failures(records, served, monkeypatch):
    """P10: other failures are throttled alike, and are none of the audit log's."""
    monkeypatch.setattr(throttle, "INTERVAL_S", 0.2)
    async with stage() as on:
        metadata = (*bearer(on.system.token(USER)), (headers.IDEMPOTENCY_KEY, "has blanks"))
        for _ in range(FLOOD // TOGETHER):
            calls = [outcome(on.effect.Add(pb.AddRequest(), metadata=metadata)) for _ in range(TOGETHER)]
            failures = await asyncio.gather(*calls)
            assert {failure.reason if failure else "OK" for failure in failures} == {"IDEMPOTENCY_KEY_INVALID"}
        await until(lambda: sum(line.get("left_out", 1) for line in served) == FLOOD)
    assert len(served) < FLOOD // 2
    assert not records


QUIET = """
from trunkline.telemetry import audit
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "error")
audit.write("refused", reason="TOKEN_INVALID", caller=None)
"""


def test_no_level_silences_the_audit_log():
    """A process that logs errors only still says who was refused; what is not known is left out."""
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True, timeout=60)
    record = json.loads(done.stdout)
    assert (record["logger"], record["event"], record["reason"]) == ("trunkline.audit", "refused", "TOKEN_INVALID")
    assert "caller" not in record
