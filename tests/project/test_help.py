"""`help` shows for each public name its docstring and a signature that reads as code."""

import inspect
import pydoc
import re
from types import ModuleType

import attrs
import pytest

import fnloop as fl
from fnloop import testing
from fnloop.core.fields import field_names

MODULES = fl, fl.losses, fl.metrics, fl.nn, fl.optimizers, fl.schedulers, fl.datasets, fl.plots, testing


def is_abstract(value):
    """Whether a class is a contract, or a base class of parts; it is not called."""
    return (
        isinstance(value, type)
        and not attrs.has(value)
        and any(getattr(base, "_is_protocol", False) for base in value.__mro__)
    )


PUBLIC = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if not name.startswith("_") and not isinstance(value, ModuleType) and getattr(value, "__module__", "").startswith("fnloop")
}
CALLED = [
    name
    for name, value in PUBLIC.items()
    if callable(value) and not (isinstance(value, type) and issubclass(value, Exception | tuple)) and not is_abstract(value)
]
STREAMS = "best", "top", "every", "tap", "until", "until_seconds", "moving_average", "what_if", "progress", "checkpoint"


@pytest.mark.parametrize("name", CALLED)
def test_every_signature_reads_as_code(name):
    """No checks, no factories, no addresses: types and defaults as a person writes them."""
    shown = str(inspect.signature(PUBLIC[name]))
    assert not [word for word in ("NOTHING", "Factory(", "Annotated", " at 0x", "<function", "*args") if word in shown], shown


@pytest.mark.parametrize("name", [name for name in CALLED if isinstance(PUBLIC[name], type) and attrs.has(PUBLIC[name])])
def test_a_records_types_and_defaults_are_without_modules(name):
    """They are short enough to read, and show the value of each default."""
    shown = str(inspect.signature(PUBLIC[name]))
    assert not re.search(r"\bfnloop\.|\btyping\.|\bcollections\.|= \.\.\.", shown), shown


def test_a_trainer_documents_each_field_with_its_default_as_code():
    """The documented default, written into a call, makes the same trainer."""
    arguments = fl.Trainer.__doc__.partition("Args:")[2].partition("Raises:")[0]
    said = dict(re.findall(r"^ {8}(\w+): (.*?)(?=^ {8}\w|\Z)", arguments, re.M | re.S))
    assert list(said) == list(field_names(fl.Trainer))
    model = fl.mlp([3, 1])
    plain = fl.Trainer(model=model, loss="mse")
    names = {**vars(fl.optimizers), **vars(fl.schedulers), "loss": plain.loss}
    for name, text in said.items():
        default = re.search(r"Default:\s+`(.*?)`", text)
        assert (default is None) == (name in ("model", "loss")), name
        if default is not None:
            value = eval(default[1], names)
            assert getattr(plain.replace(**{name: value}), name) == getattr(plain, name), name


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_function_is_a_function(name):
    """With its own docstring and parameters, the stream among them, for `help` and editors."""
    function = getattr(fl, name)
    shown = pydoc.plain(pydoc.render_doc(function))
    assert f"{name}(" in shown
    assert "states" in inspect.signature(function).parameters
    assert function.__doc__.strip().splitlines()[0] in shown
