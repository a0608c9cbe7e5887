"""A day in a shop of its own tenant, and every request that was made of the services for it, with its answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from pos.account.v1.account_service_pb2 import CreateApiKeyRequest
from pos.account.v1.account_service_pb2_grpc import AccountServiceStub
from pos.account.v1.api_key_pb2 import ApiKey
from pos.item.v1.item_pb2 import Item
from pos.item.v1.item_service_pb2 import CreateItemRequest
from pos.item.v1.item_service_pb2_grpc import ItemServiceStub
from pos.store.v1.staff_service_pb2 import CreateStaffRequest
from pos.store.v1.staff_service_pb2_grpc import StaffServiceStub
from trunkline.client import CLIENT_ORDER, PeerChannel, connect
from trunkline.interceptors.chain import Policy
from trunkline.interceptors.client_call import ClientCall
from trunkline.interceptors.peer import Peer
from trunkline.method import Method

from deploy.local.calls import Caller
from deploy.local.customers import attend
from deploy.local.plan import Basket
from tests.shop.company import SOAP, TEA, Company, Counter, yen
from tests.shop.running import RunningShop

TENANT, STORE = "mutated", "mutations"
_LINES = ((TEA, 2), (SOAP, 1))
DAY = (
    Basket(_LINES),
    Basket(_LINES, tender="card"),
    Basket(_LINES, corrected=1, cancelled=2),
    Basket(_LINES, forgotten=SOAP, tender="card and cash"),
    Basket((), outcome="empty"),
    Basket(_LINES, outcome="given up"),
    Basket(_LINES, afterwards="void"),
    Basket(_LINES, afterwards="return"),
    Basket(_LINES, afterwards="return and void", cash_movement=10_000),
    Basket(_LINES, cash_movement=-3_000),
)
"""A customer of every kind."""


@dataclass(slots=True)
class Recording:
    """What was asked, and what was answered."""

    requests: dict[str, dict[bytes, str]] = field(default_factory=dict)
    """Distinct requests by the path of their rpc, in the order they were made; and who made each."""
    names: dict[str, str | int] = field(default_factory=lambda: dict.fromkeys(("user_name", "display_name"), "mutant"))
    """What stood in a field of that name, in a request or an answer."""
    learning: bool = True
    """What stands there later goes before what stood there earlier."""

    def note(self, path: str, who: str, request: Message, answer: Message) -> None:
        """Notes a call that was answered."""
        self.requests.setdefault(path, {})[request.SerializeToString()] = who
        for message in (request, answer):
            found = {name: value for name, value in _names(message) if value}
            self.names = {**self.names, **found} if self.learning else {**found, **self.names}

    def by(self, who: str) -> Any:
        """A link of the client chain that notes what somebody asks."""

        def link(method: Method, _: Peer) -> Policy[ClientCall, Any]:
            async def policy(call: ClientCall, proceed: Any) -> Any:
                answer = await proceed(call)
                if not (method.client_streaming or method.server_streaming):
                    self.note(method.path, who, call.request, answer)
                return answer

            return policy

        return link


_NAMES = re.compile(r".*(_id|_code|_no|_name)|name|description|comment|credential")


def _names(message: Message) -> Iterator[tuple[str, str | int]]:
    """Values of fields that name something, inner ones too."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for part in value if descriptor.is_repeated else [value]:
                yield from _names(part)
        elif not descriptor.is_repeated and _NAMES.fullmatch(descriptor.name):
            yield descriptor.name, value


class RecordedCaller(Caller):
    """A caller whose calls are noted."""

    link: Any = None
    """Notes them."""

    def channel(self, name: str) -> PeerChannel:
        """The channel to a service."""
        if name not in self._channels:
            self._channels[name] = connect(
                name,
                credential=self._credential,
                target=f"dns:///{self.system.services[name]}",
                settings=self.settings,
                order=(*CLIENT_ORDER, self.link),
            )
        return self._channels[name]

    async def token(self) -> str:
        """A token of it that is valid now."""
        return await self._credential.token()


class RecordedCompany(Company):
    """A tenant whose calls are noted."""

    def __init__(self, shop: RunningShop, tenant_id: str, stack: AsyncExitStack) -> None:
        super().__init__(shop, tenant_id, stack)
        self.recording = Recording()
        """What it has asked."""
        self.callers: dict[str, RecordedCaller] = {}
        """Who asked: `office` and `till`."""

    async def _caller(self, credential: Path) -> Caller:
        who = "till" if self.callers else "office"
        caller = RecordedCaller(
            self.shop.system,
            self.shop.settings,
            Caller.from_file(self.shop.system, self.shop.settings, credential)._credential,
        )
        caller.link = self.recording.by(who)
        self.callers[who] = caller
        return await self._stack.enter_async_context(caller)


async def _spare(tenant: RecordedCompany) -> None:
    """Things that may be changed and taken away: what is named last is what later requests name."""
    office = tenant.office
    item = Item(item_code="spare", description="spare", unit_price=yen(50), category_code="all", tax_code="00")
    await ItemServiceStub(office.channel("item")).CreateItem(CreateItemRequest(item=item))
    staff = CreateStaffRequest(staff_id="spare", name="Endo", pin="7310645528", roles=["cashier"])
    await StaffServiceStub(office.channel("store")).CreateStaff(staff)
    key = CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code=STORE, terminal_no=1)
    await AccountServiceStub(office.channel("account")).CreateApiKey(key)


@asynccontextmanager
async def recorded_day(shop: RunningShop) -> AsyncIterator[tuple[RecordedCompany, Counter]]:
    """A tenant that has traded a day, and has opened again."""
    async with AsyncExitStack() as stack:
        tenant = RecordedCompany(shop, TENANT, stack)
        await tenant.found()
        counter = await tenant.counter(STORE)
        await counter.open()
        for basket in DAY:
            await attend(counter.till, basket)
        await counter.till.close(0)
        await counter.till.open(1_000)
        await _spare(tenant)
        tenant.recording.learning = False
        yield tenant, counter
