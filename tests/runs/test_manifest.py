"""The manifest and the rows of a run file come back from their JSON, and an invalid entry is named."""

import json
import math

import pytest

import fnloop as fl
from fnloop.core.encoding import Encoder
from fnloop.runs.earlier_metrics import earlier_metrics
from fnloop.runs.manifest import Manifest, Parent, make_manifest, parse_manifest
from fnloop.runs.rows import make_row, parse_row
from tests.replay.support import tiny


def manifest():
    trainer, train, validation = tiny()
    parent = Parent("a.run", 3, "0" * 64, {"seed": "2"})
    earlier = earlier_metrics([{"loss": 0.5}])
    return make_manifest(
        trainer, train, validation, "numpy", ("val_loss", "min"), None, parent=parent, earlier_metrics=earlier
    )[0]


def test_a_manifest_is_parsed_from_its_json():
    """Every entry, with the types of `Manifest`."""
    written = manifest()
    assert parse_manifest(written.to_json()) == written


@pytest.mark.parametrize("name", Manifest._fields)
def test_a_missing_or_invalid_entry_is_named(name):
    """Each entry is required, unless it has a default, as entries have that a later version adds."""
    texts = manifest().to_json()
    with pytest.raises(ValueError, match=f"invalid value for '{name}' in the run file"):
        parse_manifest({**texts, name: "[5]"})
    del texts[name]
    if name in Manifest._field_defaults:
        assert getattr(parse_manifest(texts), name) == Manifest._field_defaults[name]
    else:
        with pytest.raises(ValueError, match=f"no value for '{name}' in the run file"):
            parse_manifest(texts)


def test_a_newer_format_is_named():
    """It may hold anything."""
    with pytest.raises(ValueError, match=r"is of format 2, and fnloop .* reads format 1: update fnloop"):
        parse_manifest({**manifest().to_json(), "format": "2"})


def test_a_trainer_needs_its_data():
    """A file that has one without the other is invalid."""
    with pytest.raises(ValueError, match="no entry for its data"):
        parse_manifest({**manifest().to_json(), "train": json.dumps(None)})


def test_a_row_is_parsed_from_its_columns():
    """With its metrics, whatever their values."""
    trainer, *_ = tiny()
    row, _ = make_row(2, fl.init_state(trainer), 0.5, 0, Encoder())
    row = row._replace(metrics={"loss": 0.1, "inf": math.inf})
    assert parse_row(row.columns()) == row


@pytest.mark.parametrize("change", [{"epoch": -1}, {"epoch": "1"}, {"seconds": 1}, {"stopped": 3}, {"digest": 5}])
def test_an_invalid_row_is_an_error(change):
    """Of another type, or with a negative counter."""
    trainer, *_ = tiny()
    row, _ = make_row(0, fl.init_state(trainer), 0.0, 0, Encoder())
    with pytest.raises(ValueError, match="row 0 of the states is invalid"):
        parse_row(row._replace(**change).columns())
