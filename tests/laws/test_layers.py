"""Laws of every layer, and of each kind of layer."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolz import nth, take

import fnloop as fl
from fnloop import nn
from fnloop.core.random import Stream, uniform
from fnloop.core.records import evolve
from fnloop.core.sums import total
from fnloop.nn.initializers import initial_weights
from fnloop.nn.layer import EVALUATION, Context, make_params
from tests.models import LAYERS, MODELS, examples
from tests.strategies import dataset


def drawn(n, address):
    return uniform(n, 3, Stream.DROPOUT, 5, address)


def layer_of(name, dtype="float64", training=True):
    """Return a layer's forward as a function of arrays and values, its record of parameters, and its initial arrays."""
    layer, _ = LAYERS[name]
    buffers = tuple(buffer.astype(dtype) for buffer in layer.buffers)
    make = partial(make_params, layer)
    context = Context(buffers, drawn if training else None, 7)
    arrays = [array.astype(dtype) for array in layer.initial(1, 0)]
    return lambda arrays, x: layer.forward(make(arrays), x, context), make, arrays


def backward_of(name, arrays, x, dy, training=True):
    """Return the gradients of sum(y dy) with respect to each array of parameters, and to x."""
    forward, make, _ = layer_of(name, training=training)
    grads = [np.full_like(array, np.nan) for array in arrays]
    dx = forward(arrays, x)[1](dy, make(grads), True)
    return grads, dx


def central(function, at):
    """Return the gradient of a function of an array by central differences."""
    h, gradient = 1e-6, np.zeros_like(at)
    for i in np.ndindex(at.shape):
        above, below = at.copy(), at.copy()
        above[i] += h
        below[i] -= h
        gradient[i] = (function(above) - function(below)) / (2 * h)
    return gradient


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_agree_with_central_differences(name, training):
    """Gradients of every array of parameters, and of x; the indices of an embedding have none."""
    forward, _, arrays = layer_of(name, training=training)
    x = examples(name, 4, seed=2)
    dy = np.random.default_rng(1).standard_normal(forward(arrays, x)[0].shape)
    grads, dx = backward_of(name, arrays, x, dy, training)
    for i, array in enumerate(arrays):
        numeric = central(lambda a, i=i: (forward([*arrays[:i], a, *arrays[i + 1 :]], x)[0] * dy).sum(), array)
        np.testing.assert_allclose(grads[i], numeric, rtol=1e-6, atol=1e-7)
    if name != "embedding":
        np.testing.assert_allclose(dx, central(lambda a: (forward(arrays, a)[0] * dy).sum(), x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_pure_and_keeps_the_dtype(name, dtype):
    """Two calls give the same bits, in the dtype of x, and change neither x nor the parameters nor dy."""
    forward, make, arrays = layer_of(name, dtype)
    x = examples(name, 3, 0, dtype)
    first, second = forward(arrays, x), forward(arrays, x)
    assert fl.same_bits((first[0], first[2]), (second[0], second[2]))
    dy = np.random.default_rng(1).standard_normal(first[0].shape).astype(dtype)
    inputs = [array.copy() for array in (x, dy, *arrays)]
    given = [np.zeros_like(array) for array in arrays], [np.ones_like(array) for array in arrays]
    dxs = [made[1](dy, make(grads), True) for made, grads in zip((first, second), given, strict=True)]
    assert fl.same_bits((dxs[0], given[0]), (dxs[1], given[1]))
    for mode in (True, False):
        assert layer_of(name, dtype, mode)[0](arrays, x)[1](dy, make(given[0]), False) is None
    assert fl.same_bits(inputs, [x, dy, *arrays])
    assert {array.dtype for array in (first[0], *first[2], dxs[0])} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", LAYERS)
def test_examples_are_independent(name):
    """Outside training, the outputs for an example do not depend on the rest of the batch."""
    forward, _, arrays = layer_of(name, training=False)
    x = examples(name, 5, seed=4)
    whole = forward(arrays, x)[0]
    np.testing.assert_allclose(whole, np.concatenate([forward(arrays, row[None])[0] for row in x]), rtol=1e-12, atol=1e-14)


paddings = st.integers(0, 3) | st.just("same")


def added(extent, size, stride, padding):
    """Return the number of positions added before and after; with "same", an odd one is added after."""
    if padding != "same":
        return padding, padding
    needed = max(0, (math.ceil(extent / stride) - 1) * stride + size - extent)
    return needed // 2, math.ceil(needed / 2)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), paddings)
def test_a_convolution_is_the_sum_over_each_window(extent, size, stride, padding):
    """In one dimension, against a loop."""
    before, after = added(extent, size, stride, padding)
    if extent + before + after < size:
        return
    layer = nn.Conv1d(2, 3, size, stride=stride, padding=padding)
    weights, biases = layer.initial(0, 0)
    x = np.random.default_rng(0).standard_normal((2, extent, 2))
    padded = np.pad(x, ((0, 0), (before, after), (0, 0)))
    starts = range(0, extent + before + after - size + 1, stride)
    assert padding != "same" or len(starts) == math.ceil(extent / stride)
    plain = np.stack([np.einsum("nsc,sck->nk", padded[:, t : t + size], weights) + 0.5 for t in starts], axis=1)
    np.testing.assert_allclose(
        layer.forward(nn.DenseParams(weights, biases + 0.5), x, EVALUATION)[0], plain, rtol=1e-12, atol=1e-13
    )


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), paddings, st.integers(0, 99))
def test_pooling_ignores_padding(extent, size, stride, padding, seed):
    """The maximum and the mean of each window are those of its values without padding."""
    before, after = added(extent, size, stride, padding)
    if padding != "same" and 2 * padding > size:
        with pytest.raises(ValueError, match=f"padding must be at most half of kernel_size.*got {padding}"):
            nn.MaxPool1d(size, stride, padding)
        return
    if extent + before + after < size:
        return
    x = -1 - np.random.default_rng(seed).uniform(size=(2, extent, 3))
    padded = np.pad(x, ((0, 0), (before, after), (0, 0)), constant_values=np.nan)
    starts = range(0, padded.shape[1] - size + 1, stride)
    for pool, reduce in ((nn.MaxPool1d, np.nanmax), (nn.AvgPool1d, np.nanmean)):
        plain = np.stack([reduce(padded[:, t : t + size], axis=1) for t in starts], axis=1)
        np.testing.assert_allclose(pool(size, stride, padding).forward((), x, EVALUATION)[0], plain, rtol=1e-14)


@given(st.integers(1, 5000), st.integers(1, 3), st.integers(0, 2), st.floats(-30, 30), st.sampled_from(["float32", "float64"]))
def test_the_error_of_sums_does_not_grow(n, channels, keep, exponent, dtype):
    """A few rounding errors, for any number of values (pytorch#7716, tt-metal#45968)."""
    draw = np.random.default_rng(n)
    x = (draw.uniform(0.5, 1.5, (*(2,) * keep, n, channels)) * 10.0**exponent).astype(dtype)
    exact = x.astype(np.longdouble).sum(keep)
    error = abs(total(x, keep) - exact) / (np.finfo(dtype).eps * abs(exact))
    assert error.max() < 8


def test_mean_and_variance_of_many_pixels_are_accurate():
    """Three million pixels of 250 +- 3 in float32: a naive sum is off by 2.6."""
    pixels = np.random.default_rng(0).normal(250, 3, (3, 10**6 // 3, 3, 1)).astype(np.float32)
    layer = nn.BatchNorm(1, momentum=1.0)
    start = tuple(buffer.astype(np.float32) for buffer in layer.buffers)
    _, _, (mean, variance) = layer.forward(nn.NormParams(np.ones(1), np.zeros(1)), pixels, Context(start, drawn))
    assert mean[0] == pytest.approx(pixels.mean(dtype=np.float64), abs=4e-5)
    assert variance[0] == pytest.approx(pixels.var(dtype=np.float64, ddof=1), rel=1e-5)
    wide = np.repeat(pixels.reshape(1, -1, 1), 3, axis=2)
    assert nn.GlobalAvgPool().forward((), wide, EVALUATION)[0] == pytest.approx(pixels.mean(dtype=np.float64), abs=4e-5)
    assert nn.AvgPool1d(wide.shape[1]).forward((), wide, EVALUATION)[0] == pytest.approx(
        pixels.mean(dtype=np.float64), abs=4e-5
    )


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 99))
def test_running_moments_do_not_depend_on_a_last_batch_of_one(batches, rows, seed):
    """A last batch of one example does not change the running moments (pytorch#7716, fastai#970)."""
    layer, draw = nn.BatchNorm(2), np.random.default_rng(seed)
    params = nn.NormParams(*layer.initial(0, 0))
    with_one = without = layer.buffers
    for _ in range(batches):
        x, one = draw.standard_normal((rows + 1, 2)) * 3, draw.standard_normal((1, 2))
        without = layer.forward(params, x, Context(without, drawn))[2]
        with_one = layer.forward(params, x, Context(with_one, drawn))[2]
        y, backward, with_one = layer.forward(params, one, Context(with_one, drawn))
        np.testing.assert_array_equal(y, layer.forward(params, one, Context(with_one))[0])
        grads = nn.NormParams(np.empty(2), np.empty(2))
        assert np.all(backward(np.ones((1, 2)), grads, True))
    assert fl.same_bits(with_one, without)


@pytest.mark.parametrize("layer", [nn.Dense(3, 4), nn.Conv1d(2, 3, 2), nn.Conv2d(2, 3, 2)])
def test_a_layer_without_bias_equals_one_with_zero_bias(layer):
    """The same initial weights, outputs and gradients, with one array of parameters less."""
    bare = evolve(layer, bias=False)
    weights, zeros = layer.initial(5, 2)
    assert fl.same_bits(bare.initial(5, 2), (weights,))
    assert bare.shapes == layer.shapes[:1]
    x = np.random.default_rng(0).standard_normal((4, 3) if isinstance(layer, nn.Dense) else (4, *[5] * (weights.ndim - 2), 2))
    made = []
    for part, arrays in ((layer, (weights, zeros)), (bare, (weights,))):
        grads = part.params(*map(np.empty_like, arrays))
        y, backward, _ = part.forward(part.params(*arrays), x, EVALUATION)
        dy = np.random.default_rng(1).standard_normal(y.shape)
        made.append((y, backward(dy, grads, True), grads.weights))
    assert fl.same_bits(*made)
    assert repr(bare).endswith("bias=False)")


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_the_dropout_mask_is_a_function_of_its_address(seed, place, rate):
    """The same address gives the same mask, another address another one; the share of zeros is the rate."""
    layer, x = nn.Dropout(rate), np.ones((100, 100))

    def dropped(place, address):
        return layer.forward((), x, Context((), lambda n, a: uniform(n, seed, Stream.DROPOUT, place, a), address))[0]

    here = dropped(place, 1)
    assert np.array_equal(here, dropped(place, 1))
    assert not np.array_equal(here, dropped(place + 1, 1))
    assert not np.array_equal(here, dropped(place, 2))
    assert set(np.unique(here)) <= {0.0, 1 / (1 - rate)}
    assert abs((here == 0).mean() - rate) < 0.04
    assert np.array_equal(layer.forward((), x, EVALUATION)[0], x)


def test_batch_norm_updates_the_running_moments():
    """Against a loop; a batch of one example is normalized by them, and does not change them."""
    layer, draw = nn.BatchNorm(2, momentum=0.2), np.random.default_rng(0)
    mean, variance = np.zeros(2), np.ones(2)
    buffers = layer.buffers
    for rows in (4, 1, 7):
        x = draw.standard_normal((rows, 2)) * 3 + 1
        y, _, buffers = layer.forward(nn.NormParams(*layer.initial(0, 0)), x, Context(buffers, drawn))
        if rows > 1:
            mean = 0.8 * mean + 0.2 * x.mean(0)
            variance = 0.8 * variance + 0.2 * x.var(0, ddof=1)
        used = (x.mean(0), x.var(0)) if rows > 1 else (mean, variance)
        np.testing.assert_allclose(buffers, (mean, variance))
        np.testing.assert_allclose(y, (x - used[0]) / np.sqrt(used[1] + 1e-5), atol=1e-12)
    x = draw.standard_normal((3, 2))
    y, _, after = layer.forward(nn.NormParams(*layer.initial(0, 0)), x, Context(buffers))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5))
    assert fl.same_bits(after, buffers)


def trainer_of(model, **changes):
    options = {
        "model": model(3, 2),
        "loss": fl.losses.MeanSquaredError(),
        "batch_size": 4,
        "scheduler": fl.schedulers.ConstantLR(0.01),
    }
    return fl.Trainer(**{**options, **changes})


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_training_is_reproducible_with_buffers_and_dropout(model, accumulate, tmp_path):
    """The same bits again: by epochs, step by step, and resumed from a checkpoint within an epoch."""
    trainer, data = trainer_of(model, accumulate=accumulate), dataset("mse", 15)
    whole = nth(4, fl.epochs(trainer, data))
    assert fl.same_bits(whole, nth(4, fl.epochs(trainer, data)))
    middle = nth(5, fl.steps(trainer, data))
    fl.save(middle, tmp_path / "middle.npz", trainer=trainer)
    back = fl.load_checkpoint(tmp_path / "middle.npz")
    assert fl.same_bits((back.state, back.trainer), (middle, trainer))
    *_, end = (s for s in take(20, fl.epochs(back.trainer, data, start=back.state)) if s.epoch <= 4)
    assert fl.same_bits(end, whole)
    step = fl.make_step(trainer)
    state = fl.init_state(trainer)
    for batch in fl.batches(data, 4 * accumulate, seed=trainer.seed, epoch=0):
        state = step(state, batch)
    trained = nth(-(-15 // (4 * accumulate)), fl.steps(trainer, data))
    assert fl.same_bits((state.params, state.buffers), (trained.params, trained.buffers))


def test_restoring_the_best_epoch_restores_its_buffers():
    """`restored` returns parameters and buffers of the same epoch."""
    stopping = fl.EarlyStopping("val_loss", patience=2)
    trainer = trainer_of(MODELS["regularised"], early_stopping=stopping, scheduler=fl.schedulers.ConstantLR(0.5))
    states = list(fl.epochs(trainer, dataset("mse", 20), dataset("mse", 9, seed=1)))
    stopped = states[-1]
    best = states[stopped.early_stopping.best_epoch]
    assert stopped.stop_reason == "no improvement"
    assert best is not stopped
    restored = fl.restored(stopped)
    assert fl.same_bits((restored.params, restored.buffers), (best.params, best.buffers))
    data = dataset("mse", 9, seed=1)
    assert fl.evaluate(trainer, restored, data) == fl.evaluate(trainer, best, data)


def test_a_skipped_update_does_not_change_the_buffers():
    """A skipped update changes only the counts."""
    trainer = trainer_of(MODELS["regularised"], non_finite="skip")
    state = fl.init_state(trainer)
    huge = fl.Batch(1e30 * np.arange(6.0).reshape(2, 3), np.zeros((2, 2)))
    skipped = fl.make_step(trainer)(state, huge)
    assert skipped.step == 1
    assert fl.same_bits((skipped.params, skipped.buffers), (state.params, state.buffers))


def test_layers_of_nested_models_have_different_addresses():
    """No two dropout layers share an address, at any place of the inner models."""
    inner = nn.Sequential(64, [nn.Dropout(0.5), nn.Dropout(0.5)])
    model = nn.Sequential(64, [inner, nn.Dropout(0.5), nn.Residual(inner), nn.Residual(nn.Dropout(0.5))])
    seen = []
    model.forward(
        model.views(np.zeros(0)), np.ones((1, 64)), Context((), lambda n, address: seen.append(address) or drawn(n, address))
    )
    assert len(set(seen)) == len(seen) == 6


def test_views_cover_the_flat_vector():
    """In order, also for nested layers; the checkpoint names each array."""
    model = MODELS["deep"](3, 2)
    params = model.init(0)
    assert all(a.stop == b.start for a, b in pairwise(model.layout))
    assert model.layout[-1].stop == model.size == params.vector.size
    assert [slot.layer for slot in model.layout] == [0, 0, *[1] * 6, *[2] * 6, 3, 3]
    for slot in model.layout:
        assert np.shares_memory(slot.view(params.vector), params.vector)
    _, block, _, last = params.layers
    assert block[0].scale.shape == (5,)
    assert last.weights.shape == (5, 2)


@settings(max_examples=30)
@given(st.sampled_from(nn.INITIALIZERS), st.sampled_from([(300, 200), (200, 300), (3, 5, 20, 30)]), st.integers(0, 99))
def test_initial_weights_have_the_variance_of_their_initializer(name, shape, seed):
    """Orthogonal weights have orthonormal columns, or rows if there are fewer."""
    weights = initial_weights(name, shape, seed, 0)
    matrix = weights.reshape(-1, shape[-1])
    fan_in, fan_out = len(matrix), matrix.size // len(matrix) * int(np.prod(shape[:-2]))
    if name == "orthogonal":
        product = matrix.T @ matrix if len(matrix) >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)
        return
    scheme, kind = name.split("_")
    variance = {"he": 2 / fan_in, "lecun": 1 / fan_in, "glorot": 2 / (fan_in + fan_out)}[scheme]
    assert weights.var() == pytest.approx(variance, rel=0.1)
    largest = np.abs(weights).max() / variance**0.5
    assert largest <= 3**0.5 if kind == "uniform" else largest > 3


@settings(max_examples=20)
@given(st.integers(1, 300), st.integers(1, 80), st.integers(1, 80), st.integers(0, 99))
def test_dense_dx_does_not_depend_on_the_layout_of_the_weights(rows, inputs, outputs, seed):
    """For products of any size; for some, the transposed weights are copied."""
    x, weights, dy = (
        np.random.default_rng(seed).standard_normal(n) for n in ((rows, inputs), (inputs, outputs), (rows, outputs))
    )
    params, grads = nn.DenseParams(weights, np.zeros(outputs)), nn.DenseParams(np.empty_like(weights), np.empty(outputs))
    dx = nn.Dense(inputs, outputs).forward(params, x, EVALUATION)[1](dy, grads, True)
    np.testing.assert_allclose(dx, np.einsum("nk,dk->nd", dy, weights), atol=1e-12)
    np.testing.assert_allclose(grads.weights, np.einsum("nd,nk->dk", x, dy), atol=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from(["mse", "binary", "softmax"]))
def test_example_weights_of_ones_change_nothing(seed, rows, kind):
    """A weight multiplies the loss and gradient of its example, but not its metrics."""
    data = dataset(kind, rows, seed)
    loss, outputs = {
        "mse": (fl.losses.MeanSquaredError(), 2),
        "binary": (fl.losses.BinaryCrossEntropy(), 1),
        "softmax": (fl.losses.SoftmaxCrossEntropy(), 3),
    }[kind]
    trainer = fl.Trainer(
        model=fl.mlp([3, 4, outputs]), loss=loss, optimizer=fl.optimizers.SGD(), batch_size=12, dtype="float64"
    )
    state, step = fl.init_state(trainer), fl.make_step(trainer)
    ones, counts = np.ones(rows), np.random.default_rng(seed).integers(0, 4, rows)
    plain = step(state, fl.Batch(data.x, data.y))
    assert fl.same_bits(plain, step(state, fl.Batch(data.x, data.y, ones)))
    weighted = fl.Dataset(data.x, data.y, counts)
    moved = step(state, fl.Batch(data.x, data.y, counts)).params.vector - state.params.vector
    if counts.sum():
        again = np.repeat(np.arange(rows), counts)
        repeated = step(state, fl.Batch(data.x[again], data.y[again])).params.vector - state.params.vector
        np.testing.assert_allclose(moved, repeated * (len(again) / rows), rtol=1e-9, atol=1e-12)
        total = fl.evaluate(trainer, state, fl.Dataset(data.x[again], data.y[again]))["loss"] * len(again)
        assert fl.evaluate(trainer, state, weighted)["loss"] * rows == pytest.approx(total)
    else:
        assert not moved.any()
    name = loss.metrics[0]
    assert fl.evaluate(trainer, state, weighted)[name] == fl.evaluate(trainer, state, data)[name]


def test_addresses_exist_at_any_depth():
    """Initial weights and random numbers of models nested five deep."""
    model = nn.Sequential(3, [nn.Dense(3, 3), nn.Dropout(0.5)])
    for _ in range(5):
        model = nn.Sequential(3, [model, nn.Residual(model)])
    state = nth(1, fl.epochs(trainer_of(lambda *_: nn.Sequential(3, [model, nn.Dense(3, 2)])), dataset("mse", 5)))
    assert state.step == 2
    initial = fl.init_state(trainer_of(lambda *_: nn.Sequential(3, [model, nn.Dense(3, 2)]))).params
    first = [layer.view(initial.vector).tobytes() for layer in initial.model.layout if layer.shape == (3, 3)]
    assert len(set(first)) == len(first) == 32


def test_a_float64_model_trains_on_float32_examples():
    """NumPy warns of no cast."""
    data = dataset("mse", 5)
    fl.make_epoch(trainer_of(MODELS["deep"], dtype="float64"), fl.Dataset(data.x.astype("float32"), data.y))
