"""Why a call behaves as it does: every value that holds for it, and where that comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from trunkline.method import CEILING_FACTOR, EXEMPT_SERVICES, Access, Method
from trunkline.overrides import CallOverrides, Given, effective
from trunkline.policies.breaker import BreakerSettings
from trunkline.policies.budget import RetryBudget
from trunkline.settings import PlatformSettings

CONTRACT = "contract"
"""Source of what stands in the `.proto` file."""
DEFAULT = "default"
"""Source of what holds where nothing is said."""
REPEATED = ("UNAVAILABLE", "RESOURCE_EXHAUSTED with push-back", "ABORTED/IN_PROGRESS")
"""Failures that a client repeats (policies/retry.py)."""
Value = bool | int | float | str | list[str]
"""A value as JSON has it; names that end in `_s` are seconds, 0 where it is off."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One value that holds for a call."""

    name: str
    """Such as `deadline_s`."""
    value: Value
    """The value."""
    source: str
    """`contract`, `setting TRUNKLINE_CALLS[key]`, `setting TRUNKLINE_<NAME>` or `default`."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A method, and what is known of it."""

    declared: Method
    holds: Method
    given: Mapping[str, Given]
    breaker: BreakerSettings | None
    settings: PlatformSettings

    def row(self, name: str, value: Value, *, default: bool = False, by: str = "") -> Explained:
        """A value of the contract, or of an override called by or name."""
        found = self.given.get(by or name)
        exempt = self.declared.service in EXEMPT_SERVICES
        return Explained(name, value, found.source if found else DEFAULT if default or exempt else CONTRACT)

    def setting(self, name: str, value: Value, *, field: str = "") -> Explained:
        """A value of the platform's settings."""
        given = (field or name) in self.settings.model_fields_set
        return Explained(name, value, f"setting TRUNKLINE_{(field or name).upper()}" if given else DEFAULT)


def explained(method: Method, overrides: CallOverrides, settings: PlatformSettings, *, target: str) -> list[Explained]:
    """Every value that holds for calls of a method at a target, in the order in which a call meets them.

    Raises:
        ContractError: the overrides weaken the contract.
    """
    holds = effective(method, overrides, target=target)
    breaker = overrides.breaker(method, target=target)
    about = _Question(method, holds, overrides.given(method, target=target), breaker, settings)
    return [*_deadlines(about), *_answers(about), *_attempts(about), *_breaker(about), *_server(about)]


def _deadlines(about: _Question) -> Iterator[Explained]:
    declared, holds = about.declared, about.holds
    yield about.row("deadline_s", holds.deadline_s)
    derived = declared.max_deadline_s == CEILING_FACTOR * declared.deadline_s
    yield about.row("max_deadline_s", holds.max_deadline_s, default=derived)


def _answers(about: _Question) -> Iterator[Explained]:
    declared, holds = about.declared, about.holds
    off = "" if holds.cache_ttl_s else "cache_ttl_s"
    yield about.row("cache_ttl_s", holds.cache_ttl_s, default=not declared.cache_ttl_s)
    yield about.row("stale_if_error_s", holds.stale_if_error_s, default=not declared.stale_if_error_s, by=off)
    topics = sorted(holds.invalidated_by)
    yield about.row("invalidated_by", topics, default=not declared.invalidated_by, by=off)


def _attempts(about: _Question) -> Iterator[Explained]:
    declared, holds, settings = about.declared, about.holds, about.settings
    if declared.client_streaming:
        yield Explained("max_attempts", 1, CONTRACT)
    elif holds.max_attempts:
        yield about.row("max_attempts", holds.max_attempts)
    else:
        yield about.setting("max_attempts", settings.retry_attempts, field="retry_attempts")
    yield about.row("repeat", _repeat(declared))
    yield about.row("idempotency_key", _key(declared))
    yield Explained("retry_codes", list(REPEATED), DEFAULT)
    for name in ("retry_backoff_base_s", "retry_backoff_cap_s", "retry_budget_ratio"):
        yield about.setting(name, getattr(settings, name))
    budget = RetryBudget()
    yield Explained("retry_budget_window_s", budget.window_s, DEFAULT)
    yield Explained("retry_budget_floor_per_s", budget.floor_per_s, DEFAULT)
    off = "hedging" if declared.hedge_delay_s and not holds.hedge_delay_s else ""
    yield about.row("hedge_delay_s", holds.hedge_delay_s, default=not declared.hedge_delay_s, by=off)


def _repeat(method: Method) -> str:
    if method.client_streaming:
        return "never: a stream of requests is sent once"
    return "safe: it changes nothing (NO_SIDE_EFFECTS)" if method.reads else "safe with its key (IDEMPOTENT)"


def _key(method: Method) -> str:
    return "none needed" if method.reads else "the application's, else connect() makes one a call"


def _breaker(about: _Question) -> Iterator[Explained]:
    preset = about.given.get("breaker")
    if preset is None:
        yield about.setting("breaker", about.settings.breaker)
    else:
        yield Explained("breaker", str(preset.value), preset.source)
    numbers = about.breaker or about.settings.breaker_settings()
    for field in fields(BreakerSettings):
        name = f"breaker_{field.name}"
        value: Value = getattr(numbers, field.name)
        if preset is not None:
            yield Explained(name, value, preset.source)
        elif getattr(about.settings, name, None) is not None:
            yield about.setting(name, value)
        else:
            yield about.setting(name, value, field="breaker")


def _server(about: _Question) -> Iterator[Explained]:
    declared, holds = about.declared, about.holds
    yield about.row("access", holds.access.value)
    if holds.access is Access.SCOPES:
        yield about.row("scopes", sorted(holds.scopes))
    yield about.row("cost", holds.cost, default=declared.cost == 1)
    yield about.row("audit", holds.audit, default=not declared.audit)
