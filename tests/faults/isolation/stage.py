"""The tenants of the sweep, in the shop that runs, and who calls for them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from pos.account.v1.tenant_pb2 import Tenant as TenantMessage
from trunkline import headers

from deploy.local.bootstrap import bootstrap
from deploy.local.system import OPERATOR, credentials_dir
from tests.faults.isolation.contract import Rpc, rpcs_of
from tests.faults.isolation.filling import Names, filled
from tests.faults.isolation.names import chosen, ghosts, second
from tests.faults.isolation.rows import NEW_PASSWORD, ROWS
from tests.faults.isolation.story import Step, apart, looking, opening, summing, trading
from tests.faults.isolation.wire import Answer, Metadata, Sender, Wire
from tests.shop.books import complaints
from tests.shop.running import RunningShop
from tests.shop.waiting import until_none

EXCHANGE, SIGN_IN = (f"trunk.identity.v1.IdentityService/{name}" for name in ("ExchangeCredential", "SignIn"))


@dataclass(frozen=True, slots=True)
class Told:
    """A call of a story, as it was made."""

    rpc: Rpc
    sender: str
    request: Message
    key: str
    answer: Answer


@dataclass
class Tenant:
    """A tenant, its things and its people."""

    tenant_id: str
    """The tenant."""
    text: str
    """What stands in all its texts, and nowhere else."""
    names: dict[str, str | int]
    """Its things, chosen and given."""
    senders: dict[str, Sender] = field(default_factory=dict)
    """Who calls for it, by name."""
    told: list[Told] = field(default_factory=list)
    """Its story."""


class Stage:
    """The running shop as six tenants see it: who is looked at, who looks, two alike, and two that have nothing."""

    def __init__(self, shop: RunningShop, rpcs: list[Rpc]) -> None:
        self.shop = shop
        """Where it runs."""
        self.contracts = rpcs
        """All rpcs that servers tell of."""
        self.rpcs: list[Rpc] = []
        """Those that are there: a contract may land before its code."""
        self.wire = Wire(shop.system.services)
        """How it is called."""
        self.a = _tenant("one", "isolation-owner", 71)
        """Whose things are looked for."""
        self.b = _tenant("two", "isolation-other", 72)
        """Who looks for them."""
        self.same = _tenant("one", "isolation-same", 71)
        """Has the same names for everything as A."""
        self.alike = _tenant("six", "isolation-alike", 76)
        """Has done what `same` has done, under names of its own."""
        self.empty = _tenant("new", "isolation-empty", 75)
        """Has nothing but a back office and the key of a till."""
        self.late = _tenant("new", "isolation-late", 75)
        """Has nothing else either, until it tries what A has done."""
        self._by_name = {rpc.name: rpc for rpc in rpcs}

    @property
    def ghosts(self) -> Names:
        """Names like A's, of things that nobody has."""
        return ghosts(self.a.names, chosen("isolation-ghost", "nil", 73, self.b.text))

    async def open(self) -> None:
        """Makes the tenants, and lets them trade until all that they have done has arrived everywhere."""
        for rpc in self.contracts:
            if (await self.wire.call(rpc, rpc.request_class(), ())).code != "UNIMPLEMENTED":
                self.rpcs.append(rpc)
        operator = await self._token(self._credential(OPERATOR))
        for tenant in (self.a, self.b, self.same, self.alike, self.empty, self.late):
            office = await self._office(tenant)
            tenant.senders["office"] = Sender("office", _bearer(await self._token(office)))
            tenant.senders["peer"] = Sender("peer", (*_bearer(operator), (headers.TENANT, tenant.tenant_id)))
        others = (self.b, self.same, self.alike)
        await asyncio.gather(
            *(self._found(one) for one in (self.a, *others)), *map(self._nothing, (self.empty, self.late))
        )
        await self.play(self.a, apart())
        # A first, and the others at once after it: what services keep of A for some seconds is there then.
        await self.play(self.a, trading(9))
        await asyncio.gather(*(self.play(one, trading(2)) for one in others))
        await self.settled()
        for steps in (summing, looking):
            await asyncio.gather(*(self.play(one, steps()) for one in (self.a, self.b, self.same, self.alike)))
            await self.settled()

    async def settled(self) -> None:
        """Returns when every event has arrived everywhere."""
        await until_none(lambda: asyncio.to_thread(complaints, self.shop.var_dir))

    async def play(self, tenant: Tenant, steps: Iterable[Step]) -> None:
        """Plays a part of the story; all of it must succeed, and under keys that all tenants use."""
        for step in steps:
            rpc = self._by_name[step.rpc]
            names = second(tenant.names, step.second) if step.second else tenant.names
            request = filled(rpc, names, {**ROWS[step.rpc].fields, **step.fields})
            key = f"story/{step.rpc}/{sum(told.rpc is rpc for told in tenant.told)}"
            metadata = (*tenant.senders[step.sender].metadata, (headers.IDEMPOTENCY_KEY, key))
            answer = await self.wire.call(rpc, request, metadata)
            assert answer.code == "OK", f"{tenant.tenant_id}: {step.rpc}: {answer.outcome}: {answer.text}"
            assert headers.REPLAYED not in answer.trailers, f"{tenant.tenant_id} gets another's answer to {step.rpc}"
            tenant.told.append(Told(rpc, step.sender, request, key, answer))
            for name, path in step.learns.items():
                tenant.names[name] = _at(json.loads(answer.body), path)

    async def _found(self, tenant: Tenant) -> None:
        await self.play(tenant, opening())
        await self._till(tenant, str(tenant.names.pop("till")))
        user = await self._answered(SIGN_IN, {**tenant.names, "password": NEW_PASSWORD})
        tenant.senders["user"] = Sender("user", _bearer(user))
        tenant.names["credential"] = f"{tenant.names['api_key_id']}.not-the-secret-of-it"

    async def _nothing(self, tenant: Tenant) -> None:
        """Only its till has a key, for a terminal that it does not have."""
        await self.play(tenant, [step for step in opening() if "till" in step.learns])
        await self._till(tenant, str(tenant.names.pop("till")))

    async def _till(self, tenant: Tenant, credential: str) -> None:
        tenant.senders["till"] = Sender("till", _bearer(await self._token(credential)))

    async def _office(self, tenant: Tenant) -> str:
        message = TenantMessage(tenant_id=tenant.tenant_id, name=tenant.text, currency_code="JPY", language_code="en")
        name = f"office-{tenant.tenant_id}"
        await bootstrap(self.shop.system, self.shop.settings, message, name)
        return self._credential(name)

    def _credential(self, name: str) -> str:
        return (credentials_dir(self.shop.var_dir) / name).read_text().strip()

    async def _token(self, credential: str) -> str:
        return await self._answered(EXCHANGE, {"credential": credential})

    async def _answered(self, name: str, names: Names) -> str:
        rpc = self._by_name[name]
        answer = await self.wire.call(rpc, filled(rpc, names, {}), ())
        assert answer.code == "OK", answer.outcome
        return str(json.loads(answer.body)["token"])


async def staged(shop: RunningShop) -> Stage:
    """The stage, with everybody on it."""
    stage = Stage(shop, await rpcs_of(shop.system.services))
    await stage.open()
    return stage


def _tenant(tag: str, tenant_id: str, terminal_no: int) -> Tenant:
    text = f"text {secrets.token_hex(8)}"
    return Tenant(tenant_id, text, chosen(tenant_id, tag, terminal_no, text))


def _bearer(token: str) -> Metadata:
    return ((headers.AUTHORIZATION, f"Bearer {token}"),)


def _at(body: Any, path: str) -> str | int:
    for part in path.split("."):
        body = body[int(part)] if part.isdigit() else body[part]
    # JSON has numbers of 64 bits as text.
    return int(body) if str(body).isdigit() else str(body)
