"""Why a call behaves as it does: every value with its source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from trunkline.explanation import Explained, explained
from trunkline.method import ContractError, Method, method_of
from trunkline.overrides import parse
from trunkline.settings import PlatformSettings

from tests.trunkline.declared import AUTHENTICATED, GET_ITEM, ITEM, PLAIN, SCOPED, SERVICE, method


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No setting of the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith("TRUNKLINE_"):
            monkeypatch.delenv(name)


def rows(one: Method, raw: Mapping[str, Any], **given: Any) -> dict[str, tuple[object, str]]:
    """What is explained of a method, by name."""
    found = explained(one, parse(raw), PlatformSettings(**given), target="item")
    assert len({row.name for row in found}) == len(found)
    return {row.name: (row.value, row.source) for row in found}


def test_explained_names_where_each_value_comes_from():
    """The contract, the key of a setting, a setting of the platform, or a default."""
    found = rows(method(cost=5), {ITEM: {"cost": 2, "deadline_s": 3}, "item": {"audit": True}}, retry_attempts=4)
    assert found["cost"] == (2, f"setting TRUNKLINE_CALLS[{ITEM}]")
    assert found["deadline_s"] == (3, f"setting TRUNKLINE_CALLS[{ITEM}]")
    assert found["audit"] == (True, "setting TRUNKLINE_CALLS[item]")
    assert found["max_attempts"] == (4, "setting TRUNKLINE_RETRY_ATTEMPTS")
    assert found["cache_ttl_s"] == (5.0, "contract")
    assert found["max_deadline_s"] == (50.0, "default")
    assert found["retry_budget_ratio"] == (0.2, "default")


@pytest.mark.parametrize(
    ("one", "raw", "given", "expected"),
    [
        (method(), {}, {}, (3, "default")),
        (method(max_attempts=2), {}, {"retry_attempts": 4}, (2, "contract")),
        (method(max_attempts=2), {"item": {"max_attempts": 5}}, {}, (5, "setting TRUNKLINE_CALLS[item]")),
        (method_of("/trunk.testing.v1.PingService/PingAll"), {"item": {"max_attempts": 5}}, {}, (1, "contract")),
    ],
)
def test_attempts_come_from_override_contract_setting_default(one, raw, given, expected):
    """In this order; a stream of requests is sent once, whatever anybody says."""
    assert rows(one, raw, **given)["max_attempts"] == expected


def test_explained_tells_the_breakers_numbers():
    """A preset of a call is whole; else the platform's preset holds, with its overridden numbers."""
    own = rows(method(), {"item": {"breaker": "five-in-a-minute"}}, breaker="three-in-a-minute", breaker_open_s=7)
    assert own["breaker"] == ("five-in-a-minute", "setting TRUNKLINE_CALLS[item]")
    assert own["breaker_open_s"] == (60.0, "setting TRUNKLINE_CALLS[item]")
    platform = rows(method(), {}, breaker="three-in-a-minute", breaker_open_s=7)
    assert platform["breaker_consecutive_failures"] == (3, "setting TRUNKLINE_BREAKER")
    assert platform["breaker_open_s"] == (7.0, "setting TRUNKLINE_BREAKER_OPEN_S")
    assert rows(method(), {})["breaker_window_s"] == (10.0, "default")


def test_explained_tells_who_turned_it_off():
    """A cache or hedging that a setting has turned off names that setting."""
    off = rows(method(), {"item": {"hedging": False}, GET_ITEM: {"cache_ttl_s": 0}})
    for name in ("cache_ttl_s", "stale_if_error_s"):
        assert off[name] == (0.0, f"setting TRUNKLINE_CALLS[{GET_ITEM}]")
    assert off["hedge_delay_s"] == (0.0, "setting TRUNKLINE_CALLS[item]")
    assert rows(method(**PLAIN), {})["hedge_delay_s"] == (0.0, "default")


def test_explained_says_why_a_repeat_is_safe():
    """A read by nature, a change by its key, a stream of requests never."""
    add = method_of("/trunk.testing.v1.EffectService/Add")
    assert rows(method(), {})["repeat"] == ("safe: it changes nothing (NO_SIDE_EFFECTS)", "contract")
    assert rows(add, {})["repeat"] == ("safe with its key (IDEMPOTENT)", "contract")
    assert "connect() makes one" in str(rows(add, {})["idempotency_key"])
    assert "sent once" in str(rows(method_of("/trunk.testing.v1.PingService/PingAll"), {})["repeat"])


def test_explained_tells_access_and_its_scopes():
    """Scopes only where they are looked at."""
    found = explained(SCOPED, parse({"item": {"scopes": ["till"]}}), PlatformSettings(), target="item")
    assert Explained("access", "scopes", "contract") in found
    assert Explained("scopes", ["till"], "setting TRUNKLINE_CALLS[item]") in found
    assert "scopes" not in rows(AUTHENTICATED, {})


def test_explained_refuses_what_effective_refuses():
    """A setting that weakens a contract has no effect to be explained."""
    with pytest.raises(ContractError, match="only make it stricter"):
        explained(SERVICE, parse({"item": {"access": "public"}}), PlatformSettings(), target="item")
