"""Cards and secrets in every place of a running shop where somebody may put them; then they are looked for at rest."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.item.v1 import item_service_pb2 as item_pb
from pos.item.v1.item_pb2 import Item
from pos.item.v1.item_service_pb2_grpc import ItemServiceStub
from pos.store.v1 import staff_service_pb2 as staff_pb
from pos.store.v1.staff_service_pb2_grpc import StaffServiceStub
from pos.terminal.v1 import terminal_service_pb2 as terminal_pb
from pos.type.v1.cash_movement_kind_pb2 import CASH_MOVEMENT_KIND_CASH_IN
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from trunkline import headers
from trunkline.cli.examination import examine
from trunkline.cli.findings import findings
from trunkline.errors import ServiceError

from deploy.local.bootstrap import root_credential
from deploy.local.system import credentials_dir
from tests.faults.leaks.cards import PAN, WRITTEN, unknown_field
from tests.faults.leaks.leaky import Leaky, leaky
from tests.faults.leaks.scanning import found_in, found_in_files, found_in_metrics, found_in_processes, watched
from tests.shop.company import Company, Counter, company, yen
from tests.shop.waiting import until, until_none

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("shop"),
    pytest.mark.asyncio(loop_scope="module"),
]
REFUSED = "CARD_NUMBER_REFUSED"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Leaky]:
    """The shop that tells as much as it can."""
    async with leaky(tmp_path_factory.mktemp("leaky")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(everything: Leaky) -> AsyncIterator[Company]:
    """A tenant beside the demo shop."""
    async with company(everything.shop, "acme") as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counter(acme: Company) -> Counter:
    """A terminal that is open."""
    found = await acme.counter("leaks")
    await found.open()
    return found


async def told(call: Awaitable[Any]) -> tuple[str, str]:
    """Reason of a refusal, and all that the caller is told; both empty where there is none."""
    try:
        await call
    except ServiceError as error:
        return error.reason, f"{error} {dict(error.metadata)} {error.violations}"
    except grpc.aio.AioRpcError as error:
        return error.code().name, f"{error.details()} {error.trailing_metadata()}"
    return "", ""


async def test_card_data_is_nowhere_at_rest(everything: Leaky, acme: Company, counter: Counter):
    """D17: in payments, notes, names, codes, metadata, unknown fields and requests that are refused; then a scan."""
    items: Any = ItemServiceStub(acme.office.channel("item"))
    async with watched(everything.redis.port, everything.redis_password) as redis:
        sale = await counter.till.new_sale()
        cart_id, line = sale.cart_id, cart_pb.AddLinesRequest.NewLine(item_code=PAN, quantity=1)
        for text in WRITTEN.values():
            for call in (
                items.CreateItem(item_pb.CreateItemRequest(item=item("gift", f"Gift {text}"))),
                items.UpdateItem(item_pb.UpdateItemRequest(item_code="tea", detail=f"note: {text}")),
                counter.terminals.RecordCashMovement(movement(f"refund to {text}")),
            ):
                reason, text_told = await told(call)
                assert reason == REFUSED
                assert text not in text_told
        for request in (
            cart_pb.AddLinesRequest(cart_id=cart_id, lines=[line]),
            cart_pb.AddPaymentRequest(cart_id=cart_id, payment_method_code=PAN, deposit=yen(1)),
            cart_pb.CancelCartRequest(cart_id=PAN),
        ):
            method = getattr(counter.carts, type(request).__name__.removesuffix("Request"))
            assert (await told(method(request)))[0] == REFUSED
        # What only reads, or is not even a request: refused or not, it is logged and traced.
        for call in (
            items.GetItem(item_pb.GetItemRequest(item_code=PAN)),
            items.ListItems(item_pb.ListItemsRequest(page_token=PAN)),
            counter.carts.GetCart(cart_pb.GetCartRequest(cart_id=PAN)),
            items.ListItems(item_pb.ListItemsRequest(page_size=-1, category_code=PAN)),
        ):
            reason, text_told = await told(call)
            assert reason
            assert PAN not in text_told
        await sign_in(everything, "acme", PAN, "wrong")
        await strange_calls(everything, acme)
        # And the shop goes on.
        assert await counter.sell()
        await counter.till.give_up(sale)
        await until(lambda: b'"XADD" "{TRANLOG:' in redis.commands.upper(), "the sale is told to Redis")
        await everything_is_out(everything)
    assert "[card number]" in (everything.shop.var_dir / "log" / "item.log").read_text(), "what was asked is logged"
    assert await leaks(everything, {}) == []
    assert found_in(bytes(redis.commands), {}) == []
    for span in everything.collector.spans:
        assert found_in(span.SerializeToString(), {}) == []
    assert len(everything.collector.spans) > 50


def item(code: str, description: str) -> Item:
    """Goods."""
    return Item(item_code=code, description=description, unit_price=yen(1), category_code="all", tax_code="00")


def movement(comment: str) -> terminal_pb.RecordCashMovementRequest:
    """Cash that comes in."""
    return terminal_pb.RecordCashMovementRequest(kind=CASH_MOVEMENT_KIND_CASH_IN, amount=yen(1), comment=comment)


async def sign_in(everything: Leaky, tenant_id: str, user: str, password: str) -> None:
    """Somebody whom nobody knows."""
    async with grpc.aio.insecure_channel(everything.shop.system.services["account"]) as channel:
        identity: Any = IdentityServiceStub(channel)
        request = identity_pb.SignInRequest(tenant_id=tenant_id, user_name=user, password=password)
        reason, text = await told(identity.SignIn(request, timeout=5.0))
        assert reason == "UNAUTHENTICATED"
        assert user not in text
        assert password not in text


async def strange_calls(everything: Leaky, acme: Company) -> None:
    """Card numbers in metadata, in paths nobody serves, and in fields that no contract knows."""
    credential = credentials_dir(everything.shop.var_dir) / "admin-acme"
    token = await acme.office._credential.token()
    assert credential.exists()
    card: list[tuple[str, str | bytes]] = [
        ("x-anything", PAN), ("user-agent", f"till/{PAN}"), ("trunk-tenant", PAN), ("x-forwarded-for", PAN),
        (headers.TRACESTATE, f"shop={PAN}"), (headers.TRACEPARENT, f"00-{'a' * 32}-{'b' * 16}-01"),
        (headers.REQUEST_ID, f"till-{PAN}"), ("card-bin", PAN.encode()),
    ]  # fmt: skip
    options = [("grpc.primary_user_agent", f"till/{PAN}")]
    create = "/pos.item.v1.ItemService/CreateItem"
    async with grpc.aio.insecure_channel(everything.shop.system.services["item"], options=options) as channel:
        bearer: tuple[str, str | bytes] = ("authorization", f"Bearer {token}")
        known = item_pb.CreateItemRequest(item=item("unknown-1", "Unknown")).SerializeToString()
        plain = [one for one in card if one[0] not in {"trunk-tenant", "user-agent"}]
        key, card_key = (headers.IDEMPOTENCY_KEY, "unknown-1"), (headers.IDEMPOTENCY_KEY, PAN)
        send: Any = channel.unary_unary
        await send(create)(known + unknown_field(f"card {PAN}"), metadata=[bearer, key, *plain])
        assert (await told(send(create)(known, metadata=[bearer, *card])))[0]
        assert (await told(send(create)(known, metadata=[bearer, card_key])))[0] == "INVALID_ARGUMENT"
        assert (await told(send(f"/{PAN}/{PAN}")(b"", metadata=plain)))[0] == "UNIMPLEMENTED"
        assert (await told(send(create)(PAN.encode(), metadata=[bearer, *plain])))[0]


async def everything_is_out(everything: Leaky) -> None:
    """Waits until all that was told so far is where it is kept: what each service tells last is there."""
    marks = {name: secrets.token_hex(16) for name in everything.shop.system.services}
    for name, mark in marks.items():
        async with grpc.aio.insecure_channel(everything.shop.system.services[name]) as channel:
            send: Any = channel.unary_unary
            last = send("/trunk.policy.v1.CallStateService/GetCallState")(b"", metadata=[(headers.REQUEST_ID, mark)])
            assert (await told(last))[0] == "UNAUTHENTICATED"

    def missing() -> list[str]:
        traces = {span.trace_id.hex() for span in everything.collector.spans}
        logs = everything.shop.var_dir / "log"
        untraced = [f"no span of {name}" for name, mark in marks.items() if mark not in traces]
        return untraced + [
            f"no line of {name}" for name, mark in marks.items() if mark not in (logs / f"{name}.log").read_text()
        ]

    await until_none(missing)


async def leaks(everything: Leaky, canaries: dict[str, str], *, but: frozenset[Path] = frozenset()) -> list[str]:
    """What stands anywhere it must not."""
    shop = everything.shop
    pids = shop.left_over() | {os.getpid(), everything.redis.pid}
    found = await asyncio.to_thread(found_in_files, [everything.folder], canaries, but=but)
    found += found_in_processes(pids, canaries)
    return found + await found_in_metrics(everything.metrics_ports, canaries)


async def test_secrets_are_nowhere_but_where_they_belong(everything: Leaky, acme: Company, counter: Counter):
    """D16: wrong tokens, keys, passwords and PINs, and the right ones of a running shop: nobody is told any."""
    canaries = {name: f"canary-{name}-{secrets.token_hex(12)}" for name in ("token", "credential", "password", "key")}
    canaries["pin"] = f"{secrets.randbelow(10**12):012}"
    services = everything.shop.system.services
    answers = []
    for name, address in services.items():
        async with grpc.aio.insecure_channel(address) as channel:
            bearer = [("authorization", f"Bearer {canaries['token']}"), ("x-api-key", canaries["key"])]
            send: Any = channel.unary_unary
            asked = send("/trunk.policy.v1.CallStateService/GetCallState")(b"", metadata=bearer)
            answers.append(await told(asked))
            answers.append(("", await health(channel)))
            assert answers[-2][0] == "UNAUTHENTICATED", name
    async with grpc.aio.insecure_channel(services["account"]) as channel:
        identity: Any = IdentityServiceStub(channel)
        for credential in (canaries["credential"], f"k_0123456789ab.{canaries['credential']}"):
            request = identity_pb.ExchangeCredentialRequest(credential=credential)
            answers.append(await told(identity.ExchangeCredential(request, timeout=5.0)))
    await sign_in(everything, "acme", "somebody.else", canaries["password"])
    staff: Any = StaffServiceStub(acme.office.channel("store"))
    answers.append(await told(staff.CreateStaff(staff_pb.CreateStaffRequest(staff_id="p", name="P", pin="9" * 99))))
    await staff.CreateStaff(staff_pb.CreateStaffRequest(staff_id="s2", name="S", pin=canaries["pin"]))
    wrong = terminal_pb.SignInRequest(staff_id="s1", pin=f"{int(canaries['pin']) % 10**11:012}")
    answers.append(await told(counter.terminals.SignIn(wrong)))
    canaries["redis password"] = everything.redis_password
    canaries |= {f"secret of {name}": text for name, text in kept(everything)}
    await everything_is_out(everything)
    assert [name for name, canary in canaries.items() if any(canary in text for _, text in answers)] == []
    places = frozenset(
        {
            credentials_dir(everything.shop.var_dir),
            root_credential(everything.shop.var_dir),
            everything.shop.var_dir / "run" / "system.json",
            everything.folder / "redis-url",
        }
    )
    assert await leaks(everything, canaries, but=places) == []
    for span in everything.collector.spans:
        assert found_in(span.SerializeToString(), canaries) == []


async def health(channel: grpc.aio.Channel) -> str:
    """All that a server says of itself to anybody."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    told = []
    for name in ("", "dep.db", "dep.redis", "dep.account", "nobody"):
        try:
            told.append(str(await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5.0)))
        except grpc.aio.AioRpcError as error:
            told.append(f"{error.details()} {error.trailing_metadata()}")
    return " ".join(told)


def kept(everything: Leaky) -> Iterator[tuple[str, str]]:
    """The right secrets of the shop, from where they belong."""
    for path in [root_credential(everything.shop.var_dir), *credentials_dir(everything.shop.var_dir).rglob("*")]:
        if path.is_file() and path.suffix != ".json":
            # Before the point stands which key it is: that is no secret.
            yield path.name, path.read_text().strip().rpartition(".")[2]


async def test_secrets_are_closed_to_others(everything: Leaky):
    """D16: no file of the shop is open to others, but in folders that are closed to them."""
    open_ = list(reachable(everything.shop.var_dir))
    assert [f"{path} {mode:o}" for path, mode in open_ if mode & 0o077] == []
    names = {path.name for path, _ in open_}
    assert {"answers.secret", "root.credential", "account.db"} <= names
    assert stat.S_IMODE((everything.shop.var_dir / "run" / "system.json").stat().st_mode) == 0o600


def reachable(folder: Path) -> Iterator[tuple[Path, int]]:
    """Files that somebody else could come to, with their modes."""
    for path in folder.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir() and mode & 0o077:
            yield from reachable(path)
        elif path.is_file():
            yield path, mode


async def test_the_doctor_knows_this_shop(everything: Leaky):
    """It looks at the running processes, not at its own shell: what was set for this shop is found, nothing else is."""
    examined = await examine(everything.shop.settings)
    found = {one.check for one in findings(examined.facts)}
    assert examined.facts.settings.log_messages == "always"
    assert {"log_messages", "reflection", "profile", "issuer", "rate limit"} <= found
    assert not found & {"redis password", "file modes", "unreachable peers", "versions", "clock", "signing keys"}
