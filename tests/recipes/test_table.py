"""`recipes.tabular`: its rules, the task that it finds, and its errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import Activation, Dropout
from fnloop.recipes.table import choose_batch_size, choose_decay, network

rows = st.integers(1, 10**7)


def table(y, features=3, classes=()):
    y = np.asarray(y)
    return fl.Dataset(np.random.default_rng(0).normal(size=(len(y), features)), y, classes=classes)


@given(rows)
def test_the_batch_size_is_the_smallest_that_keeps_an_epoch_short(rows):
    """It is 16, 32, ..., 256; half of it would make the epoch longer than 200 steps, and so does it only at 256."""
    size = choose_batch_size(rows)
    assert size in {16, 32, 64, 128, 256}
    assert size == 256 or rows <= 200 * size
    assert size == 16 or rows > 200 * (size // 2)


@given(rows, st.integers(1, 4096))
def test_the_decay_of_an_epoch_is_the_same_for_any_number_of_steps(rows, size):
    """Unless a step would shrink the weights too much."""
    steps = -(-rows // size)
    assert choose_decay(rows, size) * steps == pytest.approx(20) or choose_decay(rows, size) == 4 <= 20 / steps


@given(st.integers(1, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_the_network_has_a_third_layer_and_less_dropout_from_3000_rows_on(rows, features, outputs):
    """Each hidden layer has 128 units, SiLU and dropout; the last layer has none."""
    *hidden, last = network(rows, features, outputs).layers
    rate = 0.2 if rows < 3000 else 0.1
    assert [layer.outputs for layer in hidden[::3]] == [128, 128, 128][: 2 if rows < 3000 else 3]
    assert hidden[1::3] == [Activation("silu")] * (len(hidden) // 3)
    assert hidden[2::3] == [Dropout(rate)] * (len(hidden) // 3)
    assert last.outputs == outputs


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 2**31))
def test_the_trainer_depends_on_the_size_and_the_kind_of_the_data_alone(classes, features, seed):
    """Other values of the features, and another order of the rows, change nothing."""
    draw = np.random.default_rng(seed)
    y = np.arange(40) % classes
    first = fl.recipes.tabular(table(y, features))
    assert fl.recipes.tabular(fl.Dataset(draw.normal(size=(40, features)) * 5, draw.permutation(y))) == first


@pytest.mark.parametrize(
    ("y", "loss", "outputs"),
    [
        (np.arange(30) / 7, MeanSquaredError, 1),
        (np.ones((30, 2)) / 7, MeanSquaredError, 2),
        (np.arange(30) % 2, BinaryCrossEntropy, 1),
        (np.arange(30) % 2 == 0, BinaryCrossEntropy, 1),
        (np.array(["no", "yes"] * 15), BinaryCrossEntropy, 1),
        (np.array(["a", "b", "c"] * 10), SoftmaxCrossEntropy, 3),
        (np.arange(30) % 5, SoftmaxCrossEntropy, 5),
        (np.arange(30) % 3 * 100 + 7, SoftmaxCrossEntropy, 3),
        (np.arange(90).reshape(30, 3) % 2, BinaryCrossEntropy, 3),
    ],
    ids=["quantity", "quantities", "codes of 2", "booleans", "2 texts", "3 texts", "codes of 5", "labels", "several labels"],
)
def test_the_loss_and_the_outputs_follow_from_the_targets(y, loss, outputs):
    """And the trainer trains on them."""
    data = table(y)
    trainer = fl.recipes.tabular(data)
    assert (type(trainer.loss), trainer.model.outputs) == (loss, outputs)
    assert np.isfinite(fl.fit(trainer, data, epochs=1, progress=False).last.metrics["loss"])


@pytest.mark.parametrize("labels", [(1, 2, 3), (0, 1, 3), (3, 5, 100)])
def test_integers_are_labels_whatever_they_start_with(labels):
    """As many classes as there are different ones; predictions are the labels."""
    data = table(np.array(labels).repeat(20))
    trainer = fl.recipes.tabular(data)
    state = fl.fit(trainer, data, epochs=2, progress=False).last
    assert trainer.model.outputs == 3
    assert {*fl.predict(trainer, state, data.x).tolist()} <= {*labels}


def test_a_stated_task_overrules_the_guess():
    """Whole numbers can be quantities, and a class may have no rows."""
    data = table(np.arange(30) % 3)
    assert fl.recipes.tabular(data, task="regression").loss == MeanSquaredError()
    assert fl.recipes.tabular(data, classes=4).model.outputs == 4
    assert fl.recipes.tabular(table(np.array(["a", "b"] * 9), classes=("a", "b", "c"))).model.outputs == 3


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        (
            "hidden",
            (7,),
            lambda trainer: tuple(layer.outputs for layer in trainer.model.layers if hasattr(layer, "bias"))[:-1],
        ),
        ("lr", 0.5, lambda trainer: trainer.scheduler(0)),
        ("epochs", 7, lambda trainer: trainer.scheduler.T_max),
        ("batch_size", 5, lambda trainer: trainer.batch_size),
        ("seed", 9, lambda trainer: trainer.seed),
    ],
)
def test_every_choice_can_be_overruled(option, value, read):
    """By the argument of its name."""
    assert read(fl.recipes.tabular(table(np.arange(30) % 3), **{option: value})) == value


def test_the_weight_decay_can_be_overruled():
    """It is that of the optimizer."""
    given, by_rule = (fl.recipes.tabular(table(np.arange(30) % 3), weight_decay=w) for w in (0.25, None))
    assert "weight_decay=0.25" in repr(given.optimizer)
    assert "weight_decay=4" in repr(by_rule.optimizer)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1, got 0"),
        ({"task": "ranking"}, ValueError, "task must be one of 'classification', 'multilabel', 'regression', got 'ranking'"),
        ({"classes": 1}, ValueError, "classes must be an integer of at least 2, got 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer of at least 1, got 2.5"),
        ({"task": "multilabel"}, ValueError, "y must be of shape"),
        ({"lr": -1}, ValueError, r"lr must be a real number in \(0, inf\), got -1"),
        ({"hidden": (8, 0)}, ValueError, r"hidden\[1\] must be an integer of at least 1, got 0"),
        ({"weight_decay": "a"}, TypeError, "weight_decay must be a real number"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    """With their value, and what is allowed."""
    with pytest.raises(error, match=words):
        fl.recipes.tabular(table(np.arange(30) % 3), **arguments)


def test_one_class_is_refused():
    """Unless their number is stated."""
    with pytest.raises(ValueError, match="train: y must have at least 2 classes, got 1; classes=2 states their number"):
        fl.recipes.tabular(table(np.zeros(9, int)))
    assert fl.recipes.tabular(table(np.zeros(9, int)), classes=2).model.outputs == 1


def test_what_is_no_table_is_refused():
    """Images, and arrays that are no dataset."""
    with pytest.raises(ValueError, match=r"train: x must be of shape \(N, D\)"):
        fl.recipes.tabular(fl.Dataset(np.zeros((4, 2, 2)), np.zeros(4)))
    with pytest.raises(TypeError, match=r"train must be a fl\.Dataset"):
        fl.recipes.tabular(np.zeros((4, 2)))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "metric", "at_least"), [("iris", "accuracy", 0.9), ("breast_cancer", "accuracy", 0.94), ("diabetes", "r2", 0.35)]
)
def test_it_learns_small_tables(name, metric, at_least):
    """A loose bound: a fault in the recipe, such as a rate for another number of epochs, ends below it."""
    data = getattr(fl.datasets, name)()
    result = fl.fit(fl.recipes.tabular(data.train), data.train, data.validation, progress=False)
    assert fl.evaluate(result.trainer, result.best, data.test)[metric] >= at_least
