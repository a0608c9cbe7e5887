"""The tenth service of docs/writing-a-service.md comes to life exactly as it is written there."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from trunkline.launcher.ports import free_port

from tests.docs.blocks import ROOT, blocks
from tests.docs.programs import finished, looking_at, reader_environment, serving
from tests.shop.running import RunningShop

pytestmark = pytest.mark.xdist_group("shop")

DOCUMENT = "docs/writing-a-service.md"
COPIED = ("protos", "services", "tools", "deploy", "tests/services", "tests/conftest.py", "buf.yaml", "pyproject.toml")
AS_COMMANDED = {"make protos": "python tools/protos.py"}
"""What a target does once everything is set up."""
CALLS = "buf curl "
PRINTED_PORT = "50059"


def environment(tree: Path, **variables: object) -> dict[str, str]:
    """A reader's environment in the copy: its code comes before the checkout's."""
    return reader_environment(PYTHONPATH=f"{tree}:{tree / 'gen'}", PYTHONDONTWRITEBYTECODE=1, **variables)


def change(path: Path, diff: str) -> None:
    """Applies a block of a diff: the lines that are kept or taken away must be in the file, together and once."""
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    before = "".join(f"{text}\n" for mark, text in lines if mark in " -")
    after = "".join(f"{text}\n" for mark, text in lines if mark in " +")
    content = path.read_text()
    assert content.count(before) == 1, f"{path} has not, or not once:\n{before}"
    path.write_text(content.replace(before, after))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository after all steps up to running it, each block done in its turn."""
    tree = tmp_path_factory.mktemp("tenth")
    for name in COPIED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    for block in blocks(DOCUMENT):
        if block.language == "diff":
            change(tree / block.file, block.text)
        elif block.file:
            (tree / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tree / block.file).write_text(block.text)
        elif not block.text.startswith(CALLS):
            commands = "".join(f"{AS_COMMANDED.get(line, line)}\n" for line in block.lines)
            await finished("bash", "-euc", commands, cwd=tree, env=environment(tree))
    return tree


@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_made_and_passes_its_own_test(tree: Path):
    """All blocks are written, generated, migrated and run in order, and contracts and code are as the house wants."""
    checks = [
        ["buf", "lint"],
        ["buf", "format", "--diff", "--exit-code", "protos"],
        ["buf", "breaking", "protos", "--against", "protos/image.binpb"],
        ["ruff", "check", "services/footfall", "tests/services/footfall"],
        ["ruff", "format", "--check", "services/footfall", "tests/services/footfall"],
        ["pytest", "-q", "tests/services/test_migrations.py", "-k", "footfall"],
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
    ]
    await asyncio.gather(*(finished(*command, cwd=tree, env=environment(tree)) for command in checks))
    written = {block.file: block.text for block in blocks(DOCUMENT) if block.language in {"proto", "python"}}
    assert {file: (tree / file).read_text() for file in written} == written


@pytest.mark.system
@pytest.mark.asyncio(loop_scope="module")
async def test_it_runs_and_is_called_as_printed(tree: Path, shop: RunningShop):
    """Beside the running shop it starts from its own database, and the printed calls give what was counted."""
    port = free_port()
    var_dir = tree / "var"
    (host, account), (_, cart) = (shop.system.services[name].split(":") for name in ("account", "cart"))
    database = var_dir / "footfall" / "footfall.db"
    env = environment(
        tree,
        TRUNKLINE_PROFILE="development",
        TRUNKLINE_VAR_DIR=var_dir,
        ACCOUNT_SERVICE_HOST=host,
        ACCOUNT_SERVICE_PORT=account,
        CART_SERVICE_HOST=host,
        CART_SERVICE_PORT=cart,
        # Streams of its own: the shop's must not gain a group that nobody reads for later.
        REDIS_URL=shop.system.redis_url.removesuffix("/0") + "/9",
        POS_FOOTFALL_PORT=port,
    )
    database.parent.mkdir(parents=True)
    await finished("trunkline", "migrate", "services.footfall", database, cwd=tree, env=env)
    (calls,) = [block for block in blocks(DOCUMENT, "sh") if block.text.startswith(CALLS)]
    async with serving(sys.executable, "-m", "services.footfall", cwd=tree, env=env, port=port):
        recorded, looked = [
            await finished("bash", "-c", line.replace(PRINTED_PORT, str(port)), cwd=tree, env=looking_at(shop))
            for line in calls.lines
        ]
    assert '"visitors": "12"' in recorded
    assert '"visitors": "12"' in looked
