"""Every public name is exported, tried by the laws, listed in both overviews, and documented."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import get_type_hints

import attrs
import jax
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import fnloop as fl
from fnloop import sklearn, testing
from fnloop.cli.app import app
from fnloop.testing import catalog
from fnloop.training.engine import select_engine

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PACKAGES = fl, fl.losses, fl.metrics, fl.nn, fl.optimizers, fl.schedulers, fl.plots, sklearn, testing
PARTS = {  # the packages of parts, each with its contract and the method by which a part is known
    fl.losses: (fl.losses.Loss, "forward"),
    fl.metrics: (fl.metrics.Metric, "value"),
    fl.nn: (fl.nn.Layer, "forward"),
    fl.optimizers: (fl.optimizers.Elementwise, "update"),
    fl.schedulers: (fl.schedulers.Scheduler, "step"),
}
TABLES = {  # the examples of each package's parts in the catalog
    fl.losses: {"LOSSES"},
    fl.metrics: {"METRICS"},
    fl.nn: {"LAYERS", "block"},
    fl.optimizers: {"OPTIMIZERS", "AVERAGING"},
    fl.schedulers: {"SCHEDULERS", "PLATEAU"},
}
HELPERS = {"check_mode", "get_metric", "improves", "is_loss", "known_mode", "look_up", "migrate", "mode_of", "worst"}
READ_ONLY = {  # records and tables that a user may inspect
    *("ACTIVATIONS", "COLOURS", "INITIALIZERS", "METRICS", "SCHEDULERS", "__version__"),
    *(
        "Context",
        "DenseParams",
        "EmbeddingParams",
        "NormParams",
        "Params",
        "PerExample",
        "Scaled",
        "StepContext",
        "Summary",
        "WeightParams",
    ),
    *("Chain", "ComposedState", "LearningRateState", "OptimizerState", "PlateauState"),
    *("CombinesSchedulers", "MigratesState", "MonitorsMetric"),
    *("best_performer", "highest", "verdict"),
}
OF_A_FUNCTION = {"FromFunction", "Function", "LambdaLR", "Mean", "Whole"}  # no example without a function of the user
COMMANDS = get_command(app).commands


def is_part(package, value):
    """Whether a value is a part of a run: a class with the method of one, or a function that makes one of a private class."""
    contract, method = PARTS[package]
    if isinstance(value, type):
        return attrs.has(value) and hasattr(value, method) and not inspect.isabstract(value)
    if not inspect.isfunction(value) or value.__name__.startswith("get_"):
        return False
    made = get_type_hints(value).get("return")
    return made is contract or (is_part(package, made) and made.__name__ not in package.__all__)


def names_defined_by(statement):
    """The names that a statement of a module defines: a function, a class, or a variable."""
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return {getattr(statement, "name", None), *(getattr(target, "id", None) for target in targets)}


def names_in(tree):
    """Every name and attribute in a syntax tree."""
    nodes = list(ast.walk(tree))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_all_names_what_the_package_imports(package):
    """`__all__` has every public name of the package, once, and no other."""
    public = {name for name, value in vars(package).items() if not name.startswith("_") and not isinstance(value, ModuleType)}
    ours = {name for name in public if getattr(getattr(package, name), "__module__", "").startswith(package.__name__)}
    assert sorted(ours - set(package.__all__)) == []
    assert sorted(set(package.__all__) - set(vars(package))) == []
    assert len(set(package.__all__)) == len(package.__all__)


@pytest.mark.parametrize("package", PARTS, ids=lambda package: package.__name__)
def test_every_part_is_exported(package):
    """A record with the methods of a part is in `__all__`, or is returned by an exported function of its file."""
    for found in iter_modules(package.__path__, f"{package.__name__}."):
        module = import_module(found.name)
        ours = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == found.name}
        records = {name for name, value in ours.items() if isinstance(value, type) and attrs.has(value)}
        exported = ours.keys() & set(package.__all__)
        made = names_in(ast.parse(inspect.getsource(module))) if exported else set()
        for name in records - exported:
            assert not is_part(package, ours[name]) or name in made, (
                f"{found.name}.{name} is missing from {package.__name__}.__all__"
            )


@pytest.mark.parametrize("package", PARTS, ids=lambda package: package.__name__)
def test_every_part_is_tried_by_the_laws(package):
    """It is in its table of `fnloop/testing/catalog.py`, to which all laws are applied."""
    statements = ast.parse(inspect.getsource(catalog)).body
    used = {name for statement in statements if TABLES[package] & names_defined_by(statement) for name in names_in(statement)}
    used |= {type(fl.metrics.get_metric(name)).__name__ for names in catalog.METRICS.values() for name in names}
    used |= {name.capitalize() for name in used}  # a table makes a `Chain` by `chain`
    parts = {name for name in package.__all__ if is_part(package, getattr(package, name))}
    assert sorted(parts - used - OF_A_FUNCTION) == []


@pytest.mark.parametrize("package", [fl.losses, fl.metrics, fl.optimizers], ids=lambda package: package.__name__)
def test_every_part_with_defaults_has_a_name(package):
    """A class that can be made without arguments is listed in the `named.py` of its package."""
    named = {
        fl.losses: fl.losses.named.LOSSES.values(),
        fl.metrics: fl.metrics.METRICS.values(),
        fl.optimizers: [make() for make in fl.optimizers.named.OPTIMIZERS.values()],
    }
    parts = [getattr(package, name) for name in package.__all__ if is_part(package, getattr(package, name))]
    classes = {part for part in parts if isinstance(part, type)} - {fl.optimizers.Chain}
    if package is fl.optimizers:
        classes = {part for part in classes if part.__name__[0].isupper()}  # a transformation is not an optimizer by itself
    complete = {cls for cls in classes if all(field.default is not attrs.NOTHING for field in attrs.fields(cls) if field.init)}
    assert sorted(cls.__name__ for cls in complete - {type(part) for part in named[package]}) == []


@pytest.mark.parametrize("scheduler", [*catalog.SCHEDULERS, catalog.PLATEAU], ids=repr)
def test_every_record_of_a_state_is_a_pytree(scheduler):
    """JAX sees its numbers: a record that it does not know would be one opaque leaf."""
    select_engine("jax")
    stopping = fl.EarlyStopping("loss", restore_best=True)
    model = catalog.MODELS["regularised"](3, 1)
    trainer = fl.Trainer(model=model, loss="bce", optimizer=catalog.AVERAGING[0], scheduler=scheduler, early_stopping=stopping)
    assert [leaf for leaf in jax.tree.leaves(fl.init_state(trainer)) if attrs.has(type(leaf))] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_readme_lists_every_public_name(package):
    """All that a user calls or writes; not what other folders import, and not the types of values that users only read."""
    words = set(re.findall(r"\w+", README))
    assert [name for name in package.__all__ if name not in words | READ_ONLY | HELPERS] == []


def test_the_readme_lists_every_metric_by_name():
    names = {metric for metric in fl.metrics.METRICS if f'"{metric}"' not in README}
    assert sorted(names) == []


def test_help_lists_every_public_name():
    """`help(fnloop)` starts with an overview, in lines that fit a terminal."""
    words = set(re.findall(r"\w+", fl.__doc__))
    assert [name for name in fl.__all__ if name not in {*words, "__version__"}] == []
    assert max(map(len, fl.__doc__.splitlines())) < 128


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_has_help(name):
    """`--help` explains the command and every option, and shows an example."""
    shown = CliRunner().invoke(app, [*name.split(), "--help"]).output
    assert "Usage: " in shown
    assert re.search(r"^ *Example:\n +fnloop", shown, re.M)
    for line in re.findall(r"^  --\S+.*$", shown, flags=re.MULTILINE):
        assert len(line.split()) > 2, f"no help in {line!r}"
