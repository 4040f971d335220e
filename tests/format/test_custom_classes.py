"""Records of custom classes are found by module and name, from a script, a module, a package and a notebook."""

import json
import os
import subprocess
import sys

import pytest

from tests.replay.support import ROOT

SCRIPT = """
import json, sys
import numpy as np
from toolz.curried import pipe, take
import fnloop as fl

@fl.frozen
class Scale(fl.nn.Layer):
    factor: float = 2.0

    def forward(self, params, x, context):
        return x * self.factor, lambda dy, grads, need_dx: dy * self.factor, ()

    def shape(self, shape):
        return shape

def trainer():
    return fl.Trainer(model=fl.nn.Sequential(2, (fl.nn.Dense(2, 3), Scale(), fl.nn.Dense(3, 1))), loss="mse")

def data():
    x = np.random.default_rng(0).standard_normal((20, 2))
    return fl.Dataset(x, x.sum(1))

if __name__ == "__main__" and "record" in sys.argv:
    pipe(fl.epochs(trainer(), data()), fl.record("a.run"), take(5), fl.last)
"""
ASK = """
run = fl.open_run("a.run", records=[Scale])
epochs = run.resume(len(run.rows), progress=False).rows[-1].epoch
given = fl.open_run("a.run", trainer=trainer())
print(json.dumps([epochs, str(run.verify()), str(given.verify())]))
"""
IMPORTS = "import json\nimport fnloop as fl\n"
OTHER_LAYER = IMPORTS + "from train import trainer\n@fl.frozen\nclass Scale(fl.nn.Layer):\n    factor: float = 2.0\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with the script as a script and in a package."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "__init__.py").touch()
    (tmp_path / "project" / "train.py").write_text(SCRIPT)
    return tmp_path


def run(folder, *arguments, stdin=""):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, text=True, check=False)


RECORDED = {"script": ["train.py"], "module": ["-m", "train"], "package": ["-m", "project.train"]}


@pytest.mark.parametrize(
    "recorded", ["script", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("module", "package"))]
)
def test_what_one_recorded_others_read_and_resume(folder, recorded):
    """A script, a module, a package and a session without a file: one after another resumes and verifies the run."""
    assert run(folder, *RECORDED[recorded], "record").returncode == 0
    askers = [
        ["-c", f"{IMPORTS}from train import *\n{ASK}"],
        ["-c", f"{IMPORTS}from project.train import *\n{ASK}"],
        ["-c", f"{SCRIPT}\n{ASK}"],
    ]
    for number, arguments in enumerate(askers, start=5):
        done = run(folder, *arguments)
        assert done.returncode == 0, done.stderr
        states = f"verified, {number + 1} of {number + 1}"
        assert json.loads(done.stdout) == [number, states, states]
    done = run(folder, "-", stdin=f"{SCRIPT}\n{ASK}")
    assert json.loads(done.stdout)[1] == "verified, 9 of 9"


def test_a_class_of_another_module_is_not_taken_for_the_recorded_one(folder):
    """Neither the package's of the same name, nor one of another module; the message names both."""
    assert run(folder, "train.py", "record").returncode == 0
    (folder / "other.py").write_text(OTHER_LAYER)
    done = run(folder, "-c", f"{IMPORTS}import other\nfl.open_run('a.run', records=[other.Scale]).trainer")
    assert "has a record 'train.Scale', which is not on the list" in done.stderr
    assert "other.Scale is of another module" in done.stderr
