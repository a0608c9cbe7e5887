"""Another tenant's things are, for whoever asks, things that do not exist: every rpc of the system, by every caller."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable

import pytest
from google.protobuf.message import Message
from trunkline import headers

from tests.faults.isolation.cases import Case, cases, in_turn, uncovered
from tests.faults.isolation.contract import Rpc
from tests.faults.isolation.rows import CREATE, OK, ROWS, Row
from tests.faults.isolation.stage import Stage, Tenant
from tests.faults.isolation.wire import Answer, Sender

OPENS_NOTHING = frozenset(f"trunk.identity.v1.IdentityService/{name}" for name in ("ExchangeCredential", "SignIn"))
"""What needs a secret beside the name: without it the owner is told nothing either."""
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.asyncio(loop_scope="package")]


class Sweep:
    """Calls all cases, and keeps what is wrong with the answers."""

    def __init__(self, stage: Stage, caller: Tenant) -> None:
        self.cases = 0
        """Pairs of calls compared."""
        self.complaints: list[str] = []
        """What is wrong."""
        self.outcomes: dict[str, set[str]] = defaultdict(set)
        """How calls ended that named nothing of the caller's own, by rpc."""
        self._stage, self._caller = stage, caller
        self._keys = itertools.count()

    async def run(self, rpcs: list[Rpc]) -> None:
        """All cases, by all who call for the caller."""
        stage = self._stage
        for case in cases(rpcs, self._caller.names, stage.a.names, stage.ghosts):
            for sender in self._caller.senders.values():
                await self._compare(case, sender)

    async def _compare(self, case: Case, sender: Sender) -> None:
        one, other = case.requests()
        foreign = await self._call(case, one, sender)
        if case.whole:
            self.outcomes[case.rpc.name].add(foreign.outcome)
        if self._stage.a.text.encode() in foreign.raw:
            self.complaints.append(f"{sender.name}: {case}: the answer holds a text of another tenant")
        if case.foreign:
            self.cases += 1
            ghost = await self._call(case, other, sender)
            told, expected = foreign.without(case.one), ghost.without(case.other)
            if told != expected:
                self.complaints.append(f"{sender.name}: {case}:\n  {told}\n  where nothing is:\n  {expected}")

    async def _call(self, case: Case, request: Message, sender: Sender) -> Answer:
        key = (headers.IDEMPOTENCY_KEY, f"sweep/{self._caller.tenant_id}/{next(self._keys)}")
        return await self._stage.wire.call(case.rpc, request, (*sender.metadata, key))


async def test_every_rpc_is_covered(stage: Stage):
    """D12: An rpc that a server serves and that the table does not know fails here, by name."""
    complaints = uncovered(stage.contracts, stage.a.names)
    assert not complaints, "\n".join(complaints)


async def test_what_is_not_covered_is_told(stage: Stage):
    """D12: Without its row an rpc is named, so is a field that nobody fills, and a row of an rpc that is gone."""
    name = "pos.cart.v1.CartService/GetCart"
    rows = {**{rpc: row for rpc, row in ROWS.items() if rpc != name}, "pos.cart.v1.CartService/GetNothing": Row(OK)}
    names = {field: value for field, value in stage.a.names.items() if field != "entry_id"}
    told = "\n".join(uncovered(stage.contracts, names, rows))
    for word in (f"{name} is not covered", "nobody fills entry_id", "GetNothing is served nowhere"):
        assert word in told


@pytest.mark.usefixtures("unchanged")
async def test_ids_of_another_tenant(stage: Stage, record_property: Callable[[str, object], None]):
    """D10: What names another tenant's things is answered to the letter as what names nothing, and changes nothing."""
    sweep = Sweep(stage, stage.b)
    await sweep.run(in_turn(stage.rpcs))
    for rpc in in_turn(stage.rpcs):
        if ROWS[rpc.name].outcome not in sweep.outcomes[rpc.name]:
            sweep.complaints.append(f"{rpc.name}: nobody gets {ROWS[rpc.name].outcome}: {sweep.outcomes[rpc.name]}")
    counts = f"{len({rpc.name for rpc in stage.rpcs})} rpcs, {sweep.cases} cases"
    record_property("isolation", counts)
    print(counts)
    assert not sweep.complaints, "\n".join(sweep.complaints)


@pytest.mark.usefixtures("unchanged")
async def test_ids_of_another_tenant_for_who_has_nothing(stage: Stage):
    """D10: A tenant without a single thing learns no more by reading, nor by making what A has, last things first."""
    sweep = Sweep(stage, stage.empty)
    tried = [rpc for rpc in stage.rpcs if rpc.reads or ROWS[rpc.name].turn == CREATE]
    await sweep.run(in_turn(tried, backwards=True))
    assert sweep.cases
    assert not sweep.complaints, "\n".join(sweep.complaints)


async def test_what_is_looked_for_is_there(stage: Stage):
    """D10: A itself is told something else of its things than of nothing, by each read: the sweep can find a leak."""
    blind: list[str] = []
    for case in cases(in_turn(rpc for rpc in stage.rpcs if rpc.reads), stage.a.names, stage.a.names, stage.ghosts):
        if case.whole and case.foreign and case.rpc.name not in OPENS_NOTHING:
            one, other = case.requests()
            for sender in stage.a.senders.values():
                own = await stage.wire.call(case.rpc, one, sender.metadata)
                nothing = await stage.wire.call(case.rpc, other, sender.metadata)
                if own.without(case.one) != nothing.without(case.other):
                    break
            else:
                blind.append(f"{case}: A itself is told the same of nothing")
    assert not blind, "\n".join(blind)
