"""Values are shown as one short line, or a small table in a notebook, and never with their data."""

import json
import math
import pickle
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import pipe
from toolz.curried import take

import fnloop as fl
from fnloop.cli.report import write_report
from fnloop.testing import problems, states

SECRET = 0.123456789  # a value of the data


class Tags(HTMLParser):
    """Return the text of a table's cells in order; check that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def cells(value):
    tags = Tags()
    tags.feed(value._repr_html_())
    assert not tags.open
    return tags.cells


def check_shown(value):
    """Check that the repr is one short line with the class's name, and that the HTML table agrees."""
    line = repr(value)
    assert "\n" not in line
    assert len(line) < 400
    assert line.startswith(f"{type(value).__name__}(")
    assert str(SECRET)[:6] not in line
    assert cells(value)[0] == type(value).__name__


@given(states())
def test_a_state_is_one_line(state):
    """At any point of training: epoch, step, learning rate, losses, and the number of parameters."""
    check_shown(state)
    check_shown(state.params)
    assert repr(state).startswith(f"TrainState(epoch={state.epoch}, step={state.step}, lr={state.lr:.4g}")
    assert f"{state.params.vector.size} parameter" in repr(state)
    for name in {"loss", "val_loss"} & state.metrics.keys():
        assert f"{name}={state.metrics[name]:.4g}" in repr(state)
    assert all(name in cells(state) for name in state.metrics)


@given(problems())
def test_a_trainer_and_its_data_are_one_line(problem):
    """The line of a trainer leaves out defaults; its table does not."""
    trainer, *data = problem
    check_shown(trainer)
    assert ("batch_size" in repr(trainer)) == (trainer.batch_size != 32)
    assert "batch_size" in cells(trainer)
    for dataset in filter(None, data):
        check_shown(dataset)
        assert f"{len(dataset)} example" in repr(dataset)


def test_reprs_do_not_show_data():
    """Only shape and dtype, for arrays of any size."""
    for n in (1, 3, 1000):
        x = np.full((n, 64), SECRET)
        for kind in (fl.Dataset, fl.Batch):
            data = kind(x, x[:, 0], np.full(n, SECRET))
            check_shown(data)
            assert f"x=({n}, 64) float64, y=({n},) float64, weights=({n},) float64" in repr(data)


DATA = fl.datasets.lab()
TRAINER = fl.Trainer(model=fl.mlp([10, 4, 1]), loss=fl.losses.BinaryCrossEntropy())


@pytest.fixture(scope="module")
def result():
    return fl.fit(TRAINER, DATA.train, DATA.validation, epochs=3, progress=False)


def test_a_fit_and_a_run_are_one_line(result, tmp_path):
    """Number of epochs, stop reason and best metric; markup in a file name is escaped."""
    check_shown(result)
    assert f"best=epoch {result.best.epoch}, val_loss={result.best.metrics['val_loss']:.4g}" in repr(result)
    run_file = tmp_path / "<b>&.run"
    fl.fit(TRAINER, DATA.train, DATA.validation, epochs=3, progress=False, record=run_file)
    run = fl.open_run(run_file)
    assert cells(run)[:2] == ["Run", "path"]
    assert "epochs=0 to 3" in repr(run)
    assert f"val_loss={run.history['val_loss'][-1]:.4g}" in repr(run)


def test_a_history_converts_to_a_table_and_to_json(result):
    """For any values; changes of the copy do not change the record."""
    history = result.history
    frame = pd.DataFrame(history)
    assert list(frame.columns) == list(history)
    assert frame["val_loss"].tolist() == history["val_loss"]
    assert json.loads(json.dumps(history)) == history
    before = fl.digest(result)
    history["loss"].append(0.0)
    history.clear()
    result.history["loss"][0] = -1.0
    assert len(result.history["loss"]) == 3
    assert result.history["loss"][0] > 0
    assert fl.digest(result) == before
    assert fl.same_bits(pickle.loads(pickle.dumps(result)), result)


def test_a_history_keeps_nan_and_infinity():
    """Python's JSON writes and reads them."""
    never = lambda outputs, targets: outputs[:, 0] * math.nan  # noqa: E731
    trainer = fl.Trainer(model=fl.mlp([10, 1]), loss=fl.losses.BinaryCrossEntropy(), metrics=(never,))
    history = fl.fit(trainer, DATA.train, epochs=2, progress=False).history
    assert np.isnan(json.loads(json.dumps(history))["<lambda>"]).all()
    assert pd.DataFrame(history)["<lambda>"].isna().all()


def test_methods_of_a_fit_use_the_best_state(result):
    """Not the last one."""
    trained_on = fl.fit(TRAINER, DATA.train, DATA.validation, epochs=8, monitor="loss", progress=False)
    for fit in (result, trained_on):
        best = fit.best
        assert fit.evaluate(DATA.test) == fl.evaluate(TRAINER, best, DATA.test)
        assert np.array_equal(fit.predict(DATA.test.x), fl.predict(TRAINER, best, DATA.test.x))
        assert np.array_equal(fit.predict_proba(DATA.test.x), fl.predict_proba(TRAINER, best, DATA.test.x))
    assert result.plot().get_axes()


def test_a_fit_without_a_best_state_raises():
    """A method that needs one says why there is none."""
    endless = fl.Trainer(
        model=fl.mlp([10, 1]), loss=fl.losses.MeanSquaredError(), scheduler=fl.schedulers.ConstantLR(1e30), metrics=()
    )
    result = fl.fit(endless, DATA.train, epochs=2, progress=False)
    assert result.stop_reason == "non-finite"
    check_shown(result)
    for call in (lambda: result.predict(DATA.test.x), lambda: result.evaluate(DATA.test)):
        with pytest.raises(fl.NoBestError, match="non-finite"):
            call()


@given(st.integers(1, 5))
def test_the_summary_counts_epochs_from_the_start_of_training(more):
    """A resumed run numbers its epochs as the states do."""
    start = pipe(fl.epochs(TRAINER, DATA.train), take(4), fl.last)
    result = fl.fit(TRAINER, DATA.train, epochs=3 + more, start=start, monitor="loss", progress=False)
    assert f"(epoch {result.best.epoch})" in next(row for row in result.summary().splitlines() if row.startswith("best loss"))


def test_the_report_of_a_job_is_standard_json(tmp_path):
    """A NaN metric is written as null, because not every JSON parser knows NaN."""

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    never = lambda outputs, targets: outputs[:, 0] * math.nan  # noqa: E731
    frame = pd.DataFrame({"a": np.arange(60.0), "kind": ["x", "y", "z"] * 20, "label": ["no", "yes"] * 30})
    splits = fl.split_table(frame, "label")
    inputs = splits.train.x.shape[1]
    trainer = fl.Trainer(model=fl.mlp([inputs, 1]), loss=fl.losses.BinaryCrossEntropy(), metrics=(never,))
    result = fl.fit(trainer, splits.train, splits.validation, epochs=2, progress=False)
    scores = fl.score_table(trainer, result.best, splits)
    write_report([result], splits, result.evaluate(splits.test), scores, tmp_path / "metrics.json")
    report = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refuse)
    assert report["test"]["<lambda>"] is None
    assert report["history"]["<lambda>"] == [None, None]
    assert report["history"]["loss"] == result.history["loss"]
