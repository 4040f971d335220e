"""A later version reads, replays and verifies what this one wrote, and this one names what a later one wrote."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toolz.curried import pipe, take

import fnloop as fl
from tests.replay.support import ROOT, everything, problem, record_tiny

ADDED = "field_of_a_later_version"
ADDS_A_FIELD_TO_EVERY_RECORD = (
    "core/records.py",
    r"(    for name, method in _METHODS\.items\(\):\n)",
    f"    cls.__annotations__ = {{**vars(cls).get('__annotations__', {{}}), '{ADDED}': int}}\n"
    f"    cls.{ADDED} = attrs.field(default=7, kw_only=True)\n"
    r"\1",
)
LATER_VERSION = ("core/version.py", r'__version__ = "[^"]*"', '__version__ = "99.1.0"')


def edit(path, pattern, replacement):
    """Replace a pattern in a file; return how often it was found."""
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
    path.write_text(text)
    return count


@pytest.fixture
def later(tmp_path):
    """Return a function that runs code in a process with a copy of the package in which files are edited."""

    def run(code, *edits):
        folder = tmp_path / "later"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(Path(fl.__file__).parent, folder / "fnloop", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__", "format"))
        for name, pattern, replacement in (*edits, LATER_VERSION):
            counts = [edit(path, pattern, replacement) for path in (folder / "fnloop").glob(name)]
            assert sum(counts), (name, pattern)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", f"import json\nimport fnloop as fl\n{code}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def record_everything(path, **changes):
    train, validation = problem()
    stream = fl.epochs(everything(**changes), train, validation)
    return pipe(stream, fl.record(path), take(6), fl.last)


READ = """
run = fl.open_run("a.run")
assert fl.__version__ == "99.1.0"
states = [run.state(row.epoch) for row in run.rows]
assert [fl.digest(state) for state in states] == [row.digest for row in run.rows]
loaded = fl.load_checkpoint("a.npz")
assert fl.same_bits(loaded.state, states[-1]) and fl.same_bits(loaded.trainer, run.trainer)
forked = run.fork(3, "fork.run").resume(5, progress=False)
resumed = run.resume(7, progress=False)
answers = [str(run.verify()), str(forked.verify()), [row.digest for row in forked.rows], len(resumed.rows)]
"""


def test_a_later_version_with_one_more_field_in_every_record_reads_everything(tmp_path, later):
    """Each stored record gets a field with a default: states, trainers and data are read, replayed, verified and continued."""
    last = record_everything(tmp_path / "a.run")
    fl.save(last, tmp_path / "a.npz", trainer=everything())
    code = READ + f"print(json.dumps([*answers, run.trainer.{ADDED}, run.last.{ADDED}, run.last.params.{ADDED}]))"
    verified, forked, digests, rows, *added = later(code, ADDS_A_FIELD_TO_EVERY_RECORD)
    assert verified.startswith("verified, 8 of 8")
    assert forked.startswith("verified, 3 of 3")
    assert digests == [row.digest for row in fl.open_run(tmp_path / "a.run").rows[3:6]]
    assert (rows, added) == (8, [7, 7, 7])


WRITE = """
from tests.replay.support import everything, problem
from toolz.curried import pipe, take
trainer, data = everything(), problem()
pipe(fl.epochs(trainer, *data), fl.record("b.run"), take(4), fl.last)
fl.save(fl.open_run("b.run").last, "b.npz", trainer=trainer)
"""


def test_this_version_reads_a_later_one_that_uses_no_new_field(tmp_path, later):
    """A field at its default is not in the file."""
    later(f"{WRITE}print(json.dumps(0))", ADDS_A_FIELD_TO_EVERY_RECORD)
    run = fl.open_run(tmp_path / "b.run")
    assert run.verify().verified == 4
    assert fl.same_bits(fl.load(tmp_path / "b.npz"), run.last)


def test_this_version_names_a_later_one_that_uses_a_new_field(tmp_path, later):
    """Neither the run file nor the checkpoint is called damaged."""
    write = WRITE.replace("everything()", f"everything(batch_size=5).replace({ADDED}=8)")
    later(f"{write}print(json.dumps(0))", ADDS_A_FIELD_TO_EVERY_RECORD)
    message = f"has a field '{ADDED}' of Trainer, which this version does not know; it was written by fnloop '?99.1.0"
    with pytest.raises(fl.RunError, match=message):
        _ = fl.open_run(tmp_path / "b.run").trainer
    assert len(fl.open_run(tmp_path / "b.run").rows) == 4
    with pytest.raises(fl.CheckpointError, match=message):
        fl.load(tmp_path / "b.npz")


RENAMES = (
    ("**/*.py", r"\bPlateauState\b", "PlateauMemory"),
    ("schedulers/plateau.py", r"\breductions\b", "drops"),
    ("schedulers/plateau.py", r"^from collections", "import attrs\nfrom collections"),
)
KEEPS_NAMES = (
    ("schedulers/plateau.py", r"\n    metric: str\n", '\n    stored_name = "PlateauState"\n    metric: str\n'),
    ("schedulers/plateau.py", r"    drops: int\n", '    drops: int = attrs.field(metadata={"stored_name": "reductions"})\n'),
)


def test_a_renamed_class_and_field_keep_their_stored_names(tmp_path, later):
    """So that digests stay what they are, and the whole run is verified."""
    record_tiny(tmp_path / "a.run", 3)
    code = 'run = fl.open_run("a.run")\nprint(json.dumps([str(run.verify()), repr(run.last.scheduler)]))'
    verified, scheduler = later(code, *RENAMES, *KEEPS_NAMES)
    assert verified.startswith("verified, 4 of 4")
    assert scheduler.startswith("PlateauMemory(")
    assert "drops=" in scheduler


UPCAST = (
    "schedulers/plateau.py",
    r"\n    metric: str\n",
    """
    format_version = 2

    @staticmethod
    def upcast(version, fields):
        return {("drops" if name == "reductions" else name): value for name, value in fields.items()}

    metric: str
""",
)


def test_a_changed_form_is_read_through_its_upcaster(tmp_path, later):
    """Snapshots are read; states between them cannot have the recorded digest, and the message names the version."""
    record_tiny(tmp_path / "a.run", 3)
    fl.save(fl.open_run(tmp_path / "a.run").last, tmp_path / "a.npz")
    code = """
run = fl.open_run("a.run")
states = [run.state(epoch) for epoch in run.snapshots]
same = fl.same_bits(fl.load("a.npz"), states[-1])
print(json.dumps([[state.epoch for state in states], states[-1].scheduler.drops, same, str(run.verify())]))
"""
    snapshots, drops, same, verified = later(code, *RENAMES[1:], UPCAST)
    run = fl.open_run(tmp_path / "a.run")
    assert (snapshots, drops, same) == (run.snapshots, run.last.scheduler.reductions, True)
    assert "not verified, 1 of 4" in verified
    assert "in scheduler" in verified
    assert f"fnloop was {fl.__version__}, is 99.1.0" in verified
