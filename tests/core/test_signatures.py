"""Calls that a new user might guess: which are accepted, and what the errors of others say."""

import inspect
import pickle
import string
from types import ModuleType

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses, optimizers, testing
from fnloop.core.digest import same_bits
from fnloop.core.signatures import curry
from fnloop.losses.named import LOSSES
from fnloop.optimizers.named import OPTIMIZERS

MODEL = fl.mlp([3, 1])
ROWS = fl.Dataset(np.zeros((4, 3)), np.zeros(4))
MODULES = fl, fl.losses, fl.metrics, fl.nn, fl.optimizers, fl.schedulers, fl.datasets, fl.plots, testing
PUBLIC = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if not name.startswith("_") and not isinstance(value, ModuleType) and getattr(value, "__module__", "").startswith("fnloop")
}
RECORDS = [
    value for value in PUBLIC.values() if isinstance(value, type) and attrs.has(value) and not inspect.isabstract(value)
]


def trainer(**changes):
    return fl.Trainer(**{"model": MODEL, "loss": "mse", **changes})


# What is guessed, and the words of the answer.
REFUSED = {
    "a rate for an optimizer": (lambda: optimizers.SGD(0.1), ["SGD", "0.1", "scheduler", "scheduler=1e-3", "momentum"]),
    "a rate by name": (lambda: optimizers.Adam(lr=1e-3), ["'lr'", "scheduler", "ConstantLR(1e-3)", "b1, b2, eps"]),
    "a rate of a chain": (lambda: optimizers.AdamW(1e-3), ["0.001", "scheduler", "weight_decay"]),
    "a learning_rate": (lambda: optimizers.LAMB(learning_rate=1e-3), ["learning_rate", "scheduler"]),
    "betas": (lambda: optimizers.Adam(betas=(0.9, 0.99)), ["betas", "b1 and b2"]),
    "decay of Adam": (lambda: optimizers.Adam(weight_decay=0.1), ["weight_decay", "AdamW(weight_decay=...)"]),
    "a slip": (lambda: optimizers.SGD(momentun=0.9), ["momentun", "did you mean 'momentum'", "nesterov"]),
    "two numbers of swa": (lambda: optimizers.swa(100, 10), ["swa", "100", "start, every"]),
    "a deviation of noise": (lambda: optimizers.add_noise(0.1), ["add_noise", "0.1", "eta, gamma, seed"]),
    "a list for a chain": (lambda: optimizers.chain([optimizers.Adam()]), ["index 0", "chain(*[...])"]),
    "a class in a chain": (lambda: optimizers.chain(optimizers.Adam), ["call it", "Adam(...)"]),
    "a class in a mask": (lambda: optimizers.masked(optimizers.Adam, [0]), ["call it", "Adam(...)"]),
    "a number of a loss": (lambda: losses.Focal(2.0), ["Focal", "2.0", "gamma, class_weights"]),
    "a rate of a schedule": (lambda: fl.schedulers.StepLR(lr=0.1, step_size=3), ["'lr'", "did you mean 'initial_lr'"]),
    "epochs of early stopping": (lambda: fl.EarlyStopping(10), ["metric", "'val_loss'", "10"]),
    "patience by position": (lambda: fl.EarlyStopping("val_loss", 10), ["only metric", "10", "patience"]),
    "monitor": (lambda: fl.EarlyStopping(monitor="val_loss"), ["'monitor'", "metric"]),
    "optimizer class": (lambda: trainer(optimizer=optimizers.Adam), ["optimizer", "call it", "Adam(...)"]),
    "optimizer function": (lambda: trainer(optimizer=optimizers.AdamW), ["optimizer", "call it", "AdamW(...)"]),
    "optimizer rate": (lambda: trainer(optimizer=1e-3), ["optimizer", "0.001", "scheduler"]),
    "optimizer slip": (lambda: trainer(optimizer="adamm"), ["'adamm'", "did you mean 'adam'", *map(repr, OPTIMIZERS)]),
    "loss class": (lambda: trainer(loss=losses.Huber), ["loss", "call it", "Huber(...)"]),
    "loss slip": (lambda: trainer(loss="msee"), ["'msee'", "'mse'", "'mae'", "'bce'", "'cross_entropy'", "'huber'"]),
    "loss number": (lambda: trainer(loss=3), ["loss", "'mse'", "3"]),
    "scheduler name": (lambda: trainer(scheduler="Cosine"), ["'Cosine'", "rate", "CosineAnnealingLR(0.1, T_max=100)"]),
    "scheduler slip": (lambda: trainer(scheduler="cosin"), ["'cosin'", "did you mean 'cosine'", "'plateau'", "a number"]),
    "scheduler zero": (lambda: trainer(scheduler=0), ["scheduler", "(0, inf)", "0"]),
    "scheduler flag": (lambda: trainer(scheduler=True), ["scheduler", "True"]),
    "scheduler class": (lambda: trainer(scheduler=fl.schedulers.StepLR), ["call it", "StepLR(...)"]),
    "stopping number": (lambda: trainer(early_stopping=10), ["fl.EarlyStopping(patience=10)"]),
    "stopping flag": (lambda: trainer(early_stopping=True), ["fl.EarlyStopping()"]),
    "stopping metric": (lambda: trainer(early_stopping="val_loss"), ["fl.EarlyStopping('val_loss')"]),
    "stopping class": (lambda: trainer(early_stopping=fl.EarlyStopping), ["call it", "EarlyStopping(...)"]),
    "metric slip": (lambda: trainer(metrics="accurracy"), ["'accurracy'", "did you mean 'accuracy'", "r2"]),
    "metric number": (lambda: trainer(metrics=3), ["metrics", "3", "accuracy"]),
    "dtype": (lambda: trainer(dtype="float16"), ["dtype", "'float32', 'float64'"]),
    "lr of a trainer": (lambda: trainer(lr=0.1), ["'lr'", "scheduler=1e-3", "batch_size"]),
    "epochs of a trainer": (lambda: trainer(epochs=3), ["'epochs'", "fl.fit", "batch_size"]),
    "trainer slip": (lambda: trainer(bach_size=3), ["did you mean 'batch_size'", "early_stopping"]),
    "trainer by position": (lambda: fl.Trainer(MODEL, "mse"), ["by position", "model, loss"]),
    "no model": (lambda: fl.Trainer(loss="mse"), ["Trainer needs model"]),
    "widths for a model": (lambda: trainer(model=[3, 1]), ["fl.mlp([3, 1])"]),
    "layers for a model": (lambda: trainer(model=[fl.nn.Dense(3, 1)]), ["fl.nn.Sequential"]),
    "a layer for a model": (lambda: trainer(model=fl.nn.Dense(3, 1)), ["fl.nn.Sequential"]),
    "one width": (lambda: fl.mlp(10), ["sizes", "[10, 16, 1]", "10"]),
    "widths by position": (lambda: fl.mlp(10, 16, 1), ["mlp", "one sequence", "[10, 16, 1]"]),
    "an activation's case": (lambda: fl.mlp([3, 1], "ReLU"), ["'ReLU'", "did you mean 'relu'"]),
    "a layer's name": (lambda: fl.nn.Sequential(3, [fl.nn.Dense(3, 1), "relu"]), ["layers[1]", "fl.nn.Activation('relu')"]),
    "a layer's class": (lambda: fl.nn.Sequential(3, [fl.nn.Dense]), ["layers[0]", "call it", "Dense(...)"]),
    "half a layer": (lambda: fl.nn.Dense(3), ["Dense needs outputs"]),
    "fit's slip": (lambda: fl.fit(trainer(), ROWS, epoch=3), ["'epoch'", "did you mean 'epochs'", "validation"]),
    "fit's callbacks": (lambda: fl.fit(trainer(), ROWS, callbacks=[]), ["callbacks", "fl.tap"]),
    "fit of a model": (lambda: fl.fit(MODEL, ROWS), ["trainer", "fl.Trainer"]),
    "a stream's slip": (lambda: fl.best(metrik="loss"), ["best", "did you mean 'metric'", "mode"]),
    "a field's slip": (lambda: trainer().replace(sed=3), ["Trainer", "'sed'", "did you mean 'seed'", "batch_size"]),
    "a path's slip": (lambda: trainer().replace(**{"optimizer.b3": 0.5}), ["Adam", "'b3'", "b1, b2, eps"]),
    "a path into a number": (lambda: trainer().replace(**{"seed.x": 0.5}), ["int", "'x'"]),
    "an lr to replace": (lambda: trainer().replace(lr=0.5), ["'lr'", "scheduler=1e-3"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_call_says_what_to_write(name):
    """The message is one short line."""
    call, words = REFUSED[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said
    assert "\n" not in said
    assert len(said) < 400


ACCEPTED = {
    "a rate": (trainer(scheduler=1e-2), trainer(scheduler=fl.schedulers.ConstantLR(0.01))),
    "NumPy's number": (trainer(scheduler=np.float64(0.25)), trainer(scheduler=fl.schedulers.ConstantLR(0.25))),
    "a loss": (trainer(loss="Mean Squared-Error"), trainer(loss=losses.MeanSquaredError())),
    "Keras' spelling": (trainer(loss="binary_crossentropy"), trainer(loss=losses.BinaryCrossEntropy())),
    "an optimizer": (trainer(optimizer="SGD"), trainer(optimizer=optimizers.SGD())),
    "a metric": (trainer(metrics="mae"), trainer(metrics=("mae",))),
    "metrics": (trainer(metrics=["mae", "r2"]), trainer(metrics=("mae", "r2"))),
    "no metrics named": (trainer(metrics=None), trainer()),
    "NumPy's type": (trainer(dtype=np.float64), trainer(dtype="float64")),
    "widths in an array": (trainer(model=fl.mlp(np.array([3, 1]))), trainer()),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_shorthand_is_accepted(name):
    """The trainer equals one with the argument in full."""
    guessed, written = ACCEPTED[name]
    assert same_bits(guessed, written)


OPTIMIZER_FACTORIES = [
    make
    for name, make in vars(optimizers).items()
    if name in optimizers.__all__
    and name[0].isupper()
    and name not in ("Chain", "Elementwise", "StepContext", "OptimizerState", "Scaled")
]


@pytest.mark.parametrize("make", OPTIMIZER_FACTORIES, ids=lambda make: make.__name__)
def test_every_optimizer_refuses_a_learning_rate(make):
    """For every spelling of the argument."""
    assert same_bits(optimizers.get_optimizer(make.__name__), make())
    for arguments, options in [((0.1,), {}), ((), {"lr": 0.1}), ((), {"learning_rate": 0.1})]:
        with pytest.raises(TypeError, match="belongs to the scheduler"):
            make(*arguments, **options)


@given(st.sampled_from(sorted(LOSSES)), st.data())
def test_names_ignore_case_and_separators(name, data):
    """Case, hyphens, spaces and underscores do not matter."""
    written = "".join(
        data.draw(st.sampled_from([letter.lower(), letter.upper()] if letter != "_" else ["_", "-", " ", ""]))
        for letter in name
    )
    assert losses.get_loss(written) is LOSSES[name]


@given(st.sampled_from(RECORDS), st.text(string.ascii_lowercase + "_", min_size=1))
def test_an_unknown_argument_lists_the_known_ones(kind, name):
    """For every public record."""
    there = [key for key in inspect.signature(kind).parameters if key != "self"]
    if name in there:
        return
    with pytest.raises(TypeError) as caught:
        kind(**{name: 1})
    said = str(caught.value)
    assert kind.__name__ in said
    assert repr(name) in said
    assert all(key in said for key in there)


def test_defaults_in_a_signature_are_the_defaults():
    """A trainer with its defaults passed explicitly is the same trainer."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(fl.Trainer).parameters.items()
        if parameter.default is not inspect.Parameter.empty and name != "metrics"
    }
    assert same_bits(trainer(**defaults), trainer())
    assert "metrics" in inspect.signature(fl.Trainer).parameters
    assert "= loss.metrics" in str(inspect.signature(fl.Trainer))


@given(st.permutations([("a", 1), ("b", 2), ("c", 3)]), st.integers(0, 3), st.integers(0, 3))
def test_a_curried_function_takes_arguments_in_any_parts(order, first, second):
    """By name, in any order, with an optional argument in between."""

    @curry
    def together(a, b, c, *, option=0):
        return a, b, c, option

    parts = dict(order[:first]), dict(order[first : first + second]), dict(order[first + second :])
    called = together(**parts[0])
    for part in parts[1:]:
        called = called(**part, option=5) if callable(called) else called
    assert called == (1, 2, 3, 5 if first < 3 else 0)
    assert together(1)(2)(3) == together(1, 2)(3) == together(1)(2, 3) == (1, 2, 3, 0)


def test_a_curried_call_can_be_pickled():
    """It can be sent to another process."""
    states = [fl.init_state(trainer())]
    every = pickle.loads(pickle.dumps(fl.every(2)))
    assert list(every(states)) == states


CHANGES = {
    "seed": 3,
    "batch_size": 7,
    "scheduler": 0.5,
    "optimizer": "sgd",
    "early_stopping": fl.EarlyStopping("loss"),
    "non_finite": "skip",
    "dtype": "float64",
    "accumulate": 2,
    "metrics": ("r2",),
}


@given(st.sets(st.sampled_from(sorted(CHANGES))))
def test_replace_equals_construction_with_those_values(names):
    """For any set of fields; the original trainer does not change."""
    before, changes = trainer(), {name: CHANGES[name] for name in names}
    assert same_bits(before.replace(**changes), trainer(**changes))
    assert same_bits(before, trainer())


def test_default_metrics_follow_the_loss():
    """Explicit metrics are kept."""
    assert trainer().replace(loss="bce").metrics == ("accuracy",)
    assert trainer(metrics=()).replace(loss="bce").metrics == ()


def test_replace_with_a_path_changes_an_inner_field():
    """Several fields of one part can be changed at once."""
    new = trainer().replace(**{"optimizer.b1": 0.5, "optimizer.b2": 0.7, "scheduler.initial_lr": 0.2})
    assert same_bits(new, trainer(optimizer=optimizers.Adam(b1=0.5, b2=0.7), scheduler=0.2))
