"""`trunkline protos`: where the contracts of the platform are, for `protoc -I` and `buf`."""

from __future__ import annotations

from trunkline.cli.running import CommandError
from trunkline.protos import include_dir


def protos() -> None:
    """Print the include path of the contracts that come with the library."""
    folder = include_dir()
    if not (folder / "trunk" / "policy" / "v1" / "policy.proto").exists():
        raise CommandError(f"there are no contracts in {folder}: the installation is damaged")
    print(folder)
