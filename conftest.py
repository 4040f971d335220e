"""The names that doctests of recorded runs use: `fl`, and `run`, which is `lab.run` in a new folder for each doctest."""

import shutil

import pytest

RUN_MODULES = "run", "recording", "checkpoint", "checkpointing"


@pytest.fixture(scope="session")
def lab_run(tmp_path_factory):
    """Record ten epochs on the lab data; return the path of the run file."""
    import fnloop as fl

    data = fl.datasets.lab()
    trainer = fl.Trainer(model=fl.mlp([10, 8, 1]), loss="bce", optimizer="adam", scheduler=0.01, seed=0)
    path = tmp_path_factory.mktemp("doctest") / "lab.run"
    fl.fit(trainer, data.train, data.validation, epochs=10, record=path, progress=False)
    return path


@pytest.fixture(autouse=True)
def _doctest_of_a_run(request):
    """For the doctests of these modules: change to a folder with a copy of the run, and open it as `run`."""
    if not request.node.nodeid.startswith(tuple(f"fnloop/runs/{name}.py::" for name in RUN_MODULES)):
        return
    import fnloop as fl

    folder = request.getfixturevalue("tmp_path")
    shutil.copy(request.getfixturevalue("lab_run"), folder)
    request.getfixturevalue("monkeypatch").chdir(folder)
    request.getfixturevalue("doctest_namespace").update(fl=fl, run=fl.open_run("lab.run"))
