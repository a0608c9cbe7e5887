"""Where a service is said to be."""

from __future__ import annotations

import os

import pytest
from trunkline.client import find_target
from trunkline.registry.system import RunningSystem, process_start, read_system, running_target, write_system
from trunkline.registry.targets import UnknownTarget, target_of
from trunkline.settings import PlatformSettings

HERE = {"ITEM_SERVICE_HOST": "10.0.0.5", "ITEM_SERVICE_PORT": "50051"}


@pytest.mark.parametrize(
    ("name", "environment", "target"),
    [
        ("item", HERE, "dns:///10.0.0.5:50051"),
        ("item", HERE | {"ITEM_SERVICE_PROTOCOL": "grpc"}, "dns:///10.0.0.5:50051"),
        ("item", HERE | {"ITEM_SERVICE_TARGET": "dns:///items.shop:1"}, "dns:///items.shop:1"),
        ("item", {"ITEM_SERVICE_TARGET": "unix:/run/item"}, "unix:/run/item"),
        ("item", {"ITEM_SERVICE_HOST": "::1", "ITEM_SERVICE_PORT": "1"}, "dns:///[::1]:1"),
        ("price-book", {"PRICE_BOOK_SERVICE_HOST": "h", "PRICE_BOOK_SERVICE_PORT": "1"}, "dns:///h:1"),
    ],
)
def test_found(name, environment, target):
    """Host and port as Kubernetes sets them, or a target as it stands, which wins."""
    assert target_of(name, environment) == target


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "ITEM_SERVICE_HOST and ITEM_SERVICE_PORT"),
        ({"ITEM_SERVICE_HOST": "h"}, "ITEM_SERVICE_PORT"),
        ({"ITEM_SERVICE_PORT": "1"}, "ITEM_SERVICE_HOST"),
        (HERE | {"ITEM_SERVICE_PORT": "tcp://10.0.0.5:50051"}, "ITEM_SERVICE_PORT='tcp://10.0.0.5:50051' is no port"),
        (HERE | {"ITEM_SERVICE_PORT": "0"}, "is no port"),
        (HERE | {"ITEM_SERVICE_PORT": "65536"}, "is no port"),
        (HERE | {"ITEM_SERVICE_PROTOCOL": "http"}, "only grpc"),
    ],
)
def test_not_found(environment, told):
    """An unset or impossible address is an error that names the variable, never a silent localhost."""
    with pytest.raises(UnknownTarget) as refused:
        target_of("item", environment)
    assert told in str(refused.value)


@pytest.fixture
def running(tmp_path, monkeypatch, this_process):
    """A system that runs here, started by this process; no addresses in the environment."""
    for name in HERE:
        monkeypatch.delenv(name, raising=False)
    write_system(tmp_path, RunningSystem({"item": "127.0.0.1:4711"}, "", this_process))
    return tmp_path


@pytest.fixture
def this_process():
    """Number of a process that runs."""
    return os.getpid()


def test_the_running_system_is_looked_at_in_development_only(running):
    """In development an unset target is looked for on this machine; elsewhere it is an error."""
    development = PlatformSettings(profile="development", var_dir=running)
    assert find_target("item", development) == "dns:///127.0.0.1:4711"
    with pytest.raises(UnknownTarget):
        find_target("store", development)
    with pytest.raises(UnknownTarget):
        find_target("item", PlatformSettings(profile="production", var_dir=running))


def test_the_environment_goes_before_the_running_system(running, monkeypatch):
    """An address that is set holds, whatever runs here."""
    for name, value in HERE.items():
        monkeypatch.setenv(name, value)
    assert find_target("item", PlatformSettings(profile="development", var_dir=running)) == "dns:///10.0.0.5:50051"


def test_what_is_written_is_read(tmp_path, this_process):
    """The file comes back as it went, and only its owner may read it: it names credentials."""
    system = RunningSystem({"item": "h:1"}, "redis://h", this_process, "d.binpb", {"admin": "var/admin"})
    write_system(tmp_path, system)
    assert read_system(tmp_path) == system
    assert (tmp_path / "run" / "system.json").stat().st_mode & 0o777 == 0o600


def test_a_system_whose_launcher_died_does_not_run(tmp_path):
    """What a killed launcher leaves behind is not believed."""
    write_system(tmp_path, RunningSystem({"item": "h:1"}, "", 2**22 + 1))
    assert running_target("item", tmp_path) is None


def test_a_process_that_has_the_launchers_id_is_not_it(tmp_path, this_process):
    """A launcher whose id another process has, after a reboot or later, does not run; without /proc the id decides."""
    start = process_start(this_process)
    boot, _, ticks = start.rpartition("/")
    for told, runs in {start: True, "": True, f"{boot}/{int(ticks) + 1}": False, f"another/{ticks}": False}.items():
        write_system(tmp_path, RunningSystem({"item": "h:1"}, "", this_process, launcher_start=told))
        assert (running_target("item", tmp_path) is not None) is runs
    assert process_start(2**22 + 1) == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"services": {}}', '{"other": 1}', "null"])
def test_a_file_that_makes_no_sense_is_no_system(tmp_path, content):
    """Half a file, or one of another version, is taken for none."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "system.json").write_text(content)
    assert read_system(tmp_path) is None
