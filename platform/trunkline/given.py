"""What is given in settings that are more than a word or a number, read and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trunkline import overrides
from trunkline.overrides import CallOverrides
from trunkline.policies.credentials import Lists, parse

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
"""What an address of Redis starts with."""
SENTINEL_SCHEME = "redis+sentinel://"
"""What an address of Sentinels starts with: `redis+sentinel://host:26379,other:26379/mymaster/0`."""
SENTINEL_PORT = 26379
"""Where a Sentinel listens, unless told otherwise."""
_LONG = 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")


def host_of(given: str) -> str:
    """A host as sockets take it: a name or a number, one of IPv6 without brackets; ValueError for anything else."""
    if ":" not in given:
        if given and _NAME.fullmatch(given) is None:
            raise ValueError("it is no host: give a name or a number, without a port")
        return given
    try:
        return str(IPv6Address(given[1:-1] if given.startswith("[") and given.endswith("]") else given))
    except ValueError:
        raise ValueError("it is no host: give a name or a number, without a port") from None


def redis_of(url: str) -> str:
    """An address of Redis; ValueError where it is none, with nothing of what it holds."""
    if url and not url.startswith(REDIS_SCHEMES):
        raise ValueError(f"it starts with none of {', '.join(REDIS_SCHEMES)}")
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("it is no address, or its port is no number below 65536") from None
    return url


def redis_or_sentinels_of(url: str) -> str:
    """An address of Redis, or one of Sentinels; ValueError where it is neither, with nothing of what it holds."""
    if not url.startswith(SENTINEL_SCHEME):
        return redis_of(url)
    try:
        sentinels_of(url)
    except ValueError:
        raise ValueError("it is no address such as redis+sentinel://host:26379,other:26379/mymaster/0") from None
    return url


def sentinels_of(url: str) -> list[tuple[str, int]]:
    """Hosts and ports in an address of Sentinels; ValueError where it names none, or no master."""
    parts = urlsplit(url)
    there = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
    if not parts.path.strip("/") or not all(one.hostname for one in there):
        raise ValueError("it names no Sentinel, or no master")
    return [(str(one.hostname), one.port or SENTINEL_PORT) for one in there]


def postgres_of(url: str) -> str:
    """An address of PostgreSQL; ValueError where it is none, with nothing of what it holds."""
    if url and not url.startswith("postgresql://"):
        raise ValueError("it does not start with postgresql://")
    return url


def misspelt(variables: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Variables that are no settings and look like one, with the one that may be meant."""
    names = set(known)
    near = {one: get_close_matches(one, names, 1, 0.9) for one in variables if one not in names}
    return {one: found[0] for one, found in near.items() if found}


def address_of(host: str, port: int) -> str:
    """`host:port` as gRPC takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def credentials_of(given: Any) -> Lists:
    """What TRUNKLINE_CREDENTIALS lists by target; ValueError with all that is wrong."""
    return parse(given) if isinstance(given, str) else tuple(given)


def calls_of(given: object) -> CallOverrides:
    """What TRUNKLINE_CALLS changes of contracts; ValueError with all that is wrong."""
    if isinstance(given, CallOverrides):
        return given
    try:
        found = json.loads(given, object_pairs_hook=_once, parse_int=_number) if isinstance(given, str) else given
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{overrides.VARIABLE} is no JSON: {error}") from None
    if not isinstance(found, Mapping):
        # Not a TypeError: pydantic collects this one.
        raise ValueError(f'{overrides.VARIABLE} is no JSON object: give {{"item": {{"deadline_s": 2}}}}')  # noqa: TRY004
    return overrides.parse(found)


def read_file(told: Mapping[str, Any], variable: str, key: str) -> Mapping[str, Any]:
    """What was told, with the content of the file that `<variable>_FILE` names in place of the variable.

    Args:
        told: of settings, by variable or by field.
        variable: such as REDIS_URL.
        key: under which it is told.

    Raises:
        ValueError: both are set, or the file cannot be read.
    """
    path = told.get(f"{variable}_FILE") or told.get(f"{key.lower()}_file")
    if not path:
        return told
    if told.get(variable) or told.get(key.lower()):
        raise ValueError(f"{variable} and {variable}_FILE are both set: give one of them")
    try:
        return {**told, key: Path(path).read_text("ascii").strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{variable}_FILE: {path} cannot be read ({type(error).__name__})") from None


def _number(text: str) -> int | float:
    # Python reads no integer of thousands of digits. None that long is a good value: it is refused by name.
    return int(text) if len(text) < _LONG else float(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # JSON lets the last one win, and what the others said would be lost in silence.
        twice = sorted({name for name, _ in pairs if [one for one, _ in pairs].count(name) > 1})
        raise ValueError(f"{overrides.VARIABLE} has {', '.join(twice)} more than once: give each key once")
    return found
