"""`python -m deploy.local`: run, day, replay, smoke, stop, logs, reset. The Makefile's targets call it."""

from __future__ import annotations

import random
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from trunkline.launcher.command import run_command

from deploy.local import commands
from deploy.local.settings import read_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Sales = Annotated[int, typer.Option(min=1, max=1_000_000, help="How many sales.")]
Seed = Annotated[int, typer.Option(help="What customers do follows from it; 0: something new.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]


@app.command()
def run(sales: Sales = 200, seed: Seed = 0) -> None:
    """Start everything, trade a day, show it, and stay until Ctrl-C."""
    settings, local = read_settings()
    _end(commands.run(settings, local, sales=sales, seed=_seed(seed)))


@app.command()
def day(sales: Sales = 200, seed: Seed = 0, as_json: Json = False) -> None:
    """Trade a day on the system that runs, or on one of its own; 0 only if sold = report = journal = stock."""
    settings, local = read_settings()
    _end(commands.day(settings, local, sales=sales, seed=_seed(seed), as_json=as_json))


@app.command()
def replay(week: Annotated[int, typer.Option(min=1, max=53, help="Week of 2017.")] = 10, as_json: Json = False) -> None:
    """Sell the supermarket baskets of a week in a fresh tenant, and compare with sums over the source."""
    # Reads its data with packages of requirements-data.lock, which nothing else needs.
    from deploy.local.replay import replay_week

    settings, local = read_settings()
    _end(replay_week(settings, local, week=week, as_json=as_json))


@app.command()
def smoke() -> None:
    """Trade a tiny day on a system of its own, on free ports, and forget it."""
    _end(commands.smoke(read_settings()[0]))


@app.command()
def stop() -> None:
    """End what runs here."""
    _end(commands.stop(read_settings()[0]))


@app.command()
def logs(service: Annotated[str, typer.Argument(help="Program, such as cart or redis.")]) -> None:
    """Follow the log of one program."""
    _end(commands.logs(read_settings()[0], service))


@app.command()
def reset() -> None:
    """End what runs here and forget everything it knew."""
    _end(commands.reset(read_settings()[0]))


def _end(command: Coroutine[Any, Any, int]) -> None:
    sys.exit(run_command(command))


def _seed(seed: int) -> int:
    return seed or random.randrange(1, 2**31)


if __name__ == "__main__":
    app()
