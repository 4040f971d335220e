"""The figure of a sweep draws the value of each run against each hyperparameter that varies."""

import math

import numpy as np
import pytest

import fnloop as fl

DATA = fl.datasets.iris()
TRAINER = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy", optimizer="adamw", batch_size=32)


def points(axes):
    """The x and y of the runs, which are drawn first."""
    return axes.get_lines()[0].get_xydata()


def test_a_point_for_each_member():
    """At its hyperparameter and its best value; the ring and the title are of the best one."""
    trainers = fl.grid(TRAINER, seed=range(2), lr=[1e-3, 1e-2, 1e-1])
    result = fl.sweep(trainers, DATA.train, DATA.validation, epochs=2, progress=False)
    figure = result.plot()
    by_name = {axes.get_xlabel(): axes for axes in figure.get_axes()}
    values = [fit.best.metrics["val_loss"] for fit in result]
    rates = points(by_name["learning rate"])
    np.testing.assert_allclose(rates, np.column_stack([[1e-3, 1e-2, 1e-1] * 2, values]))
    assert by_name["learning rate"].get_xscale() == "log"
    assert by_name["seed"].get_xscale() == "linear"
    ring = next(line for line in by_name["seed"].get_lines() if line.get_fillstyle() == "none")
    assert ring.get_ydata() == [min(values)]
    assert f"val_loss {min(values):.4g}" in figure.get_suptitle()


def test_the_highest_is_best_for_a_metric_to_maximize():
    """The mode is that of the metric."""
    figure = fl.plots.sweep({"lr": [0.1, 0.2]}, [0.5, 0.75], metric="val_accuracy")
    assert figure.get_suptitle() == "Best of 2 runs: val_accuracy 0.75 with lr=0.2"
    assert "val_made_up 0.5" in fl.plots.sweep({"lr": [0.1, 0.2]}, [0.5, 0.75], metric="val_made_up").get_suptitle()


def test_runs_without_a_value_are_crosses():
    """They are counted in the title."""
    figure = fl.plots.sweep({"lr": [0.1, 0.2, 0.3]}, [0.5, math.nan, math.nan])
    crosses = next(line for line in figure.get_axes()[0].get_lines() if line.get_marker() == "x")
    assert list(crosses.get_xdata()) == [0.2, 0.3]
    assert "(2 runs without a best state)" in figure.get_suptitle()
    assert fl.plots.sweep({"lr": [0.1]}, [math.nan]).get_suptitle() == "No run of 1 has a best state"


def test_axes_of_names_and_of_rates_with_zero():
    """Names have positions, of many calls those of what is called; a rate of 0 has a place."""
    values = np.linspace(1, 2, 20)
    calls = [f"AdamW(b1={i})" if i else "SGD()" for i in range(20)]
    figure = fl.plots.sweep({"optimizer": calls, "weight_decay": [0, 0.001, 0.1, 0.01] * 5}, values)
    names, decay = figure.get_axes()[:2]
    assert [label.get_text() for label in names.get_xticklabels()] == ["SGD", "AdamW"]
    assert decay.get_xscale() == "symlog"
    figure.savefig("/dev/null", format="png")


def test_nothing_varies():
    """A message is in the place of the panels."""
    figure = fl.plots.sweep({}, [0.5])
    assert [text.get_text() for text in figure.get_axes()[0].texts] == ["no hyperparameter varies"]


@pytest.mark.parametrize(
    ("hyperparameters", "values", "message"),
    [
        ({}, [], "values must have at least one value"),
        ({"lr": [0.1]}, [1.0, 2.0], "hyperparameters must have one value for each run: 'lr' has 1, not 2"),
    ],
)
def test_bad_input(hyperparameters, values, message):
    """An error names the argument."""
    with pytest.raises(ValueError, match=message):
        fl.plots.sweep(hyperparameters, values)


def test_hyperparameters_that_vary_together_share_a_panel():
    """The width of a layer is the inputs of the next: one panel, with both names, and one value in the title."""
    widths = [TRAINER.replace(model=fl.mlp([4, width, 3])) for width in (4, 8)]
    figure = fl.sweep(widths, DATA.train, DATA.validation, epochs=1, progress=False).plot()
    (axes,) = figure.get_axes()
    assert "outputs" in axes.get_xlabel() and "inputs" in axes.get_xlabel()  # noqa: PT018
    assert figure.get_suptitle().count("=") == 1


def test_a_dollar_in_a_name_starts_no_formula():
    figure = fl.plots.sweep({"$\\frac$": ["$\\frac$", "b"]}, [0.5, 0.75])
    figure.savefig("/dev/null", format="png")
