"""Checkpoints of tables are read by every later version, which predicts from them what was predicted, to the bit."""

import json
from typing import get_args

import attrs
import numpy as np
import pytest

import fnloop as fl
from fnloop.core.fields import children_of
from fnloop.data.preprocessing import Encoder, Preprocessing
from fnloop.data.schema import KINDS, Column
from fnloop.runs.environment import current_environment, environment_differences
from tests.format import make
from tests.format.make_tables import ANSWERS, TABLES, TARGETS, answer

RECORDED = json.loads(ANSWERS.read_text())
VERSIONS = "fnloop", "Python"  # on which no bit depends
NAMES = sorted(path.name for path in TABLES.glob("*.npz"))


def same_numerics():
    """Return whether this machine computes the bits of the one that wrote the files."""
    was, now = RECORDED["environment"], current_environment(threads=1)
    return not environment_differences({**was, **dict.fromkeys(VERSIONS, "")}, {**now, **dict.fromkeys(VERSIONS, "")})


@pytest.mark.parametrize("name", NAMES)
def test_the_same_is_predicted_from_the_same_rows(name):
    """Features, outputs and predictions have the recorded bits; on a machine of other numerics, classes are the same."""
    expected, got = RECORDED["files"][name], answer(fl.load_checkpoint(TABLES / name))
    if not same_numerics():
        for part in ("features", "outputs", *(() if expected["classes"] else ("predictions",))):
            np.testing.assert_allclose(got.pop(part), expected.pop(part), rtol=1e-5, atol=1e-6)
    assert json.dumps(got) == json.dumps(expected)


def nested(value):
    """Yield a value and all that it contains."""
    yield value
    for _, child in children_of(value) or ():
        yield from nested(child)


def test_the_files_have_everything_that_a_preprocessing_can_hold():
    """Every encoder with each of its options, every kind of column and of label: a new one needs a new file."""
    assert RECORDED["files"].keys() == set(NAMES) == {f"{name}.npz" for name in TARGETS}
    loaded = [fl.load_checkpoint(TABLES / name).preprocessing for name in NAMES]
    values = [value for preprocessing in loaded for value in nested(preprocessing)]
    encoders = {*get_args(Encoder), *get_args(attrs.fields(Preprocessing).target_encoder.type)}
    assert encoders == {type(value) for value in values if type(value).__name__.endswith("Encoder")}
    assert {value.kind for value in values if isinstance(value, Column)} == {*KINDS}
    assert {type(label) for preprocessing in loaded for label in preprocessing.classes} == {str, int, float, bool}
    optional = [
        (type(value).__name__, field.name, getattr(value, field.name) != field.default)
        for value in values
        if attrs.has(type(value))
        for field in attrs.fields(type(value))
        if field.default is not attrs.NOTHING
    ]
    stated = {(cls, field) for cls, field, differs in optional if differs}
    assert {(cls, field) for cls, field, _ in optional} - stated == {("TextEncoder", "width")}  # which nothing sets


def test_the_records_of_tables_are_among_those_that_keep_their_form():
    """Each class in the files is in `records.json`, whose forms `test_frozen_files` compares."""
    forms = json.loads(make.RECORDS.read_text())
    classes = {type(value) for name in NAMES for value in nested(fl.load_checkpoint(TABLES / name)) if attrs.has(type(value))}
    assert {f"fnloop.{cls.__name__}" for cls in classes} - forms.keys() <= {"fnloop.Checkpoint"}
