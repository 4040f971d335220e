"""Each room imports only from its own floor or below, and importing the package stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "fnloop"
FLOORS = [
    {"calling", "errors", "namespace", "short", "typing", "version", "warning"},
    {"arrays", "changing", "names", "naming", "notebook", "record", "shown", "parameters", "random", "constants", "sums"},
    {"parts", "schedulers", "optimizers", "nn", "losses", "metrics", "data", "preprocessing", "standardization"},
    {"state", "early_stopping", "coding", "tasks"},
    {
        "adapt",
        "consistency",
        "faults",
        "splits",
        "trainer",
        "loop",
        "measuring",
        "prediction",
        "trial",
        "scale",
        "confusion_matrix",
        "engines",
    },
    {"streams", "progress", "lr_range_test", "runs", "tables"},
    {"fit", "plots", "datasets", "testing"},
    {"ending", "results"},
    {"job", "demo"},
    {"run_cli"},
    {"cli", "__main__"},
]
EDGES = {"plots", "datasets", "testing"}  # import nothing of their own floor
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """The rooms that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "fnloop":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fnloop."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("fnloop") for alias in node.names), f"{path}: write `from fnloop.x import y`"
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_below(path):
    """Or from its own floor; an edge from nothing beside it."""
    room = room_of(path)
    assert room in FLOOR, f"{room} stands on no floor"
    for other in imported(path):
        assert FLOOR[other] <= FLOOR[room], f"{room} imports {other}, which stands above it"
        if room in EDGES and other != room:
            assert FLOOR[other] < FLOOR[room], f"the edge {room} imports {other} beside it"


def test_importing_the_package_is_light():
    """What is heavy is imported where it is used."""
    program = "import sys, fnloop; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"sklearn", "scipy", "matplotlib", "rich", "typer", "jax", "pandas", "polars", "narwhals", "hypothesis"}
    assert not heavy & set(loaded)


def test_the_laws_say_what_they_need():
    """Without Hypothesis: one line, with the command that installs it."""
    program = "import sys; sys.modules['hypothesis'] = None; import fnloop; import fnloop.testing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: fnloop.testing needs Hypothesis: python -m pip install 'fnloop[testing]'"
    )


def test_no_room_is_too_large():
    """One idea a file."""
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > 360} == {}
