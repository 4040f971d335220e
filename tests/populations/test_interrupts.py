"""Ctrl-C and failures: what was trained is kept, comparisons are of equal numbers of epochs, and the member is named."""

import sys
import warnings

import numpy as np
import pytest

import fnloop as fl
from fnloop.populations import sweep as sweep_module

DATA = fl.datasets.iris().validation  # 24 rows
OTHER = fl.datasets.iris().test
BASE = fl.Trainer(model=fl.mlp([4, 3, 3]), loss="cross_entropy", scheduler=0.05, batch_size=8)
TRAINERS = {
    "plain": BASE,
    "stops": BASE.replace(early_stopping=fl.EarlyStopping(patience=1, min_delta=0.2)),
    "other": BASE.replace(model=fl.mlp([4, 3])),  # another kind
}
EPOCHS = 5
EXPLODING = fl.schedulers.PiecewiseLR((0, 2), (0.05, 1e30), interpolate="previous")  # in the third epoch
BAD = BASE.replace(optimizer="sgd", scheduler=EXPLODING, non_finite="raise")


def compare(**options):
    return fl.compare(TRAINERS, DATA, OTHER, seeds=2, **{"epochs": EPOCHS, "progress": False, **options})


def validate(**options):
    return fl.cross_validate(TRAINERS, DATA, folds=2, **{"epochs": EPOCHS, "progress": False, **options})


class Interrupt:
    """A trace function that raises KeyboardInterrupt after some events in the files of a population."""

    def __init__(self, after):
        self.after, self.events = after, 0

    def __call__(self, frame, event, argument):
        if "fnloop/populations" not in frame.f_code.co_filename and "fnloop/fitting" not in frame.f_code.co_filename:
            return None
        self.events += event == "line"
        if event == "line" and self.events == self.after:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self


def interrupted(function, after):
    """The result of a function in which Ctrl-C is pressed after some events, or None, and the events that there were."""
    interrupt = Interrupt(after)
    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        return function(), interrupt.events
    except KeyboardInterrupt:
        return None, interrupt.events
    finally:
        sys.settrace(before)


def values_of(fit):
    return {name: values for name, values in fit.metrics.items() if name != "seconds"}


def is_cut(fit, whole, short):
    """Whether a result is that of a run of so many epochs, or of one that ended by itself before."""
    expected = whole if whole.stop_reason != "finished" and whole.last.epoch <= short.last.epoch else short
    return (
        fl.same_bits(fit.last, expected.last)
        and fl.same_bits(fit.best_state, expected.best_state)
        and values_of(fit) == values_of(expected)
        and len(fit.metrics["seconds"]) == fit.last.epoch
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Ctrl-C while a stream is deleted
@pytest.mark.parametrize("function", [compare, validate])
def test_ctrl_c_anywhere_leaves_runs_of_equal_numbers_of_epochs(function):
    """Wherever it comes, each run has the bits of one that was to train so many epochs, or ended by itself before."""
    wholes = {epochs: function(epochs=epochs) for epochs in range(1, EPOCHS + 1)}
    _, events = interrupted(function, 0)
    kept = []
    draw = np.random.default_rng(0)
    for after in sorted(draw.choice(events, 60, replace=False).tolist()):
        result, _ = interrupted(function, after)
        if result is None or not result.interrupted:
            kept.append(0)
            continue
        epochs = max(fit.last.epoch for fits in result.fits.values() for fit in fits)
        assert f"interrupted after epoch {epochs} of {EPOCHS}: " in result.summary()
        for name, fits in result.fits.items():
            for i, fit in enumerate(fits):
                assert is_cut(fit, wholes[EPOCHS].fits[name][i], wholes[epochs].fits[name][i]), (after, name, i)
        kept.append(epochs)
    assert set(kept) >= set(range(1, EPOCHS))


def failing(function):
    """The error of a function."""
    with pytest.raises(fl.NonFiniteError) as failed, warnings.catch_warnings(action="ignore"):
        function()
    return failed.value


def test_a_failure_in_a_sweep_names_the_member(tmp_path):
    """By its index and what varies. The others end as after Ctrl-C; their files are whole, also that of the first reader."""
    members = [BASE, BASE.replace(seed=1), BAD.replace(seed=2), TRAINERS["other"]]
    members = [member.replace(optimizer="sgd") for member in members]
    error = failing(lambda: fl.sweep(members, DATA, OTHER, epochs=9, record=tmp_path, progress=False))
    assert str(error).startswith("member 2 (layers=")
    assert "seed=2" in str(error)
    assert ": training stopped: " in str(error)
    assert error.member == 2
    assert [fit.stop_reason for fit in error.result] == ["interrupted"] * 4
    assert [fit.last.epoch for fit in error.result] == [2, 2, 2, 0]
    for i in range(3):
        alone = fl.fit(members[i], DATA, OTHER, epochs=2, progress=False)
        run = fl.open_run(tmp_path / f"{i:04}.run")
        assert fl.same_bits(error.result[i].best_state, alone.best_state)
        assert fl.same_bits(run.last, alone.last)
        assert run.verify().ok
        assert run.ended is not None


def test_a_failure_before_an_epoch_is_finished_has_no_result():
    bad = BAD.replace(scheduler=1e30)
    error = failing(lambda: fl.sweep([BASE.replace(optimizer="sgd"), bad], DATA, OTHER, epochs=9, progress=False))
    assert str(error).startswith("member 1 (")
    assert error.result is None
    error = failing(lambda: fl.compare({"bad": bad}, DATA, OTHER, seeds=2, progress=False))
    assert str(error).startswith("trainers['bad'] with seed 0: training stopped")
    assert error.result is None


def test_a_failure_in_a_comparison_names_the_trainer():
    """And the seed, or the fold; the result has the runs until then."""
    trainers = {"good": BASE.replace(optimizer="sgd"), "bad": BAD, "other": TRAINERS["other"]}
    compared = failing(lambda: fl.compare(trainers, DATA, OTHER, seeds=[4, 5], epochs=9, progress=False))
    assert str(compared).startswith("trainers['bad'] with seed 4: training stopped: ")
    validated = failing(lambda: fl.cross_validate(trainers, DATA, folds=2, epochs=9, progress=False))
    assert str(validated).startswith("trainers['bad'] in fold 0: training stopped: ")
    for result in (compared.result, validated.result):
        assert {fit.last.epoch for fits in result.fits.values() for fit in fits} == {2}
        assert "interrupted after epoch 2 of 9" in str(result)


def test_a_failure_in_a_search_names_the_trial():
    """And its hyperparameters."""
    pytest.importorskip("optuna")
    sizes = fl.spaces.integers(4, 9)
    error = failing(lambda: fl.search(BAD, DATA, OTHER, trials=2, epochs=4, progress=False, batch_size=sizes))
    assert str(error).startswith("trial 0 (batch_size=")


def test_ctrl_c_while_the_best_are_recorded_keeps_the_results(tmp_path, monkeypatch):
    """They are complete; a warning says how many files are."""
    make, calls = sweep_module.start_fits, []

    def start_fits(*arguments, **options):
        calls.append(1)
        population = make(*arguments, **options)
        return population._replace(advance=interrupt) if len(calls) == 2 else population

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_module, "start_fits", start_fits)
    trainers = fl.grid(BASE, seed=range(3))
    with pytest.warns(fl.RecordingWarning, match="Ctrl-C ended the recording of the 2 best members after 0"):
        result = fl.sweep(trainers, DATA, OTHER, epochs=2, record=tmp_path / "best:2", progress=False)
    assert {fit.stop_reason for fit in result} == {"finished"}


@pytest.mark.parametrize(
    ("train", "names"),
    [
        (lambda bad: fl.sweep([BASE, bad], DATA, OTHER, epochs=4, progress=False), ["member 1"]),
        (
            lambda bad: fl.compare({"good": BASE, "bad": bad}, DATA, OTHER, seeds=[3, 4], epochs=4, progress=False),
            ["trainers['bad'] with seed 3", "trainers['bad'] with seed 4"],
        ),
        (
            lambda bad: fl.cross_validate({"good": BASE, "bad": bad}, DATA, folds=2, epochs=4, progress=False),
            ["trainers['bad'] in fold 0", "trainers['bad'] in fold 1"],
        ),
    ],
    ids=["sweep", "compare", "cross_validate"],
)
def test_a_warning_says_whose_it_is(train, names):
    """Of a member that stops, the others do not."""
    with pytest.warns(fl.NonFiniteWarning) as found:
        train(BAD.replace(non_finite="stop"))
    texts = [str(warning.message) for warning in found]
    assert [text.partition(": training stopped: ")[0] for text in texts] == names
