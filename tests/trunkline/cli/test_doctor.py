"""`trunkline doctor`: what it finds out, and how it tells it, with real servers, a real Redis and real files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from trunkline.auth.key_files import make_key
from trunkline.cli.examination import ask, examine, key_times, process_facts, redis_facts, settings_of
from trunkline.cli.findings import findings
from trunkline.events.streams.link import Link
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.launcher.ports import free_port
from trunkline.registry.system import RunningSystem, write_system
from trunkline.settings import PlatformSettings
from trunkline.testing.certificates import Authority, write
from trunkline.testing.ping import BENCH_SETTINGS, bench

PASSWORD = "sesame-3141592653"


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server without a password."""
    async with embedded_redis(tmp_path / "redis", persistent=True) as server:
        yield server


async def tell(server: EmbeddedRedis, *commands: tuple[str, ...], password: str = "") -> None:
    """Sends commands to a server."""
    url = server.url.replace("://", f"://:{password}@") if password else server.url
    link = Link(url, name="test")
    await link.connect()
    answers = await link.ask(commands)
    await link.close()
    assert not [one for one in answers if isinstance(one, Exception)]


async def test_asks_the_server_whether_it_reflects():
    """Open in development, closed in production, and not known of a server that is away."""
    for profile, open_ in (("development", True), ("production", False)):
        settings = BENCH_SETTINGS.model_copy(update={"profile": profile})
        async with bench(settings=settings) as on:
            assert await ask("ping", f"dns:///127.0.0.1:{on.server.port}", settings) == (True, open_)
    assert await ask("ping", f"dns:///127.0.0.1:{free_port()}", BENCH_SETTINGS) == (False, None)


async def test_asks_a_server_under_tls(tmp_path):
    """It is asked by the name that its certificate holds; files that belong to nobody are no answer."""
    files = write(tmp_path, "ping", Authority())
    told = {"tls_cert_file": files.certificate, "tls_key_file": files.key, "tls_ca_file": files.authority}
    settings = BENCH_SETTINGS.model_copy(update=told)
    async with bench(settings=settings) as on:
        target = f"127.0.0.1:{on.server.port}"
        assert await ask("ping", target, settings) == (True, False)
        assert (await ask("stock", target, settings))[0] is False
    files.key.write_bytes(b"")
    assert await ask("ping", target, settings) == (False, None)


async def test_asks_redis_what_it_does_with_streams(redis: EmbeddedRedis):
    """F7: policy, append-only file and clock are those of the server that runs."""
    found = await redis_facts(redis.url)
    assert found is not None
    assert (found.asks_password, found.eviction_policy, found.appends) == (False, "noeviction", True)
    assert abs(found.ahead_s) < 1.0
    await tell(redis, ("CONFIG SET", "maxmemory-policy", "allkeys-lru"), ("CONFIG SET", "appendonly", "no"))
    found = await redis_facts(redis.url)
    assert found is not None
    assert (found.eviction_policy, found.appends) == ("allkeys-lru", False)


async def test_a_user_who_may_not_ask_is_told(redis: EmbeddedRedis):
    """F8: where CONFIG is not ours to ask, nothing is claimed about it; a password is asked for, and a wrong one is."""
    rights = ("+ping", "+time", "+client", "+select", "+hello", "+auth")
    await tell(
        redis,
        ("ACL SETUSER", "shop", "on", f">{PASSWORD}", "~*", "&*", *rights),
        ("ACL SETUSER", "default", "off"),
    )
    found = await redis_facts(redis.url.replace("://", f"://shop:{PASSWORD}@"))
    assert found is not None
    assert (found.asks_password, found.eviction_policy, found.appends) == (True, None, None)
    assert await redis_facts(redis.url.replace("://", "://shop:wrong@")) is None
    assert await redis_facts(redis.url) is None


async def test_a_password_that_nobody_asks_for_is_none(redis: EmbeddedRedis):
    """A password in REDIS_URL means nothing where the server lets everybody in."""
    await tell(redis, ("ACL SETUSER", "shop", "on", f">{PASSWORD}", "~*", "&*", "+@all"))
    found = await redis_facts(redis.url.replace("://", f"://shop:{PASSWORD}@"))
    assert found is not None
    assert not found.asks_password


async def test_files_that_others_reach_are_looked_at(tmp_path: Path):
    """What stands in a folder that is closed to others is not reached; what settings name is looked at anywhere."""
    var_dir, elsewhere = tmp_path / "var", tmp_path / "credential"
    for path in (var_dir / "account" / "answers.secret", var_dir / "log" / "account.log", elsewhere):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o644)
    var_dir.chmod(0o755)
    (var_dir / "log").chmod(0o700)
    settings = PlatformSettings(var_dir=var_dir, credential_file=elsewhere, redis_url="")
    found = (await examine(settings)).facts.files
    assert found is not None
    assert {one.path: one.mode for one in found} == {elsewhere: 0o644, var_dir / "account" / "answers.secret": 0o644}


def test_signing_keys_tell_when_they_were_made(tmp_path: Path):
    """By their names; where there are none, nothing is claimed."""
    assert key_times(tmp_path / "none") is None
    made = make_key(tmp_path / "keys", datetime(2026, 1, 5, tzinfo=UTC))
    assert key_times(tmp_path / "keys") == {made.key_id: datetime(2026, 1, 5, tzinfo=UTC)}


def test_limits_are_those_of_the_process():
    """Open files as the system says; a process that is gone has none that anybody knows."""
    assert process_facts(os.getpid()).open_files
    assert process_facts(2**22 + 1).open_files is None


def test_settings_are_those_of_the_process_that_is_looked_at(monkeypatch):
    """Not those of this shell."""
    monkeypatch.setenv("TRUNKLINE_LOG_MESSAGES", "always")
    monkeypatch.setenv("REDIS_URL", "redis://here")
    found = settings_of({"TRUNKLINE_PROFILE": "development", "REDIS_URL": "redis://there", "TRUNKLINE_TRACE_RATIO": ""})
    assert (found.profile, found.redis_url, found.log_messages) == ("development", "redis://there", "never")


async def test_settings_alone_are_judged_without_a_system(run_trunkline, monkeypatch):
    """The table names what is weak and what could not be looked at; severe in production ends with 1, else with 0."""
    monkeypatch.setenv("TRUNKLINE_LISTEN_HOST", "10.0.0.7")
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0")
    monkeypatch.setenv("ITEM_SERVICE_TARGET", "dns:///item.invalid:50051")
    outcome = await run_trunkline("doctor")
    assert outcome.status == 1
    assert re.search(r"severe +plaintext +serves in the clear on 10.0.0.7 +set TRUNKLINE_TLS_CERT_FILE", outcome.out)
    assert re.search(r"severe +plaintext +calls item in the clear at dns:///item.invalid:50051", outcome.out)
    assert re.search(r"severe +unreachable peers +item does not say SERVING", outcome.out)
    assert "not checked: redis, it does not answer" in outcome.out
    assert PASSWORD not in outcome.out + outcome.err
    monkeypatch.setenv("TRUNKLINE_PROFILE", "test")
    assert (await run_trunkline("doctor")).status == 0
    assert (await run_trunkline("doctor", "--production")).status == 1


async def test_json_is_one_object(run_trunkline, var_dir, redis, tmp_path):
    """The same, for programs; here of a system of which one service is away."""
    async with bench() as on:
        services = {"ping": f"127.0.0.1:{on.server.port}", "away": f"127.0.0.1:{free_port()}"}
        write_system(var_dir, RunningSystem(services=services, redis_url=redis.url, launcher_pid=os.getpid()))
        outcome = await run_trunkline("doctor", "--json")
    told = json.loads(outcome.out)
    assert outcome.status == 1
    assert {(one["severity"], one["check"]) for one in told["findings"]} >= {
        ("severe", "unreachable peers"), ("weak", "redis password"), ("weak", "rate limit"),
    }  # fmt: skip
    assert all(one["what"] and one["mend"] for one in told["findings"])
    assert told["unchecked"]["reflection"] == "no answer from away"
    assert told["profile"] == "production"


async def test_an_installation_is_of_safe_versions():
    """Of the libraries that are installed here none has the known holes."""
    facts = (await examine(PlatformSettings(redis_url="", var_dir=Path("/nowhere")))).facts
    assert set(facts.versions) == {"protobuf", "PyJWT"}
    assert [one for one in findings(facts) if one.check == "versions"] == []
