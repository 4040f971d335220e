"""Layers on the two engines: hand-derived derivatives against JAX's, the same draws, and JAX's own layers."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolz import nth

import fnloop as fl
from fnloop import nn
from fnloop.core.random import Stream, uniform
from fnloop.core.records import evolve
from fnloop.engines.jax import random as philox
from fnloop.nn.layer import Context, make_params
from fnloop.testing.engine_laws import check_engine
from tests.models import LAYERS, MODELS, examples
from tests.strategies import dataset

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@pytest.fixture(autouse=True)
def _double():
    """Enable float64 in JAX."""
    with jax.enable_x64(True):
        yield


def far(a, b):
    """Return the relative distance of two vectors."""
    return np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(a.astype(np.float64))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", MODELS)
def test_the_engines_agree_on_models(name, dtype):
    """Also with buffers, dropout, example weights, and a large seed and step."""
    data = dataset("mse", 18)
    data = fl.Dataset(data.x, data.y, np.arange(18.0) / 9)
    trainer = fl.Trainer(
        model=MODELS[name](3, 2),
        loss=fl.losses.MeanSquaredError(),
        optimizer=fl.optimizers.SGD(
            momentum=0.9
        ),  # Adam makes steps of the rounding of gradients that are 0, before a batch norm
        scheduler=fl.schedulers.ConstantLR(0.02),
        batch_size=4,
        accumulate=2,
        seed=2**63 + 5,
        dtype=dtype,
    )
    start = evolve(fl.init_state(trainer), step=2**32)
    ours, theirs = (nth(3, fl.epochs(trainer, data, data, start=start, engine=engine)) for engine in ("numpy", "jax"))
    for a, b in zip((ours.params.vector, *ours.buffers), (theirs.params.vector, *theirs.buffers), strict=True):
        assert far(a, b) < TOLERANCE[dtype]
    for metric, value in ours.metrics.items():
        assert theirs.metrics[metric] == pytest.approx(value, rel=10 * TOLERANCE[dtype], abs=10 * TOLERANCE[dtype])
    step_by_step = nth(9, fl.steps(trainer, data, data, start=start, engine="jax"))
    whole = nth(3, fl.epochs(trainer, data, data, start=start, engine="jax"))
    assert fl.same_bits((step_by_step.params, step_by_step.buffers), (whole.params, whole.buffers))


def test_the_engines_agree_on_masks_by_kind():
    """Weight decay without biases and normalizations."""
    decay = fl.optimizers.masked(fl.optimizers.add_decayed_weights(5.0), kinds=["weights"])
    trainer = fl.Trainer(
        model=MODELS["deep"](3, 2),
        loss=fl.losses.MeanSquaredError(),
        optimizer=fl.optimizers.chain(fl.optimizers.SGD(), decay),
    )
    check_engine(trainer, dataset("mse", 9), "jax")


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_agree_with_jax(name):
    """Outputs, new buffers and gradients in float64 to 1e-10, also at ties of a maximum and at kinks."""
    layer, _ = LAYERS[name]
    make = partial(make_params, layer)
    x, arrays = examples(name, 4, 1), list(layer.initial(0, 0))
    x[0] = x[0].round()
    context = Context(layer.buffers, lambda n, address: uniform(n, 1, Stream.DROPOUT, 2, address), 3)
    y, backward, buffers = layer.forward(make(arrays), x, context)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    grads = [np.zeros_like(array) for array in arrays]
    dx = backward(dy, make(grads), True)

    def total(arrays, x):
        y, _, buffers = layer.forward(make(arrays), x, context)
        return (y * dy).sum(), (y, buffers)

    given = [jax.numpy.asarray(array) for array in arrays], jax.numpy.asarray(x)
    theirs, (their_y, their_buffers) = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))(*given)
    close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    close(y, their_y)
    jax.tree.map(close, (grads, list(buffers)), (theirs[0], list(their_buffers)))
    if name != "embedding":
        close(dx, theirs[1])


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 20))
def test_random_numbers_are_the_same_on_both_engines(seed, place, address, n):
    """To the bit, for any seed and address."""
    theirs = philox.uniform(n, np.uint64(seed), Stream.DROPOUT, np.uint64(place), np.uint64(address))
    assert fl.same_bits(np.asarray(theirs), uniform(n, seed, Stream.DROPOUT, place, address))


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), *[st.tuples(st.integers(1, 4), st.integers(1, 3))] * 2)
@settings(max_examples=15, deadline=None)
def test_same_padding_agrees_with_jax(extents, size, stride):
    """Convolution and pooling with any stride; means ignore padding."""
    draw = np.random.default_rng(0)
    x, w = draw.standard_normal((2, *extents, 2)), draw.standard_normal((*size, 2, 3))
    ours = nn.Conv2d(2, 3, size, stride=stride, padding="same", bias=False).forward(nn.WeightParams(w), x, Context())[0]
    theirs = jax.lax.conv_general_dilated(x, w, stride, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    window = partial(jax.lax.reduce_window, window_dimensions=(1, *size, 1), window_strides=(1, *stride, 1), padding="SAME")
    most, sums, there = window(x, -np.inf, jax.lax.max), window(x, 0.0, jax.lax.add), window(x * 0 + 1, 0.0, jax.lax.add)
    np.testing.assert_array_equal(nn.MaxPool2d(size, stride, "same").forward((), x, Context())[0], most)
    np.testing.assert_allclose(nn.AvgPool2d(size, stride, "same").forward((), x, Context())[0], sums / there, rtol=1e-12)


@pytest.mark.parametrize("padding", [0, 1])
def test_convolution_and_pooling_agree_with_jax(padding):
    """In two dimensions, with strides."""
    draw = np.random.default_rng(0)
    x, w = draw.standard_normal((3, 7, 6, 2)), draw.standard_normal((3, 2, 2, 4))
    ours = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=padding).forward(nn.DenseParams(w, np.zeros(4)), x, Context())[0]
    around = [(padding, padding)] * 2
    theirs = jax.lax.conv_general_dilated(x, w, (2, 1), around, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    ours = nn.MaxPool2d((3, 2), stride=2).forward((), x, Context())[0]
    theirs = jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 3, 2, 1), (1, 2, 2, 1), "VALID")
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(
        nn.AvgPool2d((3, 2), stride=2).forward((), x, Context())[0],
        jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 2, 1), (1, 2, 2, 1), "VALID") / 6,
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_activations_agree_with_jax(name):
    """Against the function of the same name in jax.nn."""
    theirs = {"identity": lambda x: x, "tanh": jax.numpy.tanh}.get(name) or getattr(jax.nn, name)
    x = np.linspace(-30, 30, 603).reshape(3, -1)
    np.testing.assert_allclose(nn.Activation(name).forward((), x, Context())[0], theirs(x), rtol=1e-12, atol=1e-14)
