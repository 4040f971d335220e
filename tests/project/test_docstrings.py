"""Every public class, function and method is documented in Google style, with all its parameters."""

from importlib import import_module

import pytest

from tests.project.docstrings import faults_of, public_methods
from tests.project.test_public_names import PACKAGES


def full_names(package):
    return [f"{package.__name__}.{name}" for name in package.__all__]


def value_of(name):
    package, _, attribute = name.rpartition(".")
    return getattr(import_module(package), attribute)


NAMES = [name for package in PACKAGES for name in full_names(package)]
DOCUMENTED = [
    name for name in NAMES if callable(value_of(name)) and getattr(value_of(name), "__module__", "").startswith("fnloop")
]
METHODS = {
    function.__qualname__: function
    for name in DOCUMENTED
    if isinstance(value_of(name), type)
    for function in public_methods(value_of(name))
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_is_documented(name):
    """One sentence, every parameter, each exception on its own line."""
    assert list(faults_of(value_of(name))) == []


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_is_documented(name):
    """As functions are; a method that a base class documents needs no more."""
    assert list(faults_of(METHODS[name])) == []
