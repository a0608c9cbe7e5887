"""Looks for what must be nowhere: in files, processes, metrics, traces, and what Redis is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

CARDS = ("4111111111111111", "378282246310005", "6304000000000000000")
"""Card numbers of the tests; of nothing else here."""
_BETWEEN = rb"[\s._/\x80-\xff-]{0,3}"


def _pattern(number: str) -> re.Pattern[bytes]:
    plain = _BETWEEN.join(rb"(?:%c|\xef\xbc%c)" % (digit, 0x90 + digit - 0x30) for digit in number.encode())
    return re.compile(rb"(?<!\d)" + plain + rb"(?!\d)")


_PATTERNS = {number: _pattern(number) for number in CARDS}
_OVERLAP_BYTES = 256


def found_in(content: bytes, canaries: Mapping[str, str]) -> list[str]:
    """Which card numbers, however written, and which canaries stand in some bytes."""
    cards = [f"card {number[:4]}…" for number, pattern in _PATTERNS.items() if pattern.search(content)]
    return cards + [name for name, canary in canaries.items() if canary.encode() in content]


def found_in_files(folders: list[Path], canaries: Mapping[str, str], *, but: frozenset[Path]) -> list[str]:
    """The same of all files in folders, but some."""
    return [
        f"{path}: {what}"
        for path in _files(folders)
        if not any(path.is_relative_to(one) for one in but)
        for what in found_in(_content(path), canaries)
    ]


def found_in_processes(pids: set[int], canaries: Mapping[str, str]) -> list[str]:
    """The same of the command lines, names and titles that everybody on the machine may read."""
    found = []
    for pid in pids:
        for name in ("cmdline", "comm", "status"):
            with suppress(OSError):
                content = Path("/proc", str(pid), name).read_bytes()
                found += [f"process {pid} {name}: {what}" for what in found_in(content, canaries)]
    return found


async def found_in_metrics(ports: range, canaries: Mapping[str, str]) -> list[str]:
    """The same of what metrics endpoints tell."""
    found = []
    for port in ports:
        body = await asyncio.to_thread(_read, f"http://127.0.0.1:{port}/metrics")
        assert b"grpc_server" in body, "it tells something"
        found += [f"metrics at {port}: {what}" for what in found_in(body, canaries)]
    return found


class Watched:
    """All commands that a Redis server was given while it was watched."""

    def __init__(self) -> None:
        self.commands = bytearray()


@asynccontextmanager
async def watched(port: int, password: str) -> AsyncIterator[Watched]:
    """Watches a Redis server with MONITOR, for the length of a block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seen = Watched()

    async def read() -> None:
        while chunk := await reader.read(1 << 16):
            seen.commands += chunk

    writer.write(f"AUTH {password}\r\nMONITOR\r\n".encode())
    task = asyncio.create_task(read())
    try:
        yield seen
    finally:
        task.cancel()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _read(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # a file that comes and goes, such as a WAL
