"""Predictions are functions of the model's outputs, on both engines."""

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.testing.catalog import INPUTS, LOSSES, dataset

ENGINES = ["numpy", "jax"]


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("engine", ENGINES)
def test_predictions_are_functions_of_the_outputs(kind, engine):
    """So it is for every loss; a dataset and its features give the same bits."""
    loss, width = LOSSES[kind]
    data = dataset(kind, 9)
    trainer = fl.Trainer(model=fl.mlp([INPUTS, 4, width]), loss=loss)
    state = fl.init_state(trainer)
    outputs = fl.outputs(trainer, state, data, engine=engine)
    assert (outputs.shape, outputs.dtype) == ((9, width), np.float32)
    for examples in (data, data.x):
        assert fl.same_bits(fl.outputs(trainer, state, examples, engine=engine), outputs)
        assert fl.same_bits(fl.predict(trainer, state, examples, engine=engine), loss.predict(outputs))
    np.testing.assert_allclose(outputs, trainer.model(state.params.vector, data.x.astype(np.float32)), rtol=1e-4, atol=1e-6)


def test_outputs_have_the_trainers_dtype_and_no_dropout():
    """An example has the same outputs among any number of rows."""
    model = fl.nn.Sequential(3, [fl.nn.Dense(3, 8), fl.nn.BatchNorm(8), fl.nn.Dropout(0.5), fl.nn.Dense(8, 2)])
    trainer = fl.Trainer(model=model, loss=fl.losses.SoftmaxCrossEntropy(), dtype="float64")
    state, x = fl.init_state(trainer), np.random.default_rng(0).standard_normal((2100, 3))
    outputs = fl.outputs(trainer, state, x)
    assert (outputs.shape, outputs.dtype) == ((2100, 2), np.float64)
    np.testing.assert_allclose(outputs[2000], fl.outputs(trainer, state, x[2000:2001])[0], rtol=1e-12)


def test_bad_input():
    """The message names the argument and what is allowed."""
    trainer = fl.Trainer(model=fl.mlp([3, 2]), loss=fl.losses.SoftmaxCrossEntropy())
    state = fl.init_state(trainer)
    with pytest.raises(ValueError, match=r"x must be of shape \(N, 3\) for this model, got \(4, 2\)"):
        fl.outputs(trainer, state, np.zeros((4, 2)))
    with pytest.raises(TypeError, match="state must be a TrainState"):
        fl.outputs(trainer, None, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="parameters of float32; the trainer's dtype is float64"):
        fl.outputs(evolve(trainer, dtype="float64"), state, np.zeros((4, 3)))
