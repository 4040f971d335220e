"""The README's examples run, and the notebooks run and show what they are stored with."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

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
