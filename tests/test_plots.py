"""The pictures show what the runs recorded, and say where something was not."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.lr_range_test import LRRange
from fnloop.plots import best_performer, comparison, verdict

LOSS = {"loss": [1.0, 0.5, 0.25]}
WHOLE = LOSS | {
    "accuracy": [0.5, 0.6, 0.7],
    "val_loss": [1.1, 0.7, 0.2],
    "val_accuracy": [0.4, 0.5, 0.8],
    "lr": [0.1, 0.05, 0.025],
    "seconds": [0.2, 0.1, 0.3],
}


def axes_of(figure):
    figure.draw_without_rendering()
    return figure.get_axes()


def said(axes):
    return " ".join(text.get_text() for text in axes.texts)


def drawn(axes):
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (np.nextafter(0.1, 1), "High overfitting"),
        (0.1, "Moderate overfitting"),
        (np.nextafter(0.05, 1), "Moderate overfitting"),
        (0.05, "Well balanced"),
        (np.nextafter(-0.05, 1), "Well balanced"),
        (-0.05, "Possible underfitting"),
        (float("nan"), "Not finite"),
    ],
)
def test_verdicts_at_their_edges(gap, expected):
    """A bound itself belongs to what is below it."""
    assert verdict(gap) == expected


@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 4), min_size=1, max_size=6))
def test_the_four_panels_draw_the_history(rows):
    """Every value of the history stands in the picture as it is; the verdict is on the last gap."""
    loss, val_loss, accuracy, val_accuracy = (list(column) for column in zip(*rows, strict=True))
    history = {"loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy}
    panels = axes_of(fl.plots.training(history | {"seconds": [1.0] * len(rows)}))
    assert drawn(panels[0]) == {"train": loss, "validation": val_loss}
    assert drawn(panels[1]) == {"train": accuracy, "validation": val_accuracy}
    assert len(panels[2].patches) == len(rows)
    gaps = [b - a for a, b in zip(loss, val_loss, strict=True)]
    assert list(panels[3].get_lines()[0].get_ydata()) == gaps
    assert verdict(gaps[-1]) in panels[3].get_title()


def test_losses_stand_on_a_log_scale():
    """Where they can: a loss of zero or below is left out of the axis, not of the run."""
    assert axes_of(fl.plots.training(WHOLE))[0].get_yscale() == "log"
    assert axes_of(fl.plots.training({"loss": [0.0, 0.0]}))[0].get_yscale() == "linear"


def test_a_panel_without_data_says_so():
    """No validation, no timing, no metric: the panel names what is missing."""
    loss, metric, seconds, gap = axes_of(fl.plots.training(LOSS))
    assert "no validation data" in said(loss)
    assert "no metric" in said(metric)
    assert "no timing data" in said(seconds)
    assert "no validation data" in said(gap)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, "history must hold 'loss'.*none"),
        ({"accuracy": [1.0]}, "history must hold 'loss'.*accuracy"),
        ({"loss": []}, "history must hold 'loss'"),
        ({"loss": [1.0], "val_loss": [1.0, 2.0]}, r"lists of one length.*'val_loss': 2"),
    ],
)
def test_histories_that_cannot_be_drawn(history, message):
    """The error says what there is."""
    with pytest.raises(ValueError, match=message):
        fl.plots.training(history)


@pytest.fixture(scope="module")
def fits():
    data = fl.datasets.lab()
    schedules = {"constant": fl.schedulers.ConstantLR(0.01), "step": fl.schedulers.StepLR(0.01, 2, gamma=0.5)}
    run = lambda schedule: fl.fit(  # noqa: E731
        fl.Trainer(model=fl.mlp([10, 4, 1]), loss=fl.losses.BinaryCrossEntropy(), scheduler=schedule),
        data.train,
        data.validation,
        epochs=5,
        progress=False,
    )
    return {name: run(schedule) for name, schedule in schedules.items()}


def test_the_comparison_draws_the_rates_that_the_runs_used(fits):
    """The learning rates are those of the histories; the bars stand for the test and for the last epoch."""
    tests = {"constant": {"accuracy": 0.9, "loss": 0.3}, "step": {"accuracy": 0.9, "loss": 0.2}}
    panels = axes_of(fl.plots.schedulers(fits, tests))
    assert len(panels) == 6
    assert drawn(panels[5]) == {name: fit.history["lr"] for name, fit in fits.items()}
    assert drawn(panels[5])["step"] == [0.01, 0.01, 0.005, 0.005, 0.0025]
    assert [bar.get_height() for bar in panels[3].patches] == [0.9, 0.9]
    assert [bar.get_height() for bar in panels[4].patches] == [0.01, 0.0025]
    assert "0.0025" in said(panels[4])
    rows = comparison(fits, tests)
    assert [row["final lr"] for row in rows] == [0.01, 0.0025]
    assert best_performer(rows) == "step"  # equal in accuracy, better in loss


def test_the_comparison_without_test_data_says_so(fits):
    assert "no test data" in said(axes_of(fl.plots.schedulers(fits))[3])


def test_fits_that_cannot_be_compared(fits):
    """Names that do not fit together, and nothing at all."""
    with pytest.raises(ValueError, match="at least one Fit"):
        fl.plots.schedulers({})
    with pytest.raises(ValueError, match="names of fits, constant, step, got constant"):
        fl.plots.schedulers(fits, {"constant": {"accuracy": 1.0, "loss": 0.0}})


def swept(loss, smoothed):
    rates = 10.0 ** np.arange(-len(loss), 0)
    return LRRange(rates, np.array(loss, np.float64), np.array(smoothed, np.float64), "finished")


def test_a_range_test_draws_each_step_and_the_suggestion():
    """Over a log axis; a loss that has exploded stands at the upper edge instead of pressing all else to a line."""
    result = swept([3.0, 2.5, 1.0, 1.5, 1e9], [3.0, 2.5, 1.5, 1.25, 2.0])
    (axes,) = axes_of(fl.plots.lr_range_test(result))
    assert axes.get_xscale() == "log"
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines["smoothed"].get_ydata()) == result.smoothed.tolist()
    assert list(lines["loss of a step"].get_ydata()) == [3.0, 2.5, 1.0, 1.5]
    top = axes.get_ylim()[1]
    assert list(lines[f"above {top:.2g}"].get_xdata()) == [result.lr[4]]
    assert 3.0 < top < 10
    (at,) = [line for name, line in lines.items() if name.startswith("suggestion")]
    assert (list(at.get_xdata()), list(at.get_ydata())) == ([result.suggestion], [2.5])
    assert f"{result.suggestion:.2g}" in axes.get_title()


def test_a_range_test_without_descent_says_so():
    """A picture, but no suggestion in it; without any step there is nothing to draw."""
    (axes,) = axes_of(fl.plots.lr_range_test(swept([1.0, 2.0], [1.0, 2.0])))
    assert "did not fall" in axes.get_title()
    assert not any("suggest" in line.get_label() for line in axes.get_lines())
    axes_of(fl.plots.lr_range_test(swept([1.0], [1.0])))
    with pytest.raises(ValueError, match=r"result must have at least one step, got none.*finished"):
        fl.plots.lr_range_test(swept([], []))


def test_drawing_touches_no_global_state():
    """No window system is asked for, and pyplot, whose figures stay until closed, is not even imported."""
    code = "import sys, fnloop as fl; fl.plots.training({'loss': [1.0]}); sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
