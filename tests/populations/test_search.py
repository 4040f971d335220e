"""Laws of `search`: trials are solo runs, pruning is Optuna's, and a storage resumes a search."""

import sys
from functools import partial

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.errors import FnloopError
from fnloop.populations import members as members_module

optuna = pytest.importorskip("optuna")

DATA = fl.datasets.iris()
TRAINER = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy", batch_size=32)
LR = fl.spaces.log_uniform(1e-4, 1.0)
search = partial(fl.search, TRAINER, DATA.train, DATA.validation, epochs=3, batch=4, progress=False)


def facts(found):
    return [(t.number, t.params, t.value, t.intermediate_values, t.state) for t in found.study.trials]


def test_a_trial_is_the_solo_run_of_its_hyperparameters(tmp_path):
    """Value, reports and run file of each trial are those of `fit`; the best is that of the study."""
    found = search(trials=5, record=tmp_path, lr=LR, **{"optimizer.b1": fl.spaces.uniform(0.5, 0.95)})
    for trial in found.study.trials:
        lr, b1 = trial.params["lr"], trial.params["optimizer.b1"]
        solo = TRAINER.replace(**{"scheduler": lr, "optimizer.b1": b1})
        result = fl.fit(solo, DATA.train, DATA.validation, epochs=3, progress=False)
        assert trial.value == result.best.metrics["val_loss"]
        assert [*trial.intermediate_values.values()] == result.history["val_loss"]
        run = fl.open_run(trial.user_attrs["run"])
        assert fl.same_bits(run.last, result.last)
        if trial.number == found.study.best_trial.number:
            assert fl.same_bits(found.best.best, result.best)
    assert found.table().index[0] == found.study.best_trial.number
    assert "5 trials" in repr(found)


def test_a_study_that_is_resumed_is_the_one_that_never_ended(tmp_path):
    """The trials, and the best result, which the second call trains again."""
    whole = search(trials=12, lr=LR, seed=3)
    for trials in (8, 12, 12):
        parts = search(trials=trials, lr=LR, seed=3, storage=tmp_path / "trials.log")
    assert facts(parts) == facts(whole)
    assert fl.same_bits(parts.best.best, whole.best.best)
    assert len({trial.params["lr"] for trial in whole.study.trials}) == 12


@pytest.mark.parametrize("pruner", [None, "median"])
def test_equal_trials_are_trained_once(pruner, tmp_path):
    """The others get the result, within a batch and in a later one; they are recorded in the same file."""
    found = search(trials=12, pruner=pruner, record=tmp_path, batch_size=fl.spaces.one_of([32, 64]))
    trained = [trial for trial in found.study.trials if trial.intermediate_values]
    assert len(trained) == len(list(tmp_path.iterdir())) == 2
    for trial in found.study.trials:
        (first,) = [other for other in trained if other.params == trial.params]
        assert (trial.state, trial.value, trial.user_attrs["run"]) == (first.state, first.value, first.user_attrs["run"])
        assert trial.user_attrs.get("same_as", trial.number) == first.number
    assert len(found.study.trials) == 12


def test_another_seed_draws_other_trials():
    assert search(trials=2, lr=LR, seed=1).study.best_params != search(trials=2, lr=LR, seed=2).study.best_params


@pytest.mark.parametrize("pruner", ["halving", "hyperband", "median", optuna.pruners.ThresholdPruner(upper=0.0)])
def test_a_pruned_trial_leaves_the_fold(pruner, monkeypatch):
    """It trains no epoch after the pruner's decision; the value of the others is that of their solo run."""
    trained = []

    def counting(prepared, **options):
        epoch = make_epoch(prepared, **options)
        return lambda states: trained.append(len(states)) or epoch(states)

    make_epoch = members_module.make_population_epoch
    monkeypatch.setattr(members_module, "make_population_epoch", counting)
    run = partial(search, trials=16, epochs=6, batch=8, pruner=pruner, lr=LR)
    if not isinstance(pruner, str):
        with pytest.raises(fl.NoBestError, match="none of 16"):
            run()
        assert trained == [8, 8]
        return
    found = run()
    epochs = [max(trial.intermediate_values) for trial in found.study.trials]
    assert sum(trained) == sum(epochs)
    pruned = [trial for trial in found.study.trials if trial.state.name == "PRUNED"]
    assert pruned
    assert (found.table()["ended"] == "pruned").sum() == len(pruned)
    assert all(len(t.intermediate_values) == 6 for t in found.study.trials if t.state.name == "COMPLETE")


def test_a_function_makes_trainers_of_several_kinds():
    """Values that a storage cannot keep are named by their text, and custom distributions draw their share."""

    @fl.frozen
    class Half(fl.spaces.Distribution):
        def quantile(self, u):
            return 0.01 + u / 2

    def make(width, more, lr):
        return TRAINER.replace(model=fl.mlp([4, width, *more, 3]), scheduler=lr)

    space = {
        "width": fl.spaces.integers(2, 3),
        "more": fl.spaces.one_of([(), (2, 2)]),
        "lr": Half(),
    }
    found = fl.search(make, DATA.train, DATA.validation, trials=6, epochs=1, monitor="val_accuracy", progress=False, **space)
    assert {trial.params["width"] for trial in found.study.trials} == {2, 3}
    assert {trial.params["more"] for trial in found.study.trials} == {"()", "(2, 2)"}
    assert found.best.monitor == "val_accuracy"
    assert found.study.best_value == max(trial.value for trial in found.study.trials)


def test_a_study_of_optuna_keeps_its_sampler_and_pruner():
    studies = [optuna.create_study(sampler=optuna.samplers.RandomSampler(7)) for _ in range(2)]
    found = search(trials=2, study=studies[0], lr=LR)
    expected = [studies[1].ask({"lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)}) for _ in range(2)]
    assert found.study is studies[0]
    assert [trial.params for trial in found.study.trials] == [trial.params for trial in expected]


@pytest.mark.parametrize("after", [2, 6])
def test_an_interrupted_search_keeps_what_is_complete(after, monkeypatch):
    """Ctrl-C in the first batch is raised; in a later one it ends the search. The running trials fail."""
    calls = []

    def interrupting(prepared, **options):
        epoch = make(prepared, **options)

        def interrupted(states):
            calls.append(states)
            if len(calls) == after:
                raise KeyboardInterrupt
            return epoch(states)

        return interrupted

    make = members_module.make_population_epoch
    monkeypatch.setattr(members_module, "make_population_epoch", interrupting)
    study = optuna.create_study()
    if after < 3:
        with pytest.raises(KeyboardInterrupt):
            search(trials=8, study=study, lr=LR)
    else:
        assert search(trials=8, study=study, lr=LR).interrupted
    states = [trial.state.name for trial in study.trials]
    assert states == (["FAIL"] * 4 if after < 3 else ["COMPLETE"] * 4 + ["FAIL"] * 4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_trial_without_a_finite_epoch_is_pruned():
    """It counts, and does not end the search."""
    data = fl.Dataset(np.array([[1.0], [2.0]]), np.array([1.0, 2.0]))
    trainer = fl.Trainer(model=fl.mlp([1, 1]), loss="mse", optimizer="sgd", batch_size=1)
    found = fl.search(trainer, data, trials=8, epochs=8, progress=False, lr=fl.spaces.one_of([1e-3, 1e37]), seed=1, batch=8)
    states = {trial.params["lr"]: trial.state.name for trial in found.study.trials}
    assert states[1e-3] == "COMPLETE"
    assert all(trial.value is None or np.isfinite(trial.value) for trial in found.study.trials)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "at least one hyperparameter"),
        ({"lr": 0.1}, TypeError, r"lr must be a distribution.*0\.1"),
        ({"lr": LR, "trials": 0}, ValueError, "trials must be .*0"),
        ({"lr": LR, "batch": 1.5}, TypeError, r"batch must be .*1\.5"),
        ({"speed": LR}, ValueError, "speed is not a hyperparameter"),
        ({"lr": LR, "pruner": "best"}, ValueError, "pruner must be one of halving, hyperband, median.*'best'"),
        ({"lr": LR, "pruner": 3}, ValueError, "pruner must be .*3"),
        ({"lr": LR, "storage": "/no/such/folder/x.log"}, ValueError, "storage must be .*/no/such"),
        ({"lr": LR, "storage": 3}, TypeError, "storage must be .*3"),
        ({"lr": LR, "study": ""}, TypeError, "study must be"),
        ({"lr": LR, "monitor": "speed"}, ValueError, "speed"),
        ({"lr": LR, "study": optuna.create_study(direction="maximize")}, ValueError, "must minimize"),
        ({"lr": LR, "study": optuna.create_study(), "pruner": "median"}, ValueError, "pruner must be None.*'median'"),
        ({"model": fl.spaces.one_of(["a", "a"])}, ValueError, "one_of must have values with different texts"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        search(**{"trials": 2, **arguments})


@pytest.mark.parametrize("change", [{"epochs": 2}, {"lr": fl.spaces.uniform(0, 1)}, {"monitor": "val_accuracy"}])
def test_a_study_of_another_search_is_refused(change):
    """For its values cannot be compared."""
    storage = optuna.storages.InMemoryStorage()
    search(trials=1, storage=storage, lr=LR)
    with pytest.raises(ValueError, match=r"study 'search' (has trials of another search: |must maximize)"):
        search(**{"trials": 2, "storage": storage, "lr": LR, **change})


def test_a_function_that_returns_no_trainer_is_named():
    with pytest.raises(TypeError, match="trainer"):
        fl.search(lambda lr: lr, DATA.train, trials=1, epochs=1, lr=LR)
    with pytest.raises(TypeError, match="trainer must be a trainer, or a function that returns one, got 3"):
        fl.search(3, DATA.train, trials=1, epochs=1, lr=LR)


def test_without_optuna_the_error_has_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(FnloopError, match=r"pip install 'fnloop\[optuna\]'"):
        search(trials=1, lr=LR)


def test_progress_is_a_line_for_each_batch(capsys):
    search(trials=8, lr=LR, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("trial 8/8: 0 pruned, best val_loss ")


@pytest.mark.parametrize("monitor", [None, "val_loss"])
def test_losses_that_a_search_varies_are_not_compared(monitor):
    """At the call for a hyperparameter of a trainer, and at the first trial for a function of a trial."""
    smoothing, study = fl.spaces.uniform(0.0, 0.3), optuna.create_study()
    with pytest.raises(ValueError, match=r"^monitor must .*, because the trainers have different losses"):
        search(trials=2, study=study, monitor=monitor, label_smoothing=smoothing)
    assert not study.trials

    def make(trial):
        return TRAINER.replace(**{"loss.label_smoothing": trial.suggest_float("smoothing", 0.0, 0.3)})

    with pytest.raises(ValueError, match=r"^trial 0 \(smoothing=.*\): monitor must .*different losses"):
        fl.search(make, DATA.train, DATA.validation, trials=2, epochs=1, monitor=monitor, progress=False)
    found = search(trials=2, monitor="val_accuracy", label_smoothing=smoothing)
    assert found.best.monitor == "val_accuracy"
