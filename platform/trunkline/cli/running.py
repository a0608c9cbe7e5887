"""The system that runs on this machine, for commands that need one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.registry.system import RunningSystem
    from trunkline.settings import PlatformSettings


class CommandError(Exception):
    """A command cannot do what was asked; the text is for the person who asked."""


def settings() -> PlatformSettings:
    """The settings of this shell, with the system that runs here as the place to look for services."""
    from trunkline.settings import PlatformSettings, load

    return load(PlatformSettings)[0].model_copy(update={"profile": "development"})


def running_system() -> RunningSystem:
    """What runs here.

    Raises:
        CommandError: nothing does.
    """
    from trunkline.registry.system import read_system

    var_dir = settings().var_dir
    found = read_system(var_dir)
    if found is None:
        raise CommandError(f"no system runs on {var_dir}: start one with `make run`, or set TRUNKLINE_VAR_DIR")
    return found
