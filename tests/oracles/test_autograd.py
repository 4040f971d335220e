"""A custom model is any function of a flat vector, differentiated by HIPS autograd."""

import autograd
import autograd.numpy as anp
import jax
import numpy as np
import pytest
from toolz import nth

import fnloop as fl
from tests.strategies import dataset

SIZES = (3, 4, 2)
THEIRS = fl.mlp(SIZES, "tanh")


def initial(seed):
    return THEIRS.init(seed, "float64").vector


def network(xp):
    """A network of two dense layers, in some library's NumPy."""

    def apply(vector, x):
        (w, b), (v, c) = ((vector[a.start : a.stop].reshape(a.shape), vector[b.start : b.stop]) for a, b in pairs)
        return xp.tanh(x @ w + b) @ v + c

    pairs = (THEIRS.layout[:2], THEIRS.layout[2:])
    return apply


def trainer_of(model, **changes):
    options = {"loss": fl.losses.MeanSquaredError(), "batch_size": 4, "dtype": "float64", "seed": 3, **changes}
    return fl.Trainer(model=model, **options)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_function_trains_as_the_layers_do(accumulate):
    """With the losses, metrics, weights and streams of the package."""
    data = dataset("mse", 18)
    data = fl.Dataset(data.x, data.y, np.arange(18.0))
    own = fl.nn.Function(3, initial, network(anp), autograd.value_and_grad)
    ours, theirs = (nth(5, fl.epochs(trainer_of(model, accumulate=accumulate), data, data)) for model in (own, THEIRS))
    np.testing.assert_allclose(ours.params.vector, theirs.params.vector, rtol=1e-9)
    assert ours.metrics == pytest.approx(theirs.metrics)
    np.testing.assert_allclose(
        fl.predict(trainer_of(own), ours, data.x), fl.predict(trainer_of(THEIRS), theirs, data.x), rtol=1e-9
    )
    (vector,) = ours.params.layers[0]
    assert vector is not None
    assert vector.shape == (own.size,)


def test_jax_differentiates_what_it_can_trace():
    """With JAX's `value_and_grad` it trains on the NumPy engine, and compiled on the JAX engine; the parameters agree."""
    data = dataset("mse", 18)
    with jax.enable_x64(True):
        trainer = trainer_of(fl.nn.Function(3, initial, network(jax.numpy), jax.value_and_grad))
        compiled = nth(5, fl.epochs(trainer, data, engine="jax"))
        np.testing.assert_allclose(compiled.params.vector, nth(5, fl.epochs(trainer, data)).params.vector, rtol=1e-9)
        with pytest.raises(fl.EngineError, match="model Function"):
            fl.epochs(trainer_of(fl.nn.Function(3, initial, network(anp), autograd.value_and_grad)), data, engine="jax")


def test_the_state_of_a_function_cannot_be_saved(tmp_path):
    """The error has the reason: a function is not data."""
    state = fl.init_state(trainer_of(fl.nn.Function(3, initial, network(anp), autograd.value_and_grad)))
    with pytest.raises(TypeError, match="cannot be written to a file, only data can"):
        fl.save(state, tmp_path / "state.npz")
