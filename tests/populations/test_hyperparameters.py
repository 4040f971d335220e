"""Hyperparameters by name: which are meant, which vary, and the trainers of `grid` and `sample`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.optimizers import AdamW, chain, clip_by_global_norm, ema
from fnloop.populations import memory
from fnloop.populations.hyperparameters import varying, with_hyperparameters
from fnloop.schedulers import CosineAnnealingLR, OneCycleLR, join, warmup

BASE = fl.Trainer(model=fl.mlp([2, 3, 1]), loss="mse", optimizer="adamw", scheduler=0.1)
CHAIN = BASE.replace(optimizer=chain(clip_by_global_norm(1.0), AdamW(b1=0.8), ema(0.99)))


@pytest.mark.parametrize(
    ("trainer", "name", "value", "read"),
    [
        (BASE, "seed", 3, lambda t: t.seed),
        (BASE, "batch_size", 7, lambda t: t.batch_size),
        (BASE, "lr", 0.3, lambda t: t.scheduler.initial_lr),
        (BASE.replace(scheduler=OneCycleLR(0.1, 9)), "lr", 0.3, lambda t: t.scheduler.max_lr),
        (
            BASE.replace(scheduler=warmup(CosineAnnealingLR(0.1, 9), 2)),
            "scheduler.schedulers[1].initial_lr",
            0.3,
            lambda t: t.scheduler.schedulers[1].initial_lr,
        ),
        (BASE, "weight_decay", 0.3, lambda t: t.optimizer.weight_decay),
        (BASE, "optimizer.b1", 0.7, lambda t: t.optimizer.b1),
        (CHAIN, "b1", 0.7, lambda t: t.optimizer.transformations[1].b1),
        (CHAIN, "max_norm", 0.3, lambda t: t.optimizer.transformations[0].max_norm),
        (BASE.replace(early_stopping=fl.EarlyStopping("loss")), "patience", 3, lambda t: t.early_stopping.patience),
        (BASE.replace(loss="huber"), "delta", 0.3, lambda t: t.loss.delta),
    ],
)
def test_a_name_means_the_field_of_the_part_that_has_it(trainer, name, value, read):
    changed = with_hyperparameters(trainer, {name: value})
    assert read(changed) == value
    assert changed != trainer
    assert len(varying([trainer, changed])) == 1


@pytest.mark.parametrize(
    ("trainer", "name", "message"),
    [
        (BASE, "wieght_decay", r"wieght_decay is not a hyperparameter of the trainer.*weight_decay.*; it has .*seed"),
        (BASE, "inputs", "inputs is a hyperparameter of several parts: .*; state a path"),
        (CHAIN, "rate", "rate is not a hyperparameter"),
        (
            BASE.replace(scheduler=join([fl.schedulers.ConstantLR(0.1), fl.schedulers.ConstantLR(0.2)], [3])),
            "lr",
            r"lr is a hyperparameter of several parts: .*schedul.*; state a path",
        ),
    ],
)
def test_unknown_and_ambiguous_names_are_refused(trainer, name, message):
    with pytest.raises(ValueError, match=message):
        with_hyperparameters(trainer, {name: 1})
    with pytest.raises(ValueError, match=message):
        fl.grid(trainer, **{name: [1, 2]})


def test_a_value_that_is_not_allowed_is_refused_with_its_name():
    with pytest.raises(ValueError, match="b1 must be"):
        fl.grid(BASE, b1=[2.0])
    with pytest.raises(TypeError, match="no_such"):
        fl.grid(BASE, **{"optimizer.no_such": [2.0]})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fl.grid(BASE), ValueError, "grid needs the values of at least one hyperparameter"),
        (lambda: fl.grid(BASE, lr=[]), ValueError, "lr must have at least one value, got none"),
        (lambda: fl.grid(BASE, lr=0.1), TypeError, r"lr must be several values, such as \[0.1\], got 0.1"),
        (lambda: fl.grid(BASE, optimizer="adam"), TypeError, "optimizer must be several values"),
        (lambda: fl.grid(3, lr=[1]), TypeError, "trainer must be"),
        (lambda: fl.sample(BASE, 0, lr=fl.spaces.uniform(0, 1)), ValueError, "n must be"),
        (lambda: fl.sample(BASE, 1, lr=0.1), TypeError, "lr must be a distribution"),
        (lambda: fl.sample(BASE, 1, lr=fl.spaces.uniform), TypeError, "lr must be a distribution"),
        (lambda: fl.spaces.one_of(3), TypeError, "values must be several values"),
        (lambda: fl.spaces.one_of({1, 2}), TypeError, "values must be several values"),
        (lambda: fl.spaces.one_of([]), ValueError, "values must be several values"),
        (lambda: fl.grid(BASE, lr=[10**400]), ValueError, "initial_lr must be a real number"),
        (lambda: fl.sample(BASE, 1), ValueError, "sample needs the distribution of at least one hyperparameter"),
        (lambda: fl.sample(BASE, 1, seed=-1, lr=fl.spaces.uniform(0, 1)), ValueError, "seed must be"),
        (lambda: fl.sample(BASE, 1, momemtum=fl.spaces.uniform(0, 1)), ValueError, "momemtum is not a hyperparameter"),
    ],
)
def test_what_grid_and_sample_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True), st.lists(st.floats(0, 0.9), min_size=1, unique=True))
def test_a_grid_has_all_combinations_and_the_last_name_varies_fastest(seeds, decays):
    trainers = fl.grid(BASE, seed=seeds, weight_decay=decays)
    assert [(t.seed, t.optimizer.weight_decay) for t in trainers] == [(seed, decay) for seed in seeds for decay in decays]
    expected = {name: values for name, values in (("seed", seeds), ("weight_decay", decays)) if len(values) > 1}
    assert set(varying(trainers)) == set(expected)


@given(st.integers(1, 9), st.integers(0, 2**64 - 1))
def test_a_sample_is_a_pure_function_whose_first_trainers_stay_the_same(n, seed):
    spaces = {"lr": fl.spaces.log_uniform(1e-4, 1.0), "b1": fl.spaces.uniform(0.5, 0.9)}
    trainers = fl.sample(BASE, n, seed=seed, **spaces)
    assert trainers == fl.sample(BASE, n + 3, seed=seed, **spaces)[:n]
    assert all(1e-4 <= t.scheduler.initial_lr < 1 and 0.5 <= t.optimizer.b1 < 0.9 for t in trainers)
    assert len({t.scheduler.initial_lr for t in trainers}) == n


def test_what_varies_has_short_names_unless_two_share_one():
    assert varying([BASE, BASE]) == {}
    assert varying([BASE, BASE.replace(seed=1)]) == {"seed": [0, 1]}
    assert varying([CHAIN, with_hyperparameters(CHAIN, {"b1": 0.7})]) == {"b1": [0.8, 0.7]}
    two = with_hyperparameters(BASE, {"optimizer": chain(clip_by_global_norm(1.0), clip_by_global_norm(2.0), AdamW())})
    other = with_hyperparameters(BASE, {"optimizer": chain(clip_by_global_norm(3.0), clip_by_global_norm(4.0), AdamW())})
    names = list(varying([two, other]))
    assert len(names) == 2
    assert all(name.startswith("optimizer.") and name.endswith(".max_norm") for name in names)


def test_a_short_name_that_does_not_say_what_varies_is_a_path():
    """It is one of several fields of that name, although one alone varies, or the name of a function."""
    paths = {"model.layers[0].init": "orthogonal", "model.layers[1].name": "tanh"}
    for path, value in paths.items():
        assert list(varying([BASE, with_hyperparameters(BASE, {path: value})])) == [path]


def test_a_field_of_the_model_gives_way_to_one_of_another_part():
    """The momentum of SGD is meant, though a layer has one too; alone it is that of the layer."""
    layers = fl.nn.Dense(2, 3), fl.nn.BatchNorm(3), fl.nn.Dense(3, 1)
    normal = BASE.replace(model=fl.nn.Sequential(2, layers), optimizer="sgd")
    assert [t.optimizer.momentum for t in fl.grid(normal, momentum=[0.0, 0.9])] == [0.0, 0.9]
    assert list(varying(fl.grid(normal, momentum=[0.0, 0.9]))) == ["momentum"]
    assert fl.grid(normal.replace(optimizer="adam"), momentum=[0.5])[0].model.layers[1].momentum == 0.5


def test_one_of_takes_arrays_whose_numbers_become_those_of_python():
    values = fl.spaces.one_of(np.array([8, 16])).values
    assert values == (8, 16)
    assert {type(value) for value in (*values, *fl.spaces.one_of(list(np.linspace(0, 1, 3))).values)} == {int, float}


def test_parts_of_different_classes_vary_as_calls():
    values = varying([BASE, BASE.replace(scheduler=OneCycleLR(0.1, 9))])
    assert list(values) == ["scheduler"]
    assert values["scheduler"][0].startswith("ConstantLR(")


@pytest.mark.parametrize(
    ("wrong", "meant"), [("learning_rate", "lr"), ("weight_decy", "weight_decay"), ("batchsize", "batch_size")]
)
def test_an_unknown_name_is_an_error_with_the_name_that_is_meant(wrong, meant):
    """Also the name that other libraries have for the learning rate."""
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        fl.grid(BASE, **{wrong: [0.1]})


def test_more_trainers_than_memory_are_refused_before_they_are_made(monkeypatch):
    """A mistyped number: at once, also where the values are a range, which has the numbers by its length alone."""
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    with pytest.raises(
        ValueError, match=r"^n must be trainers that fit into memory, 10,000,000 take at least 2\.4 GiB, and 0\.9"
    ):
        fl.sample(BASE, 10**7, lr=fl.spaces.uniform(0.1, 0.2))
    with pytest.raises(ValueError, match=r"^the combinations of values must be trainers that fit into memory, 20,000,000,000"):
        fl.grid(BASE, lr=[0.1, 0.2], seed=range(10**10))
