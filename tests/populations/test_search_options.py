"""Seeds of a trial, other processes, dependent hyperparameters, what ends a search, and what a killed one leaves."""

import json
import subprocess
import sys
from functools import partial
from multiprocessing.pool import ThreadPool
from statistics import fmean

import pandas as pd
import pytest

import fnloop as fl
from fnloop.populations import spread
from fnloop.runs.owner import this_process

optuna = pytest.importorskip("optuna")

DATA = fl.datasets.iris()
TRAINER = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy", batch_size=32)
LR = fl.spaces.log_uniform(1e-4, 1.0)
search = partial(fl.search, TRAINER, DATA.train, DATA.validation, epochs=3, batch=4, progress=False)


def facts(study):
    return [(trial.params, trial.value, trial.intermediate_values, trial.state) for trial in study.trials]


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(tmp_path):
    """So are its reports; each run is that of `fit`, and has a file."""
    found = search(trials=3, seeds=2, record=tmp_path, lr=LR)
    for trial in found.study.trials:
        solo = [
            fl.fit(
                TRAINER.replace(scheduler=trial.params["lr"], seed=TRAINER.seed + i),
                DATA.train,
                DATA.validation,
                epochs=3,
                progress=False,
            )
            for i in range(2)
        ]
        values = [fit.best.metrics["val_loss"] for fit in solo]
        assert trial.value == fmean(values)
        assert trial.user_attrs["values"] == values
        means = [fmean(pair) for pair in zip(*(fit.history["val_loss"] for fit in solo), strict=True)]
        assert [*trial.intermediate_values.values()] == means
        for path, fit in zip(trial.user_attrs["run"], solo, strict=True):
            assert fl.same_bits(fl.open_run(path).last, fit.last)
        if trial.number == found.study.best_trial.number:
            assert [fl.same_bits(a.best, b.best) for a, b in zip(found.fits, solo, strict=True)] == [True, True]
            assert found.best.best.metrics["val_loss"] == min(values)


@pytest.mark.parametrize("pruner", [None, "hyperband", "median"])
def test_other_processes_give_the_same_trials(pruner, monkeypatch):
    """Whatever their kinds, and whether they are pruned; without a pruner each group is one task."""

    def make(width, lr):
        early_stopping = fl.EarlyStopping(patience=2, min_delta=0.02)
        return TRAINER.replace(model=fl.mlp([4, width, 3]), scheduler=lr, early_stopping=early_stopping)

    tasks = []
    stream = spread.stream_tasks
    monkeypatch.setattr(
        spread, "stream_tasks", lambda map, run, given, names: tasks.extend(given) or stream(map, run, given, names)
    )
    space = {"width": fl.spaces.one_of([2, 3]), "lr": LR}
    run = partial(
        fl.search, make, DATA.train, DATA.validation, epochs=7, trials=8, batch=8, pruner=pruner, progress=False, **space
    )
    here = run()
    assert not tasks
    with ThreadPool(1) as pool:
        there = run(map=pool.map)
    assert facts(there.study) == facts(here.study)
    assert fl.same_bits(there.best.last, here.best.last)
    assert len({len(trial.intermediate_values) for trial in here.study.trials}) > 1
    assert [task.epochs for task in tasks] == [7, 7] if pruner is None else {task.epochs for task in tasks} <= {1, 2, 3}


@pytest.mark.parametrize("spread", [None, map])
def test_a_failure_names_the_trial_and_what_it_drew(spread):
    """Whichever kinds its runs belong to; Python's own `map` computes in this process."""

    def make(width, lr):
        non_finite = "raise" if lr > 1e30 else "stop"
        return TRAINER.replace(model=fl.mlp([4, width, 3]), optimizer="sgd", scheduler=lr, non_finite=non_finite)

    study = optuna.create_study()
    for width, rate in ((2, 0.1), (3, 0.1), (2, 0.2), (3, 1e38)):
        study.enqueue_trial({"width": width, "lr": rate})
    space = {"width": fl.spaces.integers(2, 3), "lr": fl.spaces.log_uniform(0.01, 1e38)}
    with pytest.raises(fl.NonFiniteError, match=r"trial 3 \(lr=1e\+38, width=3\)|trial 3 \(width=3, lr=1e\+38\)"):
        fl.search(make, DATA.train, trials=4, epochs=2, seeds=2, progress=False, map=spread, study=study, **space)
    assert study.trials[3].state.name == "FAIL"


@pytest.mark.thorough
def test_a_failure_in_another_process_names_the_members():
    with ThreadPool(1) as pool, pytest.raises(fl.RunError, match="map: the group of members 0, 1, 2, 3 failed in process"):
        fl.search(
            TRAINER.replace(optimizer="sgd", non_finite="raise"),
            DATA.train,
            trials=4,
            epochs=2,
            progress=False,
            map=pool.map,
            lr=fl.spaces.uniform(1e38, 2e38),
        )


def test_a_function_of_a_trial_draws_hyperparameters_that_depend_on_others(tmp_path):
    """The search is repeated and resumed like others."""

    def make(trial):
        rate = trial.suggest_float("lr", 1e-3, 0.5, log=True)
        if trial.suggest_categorical("optimizer", ["sgd", "adamw"]) == "sgd":
            return TRAINER.replace(optimizer="sgd", scheduler=rate)
        decay = trial.suggest_float("decay", 1e-4, 1.0, log=True)
        return TRAINER.replace(optimizer=fl.optimizers.AdamW(weight_decay=decay), scheduler=rate)

    run = partial(fl.search, make, DATA.train, DATA.validation, epochs=2, batch=12, progress=False)
    whole = run(trials=24)
    assert {len(trial.params) for trial in whole.study.trials} == {2, 3}
    for trials in (12, 24, 24):
        parts = run(trials=trials, storage=tmp_path / "trials.log")
    assert facts(parts.study) == facts(whole.study)
    assert fl.same_bits(parts.best.best, whole.best.best)


@pytest.mark.parametrize("pruner", ["halving", "hyperband", "median"])
@pytest.mark.parametrize("epochs", [4, 9])
def test_a_trial_that_has_all_its_epochs_is_complete(pruner, epochs):
    """Pruned trials have fewer; halving and hyperband prune in the first batch already."""
    found = search(trials=24, epochs=epochs, batch=12, pruner=pruner, lr=LR)
    trained = [len(trial.intermediate_values) for trial in found.study.trials]
    ended = [trial.state.name for trial in found.study.trials]
    assert [count == epochs for count in trained] == [state == "COMPLETE" for state in ended]
    assert ("PRUNED" in ended[:12]) == (pruner != "median")
    assert "PRUNED" in ended


def test_the_files_of_trials_predict(tmp_path):
    """They have the preprocessing of the table."""
    table = pd.DataFrame({"a": range(40), "b": list("xyyx") * 10, "y": list("pqpq") * 10})
    splits = fl.split_table(table, "y")
    trainer = fl.recipes.tabular(splits.train, epochs=2)
    options = {"record": tmp_path, "preprocessing": splits.preprocessing, "lr": LR}
    fl.search(trainer, splits.train, trials=1, epochs=1, progress=False, **options)
    assert fl.open_run(tmp_path / "0000.run").preprocessing == splits.preprocessing


FUNCTION = """
import sys
import fnloop as fl
data = fl.datasets.iris()
trainer = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy", batch_size=32)
def margin(outputs, targets): return outputs[:, 0]
def spread(outputs, targets): return outputs[:, 0] * 0.5
choices = fl.spaces.one_of([(fl.metrics.Mean(margin, mode="min"),), (fl.metrics.Mean(spread, mode="min"),)])
found = fl.search(trainer, data.train, data.validation, monitor="val_loss", trials=int(sys.argv[1]), epochs=1, batch=2,
                  storage="trials.log", progress=False, metrics=choices)
print(len(found.study.trials))
"""


@pytest.mark.thorough
def test_a_space_of_functions_is_resumed_in_another_process(tmp_path):
    """Their addresses differ there."""
    script = tmp_path / "search.py"
    script.write_text(FUNCTION)
    for trials in ("2", "4"):
        ran = subprocess.run([sys.executable, script, trials], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ran.stdout.strip(), ran.stderr) == (trials, "")


def test_what_depends_on_a_part_is_set_after_it():
    """In whatever order the hyperparameters are given."""
    schedules = fl.spaces.one_of([0.5, fl.schedulers.ExponentialLR(0.5, 0.9)])
    for space in ({"lr": LR, "scheduler": schedules}, {"scheduler": schedules, "lr": LR}):
        found = search(trials=3, **space)
        for trial in found.study.trials:
            schedule = next(value for value in schedules.values if trial.params["scheduler"] in (value, repr(value)))
            trainer = TRAINER.replace(scheduler=schedule).replace(**{"scheduler.initial_lr": trial.params["lr"]})
            solo = fl.fit(trainer, DATA.train, DATA.validation, epochs=3, progress=False)
            assert trial.value == solo.best.metrics["val_loss"]


def test_a_predicate_and_a_time_budget_end_a_search():
    """After a batch; both see at least one."""
    seen = []
    found = search(trials=40, lr=LR, until=lambda study: seen.append(len(study.trials)) or study.best_trial.number >= 0)
    assert (len(found.table()), seen) == (4, [4])
    assert len(search(trials=40, lr=LR, seconds=1e-9).table()) == 4


def test_trials_of_a_killed_process_fail():
    """The search draws them again; those of a process that lives, or of another machine, keep running."""
    whole, storage = search(trials=8, lr=LR), optuna.storages.InMemoryStorage()
    search(trials=4, lr=LR, storage=storage)
    lives, gone = json.loads(this_process()), {**json.loads(this_process()), "pid": 2**22 + 1}
    study = optuna.load_study(study_name="search", storage=storage)

    def leave(process):
        study.ask({"lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)}).set_user_attr(
            "process", json.dumps(process)
        )

    for _ in range(4):
        leave(gone)
    found = search(trials=8, lr=LR, storage=storage)
    assert [trial.state.name for trial in found.study.trials[4:8]] == ["FAIL"] * 4
    assert [facts(found.study)[i] for i in (0, 1, 2, 3, 8, 9, 10, 11)] == facts(whole.study)
    leave(lives)
    leave({**gone, "host": "another"})
    states = [trial.state.name for trial in search(trials=9, lr=LR, storage=storage).study.trials]
    assert states[12:] == ["RUNNING", "RUNNING", "COMPLETE"]


def test_files_of_another_search_are_found_before_it_trains(tmp_path):
    """A resumed search adds to its own."""
    storage = tmp_path / "trials.log"
    search(trials=2, record=tmp_path / "runs", lr=LR, storage=storage)
    search(trials=3, record=tmp_path / "runs", lr=LR, storage=storage)
    assert len(list((tmp_path / "runs").iterdir())) == 3
    study = optuna.create_study()
    with pytest.raises(fl.RunError, match=r"0000\.run"):
        search(trials=2, record=tmp_path / "runs", lr=LR, study=study)
    assert not study.trials


def finished_study():
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=2)
    return study


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"study": optuna.create_study(directions=["minimize"] * 2)}, ValueError, "study must have one direction.*2"),
        ({"study": optuna.create_study(sampler=optuna.samplers.GridSampler({"lr": [0.1]}))}, ValueError, "GridSampler"),
        ({"study": finished_study()}, ValueError, "2 trials that no search trained.*enqueue_trial"),
        ({"monitor": ["val_loss", "loss"]}, TypeError, "monitor must be the name of a metric.*'loss'"),
        ({"record": 3}, TypeError, "record must be the path of a folder.*3"),
        ({"record": "runs/best:3"}, ValueError, "record must be a folder.*best:3"),
        ({"seeds": 0}, ValueError, "seeds must be .*0"),
        ({"seconds": 0}, ValueError, "seconds must be .*0"),
        ({"until": 3}, TypeError, "until must be .*3"),
        ({"map": 3}, TypeError, "map must be .*3"),
        ({"n_trials": 3}, TypeError, "no argument 'n_trials': the number of trials is trials"),
        ({"timeout": 3}, TypeError, "no argument 'timeout': use seconds"),
    ],
)
def test_bad_input_is_named(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        search(**{"trials": 2, "lr": LR, **arguments})


def test_an_invalid_trial_is_named():
    """With what was drawn for it; the study keeps it as failed."""

    def make(lr):
        return TRAINER.replace(scheduler=lr if lr == 0.05 else -lr)

    study = optuna.create_study()
    with pytest.raises(ValueError, match=r"trial \d \(lr=0\.0\d+\): scheduler must be"):
        fl.search(make, DATA.train, trials=4, epochs=1, progress=False, study=study, lr=fl.spaces.uniform(0.01, 0.09))
    assert {trial.state.name for trial in study.trials} == {"FAIL"}
