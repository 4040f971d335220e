"""Laws of the estimators: parts of a fit, weights and repeated rows, the order of rows, seeds, refits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

import fnloop as fl
from fnloop.sklearn import LoopClassifier, LoopRegressor, MLPClassifier, MLPRegressor
from fnloop.sklearn.loop_scaling import fit_scaling
from tests.sklearn.data import LABELS, THREE, TWO, VALUE, VALUES, WEIGHTS, X
from tests.sklearn.test_tools import line, network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MLPS = [(MLPClassifier, THREE), (MLPClassifier, LABELS), (MLPRegressor, VALUE), (MLPRegressor, VALUES)]
LOOPS = [(LoopClassifier(network, epochs=6), THREE), (LoopRegressor(line, epochs=6), VALUE)]
DEFAULTS = [(LoopClassifier(epochs=4), TWO), (LoopClassifier(epochs=4), LABELS), (LoopRegressor(epochs=4), VALUES)]
each_mlp = pytest.mark.parametrize(("kind", "y"), MLPS)
each_loop = pytest.mark.parametrize(("loop", "y"), LOOPS, ids=["LoopClassifier", "LoopRegressor"])
any_loop = pytest.mark.parametrize(("loop", "y"), LOOPS + DEFAULTS)


def bits(estimator):
    """Everything that a fit learned, as bytes."""
    if hasattr(estimator, "state_"):
        return fl.digest(estimator.state_), str(estimator.history_["loss"])
    return b"".join(array.tobytes() for array in estimator.coefs_ + estimator.intercepts_), str(estimator.loss_curve_)


@pytest.mark.parametrize(("estimator", "y"), [*((kind(max_iter=4), y) for kind, y in MLPS), *LOOPS, *DEFAULTS])
def test_a_seed_gives_the_same_bits(estimator, y):
    """Another seed gives others; a refit, also after `set_params` and back, forgets what was before."""
    estimator = clone(estimator).set_params(random_state=5)
    first, other = bits(estimator.fit(X, y)), bits(estimator.set_params(random_state=6).fit(X, y))
    assert bits(estimator.set_params(random_state=5).fit(X, y)) == first != other
    generators = [np.random.RandomState(3) for _ in range(2)]
    fits = [bits(clone(estimator).set_params(random_state=generator).fit(X, y)) for generator in generators]
    assert fits[0] == fits[1]


@pytest.mark.parametrize(("estimator", "y"), [*((kind(max_iter=2), y) for kind, y in MLPS), *LOOPS, *DEFAULTS])
def test_the_global_generator_is_left_alone(estimator, y):
    """A seed is all that is random; a perceptron without one uses the global generator, as in scikit-learn."""
    before = fl.digest(list(np.random.get_state(legacy=True)))  # noqa: NPY002
    estimator = clone(estimator).set_params(random_state=0)
    estimator.fit(X, y).predict(X)
    assert fl.digest(list(np.random.get_state(legacy=True))) == before  # noqa: NPY002


@each_mlp
def test_partial_fits_are_the_iterations_of_a_fit(kind, y):
    """To the bit, for rows that are not shuffled."""
    whole = kind(max_iter=5, shuffle=False, n_iter_no_change=np.inf, random_state=0, batch_size=100).fit(X, y)
    parts = kind(shuffle=False, random_state=0, batch_size=100)
    for _ in range(5):
        parts.partial_fit(X, y, **({"classes": [0, 1, 2]} if kind is MLPClassifier else {}))
    assert bits(parts) == bits(whole)


@each_mlp
def test_a_part_that_diverges_leaves_no_trace(kind, y):
    """The weights and the state of the optimizer stay those before it, and so does what further parts make of them."""
    first = {"classes": [0, 1, 2]} if kind is MLPClassifier else {}
    one, other = (kind(solver="sgd", random_state=0, batch_size=50).partial_fit(X, y, **first) for _ in range(2))
    with pytest.raises(ValueError, match="non-finite"):
        one.partial_fit(np.vstack([X, 1e30 * X]), np.concatenate([y, y]))
    assert bits(one) == bits(other)
    assert bits(one.partial_fit(X, y)) == bits(other.partial_fit(X, y))


@each_mlp
def test_a_warm_start_is_the_rest_of_a_fit(kind, y):
    """To the bit, for an optimizer that remembers nothing."""
    plain = {"solver": "sgd", "momentum": 0.0, "shuffle": False, "random_state": 0, "n_iter_no_change": np.inf}
    whole = kind(max_iter=5, **plain).fit(X, y)
    parts = kind(max_iter=2, warm_start=True, **plain).fit(X, y).set_params(max_iter=3).fit(X, y)
    assert bits(parts) == bits(whole)


@any_loop
@pytest.mark.parametrize("fraction", [0, 0.2])
def test_a_warm_start_of_a_loop_is_the_rest_of_a_fit(loop, y, fraction):
    """To the bit: the last state, the best one, and the history."""
    whole = clone(loop).set_params(validation_fraction=fraction, trainer=loop.trainer or fixed(y)).fit(X, y)
    parts = clone(whole).set_params(epochs=2, warm_start=True).fit(X, y)
    parts.set_params(epochs=loop.epochs).fit(X, y)
    assert bits(parts) == bits(whole)
    assert parts.history_.keys() == whole.history_.keys()


def fixed(y):
    """A trainer whose schedule does not depend on the number of epochs."""
    outputs, task = (1, "bce") if y.ndim == 1 else (y.shape[1], "bce" if y is LABELS else "mse")
    return fl.Trainer(model=fl.mlp([X.shape[1], 8, outputs]), loss=task, early_stopping=fl.EarlyStopping("loss", patience=1))


@each_loop
def test_partial_fits_of_a_loop_are_the_epochs_of_a_fit(loop, y):
    """To the bit, without validation."""
    whole = clone(loop).set_params(validation_fraction=0).fit(X, y)
    parts = clone(loop)
    for _ in range(loop.epochs):
        parts.partial_fit(X, y)
    assert bits(parts) == bits(whole)


@given(st.integers(0, 2**31))
@pytest.mark.parametrize(("loop", "y"), [LOOPS[0], LOOPS[1], DEFAULTS[1]], ids=["three", "value", "labels"])
def test_a_loop_does_not_see_the_order_of_rows_nor_how_they_are_weighted(loop, y, seed):
    """Whole weights are repeated rows and rows of weight 0 are absent, to the bit, with a validation set."""
    draw = np.random.RandomState(seed)
    rows, weights = draw.permutation(60), draw.randint(0, 4, 60)
    weights[np.unique(y[rows], axis=0, return_index=True)[1]] += 1  # a class without weight would still be a class
    x, y, repeated = X[rows], y[rows], np.repeat(np.arange(60), weights)
    loop = clone(loop).set_params(validation_fraction=0.3, epochs=1, random_state=seed)
    weighted = clone(loop).fit(x, y, sample_weight=weights)
    copied = clone(loop).fit(x[repeated], y[repeated])
    shuffled = draw.permutation(repeated)
    assert bits(weighted) == bits(copied) == bits(clone(loop).fit(x[shuffled], y[shuffled]))


@any_loop
def test_weights_that_are_not_whole(loop, y):
    """Only their ratios count."""
    one, other = (clone(loop).fit(X, y, sample_weight=factor * (WEIGHTS + 0.5)) for factor in (1, 0.25))
    assert bits(one) == bits(other) != bits(clone(loop).fit(X, y))


@each_mlp
def test_weights_are_repeated_rows(kind, y):
    """To rounding, for a single batch."""
    rows = np.repeat(np.arange(90), WEIGHTS[:90].astype(int))
    for parameters in {"solver": "adam"}, {"solver": "sgd", "alpha": 1.0}, {"solver": "lbfgs"}:
        one, other = (kind(max_iter=20, random_state=0, **parameters) for _ in range(2))
        one.fit(X[:90], y[:90], sample_weight=WEIGHTS[:90])
        other.fit(X[rows], y[rows])
        for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_class_weights_are_weights_of_rows():
    """Given as numbers, or balanced."""
    counts = np.bincount(THREE)
    balanced = dict(enumerate(len(THREE) / (3 * counts)))
    one, other, third = (
        LoopClassifier(network, epochs=2, class_weight=weights).fit(X, THREE, sample_weight=more)
        for weights, more in [("balanced", None), (balanced, None), (None, np.array(list(balanced.values()))[THREE])]
    )
    assert bits(one) == bits(other) == bits(third)


def test_equal_rows_are_not_on_both_sides_of_the_split():
    """Copies of a row in the training set would make the validation loss useless."""
    from fnloop.sklearn.loop_data import make_dataset, row_hashes, split_off

    copies = make_dataset(X, THREE, WEIGHTS)
    train, validation = split_off(copies, 0.3, True, 0)
    hashes = [set(row_hashes(part.x, part.y).tolist()) for part in (train, validation)]
    assert not hashes[0] & hashes[1]
    assert abs(len(validation) / len(copies) - 0.3) < 0.05


def test_the_predictions_are_those_of_the_state():
    """`fl.predict`, up to the rounding of float32; a frame's columns and the classes are in the state."""
    loop = LoopClassifier(network, epochs=3).fit(X, np.array(["x", "y", "z"])[THREE])
    np.testing.assert_array_equal(loop.classes_[fl.predict(loop.trainer_, loop.state_, X)], loop.predict(X))
    np.testing.assert_allclose(fl.predict_proba(loop.trainer_, loop.state_, X), loop.predict_proba(X), atol=1e-5)
    assert np.array_equal(loop.decision_function(X).argmax(1), loop.predict_proba(X).argmax(1))


def test_two_classes_have_one_output_or_two():
    """As the function can make: the decision is positive for the second class."""
    for loss, outputs in ("bce", 1), ("cross_entropy", 2):
        loop = LoopClassifier(lambda d, k, loss=loss: fl.Trainer(model=fl.mlp([d, k]), loss=loss), epochs=3).fit(X, TWO)
        assert loop.trainer_.model.outputs == outputs
        np.testing.assert_array_equal(loop.decision_function(X) > 0, loop.predict(X) == 1)
        np.testing.assert_array_equal(loop.predict_proba(X)[:, 1] > 0.5, loop.predict(X) == 1)


def test_a_recorded_fit(tmp_path):
    """`run_` has every state; the file is replaced if that is asked for."""
    path = tmp_path / "fit.run"
    loop = LoopClassifier(network, epochs=3, record=path).fit(X, THREE)
    assert fl.same_bits(loop.run_.best(), loop.state_)
    assert loop.run_.history["val_loss"] == loop.history_["val_loss"]
    with pytest.raises(fl.RunError):
        loop.fit(X, THREE)
    loop.set_params(overwrite=True, epochs=2).fit(X, THREE)
    assert loop.run_.last.epoch == 2
    assert not hasattr(LoopClassifier(network, epochs=1).fit(X, THREE), "run_")


def test_a_stopped_loop_predicts_by_its_best_state():
    stopping = fl.EarlyStopping("val_loss", patience=2)
    loop = LoopClassifier(lambda d, k: network(d, k).replace(early_stopping=stopping, scheduler=0.3), epochs=50).fit(X, THREE)
    assert loop.stop_reason_ == "no improvement"
    losses = loop.history_["val_loss"]
    assert len(losses) < 50
    assert loop.state_.metrics["val_loss"] == min(losses)


def test_the_best_state_may_be_of_the_first_part():
    """A warm start does not forget it."""
    stops = LoopClassifier(lambda d, k: network(d, k).replace(scheduler=0.3), epochs=12, validation_fraction=0.3)
    whole = clone(stops).fit(X, THREE)
    parts = clone(stops).set_params(epochs=whole.state_.epoch + 1, warm_start=True).fit(X, THREE)
    parts.set_params(epochs=12).fit(X, THREE)
    assert 0 < whole.state_.epoch < 11
    assert bits(parts) == bits(whole)


@pytest.mark.filterwarnings("ignore:start")
def test_a_state_of_other_rows_is_not_the_best_of_these():
    """Values on another validation set cannot be compared."""
    loop = LoopClassifier(network, epochs=30, warm_start=True).fit(X[:100], THREE[:100])
    loop.set_params(epochs=31).fit(X[100:], (THREE[100:] + 1) % 3)
    assert loop.state_.metrics["val_loss"] in loop.history_["val_loss"][-1:]


def test_class_weights_multiply_weights_of_rows():
    factors = np.array([1.0, 0.5, 4.0])
    one = LoopClassifier(network, epochs=2, class_weight=dict(enumerate(factors))).fit(X, THREE, sample_weight=WEIGHTS)
    assert bits(one) == bits(LoopClassifier(network, epochs=2).fit(X, THREE, sample_weight=factors[THREE] * WEIGHTS))


@pytest.mark.parametrize("kind", [LoopClassifier, LoopRegressor])
def test_features_of_any_scale(kind):
    """The default trainer sees robustly scaled features; neither units, offsets nor one absurd value make it useless."""
    y = TWO if kind is LoopClassifier else VALUE
    score = kind(epochs=8).fit(X, y).score(X, y)
    assert score > 0.6
    outlier = X.copy()
    outlier[0] *= 1e9
    for x in (X * 2.0**-40, X * 2.0**60, (X + 2**30) * 10, outlier, X * 10.0 ** np.arange(-20, 22, 6), X * 1e200):
        assert kind(epochs=8).fit(x, y).score(x, y) > score - 0.1
    assert np.isfinite(kind(epochs=1).fit(X, y).predict(1e300 * X)).all()


@pytest.mark.filterwarnings("ignore:start")
def test_later_rows_may_be_more_than_the_first():
    """The default network, whose depth depends on the number of rows, stays that of the first."""
    many, y = np.tile(X, (10, 1)), np.tile(THREE, 10)
    part = LoopClassifier().partial_fit(X, THREE).partial_fit(many, y)
    model = part.trainer_.model
    assert model != LoopClassifier(epochs=1, validation_fraction=0).fit(many, y).trainer_.model
    warm = LoopClassifier(epochs=1, warm_start=True).fit(X, THREE).set_params(epochs=2).fit(many, y)
    assert warm.trainer_.model == model
    assert part.state_.epoch == warm.trainer_.scheduler.T_max == 2


def test_features_of_a_given_trainer_are_left_alone():
    given = LoopClassifier(network, epochs=2).fit(X, THREE)
    assert not np.array_equal(given.predict_proba(X), given.predict_proba(2 * X))
    state = LoopClassifier(network(7, 3), epochs=2).fit(X, THREE).state_
    assert fl.same_bits(state.params, given.state_.params)


def test_the_scaling_is_that_of_preprocessing():
    """For columns of numbers that are all there; a constant column is kept."""
    frame = pd.DataFrame(X, columns=list("abcdefg")).assign(target=VALUE)
    expected = fl.Preprocessing.fit(frame, "target").features(frame.drop(columns="target"))
    np.testing.assert_allclose(fit_scaling(X)(X), expected, rtol=1e-12)
    constant = fit_scaling(np.full((4, 1), 7.0))
    np.testing.assert_array_equal(constant(np.array([[7.0]])), 0)


@pytest.mark.filterwarnings("ignore:start")
@each_loop
def test_a_warm_start_without_an_epoch_left(loop, y):
    """It warns and changes nothing: after as many epochs, on other rows, and after parts of a fit."""
    fitted = clone(loop).set_params(warm_start=True).fit(X, y)
    before = bits(fitted)
    for rows in slice(None), slice(100, None):
        with pytest.warns(UserWarning, match=r"no epoch was trained: epochs=6 counts those of the fits before, which were 6"):
            fitted.fit(X[rows], y[rows])
        assert bits(fitted) == before
    part = clone(loop).set_params(warm_start=True, epochs=1).partial_fit(X, y)
    with pytest.warns(UserWarning, match="no epoch was trained"):
        part.fit(X, y)
    stopping = fl.EarlyStopping("loss", patience=1, min_delta=1e9)
    stopped = clone(loop).set_params(trainer=lambda d, k: loop.trainer(d, k).replace(early_stopping=stopping), warm_start=True)
    with pytest.warns(UserWarning, match=r"the run had ended after 2 \(no improvement\)"):
        stopped.fit(X, y).fit(X, y)


def test_targets_of_any_scale():
    """The default trainer sees targets of mean 0 and deviation 1; a given one sees them as they are."""
    small, large = (LoopRegressor(epochs=20).fit(X, y) for y in (VALUE, 1e6 + 1e3 * VALUE))
    np.testing.assert_allclose(large.predict(X), 1e6 + 1e3 * small.predict(X), rtol=1e-7)
    assert small.score(X, VALUE) > 0.5
    assert LoopRegressor(line, epochs=1).fit(X, 1e3 + VALUE).history_["loss"][0] > 1e5
    constant = LoopRegressor(epochs=2).fit(X, np.full(len(X), 7.0))
    np.testing.assert_allclose(constant.predict(X), 7.0, atol=1)


@pytest.mark.thorough
def test_the_engine_of_a_loop():
    """JAX trains alike, to rounding."""
    one, other = (LoopClassifier(network, epochs=5, engine=engine).fit(X, THREE) for engine in ("numpy", "jax"))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-3)
