"""Every reason a service raises is one that its contract lists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/app.py"))
RAISERS = {
    "AlreadyExists", "Conflict", "InvalidInput", "NotFound", "Refused", "WrongState",
    "already_exists", "failed_precondition", "invalid_argument", "not_found", "permission_denied", "unauthenticated",
}  # fmt: skip
UNREACHABLE = {"DISCOUNT_TOO_LARGE"}
"""Arithmetic of discounts is here and tested; the calls that give discounts are not."""


def listed(package: str) -> set[str]:
    """Reasons of a package's contract, without the prefix."""
    text = (ROOT / "protos" / package.replace(".", "/") / "v1" / "error_reason.proto").read_text()
    names = (line.split("=")[0].strip() for line in text.splitlines() if "ERROR_REASON_" in line and "=" in line)
    return {name.removeprefix("ERROR_REASON_") for name in names}


def raised(folder: Path) -> dict[str, str]:
    """Reasons that the source in a folder raises, each with a place."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISERS:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found[first.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def test_finds_services():
    """The nine services are looked at."""
    assert len(SERVICES) == 9


@pytest.mark.parametrize("service", SERVICES)
def test_lists_every_reason(service):
    """A reason that callers may branch on stands in the package's ErrorReason, or in one that all share."""
    shared = listed("pos.type") | listed("pos.event") | listed("trunk.policy") | listed("trunk.identity")
    known = listed(f"pos.{service}") | shared | UNREACHABLE
    found = raised(ROOT / "services" / service) | raised(ROOT / "services" / "kernel")
    # The kernel's own words are raised by every service; those it cannot reach are kept out by its contract.
    own = {reason: place for reason, place in found.items() if "services/kernel" not in place}
    assert own, "a service refuses something"
    assert {reason: place for reason, place in own.items() if reason not in known} == {}
