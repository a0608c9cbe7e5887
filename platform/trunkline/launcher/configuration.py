"""The configuration file of supervisord for a system. Pure: text in, text out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from trunkline.launcher.system import REDIS, LaunchError, Places, Program, SystemSpec

GROUP = "services"
"""Group of all services: they start and stop together."""
STOP_WAIT_S = 15
"""Seconds a program has to drain before it is killed."""
START_RETRIES = 1_000_000
"""How often a program that ends at once is started again, each time a second later: as good as for ever."""
_REDIS_PRIORITY, _SERVICES_PRIORITY = 10, 20
_FORBIDDEN = ("\n", "\r", '"', " ;", " #")


def configuration(spec: SystemSpec, places: Places, redis_command: Sequence[str] | None, user: str | None) -> str:
    """Text of the configuration.

    Args:
        spec: the system.
        places: where its files stand.
        redis_command: of the embedded server, if it has one.
        user: name of this user where it is root: supervisor wants it said that root is meant.

    Raises:
        LaunchError: a value cannot be written in such a file.
    """
    sections = [_supervisord(places, user)]
    if redis_command is not None:
        redis = Program(name=REDIS, command=redis_command)
        sections.append(_program(redis, spec, places, _REDIS_PRIORITY))
    sections += [_program(program, spec, places, _SERVICES_PRIORITY) for program in spec.programs]
    if spec.programs:
        names = ",".join(program.name for program in spec.programs)
        sections.append(_section(f"group:{GROUP}", {"programs": names, "priority": str(_SERVICES_PRIORITY)}))
    return "\n".join(sections)


def _supervisord(places: Places, user: str | None) -> str:
    supervisord = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _plain(places.log("supervisord")),
        "logfile_maxbytes": "1MB",
        "logfile_backups": "1",
        "pidfile": _plain(places.pid_file),
        "childlogdir": _plain(places.log_dir),
        "nocleanup": "true",
        "minfds": "1024",
        "umask": "077",
    }
    if user is not None:
        supervisord["user"] = user
    factory = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    return "\n".join(
        [
            _section("supervisord", supervisord),
            _section("unix_http_server", {"file": _plain(places.socket), "chmod": "0700"}),
            _section("rpcinterface:supervisor", factory),
        ]
    )


def _program(program: Program, spec: SystemSpec, places: Places, priority: int) -> str:
    values = {
        "command": _plain(shlex.join(program.command)),
        "directory": _plain(spec.directory),
        "priority": str(priority),
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "5",
        "startretries": str(START_RETRIES),
        "stopsignal": "TERM",
        "stopwaitsecs": str(STOP_WAIT_S),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _plain(places.log(program.name)),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "2",
    }
    if program.environment:
        values["environment"] = ",".join(f'{name}="{_plain(value)}"' for name, value in program.environment.items())
    return _section(f"program:{program.name}", values)


def _section(name: str, values: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""])


def _plain(value: object) -> str:
    text = str(value)
    for mark in _FORBIDDEN:
        if mark in text:
            raise LaunchError(f"{text!r} cannot be given to a supervised program: it contains {mark!r}")
    return text.replace("%", "%%")
