"""What `trunkline doctor` finds weak, by facts alone: each finding has a case where it appears, and one where not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from trunkline.cli.facts import Facts, FileFacts, ProcessFacts, RedisFacts
from trunkline.cli.findings import RULES, SAFE_VERSIONS, findings, host_of, is_local, unchecked
from trunkline.settings import PlatformSettings

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TLS = {name: Path("/etc/shop", name) for name in ("tls_cert_file", "tls_key_file", "tls_ca_file")}
SOUND_SETTINGS = PlatformSettings(
    profile="production",
    redis_url="redis://:secret@127.0.0.1:6379/0",
    token_issuer="shop",
    rate_per_tenant=100,
    log_messages="never",
    metrics_port=None,
    otlp_endpoint="",
)
SOUND_REDIS = RedisFacts(asks_password=True, eviction_policy="noeviction", appends=True, ahead_s=0.1)
SOUND = Facts(
    settings=SOUND_SETTINGS,
    now=NOW,
    targets={"item": "dns:///127.0.0.1:50051"},
    serving={"item": True},
    reflecting={"item": False},
    redis=SOUND_REDIS,
    files=(FileFacts(path=Path("var/a.pem"), mode=0o600), FileFacts(path=Path("var/b.pem"), mode=0o400)),
    key_times={"new": NOW - timedelta(days=89), "old": NOW - timedelta(days=400)},
    process=ProcessFacts(open_files=65536, memory_bytes=1 << 30),
    versions={"protobuf": "6.33.5", "PyJWT": "2.13.0"},
)
"""A system of which there is nothing to say."""


def settings(**changes: Any) -> dict[str, Any]:
    """Facts with other settings."""
    return {"settings": SOUND_SETTINGS.model_copy(update=changes)}


def redis(**changes: Any) -> dict[str, Any]:
    """Facts of another Redis."""
    return {"redis": replace(SOUND_REDIS, **changes)}


WEAK: dict[str, tuple[dict[str, Any], str, str]] = {
    "development": (settings(profile="development"), "weak", "profile"),
    "reflection": ({"reflecting": {"item": True}}, "severe", "reflection"),
    "listens to all": (settings(listen_host="0.0.0.0"), "severe", "plaintext"),
    "listens on a network": (settings(listen_host="10.0.0.7"), "severe", "plaintext"),
    "calls over a network": ({"targets": {"item": "dns:///item.shop:50051"}}, "severe", "plaintext"),
    "Redis over a network": (settings(redis_url="redis://:secret@redis:6379/0"), "severe", "plaintext"),
    "registry over a network": (settings(registry_url="redis://:secret@redis:6379/1"), "severe", "plaintext"),
    "traces over a network": (settings(otlp_endpoint="http://collector:4317"), "weak", "plaintext"),
    "open Redis here": (redis(asks_password=False), "weak", "redis password"),
    "open Redis elsewhere": (
        redis(asks_password=False) | settings(redis_url="rediss://redis:6379/0"), "severe", "redis password",
    ),
    "F7: drops any key": (redis(eviction_policy="allkeys-lru"), "severe", "redis eviction"),
    "F7: drops keys at random": (redis(eviction_policy="allkeys-random"), "severe", "redis eviction"),
    "no append-only file": (redis(appends=False), "weak", "redis persistence"),
    "clocks apart": (redis(ahead_s=-3.0), "weak", "clock"),
    "clocks far apart": (redis(ahead_s=31.0), "severe", "clock"),
    "readable by a group": ({"files": (FileFacts(path=Path("var/a.pem"), mode=0o640),)}, "severe", "file modes"),
    "readable by all": ({"files": (FileFacts(path=Path("var/a.pem"), mode=0o604),)}, "severe", "file modes"),
    "old key": ({"key_times": {"old": NOW - timedelta(days=91)}}, "weak", "signing keys"),
    "default issuer": (settings(token_issuer="trunkline"), "weak", "issuer"),
    "metrics for all": (settings(metrics_port=9464, listen_host="10.0.0.7", **TLS), "weak", "metrics"),
    "messages in logs": (settings(log_messages="always"), "severe", "log_messages"),
    "no rate limit": (settings(rate_per_tenant=0.0), "weak", "rate limit"),
    "no memory limit": ({"process": ProcessFacts(open_files=65536)}, "weak", "memory limit"),
    "few open files": ({"process": ProcessFacts(open_files=1024, memory_bytes=1)}, "weak", "open files"),
    "a peer is away": ({"serving": {"item": False}}, "severe", "unreachable peers"),
    "protobuf": ({"versions": {"protobuf": "6.33.4"}}, "severe", "versions"),
    "protobuf of the line before": ({"versions": {"protobuf": "5.29.5"}}, "severe", "versions"),
    "PyJWT": ({"versions": {"PyJWT": "2.12.1"}}, "severe", "versions"),
}  # fmt: skip
"""What is weak → the facts, how weak, and which rule says so."""

HARMLESS: dict[str, dict[str, Any]] = {
    "listens on a network with TLS": settings(listen_host="10.0.0.7", **TLS),
    "calls over a network with TLS": {**settings(**TLS), "targets": {"item": "dns:///item.shop:50051"}},
    "Redis over a network with TLS": settings(redis_url="rediss://:secret@redis:6379/0"),
    "Redis by a socket": settings(redis_url="unix:///run/redis.sock"),
    "traces over a network with TLS": settings(otlp_endpoint="https://collector:4317"),
    "traces here": settings(otlp_endpoint="http://127.0.0.1:4317"),
    "metrics here": settings(metrics_port=9464),
    "messages of failures": settings(log_messages="failures"),
    "drops what has a time to live": redis(eviction_policy="volatile-lru"),
    "later lines": {"versions": {"protobuf": "7.34.0", "PyJWT": "3.0.0rc1"}},
    "a line that is mended": {"versions": {"protobuf": "5.29.6"}},
    "any number of files": {"process": ProcessFacts(memory_bytes=1)},
    "nothing could be asked": {
        "serving": None, "reflecting": None, "redis": None, "files": None, "key_times": None, "process": None,
    },
}  # fmt: skip
"""What might look weak and is not."""


def test_of_a_sound_system_there_is_nothing_to_say():
    """No finding, and nothing that was not looked at."""
    assert findings(SOUND) == []
    assert unchecked(SOUND) == {}


@pytest.mark.parametrize(("changes", "severity", "check"), WEAK.values(), ids=list(WEAK))
def test_what_is_weak_is_found(changes, severity, check):
    """F7 and all others: exactly one finding, with what is wrong and how to mend it, without a secret."""
    (found,) = findings(replace(SOUND, **changes))
    assert (found.severity, found.check) == (severity, check)
    assert found.what
    assert found.mend
    assert "secret" not in f"{found.what} {found.mend}"


@pytest.mark.parametrize("changes", HARMLESS.values(), ids=list(HARMLESS))
def test_what_is_harmless_is_not(changes):
    """Nothing is found where there is nothing to mend."""
    assert findings(replace(SOUND, **changes)) == []


def test_every_rule_finds_something():
    """No rule is without its case."""
    cases = [replace(SOUND, **changes) for changes, _, _ in WEAK.values()]
    assert [rule.__name__ for rule in RULES if not any(list(rule(case)) for case in cases)] == []
    assert set(SAFE_VERSIONS) == set(SOUND.versions)


def test_the_severe_come_first():
    """Whoever reads only the first lines reads the worst."""
    weak = replace(SOUND, **settings(token_issuer="trunkline", log_messages="always", rate_per_tenant=0.0))
    assert [one.severity for one in findings(weak)] == ["severe", "weak", "weak"]


UNCHECKED: dict[str, dict[str, Any]] = {
    "unreachable peers": {"serving": None},
    "reflection": {"reflecting": {"item": None}},
    "redis": {"redis": None},
    "redis eviction": redis(eviction_policy=None),
    "redis persistence": redis(appends=None),
    "clock": {"redis": None},
    "file modes": {"files": None},
    "signing keys": {"key_times": None},
    "limits of processes": {"process": None},
}
"""What could not be looked at → the facts."""


@pytest.mark.parametrize(("check", "changes"), UNCHECKED.items())
def test_what_could_not_be_looked_at_is_told(check, changes):
    """With the reason; nobody takes silence for health."""
    assert unchecked(replace(SOUND, **changes))[check]


@pytest.mark.parametrize(
    ("address", "host", "local"),
    [
        ("dns:///127.0.0.1:50051", "127.0.0.1", True), ("dns:///[::1]:50051", "[::1]", True),
        ("dns:///localhost:1", "localhost", True), ("unix:///run/item.sock", "unix", True),
        ("dns:///item.shop:50051", "item.shop", False), ("ipv4:10.0.0.7:1", "10.0.0.7", False),
        ("redis://user:p@ss/word@redis:6379/0", "redis", False), ("https://collector", "collector", False),
        ("0.0.0.0", "0.0.0.0", False), ("127.1.2.3", "127.1.2.3", True), ("item:50051", "item", False),
        ("localhost.example.com:1", "localhost.example.com", False), ("dns://8.8.8.8/item:1", "item", False),
    ],
)  # fmt: skip
def test_where_an_address_leads(address, host, local):
    """Only loopback and sockets stay on this machine."""
    assert host_of(address) == host
    assert is_local(host) is local
