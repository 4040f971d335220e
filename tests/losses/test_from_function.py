"""A plain function as a loss: differentiated by the engine, or refused by name before the first step."""

import sys

import autograd.numpy as anp
import numpy as np
import pytest

import fnloop as fl
from fnloop.losses import BinaryCrossEntropy, FromFunction, MeanSquaredError
from fnloop.testing import check_loss
from tests.strategies import dataset

DATA, OTHER = dataset("mse", 20), dataset("mse", 9, seed=1)
ONE = fl.Dataset(DATA.x, DATA.y[:, 0])


def squares(outputs, targets):
    """Only arithmetic and methods: it runs on both engines."""
    return ((outputs - targets) ** 2).mean(1)


def mixed_up(outputs, targets):
    """A common mistake with one output: its column is broadcast against all targets."""
    return ((outputs - targets) ** 2).mean(1)


def logistic(outputs, targets):
    return anp.logaddexp(0.0, outputs[:, 0]) - outputs[:, 0] * targets


def trainer_of(loss, outputs=2, **changes):
    return fl.Trainer(model=fl.mlp([3, 4, outputs], "tanh"), loss=loss, **{"batch_size": 8, **changes})


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_function_trains_like_the_loss_of_the_package(engine):
    """The states agree up to rounding with those of the hand-derived gradient, with weights and accumulation."""
    data, shared = fl.Dataset(DATA.x, DATA.y, np.linspace(0, 2, 20)), {"metrics": (), "batch_size": 10, "accumulate": 2}
    by_function, by_hand = (
        fl.fit(trainer_of(loss, **shared), data, OTHER, epochs=2, progress=False, engine=on)
        for loss, on in ((squares, engine), (MeanSquaredError(), "numpy"))
    )
    assert by_function.trainer.loss == FromFunction(squares)
    np.testing.assert_allclose(by_function.last.params.vector, by_hand.last.params.vector, rtol=1e-4, atol=1e-6)
    for name, value in by_hand.last.metrics.items():
        np.testing.assert_allclose(by_function.last.metrics[name], value, rtol=1e-4, err_msg=name)
    np.testing.assert_array_equal(
        fl.predict(by_function.trainer, by_hand.last, OTHER.x), fl.predict(by_hand.trainer, by_hand.last, OTHER.x)
    )


def test_a_function_keeps_the_laws_of_losses():
    """Like every loss."""
    check_loss(FromFunction(logistic), 1, np.array([0.0, 1.0]), largest=100.0, max_examples=10)
    check_loss(FromFunction(squares), 2, np.ones((2, 2)), largest=100.0, max_examples=10)


def test_like_defines_the_meaning_of_outputs():
    """Predictions, probabilities, metrics and checks are those of `like`; without it outputs are predictions."""
    like = BinaryCrossEntropy()
    trainer = trainer_of(FromFunction(logistic, like=like), 1)
    data = dataset("binary", 20)
    result = fl.fit(trainer, data, data, epochs=2, progress=False)
    assert "val_accuracy" in result.last.metrics
    plain = fl.fit(trainer_of(like, 1), data, data, epochs=2, progress=False)
    np.testing.assert_array_equal(fl.predict(trainer, plain.last, data.x), fl.predict(plain.trainer, plain.last, data.x))
    np.testing.assert_allclose(result.history["loss"], plain.history["loss"], rtol=1e-5)
    with pytest.raises(ValueError, match=r"targets must lie in \[0, 1\]"):
        fl.epochs(trainer, fl.Dataset(data.x, data.y + np.arange(20) % 3))
    without_like = trainer_of(logistic, 1)
    assert without_like.metrics == ()
    with pytest.raises(TypeError, match=r"loss 'logistic' has no probabilities; losses.FromFunction\(logistic, like=\.\.\.\)"):
        fl.predict_proba(without_like, fl.init_state(without_like), data.x)


def test_arguments_of_another_type_raise():
    """The error has the value, and the call that was forgotten."""
    with pytest.raises(TypeError, match=r"function must be a function of \(outputs, targets\), got 3"):
        FromFunction(3)
    with pytest.raises(
        TypeError, match=r"like must be a loss, such as .* or None, got <class .*; call it: BinaryCrossEntropy"
    ):
        FromFunction(logistic, like=BinaryCrossEntropy)


def hidden(outputs, targets):
    """A NumPy function that does not accept autograd's boxes."""
    return np.where(outputs[:, 0] > 0, outputs[:, 0], 0.0)


WRONG = {
    "mean": (
        lambda outputs, targets: ((outputs - targets) ** 2).mean(),
        r"must return one value for each example.*got an array of .*\(\)",
    ),
    "a list": (lambda outputs, targets: [0.0] * len(outputs), r"one value for each example.*got a list"),
    "constant": (
        lambda outputs, targets: targets[:, 0] ** 2,
        r"cannot be differentiated by autograd: .*not depend on",
    ),
    "other order": (
        lambda targets, outputs: outputs[:, 5] - targets[:, 0],
        r"loss '<lambda>' is called as function\(outputs, targets\), here with arrays of shapes \(3, 2\) .*raised IndexError",
    ),
    "another argument": (lambda a, b, c: a, r"\(outputs, targets\), here .* raised TypeError: .*missing 1 required"),
    "hidden": (hidden, r"loss 'hidden' cannot be differentiated by autograd: .*use autograd.numpy"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_is_not_a_loss_raises_at_the_call(name):
    """The error has the function's name, and comes before the first step."""
    function, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        fl.epochs(trainer_of(function), DATA)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_function_that_mixes_examples_raises(engine):
    """Outputs (N, 1) minus targets (N,) are (N, N), whose mean looks like a loss or a metric, but is neither."""
    with pytest.raises(ValueError, match=r"loss 'mixed_up' must give each example .* alone.*outputs\[:, 0\]"):
        fl.epochs(trainer_of(mixed_up, 1), ONE, engine=engine)
    with pytest.raises(ValueError, match=r"metric 'mixed_up' must give each example .* alone.*outputs\[:, 0\]"):
        fl.epochs(trainer_of(MeanSquaredError(), 1, metrics=(mixed_up,)), ONE, engine=engine)


def test_without_autograd_the_error_names_the_command(monkeypatch):
    """The NumPy engine needs autograd to train, but not to evaluate."""
    monkeypatch.setitem(sys.modules, "autograd", None)
    trainer = trainer_of(squares)
    with pytest.raises(fl.EngineError, match=r"loss 'squares' .*python -m pip install autograd; engine='jax'"):
        fl.epochs(trainer, DATA)
    assert fl.evaluate(trainer, fl.init_state(trainer), DATA).keys() == {"loss"}


def test_without_jax_the_error_names_the_command(monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "jax" or name.startswith("fnloop.engines.jax")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(fl.EngineError, match=r"engine 'jax' needs JAX: python -m pip install"):
        fl.epochs(trainer_of(squares), DATA, engine="jax")


def test_a_metric_that_raises_is_named():
    trainer = trainer_of(squares, metrics=(lambda outputs: outputs[:, 0],))
    with pytest.raises(
        ValueError, match=r"metric '<lambda>' is called as function\(outputs, targets\), here with .* TypeError"
    ):
        fl.epochs(trainer, DATA)


def test_a_function_that_jax_cannot_trace_raises():
    """A function written for autograd runs on the NumPy engine only."""
    with pytest.raises(fl.EngineError, match=r"loss FromFunction.*logistic.* cannot be traced by JAX, engine='numpy' runs it"):
        fl.epochs(trainer_of(logistic, 1), dataset("binary", 9), engine="jax")


def test_functions_with_the_same_name_are_compiled_separately():
    """Rerunning a notebook cell redefines a function; JAX must not run the compiled program of the old one."""

    def make(factor):
        def loss(outputs, targets):
            return factor * ((outputs - targets) ** 2).mean(1)

        def metric(outputs, targets):
            return factor * outputs[:, 0]

        return loss, metric

    measured = []
    for factor in (1.0, 3.0):
        loss, metric = make(factor)
        trainer = trainer_of(loss, metrics=(metric,))
        measured.append(fl.evaluate(trainer, fl.init_state(trainer), DATA, engine="jax"))
    for name, value in measured[0].items():
        np.testing.assert_allclose(measured[1][name], 3 * value, rtol=1e-5)


def test_a_recorded_run_needs_the_function_again(tmp_path):
    """A run file does not contain functions; `open_run` takes the trainer that has it."""
    trainer = trainer_of(squares)
    fl.fit(trainer, DATA, epochs=2, progress=False, record=tmp_path / "a.run")
    assert fl.open_run(tmp_path / "a.run", trainer=trainer).verify().ok
    with pytest.raises(fl.RunError, match="functions"):
        _ = fl.open_run(tmp_path / "a.run").trainer
