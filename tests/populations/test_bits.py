"""Each member of a population has the bits of its solo run."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import groupby, take

import fnloop as fl
from fnloop import nn
from fnloop.core.digest import same_bits
from fnloop.core.errors import NonFiniteWarning
from fnloop.core.records import evolve
from fnloop.engines.numpy import population_measure
from fnloop.engines.numpy.measure import make_measure
from fnloop.training import population
from fnloop.training.engine import computation_of
from fnloop.training.population import kind_of, make_population_epoch, prepare_population
from tests.populations.members import populations

pytestmark = pytest.mark.filterwarnings("ignore::fnloop.core.errors.NonFiniteWarning")
LAB = fl.datasets.lab()


def population_epochs(members, train, validation):
    """The epoch of each kind of members, and their indices."""
    prepared = prepare_population(members[:1], train, validation)  # the data as a run sees it
    resolved = [trainer.resolve(prepared[0].train) for trainer in members]
    for indices in groupby(lambda i: kind_of(resolved[i]), range(len(members))).values():
        epoch = make_population_epoch(prepare_population([resolved[i] for i in indices], train, validation))
        yield indices, epoch


def check_epochs(members, train, validation, states, epochs=3):
    for indices, epoch in population_epochs(members, train, validation):
        of_kind = {k: states[i] for k, i in enumerate(indices) if states[i].stopped is None}
        solo = [fl.make_epoch(members[i], train, validation) for i in indices]
        for _ in range(epochs):
            expected = {k: solo[k](state) for k, state in of_kind.items()}
            result = epoch(of_kind)
            assert result.keys() == expected.keys()
            for k in result:
                assert same_bits(result[k], expected[k]), f"member {indices[k]} of {len(members)}"
            of_kind = {k: state for k, state in result.items() if state.stopped is None}


@given(populations())
def test_a_member_has_the_bits_of_its_solo_run_after_each_epoch(population):
    members, train, validation = population
    check_epochs(members, train, validation, [fl.init_state(trainer, train) for trainer in members])


@given(populations(), st.integers(1, 4))
def test_a_state_within_an_epoch_is_trained_to_the_end_of_it(population, steps):
    members, train, validation = population
    check_epochs(
        members, train, validation, [fl.last(take(steps + 1, fl.steps(member, train, validation))) for member in members], 2
    )


@given(populations(), st.integers(1, 3))
def test_the_size_of_a_group_changes_no_bit(members_and_data, at_once):
    members, train, validation = members_and_data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population, "members_at_once", lambda trainer: at_once)
        check_epochs(members, train, validation, [fl.init_state(trainer, train) for trainer in members], 1)


@pytest.mark.parametrize("at_once", [1, 2, 3, 5])
def test_the_number_of_members_that_are_measured_at_once_changes_no_bit(at_once, monkeypatch):
    monkeypatch.setattr(population_measure, "members_that_fit", lambda numbers, dtype: at_once)
    trainer = fl.Trainer(model=fl.mlp([10, 4, 1]), loss="bce", metrics=("accuracy", "log_loss"))
    data = fl.Dataset(np.tile(LAB.train.x, (8, 1)), np.tile(LAB.train.y, 8))  # more rows than one pass takes
    computation = computation_of(trainer.resolve(data))
    vectors = [trainer.model.init(k).vector for k in range(5)]
    measured = population_measure.make_population_measure(computation, data)(vectors, [()] * 5)
    alone = [make_measure(computation, data)(vector, ()) for vector in vectors]
    assert same_bits(np.array(measured), np.array(alone))


def without_seconds(fit):
    return {name: values for name, values in fit.metrics.items() if name != "seconds"}


def check_sweep(members, train, validation, epochs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonFiniteWarning)
        result = fl.sweep(members, train, validation, epochs=epochs, progress=False)
        for trainer, fit in zip(members, result, strict=True):
            solo = fl.fit(trainer, train, validation, epochs=epochs, progress=False)
            assert same_bits(fit.last, solo.last)
            assert same_bits(fit.best_state, solo.best_state)
            assert same_bits(without_seconds(fit), without_seconds(solo))
            assert len(fit.metrics["seconds"]) == len(solo.metrics["seconds"])
            assert (fit.stop_reason, fit.monitor, fit.loss_scale) == (solo.stop_reason, solo.monitor, solo.loss_scale)
            assert same_bits(fit.trainer, solo.trainer)


@given(populations())
def test_a_result_is_that_of_fit(population):
    members, train, validation = population
    different = [trainer for i, trainer in enumerate(members) if trainer not in members[:i]]
    check_sweep(different, train, validation, 3)


def test_members_of_several_kinds_are_results_in_their_order():
    base = fl.Trainer(model=fl.mlp([10, 4, 1]), loss="bce", early_stopping=fl.EarlyStopping("val_loss", patience=1))
    changes = [
        {"seed": 3},
        {"model": fl.mlp([10, 5, 1])},
        {"optimizer": "sgd", "scheduler": 0.5},
        {"seed": 4, "scheduler": 0.1},
        {"batch_size": 50},
        {"loss": fl.losses.Focal()},
        {"loss": fl.losses.BinaryCrossEntropy(class_weights="balanced")},
        {"optimizer": "sgd", "scheduler": 0.1},
    ]
    check_sweep([base.replace(**change) for change in changes], LAB.train, LAB.validation, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_arrays_have_the_bits_of_solo_runs(dtype):
    """Products, sums and copies have other paths from some sizes on: rows above 4096, 10,000 validation rows, wide layers."""
    x = np.random.default_rng(0).normal(size=(10_000, 6))
    data = fl.Dataset(x, (x[:, 0] > 0).astype(int))
    for sizes, batch in (([6, 40, 1], 9000), ([6, 130, 70, 1], 64)):
        base = fl.Trainer(model=fl.mlp(sizes), loss="bce", batch_size=batch, dtype=dtype)
        rows = 10_000 if batch > 64 else 200
        train = fl.Dataset(data.x[:rows], data.y[:rows])
        members = fl.grid(base, seed=range(2), lr=[0.1, 0.01])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(population, "members_at_once", lambda trainer: 4)
            check_epochs(members, train, data, [fl.init_state(trainer, train) for trainer in members], 1)


def test_a_member_that_raises_for_a_value_that_is_not_finite_ends_the_sweep():
    base = fl.Trainer(model=fl.mlp([10, 4, 1]), loss="mse", optimizer="sgd", non_finite="raise")
    members = [base, base.replace(scheduler=1e30)]
    with pytest.raises(fl.NonFiniteError, match="learning rate 1e\\+30"):
        fl.sweep(members, LAB.train, epochs=2, progress=False)


@fl.frozen
class Negated(nn.Dense):
    """A layer of the package with another computation, which knows no axis of members."""

    def forward(self, params, x, context):
        y, backward, buffers = super().forward(params, x, context)
        assert y.ndim == 2
        return -y, lambda dy, grads, need_dx: backward(-dy, grads, need_dx), buffers


def test_a_subclass_with_its_own_computation_is_computed_member_by_member():
    base = fl.Trainer(model=nn.Sequential(10, [Negated(10, 1)]), loss="bce")
    check_sweep(fl.grid(base, seed=range(3)), LAB.train, LAB.validation, 1)


def test_dropout_draws_by_the_seed_and_the_step_of_each_member():
    layers = nn.Dense(10, 6), nn.BatchNorm(6), nn.Dropout(0.5), nn.Dense(6, 1)
    base = fl.Trainer(model=nn.Sequential(10, layers), loss="bce", batch_size=200)
    members = fl.grid(base, seed=range(3))
    states = [fl.init_state(trainer, LAB.train) for trainer in members]
    check_epochs(members, LAB.train, LAB.validation, [evolve(state, step=7 * (i % 2)) for i, state in enumerate(states)], 1)


@pytest.mark.parametrize("metrics", [("r2", "rmse", "mae"), ("rmse",)])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", fl.losses.LogCosh()])
def test_sums_over_data_that_members_share_have_the_bits_of_solo_runs(loss, metrics):
    """The axis of the members must not be the last in memory, which NumPy prefers for a view of one array for all."""
    data = fl.Dataset(np.random.default_rng(0).normal(size=(13, 3)), np.random.default_rng(1).normal(size=13))
    base = fl.Trainer(model=fl.mlp([3, 4, 1]), loss=loss, metrics=metrics, optimizer="sgd", dtype="float64")
    members = fl.grid(base, lr=np.linspace(0.01, 0.1, 9).tolist())
    check_epochs(members, data, data, [fl.init_state(trainer, data) for trainer in members], 1)
