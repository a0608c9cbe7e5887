"""`trunkline protos`: where the contracts of the platform are, for `protoc -I` and `buf`."""

from __future__ import annotations

from pathlib import Path

from trunkline.cli.running import CommandError


def protos() -> None:
    """Print the include path of the contracts that come with the library."""
    print(include_path())


def include_path() -> Path:
    """Folder with trunk/ and buf/: shipped in the wheel, or protos/ of a checkout.

    Raises:
        CommandError: neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "protos", package.parent.parent / "protos"):
        if (folder / "trunk" / "policy" / "v1" / "policy.proto").exists():
            return folder
    raise CommandError(f"the contracts are neither in {package} nor beside it: the installation is damaged")
