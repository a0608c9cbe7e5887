"""Overrides by setting: the most specific wins, and access is never weakened."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from trunkline.method import Access, ContractError, Method
from trunkline.overrides import CallOverrides, effective, parse
from trunkline.policies.access import may_call
from trunkline.policies.breaker import PRESETS

from tests.trunkline.declared import AUTHENTICATED, GET_ITEM, ITEM, PLAIN, SCOPED, SERVICE, method


def changed(one: Method, raw: Mapping[str, Any], target: str = "item") -> dict[str, Any]:
    """What overrides change of a method."""
    found = effective(one, parse(raw), target=target)
    pairs = ((field.name, getattr(found, field.name), getattr(one, field.name)) for field in fields(Method))
    return {name: new for name, new, old in pairs if new != old}


def refusal(one: Method, values: Mapping[str, Any]) -> str:
    """Why a method cannot be given some values."""
    with pytest.raises(ContractError) as refused:
        effective(one, parse({"item": values}), target="item")
    return str(refused.value)


def test_nothing_given_is_the_same_method():
    """Without overrides, or with those of others, the method is not even copied."""
    one = method()
    assert effective(one, CallOverrides(), target="item") is one
    assert effective(one, parse({"cart": {"cost": 2}, f"{ITEM}/ListItems": {"cost": 2}}), target="item") is one
    assert effective(one, parse({"item": {"cost": 2}})) is one
    assert (bool(CallOverrides()), bool(parse({"item": {}}))) == (False, True)


@pytest.mark.parametrize("key", ["item", ITEM, f"item:{ITEM}", GET_ITEM, f"item:{GET_ITEM}"])
def test_every_form_of_key_is_found(key):
    """A target, a service, a method, and a target before either."""
    assert changed(method(), {key: {"cost": 7}}) == {"cost": 7}
    assert changed(method(), {key.replace("item", "cart").replace("Item", "Cart"): {"cost": 7}}) == {}


def test_the_most_specific_key_wins_value_by_value():
    """Method before service before target, each with a target before without; the order in the setting is nothing."""
    keys = ["item", ITEM, f"item:{ITEM}", GET_ITEM, f"item:{GET_ITEM}"]
    for ordered in (keys, keys[::-1]):
        raw = {key: {"cost": 10 + keys.index(key)} for key in ordered}
        for least in range(len(keys)):
            assert changed(method(), {key: raw[key] for key in ordered if keys.index(key) <= least}) == {
                "cost": 10 + least
            }
    values = {"item": {"cost": 2, "deadline_s": 3, "audit": True}, ITEM: {"cost": 4, "deadline_s": 6}}
    assert changed(method(), {**values, GET_ITEM: {"cost": 8}}) == {"cost": 8, "deadline_s": 6, "audit": True}


def test_what_is_given_for_another_target_does_not_hold():
    """A key with a target is only for calls to it; without a target nothing of it holds."""
    raw = {f"item:{GET_ITEM}": {"cost": 3}}
    assert changed(method(), raw, target="mirror") == {}
    assert changed(method(), raw, target="") == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"deadline_s": 0.5}, {"deadline_s": 0.5}),
        ({"deadline_s": 50}, {"deadline_s": 50}),
        ({"deadline_s": 60, "max_deadline_s": 60}, {"deadline_s": 60, "max_deadline_s": 60}),
        ({"max_attempts": 1}, {"max_attempts": 1}),
        ({"hedging": False}, {"hedge_delay_s": 0.0}),
        ({"hedging": True}, {}),
        ({"hedge_delay_s": 0.2}, {"hedge_delay_s": 0.2}),
        ({"hedge_delay_s": 0.2, "hedging": False}, {"hedge_delay_s": 0.0}),
        ({"cache_ttl_s": 60}, {"cache_ttl_s": 60}),
        ({"stale_if_error_s": 0}, {"stale_if_error_s": 0}),
        ({"cache_ttl_s": 0}, {"cache_ttl_s": 0, "stale_if_error_s": 0.0, "invalidated_by": frozenset()}),
        ({"cost": 9, "audit": True}, {"cost": 9, "audit": True}),
        ({"access": "scopes", "scopes": ["a"]}, {"access": Access.SCOPES, "scopes": frozenset("a")}),
        ({"breaker": "three-in-a-minute"}, {}),
    ],
)
def test_values_take_the_place_of_the_contracts(values, expected):
    """Each value changes what it names; without a cache there is nothing to give when stale or to make void."""
    assert changed(method(), {"item": values}) == expected


def test_a_cache_that_is_off_for_a_method_stays_off():
    """What a broader key says of stale answers does not bring back what a narrower one turned off."""
    raw = {"item": {"stale_if_error_s": 300}, GET_ITEM: {"cache_ttl_s": 0}}
    assert effective(method(), parse(raw), target="item").stale_if_error_s == 0.0


def test_a_broad_switch_off_skips_what_was_never_on():
    """`item` without cache and hedging is allowed although most of its methods have neither."""
    assert changed(method(**PLAIN), {"item": {"cache_ttl_s": 0, "stale_if_error_s": 0, "hedging": False}}) == {}


@pytest.mark.parametrize(
    ("one", "values", "told"),
    [
        (method(**PLAIN), {"cache_ttl_s": 1}, "cache_ttl_s=1: the contract declares no cache"),
        (method(**PLAIN), {"stale_if_error_s": 1}, "stale_if_error_s=1: the contract declares no cache"),
        (method(**PLAIN), {"hedging": True}, "hedging=true: the contract declares no hedging"),
        (method(**PLAIN), {"hedge_delay_s": 1}, "hedge_delay_s=1: the contract declares no hedging"),
        (method(), {"deadline_s": 51}, "deadline_s=51: the deadline would be above the longest one"),
        (method(), {"max_deadline_s": 4}, "max_deadline_s=4: the deadline would be above the longest one"),
    ],
)
def test_what_the_contract_does_not_declare_is_refused(one, values, told):
    """Nothing is turned on that the contract does not have, and a deadline stays within the longest one."""
    text = refusal(one, values)
    assert text.startswith(f"TRUNKLINE_CALLS[item] {told}")
    assert text.endswith(f"({GET_ITEM})")


@pytest.mark.parametrize(
    ("one", "values"),
    [
        (method(), {"access": "public"}),
        (method(), {"access": "authenticated"}),
        (method(), {"access": "service"}),
        (AUTHENTICATED, {"access": "authenticated"}),
        (AUTHENTICATED, {"access": "scopes", "scopes": ["any"]}),
        (AUTHENTICATED, {"access": "service"}),
        (SCOPED, {"access": "scopes"}),
        (SCOPED, {"scopes": ["till"]}),
        (SCOPED, {"access": "scopes", "scopes": ["till", "shop.read"]}),
        (SERVICE, {"access": "service"}),
    ],
)
def test_access_may_be_made_stricter(one, values):
    """From public to anything, from authenticated to scopes or service, from scopes to fewer of them."""
    found = effective(one, parse({"item": values}), target="item")
    assert found.access.value == values.get("access", one.access.value)
    assert found.scopes == frozenset(values.get("scopes", one.scopes))


@pytest.mark.parametrize(
    ("one", "values", "told"),
    [
        (AUTHENTICATED, {"access": "public"}, "give scopes or service"),
        (SCOPED, {"access": "public"}, "give some of its scopes (shop.read, till)"),
        (SCOPED, {"access": "authenticated"}, "give some of its scopes"),
        (SCOPED, {"access": "service"}, "give some of its scopes"),
        (SCOPED, {"scopes": ["till", "other"]}, "give some of its scopes"),
        (SERVICE, {"access": "authenticated"}, "leave it out"),
        (SERVICE, {"access": "scopes", "scopes": ["a"]}, "leave it out"),
        (AUTHENTICATED, {"scopes": ["a"]}, "go together"),
        (AUTHENTICATED, {"access": "scopes"}, "go together"),
        (SCOPED, {"access": "service", "scopes": ["till"]}, "go together"),
    ],
)
def test_access_is_never_weakened(one, values, told):
    """Whatever would let somebody in whom the contract keeps out is refused, with what may be given instead."""
    assert told in refusal(one, values)


def test_service_is_not_stricter_than_scopes():
    """A service that works for somebody without the scope passes `service`: the contract's scopes keep it out."""
    caller: dict[str, Any] = {"sender_kind": "service", "caller_scopes": frozenset({"other"})}
    assert may_call("service", (), **caller)
    assert not may_call("scopes", SCOPED.scopes, **caller)


SCOPES = [frozenset(some) for size in range(4) for some in itertools.combinations("abc", size)]
CALLERS: list[dict[str, Any]] = [
    {"sender_kind": "", "caller_scopes": None},
    *({"sender_kind": kind, "caller_scopes": held} for kind in ("user", "terminal", "service") for held in SCOPES),
]


@pytest.mark.parametrize("declared", Access, ids=lambda access: access.value)
def test_whoever_is_let_in_was_let_in_by_the_contract(declared):
    """For every contract, every accepted override and every caller: whom the override admits, the contract admits."""
    accepted = 0
    for scopes in SCOPES[1:] if declared is Access.SCOPES else SCOPES[:1]:
        contract = method(access=declared, scopes=scopes)
        for access, given in itertools.product(Access, SCOPES):
            values: dict[str, Any] = {"access": access.value} | ({"scopes": sorted(given)} if given else {})
            try:
                found = effective(contract, parse({"item": values}), target="item")
            except ContractError:
                continue
            accepted += 1
            admitted = [one for one in CALLERS if may_call(found.access.value, found.scopes, **one)]
            assert all(may_call(declared.value, scopes, **one) for one in admitted)
    assert accepted


def test_a_breaker_is_a_preset():
    """The most specific key names it; without one the platform's settings hold."""
    overrides = parse({"item": {"breaker": "five-in-a-minute"}, f"item:{GET_ITEM}": {"breaker": "three-in-a-minute"}})
    assert overrides.breaker(method(), target="item") == PRESETS["three-in-a-minute"]
    assert overrides.breaker(method(path=f"/{ITEM}/ListItems"), target="item") == PRESETS["five-in-a-minute"]
    assert overrides.breaker(method(), target="cart") is None
    assert CallOverrides().breaker(method(), target="item") is None
