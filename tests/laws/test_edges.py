"""Losses and activations at the smallest and largest numbers of their dtype, forward and backward, on both engines."""

import decimal
from decimal import Decimal
from functools import lru_cache
from itertools import product

import jax
import numpy as np
import pytest

from fnloop import losses
from fnloop.nn import ACTIVATIONS
from fnloop.nn.activations import FUNCTIONS
from fnloop.testing.catalog import LOSSES, dataset
from tests.laws import references
from tests.laws.references import EXACT

ULPS = 8
ENGINES = ("numpy", "jax")
COMMON = (3e-7, 1e-3, 0.1, 0.5, 1.0, 1.5, 3.0, 5.0, 8.0, 12.0, 17.4, 25.0, 37.0, 60.0, 90.0, 1e3, 1e10)
MAGNITUDES = {  # from the smallest normal number on, because XLA takes smaller ones for 0
    "float32": (1.2e-38, 1e-30, 1e-20, *COMMON, 87.0, 104.0, 3e19, 3e38),
    "float64": (1e-307, 1e-160, 1e-16, *COMMON, 300.0, 710.0, 750.0, 3e38, 1e154, 1.7e308),
}
# Derivatives that end in 1 - f(x)², or are JAX's of expm1, are right to ULPS of 1 and not of themselves.
ABSOLUTE = {"tanh": 1.0, "elu": 1.0}


@pytest.fixture(autouse=True)
def _exact():
    """Decimals of 45 digits, and float64 under JAX."""
    with decimal.localcontext(EXACT), jax.enable_x64(True):
        yield


def signed(dtype):
    """Return each magnitude with both signs, and both zeros."""
    return np.array([s * m for m, s in product([0.0, *MAGNITUDES[dtype]], (1, -1))], dtype)


def range_of(function, *arrays):
    """Return the range of a reference's values, of any shape, over arguments that are off by ULPS in either direction."""
    eps = Decimal(float(np.finfo(arrays[0].dtype).eps)) * ULPS / 2
    moved = [function(*[[Decimal(float(v)) * (1 + s * eps) for v in array.ravel()] for array in arrays]) for s in (-1, 0, 1)]
    flat = np.array([np.ravel(np.array(each, object)) for each in moved])
    return flat.min(0), flat.max(0)


def require_close(got, low, high, dtype, where, floor=0.0):
    """Check that values are within ULPS of the range, or infinite if the dtype cannot hold them."""
    info = np.finfo(dtype)
    eps, tiny, most = (Decimal(float(v)) * k for v, k in ((info.eps, ULPS), (info.tiny, 2), (info.max, 1)))
    for value, a, b, at in zip(np.asarray(got).ravel().tolist(), low, high, where, strict=True):
        assert value == value, f"NaN at {at}, expected {float(a)!r}"
        slack = eps * max(abs(a), abs(b), Decimal(floor)) + tiny * max(1, abs(Decimal(float(np.abs(at).max()))))
        held = a - slack <= Decimal(value) <= b + slack
        beyond = abs(value) == float("inf") and max(abs(a), abs(b)) + slack > most and (value > 0) == (b > 0)
        assert held or beyond, f"{value!r} at {at}, expected {float((a + b) / 2)!r}"


@lru_cache
def expected_activation(name, dtype):
    """Return the ranges of values and derivatives."""
    x = signed(dtype)
    with decimal.localcontext(EXACT):
        return [range_of(lambda x, f=f: [f(v) for v in x], x) for f in references.ACTIVATIONS[name]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", MAGNITUDES)
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
def test_activations(name, dtype, engine):
    """Every activation has a reference; a new one needs its own."""
    x, function = signed(dtype), FUNCTIONS[name]
    values, slopes = expected_activation(name, dtype)
    if engine == "numpy":
        with np.errstate(invalid="raise", divide="raise", over="raise"):
            y, backward = function(x)
            dx = backward(np.ones_like(x))
    else:

        @jax.jit
        def both(x):
            y, pull = jax.vjp(lambda x: function(x)[0], x)
            return y, pull(jax.numpy.ones_like(y))[0]

        y, dx = both(x)
    assert y.dtype == dx.dtype == dtype
    require_close(y, *values, dtype, x)
    smooth = (x != 0) | (name not in {"relu", "leaky_relu"}) | (engine == "numpy")
    require_close(dx[smooth], slopes[0][smooth], slopes[1][smooth], dtype, x[smooth], ABSOLUTE.get(name, 0.0))


def rows(dtype, outputs):
    """Outputs of every magnitude: a single one, ties, opposites, and a narrow winner; differences do not overflow."""
    if outputs == 1:
        return signed(dtype)[:, None]
    m = np.array([v for v in MAGNITUDES[dtype] if v < np.finfo(dtype).max / 2], dtype)
    zero, near = 0 * m, m * np.float32(0.999).astype(dtype)
    pairs = [(m, zero), (-m, zero), (m, m), (m, -m), (m, near)]
    return np.concatenate([np.stack([*pair, *[zero] * (outputs - 2)], 1) for pair in pairs])


@lru_cache
def expected_loss(loss, outputs, dtype):
    """Return logits, correct classes, and the ranges of losses and gradients."""
    z = rows(dtype, outputs)
    y = np.repeat(np.arange(2), len(z)).astype(dtype)
    z = np.concatenate([z, z])
    classes, reference = max(outputs, 2), references.CLASSIFICATION[type(loss)]

    def of(z):
        done = []
        for at, right in enumerate(y):
            row = z[at * outputs : (at + 1) * outputs]
            target = [Decimal(int(k == right)) for k in range(classes)]
            value, slope = reference(loss, [Decimal(0), *row] if outputs == 1 else row, target)
            done.append([value, *slope[-outputs:]])
        return done

    with decimal.localcontext(EXACT):
        low, high = (side.reshape(len(z), -1) for side in range_of(of, z))
    return z, y, (low[:, 0], high[:, 0]), (low[:, 1:].ravel(), high[:, 1:].ravel())


def forward_and_backward(loss, outputs, targets, engine):
    """Return the loss and gradient of each example, derived by hand or by JAX."""
    if engine == "numpy":
        with np.errstate(invalid="raise", divide="raise", over="ignore"):
            values, backward = loss.forward(outputs, targets)
            return values, backward() * len(outputs)

    @jax.jit
    def both(outputs, targets):
        values, pull = jax.vjp(lambda z: loss.forward(z, targets)[0], outputs)
        return values, pull(jax.numpy.ones_like(values))[0]

    return both(outputs, targets)


# JAX in float32 is tried on every loss below.
REACHED = pytest.mark.parametrize(("dtype", "engine"), [("float32", "numpy"), ("float64", "numpy"), ("float64", "jax")])
W2, W3 = (0.25, 2.0), (0.25, 2.0, 1.0)
CLASSES = [
    (losses.BinaryCrossEntropy(), 1),
    (losses.BinaryCrossEntropy(label_smoothing=0.125, class_weights=W2), 1),
    (losses.Focal(), 1),
    (losses.Focal(gamma=0.5, class_weights=W2), 1),
    (losses.Focal(gamma=0.0), 1),
    (losses.Hinge(), 1),
    (losses.SoftmaxCrossEntropy(), 3),
    (losses.SoftmaxCrossEntropy(label_smoothing=0.0, class_weights=W3), 3),
    (losses.SoftmaxCrossEntropy(label_smoothing=0.125, class_weights=W3), 3),
    (losses.Focal(), 3),
    (losses.Focal(gamma=3.0, class_weights=W3), 3),
    (losses.KLDivergence(), 3),
    (losses.Hinge(), 3),
]


@REACHED
@pytest.mark.parametrize(("loss", "outputs"), CLASSES, ids=repr)
def test_losses_of_classes(loss, outputs, dtype, engine):
    """The loss and gradient keep their digits for a confident correct prediction, and for a wrong one."""
    z, y, values, slopes = expected_loss(loss, outputs, dtype)
    targets = np.eye(3, dtype=dtype)[y.astype(int)] if isinstance(loss, losses.KLDivergence) else y
    got, gradient = forward_and_backward(loss, z, targets, engine)
    where = np.column_stack([z, y])  # logits and class
    require_close(got, *values, dtype, where)
    require_close(gradient, *slopes, dtype, np.repeat(where, outputs, axis=0))


@REACHED
@pytest.mark.parametrize(
    "loss", [*(kind() for kind in references.REGRESSION), losses.Huber(0.25), losses.Huber(1e3)], ids=repr
)
def test_losses_of_errors(loss, dtype, engine):
    """For the smallest and the largest errors; a square that overflows is infinite, its gradient is not."""
    error = signed(dtype)
    reference = references.REGRESSION[type(loss)]
    ranges = [range_of(lambda e, i=i: [reference(loss, v)[i] for v in e], error) for i in (0, 1)]
    got, gradient = forward_and_backward(loss, error[:, None], np.zeros_like(error), engine)
    require_close(got, *ranges[0], dtype, error)
    require_close(gradient, *ranges[1], dtype, error)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", LOSSES)
def test_float32_agrees_with_float64(kind, engine):
    """For every loss of the table with suitable targets; a new loss is tested as soon as it has a row."""
    loss, outputs = LOSSES[kind]
    z = rows("float32", outputs)
    y = dataset(kind, len(z)).y.astype("float32")
    eps, shares = np.finfo("float32").eps * ULPS / 2, y != y.round()  # labels are what they are
    off = eps * np.where(np.indices(y.shape).sum(0) % 2, 1.0, -1.0) * shares
    wide = [
        forward_and_backward(loss, z * (1 + s * eps), y * (1 + t * off), "numpy")
        for s, t in product(np.float64([-1, 0, 1]), (-1, 1))
    ]
    narrow = forward_and_backward(loss, z, y, engine)
    for i, where in enumerate((z, np.repeat(z, outputs, axis=0))):
        each = np.array([done[i].ravel() for done in wide])
        low, high = ([Decimal(v) for v in side.tolist()] for side in (each.min(0), each.max(0)))
        require_close(narrow[i], low, high, "float32", where)


def triples(dtype):
    """Logits of three classes that are close, far apart, tied, or opposites."""
    return np.concatenate([rows(dtype, 3), np.finfo(dtype).max * np.array([[1, -1, 0], [-1, 1, 1]], dtype)])


@pytest.mark.parametrize("dtype", MAGNITUDES)
def test_probabilities(dtype):
    """No class's probability is 1 minus the other's; no warning, and different values stay different."""
    z = signed(dtype)
    p = losses.BinaryCrossEntropy().probabilities(z[:, None])
    for column, sign in ((0, -1), (1, 1)):
        require_close(p[:, column], *range_of(lambda z, s=sign: [references.logistic(s * v) for v in z], z), dtype, z)
    tail = -np.arange(16, 86, dtype=dtype)
    assert (np.diff(losses.Focal().probabilities(tail[:, None])[:, 1]) < 0).all()
    many = triples(dtype)
    found = losses.SoftmaxCrossEntropy().probabilities(many)
    with decimal.localcontext(EXACT):
        expected = range_of(lambda z: [p for i in range(0, len(z), 3) for p in references.softmax(z[i : i + 3])], many)
    require_close(found, *expected, dtype, np.repeat(many, 3, axis=0))


@pytest.mark.parametrize("dtype", MAGNITUDES)
def test_softmax_as_an_activation(dtype):
    """The same probabilities; its gradient is accurate to ULPS of the largest dy times y."""
    z = triples(dtype)
    with np.errstate(over="ignore"):
        y, backward = FUNCTIONS["softmax"](z)
    np.testing.assert_array_equal(y, losses.SoftmaxCrossEntropy().probabilities(z))
    dy = np.array([1.0, -2.0, 0.5], dtype)
    wide = y.astype(np.longdouble)
    exact = wide * (dy - (wide * dy).sum(1, keepdims=True))
    assert (
        abs(backward(np.broadcast_to(dy, z.shape)) - exact) <= ULPS * np.finfo(dtype).eps * 2 * y + np.finfo(dtype).tiny
    ).all()
