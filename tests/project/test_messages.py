"""Whatever is wrong with an argument, the message is short: it shows no data."""

import inspect
from io import StringIO
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses, metrics, nn, optimizers, schedulers
from tests.strategies import dataset

DATA = dataset("binary", 6)
TRAINER = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy())
STATE = fl.init_state(TRAINER)
GOOD = MappingProxyType(
    {
        **dict.fromkeys(("train", "validation", "data", "dataset"), DATA),
        **dict.fromkeys(("size", "n", "k", "inputs", "outputs"), 3),
        **dict.fromkeys(("state", "a", "b"), STATE),
        "trainer": TRAINER,
        "model": TRAINER.model,
        "loss": TRAINER.loss,
        "x": DATA.x,
        "y": DATA.y,
        "seed": 0,
        "epoch": 0,
        "metric": "loss",
        "initial_lr": 0.1,
        "states": (STATE,),
        "name": "cosine",
    }
)
ROWS = np.arange(64_000.0).reshape(1000, 64)
HUGE = {
    "text": "x" * 100_000,
    "bytes": b"x" * 100_000,
    "a nested list": ROWS.tolist(),
    "a list of texts": ["accuracy" * 9] * 1000,
    "an array": ROWS,
    "a frame": pd.DataFrame(ROWS).add_prefix("a long name of a column "),
    "a mapping": {f"key {i}": i for i in range(10_000)},
    "a tuple": tuple(range(10_000)),
    "a dataset": fl.Dataset(ROWS, ROWS[:, 0]),
    "a network": fl.mlp([3, *[4] * 50, 1]),
}
SLOW = {fl.summary, fl.lr_range_test, fl.fit}


def public():
    """The functions, classes and curried functions of the package, each with its parameters."""
    for module in (fl, losses, metrics, nn, optimizers, schedulers):
        for name, value in vars(module).items():
            made = getattr(value, "func", value)  # of a curried one
            ours = getattr(made, "__module__", "").startswith("fnloop")
            if name.startswith("_") or not callable(value) or not ours or value in SLOW or made is fl.StopReason:
                continue
            if isinstance(made, type) and issubclass(made, Exception):
                continue
            for parameter in inspect.signature(made).parameters.values():
                yield f"{module.__name__}.{name}", made, parameter.name


CALLS = list(public())


def call(function, parameter, value):
    """The function with that value, and others that fit where it needs them."""
    positional, named = [], {}
    for name, each in inspect.signature(function).parameters.items():
        if name != parameter and (each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)):
            continue
        given = value if name == parameter else GOOD.get(name)
        if each.kind is each.VAR_KEYWORD:
            named["unknown"] = given
        elif each.kind is each.KEYWORD_ONLY:
            named[name] = given
        else:
            positional.append(given)
    made = function(*positional, **named)
    if hasattr(made, "__next__"):
        next(made, None)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CALLS), st.sampled_from(sorted(HUGE)))
@example(("fl.load", fl.load, "path"), "text")
@example(("fl.open_run", fl.open_run, "path"), "text")
@example(("fl.Dataset", fl.Dataset, "y"), "a nested list")
@example(("fl.Trainer", fl.Trainer, "metrics"), "a list of texts")
def test_messages_are_short(call_of, kind):
    """Of every public function, for every argument."""
    name, function, parameter = call_of
    message = ""
    try:
        call(function, parameter, HUGE[kind])
    except Exception as error:
        message = str(error)
    assert len(message) < 300, f"{name}({parameter}={kind})"


def test_reprs_of_records_are_short():
    """Of a record with arrays, no array is shown."""
    for value in (STATE, TRAINER, HUGE["a dataset"], DATA, STATE.params, STATE.optimizer, STATE.progress, HUGE["a network"]):
        assert len(repr(value)) < 600, type(value)
        assert "array(" not in repr(value)


def test_the_warning_of_a_divergence_names_the_line_of_the_caller():
    """It is not a line of the package, whatever functions are between them."""
    data = fl.datasets.lab()
    wild = fl.Trainer(model=fl.mlp([10, 4, 1]), loss="bce", optimizer="sgd", scheduler=1e30)
    for run in (
        lambda: fl.fit(wild, data.train, progress=False),
        lambda: fl.last(fl.progress(fl.epochs(wild, data.train), file=StringIO())),
        lambda: list(fl.epochs(wild, data.train)),
    ):
        with pytest.warns(fl.NonFiniteWarning) as warned:
            run()
        assert [warning.filename for warning in warned] == [__file__]


def test_one_row_says_how_to_write_it():
    """The features of one example are a row, and one column is a column."""
    for x in ([1.0, 2.0], np.zeros(5)):
        with pytest.raises(ValueError, match=r"^x must be 2- to 5-dimensional, got shape \(\d,\); a single example is \[x\]"):
            fl.Dataset(x, [0, 1])


def test_a_value_without_a_module_is_shown():
    """Code that a notebook or a console executes may define functions without a module."""
    names: dict[str, object] = {}
    exec("def function(outputs, targets): return outputs[:, 0] * 0", names)
    names["function"].__module__ = None
    with pytest.raises(TypeError, match=r"^optimizer must be a name"):
        fl.Trainer(model=fl.mlp([10, 1]), loss="mse", optimizer=names["function"])


def test_a_record_that_is_assigned_to_says_what_to_do_instead():
    with pytest.raises(AttributeError, match=r"^Trainer is frozen: seed cannot be set; replace\(seed=\.\.\.\) returns a copy"):
        TRAINER.seed = 3
    with pytest.raises(
        AttributeError, match=r"^Adam is frozen: b1 cannot be set; attrs.evolve\(adam, b1=\.\.\.\) returns a copy"
    ):
        TRAINER.optimizer.b1 = 0.8


def test_a_row_of_many_classes_is_not_printed():
    trainer = fl.Trainer(model=fl.mlp([3, 500]), loss="cross_entropy")
    with pytest.raises(ValueError, match=r"that sum to 1, got <list of length 500> at \[0\], sum ") as caught:
        fl.epochs(trainer, fl.Dataset(np.ones((4, 3)), np.linspace(0, 1, 2000).reshape(4, 500)))
    assert len(str(caught.value)) < 300
