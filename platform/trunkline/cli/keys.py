"""`trunkline keys`: the keys that sign tokens, changed while the service runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.output import print_json, print_table
from trunkline.cli.running import CommandError

if TYPE_CHECKING:
    from trunkline.auth.key_files import KeyUse

app = typer.Typer(help="The keys that sign tokens; changing them restarts nothing.", no_args_is_help=True)
Directory = Annotated[Path, typer.Option("--dir", help="Their folder: var/account/signing-keys.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ListedFirst = Annotated[
    float, typer.Option("--listed-first-s", min=0, help="POS_ACCOUNT_LISTED_FIRST_S of the service, if it is set.")
]
_DEFAULT_S = 120.0


@app.command()
def rotate(directory: Directory, listed_first_s: ListedFirst = _DEFAULT_S, as_json: AsJson = False) -> None:
    """Add a key. It is listed at once, signs two minutes later, and the one before it verifies on."""
    from trunkline.auth.key_files import make_key

    _uses(directory, listed_first_s)  # a folder that cannot be read would keep the new key from being taken up
    made = make_key(directory, datetime.now(UTC))
    _print([one for one in _uses(directory, listed_first_s) if one.key.key_id == made.key_id], as_json=as_json)


@app.command("list")
def list_keys(directory: Directory, listed_first_s: ListedFirst = _DEFAULT_S, as_json: AsJson = False) -> None:
    """List the keys, newest first, with what each is for."""
    _print(_uses(directory, listed_first_s), as_json=as_json)


@app.command()
def prune(directory: Directory, listed_first_s: ListedFirst = _DEFAULT_S, as_json: AsJson = False) -> None:
    """Remove the keys whose last token has expired, and print them."""
    from trunkline.auth.key_files import key_file

    spent = [one for one in _uses(directory, listed_first_s) if one.state == "spent"]
    for one in spent:
        key_file(directory, one.key.key_id).unlink()
    _print(spent, as_json=as_json)


def _uses(directory: Path, listed_first_s: float) -> list[KeyUse]:
    from trunkline.auth.key_files import KeyFileRefused, key_file, read_keys, uses

    if not directory.is_dir():
        raise CommandError(f"there is no folder {directory}")
    try:
        keys = read_keys(directory)
    except KeyFileRefused as error:
        raise CommandError(str(error)) from error
    # A file may have been copied here long after its key was made: nobody knew it before.
    files = [datetime.fromtimestamp(key_file(directory, key.key_id).stat().st_mtime, UTC) for key in keys]
    came = [replace(key, create_time=max(key.create_time, time)) for key, time in zip(keys, files, strict=True)]
    return uses(came, datetime.now(UTC), listed_first_s)


def _print(found: list[KeyUse], *, as_json: bool) -> None:
    rows = [
        {"key_id": one.key.key_id, "state": one.state, "until": one.until.isoformat() if one.until else ""}
        for one in found
    ]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(("key_id", "state", "until"), rows)
