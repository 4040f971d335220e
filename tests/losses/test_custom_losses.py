"""Custom losses: a subclass of `Loss` inherits every default, and any object with all members is a loss."""

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.protocols import members_of
from fnloop.losses import BinaryCrossEntropy, Classification, Loss, MeanSquaredError, get_loss
from fnloop.testing import check_loss
from tests.strategies import dataset

DATA = dataset("mse", 20)
ONE_OUTPUT = fl.Dataset(DATA.x, DATA.y[:, 0])


@fl.frozen
class SquaredError(Loss):
    """A subclass that defines `forward` alone."""

    def forward(self, outputs, targets):
        error = outputs - targets.reshape(outputs.shape)
        return (error * error).sum(1) / error.shape[1], lambda: error * (2 / error.size)


@fl.frozen
class Standardized(Loss):
    """A loss that depends on the training data: the squared error in units of their variance."""

    variance: float | None = None

    @property
    def is_resolved(self):
        return self.variance is not None

    def resolve(self, targets, outputs, weights=None):
        return Standardized(float(targets.var()))

    def forward(self, outputs, targets):
        error = outputs - targets.reshape(outputs.shape)
        return (error**2)[:, 0] / self.variance, lambda: error * (2 / error.size / self.variance)


class Delegating:
    """No subclass: every member is that of another loss."""

    metrics = ("r2",)
    is_resolved = True

    def __init__(self):
        loss = MeanSquaredError()
        for member in set(members_of(Loss)) - {"metrics", "is_resolved"}:
            setattr(self, member, getattr(loss, member))


def trainer_of(loss, outputs=1, **changes):
    return fl.Trainer(model=fl.mlp([3, 4, outputs], "tanh"), loss=loss, batch_size=8, **changes)


def last_state(loss, **changes):
    return fl.fit(trainer_of(loss, **changes), ONE_OUTPUT, epochs=2, progress=False).last


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_subclass_needs_only_forward(engine):
    """It trains like the loss of the package with the same gradient, and predicts its outputs."""
    custom, built_in = (
        fl.fit(trainer_of(loss, 2, metrics=()), DATA, epochs=2, engine=engine, progress=False)
        for loss in (SquaredError(), MeanSquaredError())
    )
    assert fl.same_bits((custom.last.params, custom.last.metrics), (built_in.last.params, built_in.last.metrics))
    np.testing.assert_array_equal(custom.predict(DATA.x), built_in.predict(DATA.x))


def test_the_defaults_of_a_subclass():
    """No metrics, no task, no checks, no probabilities, and nothing that depends on the training data."""
    loss = SquaredError()
    assert (loss.metrics, loss.task(3), loss.is_resolved) == ((), None, True)
    assert loss.check_outputs(3) is loss.check_targets(np.zeros(3), 2) is None
    assert loss.resolve(np.zeros(3), 1) is loss
    assert loss.predict(np.zeros((4, 1))).shape == (4,)
    assert loss.predict(np.zeros((4, 2))).shape == (4, 2)
    with pytest.raises(TypeError, match="SquaredError has no probabilities"):
        loss.probabilities(np.zeros((4, 1)))


def test_a_subclass_keeps_the_laws_of_losses():
    check_loss(SquaredError(), 2, np.ones((2, 2)), largest=100.0, max_examples=10)


def test_an_object_with_all_members_is_a_loss():
    """Without being a subclass."""
    assert isinstance(Delegating(), Loss)
    custom, built_in = Delegating(), MeanSquaredError()
    assert get_loss(custom) is custom
    for engine in ("numpy", "jax"):
        state = fl.init_state(trainer_of(built_in))
        expected = fl.evaluate(trainer_of(built_in), state, ONE_OUTPUT, engine=engine)
        assert fl.evaluate(trainer_of(custom), state, ONE_OUTPUT, engine=engine) == expected
    assert fl.same_bits(last_state(custom).params, last_state(built_in).params)


def test_an_object_that_lacks_members_is_refused_with_their_names():
    """If only members with defaults are missing, the error says where to inherit them from."""

    class Incomplete:
        def forward(self, outputs, targets): ...

    with pytest.raises(TypeError, match=r"it has no metrics, .*; inherit from Loss"):
        trainer_of(Incomplete())


def test_a_subclass_without_forward_cannot_be_made():
    @fl.frozen
    class Nothing(Loss):
        pass

    with pytest.raises(TypeError, match=r"abstract method '?forward"):
        Nothing()


def loss_of(forward):
    """Return a loss with this `forward(outputs, targets)`."""
    members = {"forward": lambda self, outputs, targets: forward(outputs, targets)}
    return fl.frozen(type("Custom", (Loss,), members))()


def squares(outputs, targets):
    return (outputs[:, 0] - targets) ** 2


def slope(outputs, targets):
    return 2 * (outputs - targets[:, None]) / len(targets)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (squares, TypeError, r"forward of loss Custom\(\) must return \(losses, backward\), got <ndarray"),
        (lambda z, y: (squares(z, y), lambda: slope(z, y), ()), TypeError, r"\(losses, backward\), got 3 values"),
        (lambda z, y: (squares(z, y).mean(), lambda: slope(z, y)), ValueError, r"array of shape \(3,\), got shape \(\) for"),
        (lambda z, y: ((z - y) ** 2, lambda: slope(z, y)), ValueError, r"array of shape \(3,\), got shape \(3, 3\) for"),
        (lambda z, y: squares(z, y[:2]), ValueError, r"loss Custom\(\) is called as forward\(outputs, targets\), here"),
    ],
)
def test_what_forward_must_return(forward, error, message, engine):
    """A run does not start, and the error has the loss."""
    with pytest.raises(error, match=message):
        fl.epochs(trainer_of(loss_of(forward)), ONE_OUTPUT, engine=engine)


@pytest.mark.parametrize(
    ("backward", "error", "message"),
    [
        (slope(np.zeros((3, 1)), np.ones(3)), TypeError, r"must return a function as its second value, got <ndarray"),
        (lambda: np.zeros(3), ValueError, r"backward of loss Custom\(\) must return a gradient of shape \(3, 1\), got \(3,\)"),
    ],
)
def test_what_backward_must_return(backward, error, message):
    """The NumPy engine needs it; JAX differentiates `forward`."""
    trainer = trainer_of(loss_of(lambda z, y: (squares(z, y), backward)))
    with pytest.raises(error, match=message):
        fl.epochs(trainer, ONE_OUTPUT)
    assert np.isfinite(fl.fit(trainer, ONE_OUTPUT, epochs=1, engine="jax", progress=False).last.metrics["loss"])


def test_a_classification_reads_labels():
    """A subclass of `Classification` has the metrics, checks and predictions of a classifier."""

    @fl.frozen
    class Doubled(Classification):
        def forward(self, outputs, targets):
            losses, backward = BinaryCrossEntropy().forward(outputs, targets)
            return 2 * losses, lambda: 2 * backward()

    data = dataset("binary", 20)
    labels = fl.Dataset(data.x, np.array(["no", "yes"])[data.y])
    result = fl.fit(trainer_of(Doubled()), labels, labels, epochs=2, progress=False)
    assert "val_accuracy" in result.last.metrics
    assert set(result.predict(data.x)) <= {"no", "yes"}
    with pytest.raises(ValueError, match=r"train: targets must lie in \[0, 1\]"):
        fl.epochs(trainer_of(Doubled()), fl.Dataset(data.x, data.y * 2.5))


def test_a_loss_may_depend_on_the_training_data():
    """`fit` resolves it; what does not have the training data asks for a resolved trainer."""
    trainer = trainer_of(Standardized())
    result = fl.fit(trainer, ONE_OUTPUT, epochs=1, progress=False)
    assert result.trainer.loss == Standardized(float(ONE_OUTPUT.y.var()))
    assert fl.same_bits(result.trainer, trainer.resolve(ONE_OUTPUT))
    with pytest.raises(ValueError, match=r"depends on the training data, .*: use trainer\.resolve\(train\)"):
        fl.evaluate(trainer, result.last, ONE_OUTPUT)
