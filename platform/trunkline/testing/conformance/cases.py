"""The cases: every chain, every rpc of it, every outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from trunkline.client import PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK
from trunkline.interceptors.host import Maker as ServerMaker
from trunkline.interceptors.peer import Maker as ClientMaker
from trunkline.overrides import parse
from trunkline.policies.breaker import BreakerState
from trunkline.testing.conformance.acts import acts
from trunkline.testing.conformance.chains import Chain, chains, names
from trunkline.testing.conformance.checks import TARGET, NotConforming, breaker_stuck, compare, counted, next_answered
from trunkline.testing.conformance.expected import Expected, Plan
from trunkline.testing.conformance.outcomes import Outcome, outcomes
from trunkline.testing.conformance.rpcs import Rpc, rpc_of
from trunkline.testing.conformance.servicers import (
    Holder,
    MemoryAnswers,
    ScriptedEffects,
    ScriptedPing,
    ScriptedPolicies,
    Tokens,
)
from trunkline.testing.conformance.stage import Stage
from trunkline.testing.conformance.watch import Watch, apart
from trunkline.testing.fault_proxy import LOOPBACK, FaultProxy
from trunkline.testing.ping import BENCH_SETTINGS, bench

SETTLE_S = 1.0
"""Seconds within which all that a call has begun must have ended after it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call through one chain that ends in one way."""

    chain: Chain
    """The links of both sides."""
    rpc: Rpc
    """What is called."""
    outcome: Outcome
    """How it ends."""

    def __str__(self) -> str:
        return f"{self.chain.name}/{self.rpc.name}/{self.outcome.name}"

    async def run(self, **options: Any) -> None:
        """Plays it on a bench of its own. Not to be run beside others: metrics and warnings are the process's.

        Args:
            options: of bench(), apart from `ping`, `servicers` and `service`: other settings, another chain.

        Raises:
            NotConforming: what happened is not what must; the text says all that differs.
        """
        with apart():
            problems = await self._run(options)
        if problems:
            raise NotConforming("\n  ".join([f"{self}:", *problems]))

    async def _run(self, options: dict[str, Any]) -> list[str]:
        async with self._open(options) as stage:
            await self.outcome.prime(stage)
            stage.forget()
            with Watch() as watch:
                return [*await self._play(stage, watch), *breaker_stuck(stage)]

    async def _play(self, stage: Stage, watch: Watch) -> list[str]:
        expected, before = self.outcome.expect(stage.plan), counted(stage.plan)
        await self.outcome.play(stage)
        left = await watch.settle(SETTLE_S)
        found = [*stage.problems, *left, *compare(stage, expected, counted(stage.plan) - before)]
        if found or not self._goes_on(expected):
            return found
        return [*await self._next(stage), *await watch.settle(SETTLE_S)]

    def _goes_on(self, expected: Expected) -> bool:
        return self.outcome.next and expected.breaker is not BreakerState.OPEN

    async def _next(self, stage: Stage) -> list[str]:
        """The call after: nothing of this one stands in its way."""
        handled, effects = stage.script.handled, stage.script.effects
        stage.script.codes, stage.script.stuck, stage.script.raises = (), 0, None
        stage.hedge_due.clear()
        # A change is repeated with its key; a read is another one, which no kept answer fits.
        await stage.ended(stage.calling("first" if stage.plan.rpc.method.mutates else "next"))
        return [*stage.problems, *next_answered(stage, handled, effects)]

    @asynccontextmanager
    async def _open(self, given: dict[str, Any]) -> AsyncIterator[Stage]:
        options = self._options(given)
        script, answers = self.outcome.script(self.rpc), MemoryAnswers()
        servicers = [ScriptedPolicies(script), ScriptedEffects(script, answers)]  # type: ignore[abstract]
        service = {"verifier": Tokens(), "answers": answers}
        links = names(options["client_order"]), names(options["server_order"])
        plan = Plan(self.rpc, *links, options["settings"].retry_attempts, self.chain.half_open)
        async with AsyncExitStack() as stack:
            on = await stack.enter_async_context(
                bench(ping=ScriptedPing(script), servicers=servicers, service=service, **options)
            )
            channel, proxy = on.channel, None
            if self.outcome.cuts:
                proxy = await stack.enter_async_context(FaultProxy(LOOPBACK, on.server.port))
                channel = await stack.enter_async_context(_through(proxy, options))
            await channel.channel_ready()
            yield Stage(plan, script, server=on.server, channel=channel, clock=options["clock"], proxy=proxy)

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of bench(): those of the case, and over them those that are given."""
        outcome = self.outcome
        order = {"client_order": self.chain.client, "server_order": self.chain.server}
        clock = outcome.clock() if outcome.clock else SYSTEM_CLOCK
        credential = Holder(outcome.token) if outcome.token is not None else None
        options = {"settings": BENCH_SETTINGS, "clock": clock, "credential": credential} | order | given
        changes: dict[str, Any] = {"drain_s": 0.0, **outcome.settings}
        if "credentials" in names(options["client_order"]):
            changes["calls"] = parse({self.rpc.method.path[1:]: {"access": outcome.access}})
        options["settings"] = options["settings"].model_copy(update=changes)
        return options


def _through(proxy: FaultProxy, options: dict[str, Any]) -> PeerChannel:
    same = {name: options[name] for name in ("credential", "settings", "clock")}
    return connect(TARGET, target=f"dns:///{proxy.target}", order=options["client_order"], **same)


def cases(
    only: Collection[str] | None = None,
    *,
    extra_client: tuple[ClientMaker, ...] = (),
    extra_server: tuple[ServerMaker, ...] = (),
) -> list[Case]:
    """The cases of the platform's own links; with extra links those of each of these alone, and of all together.

    Args:
        only: names of chains, such as `retry`, `server.deadline` or `full`; None: all.
        extra_client: makers of further links of the client; they stand innermost, where every attempt passes.
        extra_server: makers of further links of the server; they stand innermost, round the handler.

    Raises:
        ValueError: a name is none of a chain.
    """
    found = {chain.name: chain for chain in chains(extra_client, extra_server)}
    if only is not None and (unknown := set(only) - set(found)):
        raise ValueError(f"there is no chain {', '.join(sorted(unknown))}: there are {', '.join(found)}")
    ways = [*outcomes(), *acts()]
    every = [
        Case(chain, rpc, outcome)
        for chain in found.values()
        if only is None or chain.name in only
        for rpc in map(rpc_of, chain.rpcs)
        for outcome in ways
        if outcome.fits(chain, rpc)
    ]
    # Of links that every chain needs there is no chain without the others: what is the same is played once.
    return list({_played(case): case for case in reversed(every)}.values())[::-1]


def _played(case: Case) -> object:
    return case.chain.client, case.chain.server, case.chain.half_open, case.rpc.name, case.outcome.name
