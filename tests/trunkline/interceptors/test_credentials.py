"""Which credential a call is made with: counted, told once, and never another one in silence."""

from __future__ import annotations

import logging
from typing import Any

import grpc
import pytest
import structlog
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.auth.credential import CredentialAbsent
from trunkline.auth.credential_chain import CredentialChain, ForwardedToken, Link
from trunkline.call import InboundCall, Principal, serving
from trunkline.client import process_credential
from trunkline.errors import ServiceError
from trunkline.interceptors import client_credentials
from trunkline.policies.credentials import parse
from trunkline.settings import PlatformSettings
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.people import EVERYBODY, Named, Verifier
from tests.trunkline.interceptors.servicers import Effects


class Absent:
    """A credential that is not there, until it is given a token."""

    def __init__(self) -> None:
        self.name = ""

    async def token(self) -> str:
        """The token it was given."""
        if not self.name:
            raise CredentialAbsent
        return self.name


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is told of credentials."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper)
    monkeypatch.setattr(client_credentials, "_log", logger)
    return capture.entries


class Counts:
    """What was counted of credentials since it was made."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._before = self._now()

    def new(self) -> dict[str, int]:
        """By credential and outcome, without noughts."""
        now = self._now()
        return {key: now[key] - self._before[key] for key in now if now[key] != self._before[key]}

    def _now(self) -> dict[str, int]:
        return {
            f"{name} {outcome}": count
            for name in self._names
            for outcome, count in METRICS.credential("ping", name).items()
        }


async def test_what_is_tried_is_counted_and_told_once(lines):
    """Every use and every credential that is passed over counts; a line is written when the choice is another."""
    effects, token = Effects(), Absent()
    chain = CredentialChain([Link("token", token), Link("key", Named("user"))])
    counts = Counts("token", "key")
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=chain) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        for _ in range(3):
            await stub.Add(pb.AddRequest())
        token.name = "till"
        for _ in range(2):
            await stub.Add(pb.AddRequest())
    assert [sent[headers.AUTHORIZATION] for sent in effects.metadata] == ["Bearer user"] * 3 + ["Bearer till"] * 2
    assert counts.new() == {"token absent": 3, "key used": 3, "token used": 2}
    assert [(line["log_level"], line["tried"]) for line in lines] == [
        ("info", "token absent, key used"),
        ("info", "token used"),
    ]
    assert METRICS.value("trunkline_credential_total", grpc_target="ping", credential="token", outcome="used") >= 2


@pytest.mark.parametrize(("even_if_refused", "later"), [(False, "UNAUTHENTICATED"), (True, "OK")])
async def test_a_token_that_the_peer_refuses(lines, even_if_refused, later):
    """The call that meets the refusal fails. Whether the next one may use another credential is the chain's to say."""
    effects = Effects()
    chain = CredentialChain([Link("token", Named("nobody"), even_if_refused), Link("key", Named("user"))])
    counts = Counts("token", "key")
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=chain) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        codes = []
        for _ in range(2):
            try:
                await stub.Add(pb.AddRequest())
                codes.append("OK")
            except ServiceError as error:
                codes.append(error.code.name)
    assert codes == ["UNAUTHENTICATED", later]
    assert counts.new() == (
        {"token used": 1, "token refused": 2, "key used": 1}
        if even_if_refused
        else {"token used": 2, "token refused": 2}
    )
    assert lines[1]["event"] == "credential refused by its peer"
    assert "nobody" not in str(lines)


async def test_a_refusal_of_the_callers_token_is_not_ours(lines):
    """Where two tokens were sent nobody says which one was refused: ours is used on."""
    effects = Effects()
    chain = CredentialChain([Link("token", Named("cart"), True), Link("key", Named("auditor"))])
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=chain) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        stale = InboundCall("/a", caller=Principal("user", "ada", "acme", token="stale"))
        with serving(stale), pytest.raises(ServiceError):
            await stub.Add(pb.AddRequest())
        await stub.Add(pb.AddRequest())
    assert [sent[headers.AUTHORIZATION] for sent in effects.metadata] == ["Bearer cart"]


async def test_a_process_that_calls_as_its_caller():
    """`forwarded` sends the caller's token as the sender's, and not a second time; a job has the key."""
    effects = Effects()
    chain = CredentialChain([Link("forwarded", ForwardedToken()), Link("key", Named("cart"))])
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=chain) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        with serving(InboundCall("/a", caller=EVERYBODY["user"], tenant_id="acme")):
            await stub.Add(pb.AddRequest())
        with serving(InboundCall("job", tenant_id="rival")):
            await stub.Add(pb.AddRequest())
    caller, job = effects.metadata
    assert (caller[headers.AUTHORIZATION], headers.CALLER in caller) == ("Bearer user", False)
    assert (job[headers.AUTHORIZATION], job[headers.TENANT]) == ("Bearer cart", "rival")
    assert [(call.sender.kind if call.sender else "", call.tenant_id) for call in effects.calls] == [
        ("user", "acme"),
        ("service", "rival"),
    ]


async def test_one_credential_is_counted_too():
    """Without a chain: uses, and calls that had none."""
    counts = Counts("credential")
    async with bench(servicers=[Effects()], service={"verifier": Verifier()}, credential=Named("user")) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        await stub.Add(pb.AddRequest())
    async with bench(servicers=[Effects()], service={"verifier": Verifier()}) as on:
        stub = pb_grpc.EffectServiceStub(on.channel)
        with pytest.raises(ServiceError) as caught:
            await stub.Add(pb.AddRequest())
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING")
    found = counts.new()
    assert found["credential used"] == 1
    assert found["credential absent"] >= 1


def test_lists_of_the_settings(tmp_path):
    """By target, one chain for all that share a list; with nothing said, the process's key alone."""
    key, token = tmp_path / "key", tmp_path / "token"
    settings = PlatformSettings(
        credential_file=key, token_file=token, credentials=parse("token,key item=key cart=forwarded,key")
    )
    chain = process_credential(settings, "store")
    assert isinstance(chain, CredentialChain)
    assert chain is process_credential(settings, "stock")
    assert chain is not process_credential(settings, "cart")
    assert process_credential(settings, "item") is process_credential(PlatformSettings(credential_file=key), "item")
    assert process_credential(PlatformSettings(), "item") is None


@pytest.mark.parametrize(
    ("credentials", "mistake"),
    [("tokens", "names 'tokens'"), ("token,key", "TRUNKLINE_TOKEN_FILE is not set")],
)
def test_mistakes_in_the_setting(monkeypatch, credentials, mistake):
    """A list that cannot be meant keeps the process from starting."""
    monkeypatch.setenv("TRUNKLINE_CREDENTIALS", credentials)
    with pytest.raises(ValueError, match=mistake):
        PlatformSettings()
