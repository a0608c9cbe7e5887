"""The setting of overrides: its mistakes are told together, those beside the contracts at start."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pos.item.v1 import item_service_pb2  # noqa: F401 - importing it loads its contracts
from trunkline.method import method_of, methods_of
from trunkline.overrides import check, effective, home_of, parse
from trunkline.settings import PlatformSettings, describe, load

from tests.docs.blocks import blocks
from tests.trunkline.declared import GET_ITEM, ITEM, method


def mistakes(raw: Mapping[str, Any]) -> list[str]:
    """The mistakes of a setting."""
    with pytest.raises(ValueError) as refused:
        parse(raw)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"deadline_s": 0}, "deadline_s=0: give seconds above 0, at most 3600"),
        ({"deadline_s": "2"}, 'deadline_s="2": give seconds above 0'),
        ({"deadline_s": True}, "deadline_s=true: give seconds"),
        ({"deadline_s": float("nan")}, "deadline_s=NaN: give seconds"),
        ({"max_deadline_s": float("inf")}, "max_deadline_s=Infinity: give seconds"),
        ({"max_deadline_s": 3601}, "max_deadline_s=3601: give seconds"),
        ({"deadline_s": 3, "max_deadline_s": 2}, "max_deadline_s=2: give one that is not below deadline_s"),
        ({"max_attempts": 0}, "max_attempts=0: give a whole number from 1 to 5"),
        ({"max_attempts": 6}, "max_attempts=6: give a whole number from 1 to 5"),
        ({"max_attempts": 2.0}, "max_attempts=2.0: give a whole number"),
        ({"hedging": 0}, "hedging=0: give false"),
        ({"hedge_delay_s": 0}, "hedge_delay_s=0: give seconds above 0"),
        ({"cache_ttl_s": -1}, "cache_ttl_s=-1: give seconds, at most a year"),
        ({"stale_if_error_s": 1e9}, "stale_if_error_s=1000000000.0: give seconds, at most a year"),
        ({"cache_ttl_s": 0, "stale_if_error_s": 5}, "stale_if_error_s=5: give a cache_ttl_s above 0"),
        ({"cost": 0}, "cost=0: give a whole number from 1"),
        ({"audit": False}, "audit=false: give true"),
        ({"access": "nobody"}, 'access="nobody": give one of public, authenticated, scopes, service'),
        ({"access": ["public"]}, 'access=["public"]: give one of'),
        ({"scopes": "till"}, 'scopes="till": give a list'),
        ({"scopes": []}, "scopes=[]: give a list of scopes that is not empty"),
        ({"scopes": [""]}, 'scopes=[""]: give a list'),
        ({"breaker": "fuse"}, 'breaker="fuse": give one of default, three-in-a-minute, five-in-a-minute'),
        ({"deadlin_s": 3}, "deadlin_s: there is no such value; give deadline_s"),
        ({"colour": "red"}, "colour: there is no such value; give one of deadline_s, max_deadline_s, "),
    ],
)
def test_a_value_that_is_wrong_is_told_with_its_remedy(values, told):
    """One line with the key, the value and what to give instead."""
    (line,) = mistakes({"item": values})
    assert line.startswith(f"TRUNKLINE_CALLS[item] {told}")


@pytest.mark.parametrize(
    "key", ["", "Item", "/pos.item.v1.ItemService/GetItem", "item:", ":a.B", "a.B/C/D", "a b", "i:j:k"]
)
def test_a_key_that_is_none_is_told_with_the_forms_there_are(key):
    """What is neither target, service, method nor a target before one."""
    (line,) = mistakes({key: {"cost": 2}})
    assert line.startswith(f"TRUNKLINE_CALLS[{key}]: give a target (item), a service (pos.item.v1.ItemService)")


def test_all_mistakes_are_told_together():
    """One line each, over all keys; an entry that is no object is one."""
    lines = mistakes({"item": {"cost": 0, "audit": 1}, "Cart": {"hedging": 3}, "store": 5, "journal": {"cost": 1}})
    assert [line.split("]")[0].partition("[")[2] for line in lines] == ["item", "item", "Cart", "Cart", "store"]
    assert lines[-1] == 'TRUNKLINE_CALLS[store]=5: give an object of values, such as {"deadline_s": 2}'


def test_health_and_reflection_stay_as_they_are():
    """No key may name them, and a target's key is not for them."""
    (line,) = mistakes({"item:grpc.health.v1.Health": {"access": "service"}})
    assert "health and reflection carry no policy" in line
    health = replace(method(), service="grpc.health.v1.Health", path="/grpc.health.v1.Health/Check")
    assert effective(health, parse({"item": {"access": "service"}}), target="item") is health


BENCH = "trunk.testing.v1.PolicyService"
NO_HEDGING = "the contract declares no hedging: name methods that have it"
NO_CACHE = "the contract declares no cache: name methods that have one, or give 0"


def test_check_names_key_and_methods():
    """What can only be known beside the contracts: one line for a mistake, with the methods it is one for."""
    overrides = parse({"policy": {"hedging": True}, f"{BENCH}/Nonce": {"cost": 1}, f"{BENCH}/Once": {"cache_ttl_s": 1}})
    lines = check(overrides, methods_of(BENCH), target="policy")
    assert lines == [
        f"TRUNKLINE_CALLS[{BENCH}/Nonce]: there is no such method; give {BENCH}/Once",
        f"TRUNKLINE_CALLS[policy] hedging=true: {NO_HEDGING} ({BENCH}/Cached, {BENCH}/Once)",
        f"TRUNKLINE_CALLS[{BENCH}/Once] cache_ttl_s=1: {NO_CACHE} ({BENCH}/Once)",
    ]


def test_check_shows_few_of_many_methods():
    """A mistake for a whole target is one line, not one for each of its methods."""
    (line,) = check(parse({"testing": {"cache_ttl_s": 9}}), methods_of("trunk.testing.v1.PingService"))
    assert line.count("PingService") == 3
    assert line.endswith(" and 1 more)")


@pytest.mark.parametrize("key", [f"{BENCH}/Once", f"mirror:{BENCH}/Once", f"mirror:{BENCH}", "testing", BENCH])
def test_check_without_a_target_tries_those_that_are_named(key):
    """Targets that keys name beside the methods, and the one of the package's name."""
    assert check(parse({key: {"access": "public", "max_attempts": 2}}), methods_of(BENCH)) == []
    (line,) = check(parse({key: {"deadline_s": 3000}}), methods_of(BENCH))
    assert line.startswith(f"TRUNKLINE_CALLS[{key}] deadline_s=3000")


def test_keys_of_other_processes_are_no_mistake():
    """A key that matches nothing here is told by `unknown`, and by nobody else."""
    overrides = parse({"item": {"cost": 2}, "mirror": {"cost": 2}, "pos.cart.v1.CartService": {"access": "service"}})
    assert check(overrides, methods_of(BENCH), target="testing") == []
    assert overrides.unknown([GET_ITEM], {"item"}) == ["mirror", "pos.cart.v1.CartService"]
    assert parse({f"mirror:{GET_ITEM}": {}, f"item:{ITEM}": {}}).unknown([GET_ITEM], {"item"}) == [f"mirror:{GET_ITEM}"]


@pytest.mark.parametrize(
    ("service", "target"),
    [(ITEM, "item"), ("shop.price_book.v1beta1.S", "price_book"), ("vat.S", "vat"), ("v1.S", ""), ("Greeter", "")],
)
def test_a_target_is_guessed_from_the_package(service, target):
    """The last word before the version; a service without a package names none."""
    assert home_of(service) == target


@pytest.fixture
def calls(monkeypatch):
    """Sets TRUNKLINE_CALLS, in an environment without other settings of the platform."""
    for name in list(os.environ):
        if name.startswith("TRUNKLINE_"):
            monkeypatch.delenv(name)

    def give(text: str) -> None:
        monkeypatch.setenv("TRUNKLINE_CALLS", text)

    return give


def test_the_setting_is_a_json_object(calls):
    """It is read with the other settings, and printed with them at start."""
    calls('{"item": {"deadline_s": 2, "scopes": ["a"], "access": "scopes"}}')
    (platform,) = load(PlatformSettings)
    assert platform.calls == parse({"item": {"deadline_s": 2, "scopes": ["a"], "access": "scopes"}})
    printed = describe(platform)["trunkline_calls"]
    assert printed == '{"item":{"deadline_s":2,"scopes":["a"],"access":"scopes"}}'
    assert hash(platform) == hash(load(PlatformSettings)[0])


def test_an_unset_setting_overrides_nothing(calls):
    """Empty is unset."""
    calls("")
    assert not load(PlatformSettings)[0].calls


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "TRUNKLINE_CALLS is no JSON: "),
        ("[]", "TRUNKLINE_CALLS is no JSON object"),
        ('{"item": {"cost": 2}, "cart": {}, "item": {}}', "TRUNKLINE_CALLS has item more than once"),
        ('{"item": {"cost": 2, "cost": 3}}', "TRUNKLINE_CALLS has cost more than once"),
    ],
)
def test_what_is_no_json_object_is_told(calls, capsys, text, told):
    """Also a key that stands there twice: JSON would forget the first without a word."""
    calls(text)
    with pytest.raises(SystemExit):
        load(PlatformSettings)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "cannot start: 1 setting to mend"
    assert lines[1].strip().startswith(told)


def test_its_mistakes_stand_with_those_of_other_settings(calls, capsys, monkeypatch):
    """Each has a line of its own in the one report."""
    monkeypatch.setenv("TRUNKLINE_DRAIN_S", "-1")
    calls('{"item": {"cost": 0, "colour": 1}, "Cart": {}}')
    with pytest.raises(SystemExit):
        load(PlatformSettings)
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "cannot start: 4 settings to mend"
    for told in ("TRUNKLINE_DRAIN_S='-1'", "TRUNKLINE_CALLS[item] cost=0", "TRUNKLINE_CALLS[item] colour:"):
        assert sum(line.startswith(told) for line in lines) == 1
    assert lines[-1].startswith("TRUNKLINE_CALLS[Cart]: give a target")


def test_the_documents_example_holds():
    """What docs/contracts.md shows is a setting, and fits the contract that it names."""
    (block,) = blocks("docs/contracts.md", "json")
    overrides = parse(json.loads(block.text))
    found = effective(method_of(f"/{GET_ITEM}"), overrides, target="item")
    assert (found.deadline_s, found.max_deadline_s, found.max_attempts) == (1, 5, 2)
    assert check(overrides, methods_of(ITEM), target="item") == []
