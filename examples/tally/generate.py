"""Generates the example's messages and stubs into gen/: `python generate.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc
from trunkline.protos import include_dir

HERE = Path(__file__).parent


def main(out: Path) -> int:
    """Runs protoc; the platform's own protos come with the library."""
    out.mkdir(parents=True, exist_ok=True)
    protos = HERE / "protos"
    files = [str(path) for path in protos.rglob("*.proto")]
    well_known = Path(protoc.__file__).parent / "_proto"
    includes = [f"-I{protos}", f"-I{include_dir()}", f"-I{well_known}"]
    return int(protoc.main(["protoc", *includes, f"--python_out={out}", f"--grpc_python_out={out}", *files]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "gen"))
