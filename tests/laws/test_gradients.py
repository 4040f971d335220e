"""Every hand-derived gradient agrees with central differences in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses
from fnloop.engines.numpy.gradient import make_gradient
from fnloop.nn.layer import EVALUATION
from fnloop.training.engine import computation_of
from tests.strategies import ACTIVATIONS


def flags(draw, n):
    return draw.integers(0, 2, n).astype(float)


def shares(draw, n):
    return draw.uniform(size=(n, 1))


def labels(draw, n):
    return draw.integers(0, 4, n).astype(float)


def rows_of_four(draw, n):
    return draw.dirichlet(np.ones(4), n)


def sparse_rows(draw, n):
    return np.eye(4)[draw.integers(0, 4, n)] * 0.25 + np.eye(4)[draw.integers(0, 4, n)] * 0.75


def numbers(draw, n):
    return draw.standard_normal(n)


def triples(draw, n):
    return draw.standard_normal((n, 3))


W2, W4 = (0.3, 2.0), (0.5, 2.0, 0.0, 1.5)
CASES = {  # the loss, its outputs, and targets for it
    "binary": (losses.BinaryCrossEntropy(), 1, flags),
    "binary with probabilities": (losses.BinaryCrossEntropy(), 1, shares),
    "binary smoothed": (losses.BinaryCrossEntropy(label_smoothing=0.2), 1, flags),
    "binary weighted": (losses.BinaryCrossEntropy(label_smoothing=0.1, class_weights=W2), 1, shares),
    "softmax with labels": (losses.SoftmaxCrossEntropy(), 4, labels),
    "softmax with rows": (losses.SoftmaxCrossEntropy(), 4, rows_of_four),
    "softmax smoothed": (losses.SoftmaxCrossEntropy(label_smoothing=0.2), 4, labels),
    "softmax weighted": (losses.SoftmaxCrossEntropy(label_smoothing=0.1, class_weights=W4), 4, rows_of_four),
    "binary focal": (losses.Focal(), 1, flags),
    "binary focal weighted": (losses.Focal(gamma=0.5, class_weights=W2), 1, shares),
    "softmax focal": (losses.Focal(gamma=1.5), 4, labels),
    "softmax focal weighted": (losses.Focal(gamma=3.0, class_weights=W4), 4, rows_of_four),
    "focal without focus": (losses.Focal(gamma=0.0), 4, labels),
    "binary hinge": (losses.Hinge(), 1, flags),
    "hinge": (losses.Hinge(), 4, labels),
    "divergence": (losses.KLDivergence(), 4, rows_of_four),
    "divergence from rows with zeros": (losses.KLDivergence(), 4, sparse_rows),
    "squared error": (losses.MeanSquaredError(), 1, numbers),
    "squared error of three": (losses.MeanSquaredError(), 3, triples),
    "absolute error": (losses.MeanAbsoluteError(), 1, numbers),
    "absolute error of three": (losses.MeanAbsoluteError(), 3, triples),
    "huber": (losses.Huber(), 1, numbers),
    "huber of three": (losses.Huber(0.4), 3, triples),
    "log cosh": (losses.LogCosh(), 3, triples),
}
SMOOTH_PIECES = {  # of a loss with kinks, what is the same between two of them
    losses.Hinge: lambda loss, outputs, y: loss.forward(outputs, y)[1](),
    losses.MeanAbsoluteError: lambda loss, outputs, y: loss.forward(outputs, y)[1](),
    losses.Huber: lambda loss, outputs, y: abs(outputs - y.reshape(outputs.shape)) < loss.delta,
}


def loss_at(trainer, vector, x, y):
    return trainer.loss.forward(trainer.model(vector, x), y)[0].mean()


def gradient_at(trainer, vector, x, y):
    gradient = np.empty_like(vector)
    make_gradient(computation_of(trainer), vector, gradient)((x, y, None), (), 0)
    return gradient


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", CASES)
@given(st.integers(0, 10**6), st.integers(1, 9))
def test_gradients_agree_with_central_differences(activation, case, seed, rows):
    """In random directions at random points; near kinks there is no derivative to compare."""
    loss, outputs, targets = CASES[case]
    draw = np.random.default_rng(seed)
    trainer = fl.Trainer(model=fl.mlp([3, 5, 4, outputs], activation), loss=loss, metrics=(), dtype="float64")
    vector = draw.standard_normal(trainer.model.size)
    x, y = draw.standard_normal((rows, 3)), targets(draw, rows)
    direction = draw.standard_normal(vector.size)
    direction /= np.linalg.norm(direction)
    h = 1e-3
    if crosses_a_kink(trainer, vector, 2 * h * direction, x, y):
        return

    def central(h):
        above, below = (loss_at(trainer, vector + s * direction, x, y) for s in (h, -h))
        return (above - below) / (2 * h)

    numeric = (4 * central(h) - central(2 * h)) / 3  # Richardson: the error is of the order h^4
    gradient = gradient_at(trainer, vector, x, y)
    scale = max(abs(numeric), np.linalg.norm(gradient) / vector.size**0.5, 1e-4)
    assert abs(numeric - gradient @ direction) / scale < 1e-6


def crosses_a_kink(trainer, vector, step, x, y):
    """Return whether an input of an activation changes its sign, or the loss changes its smooth piece."""
    piece = SMOOTH_PIECES.get(type(trainer.loss), lambda loss, outputs, y: 0)
    seen = []
    for s in np.linspace(-1, 1, 9):
        between = values(trainer, vector + s * step, x)
        signs = [np.sign(value) for value in between[:-1] if trainer.model.layers[1].name in {"relu", "leaky_relu", "elu"}]
        seen.append([*signs, piece(trainer.loss, between[-1], y)])
    return any(np.any(a != b) for others in seen for a, b in zip(seen[0], others, strict=True))


def values(trainer, vector, x):
    """Return the values between the layers."""
    seen = []
    for layer, params in zip(trainer.model.layers, trainer.model.views(vector), strict=True):
        x = layer.forward(params, x, EVALUATION)[0]
        seen.append(x)
    return seen


@pytest.mark.parametrize("z", [-1e4, -800.0, -40.0, 0.0, 40.0, 800.0, 1e4])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_cross_entropy_of_extreme_logits(z, y):
    """It is finite for every finite logit in both dtypes, and its gradient is sigmoid(z) - y."""
    for dtype in ("float32", "float64"):
        losses, backward = fl.losses.BinaryCrossEntropy().forward(np.array([[z]], dtype), np.array([y], dtype))
        assert np.isfinite(losses).all()
        assert losses[0] == pytest.approx(max(z, 0) - z * y + np.log1p(np.exp(-abs(z))), rel=1e-6)
        assert backward()[0, 0] == pytest.approx(np.exp(-np.logaddexp(0, -z)) - y, abs=1e-6)
        row, backward = fl.losses.SoftmaxCrossEntropy().forward(np.array([[0.0, z]], dtype), np.array([y], dtype))
        assert row[0] == pytest.approx(losses[0], rel=1e-6)
        assert np.isfinite(backward()).all()


def test_the_step_follows_the_mean_gradient():
    """A step of plain SGD moves by -lr times the gradient of the mean loss, without another division by the batch size."""
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((32, 3)), draw.integers(0, 2, 32)
    trainer = fl.Trainer(
        model=fl.mlp([3, 4, 1], "tanh"),
        loss=fl.losses.BinaryCrossEntropy(),
        optimizer=fl.optimizers.SGD(),
        scheduler=fl.schedulers.ConstantLR(0.5),
        dtype="float64",
    )
    state = fl.init_state(trainer)
    moved = fl.make_step(trainer)(state, fl.Batch(x, y)).params.vector
    numeric = np.array([difference(trainer, state.params.vector, i, x, y) for i in range(trainer.model.size)])
    np.testing.assert_allclose(moved, state.params.vector - 0.5 * numeric, rtol=1e-7, atol=1e-9)


def difference(trainer, vector, i, x, y, h=1e-6):
    step = h * np.eye(vector.size)[i]
    return (loss_at(trainer, vector + step, x, y) - loss_at(trainer, vector - step, x, y)) / (2 * h)
