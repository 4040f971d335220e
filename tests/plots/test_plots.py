"""Figures show what the runs recorded; a panel without data has a message."""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

import fnloop as fl
from fnloop.plots import best_performer, comparison_rows, highest, verdict
from fnloop.plots.drawing import short_names
from fnloop.plots.figure import PlainFormatter, PlainLogLocator
from fnloop.training.loss_scale import loss_scale
from fnloop.training.lr_range_test import LRRange
from tests.strategies import LOSSES, dataset

LOSS = {"loss": [1.0, 0.5, 0.25]}
WHOLE = LOSS | {
    "accuracy": [0.5, 0.6, 0.7],
    "val_loss": [1.1, 0.7, 0.2],
    "val_accuracy": [0.4, 0.5, 0.8],
    "lr": [0.1, 0.05, 0.025],
    "seconds": [0.2, 0.1, 0.3],
}


def axes_of(figure):
    return figure.get_axes()


def text_of(axes):
    return " ".join(text.get_text() for text in axes.texts)


def y_of_lines(axes):
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
    """A bound belongs to the verdict below it."""
    assert verdict(gap) == expected


@given(st.floats(-1, 1), st.floats(1e-3, 1e6))
def test_a_verdict_does_not_depend_on_units(gap, scale):
    """A change of units changes gap and scale by the same factor, so that the verdict stays."""
    if all(abs(gap - bound) > 1e-9 for bound in (0.1, 0.05, -0.05)):
        assert verdict(gap * scale, scale) == verdict(gap)


NUMBERS = st.floats(-3, 3) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e-30, 1e30])


def values_of(axes):
    """The values of the training and the validation line."""
    return {name: values for name, values in y_of_lines(axes).items() if name in {"train", "validation"}}


def are_equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


@settings(max_examples=6)
@given(st.lists(st.tuples(*[NUMBERS] * 4), min_size=1, max_size=6))
def test_the_panels_draw_the_history(rows):
    """Every value is drawn, finite or not; the verdict is on the last gap and has its epoch."""
    loss, val_loss, accuracy, val_accuracy = (list(column) for column in zip(*rows, strict=True))
    history = {"loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy}
    figure = fl.plots.training(history | {"seconds": [1.0] * len(rows), "lr": [0.1] * len(rows)})
    panels = axes_of(figure)
    assert len(panels) == 5
    assert are_equal(values_of(panels[0]), {"train": loss, "validation": val_loss})
    assert are_equal(values_of(panels[1]), {"train": accuracy, "validation": val_accuracy})
    assert list(panels[2].patches[0].get_data().values) == [1.0] * len(rows)
    gaps = [b - a for a, b in zip(loss, val_loss, strict=True)]
    assert np.array_equal(panels[3].get_lines()[0].get_ydata(), gaps, equal_nan=True)
    assert panels[3].get_title().startswith(f"Gap in epoch {len(rows)}: {verdict(gaps[-1])}")
    assert list(panels[4].get_lines()[0].get_ydata()) == [0.1] * len(rows)
    bad = {i + 1 for i, values in enumerate(zip(loss, val_loss, strict=True)) if not np.isfinite(values).all()}
    assert set(x_of_lines(panels[0]).get("not finite", [])) == bad
    figure.draw_without_rendering()  # no error or warning for any value


def x_of_lines(axes):
    return {line.get_label(): list(line.get_xdata()) for line in axes.get_lines()}


def test_every_metric_has_a_panel():
    """Any number of metrics, also one of validation alone, before seconds, gap and learning rate."""
    for count in (0, 1, 2, 6):
        names = [f"m{i}" for i in range(count)]
        history = WHOLE | {name: [1.0, 2.0, 3.0] for name in names} | {"val_only": [1.0, 1.0, 1.0]}
        titles = [axes.get_title() for axes in axes_of(fl.plots.training(history))]
        assert titles[: count + 3] == ["Loss", "Accuracy", *(f"M{i}" for i in range(count)), "Only"]
        assert len(titles) == count + 6


def test_abbreviations_are_in_capitals():
    """As in the text around a figure: R², MAE, RMSE."""
    titles = [
        axes.get_title() for axes in axes_of(fl.plots.training(LOSS | {name: [1.0] * 3 for name in ("r2", "mae", "rmse")}))
    ]
    assert titles[1:4] == ["R²", "MAE", "RMSE"]


def test_losses_are_on_a_log_scale():
    """Unless no loss is positive."""
    assert axes_of(fl.plots.training(WHOLE))[0].get_yscale() == "log"
    assert axes_of(fl.plots.training({"loss": [0.0, 0.0]}))[0].get_yscale() == "linear"


def test_a_panel_without_data_has_a_message():
    """No validation, no timing, no learning rates."""
    loss, seconds, gap, rate = axes_of(fl.plots.training(LOSS))
    assert "no validation data" in text_of(loss)
    assert "no timing data" in text_of(seconds)
    assert "no validation data" in text_of(gap)
    assert "no learning rates" in text_of(rate)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, "run must have 'loss'.*none"),
        ({"accuracy": [1.0]}, "run must have 'loss'.*accuracy"),
        ({"loss": []}, "run must have 'loss'"),
        ({"loss": [1.0], "val_loss": [1.0, 2.0]}, r"lists of equal length.*'val_loss': 2"),
    ],
)
def test_invalid_histories(history, message):
    """The error lists what the history has."""
    with pytest.raises(ValueError, match=message):
        fl.plots.training(history)


def test_the_argument_must_be_a_run():
    """Or a fit, or a history."""
    with pytest.raises(TypeError, match="a Fit, a Run or a history, got 3"):
        fl.plots.training(3)


def marks(axes):
    """The epochs of the vertical lines, by label."""
    return {name: at[0] for name, at in x_of_lines(axes).items() if name.startswith(("best epoch", "stopped"))}


LAB = fl.datasets.lab()


def test_best_and_stopping_epoch_are_marked(tmp_path):
    """In the panel of every metric; also for a run file, and for training resumed from a state."""
    trainer = fl.Trainer(
        model=fl.mlp([10, 8, 1]),
        loss=fl.losses.BinaryCrossEntropy(),
        scheduler=fl.schedulers.ConstantLR(0.05),
        early_stopping=fl.EarlyStopping("val_loss", patience=3),
    )
    data = LAB.train, LAB.validation
    fit = fl.fit(trainer, *data, progress=False, record=tmp_path / "a.run")
    best, last = fit.best.epoch, fit.last.epoch
    for run in (fit, fl.open_run(tmp_path / "a.run")):
        loss, accuracy, *_, gap, _ = axes_of(fl.plots.training(run))
        for axes in (loss, accuracy):
            assert sorted(marks(axes).values()) == [best, last]
        assert f"best epoch: {best}, val_loss {fit.best.metrics['val_loss']:.4g}" in marks(loss)
        assert f"stopped in epoch {last}: no improvement" in marks(loss)
        assert f"epoch {last}" in gap.get_title()
        assert (y_of_lines(loss)["_best"], x_of_lines(loss)["_best"]) == ([fit.best.metrics["val_loss"]], [best])
    start = fl.fit(trainer, *data, epochs=2, progress=False).last
    resumed = fl.fit(trainer, *data, start=start, progress=False)
    (loss, *_) = axes_of(resumed.plot())
    assert x_of_lines(loss)["train"] == list(range(3, last + 1))
    assert sorted(marks(loss).values()) == [best, last]
    assert not any(name.startswith("stopped") for name in marks(axes_of(fl.plots.training(fit.history))[0]))


def fit_regression(units=1.0, seed=0):
    """A fit with the squared error, its targets in some units."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 3))
    y = (x @ [1.0, -2.0, 0.5] + rng.normal(size=60)) * units
    trainer = fl.Trainer(
        model=fl.mlp([3, 1]), loss=fl.losses.MeanSquaredError(), scheduler=fl.schedulers.ConstantLR(0.01), dtype="float64"
    )
    return fl.fit(trainer, fl.Dataset(x[:40], y[:40]), fl.Dataset(x[40:], y[40:]), epochs=2, progress=False), y[:40]


def test_a_regression_loss_is_compared_with_a_constant_prediction():
    """For the squared error that is the variance, for the absolute error the mean distance from the median."""
    fit, y = fit_regression()
    assert fit.loss_scale == pytest.approx(y.var())
    assert "of a constant prediction's loss" in axes_of(fit.plot())[3].get_title()
    wide, _ = fit_regression(units=54.0)
    gap = wide.history["val_loss"][-1] - wide.history["loss"][-1]
    assert verdict(gap, wide.loss_scale) in axes_of(wide.plot())[3].get_title()
    data = fl.Dataset(np.zeros((5, 2)), np.array([0.0, 0.0, 1.0, 5.0, 100.0]))
    for loss, expected in ((fl.losses.MeanAbsoluteError(), 21.0), (fl.losses.MeanSquaredError(), data.y.var())):
        assert loss_scale(fl.Trainer(model=fl.mlp([2, 1]), loss=loss), data) == pytest.approx(expected)
    weighted = fl.Dataset(data.x, data.y, np.array([1.0, 1, 1, 1, 0]))
    assert loss_scale(fl.Trainer(model=fl.mlp([2, 1]), loss=fl.losses.MeanAbsoluteError()), weighted) == pytest.approx(1.2)
    constant = fl.Dataset(data.x, np.full(5, 3.0))
    assert math.isnan(loss_scale(fl.Trainer(model=fl.mlp([2, 1]), loss=fl.losses.MeanSquaredError()), constant))


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_has_a_scale(kind):
    """1 for classification; for regression it grows with the targets."""
    loss, outputs = LOSSES[kind]
    data = dataset(kind, 30)
    trainer = fl.Trainer(model=fl.mlp([data.x.shape[1], outputs]), loss=loss)
    scale = loss_scale(trainer, data)
    if isinstance(loss, fl.losses.Regression):
        assert loss_scale(trainer, fl.Dataset(data.x, data.y * 10)) > 5 * scale > 0
    else:
        assert scale == 1.0


def test_the_verdict_on_a_history_alone():
    """Metrics of classes imply a classification; a regression has no verdict; a loss alone has a conditional one."""

    def gap(history):
        return axes_of(fl.plots.training(history))[-2].get_title()

    losses = {"loss": [3000.0], "val_loss": [2942.0]}
    assert gap(losses | {"accuracy": [0.9]}) == "Gap in epoch 1: Possible underfitting (-58.000)"
    for metric in ("r2", "mae", "own"):
        assert "no verdict" in gap(losses | {metric: [0.5]})
        assert "underfitting" not in gap(losses | {metric: [0.5]})
    assert "if the loss is a cross-entropy: Possible underfitting" in gap(losses)


TICKS = st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=8)


@given(TICKS | TICKS.map(lambda values: [1e6 + value * 1e-11 for value in values]))
def test_tick_labels_are_their_numbers(values):
    """Without an offset, and accurate enough to distinguish the ticks."""
    labels = PlainFormatter().format_ticks(values)
    near = min(np.diff(sorted(set(values))), default=0.0)
    for label, value in zip(labels, values, strict=True):
        assert abs(float(label) - value) <= max(0.02 * near, 1e-8 * abs(value))
    assert len(set(labels)) == len(set(values)) or near < 1e-8 * max(map(abs, values))


@given(st.floats(1e-12, 1e12), st.floats(1.02, 1e9))
def test_a_log_axis_has_readable_ticks(low, ratio):
    """At least two and at most twelve, for an axis of any length."""
    ticks = PlainLogLocator().tick_values(low, low * ratio)
    assert 2 <= len(ticks) <= 12
    assert all(low <= tick <= low * ratio for tick in ticks)


@pytest.fixture(scope="module")
def fits():
    data = fl.datasets.lab()
    schedules = {"constant": fl.schedulers.ConstantLR(0.01), "step": fl.schedulers.StepLR(0.01, 2, gamma=0.5)}

    def run(schedule):
        return fl.fit(
            fl.Trainer(model=fl.mlp([10, 4, 1]), loss=fl.losses.BinaryCrossEntropy(), scheduler=schedule),
            data.train,
            data.validation,
            epochs=5,
            progress=False,
        )

    return {name: run(schedule) for name, schedule in schedules.items()}


def test_the_comparison_draws_rates_and_bars(fits):
    """The learning rates are those of the histories; the bars start at zero."""
    tests = {"constant": {"loss": 0.3, "accuracy": 0.9}, "step": {"loss": 0.2, "accuracy": 0.9}}
    figure = fl.plots.comparison(fits, tests)
    panels = axes_of(figure)
    assert len(panels) == 6
    rates = {name: values for name, values in y_of_lines(panels[5]).items() if name in fits}
    assert rates == {name: fit.history["lr"] for name, fit in fits.items()}
    assert rates["step"] == [0.01, 0.01, 0.005, 0.005, 0.0025]
    assert [(bar.get_y(), bar.get_height()) for bar in panels[3].patches] == [(0, 0.9), (0, 0.9)]
    assert [(bar.get_y(), bar.get_height()) for bar in panels[4].patches] == [(0, 0.01), (0, 0.0025)]
    assert "0.0025" in text_of(panels[4])
    styles = {(line.get_linestyle(), line.get_color(), line.get_linewidth()) for line in panels[0].get_lines()}
    assert len({dash for dash, *_ in styles}) == len({width for *_, width in styles}) == 2


def test_the_best_is_chosen_by_validation(fits):
    """The test result is only reported, in the title and in the rows."""
    chosen = min(fits, key=lambda name: fits[name].best.metrics["val_loss"])
    (other,) = fits.keys() - {chosen}
    tests = {chosen: {"loss": 0.3, "accuracy": 0.5}, other: {"loss": 0.1, "accuracy": 1.0}}
    rows = comparison_rows(fits, tests)
    assert [row["scheduler"] for row in rows] == [chosen, other]
    assert rows[0]["validation"] == fits[chosen].best.metrics["val_loss"]
    assert rows[0]["final lr"] == fits[chosen].history["lr"][-1]
    assert (best_performer(rows), highest(rows, "accuracy")) == (chosen, other)
    assert best_performer(rows[::-1]) == chosen
    title = fl.plots.comparison(fits, tests).get_suptitle()
    assert title.startswith(f"Best by validation: {chosen} (val_loss")
    assert f"Highest test accuracy (not used to choose): {other} (1)" in title


def test_several_fits_have_a_mean_and_a_spread(fits):
    """Also if one has fewer epochs than the other."""
    a, b = fits["constant"], fits["step"]
    short = fl.fit(a.trainer, LAB.train, LAB.validation, epochs=3, progress=False)
    tests = {"both": [{"loss": 0.2, "r2": 0.5}, {"loss": 0.4, "r2": 0.9}], "one": {"loss": 0.1, "r2": 0.1}}
    (row, _) = sorted(comparison_rows({"both": [a, b], "one": short}, tests), key=lambda row: row["scheduler"])
    assert (row["runs"], row["test r2"]) == (2, pytest.approx(0.7))
    assert row["spread"]["test r2"] == pytest.approx(np.std([0.5, 0.9], ddof=1))
    panels = axes_of(fl.plots.comparison({"both": [a, short], "one": b}, {"both": tests["both"], "one": tests["one"]}))
    mean = y_of_lines(panels[0])["both"]
    assert mean[:3] == [(p + q) / 2 for p, q in zip(a.history["loss"], short.history["loss"], strict=False)]
    assert mean[3:] == a.history["loss"][3:]
    assert "±" in text_of(panels[3])
    assert [bar.get_height() for bar in panels[3].patches] == [pytest.approx(0.7), 0.1]


def test_the_comparison_without_test_data_draws_the_best_values(fits):
    """A point for each fit, and a line at the mean."""
    panel = axes_of(fl.plots.comparison({"both": [*fits.values()]}))[3]
    points, mean = (list(line.get_ydata()) for line in panel.get_lines())
    assert points == [fit.best.metrics["val_loss"] for fit in fits.values()]
    assert mean == pytest.approx([np.mean(points)] * 2)


def test_a_band_is_a_standard_deviation_within_the_values():
    """It never leaves the values, as it would below 0."""
    runs = [{**WHOLE, "loss": [value, 0.5, 0.25]} for value in (0.1, 0.1, 0.1, 2.0)]
    (band,) = axes_of(fl.plots.comparison({"all": runs}))[0].collections
    (low, high) = np.ptp(band.get_paths()[0].vertices[:, 1]), band.get_paths()[0].vertices[:, 1].max()
    values = [0.1, 0.1, 0.1, 2.0]
    assert high == pytest.approx(np.mean(values) + np.std(values))
    assert high - low == pytest.approx(0.1)


def test_invalid_comparisons(fits):
    """No fits, and names, numbers or metrics that do not match."""
    with pytest.raises(ValueError, match="at least one Fit"):
        fl.plots.comparison({})
    one = {"accuracy": 1.0, "loss": 0.0}
    with pytest.raises(ValueError, match="names of fits, constant, step, got constant"):
        fl.plots.comparison(fits, {"constant": one})
    with pytest.raises(ValueError, match="one for each of its 1 fits, got 2"):
        fl.plots.comparison(fits, {"constant": [one, one], "step": one})
    with pytest.raises(ValueError, match="'step' must have accuracy, loss; missing: accuracy"):
        comparison_rows(fits, {"constant": one, "step": {"loss": 0.0}})
    other = fl.fit(fits["step"].trainer, LAB.train, epochs=1, progress=False)
    with pytest.raises(ValueError, match="by the same metric, got val_loss, loss"):
        fl.plots.comparison({"a": fits["step"], "b": other})
    with pytest.raises(ValueError, match="must have 'lr'"):
        fl.plots.comparison({"a": {"loss": [1.0]}})


def range_test(loss, smoothed):
    rates = 10.0 ** np.arange(-len(loss), 0)
    return LRRange(rates, np.array(loss, np.float64), np.array(smoothed, np.float64), "finished")


def test_a_range_test_draws_each_step_and_the_suggestion():
    """On a log axis; an exploding loss is drawn at the upper edge, so that it does not flatten everything else."""
    result = range_test([3.0, 2.5, 1.0, 1.5, 1e9], [3.0, 2.5, 1.5, 1.25, 2.0])
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


def test_a_range_test_without_descent_has_no_suggestion():
    """Without a single step it raises."""
    (axes,) = axes_of(fl.plots.lr_range_test(range_test([1.0, 2.0], [1.0, 2.0])))
    assert "did not fall" in axes.get_title()
    assert not any("suggest" in line.get_label() for line in axes.get_lines())
    axes_of(fl.plots.lr_range_test(range_test([1.0], [1.0])))
    with pytest.raises(ValueError, match=r"result must have at least one step, got none.*finished"):
        fl.plots.lr_range_test(range_test([], []))


def test_drawing_touches_no_global_state():
    """pyplot, which keeps figures alive until they are closed, is not imported."""
    code = "import sys, fnloop as fl; fl.plots.training({'loss': [1.0]}); sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_metric_without_a_direction_is_not_reported(fits):
    """The first metric whose better direction is known is reported."""
    tests = {name: {"loss": 0.5, "own": 3.0, "accuracy": 0.9} for name in fits}
    assert "Highest test accuracy" in fl.plots.comparison(fits, tests).get_suptitle()
    only = {name: {"loss": 0.5, "own": 3.0} for name in fits}
    assert "Lowest test loss" in fl.plots.comparison(fits, only).get_suptitle()


NAMES = {"tex": ["$\\frac$", "cost $5 vs $6", "_hidden"], "short": [f"t{i}" for i in range(30)]}
NAMES["long"] = [f"trainer number {i} with a rather long name" for i in range(30)] + ["x" * 200]


def boxes(texts, renderer):
    return [text.get_window_extent(renderer) for text in texts]


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_are_drawn_as_they_are_and_apart(names):
    """A dollar starts no formula, and neither many nor long names overlap one another, the panels, or the edge."""
    history = {name: [{"loss": [1.0, 0.5 + 0.01 * i + k], "lr": [0.1, 0.1]} for k in (0, 0.1)] for i, name in enumerate(names)}
    tests = {name: [{"loss": runs[0]["loss"][-1] + k} for k in (0, 0.1)] for name, runs in history.items()}
    figure = fl.plots.comparison(history, tests)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, (legend,) = canvas.get_renderer(), figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(set(shown)) == len(names)
    assert all(len(text) <= 40 and (text == name or len(name) > 40) for text, name in zip(shown, names, strict=True))
    panels = [axes.get_tightbbox(renderer) for axes in figure.get_axes()]
    assert not any(legend.get_window_extent().overlaps(panel) for panel in panels)
    assert all(panel.x0 >= 0 and panel.x1 <= figure.bbox.x1 for panel in panels)
    if len(names) > 8:
        for texts in [texts for axes in figure.get_axes()[3:5] for texts in (axes.get_xticklabels(), axes.texts)]:
            assert not any(a.overlaps(b) for a, b in pairwise(boxes(texts, renderer)))


@given(st.lists(st.text("ab", max_size=30), min_size=1, max_size=12, unique=True), st.integers(10, 20))
def test_short_names_differ(names, most):
    shorter = short_names(names, most)
    assert len(set(shorter)) == len(names)
    assert all(len(text) <= most and (text == name or len(name) > most) for text, name in zip(shorter, names, strict=True))
