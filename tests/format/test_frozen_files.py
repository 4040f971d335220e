"""Files of the first version of the format are read by every later one, and every stored record keeps its form."""

import json

import pytest

import fnloop as fl
from fnloop.core.records import RECORD_TYPES
from tests.format import make
from tests.replay.support import CustomState, custom_step

RUNS = sorted(path.name for path in make.FOLDER.glob("*.run"))


def same_json(value):
    """Return a value as JSON, in which NaN is equal to itself."""
    return json.dumps(value, sort_keys=True)


def test_every_file_says_what_it_said():
    """Rows, metrics, digests, snapshots and settings; the trainers and checkpoints have the same digests."""
    recorded = json.loads((make.FOLDER / "answers.json").read_text())
    assert len(recorded["runs"]) == len(RUNS) == 9
    assert same_json(make.answers()) == same_json(recorded)


def supplied(name):
    """Return what a file does not hold; a function is known again in the version of Python that recorded it."""
    if name == "custom.run":
        return {"step": custom_step, "records": [CustomState]}
    trainer, train, validation = make.with_function()
    return {"data.run": {"train": train, "validation": validation}, "functions.run": {"trainer": trainer}}.get(name, {})


@pytest.mark.parametrize("name", RUNS)
def test_every_snapshot_is_read(name, tmp_path):
    """A snapshot matches its digest; where the bits are those of the recording machine, every state does."""
    path = tmp_path / name
    path.write_bytes((make.FOLDER / name).read_bytes())
    if name == "jax.run":
        pytest.importorskip("jax")
    run = fl.open_run(path, **supplied(name))
    for epoch in run.snapshots:
        assert fl.digest(run.state(epoch)) == run.rows[epoch - run.rows[0].epoch].digest
    verified = run.verify()
    assert verified.ok or verified.environment


def test_every_stored_record_keeps_its_form():
    """A class that a file may name is found; its fields keep their names and defaults, and a new field has a default.

    To rename a class or a field, give it a `stored_name`. For any other change, raise `format_version` and write `upcast`.
    """
    forms, current = json.loads(make.RECORDS.read_text()), make.record_forms()
    assert forms.keys() <= current.keys()
    for name, form in forms.items():
        if current[name]["version"] > form["version"]:
            assert hasattr(RECORD_TYPES[name], "upcast"), name
            continue
        fields = current[name]["fields"]
        assert {field: fields.get(field, "missing") for field in form["fields"]} == form["fields"], name
        assert all(fields[field] is not None for field in fields.keys() - form["fields"].keys()), name
