"""What is weak in a system, judged by facts alone. Each rule gives its findings; none looks anywhere itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from trunkline.cli.facts import Facts, RedisFacts

Severity = Literal["severe", "weak"]
"""severe: must not be so in production. weak: should not be so."""
LOOPBACK = re.compile(r"(127(\.\d+){3}|localhost|\[?::1\]?|unix)")
"""Hosts that only this machine reaches."""
KEY_AGE = timedelta(days=90)
"""Age at which a signing key should have been followed by another."""
SKEW_WEAK_S, SKEW_SEVERE_S = 2.0, 30.0
"""Difference of clocks that is worth a look, and from which valid tokens are refused (the verifier's leeway)."""
OPEN_FILES = 4096
"""Open files below which a server runs out of connections before it runs out of anything else."""
SAFE_VERSIONS = {"protobuf": ((5, 29, 6), (6, 33, 5)), "PyJWT": ((2, 13, 0),)}
"""Library → first version of each line in which known holes are closed (CVE-2026-0994, CVE-2026-48526)."""
DROPPING = "allkeys-"
"""How eviction policies begin that drop keys without a time to live: streams, whole."""
_PRIVATE = 0o600
_SCHEME = re.compile(r"^((dns|ipv[46]|xds):(//[^/]*/)?|(rediss?|https?)://)")
"""Of a gRPC target, perhaps with the server that is asked for it, and of other addresses."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something weak."""

    severity: Severity
    """How weak."""
    check: str
    """Which rule found it."""
    what: str
    """What is wrong."""
    mend: str
    """What to do."""


Rule = Callable[[Facts], Iterator[Finding]]
"""A rule."""


def findings(facts: Facts) -> list[Finding]:
    """All that is weak, the severe first."""
    found = [finding for rule in RULES for finding in rule(facts)]
    return sorted(found, key=lambda one: one.severity != "severe")


def unchecked(facts: Facts) -> dict[str, str]:
    """What could not be looked at → why."""
    nobody = "no system runs here that could be asked"
    missing = {
        "unreachable peers": nobody if facts.serving is None else "",
        "reflection": nobody if facts.reflecting is None else _silent(facts),
        "redis": "" if facts.redis else _no_redis(facts),
        "redis eviction": _untold(facts.redis, lambda redis: redis.eviction_policy),
        "redis persistence": _untold(facts.redis, lambda redis: redis.appends),
        "clock": "" if facts.redis else "there is no Redis that tells the time",
        "file modes": "" if facts.files is not None else f"there is no {facts.settings.var_dir} on this machine",
        "signing keys": "" if facts.key_times is not None else "the signing keys are not on this machine",
        "limits of processes": "" if facts.process is not None else nobody,
    }
    return {check: why for check, why in missing.items() if why}


def is_local(host: str) -> bool:
    """Whether only this machine reaches it."""
    return LOOPBACK.fullmatch(host) is not None


def host_of(address: str) -> str:
    """The host of a gRPC target or of an address with a scheme; `unix` for a socket."""
    if address.startswith("unix:"):
        return "unix"
    # What stands before the last @ is a name and a password, whatever they hold.
    rest = _SCHEME.sub("", address).rpartition("@")[2]
    place = rest.partition("/")[0]
    return place.rpartition(":")[0] or place


def _silent(facts: Facts) -> str:
    silent = [name for name, open_ in (facts.reflecting or {}).items() if open_ is None]
    return f"no answer from {', '.join(silent)}" if silent else ""


def _no_redis(facts: Facts) -> str:
    return "it does not answer" if facts.settings.redis_url else "REDIS_URL is not set"


def _untold(redis: RedisFacts | None, fact: Callable[[RedisFacts], object]) -> str:
    return "" if redis is None or fact(redis) is not None else "this user may not ask (CONFIG GET)"


def profile(facts: Facts) -> Iterator[Finding]:
    """The profile decides what is open."""
    if facts.settings.profile != "production":
        yield Finding(
            "weak",
            "profile",
            f"the profile is {facts.settings.profile}",
            "set TRUNKLINE_PROFILE=production, or unset it",
        )


def reflection(facts: Facts) -> Iterator[Finding]:
    """Reflection tells all contracts to anybody."""
    telling = [name for name, open_ in (facts.reflecting or {}).items() if open_]
    if telling:
        what = f"reflection is open: {', '.join(telling)} tell their contracts to anybody"
        yield Finding("severe", "reflection", what, "set TRUNKLINE_PROFILE=production and restart")


def plaintext(facts: Facts) -> Iterator[Finding]:
    """Tokens and data in the clear where others may listen."""
    if facts.settings.tls_files() is None:
        mend = "set TRUNKLINE_TLS_CERT_FILE, TRUNKLINE_TLS_KEY_FILE and TRUNKLINE_TLS_CA_FILE"
        if not is_local(facts.settings.listen_host):
            yield Finding("severe", "plaintext", f"serves in the clear on {facts.settings.listen_host}", mend)
        for name, target in sorted(facts.targets.items()):
            if not is_local(host_of(target)):
                yield Finding("severe", "plaintext", f"calls {name} in the clear at {target}", mend)
    for variable, url in (
        ("REDIS_URL", facts.settings.redis_url),
        ("TRUNKLINE_REGISTRY_URL", facts.settings.registry_url),
    ):
        if url.startswith("redis://") and not is_local(host_of(url)):
            yield Finding(
                "severe", "plaintext", f"speaks to Redis at {host_of(url)} in the clear", f"{variable}: rediss://"
            )
    collector = facts.settings.otlp_endpoint
    if collector and not collector.startswith("https://") and not is_local(host_of(collector)):
        what = f"sends traces in the clear to {host_of(collector)}"
        yield Finding("weak", "plaintext", what, "TRUNKLINE_OTLP_ENDPOINT: https://")


def redis_password(facts: Facts) -> Iterator[Finding]:
    """Whoever reaches Redis sees the events of all tenants."""
    if facts.redis is not None and not facts.redis.asks_password:
        local = is_local(host_of(facts.settings.redis_url))
        yield Finding(
            "weak" if local else "severe",
            "redis password",
            "Redis lets anybody in who reaches it",
            "give it a password (`requirepass` or an ACL user) and put it into REDIS_URL or the file of REDIS_URL_FILE",
        )


def redis_data(facts: Facts) -> Iterator[Finding]:
    """What Redis does with streams when memory or power is short."""
    if facts.redis is None:
        return
    policy = facts.redis.eviction_policy or ""
    if policy.startswith(DROPPING):
        what = f"Redis drops whole streams when memory is short (maxmemory-policy {policy})"
        yield Finding("severe", "redis eviction", what, "CONFIG SET maxmemory-policy noeviction")
    if facts.redis.appends is False:
        what = "Redis keeps nothing over a restart: what it loses is sent again from the outboxes, all of it"
        yield Finding("weak", "redis persistence", what, "CONFIG SET appendonly yes")


def clock(facts: Facts) -> Iterator[Finding]:
    """Tokens have times in them."""
    skew_s = abs(facts.redis.ahead_s) if facts.redis is not None else 0.0
    if skew_s > SKEW_WEAK_S:
        what = f"this machine's clock and that of Redis are {skew_s:.1f} s apart"
        yield Finding("severe" if skew_s > SKEW_SEVERE_S else "weak", "clock", what, "run NTP on both")


def file_modes(facts: Facts) -> Iterator[Finding]:
    """Secrets that others may read."""
    for one in facts.files or ():
        if one.mode & ~_PRIVATE & 0o777:
            yield Finding(
                "severe", "file modes", f"{one.path} is open to others (mode {one.mode:04o})", f"chmod 600 {one.path}"
            )


def signing_keys(facts: Facts) -> Iterator[Finding]:
    """A key that was stolen is of use until it is followed by another."""
    if facts.key_times:
        newest = max(facts.key_times.values())
        if facts.now - newest > KEY_AGE:
            what = f"the newest signing key is {(facts.now - newest).days} days old"
            yield Finding("weak", "signing keys", what, "trunkline keys rotate --dir var/account/signing-keys")


def defaults(facts: Facts) -> Iterator[Finding]:
    """What is the same in every system, and should not be."""
    if facts.settings.token_issuer == type(facts.settings).model_fields["token_issuer"].default:
        what = "tokens name the issuer that every system has by default"
        yield Finding("weak", "issuer", what, "set TRUNKLINE_TOKEN_ISSUER to a name of its own, everywhere at once")


def exposure(facts: Facts) -> Iterator[Finding]:
    """What is told to whoever asks, or written down."""
    settings = facts.settings
    if settings.metrics_port is not None and not is_local(settings.listen_host):
        what = f"metrics are told to anybody who reaches {settings.listen_host}"
        yield Finding("weak", "metrics", what, "let only the scraper reach TRUNKLINE_METRICS_PORT")
    if settings.log_messages == "always":
        what = "every request and answer is written into the log"
        yield Finding("severe", "log_messages", what, "TRUNKLINE_LOG_MESSAGES=failures or never")


def limits(facts: Facts) -> Iterator[Finding]:
    """What one tenant, or one leak, may take from all others."""
    if not facts.settings.rate_per_tenant:
        what = "one tenant may take all of a server"
        yield Finding("weak", "rate limit", what, "set TRUNKLINE_RATE_PER_TENANT to calls a second")
    if facts.process is None:
        return
    if facts.process.memory_bytes is None:
        what = "no limit of memory: a leak takes the machine before it takes the process"
        yield Finding("weak", "memory limit", what, "limit it with systemd's MemoryMax, or in the container")
    if facts.process.open_files is not None and facts.process.open_files < OPEN_FILES:
        what = f"{facts.process.open_files} open files are few: each caller and each database takes some"
        yield Finding("weak", "open files", what, f"ulimit -n {OPEN_FILES}, or LimitNOFILE of systemd")


def peers(facts: Facts) -> Iterator[Finding]:
    """Who should answer and does not."""
    for name, serves in sorted((facts.serving or {}).items()):
        if not serves:
            what = f"{name} does not say SERVING at {facts.targets.get(name, 'its address')}"
            yield Finding("severe", "unreachable peers", what, "trunkline ps; look at its log")


def versions(facts: Facts) -> Iterator[Finding]:
    """Libraries with known holes."""
    for name, text in sorted(facts.versions.items()):
        safe = SAFE_VERSIONS.get(name, ())
        if safe and not _is_safe(text, safe):
            least = ".".join(map(str, safe[-1]))
            yield Finding("severe", "versions", f"{name} {text} has known holes", f"{name} {least} or newer")


def _is_safe(version: str, safe: tuple[tuple[int, ...], ...]) -> bool:
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    same_line = [least for least in safe if least[0] == found[0]]
    return found >= same_line[0] if same_line else found >= safe[-1]


RULES: tuple[Rule, ...] = (
    profile,
    reflection,
    plaintext,
    redis_password,
    redis_data,
    clock,
    file_modes,
    signing_keys,
    defaults,
    exposure,
    limits,
    peers,
    versions,
)
"""All rules."""
