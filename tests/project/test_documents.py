"""The examples of the documents run, and the notebooks run and show the kinds of output that are stored in them."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import settings
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
PAGES = ["clusters", "comparing", "run-file", "search", "sql", "sweeps", "tables"]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", *(f"docs/{page}.md" for page in PAGES)]


def python_blocks(name):
    """Return the Python examples of a document, as one program."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL))


def examples_of_laws():
    """Return code by which the laws of a program try as many examples as those of this process, the same in each run."""
    options = f"max_examples={settings().max_examples}, derandomize=True, database=None, deadline=None"
    return f"from hypothesis import settings\nsettings.register_profile('here', {options})\nsettings.load_profile('here')\n"


def run_program(program, folder):
    """Run a program in a new process whose warnings are errors, except for the example that diverges."""
    setup = "import warnings, fnloop; warnings.simplefilter('ignore', fnloop.NonFiniteWarning)\n"
    laws = examples_of_laws() if "fnloop.testing" in program else ""
    command = [sys.executable, "-W", "error", "-c", setup + laws + program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readme_examples_run(tmp_path):
    """The Python blocks are one program, from top to bottom."""
    program = python_blocks("README.md")
    assert program.count("fl.") > 20
    run_program(program, tmp_path)
    assert (tmp_path / "best.npz").exists()


def test_recipes_run(tmp_path):
    """The recipe of each kind of part, and the laws that it passes."""
    run_program(python_blocks("CONTRIBUTING.md"), tmp_path)
    assert (tmp_path / "rate.png").exists()


@pytest.mark.parametrize("page", ["comparing", "sweeps"])
def test_the_pages_about_many_runs_run(page, tmp_path):
    """The examples of a page are one program."""
    run_program(python_blocks(f"docs/{page}.md"), tmp_path)


def test_the_page_about_searches_runs(tmp_path):
    """It needs Optuna."""
    pytest.importorskip("optuna")
    run_program(python_blocks("docs/search.md"), tmp_path)


@pytest.mark.thorough
def test_the_page_about_clusters_runs(tmp_path):
    """Its program is a file, which the processes of the cluster import."""
    pytest.importorskip("distributed")
    (tmp_path / "program.py").write_text(python_blocks("docs/clusters.md"), encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 of 24 members" in done.stderr


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_a_document_names_exist(name):
    """A file that was moved or renamed is renamed in the documents, too; the files of the recipes do not exist yet."""
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(
        re.findall(r"`((?:fnloop|tests|benchmarks|notebooks)/[\w/.]*)`", text) + re.findall(r"\]\((\w[\w/.]+)\)", text)
    )
    folders = ROOT, (ROOT / name).parent
    assert sorted(path for path in named if not any((folder / path).exists() for folder in folders)) == []


@pytest.mark.thorough
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_run_and_keep_their_outputs(path):
    """Every cell runs in the folder, as in Jupyter, and its outputs are of the stored kinds; numbers may differ."""
    kept = nbformat.read(path, as_version=4)
    again = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    if any("fnloop.testing" in cell.source for cell in kept.cells):
        again.cells.insert(0, nbformat.v4.new_code_cell(examples_of_laws()))
    NotebookClient(again, timeout=300, kernel_name="python3", resources=folder).execute()
    for old, new in zip(kept.cells, again.cells[-len(kept.cells) :], strict=True):
        if old.cell_type == "code":
            assert kinds(old) == kinds(new), old.source


def kinds(cell):
    """Return the kinds of output of a cell: text, values, pictures; a text can be in several pieces."""
    return {(output.output_type, *sorted(output.get("data", {}))) for output in cell.outputs}
