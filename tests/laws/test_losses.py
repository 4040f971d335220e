"""Laws of losses besides their gradients: no overflow, targets in any form, weights, kinks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses as ls
from fnloop.core.records import RECORD_TYPES, frozen
from tests.strategies import LOSSES, metrics_of

W2, W3 = (0.5, 2.0), (0.5, 2.0, 1.5)
BINARY = [
    ls.BinaryCrossEntropy(),
    ls.BinaryCrossEntropy(label_smoothing=0.2, class_weights=W2),
    ls.Focal(),
    ls.Focal(gamma=0.5, class_weights=W2),
    ls.Focal(gamma=0.0),
    ls.Hinge(),
]
CLASSES = [
    ls.SoftmaxCrossEntropy(),
    ls.SoftmaxCrossEntropy(label_smoothing=0.2, class_weights=W3),
    ls.Focal(),
    ls.Focal(gamma=0.5, class_weights=W3),
    ls.Hinge(),
]
REGRESSION = [ls.MeanSquaredError(), ls.MeanAbsoluteError(), ls.Huber(0.3), ls.LogCosh()]
SEEDS = st.integers(0, 10**6)


def mean_and_gradient(loss, outputs, targets):
    values, backward = loss.forward(outputs, targets)
    assert values.shape == (len(outputs),)
    assert values.dtype == outputs.dtype
    gradient = backward()
    assert gradient.shape == outputs.shape
    assert gradient.dtype == outputs.dtype
    return values, gradient


def assert_close(a, b, rtol=1e-12, atol=1e-14):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("z", [-1e30, -1e4, -800.0, -40.0, -17.0, 0.0, 17.0, 40.0, 800.0, 1e4, 1e30])
@pytest.mark.parametrize("loss", [*BINARY, *CLASSES, ls.KLDivergence()], ids=repr)
def test_no_logit_overflows(loss, z, dtype):
    """Losses and gradients are finite for every logit, and no loss is negative."""
    cases = []
    if loss in BINARY:
        cases += [(np.array([[z]], dtype), np.array([y], dtype)) for y in (0, 1)]
    if loss in [*CLASSES, ls.KLDivergence()]:
        cases += [(np.array([[0.5, z, 0.5]], dtype), np.eye(3, dtype=dtype)[[y]]) for y in (0, 1)]
    for outputs, targets in cases:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            values, gradient = mean_and_gradient(loss, outputs, targets)
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_focal_is_finite_for_the_largest_logits(dtype):
    """Even if their difference overflows the dtype."""
    most = np.finfo(dtype).max
    outputs = np.array([[most, -most, 0.0], [-most, most, 0.0]], dtype)
    with np.errstate(over="ignore"):
        values, gradient = mean_and_gradient(ls.Focal(gamma=0.5), outputs, np.array([0, 0], dtype))
    assert values[0] == 0
    assert np.isfinite(values).all()
    np.testing.assert_allclose(gradient, [[0, 0, 0], [-0.5, 0.5, 0]], atol=1e-6)


@pytest.mark.parametrize("loss", REGRESSION[1:], ids=repr)
def test_no_error_overflows(loss):
    """An error whose square overflows float32 has a finite loss and gradient."""
    values, gradient = mean_and_gradient(loss, np.array([[1e38], [-1e38]], "float32"), np.zeros(2, "float32"))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(gradient[:, 0], np.array([0.5, -0.5]) * getattr(loss, "delta", 1.0), rtol=1e-6)


def test_log_cosh_is_accurate_for_small_errors():
    """It is half the square of a small error, in float32 too."""
    error = np.array([[1e-2], [1e-3], [0.0]], "float32")
    values, _ = mean_and_gradient(ls.LogCosh(), error, np.zeros(3, "float32"))
    np.testing.assert_allclose(values, error[:, 0] ** 2 / 2, rtol=2e-3)


@pytest.mark.parametrize("loss", CLASSES, ids=repr)
@given(SEEDS, st.integers(1, 9))
def test_labels_equal_their_one_hot_rows(loss, seed, rows):
    """Labels of any shape give the bits of their one-hot rows."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 3)), draw.integers(0, 3, rows).astype(float)
    by_label = mean_and_gradient(loss, z, y)
    for targets in (y[:, None], np.eye(3)[y.astype(int)]):
        assert fl.same_bits(mean_and_gradient(loss, z, targets), by_label)


@given(SEEDS, st.integers(1, 9), st.floats(0, 0.9), st.sampled_from([None, W2]), st.booleans())
def test_one_logit_equals_two(seed, rows, smoothing, weights, dense):
    """A binary loss of the logit z is the loss of two classes with the logits 0 and z."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 1)), draw.uniform(size=rows) if dense else draw.integers(0, 2, rows).astype(float)
    pair, two = np.concatenate([0 * z, z], 1), np.stack([1 - y, y], 1)
    for one, many in [
        (
            ls.BinaryCrossEntropy(label_smoothing=smoothing, class_weights=weights),
            ls.SoftmaxCrossEntropy(label_smoothing=smoothing, class_weights=weights),
        ),
        (ls.Focal(gamma=1.5, class_weights=weights), ls.Focal(gamma=1.5, class_weights=weights)),
        *([(ls.Hinge(), ls.Hinge())] if not dense else []),
    ]:
        (values, gradient), (expected, full) = mean_and_gradient(one, z, y), mean_and_gradient(many, pair, two)
        assert_close((values, gradient), (expected, full[:, 1:]))


@given(SEEDS, st.integers(1, 9), st.floats(0, 3))
def test_class_weights_multiply_the_loss_of_each_class(seed, rows, gamma):
    """A label is weighted by its class, a distribution term by term; the mean is over the examples in both cases."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 3)), draw.integers(0, 3, rows)
    dense, weights = draw.dirichlet(np.ones(3), rows), np.array(W3)
    for plain, weighted in [
        (ls.SoftmaxCrossEntropy(), ls.SoftmaxCrossEntropy(class_weights=W3)),
        (ls.Focal(gamma=gamma), ls.Focal(gamma=gamma, class_weights=W3)),
    ]:
        values, gradient = mean_and_gradient(plain, z, y.astype(float))
        assert_close(mean_and_gradient(weighted, z, y.astype(float)), (values * weights[y], gradient * weights[y][:, None]))
        parts = [mean_and_gradient(plain, z, np.full(rows, k, float)) for k in range(3)]
        share = dense * weights
        summed = sum(share[:, k] * parts[k][0] for k in range(3)), sum(share[:, [k]] * parts[k][1] for k in range(3))
        assert_close(mean_and_gradient(weighted, z, dense), summed)
    z, y = z[:, :1], y % 2
    values, gradient = mean_and_gradient(ls.BinaryCrossEntropy(), z, y.astype(float))
    weights = np.array(W2)[y]
    assert_close(
        mean_and_gradient(ls.BinaryCrossEntropy(class_weights=W2), z, y.astype(float)),
        (values * weights, gradient * weights[:, None]),
    )


@given(SEEDS, st.integers(1, 9))
def test_focal_without_focus_is_the_cross_entropy(seed, rows):
    """For gamma = 0."""
    draw = np.random.default_rng(seed)
    z, y = draw.normal(0, 3, (rows, 3)), draw.dirichlet(np.ones(3), rows)
    assert_close(
        mean_and_gradient(ls.Focal(gamma=0.0, class_weights=W3), z, y),
        mean_and_gradient(ls.SoftmaxCrossEntropy(label_smoothing=0.0, class_weights=W3), z, y),
    )
    z, y = z[:, :1], y[:, 0]
    assert_close(
        mean_and_gradient(ls.Focal(gamma=0.0, class_weights=W2), z, y),
        mean_and_gradient(ls.BinaryCrossEntropy(label_smoothing=0.0, class_weights=W2), z, y),
    )


@given(SEEDS, st.integers(1, 9))
def test_the_divergence_of_equal_distributions_is_zero(seed, rows):
    """It is never negative, and its gradient is that of the cross-entropy."""
    draw = np.random.default_rng(seed)
    z = draw.normal(0, 3, (rows, 4))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert_close(mean_and_gradient(ls.KLDivergence(), z, p), (np.zeros(rows), np.zeros((rows, 4))))
    other = draw.dirichlet(np.full(4, 0.3), rows)
    values, gradient = mean_and_gradient(ls.KLDivergence(), z, other)
    assert (values >= -1e-12).all()
    np.testing.assert_array_equal(gradient, mean_and_gradient(ls.SoftmaxCrossEntropy(), z, other)[1])


def test_the_derivative_at_a_kink_is_zero():
    """Where the margin is exactly 1, and where the error is 0."""
    assert mean_and_gradient(ls.Hinge(), np.array([[1.0], [-1.0]]), np.array([1.0, 0.0]))[1].tolist() == [[0], [0]]
    assert mean_and_gradient(ls.Hinge(), np.array([[2.0, 1.0, 1.0]]), np.array([0.0]))[1].tolist() == [[0, 0, 0]]
    assert mean_and_gradient(ls.Hinge(), np.array([[1.0, 1.0, 1.0]]), np.array([1.0]))[1].tolist() == [[1, -1, 0]]
    assert mean_and_gradient(ls.MeanAbsoluteError(), np.ones((1, 2)), np.array([[1.0, 0.0]]))[1].tolist() == [[0, 0.5]]


def test_nan_stays_nan():
    """No mask hides it."""
    with np.errstate(invalid="ignore"):
        for loss in (*BINARY, *REGRESSION):
            assert np.isnan(mean_and_gradient(loss, np.array([[np.nan]]), np.ones(1))[0]).all()
        for loss in CLASSES:
            assert np.isnan(mean_and_gradient(loss, np.array([[0.0, np.nan, 1.0]]), np.ones(1))[0]).all()


def test_losses_without_probabilities_raise():
    """The error has the name of the loss; the other losses return a uniform distribution for equal logits."""
    for loss in (*REGRESSION, ls.Hinge()):
        with pytest.raises(TypeError, match=f"{type(loss).__name__} has no probabilities"):
            loss.probabilities(np.zeros((2, 1)))
    for loss in (ls.Focal(), ls.KLDivergence(), ls.SoftmaxCrossEntropy()):
        np.testing.assert_allclose(loss.probabilities(np.zeros((2, 4))), np.full((2, 4), 0.25))
    np.testing.assert_allclose(ls.Focal().probabilities(np.zeros((2, 1))), np.full((2, 2), 0.5))


def test_a_custom_regression_loss():
    """It is a function of the error and its slope."""

    @frozen
    class Quartic(ls.Regression):
        def rho(self, error):
            return error**4, lambda scale: error**3 * (4 * scale)

    assert_close(
        mean_and_gradient(Quartic(), np.array([[1.0, 2.0]]), np.zeros((1, 2))),
        (np.array([8.5]), np.array([[2.0, 16.0]])),
    )


def test_every_loss_and_metric_survives_a_file(tmp_path):
    """A checkpoint restores the trainer with its losses and metrics; no two records have the same name."""
    for kind in LOSSES:
        trainer = fl.Trainer(model=fl.mlp([3, LOSSES[kind][1]]), loss=LOSSES[kind][0], metrics=metrics_of(kind))
        fl.save(fl.init_state(trainer), tmp_path / "s.npz", trainer=trainer)
        assert fl.same_bits(fl.load_checkpoint(tmp_path / "s.npz").trainer, trainer)
    for module in (fl.losses, fl.metrics, fl.optimizers, fl.schedulers):
        for name in module.__all__:
            assert RECORD_TYPES.get(name, getattr(module, name)) is getattr(module, name)
