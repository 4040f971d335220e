"""Write the files that every later version must read: `python -m tests.format.make`.

The files are those of the first version of the format. They are not written again, also not by a later version that adds
something: then add a file.
"""

import json
from pathlib import Path

import attrs
from toolz import pipe
from toolz.curried import take

import fnloop as fl
from fnloop.core.encoding import encoded_fields
from fnloop.core.records import RECORD_TYPES
from fnloop.runs import manifest
from tests.replay.support import CustomState, custom_step, everything, problem, tiny

FOLDER = Path(__file__).parent / "files"
RECORDS = Path(__file__).parent / "records.json"
NOT_STORED = {
    "Bar",
    "Confusion",
    "Diff",
    "Difference",
    "Fit",
    "LRRange",
    "RunData",
    "RunGroup",
    "Split",
    "Summary",
    "TableSplit",
}
NOT_STORED |= {"Layout", "TableScores", "Verification"}


def record(name, trainer, train, validation, epochs=4, **options):
    stream = fl.epochs(trainer, train, validation, engine=options.pop("engine", "numpy"))
    pipe(stream, fl.record(FOLDER / f"{name}.run", **options), take(epochs + 1), fl.last)
    return fl.open_run(FOLDER / f"{name}.run")


def make_files():
    """Write a run file of each kind, and checkpoints."""
    FOLDER.mkdir(exist_ok=True)
    train, validation = problem()
    trainer = everything()
    run = record("everything", trainer, train, validation)
    run.fork(2, FOLDER / "fork.run", batch_size=8).resume(epochs=4, progress=False)
    record("jax", trainer, train, validation, engine="jax")
    record("stopped", everything(early_stopping=fl.EarlyStopping("val_loss", patience=1, min_delta=10.0)), train, validation)
    record("one", *tiny(), epochs=0)
    record("blocks", *tiny(), epochs=300)
    record("functions", *with_function())
    manifest.MAX_DATA_BYTES = 0
    record("data", *tiny())
    states = iterate_custom()
    fl.last(fl.record(FOLDER / "custom.run", None, None)(states))
    fl.save(run.last, FOLDER / "state.npz", trainer=trainer)
    fl.save(run.last.params, FOLDER / "params.npz")
    make_ensemble()


def make_ensemble():
    """Write a checkpoint of two members, of different optimizers and dtypes."""
    trainer, train, validation = tiny()
    other = trainer.replace(seed=1, optimizer="adamw", dtype="float64")
    fits = [fl.fit(member, train, validation, epochs=2, progress=False) for member in (trainer, other)]
    fl.save(fl.ensemble(fits), FOLDER / "ensemble.npz")


def with_function():
    """Return a trainer whose rates are a function's, and its data."""
    trainer, train, validation = tiny()
    return trainer.replace(scheduler=fl.schedulers.LambdaLR(0.1, halve)), train, validation


def halve(epoch):
    """Return the factor of the rate in an epoch."""
    return 0.5**epoch


def iterate_custom(count=5):
    state = CustomState(0, 0.0)
    for _ in range(count):
        yield state
        state = custom_step(state)


def name_of(path):
    """Return the name of a file without its suffix."""
    return path.name.partition(".")[0]


def answers():
    """Return what the files say, as JSON."""
    runs = {}
    for path in sorted(FOLDER.glob("*.run")):
        run = fl.open_run(path)
        runs[path.name] = {
            "rows": [[row.position, row.epoch, row.step, row.stopped, row.digest, dict(row.metrics)] for row in run.rows[-6:]],
            "snapshots": run.snapshots,
            "engine": run.engine,
            "monitor": run.monitor and list(run.monitor),
            "parent": run.parent and {**run.parent, "path": "", "changes": dict(run.parent["changes"])},
            "environment": sorted(run.environment),
            "trainer": None if name_of(path) in ("custom", "functions") else fl.digest(run.trainer),
        }
    checkpoints = {path.name: fl.digest(fl.load_checkpoint(path)) for path in sorted(FOLDER.glob("*.npz"))}
    return {"runs": runs, "checkpoints": checkpoints}


def record_forms():
    """Return the id of each record class, with its version and its fields: the text of the default, or null."""
    return {
        name: {
            "version": getattr(cls, "format_version", 1),
            "fields": {field.name: field.default_text for field in encoded_fields(cls)},
        }
        for name, cls in sorted(RECORD_TYPES.items())
        if attrs.has(cls) and cls.__name__ not in NOT_STORED
    }


if __name__ == "__main__":
    make_files()
    (FOLDER / "answers.json").write_text(json.dumps(answers(), indent=1) + "\n")
    RECORDS.write_text(json.dumps(record_forms(), indent=1) + "\n")
