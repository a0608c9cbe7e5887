"""Settings: which there are, what they may be, and which value holds where."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.kernel.failure import InvalidInput, NotFound

RECEIPT_LOWEST = 111_111
RECEIPT_HIGHEST = 999_999
_RANGE = re.compile(r"(\d{6})-(\d{6})", re.ASCII)
_REGISTRATION_NO = re.compile(r"[A-Za-z0-9 ./-]{0,32}")
_TEXT = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f]*")  # lines, and no other control characters


class Scope(StrEnum):
    """Where a value was set; a later one holds over an earlier one."""

    DEFAULT = "DEFAULT"
    TENANT = "TENANT"
    STORE = "STORE"
    TERMINAL = "TERMINAL"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting is set or wanted: a tenant, a store of it, or a terminal of that."""

    store_code: str = ""
    """Store; empty for the whole tenant."""
    terminal_no: int = 0
    """Terminal of the store; 0 for the whole store."""

    @property
    def scope(self) -> Scope:
        """How wide it is."""
        if self.terminal_no:
            return Scope.TERMINAL
        return Scope.STORE if self.store_code else Scope.TENANT

    @property
    def lookup(self) -> tuple[Place, ...]:
        """Where a value for it may have been set, narrowest first."""
        return tuple(dict.fromkeys((self, Place(self.store_code), Place())))


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as it holds in one place."""

    key: str
    """Which setting."""
    value: str
    """Its value there."""
    scope: Scope
    """Where that was set."""


@dataclass(frozen=True, slots=True)
class _Definition:
    default: str
    allows: Callable[[str], bool]


def _is_range(value: str) -> bool:
    found = _RANGE.fullmatch(value)
    return found is not None and RECEIPT_LOWEST <= int(found[1]) <= int(found[2]) <= RECEIPT_HIGHEST


def _is_registration_no(value: str) -> bool:
    return _REGISTRATION_NO.fullmatch(value) is not None


def _is_text(value: str) -> bool:
    return _TEXT.fullmatch(value) is not None


_DEFINITIONS: Mapping[str, _Definition] = {
    "invoice_registration_no": _Definition("", _is_registration_no),
    "receipt_footer": _Definition("", _is_text),
    "receipt_header": _Definition("", _is_text),
    "receipt_no_range": _Definition(f"{RECEIPT_LOWEST}-{RECEIPT_HIGHEST}", _is_range),
}
KEYS = tuple(sorted(_DEFINITIONS))
"""Keys of all settings, in order."""


def check_known(key: str) -> None:
    """Refuses a key that no setting has."""
    if key not in _DEFINITIONS:
        raise NotFound("SETTING_UNKNOWN", "there is no such setting", key=key)


def check_value(key: str, value: str) -> None:
    """Refuses a value that the setting cannot have."""
    check_known(key)
    if not _DEFINITIONS[key].allows(value):
        raise InvalidInput("SETTING_VALUE_INVALID", "the setting cannot have this value", key=key)


def resolve(key: str, place: Place, values: Mapping[Place, str]) -> Setting:
    """The setting as it holds in a place: the narrowest value there is, else the default. An empty value is one."""
    check_known(key)
    for where in place.lookup:
        if where in values:
            return Setting(key, values[where], where.scope)
    return Setting(key, _DEFINITIONS[key].default, Scope.DEFAULT)
