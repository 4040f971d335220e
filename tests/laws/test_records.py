"""Records are frozen through and through, and equal when their bits are."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from toolz import nth, take

import fnloop as fl
from fnloop.core.arrays import freeze, is_frozen, read_only
from fnloop.core.fields import field_names
from fnloop.core.records import evolve
from fnloop.data.names import Names
from tests.strategies import dataset, problems


@given(problems())
def test_copies_are_the_same_frozen_bits(problem):
    """Copies and pickled copies of a state and a trainer."""
    trainer, data = problem
    state = nth(2, fl.steps(trainer, data))
    for thing in (state, trainer, data):
        for again in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
            assert fl.same_bits(again, thing)
            assert again == thing
            assert hash(again) == hash(thing)
    again = pickle.loads(pickle.dumps(state))
    assert not again.params.vector.flags.writeable
    with pytest.raises(TypeError):
        again.metrics["loss"] = 0.0


def test_same_bits_is_stricter_than_equality():
    """It distinguishes signs of zeros, types of numbers, and dtype, byte order and shape of arrays; NaN equals itself."""
    nan, a = float("nan"), np.zeros((2, 3), np.float32)
    assert fl.same_bits(nan, nan)
    assert fl.same_bits(np.array([nan]), np.array([nan]))
    assert fl.same_bits(a, np.asfortranarray(a))
    for x, y in [
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        ("1", 1),
        (None, ()),
        ("mapping", {}),
        ("sequence of 0", ()),
        (a, -a),
        (a, a.astype(">f4")),
        (a, a.astype("f8")),
        (a, a.T),
    ]:
        assert not fl.same_bits(x, y), (x, y)
    assert not fl.same_bits((a, a), (a,))
    assert not fl.same_bits({"a": 1}, {"b": 1})


def test_the_digest_changes_with_every_field():
    """For each field of a state."""
    data = dataset("binary", 20)
    trainer = fl.Trainer(model=fl.mlp([3, 2, 1]), loss=fl.losses.BinaryCrossEntropy(), early_stopping=fl.EarlyStopping("loss"))
    state = fl.last(take(4, fl.epochs(evolve(trainer, batch_size=8), data)))
    other = fl.init_state(evolve(trainer, model=fl.mlp([3, 4, 1]), loss=fl.losses.BinaryCrossEntropy(label_smoothing=0.1)))
    other = evolve(other, buffers=(read_only(np.zeros(1)),), progress=evolve(other.progress, batches=1))
    other = evolve(other, stopped=fl.Stopped("finished", 3, 9, "a law"), names=Names(("a",)))
    assert state.epoch == 3
    digests = {fl.digest(state)}
    for name in field_names(type(state)):
        changed = evolve(state, **{name: getattr(other, name)})
        assert not fl.same_bits(changed, state), name
        digests.add(fl.digest(changed))
    assert len(digests) == 1 + len(field_names(type(state)))


def test_nothing_in_a_record_can_be_changed():
    """Neither a field, an array, its views, nor the array that it was created from."""
    x, y = np.ones((4, 3)), np.array([0, 1, 0, 1])
    data = fl.Dataset(x, y)
    x[0, 0] = 7
    assert data.x[0, 0] == 1
    state = fl.init_state(fl.Trainer(model=fl.mlp([3, 2, 1]), loss=fl.losses.BinaryCrossEntropy()))
    for array in (data.x, state.params.vector, state.params.layers[0].weights, state.optimizer.slots[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    with pytest.raises(AttributeError):
        state.epoch = 3
    with pytest.raises(TypeError):
        state.metrics["loss"] = 0.0


def test_freezing_a_frozen_array_returns_it():
    """A read-only view of a writable array is not frozen; an array in Fortran order is copied to C order."""
    array = np.ones((2, 3))
    frozen = freeze(array)
    assert freeze(frozen) is frozen
    assert fl.Dataset(frozen, np.zeros(2)).x is frozen
    view = array[:]
    view.flags.writeable = False
    assert not is_frozen(view)
    assert freeze(np.asfortranarray(array)).flags.c_contiguous


def test_layers_are_views_into_the_flat_vector():
    """They share its memory and cover it, in order."""
    params = fl.init_state(fl.Trainer(model=fl.mlp([3, 4, 2, 1]), loss=fl.losses.BinaryCrossEntropy())).params
    parts = [array for layer in params.layers for array in layer]
    assert all(np.shares_memory(part, params.vector) for part in parts)
    assert np.concatenate([part.ravel() for part in parts]).tolist() == params.vector.tolist()
    assert [tuple(part.shape) for part in parts] == [(3, 4), (4,), (4, 2), (2,), (2, 1), (1,)]
    assert all(not layer.biases.any() for layer in params.layers)


def test_initial_weights_have_the_variance_that_keeps_the_signal():
    """He for ReLU, Glorot otherwise."""
    for activation, variance in {"relu": 2 / 300, "sigmoid": 2 / 500}.items():
        weights = fl.mlp([300, 200, 1], activation).init(0, "float64").layers[0].weights
        assert weights.var() == pytest.approx(variance, rel=0.02)
        assert abs(weights.mean()) < 3 * (variance / weights.size) ** 0.5
