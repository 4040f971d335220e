"""A fresh notebook shows pictures, tables, and one bar for each run, without any magic."""

import base64

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = {
    "setup": "import fnloop as fl\n"
    "data = fl.datasets.lab()\n"
    "trainer = fl.Trainer(model=fl.mlp([10, 4, 1]), loss=fl.losses.BinaryCrossEntropy())",
    "fit": "result = fl.fit(trainer, data.train, data.validation, epochs=45)",
    "again": "fl.fit(trainer, data.train, epochs=2)\nfl.fit(trainer, data.train, epochs=3);",
    "interrupted": "def stop(state):\n"
    "    if state.epoch == 12:\n"
    "        raise KeyboardInterrupt\n"
    "try:\n"
    "    fl.last(fl.tap(stop, fl.progress(fl.epochs(trainer, data.train), total=20)))\n"
    "except KeyboardInterrupt:\n"
    "    pass",
    "stopped": "stopping = fl.EarlyStopping('val_loss', patience=1, min_delta=9.0)\n"
    "fl.fit(trainer.replace(early_stopping=stopping), data.train, data.validation);",
    "diverged": "wild = trainer.replace(optimizer='sgd', scheduler=1e30)\n"
    "with __import__('warnings').catch_warnings(record=True):\n"
    "    fl.fit(wild, data.train);",
    "picture": "result.plot()",
    "range": "fl.plots.lr_range_test(fl.lr_range_test(trainer, fl.init_state(trainer), data.train))",
    "trainer": "trainer",
    "state": "result.best",
    "dataset": "data.train",
    "result": "result",
    "summary": "fl.summary(trainer)",
    "inline": "%matplotlib inline\nimport matplotlib.pyplot\nresult.plot()",
}


@pytest.fixture(scope="module")
def shown():
    """Return the outputs of each cell; the kernel is started once."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


pytestmark = pytest.mark.filterwarnings("default")  # of the kernel's own process


def test_progress_is_one_output_and_its_last_line_stays(shown):
    """After any number of epochs, the last one and a line of averages are stored; no widget is needed to see them."""
    (output,) = shown["fit"]
    assert output.output_type == "display_data"
    line, averages = output.data["text/plain"].splitlines()
    assert line.startswith("epoch 45/45  loss ")
    assert averages.strip().startswith("mean of the last 10: loss ")
    assert '<progress value="45" max="45">' in output.data["text/html"]
    assert "epoch 45/45" in output.data["text/html"]


def test_each_run_has_its_own_bar(shown):
    """In the order of the runs; an interrupted run shows its last epoch."""
    assert [output.data["text/plain"].split("  ")[0] for output in shown["again"]] == ["epoch 2/2", "epoch 3/3"]
    (output,) = shown["interrupted"]
    assert output.data["text/plain"].startswith("epoch 12/20")


@pytest.mark.parametrize(
    ("cell", "reason"), [("stopped", "stopped: no improvement (val_loss for 1 epochs"), ("diverged", "stopped: non-finite (")]
)
def test_the_bar_says_why_a_run_stopped(shown, cell, reason):
    (output,) = shown[cell]
    assert output.data["text/plain"].splitlines()[-1].startswith(reason)
    assert reason in output.data["text/html"]


@pytest.mark.parametrize("cell", ["picture", "range", "inline"])
def test_a_figure_is_a_picture(shown, cell):
    """It is shown once, also if pyplot shows figures by itself."""
    (output,) = [output for output in shown[cell] if output.output_type == "execute_result"]
    assert base64.b64decode(output.data["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert sum("data" in output for output in shown[cell]) == 1


@pytest.mark.parametrize("cell", ["trainer", "state", "dataset", "result", "summary"])
def test_a_value_is_a_table(shown, cell):
    """It also has a line of text, for where no HTML is shown."""
    (output,) = shown[cell]
    assert output.data["text/html"].startswith("<table>")
    assert output.data["text/plain"]


def test_nothing_is_an_error_or_a_warning(shown):
    assert not [output for outputs in shown.values() for output in outputs if output.output_type in ("error", "stream")]
