"""Workers: a parent that keeps several processes of its own command on one port. They are started, never forked:
gRPC does not outlive a fork.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager

import structlog

from trunkline.server import BACKGROUND_END_S, PortInUse
from trunkline.settings import PlatformSettings, environment
from trunkline.telemetry.endpoint import serve_metrics
from trunkline.telemetry.merged import Merged
from trunkline.worker_link import VARIABLE, ParentLink

START_S = 60.0
"""Seconds within which a worker that replaces another must serve."""
PAUSE_S, PAUSE_CAP_S = 0.2, 10.0
"""Wait before one that died is followed by another; it doubles while they die young, up to the second."""
STEADY_S = 10.0
"""One that has lived longer did not die young, in seconds."""
ASK_S = 2.0
"""A worker that does not tell its counts within so many seconds is told of as it was."""
SPARE_S = 5.0
"""Seconds that a worker has to end on top of its drain; then it is killed."""
_log = structlog.get_logger("trunkline.workers")


class Worker:
    """One process of the command."""

    def __init__(self, number: int, port: int, command: Sequence[str]) -> None:
        self.number = number
        """No other that runs has it."""
        self.link = ParentLink()
        """The line to it."""
        self.leaving = False
        """Whether it was asked to end."""
        assert self.link.theirs is not None
        descriptor = self.link.theirs.fileno()
        self._process = subprocess.Popen(  # noqa: S603
            command,
            env={**environment(), VARIABLE: f"{number}:{port}:{descriptor}"},
            pass_fds=[descriptor],
            process_group=0,  # Ctrl-C reaches the parent only, which then ends the others in order
        )
        self.link.handed_over()
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self.ended = asyncio.create_task(self._watch())
        """Gives its exit status, once it has ended and everything it said was heard; negative: the signal."""

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def young(self) -> bool:
        """Whether it has lived for a short time only."""
        return asyncio.get_running_loop().time() - self._began < STEADY_S

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, if it lives."""
        if not self.ended.done():
            self._process.send_signal(number)

    async def _watch(self) -> int:
        listening = asyncio.create_task(self.link.listen())
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        handle = os.pidfd_open(self._process.pid)
        try:
            loop.add_reader(handle, gone.set)
            await gone.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        # Somebody it has started may hold its end of the line: not our worker any more.
        await asyncio.wait((listening,), timeout=1.0)
        listening.cancel()
        return self._process.wait()


async def run_workers(settings: PlatformSettings, port: int) -> int:
    """Runs this process's own command as workers on one port; gives the exit status of this process, their parent.

    Args:
        settings: of the platform; `workers` of them.
        port: to serve on; 0 picks a free one.

    Raises:
        PortInUse: somebody has the port, another group of workers perhaps.
        MetricsPortInUse: somebody has that of the metrics.
    """
    return await Workers(settings, port).run()


class Workers:
    """A group of workers. `run` keeps it until SIGTERM or SIGINT; SIGHUP replaces them one by one."""

    def __init__(self, settings: PlatformSettings, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._wanted_port = port
        self._port = 0
        self._command = [sys.executable, *sys.orig_argv[1:]]
        self._workers: set[Worker] = set()
        self._keeping: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._reload = asyncio.Event()
        self._merged = Merged()
        self._restarts = 0

    async def run(self) -> int:
        """Keeps the workers running; gives the exit status of the parent."""
        self._loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        with ExitStack() as stack:
            self._port = stack.enter_context(reserved(self._settings.listen_host, self._wanted_port))
            if self._settings.metrics_port is not None:
                endpoint = serve_metrics(self._settings.listen_host, self._settings.metrics_port, self)
                stack.enter_context(closing(endpoint))
                _log.info("metrics", port=endpoint.port)
            return await self._run()

    def expose(self) -> bytes:
        """Counts of all workers as one; called by a scrape, in its thread."""
        return asyncio.run_coroutine_threadsafe(self._counts(), self._loop).result(2 * ASK_S)

    async def _run(self) -> int:
        # The first alone: what keeps it from starting keeps all of them, and is told once.
        first = self._start()
        await self._first_of(first.link.serving.wait(), first.ended)
        if first.ended.done() and not self._ending.is_set():
            return max(first.ended.result(), 1)
        self._keep(first)
        for _ in range(self._settings.workers - 1):
            if not self._ending.is_set():
                self._keep(self._start())
        _log.info("workers started", port=self._port, workers=self._settings.workers)
        while not self._ending.is_set():
            await self._first_of(self._reload.wait())
            if self._reload.is_set() and not self._ending.is_set():
                self._reload.clear()
                await self._replace_all()
        return await self._end()

    def _start(self) -> Worker:
        taken = {worker.number for worker in self._workers}
        number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        worker = Worker(number, self._port, self._command)
        self._workers.add(worker)
        worker.ended.add_done_callback(lambda _: self._gone(worker))
        return worker

    def _gone(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._merged.keep(worker.link.counts)

    def _keep(self, worker: Worker) -> None:
        task = asyncio.create_task(self._keep_place(worker))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _keep_place(self, worker: Worker) -> None:
        """One that dies is followed by another, after a wait that grows while they die young."""
        pause = PAUSE_S
        while True:
            status = await worker.ended
            if worker.leaving or self._ending.is_set():
                return
            self._restarts += 1
            pause = min(2 * pause, PAUSE_CAP_S) if worker.young else PAUSE_S
            _log.warning("worker died", worker=worker.number, pid=worker.pid, status=status, another_in_s=pause)
            await self._first_of(asyncio.sleep(pause))
            if self._ending.is_set():
                return
            worker = self._start()

    async def _replace_all(self) -> None:
        """Each is asked to end once another serves in its place."""
        _log.info("replacing workers")
        for old in sorted(self._workers, key=lambda worker: worker.number):
            new = self._start()
            await self._first_of(new.link.serving.wait(), new.ended, asyncio.sleep(START_S))
            if self._ending.is_set():
                return
            if not new.link.serving.is_set() or new.ended.done():
                _log.error("the new worker does not serve; those that run stay", worker=new.number)
                await self._end_all([new])
                return
            if old.ended.done():
                # It died meanwhile, and somebody else has its place already.
                await self._end_all([new])
                continue
            self._keep(new)
            await self._end_all([old])
        _log.info("workers replaced")

    async def _end(self) -> int:
        late = await self._end_all(list(self._workers))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        _log.info("workers ended")
        return 1 if late else 0

    async def _end_all(self, workers: Sequence[Worker]) -> int:
        """Asks workers to end, and waits; gives how many had to be killed."""
        for worker in workers:
            worker.leaving = True
            worker.send(signal.SIGTERM)
        if not workers:
            return 0
        bound_s = self._settings.drain_wait_s + 2 * self._settings.drain_s + BACKGROUND_END_S + SPARE_S
        _, late = await asyncio.wait([worker.ended for worker in workers], timeout=bound_s)
        for worker in workers:
            if worker.ended in late:
                _log.error("worker does not end; killed", worker=worker.number, pid=worker.pid)
                worker.send(signal.SIGKILL)
        await asyncio.gather(*late)
        return len(late)

    def _interrupt(self) -> None:
        if self._ending.is_set():
            for worker in self._workers:
                worker.send(signal.SIGINT)
        self._ending.set()

    async def _first_of(self, *awaited: Awaitable[object]) -> None:
        """Returns when one of them is there, or when the group is asked to end."""
        given = [asyncio.ensure_future(one) for one in (*awaited, self._ending.wait())]
        await asyncio.wait(given, return_when=asyncio.FIRST_COMPLETED)
        lasting = {worker.ended for worker in self._workers}
        for one in given:
            if one not in lasting:
                one.cancel()

    async def _counts(self) -> bytes:
        workers = list(self._workers)
        told = await asyncio.gather(*(worker.link.ask(ASK_S) for worker in workers))
        counts: Mapping[int, bytes] = {worker.number: one for worker, one in zip(workers, told, strict=True)}
        return self._merged.text(counts) + self._own_counts().encode()

    def _own_counts(self) -> str:
        serving = sum(worker.link.serving.is_set() for worker in self._workers)
        return (
            "# HELP trunkline_workers Worker processes that serve.\n# TYPE trunkline_workers gauge\n"
            f"trunkline_workers {serving}\n"
            "# HELP trunkline_worker_restarts_total Workers started because another had died.\n"
            f"# TYPE trunkline_worker_restarts_total counter\ntrunkline_worker_restarts_total {self._restarts}\n"
        )


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Holds a port for the workers of this process, against everybody else; gives it, where 0 asks for a free one.

    Workers share it by SO_REUSEPORT, which would let another group of the same user in as well. So nobody may have it
    at the start; and a name in the same network namespace, that ends with this process, keeps two starts apart.

    Raises:
        PortInUse: somebody has it.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    family, address = found[0], found[4]
    with ExitStack() as stack:
        try:
            if port:
                with socket.socket(family) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not count
                    probe.bind(address)
            held = stack.enter_context(socket.socket(family))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(address)
            port = int(held.getsockname()[1])
            name = stack.enter_context(socket.socket(socket.AF_UNIX))
            name.bind(f"\0trunkline-workers-{address[0]}-{port}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PortInUse(f"{host}:{port} cannot be served on: {error.strerror}") from None
            raise PortInUse(f"{host}:{port} is in use by another process") from None
        yield port
