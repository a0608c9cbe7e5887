"""Whole names of things: nothing is known by a number alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

TENANT_ID = re.compile(r"[a-z0-9-]{1,40}")
STORE_CODE = re.compile(r"[A-Za-z0-9_-]{1,32}")
MAX_TERMINAL_NO = 9999


def check_pattern(pattern: re.Pattern[str], value: str, field: str) -> None:
    """Raises ValueError if the value does not match as a whole; contracts let no such value through."""
    if pattern.fullmatch(value) is None:
        raise ValueError(f"{field} must match {pattern.pattern}")


@dataclass(frozen=True, slots=True, order=True)
class TerminalId:
    """A terminal of a store of a tenant."""

    tenant_id: str
    """Owner of the store; 1 to 40 of `a-z`, `0-9`, `-`."""
    store_code: str
    """Store of the terminal; 1 to 32 of letters, digits, `_`, `-`."""
    terminal_no: int
    """Number of the terminal in its store, 1 to 9999."""

    def __post_init__(self) -> None:
        check_pattern(TENANT_ID, self.tenant_id, "tenant_id")
        check_pattern(STORE_CODE, self.store_code, "store_code")
        if not 1 <= self.terminal_no <= MAX_TERMINAL_NO:
            raise ValueError("terminal_no must be 1 to 9999")

    @classmethod
    def parse(cls, key: str) -> TerminalId:
        """The terminal of a key made by `key`."""
        parts = key.split("/")
        if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdigit()):
            raise ValueError("a terminal's key is tenant/store/terminal")
        return cls(parts[0], parts[1], int(parts[2]))

    @property
    def key(self) -> str:
        """`tenant/store/terminal`: events of one key keep their order."""
        return f"{self.tenant_id}/{self.store_code}/{self.terminal_no}"

    @property
    def subject(self) -> str:
        """Resource name of the terminal."""
        return f"tenants/{self.tenant_id}/stores/{self.store_code}/terminals/{self.terminal_no}"

    def transaction_subject(self, transaction_no: int) -> str:
        """Resource name of a transaction of the terminal."""
        return f"{self.subject}/transactions/{transaction_no}"

    def cash_movement_subject(self, movement_no: int) -> str:
        """Resource name of a cash movement of the terminal."""
        return f"{self.subject}/cash-movements/{movement_no}"

    def opening_subject(self, business_counter: int) -> str:
        """Resource name of an opening of the terminal."""
        return f"{self.subject}/openings/{business_counter}"

    def report_subject(self, report_no: int) -> str:
        """Resource name of a report issued on the terminal."""
        return f"{self.subject}/reports/{report_no}"
