"""Services say at start whom they need: publishers of what they consume, and whoever is asked of a delivery."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.events import topic_of

ROOT = Path(__file__).resolve().parents[2]
CONSUMERS = sorted(path.parts[-3] for path in (ROOT / "services").glob("*/consumers/handlers.py"))


def peers(service: str) -> set[str]:
    """What a service's `__main__` names as peers."""
    tree = ast.parse((ROOT / "services" / service / "__main__.py").read_text())
    (given,) = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "peers"]
    return set(ast.literal_eval(given))


def test_finds_consumers():
    """The three services that consume are looked at."""
    assert CONSUMERS == ["journal", "report", "stock"]


@pytest.mark.parametrize("service", CONSUMERS)
def test_publishers_are_peers(service):
    """A consumer asks the publishers for what is missing, so an address that is not set is told at start."""
    handlers = importlib.import_module(f"services.{service}.consumers.handlers").HANDLERS
    assert {topic_of(message).publisher for message in handlers} <= peers(service)


def test_receivers_of_transactions_are_peers_of_cart():
    """Cart asks every declared group what became of a transaction."""
    assert topic_of(TransactionLog).groups <= peers("cart")
