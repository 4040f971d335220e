"""Support for the tests of replay: runs to record, a digest independent of the package's, and new processes."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from time import sleep

import attrs
import numpy as np
from toolz import take

import fnloop as fl
from fnloop import nn, optimizers
from fnloop.core.records import frozen

ROOT = Path(__file__).parents[2]


def problem(rows=90, inputs=4, seed=3):
    """Return training and validation data of three classes; the last batch of 8 is smaller."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((rows + 31, inputs)).astype(np.float32)
    y = (x[:, 0] + 0.5 * draw.standard_normal(rows + 31) > 0).astype(np.int64) + (x[:, 1] > 0.7)
    return fl.Dataset(x[:rows], y[:rows]), fl.Dataset(x[rows:], y[rows:])


LAYERS = (nn.Dense(4, 8), nn.BatchNorm(8), nn.Activation("relu"), nn.Dropout(0.2), nn.Dense(8, 3))


def everything(**changes):
    """Return a trainer whose states have every kind of field: buffers, moments, plateau and early stopping."""
    return fl.Trainer(
        **{
            "model": nn.Sequential(4, LAYERS),
            "loss": fl.losses.SoftmaxCrossEntropy(),
            "optimizer": optimizers.chain(optimizers.Adam(), optimizers.add_decayed_weights(1e-3)),
            "scheduler": fl.schedulers.ReduceLROnPlateau(0.02, metric="val_loss", factor=0.7, patience=3, min_lr=1e-5),
            "early_stopping": fl.EarlyStopping("val_loss", patience=1000, restore_best=True),
            "metrics": ("accuracy",),
            "batch_size": 4,
            "accumulate": 2,
            "seed": 11,
            **changes,
        }
    )


def tiny(**changes):
    """Return a trainer whose epochs take less than a millisecond, and its training and validation data."""
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    data = fl.Dataset(x, (x.sum(1) > 0).astype(np.int64))
    trainer = fl.Trainer(
        **{
            "model": fl.mlp([3, 4, 1]),
            "loss": fl.losses.BinaryCrossEntropy(),
            "optimizer": optimizers.Adam(),
            "scheduler": fl.schedulers.ReduceLROnPlateau(0.01, metric="val_loss", factor=0.5, patience=5),
            "batch_size": 8,
            "seed": 1,
            **changes,
        }
    )
    return trainer, data, data


def record_tiny(path, epochs=3, snapshot_every=None, **changes):
    """Record a small run and return its states."""
    trainer, train, validation = tiny(**changes)
    stream = take(epochs + 1, fl.epochs(trainer, train, validation))
    return list(fl.record(path, trainer, train, validation, stream, snapshot_every=snapshot_every))


@frozen
class CustomState:
    """A state that is not a `TrainState`."""

    n: int
    total: float


def custom_step(state):
    """Return the state after a custom state."""
    return CustomState(state.n + 1, state.total + 1 / (state.n + 1))


def fingerprint(state):
    """Return the SHA-256 over every leaf's path, type and bytes, without the package's own digest."""
    hashed = hashlib.sha256()
    _feed(hashed, "", state)
    return hashed.hexdigest()


def _feed(hashed, path, value):
    if isinstance(value, np.ndarray):
        kind, content = f"{value.dtype.str}{value.shape}", value.tobytes()
    elif attrs.has(type(value)):
        kind, content = type(value).__qualname__, b""
        for field in attrs.fields(type(value)):
            _feed(hashed, f"{path}.{field.name}", getattr(value, field.name))
    elif hasattr(value, "items"):
        kind, content = f"mapping of {len(value)}", b""
        for key, item in value.items():
            _feed(hashed, f"{path}[{key}]", item)
    elif isinstance(value, tuple | list):
        kind, content = f"sequence of {len(value)}", b""
        for i, item in enumerate(value):
            _feed(hashed, f"{path}[{i}]", item)
    elif isinstance(value, float):
        kind, content = "float", struct.pack("<d", value)
    else:
        kind, content = type(value).__name__, repr(value).encode()
    head = f"{path}\0{kind}\0{len(content)}\0".encode()
    hashed.update(head + content)


def in_new_process(function, *arguments, **variables):
    """Return what a function of these tests returns in a new process; arguments and result must be JSON values.

    `variables` are added to the environment of the process.
    """
    process = start_process(function, *arguments, **variables)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def start_process(function, *arguments, **variables):
    """Start a new process that runs a function of these tests and prints its result."""
    code = (
        f"import json, sys; from {function.__module__} import {function.__name__} as f; "
        "print(json.dumps(f(*json.loads(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environ(**variables), text=True, **pipes)


def environ(**variables):
    """Return an environment in which a new process finds the package and these tests."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": paths, **variables}


def wait_for(path):
    """Wait until a run file is there, which the writer's thread creates."""
    while not os.path.exists(path):
        sleep(0.005)
