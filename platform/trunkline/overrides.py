"""What settings change of a contract's policy, by target and method. Pure: it reads a dict, nothing else.

Access is only ever made stricter, and what the contract does not declare (a cache, hedging) is not turned on.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.method import EXEMPT_SERVICES, VERSION, Access, ContractError, Method
from trunkline.policies.breaker import PRESETS, BreakerSettings
from trunkline.policies.deadline import LONGEST_S
from trunkline.policies.retry import MOST_ATTEMPTS

VARIABLE = "TRUNKLINE_CALLS"
"""The setting that holds overrides."""
UNCHANGED = EXEMPT_SERVICES | {"trunk.policy.v1.CallStateService"}
"""gRPC services that every server has, whatever it serves: a target's key does not mean them."""
LONGEST_KEPT_S = 365 * 86400.0
"""No answer is kept longer, in seconds; more than this is taken for a slip."""
_TARGET = re.compile(r"[a-z][a-z0-9_-]*")
_RPC = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(/[A-Za-z_]\w*)?", re.ASCII)
_KEY_REMEDY = (
    "give a target (item), a service (pos.item.v1.ItemService), a method (pos.item.v1.ItemService/GetItem), "
    "or a target before one of these (item:pos.item.v1.ItemService)"
)
_STRICTER = {
    Access.PUBLIC: {Access.PUBLIC, Access.AUTHENTICATED, Access.SCOPES, Access.SERVICE},
    Access.AUTHENTICATED: {Access.AUTHENTICATED, Access.SCOPES, Access.SERVICE},
    # Not `service`: it looks at the sender, scopes at the caller. A service that works for nobody, or for
    # somebody without the scope, would get in where the contract keeps it out.
    Access.SCOPES: {Access.SCOPES},
    Access.SERVICE: {Access.SERVICE},
}


def _number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low < value <= high


def _whole(low: int, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one for one in value)


_SPAN = (_number(0.0, LONGEST_S), f"seconds above 0, at most {LONGEST_S:.0f}")
_KEPT = (lambda value: value == 0 or _number(0.0, LONGEST_KEPT_S)(value), "seconds, at most a year; 0 turns it off")
_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "deadline_s": _SPAN,
    "max_deadline_s": _SPAN,
    "max_attempts": (_whole(1, MOST_ATTEMPTS), f"a whole number from 1 to {MOST_ATTEMPTS}"),
    "hedging": (lambda value: isinstance(value, bool), "false, which turns it off, or true, which leaves it on"),
    "hedge_delay_s": _SPAN,
    "cache_ttl_s": _KEPT,
    "stale_if_error_s": _KEPT,
    "rate_per_s": (_number(0.0, 1e6), "calls a second above 0"),
    "cost": (_whole(1, 2**31 - 1), "a whole number from 1"),
    "audit": (lambda value: value is True, "true, or leave it out: what a contract audits stays audited"),
    "access": (lambda value: value in [one.value for one in Access], f"one of {', '.join(a.value for a in Access)}"),
    "scopes": (_names, "a list of scopes that is not empty"),
    "breaker": (lambda value: isinstance(value, str) and value in PRESETS, f"one of {', '.join(PRESETS)}"),
}


@dataclass(frozen=True, slots=True)
class Given:
    """One value that a setting gives."""

    key: str
    """Key it stands under."""
    value: Any
    """The value, of its type."""

    @property
    def source(self) -> str:
        """Where it comes from, for people: `setting TRUNKLINE_CALLS[item]`."""
        return f"setting {VARIABLE}[{self.key}]"


@dataclass(frozen=True, slots=True)
class CallOverrides:
    """What settings say of calls. False if they say nothing."""

    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """Key (target, service, method, or target and one of these) → values by name."""

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __str__(self) -> str:
        return json.dumps(self.entries, separators=(",", ":"))

    def given(self, method: Method, *, target: str = "") -> dict[str, Given]:
        """The values for a method of a target, by name; each from the most specific key that has it.

        A method is more specific than its service, that than a target, and each with a target than without.
        Health, reflection and the state of calls are given none: they stay as they are, whatever a target's key says.
        """
        if method.service in UNCHANGED:
            return {}
        name = method.path.removeprefix("/")
        keys = (target, method.service, f"{target}:{method.service}", name, f"{target}:{name}")
        return {one: Given(key, value) for key in keys for one, value in self.entries.get(key, {}).items()}

    def breaker(self, method: Method, *, target: str = "") -> BreakerSettings | None:
        """The breaker's numbers for a method of a target; None: those of the platform's settings hold."""
        found = self.given(method, target=target).get("breaker") if self.entries else None
        return PRESETS[found.value] if found else None

    def unknown(self, methods: Iterable[str], targets: Collection[str]) -> list[str]:
        """Keys that match none of these methods (by full name) or targets: they are another process's, or misspelt."""
        names = {name for method in methods for name in (method, method.partition("/")[0])}
        split = [(key, *_split(key)) for key in self.entries]
        return [key for key, target, rpc in split if (target and target not in targets) or (rpc and rpc not in names)]


def parse(raw: Mapping[str, Any]) -> CallOverrides:
    """Reads overrides from the object that the setting holds.

    Raises:
        ValueError: it has mistakes; the text has all of them, one a line.
    """
    mistakes = [mistake for key, values in raw.items() for mistake in _mistakes(key, values)]
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return CallOverrides({key: {name: _kept(value) for name, value in values.items()} for key, values in raw.items()})


def effective(method: Method, overrides: CallOverrides, *, target: str = "") -> Method:
    """The method as settings have it; the same object where they say nothing of it.

    Raises:
        ContractError: a setting weakens its access, or turns on what its contract does not declare.
    """
    given = overrides.given(method, target=target) if overrides else {}
    if not given:
        return method
    for name, remedy in _problems(method, given):
        raise ContractError(_told(given[name], name, remedy, [method]))
    return replace(method, **_changes(method, given))


def check(overrides: CallOverrides, methods: Iterable[Method], *, target: str = "") -> list[str]:
    """What is wrong with overrides of these methods, one line each; to be asked at start.

    A key that matches nothing here is no mistake: it is another process's.

    Args:
        overrides: of the settings.
        methods: all methods of the gRPC services that this process serves or calls.
        target: the service that has them; without one, every target that a key names beside
            them, and the one that their package is named after.
    """
    methods = list(methods)
    found: dict[tuple[Given, str, str], list[Method]] = {}
    for method in methods if overrides else ():
        for one in [target] if target else _targets(method, overrides):
            given = overrides.given(method, target=one)
            for name, remedy in _problems(method, given):
                told = found.setdefault((given[name], name, remedy), [])
                told.extend([method] if method not in told else [])
    lines = [_told(one, name, remedy, told) for (one, name, remedy), told in found.items()]
    return [*_missing(overrides, methods), *lines]


def home_of(service: str) -> str:
    """The target that the package of a gRPC service is named after: `item` for `pos.item.v1.ItemService`."""
    words = [word for word in service.split(".")[:-1] if not VERSION.fullmatch(word)]
    return words[-1] if words else ""


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _mistakes(key: Any, values: Any) -> Iterator[str]:
    where = f"{VARIABLE}[{' '.join(str(key).split())}]"
    target, rpc = _split(key) if isinstance(key, str) else ("", "")
    if not (target or rpc):
        yield f"{where}: {_KEY_REMEDY}"
    if rpc.partition("/")[0] in EXEMPT_SERVICES:
        yield f"{where}: health and reflection carry no policy: take the key out"
    if not isinstance(values, Mapping):
        yield f'{where}={_json(values)}: give an object of values, such as {{"deadline_s": 2}}'
        return
    wrong = [f"{where} {told}" for name, value in values.items() for told in _wrong(name, value)]
    yield from wrong
    if wrong:
        return
    if values.get("deadline_s", 0) > values.get("max_deadline_s", LONGEST_S):
        yield f"{where} max_deadline_s={values['max_deadline_s']}: give one that is not below deadline_s"
    if values.get("cache_ttl_s", 1) == 0 and values.get("stale_if_error_s", 0):
        yield f"{where} stale_if_error_s={values['stale_if_error_s']}: give a cache_ttl_s above 0, or leave it out"


def _wrong(name: Any, value: Any) -> Iterator[str]:
    if name not in _VALUES:
        near = difflib.get_close_matches(str(name), _VALUES, 1)
        yield f"{name}: there is no such value; give {near[0] if near else 'one of ' + ', '.join(_VALUES)}"
    elif not _VALUES[name][0](value):
        yield f"{name}={_json(value)}: give {_VALUES[name][1]}"


def _json(value: Any) -> str:
    return json.dumps(value, default=repr)


def _split(key: str) -> tuple[str, str]:
    """Target, and service or method; both empty for what is no key."""
    target, colon, rpc = key.rpartition(":")
    if not colon and _TARGET.fullmatch(key):
        return key, ""
    # A name without a dot or a slash is a target: only after a colon is it a service without a package.
    fits = _RPC.fullmatch(rpc) and (_TARGET.fullmatch(target) if colon else {".", "/"} & set(rpc))
    return (target, rpc) if fits else ("", "")


def _problems(method: Method, given: Mapping[str, Given]) -> Iterator[tuple[str, str]]:
    """Names of values that a method cannot be given, and the remedy."""
    for name in ("cache_ttl_s", "stale_if_error_s"):
        if not method.cache_ttl_s and name in given and given[name].value:
            yield name, "the contract declares no cache: name methods that have one, or give 0"
    for name in ("hedging", "hedge_delay_s"):
        if not method.hedge_delay_s and name in given and given[name].value:
            yield name, "the contract declares no hedging: name methods that have it"
    changed = {"deadline_s": method.deadline_s, "max_deadline_s": method.max_deadline_s}
    changed |= {name: given[name].value for name in changed if name in given}
    if changed["deadline_s"] > changed["max_deadline_s"]:
        name = "deadline_s" if "deadline_s" in given else "max_deadline_s"
        yield name, "the deadline would be above the longest one: give deadline_s and max_deadline_s together"
    yield from _access_problems(method, given)


def _access_problems(method: Method, given: Mapping[str, Given]) -> Iterator[tuple[str, str]]:
    if not given.keys() & {"access", "scopes"}:
        return
    access, scopes = _access(method, given)
    name = "access" if "access" in given else "scopes"
    if (access is Access.SCOPES) != bool(scopes):
        yield name, "access scopes and a list of scopes go together: give both, or neither"
    elif access not in _STRICTER[method.access] or (method.scopes and not scopes <= method.scopes):
        yield name, f"the contract says {method.access.value}, and settings only make it stricter: {_remedy(method)}"


def _remedy(method: Method) -> str:
    if method.scopes:
        return f"give some of its scopes ({', '.join(sorted(method.scopes))})"
    allowed = sorted(one.value for one in _STRICTER[method.access] - {method.access})
    return f"give {' or '.join(allowed)}" if allowed else "leave it out"


def _access(method: Method, given: Mapping[str, Given]) -> tuple[Access, frozenset[str]]:
    access = Access(given["access"].value) if "access" in given else method.access
    if "scopes" in given:
        return access, frozenset(given["scopes"].value)
    return access, method.scopes if access is Access.SCOPES else frozenset()


def _changes(method: Method, given: Mapping[str, Given]) -> dict[str, Any]:
    names = ("deadline_s", "max_deadline_s", "max_attempts", "hedge_delay_s", "cache_ttl_s", "stale_if_error_s")
    changes = {name: given[name].value for name in (*names, "rate_per_s", "cost", "audit") if name in given}
    if "hedging" in given and not given["hedging"].value:
        changes["hedge_delay_s"] = 0.0
    if not changes.get("cache_ttl_s", method.cache_ttl_s):
        # Without a cache there is nothing to give when stale, and nothing to make void.
        changes |= {"stale_if_error_s": 0.0, "invalidated_by": frozenset()}
    changes["access"], changes["scopes"] = _access(method, given)
    return changes


def _targets(method: Method, overrides: CallOverrides) -> list[str]:
    parts = (_split(key) for key in overrides.entries)
    beside = {target for target, rpc in parts if rpc and rpc in (method.service, method.path.removeprefix("/"))}
    return ["", *sorted(beside | {home_of(method.service)} - {""})]


def _missing(overrides: CallOverrides, methods: list[Method]) -> Iterator[str]:
    services = {method.service for method in methods}
    paths = [method.path.removeprefix("/") for method in methods]
    for key in overrides.entries:
        _, rpc = _split(key)
        if "/" in rpc and rpc.partition("/")[0] in services and rpc not in paths:
            near = difflib.get_close_matches(rpc, paths, 1)
            yield f"{VARIABLE}[{key}]: there is no such method; " + (f"give {near[0]}" if near else "take the key out")


def _told(given: Given, name: str, remedy: str, methods: list[Method]) -> str:
    shown = ", ".join(method.path.removeprefix("/") for method in methods[:3])
    more = f" and {len(methods) - 3} more" if len(methods) > 3 else ""
    return f"{VARIABLE}[{given.key}] {name}={_json(given.value)}: {remedy} ({shown}{more})"
