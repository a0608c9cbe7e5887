"""Settings: all mistakes together, nothing secret printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from trunkline import process
from trunkline.given import misspelt
from trunkline.settings import PlatformSettings, ServiceSettings, describe, load, refuse


class ShelfSettings(ServiceSettings):
    """Settings of a service that does not exist."""

    model_config = SettingsConfigDict(env_prefix="POS_SHELF_")
    depth: int = Field(ge=1)
    """Has no default."""
    labels: list[str] = Field(default_factory=list)
    """Read as JSON."""

    @model_validator(mode="after")
    def _fits(self) -> ShelfSettings:
        if self.depth > 90:
            raise ValueError("deeper than the wall")
        return self


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No setting of the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith(("TRUNKLINE_", "POS_", "REDIS_", "STORE_SERVICE", "ITEM_SERVICE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("POS_SHELF_DEPTH", "3")


def refused(capsys: pytest.CaptureFixture[str], action: Callable[[], object]) -> list[str]:
    """The lines printed by an action that ends the process with 2."""
    with pytest.raises(SystemExit) as ended:
        action()
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_defaults_work():
    """Nothing need be set for the platform; without a profile it is production."""
    (platform,) = load(PlatformSettings)
    assert (platform.profile, platform.listen_host, platform.credential_file) == ("production", "127.0.0.1", None)


def test_all_mistakes_are_told_together(capsys, monkeypatch):
    """Every mistake of every class has its line with variable, value and reason; the process ends with 2."""
    monkeypatch.setenv("TRUNKLINE_PROFILE", "prod")
    monkeypatch.setenv("TRUNKLINE_DRAIN_S", "-1")
    monkeypatch.setenv("TRUNKLINE_BREAKER", "fuse")
    monkeypatch.setenv("POS_SHELF_PORT", "70000")
    monkeypatch.setenv("POS_SHELF_DEPTH", "deep")
    lines = refused(capsys, lambda: load(PlatformSettings, ShelfSettings))
    assert lines[0] == "cannot start: 5 settings to mend"
    for told in ("TRUNKLINE_PROFILE='prod'", "TRUNKLINE_DRAIN_S='-1'", "TRUNKLINE_BREAKER='fuse'"):
        assert sum(told in line for line in lines) == 1
    for told in ("POS_SHELF_PORT='70000'", "POS_SHELF_DEPTH='deep'"):
        assert sum(told in line for line in lines) == 1


def test_a_setting_that_is_missing_is_named(capsys, monkeypatch):
    """One without a default says that it is not set, and nothing of the others."""
    monkeypatch.delenv("POS_SHELF_DEPTH")
    monkeypatch.setenv("POS_SHELF_PORT", "1234")
    assert refused(capsys, lambda: load(ShelfSettings)) == [
        "cannot start: 1 setting to mend",
        "  POS_SHELF_DEPTH is not set",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [("POS_SHELF_DEPTH", "91", "deeper than the wall"), ("POS_SHELF_LABELS", "[not json", "labels")],
)
def test_mistakes_of_other_kinds_are_told_too(capsys, monkeypatch, variable, value, told):
    """A rule over several settings, and a text that is not of its form, are mistakes like any other."""
    monkeypatch.setenv(variable, value)
    lines = refused(capsys, lambda: load(ShelfSettings))
    assert len(lines) == 2
    assert told in lines[1]


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    """What a deployment leaves empty takes its default: no file named `.`, no address."""
    monkeypatch.setenv("TRUNKLINE_CREDENTIAL_FILE", "")
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("POS_SHELF_PORT", "")
    (platform,), (shelf,) = load(PlatformSettings), load(ShelfSettings)
    assert (platform.credential_file, platform.redis_url, shelf.port) == (None, "", 0)


def test_settings_are_read_from_their_variables(monkeypatch):
    """The platform's by TRUNKLINE_, Redis by REDIS_URL, a service's by its own prefix."""
    monkeypatch.setenv("TRUNKLINE_VAR_DIR", "/srv/var")
    monkeypatch.setenv("REDIS_URL", "redis://h")
    monkeypatch.setenv("POS_SHELF_DATABASE", "/srv/shelf.db")
    (platform,), (shelf,) = load(PlatformSettings), load(ShelfSettings)
    assert (platform.var_dir, platform.redis_url) == (Path("/srv/var"), "redis://h")
    assert shelf.database == Path("/srv/shelf.db")


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("redis://shop:hunter2@cache/0", "redis://shop:***@cache/0"),
        ("redis://shop:hun@ter2@cache/0", "redis://shop:***@cache/0"),
        ("redis://h/0?username=u&password=hunter2&x=1", "redis://h/0?username=u&password=***&x=1"),
    ],
)
def test_passwords_are_not_printed(url, printed):
    """What is printed at start hides the password in an address, however it is written."""
    described = describe(PlatformSettings(redis_url=url))
    assert described["trunkline_redis_url"] == printed
    assert described["trunkline_profile"] == "production"


def test_refuse_counts(capsys):
    """One mistake is one setting."""
    assert refused(capsys, lambda: refuse(["X is not set"])) == ["cannot start: 1 setting to mend", "  X is not set"]


def test_a_process_tells_settings_peers_and_redis_in_one_report(capsys, monkeypatch):
    """What keeps a service from starting is one report, before anything is built."""
    monkeypatch.setenv("POS_SHELF_PORT", "70000")

    async def build(node):
        raise AssertionError("nothing is built")

    lines = refused(capsys, lambda: process.run("shelf", ShelfSettings, build, peers=("store", "item"), events=True))
    assert lines[0] == "cannot start: 4 settings to mend"
    assert [line.split()[0].partition("=")[0] for line in lines[1:]] == [
        "POS_SHELF_PORT",
        "STORE_SERVICE_HOST",
        "ITEM_SERVICE_HOST",
        "REDIS_URL",
    ]


@pytest.mark.parametrize("url", ["localhost:6379", "http://user:hidden@host", "user:hidden@host:6379/0"])
def test_an_address_that_is_none_is_refused_without_its_password(url, capsys, monkeypatch):
    """REDIS_URL names its scheme; what it holds is not printed."""
    monkeypatch.setenv("REDIS_URL", url)
    lines = refused(capsys, lambda: load(PlatformSettings))
    assert "REDIS_URL" in lines[1]
    assert "redis://" in lines[1]
    assert "hidden" not in "".join(lines)


def test_a_database_is_a_file(capsys, monkeypatch):
    """An address is refused, not made into a folder of that name."""
    monkeypatch.setenv("POS_SHELF_DATABASE", "postgresql://shelf@host/shelf")
    assert "POS_SHELF_DATABASE" in refused(capsys, lambda: load(ShelfSettings))[1]


def test_numbers_of_the_breaker_override_its_preset(monkeypatch):
    """A preset is where one starts; what is given besides holds."""
    monkeypatch.setenv("TRUNKLINE_BREAKER", "three-in-a-minute")
    monkeypatch.setenv("TRUNKLINE_BREAKER_OPEN_S", "7")
    settings = load(PlatformSettings)[0].breaker_settings()
    assert (settings.consecutive_failures, settings.open_s) == (3, 7.0)


async def no_service(node):
    """A service that is never built."""
    raise AssertionError("it was built in spite of mistakes")


def test_peers_are_told_beside_a_bad_setting(capsys, monkeypatch):
    """A peer that is nowhere stands in the same report as a setting of the platform that is wrong."""
    monkeypatch.setenv("TRUNKLINE_DRAIN_S", "-1")
    lines = refused(capsys, lambda: process.run("shelf", ShelfSettings, no_service, peers=["item"]))
    assert any("TRUNKLINE_DRAIN_S" in line for line in lines)
    assert any("ITEM_SERVICE_HOST" in line for line in lines)


async def calls_item(node):
    """A service that calls a peer which its `run` does not name: the publisher of what it consumes, say."""
    node.connect("item")
    raise AssertionError("it was built without its peer")


def test_a_peer_that_only_the_service_knows_of_is_told_too(capsys, monkeypatch, tmp_path):
    """A service that connects to somebody who is nowhere does not start, and says which address is missing."""
    monkeypatch.setenv("TRUNKLINE_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("TRUNKLINE_LOG_LEVEL", "error")
    lines = refused(capsys, lambda: process.run("shelf", ShelfSettings, calls_item))
    assert any("ITEM_SERVICE_HOST" in line for line in lines)


def test_the_registry_may_stand_in_a_file(tmp_path, monkeypatch):
    """Its address holds a password: a file is seen by fewer eyes than an environment. Both at once are a mistake."""
    path = tmp_path / "registry"
    path.write_text("redis://:secret@127.0.0.1:6379/3\n")
    monkeypatch.setenv("TRUNKLINE_REGISTRY_URL_FILE", str(path))
    assert PlatformSettings().registry_url == "redis://:secret@127.0.0.1:6379/3"
    monkeypatch.setenv("TRUNKLINE_REGISTRY_URL", "redis://127.0.0.1")
    with pytest.raises(ValueError, match="TRUNKLINE_REGISTRY_URL and TRUNKLINE_REGISTRY_URL_FILE are both set"):
        PlatformSettings()


@pytest.mark.parametrize(
    ("given", "host"),
    [("::1", "::1"), ("[::1]", "::1"), ("::", "::"), ("0.0.0.0", "0.0.0.0"), ("item-1.shop", "item-1.shop")],
)
def test_hosts(given, host, monkeypatch):
    """A host is a name or a number; one of IPv6 stands with brackets or without."""
    monkeypatch.setenv("TRUNKLINE_LISTEN_HOST", given)
    monkeypatch.setenv("TRUNKLINE_ADVERTISE_HOST", given)
    settings = load(PlatformSettings)[0]
    assert (settings.listen_host, settings.advertise_host) == (host, host)


FLOATS = [
    f"TRUNKLINE_{name.upper()}"
    for name, field in PlatformSettings.model_fields.items()
    if field.annotation in (float, float | None)
]
INTEGERS = [
    f"TRUNKLINE_MAX_{name}"
    for name in ("CONCURRENT_CALLS", "CONNECTIONS", "STREAMS_PER_CONNECTION", "MESSAGE_BYTES", "METADATA_BYTES")
]


@pytest.mark.parametrize("name", ["TRUNKLINE_LISTEN_HOST", "TRUNKLINE_ADVERTISE_HOST"])
@pytest.mark.parametrize("given", ["item:50051", "http://item", "a b", "a,b", "[::1", "127.0.0.1:1"])
def test_what_is_no_host(name, given, capsys, monkeypatch):
    """What callers could not use is refused at the start, by its name, in one line."""
    monkeypatch.setenv(name, given)
    lines = refused(capsys, lambda: load(PlatformSettings))
    assert lines[1:] == [f"  {name}={given!r}: Value error, it is no host: give a name or a number, without a port"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *((name, given) for name in FLOATS for given in ("inf", "nan", "-1")),
        *((name, given) for name in INTEGERS for given in ("99999999999", "-1", "1e3")),
        ("REDIS_URL", "redis://host:port"),
        ("TRUNKLINE_REGISTRY_URL", "redis://host:99999"),
        ("TRUNKLINE_REGISTRY_URL", "redis://[::1"),
    ],
)
def test_numbers_out_of_all_bounds(name, given, capsys, monkeypatch):
    """What would end a start in a traceback, later, is one line at its begin."""
    monkeypatch.setenv(name, given)
    lines = refused(capsys, lambda: load(PlatformSettings))
    assert len(lines) == 2
    assert lines[1].startswith((f"  {name}={given!r}: ", f"  {name}: "))


def test_names_that_look_like_settings():
    """A variable that is misspelt is told with what may be meant; what is no setting of anybody's is not."""
    known = ["TRUNKLINE_PROFILE", "TRUNKLINE_METRICS_PORT", "REDIS_URL"]
    given = ["TRUNKLINE_PROFIL", "TRUNKLINE_METRIC_PORT", "TRUNKLINE_PROFILE", "TRUNKLINE_PORT", "PATH", "REDIS_HOST"]
    expected = {"TRUNKLINE_PROFIL": "TRUNKLINE_PROFILE", "TRUNKLINE_METRIC_PORT": "TRUNKLINE_METRICS_PORT"}
    assert misspelt(given, known) == expected


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("given", ["192.0.2.1", "host.invalid"])
def test_a_host_that_is_not_this_machine(given, workers, capsys, monkeypatch):
    """A host that cannot be served on is told before anything is begun, in one line."""
    monkeypatch.setenv("TRUNKLINE_LISTEN_HOST", given)
    monkeypatch.setenv("TRUNKLINE_WORKERS", workers)
    lines = refused(capsys, lambda: process.run("shelf", ShelfSettings, no_service))
    assert len(lines) == 2
    assert f"TRUNKLINE_LISTEN_HOST={given!r}: " in lines[1]
