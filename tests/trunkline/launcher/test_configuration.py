"""What supervisord is told."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from trunkline.launcher.configuration import configuration
from trunkline.launcher.system import LaunchError, Places, Program, SystemSpec


def parsed(spec: SystemSpec, redis: list[str] | None = None, user: str | None = None) -> configparser.RawConfigParser:
    """The configuration, read as supervisord reads it."""
    found = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    found.read_string(configuration(spec, Places.of(spec.var_dir), redis, user))
    return found


def system(**fields) -> SystemSpec:
    """A system of one program."""
    program = Program(name="item", command=["/bin/item", "a b", "100%"], environment={"POS_ITEM_PORT": "50051"})
    return SystemSpec(**{"var_dir": Path("/srv/var"), "programs": [program], **fields})


def test_quotes_arguments():
    """An argument with a space stays one argument, and a percent sign is no expansion."""
    assert parsed(system())["program:item"]["command"] == "/bin/item 'a b' 100%%"


def test_gives_each_program_a_log_and_restarts_it():
    """Every program is started again whenever it ends, and writes to a log of its own name."""
    program = parsed(system())["program:item"]
    assert program["autorestart"] == "true"
    assert int(program["startretries"]) >= 1000
    assert program["stdout_logfile"] == "/srv/var/log/item.log"


def test_redis_starts_first():
    """The embedded server is no member of the services' group and comes before it: so it is stopped last."""
    found = parsed(system(), redis=["/bin/redis"])
    assert found["group:services"]["programs"] == "item"
    assert int(found["program:redis"]["priority"]) < int(found["group:services"]["priority"])


def test_names_root_only_for_root():
    """Supervisord warns when it is root and nobody said so; another user must not be named at all."""
    assert parsed(system(), user="root")["supervisord"]["user"] == "root"
    assert "user" not in parsed(system())["supervisord"]


def test_keeps_variables_of_the_system_out():
    """What all programs share, such as an address with a password, is handed over and not written down."""
    text = configuration(system(environment={"REDIS_URL": "redis://:secret@host"}), Places.of(Path("/v")), None, None)
    assert "secret" not in text


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a ;b", "a #b"])
def test_refuses_what_cannot_be_written(value):
    """A value that the file's format would cut or misread is refused by name, never passed on changed."""
    program = Program(name="item", command=["x"], environment={"A": value})
    with pytest.raises(LaunchError, match="cannot be given"):
        parsed(system(programs=[program]))


def test_socket_path_is_short_enough(tmp_path):
    """A deep folder has its control socket elsewhere: paths of unix sockets are at most about 100 bytes."""
    deep = Places.of(tmp_path / ("d" * 90))
    assert len(str(deep.socket)) < 90
    assert Places.of(Path("/srv/var")).socket == Path("/srv/var/run/supervisor.sock")
