"""Workers, what identity and limits cost, and what a server does beyond what it can: `python -m bench.scale`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import Progress
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.server import SERVER_ORDER
from trunkline.telemetry.logs import configure_logs
from trunkline.testing.ping import BENCH_SETTINGS, bench

from bench.paths.bare import Call, read_servicer
from bench.paths.bearer import Bearer, bearer
from bench.report import Result, console, content, ratio, show, write
from bench.rounds import Measured, Pair, measure_round, p50, rate, rotated, slices, spread, warm
from bench.scaling.load import NotInstalled, h2load, offered
from bench.scaling.process import serving, settled

ROUNDS, QUICK_ROUNDS = 9, 2
"""Rounds of a measurement that counts, and of a look."""
TITLE = "servers under load; calls of one process are full chains on both sides, on loopback"
PROGRAM = "bench.scaling.program"
"""The server."""
BURN_MS = 6.0
"""Milliseconds of CPU that a call takes where there are too many of them: as much as one of a sale does, on average."""
OFFER_S = 5.0
"""Seconds of one slice of offered calls."""
SHARES = (0.7, 0.8, 0.9)
"""Of what the work alone would allow: where the most that is answered in time is looked for."""
OVERLOAD = 3.0
"""How much more is offered than the server can do."""
GOALS = {
    "workers_2_rate": 1.6, "workers_2_rate_1ms": 1.6, "auth_cached_p50": 1.05, "auth_cached_cpu": 1.05,
    "rate_local_p50": 1.02, "rate_local_cpu": 1.02, "goodput_overload": 0.9,
}  # fmt: skip
IDENTITY = {"authentication", "authorization"}
"""Links that find out who calls and whether they may."""
FAST = 10**9
"""Calls a second of a limit that nobody reaches."""


async def workers(rounds: int, progress: Progress) -> list[Result]:
    """Two workers beside one, by h2load: calls with no work in them, and such with a millisecond of it."""
    return [
        *await _workers(rounds, progress, 0.0, "workers_2_rate"),
        *await _workers(rounds, progress, 1.0, "workers_2_rate_1ms"),
    ]


async def _workers(rounds: int, progress: Progress, work_ms: float, name: str) -> list[Result]:
    ours, theirs, again = [], [], []
    step = progress.add_task(name, total=rounds)
    # A floor above the connections: nothing may be refused here, a refusal is quick.
    told = {"TRUNKLINE_MIN_CONCURRENT_CALLS": 128, "BURN_MS": work_ms}
    async with serving(PROGRAM, **told) as one, serving(PROGRAM, TRUNKLINE_WORKERS=2, **told) as two:
        await settled(two, 2)
        for server in (one, two):
            await h2load(server)
        for _ in range(rounds):
            before = await h2load(one)
            ours.append(await h2load(two))
            after = await h2load(one)
            theirs.append((before + after) / 2)
            again.append((before, after))
            progress.advance(step)
    noise = ratio(f"noise_{name}", [a for _, a in again], "one worker", [b for b, _ in again], better="higher")
    return [_result(name, ours, "one worker", theirs, "higher"), noise]


async def overload(rounds: int, progress: Progress) -> list[Result]:
    """Answers in time while three times as many calls are made as a server can answer, beside those at what it can."""
    ours, theirs = [], []
    step = progress.add_task("overload", total=rounds)
    async with serving(PROGRAM, BURN_MS=BURN_MS) as server:
        most = await _most(server.address)
        # Once before it counts: how many calls it may run at once is found out under load, within a second or two.
        await offered(server.address, OVERLOAD * most, OFFER_S)
        for _ in range(rounds):
            at = await offered(server.address, most, OFFER_S)
            over = await offered(server.address, OVERLOAD * most, OFFER_S)
            theirs.append(at["OK"] / OFFER_S)
            ours.append(over["OK"] / OFFER_S)
            progress.advance(step)
    return [_result("goodput_overload", ours, "goodput at capacity", theirs, "higher")]


async def _most(address: str) -> float:
    """Calls a second that a server can answer in time: the most of several rates."""
    found = [(await offered(address, share * 1000 / BURN_MS, OFFER_S))["OK"] / OFFER_S for share in SHARES]
    return max(found)


@asynccontextmanager
async def chain(bearer: Bearer, *, without: frozenset[str] = frozenset(), **settings: Any) -> AsyncIterator[Call]:
    """A call through both chains, without some links of the server's."""
    order = tuple(maker for maker in SERVER_ORDER if maker.__name__ not in without)
    chosen = BENCH_SETTINGS.model_copy(update=settings)
    async with bench(
        servicers=[read_servicer()],
        service={"verifier": bearer.verifier()},
        credential=bearer.credential(),
        settings=chosen,
        server_order=order,
    ) as running:
        read: Any = pb_grpc.EffectServiceStub(running.channel).Read
        yield lambda: read(pb.ReadRequest())


async def links(rounds: int, progress: Progress) -> list[Result]:
    """What identity and limits add to a call."""
    measured, cpu, rates = Measured(), Measured(), Measured()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        redis = EmbeddedRedis(folder)
        await redis.start()
        stack.push_async_callback(redis.stop)
        caller = stack.enter_context(bearer())
        limit: dict[str, Any] = {"rate_per_tenant": FAST}
        ways = {
            "plain": chain(caller),
            "again": chain(caller),
            "no_auth": chain(caller, without=frozenset(IDENTITY)),
            "rate_local": chain(caller, **limit),
            "rate_redis": chain(caller, **limit, rate_store="redis", redis_url=redis.url),
        }
        calls = {name: await stack.enter_async_context(way) for name, way in ways.items()}
        await warm(calls)
        pairs = [Pair(name, "plain", 3) for name in ways if name != "plain"]
        order = list(spread(pairs))
        step = progress.add_task("links", total=2 * rounds * sum(1 for _ in slices(order)))

        def advance() -> None:
            progress.advance(step)

        for number in range(rounds):
            turned = rotated(order, number)
            await measure_round(calls, turned, p50, [measured], advance)
            await measure_round(calls, turned, rate, [rates, cpu], advance)
    found = []
    for pair in pairs:
        for taken, suffix in ((measured, "p50"), (cpu, "cpu")):
            ours, theirs = taken.subjects(pair), taken.yardsticks(pair)
            if pair.subject == "no_auth":
                found.append(_result(f"auth_cached_{suffix}", theirs, "without identity", ours, "lower"))
            else:
                name = {"again": "noise_links"}.get(pair.subject, pair.subject)
                found.append(_result(f"{name}_{suffix}", ours, "no limit", theirs, "lower"))
    return found


def _result(name: str, ours: Sequence[float], against: str, theirs: Sequence[float], better: str) -> Result:
    return ratio(name, ours, against, theirs, goal=GOALS.get(name), better=better)


PARTS = {"workers": workers, "links": links, "overload": overload}
"""What is measured, by the name for `--only`."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, for a look; nothing is kept")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds, {ROUNDS} by default")
    parser.add_argument("--only", choices=PARTS, help="one part; nothing is kept")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, everything else on stderr")
    return parser.parse_args(argv)


async def measure(args: argparse.Namespace, out: Console) -> None:
    """Measures, prints, and keeps what was measured whole."""
    rounds, found, missing = QUICK_ROUNDS if args.quick else args.rounds, [], []
    with Progress(console=out, transient=True) as progress:
        for name, part in PARTS.items():
            if args.only in (None, name):
                try:
                    found += await part(rounds, progress)
                except NotInstalled as why:
                    missing.append((f"{name}: not measured", str(why)))
    show(TITLE, found, missing, out=out)
    if args.json:
        print(json.dumps(content("scale", found), indent=2))
    if args.only or args.quick or missing:
        out.print("nothing kept: not everything was measured, or not as it should be")
    else:
        out.print(f"kept in {write('scale', found)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs it."""
    args = arguments(sys.argv[1:] if argv is None else argv)
    configure_logs("bench", "error")
    asyncio.run(measure(args, console(stderr=args.json)))


if __name__ == "__main__":
    main()
