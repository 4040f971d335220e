"""Protocols at run time: what has all members passes, and the error of what does not names those that are missing."""

from abc import abstractmethod
from typing import Protocol, runtime_checkable

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.checks import instance_of
from fnloop.core.protocols import fulfils, members_of, missing_members


@runtime_checkable
class Shape(Protocol):
    """A protocol with a required member and a default."""

    @property
    @abstractmethod
    def sides(self): ...

    @abstractmethod
    def area(self, scale): ...

    def name(self):
        return "shape"


class Square:
    """Has all members, and none of them can be evaluated."""

    @property
    def sides(self):
        raise RuntimeError("sides was evaluated")

    def area(self, scale): ...
    def name(self): ...


class Circle:
    def area(self, scale): ...


class Nameless:
    sides = 0

    def area(self, scale): ...


class Nothing: ...


class Inherits(Shape):
    sides = 3

    def area(self, scale): ...


class Delegates:
    def __getattr__(self, name):
        return getattr(Inherits(), name)


class Assigned:
    def __init__(self):
        self.sides, self.area, self.name = 4, abs, str


check = instance_of(Shape, "a shape, such as Square()")


def test_members_of_a_protocol():
    assert members_of(Shape) == ("sides", "area", "name")


@pytest.mark.parametrize("value", [Square(), Inherits(), Delegates(), Assigned()], ids=lambda value: type(value).__name__)
def test_what_has_all_members_passes_unchanged(value):
    """By its class, by inheritance, by delegation, or by assignment; properties are not evaluated."""
    assert check("shape", value) is value
    assert fulfils(value, Shape)


@pytest.mark.parametrize("value", [Inherits(), Delegates(), Assigned(), Circle(), 3, None, "square", np.zeros(3), abs])
def test_the_answer_is_that_of_isinstance(value):
    assert fulfils(value, Shape) == isinstance(value, Shape) == (not missing_members(value, Shape))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Circle(), r"got <.*Circle.*>; it has no sides"),
        (Nothing(), r"got <.*Nothing.*>; it has no sides, area"),
        (Nameless(), r"got <.*Nameless.*>; it has no name; inherit from Shape"),
        (Square, r"got <class '.*Square'>; call it: Square\(\.\.\.\)"),
        (fl.mlp, r"got <function mlp.*>; call it: mlp\(\.\.\.\)"),
        (3, r"got 3"),
        ("square", r"got 'square'"),
        (None, r"got None"),
        ([1, 2], r"got \[1, 2\]"),
    ],
)
def test_the_error_says_what_was_wrong(value, message):
    """It names the argument, what is allowed, the value, and the missing members or the call that was forgotten."""
    with pytest.raises(TypeError, match=f"^shape must be a shape, such as Square\\(\\), {message}$"):
        check("shape", value)


def test_a_hint_replaces_the_list_of_members():
    hinted = instance_of(Shape, "a shape", lambda value: "; write Square()" if value == "square" else "")
    with pytest.raises(TypeError, match=r"^shape must be a shape, got 'square'; write Square\(\)$"):
        hinted("shape", "square")
    with pytest.raises(TypeError, match="it has no sides"):
        hinted("shape", Circle())
