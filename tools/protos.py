"""Generates gen/ from protos/: messages, stubs and their types. `make protos` runs it."""

from __future__ import annotations

import argparse
import importlib.resources
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"
DESCRIPTORS = "descriptors.binpb"
SERVICE_CONFIG = "service_config.json"


def generate(out: Path) -> None:
    """Writes everything that follows from protos/ into out, replacing it."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    bin_dir = Path(sys.executable).parent
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    plugins = [f"--plugin={name}={bin_dir / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    outputs = [
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        # Whoever looks into a running system (the CLI) reads types from here.
        f"--descriptor_set_out={out / DESCRIPTORS}",
        "--include_imports",
    ]
    if protoc.main(["protoc", *plugins, f"-I{PROTOS}", f"-I{well_known}", *outputs, *files]):
        raise SystemExit("protoc failed: see the lines above")
    for package in {path.parent for path in out.rglob("*_pb2.py")}:
        while package != out:
            (package / "__init__.py").touch()
            if package.parent == out:
                (package / "py.typed").touch()
            package = package.parent
    for path in out.rglob("*_pb2_grpc.py"):
        if not any(line.startswith("class ") for line in path.read_text().splitlines()):
            path.unlink()
            path.with_suffix(".pyi").unlink(missing_ok=True)
    write_service_config(out)


def write_service_config(out: Path) -> None:
    """Writes what callers in other languages load: the gRPC service config of all contracts."""
    # The library reads policies with generated code: with what has just been made, not with what it replaces.
    sys.path.insert(0, str(out))
    try:
        from google.protobuf.descriptor_pb2 import FileDescriptorSet
        from trunkline.method import ContractError
        from trunkline.service_config import as_json, service_config

        files = FileDescriptorSet.FromString((out / DESCRIPTORS).read_bytes())
        try:
            config = service_config(files)
        except ContractError as error:
            raise SystemExit(f"no service config can be made: {error}") from None
        (out / SERVICE_CONFIG).write_text(as_json(config))
    finally:
        sys.path.remove(str(out))


def differences(left: Path, right: Path) -> list[str]:
    """Paths that stand in one tree only, or differ."""

    def contents(tree: Path) -> dict[str, bytes]:
        files = (path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(tree)): path.read_bytes() for path in files}

    ours, theirs = contents(left), contents(right)
    return sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))


def main() -> int:
    """Generates, or with --check says whether gen/ is what protos/ make."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if gen/ is stale")
    if parser.parse_args().check:
        with tempfile.TemporaryDirectory() as scratch:
            generate(Path(scratch) / "gen")
            stale = differences(GEN, Path(scratch) / "gen")
        if stale:
            print(f"gen/ is stale ({', '.join(stale[:3])}, {len(stale)} in all): run `make protos`")
        return 1 if stale else 0
    subprocess.run([str(Path(sys.executable).parent / "buf"), "format", "-w", str(PROTOS)], check=True)
    generate(GEN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
