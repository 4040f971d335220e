"""Imports point downwards only, and importing the package stays cheap."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "fnloop"
LAYERS = [  # from the lowest to the highest: the only statement of their order
    {"core"},
    {"data", "nn", "losses", "metrics", "schedulers", "optimizers"},
    {"engines"},
    {"training"},
    {"streams", "recipes"},
    {"runs"},
    {"plots"},
    {"fitting"},
    {"populations"},
    {"sklearn", "testing"},
    {"cli"},
    {"__main__"},
]
LEVEL = {place: level for level, places in enumerate(LAYERS) for place in places}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def place_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """The folders and top-level files that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "fnloop":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fnloop."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("fnloop") for alias in node.names), f"{path}: write `from fnloop.x import y`"
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    """A file imports from its own layer and the layers below it."""
    place = place_of(path)
    assert place in LEVEL, f"{place} is not in the list of layers"
    for other in imported(path):
        assert LEVEL[other] <= LEVEL[place], f"{place} imports {other}, which is above it"


@pytest.mark.parametrize("edge", ["sklearn", "testing"])
def test_nothing_imports_an_edge(edge):
    """But its own files, and the commands that show it."""
    importing = {place_of(path) for path in FILES if edge in imported(path)}
    assert importing <= {edge, "cli"}


def test_no_files_import_one_another():
    """Not even inside a function, for a type checker, or through a package: the files can be read in an order."""
    modules = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    imports = {}
    for module, path in modules.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
        names = [(node.module, f"{node.module}.{alias.name}") for node in nodes for alias in node.names]
        imports[module] = {full if full in modules else package for package, full in names} & modules.keys()
    TopologicalSorter(imports).prepare()  # a cycle raises CycleError, which lists its files


def test_importing_the_package_is_light():
    """Heavy packages are imported where they are used."""
    program = "import sys, fnloop; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "sklearn",
        "scipy",
        "matplotlib",
        "rich",
        "typer",
        "jax",
        "pandas",
        "polars",
        "narwhals",
        "hypothesis",
        "optuna",
        "distributed",
        "joblib",
    }
    assert not heavy & set(loaded)


def test_the_laws_name_the_extra_that_they_need():
    """Without Hypothesis, `fnloop.testing` raises one line with the command that installs it."""
    program = "import sys; sys.modules['hypothesis'] = None; import fnloop; import fnloop.testing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: fnloop.testing needs Hypothesis: python -m pip install 'fnloop[testing]'"
    )


def test_files_are_small():
    """One idea a file."""
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > 360} == {}


def test_no_function_hides_a_module():
    """`import fnloop.x.y` gives the module `y`, never a function of the same name."""
    for init in ROOT.rglob("__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT.parent).parts)
        modules = {path.stem for path in init.parent.glob("*.py")} | {
            path.parent.name for path in init.parent.glob("*/__init__.py")
        }
        for node in ast.parse(init.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                bound = {alias.asname or alias.name for alias in node.names}
                assert node.module == package or not bound & modules, f"{package} binds {bound & modules} over a module"
