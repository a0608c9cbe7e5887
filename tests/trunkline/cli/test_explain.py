"""`trunkline explain` and `trunkline service-config`: what contracts and settings make of a call."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from trunk.policy.v1 import policy_pb2
from trunkline.cli.app import app
from trunkline.registry.system import RunningSystem, write_system
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
DESCRIPTORS = ROOT / "gen" / "descriptors.binpb"
FINALIZE = "pos.cart.v1.CartService/FinalizeCart"
SETTING = "pos.store.v1.SettingsService/GetSetting"
ONCE = "trunk.testing.v1.PolicyService/Once"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No setting of the machine that runs the tests, and no service that it knows."""
    for name in list(os.environ):
        if name.startswith("TRUNKLINE_") or "_SERVICE_" in name:
            monkeypatch.delenv(name)


@pytest.fixture
def explain(var_dir, monkeypatch):
    """Runs `trunkline explain --json` in the checkout, or elsewhere; gives (value, source) by name."""
    monkeypatch.setenv("TRUNKLINE_VAR_DIR", str(var_dir))
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments: str, cwd: Path = ROOT) -> dict[str, tuple[object, str]]:
        monkeypatch.chdir(cwd)
        # In this process: a start of Python for every value would take a second each.
        outcome = CliRunner().invoke(app, ["explain", "--json", *arguments], catch_exceptions=False)
        assert (outcome.exit_code, outcome.stderr) == (0, "")
        return {row["name"]: (row["value"], row["source"]) for row in json.loads(outcome.stdout)["values"]}

    return run


@pytest.fixture
def refusal(run_trunkline):
    """Runs `trunkline` where it cannot do what is asked; gives the one line that it says."""

    async def run(*arguments: str, cwd: Path = ROOT) -> str:
        outcome = await run_trunkline(*arguments, cwd=cwd)
        assert (outcome.status, outcome.out) == (2, "")
        (line,) = outcome.err.splitlines()
        return str(line)

    return run


@pytest.fixture
def odd_contracts(tmp_path):
    """A file with the shop's contracts, in which FinalizeCart has a deadline of 77 s."""
    files = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    rpcs = (rpc for file in files.file for service in file.service for rpc in service.method)
    found = next(rpc for rpc in rpcs if rpc.name == "FinalizeCart")
    found.options.Extensions[policy_pb2.call].deadline.seconds = 77
    path = tmp_path / "odd.binpb"
    path.write_bytes(files.SerializeToString())
    return path


def test_explains_a_change_of_the_shop(explain):
    """Contract, platform and defaults, each value with where it comes from; a leading slash is nothing."""
    found = explain(FINALIZE)
    assert found == explain(f"/{FINALIZE}")
    assert found["target"] == ("cart", "package of pos.cart.v1.CartService")
    assert found["contracts"] == (str(Path("gen") / "descriptors.binpb"), "this folder")
    assert (found["deadline_s"], found["max_deadline_s"]) == ((5.0, "contract"), (50.0, "default"))
    assert (found["max_attempts"], found["cache_ttl_s"]) == ((3, "default"), (0.0, "default"))
    assert found["repeat"] == ("safe with its key (IDEMPOTENT)", "contract")
    assert (found["access"], found["scopes"]) == (("scopes", "contract"), (["till"], "contract"))
    assert found["validation"] == (["cart_id"], "contract")


def test_rules_over_a_message_are_validation_too(explain):
    """Fields with a constraint of their own, and a rule over several."""
    value, _ = (explain(SETTING))["validation"]
    assert value == ["(message)", "key", "store_code", "terminal_no"]


async def test_the_table_is_for_people(run_trunkline):
    """What, value, from: in a pipe every line is a row, with its units and without blanks at its end."""
    outcome = await run_trunkline("explain", ONCE, cwd=ROOT)
    lines = outcome.out.splitlines()
    assert (outcome.status, lines[0].split()) == (0, ["what", "value", "from"])
    assert not any(line.endswith(" ") or line.startswith(" ") for line in lines)
    told = [" ".join(line.split()) for line in lines]
    for row in ("deadline 1 s contract", "max deadline 2 s contract", "max attempts 1 contract", "audit yes contract"):
        assert row in told
    assert "cache ttl off default" in told
    assert "retry budget floor 1 a second default" in told


async def test_the_table_fits_a_terminal(monkeypatch):
    """A hundred columns hold it, and nothing is cut: a long key goes on in the next line."""
    key = f"store:{SETTING}"
    monkeypatch.setenv("TRUNKLINE_CALLS", json.dumps({key: {"cache_ttl_s": 2}}))
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from trunkline.cli.app import main; main()", "explain", SETTING),
        cwd=ROOT,
        stdout=theirs,
    )
    os.close(theirs)
    printed = await asyncio.to_thread(everything, ours)
    assert await process.wait() == 0
    lines = [line.rstrip() for line in printed.splitlines()]
    assert max(len(line) for line in lines[1:]) <= 100
    assert "…" not in printed
    assert key in "".join(line.rpartition("  ")[2] for line in lines)


def everything(terminal: int) -> str:
    """What is written to a terminal until nobody holds its other end."""
    read = b""
    try:
        while some := os.read(terminal, 4096):
            read += some
    except OSError:
        # How Linux tells the end of a terminal.
        pass
    finally:
        os.close(terminal)
    return read.decode()


def test_overrides_are_told_with_their_key(explain, monkeypatch):
    """What a setting changes names the key; the target that is asked about decides."""
    monkeypatch.setenv("TRUNKLINE_CALLS", json.dumps({f"cart:{FINALIZE}": {"deadline_s": 8}, "cart": {"cost": 3}}))
    monkeypatch.setenv("TRUNKLINE_RETRY_ATTEMPTS", "4")
    found = explain(FINALIZE)
    assert found["deadline_s"] == (8, f"setting TRUNKLINE_CALLS[cart:{FINALIZE}]")
    assert found["cost"] == (3, "setting TRUNKLINE_CALLS[cart]")
    assert found["max_attempts"] == (4, "setting TRUNKLINE_RETRY_ATTEMPTS")
    mirror = explain(FINALIZE, "--target", "mirror")
    assert (mirror["target"], mirror["deadline_s"]) == (("mirror", "--target"), (5.0, "contract"))


async def test_keys_that_match_nothing_are_mentioned(run_trunkline, monkeypatch):
    """A misspelt key changes nothing in silence: here it is told."""
    monkeypatch.setenv("TRUNKLINE_CALLS", json.dumps({"crat": {"cost": 3}, "cart": {}, "pos.cart.v1.Cart": {}}))
    outcome = await run_trunkline("explain", FINALIZE, "--json", cwd=ROOT)
    assert json.loads(outcome.out)["unknown_keys"] == ["crat", "pos.cart.v1.Cart"]
    table = (await run_trunkline("explain", FINALIZE, cwd=ROOT)).out
    assert "unknown keys crat, pos.cart.v1.Cart setting TRUNKLINE_CALLS" in " ".join(table.split())


async def test_a_weaker_access_is_refused(refusal, monkeypatch):
    """A setting that must not hold is not explained as if it did."""
    monkeypatch.setenv("TRUNKLINE_CALLS", json.dumps({"cart": {"access": "public"}}))
    assert "settings only make it stricter" in await refusal("explain", FINALIZE)


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("pos.cart.v1.CartService/FinaliseCart", FINALIZE),
        ("pos.cart.v1.CartService.FinalizeCart", FINALIZE),
        ("FinalizeCart", FINALIZE),
        ("CartService/FinalizeCart", FINALIZE),
    ],
)
async def test_an_unknown_method_is_told_with_what_is_near(refusal, asked, near):
    """One line, with what may have been meant."""
    line = await refusal("explain", asked)
    assert line.startswith(f"trunkline: no contract has {asked}; there is ")
    assert near in line


@pytest.mark.parametrize("asked", ["x", "/", ".x/y", "no.such.package.v1.Zzz/Qqq"])
async def test_a_method_that_nothing_is_near_to(refusal, asked, tmp_path):
    """One line as well, in a folder without contracts too."""
    assert "no contract has" in await refusal("explain", asked, cwd=tmp_path)


def test_a_file_of_contracts_may_be_named(explain, odd_contracts):
    """`--descriptors` before everything else."""
    found = explain(FINALIZE, "--descriptors", str(odd_contracts))
    assert (found["deadline_s"], found["contracts"]) == ((77.0, "contract"), (str(odd_contracts), "argument"))


def test_the_running_system_comes_before_the_folder(explain, odd_contracts, var_dir):
    """What runs says where its contracts are, and where its services are."""
    write_system(var_dir, RunningSystem({"cart": "127.0.0.1:4711"}, "", os.getpid(), str(odd_contracts)))
    found = explain(FINALIZE)
    assert (found["deadline_s"], found["contracts"][1]) == ((77.0, "contract"), "running system")
    assert found["address"][0] == "dns:///127.0.0.1:4711"
    assert str(found["address"][1]).startswith("running system, ")
    assert (explain(FINALIZE, "--target", "mirror"))["address"][0] == "nowhere"


def test_without_a_file_what_is_installed_is_read(explain, tmp_path):
    """The platform's own contracts are always there, others by their package."""
    found = explain(ONCE, cwd=tmp_path)
    assert (found["deadline_s"], found["contracts"]) == ((1.0, "contract"), (["trunk"], "installed packages"))
    assert (explain(FINALIZE, cwd=tmp_path))["contracts"][0] == ["trunk", "pos.cart.v1"]


@pytest.mark.parametrize(
    ("variables", "address", "source"),
    [
        ({"HOST": "10.0.0.7", "PORT": "50055"}, "dns:///10.0.0.7:50055", "CART_SERVICE_HOST, CART_SERVICE_PORT"),
        ({"TARGET": "dns:///cart.shop:1"}, "dns:///cart.shop:1", "CART_SERVICE_TARGET"),
    ],
)
def test_an_address_is_told_with_its_variables(explain, monkeypatch, variables, address, source):
    """How the name was found, as connect() finds it."""
    for name, value in variables.items():
        monkeypatch.setenv(f"CART_SERVICE_{name}", value)
    assert (explain(FINALIZE))["address"] == (address, f"setting {source}")


def test_a_target_that_is_nowhere_is_told(explain):
    """With the variables that would say where it is."""
    value, source = (explain(FINALIZE))["address"]
    assert value == "nowhere"
    assert "CART_SERVICE_HOST" in str(source)


async def test_files_that_cannot_be_read_are_told(refusal, tmp_path):
    """One that is missing, one that is something else, and one without what it imports."""
    junk = tmp_path / "junk"
    junk.write_text("no descriptors")
    files = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    lone = tmp_path / "lone"
    lone.write_bytes(FileDescriptorSet(file=[one for one in files.file if one.service][:1]).SerializeToString())
    for command in (("explain", FINALIZE, "--descriptors"), ("service-config",)):
        assert "cannot be read" in await refusal(*command, str(tmp_path / "none"))
        assert "holds no descriptors" in await refusal(*command, str(junk))
        assert "--include_imports" in await refusal(*command, str(lone))


async def test_service_config_is_what_is_committed(run_trunkline, odd_contracts):
    """Of this folder by default, or of a file that is named."""
    committed = (ROOT / "gen" / "service_config.json").read_text()
    assert (await run_trunkline("service-config", cwd=ROOT)).out == committed
    named = json.loads((await run_trunkline("service-config", str(odd_contracts), cwd=ROOT)).out)
    assert [one["timeout"] for one in named["methodConfig"] if one["name"][0]["method"] == "FinalizeCart"] == ["77s"]


async def test_service_config_without_timeouts(run_trunkline):
    """Retries only."""
    printed = json.loads((await run_trunkline("service-config", "--without-timeouts", cwd=ROOT)).out)
    assert {name for one in printed["methodConfig"] for name in one} == {"name", "retryPolicy"}


async def test_service_config_needs_contracts(refusal, tmp_path):
    """Where none are found, it says how to make them."""
    assert "protoc --descriptor_set_out" in await refusal("service-config", cwd=tmp_path)


async def test_help_offers_only_what_there_is(run_trunkline):
    """Both commands are listed, and running services are asked when that is wanted."""
    assert {"explain", "service-config"} <= set((await run_trunkline("--help")).out.split())
    assert "--live" in (await run_trunkline("explain", "--help")).out
