"""Populations on JAX: `compare`, `cross_validate` and `search` mean the same on both engines, and their files know theirs."""

import numpy as np
import pytest

import fnloop as fl
from tests.strategies import dataset

DATA, OTHER = dataset("mse", 22), dataset("mse", 9, seed=1)
TRAINER = fl.Trainer(model=fl.mlp([3, 4, 2]), loss="mse", batch_size=5, scheduler=0.01)
RATES = fl.grid(TRAINER, lr=[0.01, 0.1])


@pytest.fixture
def alone(monkeypatch):
    """No member has an epoch of its own."""
    monkeypatch.setattr("fnloop.training.population.make_prepared_epoch", None)


def compare(engine):
    trainers = {str(i): trainer for i, trainer in enumerate(RATES)}
    return fl.compare(trainers, DATA, OTHER, seeds=3, epochs=2, engine=engine, progress=False)


def cross_validate(engine):
    return fl.cross_validate(RATES, DATA, folds=2, epochs=2, engine=engine, progress=False)


def search(engine, **options):
    lr = fl.spaces.log_uniform(1e-3, 0.1)
    return fl.search(TRAINER, DATA, OTHER, trials=3, epochs=2, engine=engine, lr=lr, progress=False, **options)


def of_ranked(found):
    return [value for name in found.ranked for value in found.values[name]]


@pytest.mark.usefixtures("alone")
def test_values_are_those_of_numpy_to_rounding():
    """Of a comparison, of folds and of trials, and of the metrics and predictions of what they trained; all train together."""
    compared = compare("jax")
    np.testing.assert_allclose(of_ranked(compared), of_ranked(compare("numpy")), rtol=1e-4)
    np.testing.assert_allclose(compared.evaluate(OTHER, engine="jax"), compared.evaluate(OTHER), rtol=1e-4)
    folds = cross_validate("jax")
    np.testing.assert_allclose(of_ranked(folds), of_ranked(cross_validate("numpy")), rtol=1e-4)
    np.testing.assert_allclose(folds.predict(engine="jax"), folds.predict(), rtol=1e-4, atol=1e-6)
    pytest.importorskip("optuna")
    tables = [search(engine).table() for engine in ("jax", "numpy")]
    np.testing.assert_allclose(*(table[["lr", "val_loss"]] for table in tables), rtol=1e-4)


def test_a_recorded_trial_is_a_run_of_its_engine(tmp_path):
    """It is replayed to the bit, resumed and forked on it."""
    pytest.importorskip("optuna")
    found = search("jax", record=tmp_path / "runs")
    run = fl.open_run(found.study.best_trial.user_attrs["run"])
    assert run.engine == "jax"
    assert run.verify()
    own = fl.fit(found.best.trainer, DATA, OTHER, epochs=3, engine="jax", progress=False)
    assert fl.same_bits(run.resume(epochs=3, progress=False).last.params, own.last.params)
    fork = run.fork(1, tmp_path / "fork.run", scheduler=0.5)
    assert fork.engine == "jax"


def test_a_search_that_is_resumed_computes_the_best_trial_again_on_its_engine(tmp_path):
    pytest.importorskip("optuna")
    options = {"storage": str(tmp_path / "trials.log"), "record": tmp_path / "runs"}
    first = search("jax", **options)
    assert fl.same_bits(search("jax", **options).best.last, first.best.last)


@pytest.mark.parametrize("call", [compare, cross_validate, search])
def test_the_engine_is_checked_at_the_call(call):
    with pytest.raises(ValueError, match="engine must be 'numpy', 'jax'"):
        call("torch")
