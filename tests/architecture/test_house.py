"""The house keeps its rules: folders, docstrings, sizes, and the direction of imports."""

from __future__ import annotations

import ast
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("platform/trunkline", "services")
EVERYTHING = (*CODE, "tests", "tools", "bench", "deploy", "examples")
CEILING = 300
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "impl", "misc"}

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def files(*folders: str) -> list[Path]:
    """All Python files of folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.is_file())


def named(path: Path) -> str:
    """How a file is told in a failure."""
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text())


def public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Documented]]:
    """Public classes and functions of a module or class, and their public members; overloads have no text."""
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        if any(isinstance(one, ast.Name) and one.id == "overload" for one in child.decorator_list):
            continue
        yield f"{prefix}{child.name}", child
        if isinstance(child, ast.ClassDef):
            yield from public(child, f"{prefix}{child.name}.")


def undocumented(path: Path) -> Iterator[str]:
    """Public names of a file that have no docstring."""
    tree = parsed(path)
    if tree.body and not ast.get_docstring(tree):
        yield named(path)
    for name, node in public(tree, ""):
        if not ast.get_docstring(node):
            yield f"{named(path)}: {name}"


def test_platform_is_pythons_own():
    """`platform/` is a folder and never a package: with an `__init__.py` it would hide the standard library's."""
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert Path(platform.__file__).parent == Path(sysconfig.get_path("stdlib"))
    assert platform.system()


def test_platform_stays_pythons_own_beside_the_folder():
    """Even started in the root of the repository, `import platform` finds Python's."""
    code = "import platform; print(platform.python_implementation())"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == platform.python_implementation()


def test_no_package_has_the_name_of_a_contract():
    """Nothing of ours is called like a proto package: generated code would hide it, or be hidden."""
    assert not [folder for folder in ("pos", "trunk", "buf") if (ROOT / folder).exists()]
    assert not [path for path in files(*CODE) if path.stem in {"pos", "trunk"}]


@pytest.mark.parametrize("folder", CODE)
def test_everything_public_has_a_docstring(folder):
    """Every public module, class, method and function says what it is."""
    assert [name for path in files(folder) for name in undocumented(path)] == []


def test_every_test_states_its_fact():
    """Every test has a docstring with the fact it proves, and every file of tests one with its subject."""
    silent = [named(path) for path in files("tests") if not ast.get_docstring(parsed(path))]
    for path in files("tests"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                silent += [] if ast.get_docstring(node) else [f"{named(path)}: {node.name}"]
    assert silent == []


def test_no_file_is_too_long():
    """No source file has more than 300 lines; generated code is not counted."""
    long = {named(path): len(path.read_text().splitlines()) for path in files(*EVERYTHING)}
    assert {name: lines for name, lines in long.items() if lines > CEILING} == {}


def test_names_say_what_is_inside():
    """No `utils`, `helpers`, `common`, `base` or `manager`: such a name says where nobody looks."""
    assert [named(path) for path in files(*EVERYTHING) if path.stem in FORBIDDEN_NAMES] == []
    assert [
        str(path.relative_to(ROOT))
        for folder in EVERYTHING
        for path in (ROOT / folder).rglob("*")
        if path.is_dir() and path.name in FORBIDDEN_NAMES
    ] == []


def test_packages_are_packages():
    """Every folder of code with modules in it is a package that says what it holds."""
    missing = {
        str(path.parent.relative_to(ROOT))
        for path in files(*CODE)
        if not (path.parent / "__init__.py").exists() and "versions" not in path.parts
    }
    assert missing == set()
    assert [named(path) for path in files("tests") if path.name == "__init__.py"] == []


def calls(tree: ast.Module) -> Iterator[str]:
    """Dotted names of what a module calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_decisions_have_no_clock_and_no_dice():
    """Policies and domains neither wait nor look at a clock nor throw dice: all of it is brought to them."""
    pure = [*files("platform/trunkline/policies", "services/kernel"), *(ROOT / "services").glob("*/domain/*.py")]
    forbidden = ("asyncio.", "time.", "random.", "datetime.now", "datetime.today", "date.today", "uuid.")
    found = [f"{named(path)}: {name}" for path in pure for name in calls(parsed(path)) if name.startswith(forbidden)]
    assert found == []


def test_imports_run_one_way():
    """import-linter keeps every contract of pyproject.toml."""
    lint = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
