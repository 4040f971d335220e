"""Custom metrics: a subclass of `Metric` inherits every default, and any object with all members is a metric."""

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.protocols import members_of
from fnloop.metrics import MAE, Mean, Metric, WholeMetric, get_metric
from tests.strategies import dataset

DATA = dataset("mse", 20)
ONE_OUTPUT, OTHER = fl.Dataset(DATA.x, DATA.y[:, 0]), fl.Dataset(DATA.x[:9], DATA.y[:9, 0])


@fl.frozen
class Bias(Metric):
    """A subclass that defines name, sums, width and value alone."""

    name = "bias"

    def sums(self, outputs, targets):
        return [(outputs[:, 0] - targets).sum()]

    def width(self, outputs):
        return 1

    def value(self, sums, examples):
        return float(sums[0] / examples)


@fl.frozen
class HighestOutput(Bias):
    """Statistics that are not added: the highest output."""

    name = "highest_output"
    mode = "max"

    def sums(self, outputs, targets):
        return [outputs.max()]

    def merge(self, a, b):
        return [np.maximum(a[0], b[0])]

    def value(self, sums, examples):
        return float(sums[0])


@fl.frozen
class WorstError(WholeMetric):
    """A subclass that defines name and measure alone."""

    name = "worst_error_of_all"

    def measure(self, outputs, targets, loss, task):
        return float(abs(outputs[:, 0] - targets).max())


class Delegating:
    """No subclass: every member is that of another metric."""

    def __init__(self, metric, protocol):
        for member in members_of(protocol):
            setattr(self, member, getattr(metric, member))


def trainer_of(*metrics, **changes):
    return fl.Trainer(model=fl.mlp([3, 4, 1], "tanh"), loss="mse", metrics=metrics, batch_size=8, **changes)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_subclass_needs_four_members(engine):
    """It is measured in each epoch, on validation data and by `evaluate`; on one batch as on many."""
    trainer = trainer_of(Bias(), "mae", scheduler=1e-30)
    result = fl.fit(trainer, ONE_OUTPUT, OTHER, epochs=1, engine=engine, progress=False)
    bias = (result.predict(ONE_OUTPUT.x) - ONE_OUTPUT.y).mean()
    assert result.last.metrics["bias"] == pytest.approx(bias, rel=1e-4)
    assert result.last.metrics["val_bias"] == pytest.approx((result.predict(OTHER.x) - OTHER.y).mean(), rel=1e-4)
    assert fl.evaluate(trainer, result.last, ONE_OUTPUT, engine=engine)["bias"] == pytest.approx(bias, rel=1e-4)


def test_the_defaults_of_a_subclass():
    """Any task and nothing needed; without a mode it cannot be monitored before the caller states one."""
    assert (Bias().mode, Bias().task, Bias().needs) == (None, None, None)
    assert Bias().for_task("multilabel") == Bias()
    assert Bias().merge([1.0, 2.0], [3.0, 4.0]) == [4.0, 6.0]
    with pytest.raises(ValueError, match="mode must be 'min' or 'max' for the metric 'bias'"):
        fl.fit(trainer_of(Bias()), ONE_OUTPUT, epochs=1, monitor="bias", progress=False)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_statistics_that_are_merged(accumulate):
    """`merge` combines the batches of an epoch, next to metrics that are added; its mode selects the best state."""
    trainer = trainer_of("mae", HighestOutput(), "r2", scheduler=1e-30, accumulate=accumulate)
    result = fl.fit(trainer, ONE_OUTPUT, epochs=1, monitor="highest_output", progress=False)
    assert result.last.metrics["highest_output"] == pytest.approx(result.predict(ONE_OUTPUT.x).max(), rel=1e-6)
    plain = fl.fit(trainer_of("mae", "r2", scheduler=1e-30, accumulate=accumulate), ONE_OUTPUT, epochs=1, progress=False)
    assert {name: result.last.metrics[name] for name in plain.last.metrics} == plain.last.metrics


def test_a_metric_of_all_examples_needs_two_members():
    """It is measured on validation data and by `evaluate`, never on training data."""
    result = fl.fit(trainer_of(WorstError()), ONE_OUTPUT, OTHER, epochs=1, progress=False)
    assert "worst_error_of_all" not in result.last.metrics
    worst = abs(result.predict(OTHER.x) - OTHER.y).max()
    assert result.last.metrics["val_worst_error_of_all"] == pytest.approx(worst, rel=1e-4)


def test_an_object_with_all_members_is_a_metric():
    """Without being a subclass."""
    summed, whole = Delegating(MAE(), Metric), Delegating(WorstError(), WholeMetric)
    assert get_metric(summed) is summed
    assert get_metric(whole) is whole
    result = fl.fit(trainer_of(summed, whole), ONE_OUTPUT, OTHER, epochs=1, progress=False)
    built_in = fl.fit(trainer_of("mae", WorstError()), ONE_OUTPUT, OTHER, epochs=1, progress=False)
    assert result.last.metrics == built_in.last.metrics


def test_an_object_that_lacks_members_is_refused_with_their_names():
    """If only members with defaults are missing, the error says where to inherit them from."""

    class Incomplete:
        name = "incomplete"

        def sums(self, outputs, targets): ...

    class IncompleteWhole:
        name = "incomplete"

        def measure(self, outputs, targets, loss, task): ...

    with pytest.raises(TypeError, match=r"it has no width, value$"):
        trainer_of(Incomplete())
    with pytest.raises(TypeError, match=r"it has no mode, .*; inherit from WholeMetric"):
        trainer_of(IncompleteWhole())


@pytest.mark.parametrize("value", [3, "mae", MAE])
def test_the_mean_of_a_value_that_is_not_a_function_raises(value):
    with pytest.raises(TypeError, match=r"function must be a function of \(outputs, targets\), got "):
        Mean(value)


def test_a_subclass_that_lacks_a_member_cannot_be_made():
    @fl.frozen
    class Nothing(Metric):
        name = "nothing"

    with pytest.raises(TypeError, match=r"abstract methods '?sums"):
        Nothing()


def metric_of(base=Bias, **members):
    """Return a metric that differs from `base` by these members."""
    return fl.frozen(type("Custom", (base,), members))()


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"sums": lambda self, z, y: [z.sum(), y.sum()]}, TypeError, "sums must return a list of 1 numbers.*got 2 values"),
        ({"width": lambda self, outputs: 2}, TypeError, "sums must return a list of 2 numbers.*got 1 values"),
        ({"sums": lambda self, z, y: z.sum()}, TypeError, "sums must return a list of 1 numbers.*got np.float"),
        ({"sums": lambda self, z, y: [z[:, 0]]}, ValueError, r"sums must return numbers, got an array of shape \(3,\)"),
        ({"sums": lambda self, z: [z.sum()]}, ValueError, r"called as sums\(outputs, targets\), here .* raised TypeError"),
    ],
)
def test_what_sums_must_return(members, error, message, engine):
    """A run does not start, and the error has the metric."""
    with pytest.raises(error, match=f"metric 'bias'.*{message}"):
        fl.epochs(trainer_of(metric_of(**members)), ONE_OUTPUT, engine=engine)


def test_a_metric_is_a_number():
    """The error has the metric and the value."""
    with pytest.raises(TypeError, match="metric 'bias': value must return a number, got 'high'"):
        fl.fit(trainer_of(metric_of(value=lambda self, sums, examples: "high")), ONE_OUTPUT, epochs=1, progress=False)
    whole = metric_of(WorstError, measure=lambda self, outputs, targets, loss, task: None)
    with pytest.raises(ValueError, match=r"'worst_error_of_all' cannot .*: measure must return a number, got None"):
        fl.epochs(trainer_of(whole), ONE_OUTPUT, OTHER)


@pytest.mark.parametrize("name", ["loss", "val_loss", "lr"])
def test_names_that_metrics_cannot_have(name):
    """A state has other metrics of these names."""
    with pytest.raises(ValueError, match=f"metrics must have different names, none of them .*, got \\['{name}'\\]"):
        trainer_of(metric_of(name=name))


def test_the_name_of_a_metric_is_text():
    """The error has the metric and the value."""
    with pytest.raises(TypeError, match=r"metrics: the name of Custom\(\) must be a non-empty string, got 3"):
        trainer_of(metric_of(name=3))
