"""The `trunkline` command. Every command imports what it needs when it runs, so that help is there at once."""

from __future__ import annotations

import sys

import typer

from trunkline.cli import database, doctor, events, explain, identity, keys, protos, rebuild, service_config, system

CANNOT = 2
"""Exit status where a command cannot do what was asked."""

app = typer.Typer(
    help="Look at a system of services and reach into it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("ps")(system.ps)
app.command("token")(identity.token)
app.add_typer(keys.app, name="keys")
events.app.command("rebuild")(rebuild.rebuild)
app.add_typer(events.app, name="events")
app.command("explain")(explain.explain)
app.command("doctor")(doctor.doctor)
app.command("migrate")(database.migrate)
app.command("protos")(protos.protos)
app.command("service-config")(service_config.service_config)


def main() -> None:
    """Runs the command line. Whatever goes wrong is told in one line, and ends with 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read along has seen enough; Python must not complain about it at its end.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the reader is a person at a prompt: one line, never a traceback
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"trunkline: {text}", file=sys.stderr)
        sys.exit(CANNOT)
