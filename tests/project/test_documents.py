"""What the documents say is true: the README's examples run, the notebooks run, every public name is documented."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient
from typer.main import get_command

import fnloop as fl
from fnloop import testing
from fnloop.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_examples_run_from_top_to_bottom(tmp_path):
    """The Python blocks are one program; it runs in a folder of its own."""
    program = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
    assert program.count("fl.") > 20
    wanted = "import warnings, fnloop; warnings.simplefilter('ignore', fnloop.NonFiniteWarning)\n"  # an example explodes
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", wanted + program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "best.npz").exists()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_run_and_keep_their_outputs(path):
    """Every cell runs, and shows again the kinds of output that are kept (numbers may differ from machine to machine)."""
    kept = nbformat.read(path, as_version=4)
    again = nbformat.read(path, as_version=4)
    NotebookClient(again, timeout=300, kernel_name="python3").execute()
    for old, new in zip(kept.cells, again.cells, strict=True):
        if old.cell_type == "code":
            assert kinds(old) == kinds(new), old.source


def kinds(cell):
    """What a cell shows: text, values, pictures; a text may come in several pieces."""
    return {(output.output_type, *sorted(output.get("data", {}))) for output in cell.outputs}


def test_every_public_name_is_documented():
    """It has a docstring, and the README's overview names it."""
    names = [name for name in vars(fl) if not name.startswith("_") and not isinstance(getattr(fl, name), ModuleType)]
    for room, name in [*((fl, name) for name in names), *((testing, name) for name in testing.__all__)]:
        assert getattr(room, name).__doc__, name
        assert re.search(rf"\b{name}\b", README), f"the README does not name {name}"
    for room in (fl.losses, fl.metrics):
        for name in room.__all__:
            thing = getattr(room, name)
            if isinstance(thing, type):
                assert thing.__doc__, name
                assert re.search(rf"\b{name}\b", README), f"the README does not name {name}"
    for name in fl.metrics.METRICS:
        assert f'`"{name}"`' in README, f"the README does not name the metric {name}"


@pytest.mark.parametrize("command", [[], *([name] for name in get_command(app).commands)], ids=" ".join)
def test_every_command_has_help(command):
    """`--help` explains the command and each option."""
    done = subprocess.run([sys.executable, "-m", "fnloop", *command, "--help"], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    for line in re.findall(r"^  --\S+.*$", done.stdout, flags=re.MULTILINE):
        assert len(line.split()) > 2, f"no help in {line!r}"
