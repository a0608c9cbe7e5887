"""Every rpc of the system is sent mutations of requests that it has served.

MUTATIONS is how many each rpc gets, MUTATIONS_SEED which. A failure shows the seed, what was done, and the bytes.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from trunkline import headers
from trunkline.auth.credential import FileCredential
from trunkline.client import exchange

from deploy.local.sale import Line
from deploy.local.system import OPERATOR, credentials_dir
from tests.faults.isolation.cases import in_turn
from tests.faults.isolation.contract import Rpc, rpcs_of
from tests.faults.isolation.filling import filled
from tests.faults.isolation.rows import ROWS
from tests.faults.mutations.mutate import mutations
from tests.faults.mutations.recording import TENANT, RecordedCompany, Recording, recorded_day
from tests.faults.mutations.sending import Sending
from tests.shop.company import SOAP, TEA
from tests.shop.company import Counter as Till
from tests.shop.healed import healed
from tests.shop.logs import log_complaints
from tests.shop.running import RunningShop

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
COUNT = int(os.environ.get("MUTATIONS", "40"))
SEED = os.environ.get("MUTATIONS_SEED", "1")
AT_ONCE = 8
FRESH = 20
"""Mutations after which a cart is made anew: one that was accepted may have ended it."""
FORBIDDEN = {"UNKNOWN", "INTERNAL", "DATA_LOSS", "CANCELLED"}
REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
LAST = (
    "UpdateItem", "SetStorePrice", "UpdatePaymentMethod", "UpdateStaff", "DeleteItem", "RevokeApiKey", "DisableUser",
    "SetUserRoles", "CloseTerminal", "SignOut", "SealOpening",
)  # fmt: skip
"""What changes or takes away from the tenant what others need."""
IN_CART = {"AddPayment", "ResumeCart", "FinalizeCart"}
"""What is done with a cart that is being paid."""


class Mutants:
    """A running system, a recorded day, and what came of the mutations."""

    def __init__(self, tenant: RecordedCompany, till: Till, rpcs: list[Rpc], sending: Sending) -> None:
        self.tenant, self.till, self.rpcs, self._sending = tenant, till, rpcs, sending
        operator = credentials_dir(tenant.shop.var_dir) / OPERATOR
        self._operator = FileCredential(operator, partial(exchange, settings=tenant.shop.settings))
        self.codes: dict[str, Counter[str]] = {}
        """How calls have ended, by rpc."""
        self.tried: dict[str, str] = {}
        """How requests made from contracts were answered."""
        self.bad: list[str] = []
        """What must not be."""

    @property
    def recording(self) -> Recording:
        """The day."""
        return self.tenant.recording

    async def metadata(self, who: str) -> tuple[tuple[str, str], ...]:
        """What says who calls."""
        if who == "peer":
            token = await self._operator.token()
            return ((headers.AUTHORIZATION, f"Bearer {token}"), (headers.TENANT, TENANT))
        return ((headers.AUTHORIZATION, f"Bearer {await self.tenant.callers[who].token()}"),)

    async def complete(self) -> None:
        """Makes a request, from its contract, of every rpc that the day has not called; finds who may call it."""
        for rpc in sorted(in_turn(self.rpcs), key=lambda one: "Create" not in one.descriptor.name):
            path = f"/{rpc.name}"
            if path in self.recording.requests or rpc.descriptor.name in LAST:
                continue
            await self._try(rpc)
        for rpc in self.rpcs:
            if f"/{rpc.name}" not in self.recording.requests:
                request = filled(rpc, self.recording.names, ROWS[rpc.name].fields)
                who = "till" if "terminal" in rpc.name or "cart" in rpc.name else "office"
                self.recording.requests[f"/{rpc.name}"] = {
                    request.SerializeToString(): "peer" if rpc.descriptor.name == "SealOpening" else who
                }

    async def _try(self, rpc: Rpc) -> None:
        request = filled(rpc, self.recording.names, ROWS[rpc.name].fields)
        raw, told = request.SerializeToString(), {}
        for who in ("office", "till", "peer"):
            code, text, answer = await self._send(rpc, raw, who)
            if code not in REFUSED:
                self.tried[rpc.name] = f"{code} {text}"
                self.recording.note(f"/{rpc.name}", who, request, rpc.answer_class.FromString(answer))
                return
            told[who] = f"{code}: {text}"
        # Nobody is let in: mutations of it are refused before or after they are read.
        self.recording.requests[f"/{rpc.name}"] = {raw: "office"}

    async def run(self, rpc: Rpc, count: int) -> None:
        """Sends mutations of one rpc, spread over its recorded requests."""
        path, name = f"/{rpc.name}", rpc.descriptor.name
        codes = self.codes.setdefault(rpc.name, Counter())
        found = list(self.recording.requests[path].items())[:5]
        others = [raw for requests in self.recording.requests.values() for raw in requests if raw]
        for number in range(0, count, FRESH):
            raw, who = found[number // FRESH % len(found)]
            raw = await self._living(rpc, raw)
            seed = f"{SEED}/{rpc.name}/{number}"
            batch = list(mutations(raw, rpc.request_class, others, seed, min(FRESH, count - number)))
            for begin in range(0, len(batch), AT_ONCE):
                part = batch[begin : begin + AT_ONCE]
                answers = await asyncio.gather(*(self._send(rpc, mutant, who) for _, mutant in part))
                for (done, mutant), (code, text, _) in zip(part, answers, strict=True):
                    codes[code] += 1
                    if code in FORBIDDEN or "Traceback" in text or "protobuf" in text:
                        self.bad.append(f"{seed} {name}: {done}: {code} {text}: {mutant[:300].hex()}")

    async def _living(self, rpc: Rpc, raw: bytes) -> bytes:
        """The request, about a cart that is as the rpc needs it."""
        name = rpc.descriptor.name
        if not rpc.name.startswith("pos.cart.v1.CartService") or name == "CreateCart":
            return raw
        sale = await self.till.till.new_sale()
        await sale.add([Line(TEA, 2), Line(SOAP, 1)])
        if name in IN_CART:
            due = await sale.subtotal()
            await sale.pay("cash", due - 1 if name == "AddPayment" else due)
        request: Any = rpc.request_class.FromString(raw)
        request.cart_id = sale.cart_id
        found: bytes = request.SerializeToString()
        return found

    async def _send(self, rpc: Rpc, raw: bytes, who: str) -> tuple[str, str, bytes]:
        metadata = await self.metadata(who)
        return await self._sending.send(rpc.host, f"/{rpc.name}", raw, metadata, stream=rpc.descriptor.server_streaming)


def turn(rpc: Rpc) -> int:
    """When it is called."""
    return LAST.index(rpc.descriptor.name) if rpc.descriptor.name in LAST else -1


@asynccontextmanager
async def mutants(shop: RunningShop) -> AsyncIterator[Mutants]:
    """All that is needed."""
    rpcs = await rpcs_of(shop.system.services)
    sending = Sending(shop.system.services)
    try:
        async with recorded_day(shop) as (tenant, till):
            found = Mutants(tenant, till, rpcs, sending)
            await found.complete()
            yield found
    finally:
        await sending.close()


@pytest.mark.timeout(120 + COUNT * 10)
async def test_mutations(shop: RunningShop):
    """C19: mutations of every request never give UNKNOWN or INTERNAL, nor a traceback; the books still balance."""
    shop.new_log()
    async with mutants(shop) as on:
        for rpc in sorted(in_turn(on.rpcs), key=turn):
            await on.run(rpc, COUNT)
        total = sum(on.codes.values(), Counter[str]())
        print("\n".join(f"{name}: {dict(codes)}" for name, codes in on.codes.items()))
        print("in all:", total.total(), dict(total))
        assert on.bad == [], "\n".join(on.bad[:20])
        assert set(on.codes) == {rpc.name for rpc in on.rpcs}
        # They are looked at, not all turned away at the door; and many are fine.
        assert total["INVALID_ARGUMENT"] > total.total() // 4
        assert total["OK"] > total.total() // 20
    log = shop.new_log()
    assert "error_id" not in log
    # What an auditor wants to see of each call is no flood.
    assert [one for one in log_complaints(log, shop.var_dir) if "service acts for tenant" not in one] == []
    await healed(shop)
