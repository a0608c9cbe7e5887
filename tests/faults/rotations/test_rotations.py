"""Keys, certificates and instances are exchanged at fifty calls a second, and no call fails."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from trunkline.auth.credential import ExchangedCredential
from trunkline.auth.key_files import key_file, make_key, read_keys, uses
from trunkline.auth.keys import PublicKeys
from trunkline.auth.tokens import Claims
from trunkline.auth.verifier import TokenVerifier
from trunkline.client import PeerChannel, connect
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.registry.redis import RedisRegistry
from trunkline.registry.registry import RegistryUnavailable
from trunkline.settings import PlatformSettings
from trunkline.testing.certificates import Authority, write
from trunkline.testing.ping import BENCH_SETTINGS, bench

from services.account.storage.signing_keys import SigningKeys
from tests.faults.calls.instance import BAD_LINES, ROOT
from tests.faults.rotations.program import reads
from tests.faults.rotations.steady import SECONDS, Steady, Swift, calls
from tests.shop.running import clean_environment
from tests.shop.waiting import until
from tests.trunkline.interceptors.people import Named, Verifier

pytestmark = pytest.mark.xdist_group("rotations")
MINUTES = 45.0
"""How many minutes of tokens and keys are seen in one run: the clock of identity is that much faster."""
ISSUER = BENCH_SETTINGS.token_issuer
USER = Claims(kind="user", subject="u", credential_id="c", tenant_id="acme", scopes=frozenset({"bench.read"}))


async def test_signing_keys(tmp_path: Path):
    """D7: a key is added, signs, and the one before it goes when its last token has expired, twice and more in a run
    that seems to last 45 minutes; verifiers and callers are never restarted.
    """
    clock = Swift(MINUTES * 60 / SECONDS)
    signing = SigningKeys(tmp_path, ISSUER, clock)

    async def exchange(_: str) -> tuple[str, datetime]:
        signed = signing.signer().sign(USER, audience=ISSUER)
        return signed.token, signed.expire_time

    public = PublicKeys(signing.listed, None, clock)
    verifier = TokenVerifier(public, ISSUER, ISSUER, clock)
    credential = ExchangedCredential(lambda: "credential", exchange, clock)
    seen = set()
    async with (
        bench(servicers=[reads()], service={"verifier": verifier}, credential=credential) as on,
        calls(on.channel) as steady,
    ):
        while len(steady.outcomes) < 0.95 * SECONDS * 50:
            found = uses(read_keys(tmp_path), clock.now())
            seen |= {one.key.key_id for one in found}
            for one in found:
                if one.state == "spent":
                    key_file(tmp_path, one.key.key_id).unlink()
            if {one.state for one in found} <= {"signing", "spent"}:
                make_key(tmp_path, clock.now())
            await asyncio.sleep(0.05)
    await public.close()
    await credential.close()
    assert len(seen) >= 3
    assert len(seen) - len(read_keys(tmp_path)) >= 1


async def test_certificates(tmp_path: Path):
    """D15: both ends are given certificates of another authority, in three steps, again and again."""
    authorities = [Authority("first"), Authority("second")]

    def step(number: int) -> None:
        now, following = authorities[number // 3 % 2], authorities[(number // 3 + 1) % 2]
        signer, *trusted = [[now], [now, following], [following, now]][number % 3]
        for name in ("ping", "cart"):
            write(tmp_path, name, signer, *trusted)

    step(0)
    async with (
        bench(servicers=[reads()], service={"verifier": Verifier()}, settings=_tls(tmp_path, "ping")) as on,
        connect(
            "ping",
            target=f"ipv4:127.0.0.1:{on.server.port}",
            settings=_tls(tmp_path, "cart"),
            credential=Named("reader"),
        ) as channel,
        calls(channel) as steady,
    ):
        number = 0
        while len(steady.outcomes) < 0.8 * SECONDS * 50:
            number += 1
            since = channel.replaced
            step(number)
            await _replaced(channel, since, steady)
    assert number >= 3


def _tls(folder: Path, name: str) -> PlatformSettings:
    files = {f"tls_{kind}_file": folder / f"{name}.{kind}.pem" for kind in ("cert", "key", "ca")}
    return BENCH_SETTINGS.model_copy(update=files)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Where instances register."""
    server = EmbeddedRedis(tmp_path / "redis")
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


def _start(folder: Path, url: str) -> subprocess.Popen[bytes]:
    environment = clean_environment(
        TRUNKLINE_PROFILE="test", TRUNKLINE_REGISTRY_URL=url, TRUNKLINE_VAR_DIR=folder / "var",
        TRUNKLINE_DRAIN_WAIT_S=0.5, TRUNKLINE_DRAIN_S=5,
    )  # fmt: skip
    command = [sys.executable, "-m", "tests.faults.rotations.program"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)


async def test_instances(registry: EmbeddedRedis, tmp_path: Path):
    """B1, B7: of two instances one after the other is ended, once its successor serves; their addresses are others each
    time, and the caller's channel is open all the while.
    """
    settings = BENCH_SETTINGS.model_copy(update={"registry_url": registry.url, "var_dir": tmp_path / "var"})
    known = RedisRegistry(registry.url)

    async def serving() -> set[int]:
        try:
            found = (await known.read(["rotated"]))["rotated"]
        except RegistryUnavailable:  # on a crowded machine an answer may take too long
            return set()
        return {one.pid for one in found if one.state == "serving"}

    running = [_start(tmp_path, registry.url) for _ in range(2)]
    exchanged = 0
    try:
        await until(lambda: _are(serving, running), "both serve")
        async with (
            connect("rotated", target="registry:///rotated", settings=settings, credential=Named("reader")) as channel,
            calls(channel) as steady,
        ):
            while len(steady.outcomes) < 0.7 * SECONDS * 50:
                running.append(_start(tmp_path, registry.url))
                await until(lambda: _are(serving, running), "the successor serves")
                # As an operator, or Kubernetes, does: the next one goes when this one is known to everybody.
                await _replaced(channel, exchanged, steady)
                oldest = running.pop(0)
                exchanged = channel.replaced
                oldest.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(oldest.wait, 30) == 0
                exchanged = max(exchanged, channel.replaced)
        assert exchanged >= 2
    finally:
        for one in running:
            one.send_signal(signal.SIGTERM)
        for one in running:
            await asyncio.to_thread(one.wait, 30)
        await known.close()
    log = (tmp_path / "log").read_text()
    assert [line for line in log.splitlines() if any(bad in line for bad in (*BAD_LINES, "Traceback"))] == []


async def _replaced(channel: PeerChannel, since: int, steady: Steady) -> None:
    await until(lambda: channel.replaced > since or bool(steady.failed), "the channel is replaced")
    assert not steady.failed


async def _are(serving: Callable[[], Awaitable[set[int]]], running: list[subprocess.Popen[bytes]]) -> bool:
    assert all(one.poll() is None for one in running)
    return {one.pid for one in running} <= await serving()
