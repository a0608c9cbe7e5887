"""Where commands find contracts: a file that is named, the system that runs, this folder, what is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from trunkline.cli.running import CommandError, settings
from trunkline.registry.system import read_system

HERE = Path("gen") / "descriptors.binpb"
"""File that `make protos` writes, under the current directory."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file with descriptors, and why it is this one."""

    path: Path
    """The file."""
    source: str
    """`argument`, `running system` or `this folder`."""


def find_file(given: Path | None) -> FoundFile | None:
    """The file of descriptors to read: the given one, else the running system's, else the one under this folder."""
    if given is not None:
        return FoundFile(given, "argument")
    system = read_system(settings().var_dir)
    if system is not None and system.descriptors:
        return FoundFile(Path(system.descriptors), "running system")
    return FoundFile(HERE, "this folder") if HERE.is_file() else None


def read_files(path: Path) -> FileDescriptorSet:
    """The contracts of a file that `protoc --descriptor_set_out` made.

    Raises:
        CommandError: there is no such file, or it holds something else.
    """
    try:
        return FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        raise CommandError(f"the contracts cannot be read: {error}") from None
    except DecodeError:
        raise CommandError(f"{path} holds no descriptors: make it with protoc --descriptor_set_out") from None


def installed(packages: Iterable[str]) -> FileDescriptorSet:
    """The contracts of packages that are installed here or stand in this folder."""
    import sys

    # As `python -m` does: a contract is found in the folder one stands in.
    sys.path.insert(0, str(Path.cwd()))
    found = FileDescriptorSet()
    names: set[str] = set()
    for package in packages:
        for module in _generated(package):
            _add(module.DESCRIPTOR, found, names)
    return found


def _generated(package: str) -> Iterator[ModuleType]:
    import importlib
    import pkgutil

    if not all(word.isidentifier() for word in package.split(".")):
        return
    try:
        root = importlib.import_module(package)
    except ModuleNotFoundError:
        return
    for one in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{package}."):
        if one.name.endswith("_pb2"):
            yield importlib.import_module(one.name)


def _add(file: FileDescriptor, found: FileDescriptorSet, names: set[str]) -> None:
    if file.name in names:
        return
    names.add(file.name)
    for imported in file.dependencies:
        _add(imported, found, names)
    file.CopyToProto(found.file.add())
