"""Runs that are not finite, and modes of metrics: warnings, messages, figures and files agree."""

import math
import sys
import warnings
from pathlib import Path

import pytest
from toolz import take

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.optimizers import SGD
from fnloop.plots import comparison_rows
from fnloop.plots.run_data import read_run
from fnloop.streams.progress import progress
from tests.strategies import dataset

DATA, OTHER = dataset("binary", 20), dataset("binary", 30, seed=3)
TRAINER = fl.Trainer(
    model=fl.mlp([3, 4, 1]), loss=fl.losses.BinaryCrossEntropy(), scheduler=0.03, batch_size=8, optimizer=SGD(momentum=0.9)
)
WILD = evolve(TRAINER, scheduler=fl.schedulers.ConstantLR(1e300))


def states_of(trainer):
    yield from fl.epochs(trainer, DATA)  # warned of here


CALLS = {
    "a loop": lambda: list(states_of(WILD)),
    "a function of the stream": lambda: fl.last(fl.epochs(WILD, DATA)),  # warned of here
    "fit": lambda: fl.fit(WILD, DATA, progress=False),  # warned of here
    "another optimizer": lambda: fl.epochs(  # warned of here
        evolve(TRAINER, optimizer=SGD(momentum=0.5)), DATA, start=fl.init_state(TRAINER)
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_warning_names_the_line_outside_the_package(call):
    """Whichever function of the package reads the stream."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    (warning,) = caught
    assert warning.filename == __file__
    assert "warned of here" in Path(__file__).read_text().splitlines()[warning.lineno - 1]


def test_progress_in_a_notebook_shows_why_a_run_stopped(monkeypatch):
    """Also in the first epoch; a state that only stops the run adds no epoch."""
    shown = []

    class Output:
        show = staticmethod(lambda bar: shown.append(bar.text))
        close = staticmethod(lambda: None)

    module = sys.modules["fnloop.streams.progress"]
    monkeypatch.setattr(module, "in_notebook", lambda: True)
    monkeypatch.setattr(module, "Output", Output)
    with warnings.catch_warnings(action="ignore"):
        last = fl.last(progress(fl.epochs(WILD, DATA)))
        assert shown == [f"stopped: {last.stopped}"]
        shown.clear()
        raised = evolve(TRAINER, early_stopping=fl.EarlyStopping("loss", patience=1, min_delta=10.0))
        last = fl.last(progress(fl.epochs(raised, DATA)))
    assert len(shown) == 3
    assert shown[-1].startswith("epoch   2")
    assert shown[-1].endswith(f"\nstopped: {last.stopped}")


def test_a_run_without_a_finished_epoch_cannot_be_drawn(tmp_path):
    """The error has the reason, for a fit and for its run file."""
    with warnings.catch_warnings(action="ignore"):
        result = fl.fit(WILD, DATA, progress=False, record=tmp_path / "a.run")
    with pytest.raises(ValueError, match=r"at least one finished epoch, .*non-finite \(.*in epoch 1"):
        result.plot()
    with pytest.raises(ValueError, match=r"at least one finished epoch, .*non-finite"):
        fl.plots.training(fl.open_run(tmp_path / "a.run"))


def gain(outputs, targets):
    return outputs[:, 0] * targets


def test_the_mode_of_early_stopping_is_used_everywhere(tmp_path):
    """For a custom metric without a mode: in the fit, its summary, the run file, the figure and a comparison."""
    policy = fl.EarlyStopping("val_gain", mode="max", patience=9)
    trainer = evolve(TRAINER, metrics=(fl.metrics.Mean(gain),), early_stopping=policy)
    result = fl.fit(trainer, DATA, OTHER, epochs=4, progress=False, record=tmp_path / "a.run")
    values = result.history["val_gain"]
    best = 1 + values.index(max(values))
    assert best > 1
    assert result.best.epoch == best
    assert f"(epoch {best})" in next(line for line in result.summary().splitlines() if line.startswith("best val_gain"))
    run = fl.open_run(tmp_path / "a.run", trainer=trainer)
    assert (run.best().epoch, run.best("val_gain").epoch, run.monitor) == (best, best, ("val_gain", "max"))
    for data in (read_run(result), read_run(run)):
        assert (data.monitor, data.best_epoch, data.best_value) == ("val_gain", best, max(values))
    poor = fl.fit(trainer, DATA, OTHER, epochs=1, progress=False)
    tests = {name: fit.evaluate(OTHER) for name, fit in {"poor": poor, "good": result}.items()}
    assert comparison_rows({"poor": poor, "good": result}, tests)[0]["scheduler"] == "good"
    assert fl.plots.best_performer(comparison_rows({"poor": poor, "good": result}, tests)) == "good"


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_checkpoint_does_not_compare_different_losses(tmp_path, weights_only):
    """A focal loss is smaller than a cross-entropy, but not better; accuracies can be compared."""
    path = tmp_path / "best.npz"
    fl.last(fl.checkpoint(path, take(3, fl.epochs(TRAINER, DATA, OTHER)), weights_only=weights_only))
    before = path.read_bytes()
    focal = evolve(TRAINER, loss=fl.losses.Focal())
    with pytest.raises(fl.CheckpointError, match="val_loss of another loss, 'BinaryCrossEntropy"):
        fl.last(fl.checkpoint(path, take(9, fl.epochs(focal, DATA, OTHER)), weights_only=weights_only))
    assert path.read_bytes() == before
    with warnings.catch_warnings(action="ignore"):
        fl.last(fl.checkpoint(path, take(3, fl.epochs(focal, DATA, OTHER)), metric="val_accuracy"))


@pytest.mark.parametrize("value", [math.nan, -math.nan, math.inf, -math.inf, -0.0], ids=["nan", "-nan", "inf", "-inf", "-0"])
def test_a_run_with_a_non_finite_metric_is_replayed(tmp_path, value):
    """To the bit, also a NaN with a sign, which inf - inf has on some processors."""
    signed = fl.metrics.Mean(lambda outputs, targets: outputs[:, 0] * 0 + value, mode="min")
    trainer = evolve(TRAINER, metrics=(signed,))
    with warnings.catch_warnings(action="ignore"):
        states = list(fl.record(tmp_path / "a.run", trainer, DATA, OTHER, take(4, fl.epochs(trainer, DATA, OTHER))))
    run = fl.open_run(tmp_path / "a.run", trainer=trainer)
    assert all(fl.same_bits(run.state(epoch), state) for epoch, state in enumerate(states))
    assert "verified, 4 of 4" in str(run.verify())
