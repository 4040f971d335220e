"""The report of a training has every score next to the trivial one, on the screen and in `metrics.json`."""

import csv
import json

import numpy as np
import pytest

import fnloop as fl
from tests.cli.support import run_here


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_the_report_has_every_score_next_to_the_trivial_one(tmp_path):
    """On the screen and in metrics.json; a model that learned nothing is told."""
    draw = np.random.default_rng(0)
    rows = [[f"{draw.standard_normal():.3f}", "no" if i % 10 else "yes"] for i in range(200)]
    done = run_here("train", write(tmp_path / "t.csv", [["x", "y"], *rows]), "--epochs", 2, "--out", tmp_path / "o")
    assert done.status == 0, done.err
    assert "(always no)" in done.out
    assert "The model is no better than the trivial predictor." in done.out
    report = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert report["trivial"]["accuracy"] == pytest.approx(0.9)
    assert report["trivial"]["balanced_accuracy"] == report["trivial"]["roc_auc"] == 0.5
    assert set(report["scores"]) == {"accuracy", "balanced_accuracy", "roc_auc", "log_loss"}
    assert report["scores"]["accuracy"] == pytest.approx(report["test"]["accuracy"])
    assert np.sum(report["confusion_matrix"]) == 40
    assert report["classes"] == ["no", "yes"]
    assert list(report["importances"]) == ["x"]
    assert report["columns"] == {"x": "number"}


def test_quantities_are_scored_in_their_units(tmp_path):
    """RMSE and MAE are those of the predictions of `fnloop predict` on the test rows."""
    rows = [[i % 17, 1000 + 50 * (i % 17) + i % 3, "test" if i % 4 == 0 else "train"] for i in range(200)]
    path = write(tmp_path / "t.csv", [["x", "y", "part"], *rows])
    done = run_here("train", path, "--target", "y", "--split", "part", "--epochs", 20, "--out", tmp_path / "o", "--quiet")
    assert done.status == 0, done.err
    predicted = np.array(run_here("predict", tmp_path / "o" / "best.npz", path).out.split()[1:], float)[::4]
    y = np.array([row[1] for row in rows])[::4]
    report = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert report["scores"]["mae"] == pytest.approx(np.abs(predicted - y).mean())
    assert report["scores"]["rmse"] == pytest.approx(np.sqrt(((predicted - y) ** 2).mean()))
    assert report["trivial"]["rmse"] == pytest.approx(y.std(), rel=0.1)


def test_refit_trains_on_the_validation_rows_too(tmp_path):
    """For the number of epochs that validation chose, at the same rates; there is no val_loss then."""
    for options in ([], ["--refit"]):
        done = run_here("train", "iris", "--epochs", 12, "--out", tmp_path / f"o{len(options)}", *options)
        assert done.status == 0, done.err
    first, last = (fl.load(tmp_path / name / "best.npz") for name in ("o0", "o1"))
    assert last.epoch == first.epoch
    assert last.step > first.step
    assert "val_loss" not in last.metrics
    assert f"Trained again on the training and validation rows, {first.epoch} epoch" in done.out
