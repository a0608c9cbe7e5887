"""The wheel is a library that works outside the repository."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.programs import finished, reader_environment
from tests.docs.tally import expected, run_as_printed

LOCATE = """
import importlib.util, sys, buf, trunk.policy.v1, trunkline, trunkline.testing.bad_server
assert "h2" not in sys.modules, "of the development dependencies, nothing is imported"
print(trunkline.__file__, list(trunk.__path__), list(buf.__path__), importlib.util.find_spec("services"))
"""


@pytest.fixture
async def installed(tmp_path: Path) -> Path:
    """A Python with the wheel installed by pip, and its dependencies borrowed from the one that runs the tests."""
    build = ("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist")
    await finished(sys.executable, *build, cwd=ROOT, env=reader_environment())
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    place = tmp_path / "venv"
    await finished(sys.executable, "-m", "venv", "--without-pip", place, cwd=tmp_path, env=reader_environment())
    python = place / "bin" / "python"
    pip = ("-m", "pip", "--isolated", "--disable-pip-version-check", "--python", python)
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    await finished(sys.executable, *pip, *install, cwd=tmp_path, env=reader_environment())
    (site_packages,) = place.glob("lib/python*/site-packages")
    # A path in a .pth file is searched, but the .pth files in it are not read: the checkout stays out of reach.
    (site_packages / "borrowed.pth").write_text(
        "\n".join({sysconfig.get_path(name) for name in ("purelib", "platlib")})
    )
    return python


async def test_the_wheel_works_alone(installed, tmp_path):
    """Installed in another environment it brings its contracts and their code, its command, and serves the example."""
    env = reader_environment()
    located = await finished(installed, "-c", LOCATE, cwd=tmp_path, env=env)
    assert located.count(str(tmp_path)) == 3
    assert located.split()[-1] == "None"
    folder = Path((await finished(installed.with_name("trunkline"), "protos", cwd=tmp_path, env=env)).strip())
    assert folder.is_relative_to(tmp_path)
    assert (folder / "trunk/policy/v1/policy.proto").is_file()
    assert (folder / "buf/validate/validate.proto").is_file()
    assert await run_as_printed(tmp_path, [installed]) == [expected()]
