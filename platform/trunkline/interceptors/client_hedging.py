"""The link of the client chain that makes a second attempt beside a slow first one. What to do is decided elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from trunkline import headers
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, Reply, failure_of
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.policies.hedging import Action, HedgedCall, HedgingPolicy, Step
from trunkline.policies.latency import LatencyWindow


def hedging(method: Method, peer: Peer) -> Policy[ClientCall, Any]:
    """Makes attempts beside slow ones; the first answer counts, and the others are cancelled."""
    latency = peer.latencies.setdefault(method.path, LatencyWindow())

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        peer.budget.called(peer.clock.monotonic())
        return await _Attempts(method, peer, latency, call, proceed).run()

    return policy


class _Attempts:
    """The attempts of one call, each in a task of its own."""

    def __init__(
        self,
        method: Method,
        peer: Peer,
        latency: LatencyWindow,
        call: ClientCall,
        proceed: Proceed[ClientCall, Any],
    ) -> None:
        self._peer = peer
        self._told = peer.told(method.path)
        self._latency = latency
        self._call = call
        self._proceed = proceed
        when = HedgingPolicy(method.hedge_delay_s, method.max_attempts or peer.retry.max_attempts)
        self._decision = HedgedCall(
            policy=when,
            retry=peer.retry,
            delay_s=when.delay_s(latency),
            deadline=call.deadline,
            spend=self._spend,
            uniform=peer.uniform,
        )
        self._running: dict[asyncio.Task[Any], tuple[ClientCall, float]] = {}
        self._timer: asyncio.Task[Any] | None = None
        self._refused = False

    async def run(self) -> Any:
        """The first answer, or the failure that ends the call."""
        step = self._decision.begin(self._now())
        try:
            while True:
                self._follow(step)
                task = await self._next()
                if task is None:
                    self._timer = None
                    step = self._decision.timer_fired(self._now())
                    continue
                attempt, began = self._running.pop(task)
                step, answer = self._ended(attempt, task)
                if step.action is Action.DONE:
                    self._latency.observe(self._now() - began)
                    return answer
        finally:
            self._leave()

    async def _next(self) -> asyncio.Task[Any] | None:
        """An attempt that has ended, an answered one first; None for the timer."""
        watched = [*self._running, *([self._timer] if self._timer else [])]
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in self._running if task in done]
        answered = (task for task in ended if not task.cancelled() and task.exception() is None)
        return next(answered, ended[0] if ended else None)

    def _follow(self, step: Step) -> None:
        if step.action is Action.START:
            self._start()
        # A failure changes when the next attempt is due, not only whether: the old timer counts no more.
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if step.timer_s is None else _task(self._peer.sleep(step.timer_s))

    def _start(self) -> None:
        attempt = self._call.fork()
        if self._call.attempts:
            attempt.attempt_metadata.append((headers.PREVIOUS_ATTEMPTS, str(self._call.attempts)))
            (self._told.hedged if self._running else self._told.retried)()
            if self._call.trace is not None:
                self._call.trace.event("hedge" if self._running else "retry", attempt=self._call.attempts + 1)
        self._call.attempts += 1
        attempt.attempts = self._call.attempts
        self._running[_task(self._proceed(attempt))] = (attempt, self._now())

    def _ended(self, attempt: ClientCall, task: asyncio.Task[Any]) -> tuple[Step, Any]:
        self._call.wire = attempt.wire
        try:
            answer = task.result()
        except ServiceError as error:
            step = self._decision.failed(failure_of(error), self._now())
            if step.action is Action.FAIL:
                error.exhausted = error.exhausted or self._call.attempts > 1 or self._refused
                raise
            return step, None
        return self._decision.answered(), answer

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task, (_, began) in self._running.items():
            if self._decision.ended is Action.DONE:
                # It was at least as slow as this: without the slow ones the quantile would sink with every hedge.
                self._latency.observe(self._now() - began)
            task.add_done_callback(_drop)
            task.cancel()

    def _spend(self, now: float) -> bool:
        if self._peer.budget.try_spend(now):
            return True
        self._told.refused()
        self._refused = True
        return False

    def _now(self) -> float:
        return self._peer.clock.monotonic()


def _task(work: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.ensure_future(work)
    return task


def _drop(task: asyncio.Task[Any]) -> None:
    """What comes too late is not wanted: a stream that has begun is cancelled, a failure is nobody's."""
    if not task.cancelled() and task.exception() is None and isinstance(task.result(), Reply):
        task.result().left()
